"""The command line against a real HTTP server: what is sent, what is printed, how it exits."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main
from tests.interface.cli.conftest import Told

REQUEST = {"id": "dreq_01JD3Z6K8Q4N5W7X9Y2B3C4D5E", "name": "scans", "state": "Needed", "query": {"owner": "darren"},
           "created_at": "2026-11-24T18:33:14.123456Z", "instances": {"count": 2, "href": "…"}}
OPERATION = "oper_01JD3Z6K8Q4N5W7X9Y2B3C4D5E"


def problem(status: int, code: str, **more: Any) -> tuple[int, dict[str, Any]]:
    return status, {"type": f"/docs#{code}", "title": "T", "status": status, "detail": f"It is {code}.", "code": code, "errors": [], **more}


@pytest.mark.parametrize("words", [["diml", "dml", "do"], ["do"]])
def test_the_contracts_words_and_the_short_form_send_the_same(told: Told, words: list[str]) -> None:
    told.tell("POST do/datainstance/create", (201, {"reference": {}, "request": {}, "items": []}))
    assert main([*words, "datainstance", "create", "--dataref", '{"name": "training", "query": "owner:darren"}']) == 0
    assert told.asked[0]["body"] == {"dataref": {"name": "training", "query": "owner:darren"}}
    assert told.asked[0]["headers"]["content-type"] == "application/json"


def test_the_positional_parameter_needs_no_name(told: Told) -> None:
    told.tell("GET do/datarequest/show", (200, REQUEST))
    assert main(["do", "datarequest", "show", "scans"]) == 0
    assert told.asked[0]["query"] == {"id": "scans"}


def test_a_query_may_be_several_words(told: Told) -> None:
    told.tell("GET fmdm/query", (200, {"items": [], "next": None, "total": 0}))
    assert main(["fmdm", "query", "owner:darren", "size>1MB"]) == 0
    assert told.asked[0]["query"] == {"expression": "owner:darren size>1MB"}


@pytest.mark.parametrize("option", ["--data-reference", "--data_reference", "--dataReference"])
def test_every_spelling_of_a_parameter_is_understood(told: Told, option: str) -> None:
    told.tell("POST do/datarequest/create", (201, REQUEST))
    assert main(["do", "datarequest", "create", option, "training"]) == 0
    assert told.asked[0]["body"] == {"data_reference": "training"}


def test_a_parameter_of_that_very_name_is_no_other_spelling(told: Told) -> None:
    told.tell("GET do/datainstance/list", (200, {"items": [], "next": None, "total": 0}))
    assert main(["do", "datainstance", "list", "--reference", "training"]) == 0
    assert told.asked[0]["query"] == {"reference": "training"}


def test_json_comes_inline_from_a_file_or_from_stdin(told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told.tell("POST fmdm/datasource/create", (201, {"name": "lab", "state": "Ready"}))
    (tmp_path / "p.yaml").write_text("rootdir: /data/lab\n")
    (tmp_path / "stdin").write_text('{"rootdir": "/data/lab"}')
    create = ["fmdm", "datasource", "create", "--name", "lab", "--adaptor", "file", "--parameters"]
    with open(tmp_path / "stdin") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        for typed in ('{"rootdir": "/data/lab"}', f"@{tmp_path / 'p.yaml'}", "-"):
            assert main([*create, typed]) == 0
    assert [asked["body"]["parameters"] for asked in told.asked] == [{"rootdir": "/data/lab"}] * 3


def test_a_listing_comes_from_a_file_as_the_text_it_is(told: Told, tmp_path: Path) -> None:
    told.tell("POST fmdm/datasource/simulate", (201, {"name": "archive"}))
    (tmp_path / "listing.yaml").write_text("a.nii: {size: 5}\n")
    assert main(["fmdm", "datasource", "simulate", "--name", "archive", "--file", str(tmp_path / "listing.yaml")]) == 0
    assert told.asked[0]["body"] == {"name": "archive", "listing": "a.nii: {size: 5}\n"}


def test_a_file_that_is_not_there_is_a_matter_of_usage(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["do", "datainstance", "create", "--dataref", "@nowhere.json"]) == 2
    assert "nowhere.json" in capsys.readouterr().err
    assert told.asked == []


@pytest.mark.parametrize(("status", "code", "exit_code"), [
    (400, "query.syntax", 2), (422, "parameter.invalid", 2), (404, "datarequest.not_found", 3), (409, "datarequest.name_taken", 4),
    (412, "precondition_failed", 4), (403, "denied", 5), (503, "unavailable", 6), (500, "internal", 1), (501, "not_yet", 1), (504, "deadline_exceeded", 1),
])
def test_every_status_has_its_exit_code(told: Told, status: int, code: str, exit_code: int, capsys: pytest.CaptureFixture[str]) -> None:
    told.tell("GET do/datarequest/show", problem(status, code))
    assert main(["do", "datarequest", "show", "scans"]) == exit_code
    said = capsys.readouterr()
    assert said.out == "" and f"[{code}]" in said.err


def test_a_problem_is_said_with_its_pointers_its_candidates_and_the_next_step(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    told.tell("GET do/datarequest/show", problem(
        409, "datarequest.ambiguous", errors=[{"pointer": "/id", "detail": "Two have it.\x1b[2J"}], next_step="Use an id.",
        candidates=[{"id": "dreq_1", "name": "scans", "owner": "ann"}]))
    assert main(["do", "datarequest", "show", "scans"]) == 4
    assert capsys.readouterr().err.splitlines() == [
        "Error: It is datarequest.ambiguous. [datarequest.ambiguous]", "  /id: Two have it.\\x1b[2J", "  candidates: scans (dreq_1, owner ann)",
        "Next: Use an id."]


def test_parameters_are_checked_before_anything_is_sent(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["do", "datarequest", "create", "--query", "a:1", "--granularity", "both"]) == 2
    assert main(["do", "datainstance", "create"]) == 2
    said = capsys.readouterr().err
    assert "/granularity" in said and "[parameter.missing]" in said and "/dataref" in said
    assert told.asked == []


def test_nobody_there_is_unreachable_and_says_how_to_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["do", "datarequest", "list", "--url", "http://127.0.0.1:9"]) == 6
    assert "./edgemere up" in capsys.readouterr().err


def test_json_is_what_the_server_sent(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    sent = b'{"id":"x", "name":"\xc3\xa9",   "n": 1.50}'
    told.tell("GET do/datarequest/show", (200, sent))
    assert main(["do", "datarequest", "show", "x", "-o", "json"]) == 0
    assert capsys.readouterr().out == sent.decode() + "\n"


@pytest.mark.parametrize(("form", "expected"), [
    ("name", "scans\n"), ("jsonl", json.dumps(REQUEST, ensure_ascii=False) + "\n"),
])
def test_lists_have_forms_for_programs(told: Told, form: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    told.tell("GET do/datarequest/list", (200, {"items": [REQUEST], "next": None, "total": 1}))
    assert main(["do", "datarequest", "list", "-o", form]) == 0
    assert capsys.readouterr().out == expected


def test_a_table_in_a_pipe_is_plain_and_whole(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    long = {**REQUEST, "name": "n" * 150}
    told.tell("GET do/datarequest/list", (200, {"items": [REQUEST, long], "next": None, "total": 2}))
    assert main(["do", "datarequest", "list"]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["NAME", "STATE", "INSTANCES", "QUERY"] and "\x1b" not in head
    assert "owner:darren" in first and "n" * 150 in second


def test_a_further_page_is_announced_on_stderr(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    told.tell("GET do/datarequest/list", (200, {"items": [REQUEST], "next": "c1", "total": 7}))
    assert main(["do", "datarequest", "list"]) == 0
    assert "1 of 7" in (said := capsys.readouterr().err) and "--cursor c1" in said


def test_all_pages_come_in_one(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    told.tell("GET do/datarequest/list", (200, {"items": [REQUEST], "next": "c1", "total": 2}),
              (200, {"items": [{**REQUEST, "name": "b"}], "next": None, "total": 2}))
    assert main(["do", "datarequest", "list", "--all", "-o", "name"]) == 0
    assert capsys.readouterr().out == "scans\nb\n"
    assert told.asked[1]["query"]["cursor"] == "c1"


def test_wait_follows_the_operation_to_its_end(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    told.tell("POST do/datarequest/create", (202, REQUEST, {"Location": f"/edgemere/diml/dml/do/operation/show?id={OPERATION}"}))
    told.tell("GET do/operation/show", (200, {"id": OPERATION, "status": "running"}), (200, {"id": OPERATION, "status": "succeeded"}))
    told.tell("GET do/datarequest/show", (200, {**REQUEST, "state": "Satisfied"}))
    assert main(["do", "datarequest", "create", "--query", "owner:darren", "--wait", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "Satisfied"
    assert told.asked[0]["headers"]["prefer"] == "wait=30"
    assert [asked["words"] for asked in told.asked[1:]] == ["do/operation/show", "do/operation/show", "do/datarequest/show"]


def test_a_wait_that_is_over_shows_how_it_stands(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    told.tell("POST do/datarequest/create", (202, REQUEST, {"Location": f"/edgemere/diml/dml/do/operation/show?id={OPERATION}"}))
    told.tell("GET do/operation/show", (200, {"id": OPERATION, "status": "waiting", "message": "Nothing matches yet."}))
    told.tell("GET do/datarequest/show", (200, REQUEST))
    assert main(["do", "datarequest", "create", "--query", "a:1", "--wait=0.2", "-o", "name"]) == 0
    assert "Waits: Nothing matches yet." in capsys.readouterr().err


def test_the_time_that_the_server_holds_the_call_is_a_part_of_the_wait(told: Told) -> None:
    told.slow_s = 1.2
    told.tell("POST do/datarequest/create", (202, REQUEST, {"Location": f"/edgemere/diml/dml/do/operation/show?id={OPERATION}"}))
    told.tell("GET do/operation/show", (200, {"id": OPERATION, "status": "running"}))
    told.tell("GET do/datarequest/show", (200, REQUEST))
    assert main(["do", "datarequest", "create", "--query", "a:1", "--wait=1"]) == 0
    assert [asked["words"] for asked in told.asked[1:]] == ["do/operation/show", "do/datarequest/show"], "asked once how it stands, and no longer"


def test_what_a_reference_gave_is_put_together_when_its_operation_ends(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    reference = {"id": "dref_01JD3Z6K8Q4N5W7X9Y2B3C4D5E", "name": "training", "state": "Provisioning"}
    told.tell("POST do/datainstance/create", (202, {"reference": reference, "request": REQUEST, "items": []}, {"Location": f"/x?id={OPERATION}"}))
    told.tell("GET do/operation/show", (200, {"id": OPERATION, "status": "succeeded"}))
    told.tell("GET do/datareference/show", (200, {**reference, "state": "Provisioned"}))
    told.tell("GET do/datarequest/show", (200, {**REQUEST, "state": "Satisfied"}))
    told.tell("GET do/datainstance/list", (200, {"items": [{"id": "dins_1", "name": "training-0", "state": "Ready"}], "next": None, "total": 1}))
    assert main(["do", "datainstance", "create", "training", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["reference"]["state"], found["request"]["state"], found["items"][0]["name"]) == ("Provisioned", "Satisfied", "training-0")


@pytest.mark.parametrize("body", [{**REQUEST, "state": "Failed"}, {"reference": {"state": "FailedProvision"}, "request": {}, "items": []}])
def test_an_outcome_that_failed_exits_with_1(told: Told, body: dict[str, Any]) -> None:
    told.tell("POST do/datarequest/create", (201, body))
    assert main(["do", "datarequest", "create", "--query", "a:1", "--wait"]) == 1


def test_showing_something_failed_is_no_failure(told: Told) -> None:
    told.tell("GET do/datarequest/show", (200, {**REQUEST, "state": "Failed"}))
    assert main(["do", "datarequest", "show", "scans"]) == 0


def test_may_wait_is_the_parameter_and_wait_is_the_call(told: Told) -> None:
    told.tell("POST do/datarequest/create", (201, REQUEST))
    assert main(["do", "datarequest", "create", "--query", "a:1", "--may-wait", "--no-wait"]) == 0
    assert told.asked[0]["body"] == {"query": "a:1", "wait": True}
    assert told.asked[0]["headers"]["prefer"] == "wait=0"


def test_dry_run_sends_nothing_but_the_question_for_a_plan(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    told.tell("GET do/datarequest/plan", (200, {"sentence": "It would fail because nothing matches.", "hints": [
        {"sentence": "With a:2 instead of a:1 5 Data match.", "command": "edgemere do datarequest create --query a:2"}]}))
    assert main(["do", "datarequest", "create", "--query", "a:1", "--dry-run"]) == 0
    said = capsys.readouterr()
    assert "Would send: POST" in said.out and '"query": "a:1"' in said.out
    assert "It would fail because nothing matches." in said.out and "    edgemere do datarequest create --query a:2\n" in said.out
    assert [asked["words"] for asked in told.asked] == ["do/datarequest/plan"]


def test_curl_prints_and_does_nothing(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["do", "datainstance", "destroy", "it's", "--curl"]) == 0
    assert capsys.readouterr().out.startswith("curl -sS -X POST " + told.url)
    assert told.asked == []


def test_without_a_terminal_nothing_is_asked(told: Told) -> None:
    told.tell("POST do/datainstance/destroy", (200, {"id": "dins_1", "state": "Destroyed"}))
    assert main(["diml", "dml", "do", "datainstance", "destroy", "--attr1", "training-0"]) == 0
    assert told.asked[0]["body"] == {"attr1": "training-0"}


def test_an_empty_name_reaches_the_server_as_it_is(told: Told) -> None:
    told.tell("POST do/datainstance/destroy", problem(422, "datainstance.unnamed"))
    assert main(["do", "datainstance", "destroy", "--attr1", ""]) == 2
    assert told.asked[0]["body"] == {"attr1": ""}


def test_the_parents_shortcut_numbers_its_requests_and_shows_the_instances(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    told.tell("POST do/datarequest/create", problem(409, "datarequest.name_taken"), (201, {**REQUEST, "name": "external-8", "state": "Satisfied"}))
    told.tell("GET do/datarequest/list", (200, {"items": [{"name": "external-7"}, {"name": "external-x"}], "next": None, "total": 2}))
    told.tell("GET do/datainstance/list", (200, {"items": [{"id": "dins_1", "name": "external-8-0", "state": "Ready"}], "next": None, "total": 1}))
    assert main(["diml", "find", "--query", "owner:darren", "-o", "name"]) == 0
    assert capsys.readouterr().out == "external-8-0\n"
    assert [asked["body"]["name"] for asked in told.asked if asked["method"] == "POST"] == ["external", "external-8"]


def test_the_shortcut_explains_what_found_nothing(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    told.tell("POST do/datarequest/create", (201, {**REQUEST, "name": "external", "state": "Failed"}))
    told.tell("GET do/datarequest/explain", (200, {"request": {"name": "external", "state": "Failed"}, "sentence": "Nothing matches.",
                                                    "funnel": {"base": 61, "steps": [{"clause": "owner:darren", "remaining": 0}]}}))
    assert main(["diml", "find", "owner:darren"]) == 1
    assert "nothing is left here" in capsys.readouterr().err


def test_content_goes_into_a_file_and_on_from_where_it_ended(told: Told, tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    (tmp_path / "a.bin.part").write_bytes(b"0123")
    told.tell("GET do/datainstance/content", (206, b"456789"))
    assert main(["do", "datainstance", "content", "--id", "x", "-O", str(target)]) == 0
    assert target.read_bytes() == b"0123456789" and told.asked[0]["headers"]["range"] == "bytes=4-"
    assert not (tmp_path / "a.bin.part").exists()


def test_content_that_cannot_be_resumed_is_read_whole(told: Told, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(b"xxxx")
    told.tell("GET do/datainstance/content", (200, b"0123456789"))
    assert main(["do", "datainstance", "content", "x", "-O", str(tmp_path / "a.bin")]) == 0
    assert (tmp_path / "a.bin").read_bytes() == b"0123456789"


def test_the_stream_goes_on_from_the_last_message_until_the_server_stays_away(
        told: Told, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.live._RETRY_S", (0.01, 0.01))
    def frame(number: int) -> bytes:
        return f'id: {number}\nevent: datarequest.needed\ndata: {{"event": "datarequest.needed", "sequence": {number}}}\n\n'.encode()
    told.tell("GET do/event/stream", (200, b": hello\n\n" + frame(4) + frame(5)), (200, frame(6)), problem(503, "unavailable"))
    assert main(["do", "event", "stream", "--event", "datarequest.*"]) == 6
    said = capsys.readouterr()
    assert [json.loads(line)["sequence"] for line in said.out.splitlines()] == [4, 5, 6]
    assert [asked["headers"].get("last-event-id") for asked in told.asked[:3]] == [None, "5", "6"]
    assert "--after 6" in said.err


def test_a_view_is_shown_again_when_something_changes(told: Told, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.live._RETRY_S", ())
    monkeypatch.setattr("gateway.cli.watching._CALM_S", 0)
    told.tell("GET do/datarequest/show", (200, REQUEST), (200, {**REQUEST, "state": "Satisfied"}))
    told.tell("GET do/event/stream", (200, b'id: 1\ndata: {"event": "datarequest.satisfied"}\n\n'))
    assert main(["do", "datarequest", "show", "scans", "--watch", "-o", "jsonl"]) == 6
    assert [json.loads(line)["state"] for line in capsys.readouterr().out.splitlines()] == ["Needed", "Satisfied"]


def test_in_a_pipe_a_watched_list_says_each_change_in_a_line(
        told: Told, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.live._RETRY_S", ())
    monkeypatch.setattr("gateway.cli.watching._CALM_S", 0)
    other = {**REQUEST, "id": "dreq_2", "name": "other"}
    pages = [[REQUEST, other], [{**REQUEST, "state": "Satisfied"}, other], [other]]
    told.tell("GET do/datarequest/list", *((200, {"items": items, "next": None, "total": len(items)}) for items in pages))
    frame = b'data: {"event": "datarequest.updated"}\n\n'
    told.tell("GET do/event/stream", (200, b"id: 1\n" + frame + b"id: 2\n" + frame))
    assert main(["do", "datarequest", "list", "--watch"]) == 6
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [REQUEST["name"], "other", REQUEST["name"], "gone"]
    assert "Satisfied" in lines[2] and REQUEST["name"] in lines[3] and not any("\x1b" in line for line in lines)


def test_a_list_that_follows_shows_the_newest_and_goes_on_from_there(
        told: Told, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.live._RETRY_S", ())
    past = [{"event": "datarequest.needed", "sequence": number} for number in (3, 2)]
    told.tell("GET do/event/list", (200, {"items": past, "next": None, "total": 2}))
    told.tell("GET do/event/stream", (200, b'id: 4\ndata: {"event": "datarequest.selected", "sequence": 4}\n\n'))
    assert main(["do", "event", "list", "--follow", "--event", "datarequest.*"]) == 6
    assert [json.loads(line)["sequence"] for line in capsys.readouterr().out.splitlines()] == [2, 3, 4]
    assert told.asked[1]["query"] == {"event": "datarequest.*", "after": "3"}


def test_doctor_says_what_fails_and_what_to_do(told: Told, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    told.tell("GET health/ready", (200, {"ok": True, "services": {"requests": {"ok": True}}}))
    assert main(["doctor", "--data", str(tmp_path)]) == 0
    told.tell("GET health/ready", problem(503, "unavailable", detail="Not ready: catalog."))
    assert main(["doctor", "--data", str(tmp_path)]) == 1
    assert "Not ready: catalog." in capsys.readouterr().out
    monkeypatch.setenv("EDGEMERE_AMQP_URI", "amqp://guest:geheim@127.0.0.1:9/")
    assert main(["doctor", "--data", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "127.0.0.1:9" in said and "geheim" not in said
