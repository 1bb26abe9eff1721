"""Tables, figures and explanations as a terminal shows them."""
from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from gateway.cli.client import frames
from gateway.cli.columns import COLUMNS, columns_of
from gateway.cli.exits import describe
from gateway.cli.explain import explanation, funnel_lines
from gateway.cli.follow import progress_text
from gateway.cli.graph import drawn
from gateway.cli.output import rendered, table
from gateway.cli.reaped import reaped
from gateway.cli.rehearsed import rehearsed
from gateway.cli.terminal import Terminal
from gateway.cli.text import age_text, bytes_text, clean, cut, pad, seconds_text, width
from shared.contracts.objects import OBJECTS
from shared.kernel.errors import Conflict
from shared.nets import NETS

PIPE = Terminal(looks=False, talks=False, colour=False, columns=None)


def narrow(columns: int) -> Terminal:
    return Terminal(looks=True, talks=True, colour=False, columns=columns)


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 * 2**30, "3.0 GiB"), (2**30 - 3000, "1.0 GiB"),
                                            (None, "-"), (True, "-")])
def test_bytes_are_told_for_people(size, text):
    assert bytes_text(size) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.25, "250 ms"), (42, "42 s"), (180, "3 min"), (5 * 3600, "5 h"), (12 * 86400, "12 d")])
def test_spans_are_told_in_their_largest_unit(seconds, text):
    assert seconds_text(seconds) == text


def test_what_is_not_a_time_has_no_age():
    assert age_text(None) == age_text("yesterday") == "-"


@pytest.mark.parametrize("text", ["a\nb", "a\x1b[31mb", "a\u202eb", "a\x00b", "a\udcffb", "a\x9bb"])
def test_nothing_in_a_name_can_act_on_the_terminal(text):
    safe = clean(text)
    assert safe.isprintable() and safe.startswith("a\\") and safe.endswith("b")


def test_wide_and_combining_characters_take_the_room_that_they_take():
    assert (width("日本"), width("e\u0301"), pad("日本", 6), cut("日本語", 5)) == (4, 1, "日本  ", "日本…")


def test_a_cut_in_the_middle_keeps_the_end_of_a_path():
    assert cut("/data/lab/2026/sales.csv", 16, middle=True).endswith("sales.csv")


# As long as what a real one has may be, in every attribute that a column shows.
LONG = {
    "id": "dead_01M8D0GAZN9SWWW2RV8DCA9362", "name": "日本" * 30, "state": "FailedProvision", "status": "succeeded", "owner": "ada.lovelace@example.org",
    "access": [{"path": "/a" * 100, "action": "leave"}, {"path": "/b", "action": "copy"}], "bytes_total": 2**40, "data_bytes": 2**40, "size": 2**40,
    "created_at": "2026-01-01T00:00:00.000000Z", "time": "2026-01-01T00:00:00.000000Z", "modified_at": "2026-01-01T00:00:00.000000Z",
    "used_at": "2026-01-01T00:00:00Z", "replayed_at": "2026-01-01T00:00:00Z", "last_used_at": "2026-01-01T00:00:00Z", "attempts": 120,
    "event": "datareference.better_available", "code": "message.undecodable", "adaptor": "simulated", "query": {"name": {"$like": "*" * 99}},
    "source": {"id": "x", "name": "s" * 40}, "request": {"id": "x", "name": "r" * 40}, "data": {"id": "x", "name": "d" * 40}, "type": "object",
    "path": "p/" * 99, "message": "m " * 99, "reason": "why " * 30, "obj": {"id": "x", "name": "o" * 40, "state": "Provisioning"}, "cost": 8.91e-07,
    "rule": "r" * 60, "action": "do.datareservation.confirm", "target": {"id": "x", "name": "t" * 30}, "kind": "datarequest",
    "outcome": "datarequest.not_found", "address": "2001:db8:85a3:8d3:1319:8a2e:370:7348", "roles": ["DataScientist", "DataEngineer"],
    "expires_at": "2026-01-01T00:00:00.000000Z",
    "sequence": 123456789, "position": 3, "data_count": 10**9, "scan": {"state": "cancelled", "problems": 99}, "because": "b " * 80}


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("noun", COLUMNS)
def test_a_table_fits_the_terminal_and_says_what_it_has_no_room_for(noun, columns):
    lines = table([LONG], columns_of(noun, False), narrow(columns)).splitlines()
    assert max(map(width, lines)) <= columns, "\n".join(lines)
    titles = [column.title for column in columns_of(noun, False)]
    shown, note = re.split(" {2,}", lines[0].strip()), " ".join(lines[2:])
    said = note.removeprefix("No room for ").removesuffix("; -o wide has them.").split(", ") if note else []
    assert shown[0] == titles[0] and [title for title in titles if title not in shown] == said, "\n".join(lines)
    assert columns < 200 or not note


def test_a_narrow_table_keeps_name_and_state_and_where_it_is():
    lines = table([LONG], columns_of("datainstance", False), narrow(40)).splitlines()
    assert lines[0].split() == ["NAME", "STATE", "PATH"] and " ".join(lines[2:]) == "No room for ACTION, DATA, SIZE, AGE; -o wide has them."


def test_wide_shows_more_and_shortens_nothing():
    items = [{"id": "dins_1", "name": "n" * 300, "state": "Ready", "access": []}]
    shown = table(items, columns_of("datainstance", True), narrow(60))
    assert "n" * 300 in shown and "dins_1" in shown


@pytest.mark.parametrize("noun", OBJECTS)
def test_every_class_has_columns_that_show_an_object_with_nothing_in_it(noun):
    columns = columns_of(noun, True)
    assert columns and [column.shows({}) for column in columns]


def test_an_object_is_shown_with_what_it_has():
    shown = rendered({"name": "a", "state": "Ready", "reason": None, "bytes_total": 2048, "tags": {"owner": "darren"},
                      "access": [{"path": "/x", "action": "copy", "state": "ready", "size": 5}]}, "", "datainstance", "table", PIPE)
    assert "reason" not in shown and "2.0 KiB (2048 bytes)" in shown and "owner: darren" in shown and "/x  (copy, ready, 5 B)" in shown


def test_a_scan_is_shown_with_how_it_went_and_each_thing_that_it_could_not_use():
    problems = [{"path": f"f{n}\n.csv", "code": "source.unreadable", "detail": "Permission denied."} for n in range(25)]
    scan = {"id": "scan_1", "state": "done", "files": 3, "message": "3 found. 30 could not be used.", "problems": problems, "problem_count": 30}
    shown = rendered({"name": "mine", "state": "Ready", "scan": scan}, "", "datasource", "table", PIPE)
    assert "done: 3 found. 30 could not be used." in shown and "f0\\n.csv: Permission denied." in shown and "… and 10 more" in shown
    quiet = rendered({"name": "mine", "audit": {"id": "scan_2", "state": "done", "message": "24 looked at.", "lost": 0}}, "", "datasource", "table", PIPE)
    assert "done: 24 looked at." in quiet and "more" not in quiet


def test_the_cause_of_a_failure_is_a_sentence_wherever_it_is_shown():
    cause = {"kind": "Unavailable", "code": "target.no_space", "detail": "There is no room.", "next_step": "Make room.", "retryable": True}
    reason = {"code": "provision_failed", "instance": "full-0", "cause": cause}
    step = {"time": "2026-01-01T00:00:00Z", "object": "full", "event": "failed", "from": "Evaluated", "to": "Failed", "detail": reason}
    for shown in (rendered({"name": "full", "state": "Failed", "reason": reason}, "", "datarequest", "table", PIPE), explanation({"timeline": [step]}, PIPE)):
        assert "There is no room. [target.no_space]" in shown and "{" not in shown


def test_colour_is_for_terminals_that_want_it():
    body = {"items": [{"name": "a", "state": "Failed"}]}
    assert "\x1b[31m" in rendered(body, "", "datarequest", "table", Terminal(True, True, True, 80))
    assert "\x1b" not in rendered(body, "", "datarequest", "table", narrow(80))


def test_the_funnel_says_at_which_clause_nothing_is_left():
    lines = funnel_lines({"base": 61, "steps": [{"clause": "owner:darren", "remaining": 12}, {"clause": "filetypes:parquet", "remaining": 0}]}, PIPE)
    assert [line.split()[1] for line in lines] == ["61", "12", "0"]
    assert [("nothing is left here" in line) for line in lines] == [False, False, True]
    assert lines[0].count("█") > lines[1].count("█") > lines[2].count("█")


def test_a_funnel_over_nothing_at_all_blames_no_clause():
    assert not any("left here" in line for line in funnel_lines({"base": 0, "steps": [{"clause": "a:1", "remaining": 0}]}, PIPE))


def test_an_explanation_begins_with_the_reason():
    shown = explanation({
        "request": {"id": "dreq_1", "name": "scans", "state": "Needed"}, "sentence": "It waits because nothing matches.",
        "funnel": {"base": 2, "steps": []}, "warnings": [{"detail": "No data has the tag 'ownr'."}],
        "reservations": {"total": 3, "by_state": {"Confirmed": 2, "Rejected": 1}}, "instances": {},
        "timeline": [{"time": "2026-11-24T18:33:14.000000Z", "object": {"name": "scans"}, "event": "fulfill", "from": "Init", "to": "Needed"},
                     {"time": "2026-11-24T18:33:14.250000Z", "class": "datareservation", "event": "create", "to": "Created", "count": 3}],
        "blocked_by": {"code": "no_match", "unstick": ["Register a source that has it."]}}, PIPE)
    lines = shown.splitlines()
    assert lines[0] == "scans is Needed: It waits because nothing matches."
    assert "Register a source that has it." in shown and "2 Confirmed, 1 Rejected" in shown
    assert "+250 ms" in shown and "Init → Needed" in shown and "3 of them" in shown and "No data has the tag 'ownr'." in shown


FRAME = {
    "request": {"id": "dreq_1", "name": "a<b>\"x", "state": "Failed", "version": 4}, "sentence": "It failed.", "frozen": True,
    "funnel": {"base": 5000, "steps": [
        {"clause": "owner:darren a-very-long-clause-that-does-not-fit", "remaining": 120}, {"clause": "kind:scan", "remaining": 0}]},
    "hints": [{"sentence": "Without kind:scan 120 Data match.", "command": "edgemere do datarequest create --query owner:darren"}],
    "reservations": {"total": 2, "costs": [{"state": "Confirmed", "action": "leave", "count": 2, "cost": 0.5}]}, "items": [
        {"data": {"name": "x"}, "source": {"name": "lab & co"}, "action": "copy", "target": {"name": "scratch"}, "cost": 0.25, "rule": "near",
         "decision": {"because": "Near is better.", "tried": [{"rule": "secret", "matched": False, "clauses": [
             {"clause": "data.tags.secret:true", "field": "data.tags.secret", "value": None, "holds": False}]},
             {"rule": "near", "matched": True, "clauses": []}],
             "scores": {"leave": {"possible": True, "cost": 0.5, "parts": {"transfer": 0.5}}, "copy": {"possible": True, "cost": 0.25, "parts": {}},
                        "mount": {"possible": True, "cost": 0.5, "parts": {}, "via": "read_through", "via_why": "There is no FUSE."},
                        "move": {"possible": False, "why_not": "Nothing may be deleted there."}}, "margin": 0.25, "runner_up": "leave"}}],
}


@pytest.mark.parametrize("columns", [40, 60, 200])
def test_a_funnel_fits_its_terminal(columns):
    lines = funnel_lines(FRAME["funnel"], Terminal(True, True, False, columns))
    assert all(width(line) <= columns for line in lines) and lines[0].count("█") > lines[1].count("█")


def test_hints_costs_and_the_one_decision_asked_for_are_shown():
    shown = explanation(FRAME, narrow(80))
    assert "\n    edgemere do datarequest create --query owner:darren\n" in shown and "Confirmed  leave      2   0.5" in shown
    assert "✗ rule secret: not data.tags.secret:true (-)" in shown and "✓ rule near" in shown
    assert "mount (read_through)" in shown and "mount: There is no FUSE." in shown and "before leave" in shown
    assert "Nothing may be deleted there." in shown and shown.endswith("This frame stays: --at 4.")
    assert "\x1b" not in shown and "\x1b" in explanation(FRAME, Terminal(True, True, True, 80))


def test_why_not_is_answered_before_everything_else():
    shown = explanation({**FRAME, "why_not": {"sentence": "'c' does not match.", "clauses": [
        {"clause": "kind:scan", "field": "kind", "said": "table", "holds": False}]}}, PIPE)
    assert shown.startswith("'c' does not match.\n\nClauses\n  ✗ kind:scan: kind is table\n")


def test_the_flow_of_a_request_is_drawn_and_names_in_it_are_no_markup():
    mermaid, svg = drawn(FRAME, "mermaid"), drawn(FRAME, "svg")
    assert mermaid.startswith("flowchart LR") and "a#60;b#62;#34;x" in mermaid and 's0 -->|1| a0' in mermaid
    root = ElementTree.fromstring(svg)
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert 'a<b>"x' in texts and "source lab & co" in texts and "0 Data" in texts


def test_progress_tells_bytes_and_what_is_left():
    said = progress_text({"status": "running", "progress": {"files_done": 3, "files_total": 12, "bytes_done": 2**30, "bytes_total": 2**32}}, 10)
    assert said == "running: 3 of 12 files, 1.0 GiB of 4.0 GiB, about 30 s left"


def test_frames_of_the_stream_are_read_as_they_are_defined():
    lines = b": heartbeat\n\nid: 7\nevent: data.create\ndata: {\"a\":\ndata: 1}\n\ndata: text\r\n\r\n".splitlines(keepends=True)
    first, second = frames(iter(lines))
    assert (first.id, first.event, first.data) == ("7", "data.create", {"a": 1})
    assert (second.id, second.event, second.data) == ("7", "message", "text")


def test_how_far_an_operation_is_reads_as_words():
    items = [{"id": "oper_1", "kind": "scan", "status": "succeeded", "progress": {"state": "done", "files": 3, "added": 3, "changed": 0, "reason": None}}]
    shown = table(items, columns_of("operation", False), PIPE)
    assert "state done, files 3, added 3" in shown and "{" not in shown and "changed" not in shown


def test_a_refused_move_names_actions_and_no_word_that_only_the_mesh_knows():
    with pytest.raises(Conflict) as refused:
        NETS["datarequest"].move("Satisfied", "fulfill", "mine")
    said = describe({**refused.value.payload(), **refused.value.extra})
    assert "  legal: complete (to Completed), Needed by itself" in said and "degraded" not in "\n".join(said)


def test_a_test_of_policies_says_what_would_differ_before_it_says_which():
    one = {"request": {"id": "dreq_1", "name": "scans"}, "data": {"id": "data_1", "name": "a.csv"}, "source": {"id": "dsrc_1", "name": "lab"},
           "before": {"action": "leave", "target": None, "rule": "default", "cost": 1.5},
           "after": {"action": "copy", "target": "desk", "rule": "near", "because": "", "cost": 2.0}}
    shown = rehearsed({
        "revision": "new", "against": "old", "since": "2026-01-01T00:00:00.000000Z", "truncated": False, "decisions": 7, "differ": 31, "requests": 3,
        "requests_that_differ": 2, "cost": {"before": 3.0, "after": 3.5, "change": 0.5}, "changes": [{"from": "leave", "to": "copy", "count": 31}],
        "rules": [{"name": "near", "enforce": True, "decides": 31, "notes": 0}, {"name": "later", "enforce": False, "decides": 0, "notes": 4}],
        "items": [one] * 31, "items_left_out": 0, "requests_that_would_fail": [{"id": "dreq_2", "name": "maps", "code": "x", "detail": "No room."}],
        "not_reproducible": 2}, narrow(100))
    lines = shown.split("\n")
    assert lines[0] == "31 of 7 decisions would differ, in 2 of 3 requests; the cost would be 3.5 instead of 3 (+0.5)."
    assert "  maps: No room." in lines and "  leave  copy         31" in lines
    assert any(line.split() == ["scans", "a.csv", "lab", "leave", "copy", "to", "desk", "1.5", "2", "near"] for line in lines), shown
    assert any(line.startswith("  … and 11 more") for line in lines) and "  later        0      4" in lines and "2 more cannot be decided again" in shown
    assert all(width(line) <= 100 for line in lines)


def test_a_refusal_leaves_out_what_has_no_value():
    said = describe({"detail": "It is pinned.", "code": "x", "pin": {"owner": "ada", "until": None, "reason": "figures"}})
    assert "  pin: owner ada, reason figures" in said


def test_rules_are_counted_from_one_as_their_mistakes_are():
    rules = [{"name": name, "position": place, "when": {}, "action": "leave"} for place, name in enumerate(("first", "default"))]
    assert [line.split()[:2] for line in table(rules, columns_of("policy", False), PIPE).splitlines()[1:]] == [["1", "first"], ["2", "default"]]


def test_what_a_reaping_would_free_is_said_with_the_command_that_does_it():
    body = {"source": {"id": "dsrc_1", "name": "my disk"}, "applied": False, "capacity": 10000, "used": 6000, "wanted": 1000, "freed": 2048, "more": False,
            "items": [{"name": "late-0", "request": {"id": "dreq_1", "name": "late"}, "bytes": 2048, "used_at": None}],
            "kept": [{"name": "x-0", "bytes": 5, "why": "last_copy"}], "kept_count": 1}
    shown = reaped(body, PIPE)
    assert shown.startswith("1 instance with 2.0 KiB would go from 'my disk', where 5.9 KiB of 9.8 KiB are used.\n"
                            "Nothing was done yet. To do it: edgemere fmdm datasource reap --id 'my disk' --bytes 1000 --apply\n")
    assert "late-0" in shown and "x-0" in shown and "last copy" in shown
    assert reaped({**body, "applied": True, "wanted": 4096}, PIPE).startswith(
        "1 instance with 2.0 KiB went from 'my disk', where 5.9 KiB of 9.8 KiB are used.\n"
        "That is less than the 4.0 KiB wanted: nothing else there is a copy that may go.\n\nGone")
    assert reaped({**body, "wanted": 0, "items": [], "kept": []}, PIPE) == "Nothing has to go from 'my disk': 5.9 KiB of 9.8 KiB are used."


def test_a_lock_shows_what_it_holds():
    shown = rendered({"edgemere_lock": 1, "items": [{"name": "a.csv", "source": {"id": "dsrc_1", "name": "lab"}, "size": 1000, "action": "copy",
                                                     "checksum": "sha256:0"}]}, "", "lock", "table", PIPE)
    assert re.search(r"a\.csv +lab +1000 B +copy +sha256:0", shown)


def test_a_lifetime_is_a_span_and_a_budget_says_what_is_left_and_what_is_taken():
    assert re.search(r"lifetime +60 min", rendered({"name": "r", "lifetime": 3600.0}, "", "datarequest", "table", PIPE))
    budget = {"bytes": {"limit": 3072, "spent": 1024, "remains": 2048}, "money": {"limit": 5, "spent": 1, "remains": 4}, "wanted": {"bytes": 1024, "money": 0}}
    shown = explanation({"request": {"id": "dreq_1", "name": "r", "state": "Satisfied"}, "blocked_by": None, "budget": budget}, PIPE)
    assert "  bytes: 2.0 KiB of 3.0 KiB left; this takes 1.0 KiB\n  money: 4 of 5 left" in shown
