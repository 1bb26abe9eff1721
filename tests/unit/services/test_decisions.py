"""What is decided about each data: the first rule that applies, else the wish, else it stays where it is."""
from __future__ import annotations

import pytest

from services.reservations import rules
from services.reservations.policy.cost import GIB, cost_of
from services.reservations.policy.deciding import Asking, Decided, Decider, Terms, decide
from services.reservations.policy.records import Composer
from services.reservations.policy.rules_file import NONE, load, read
from shared.kernel.errors import Invalid

LAB = {"id": "dsrc_1", "name": "lab", "location": "leeds", "adaptor": "file", "state": "Ready", "tags": {}}
VAULT = {"id": "dsrc_2", "name": "vault", "location": "york", "adaptor": "file", "state": "Ready", "writable": True, "tags": {}}
DATA = {"id": "data_1", "name": "a.nii", "path": "scans/a.nii", "size": 2 * GIB, "tags": {"owner": "darren", "licence": "closed"},
        "type": "file", "source": {"id": "dsrc_1", "name": "lab"}}


def asked(text: str = "", request: dict | None = None, source: dict = LAB, **terms) -> Asking:
    return Asking({"name": "r", "owner": "anna", **(request or {})}, read(text) if text else NONE, {source["id"]: source},
                  {"vault": VAULT, "lab": LAB}, Terms(**terms))


def decided(text: str, request: dict | None = None, **more) -> Decided:
    return Decider(asked(text, request, **more))(DATA)


def test_without_rules_and_wish_data_is_left_in_place():
    decision = decided("")
    assert (decision.action, decision.rule) == ("leave", "default")


def test_the_first_rule_that_applies_decides():
    text = """
    - {name: others, when: "data.owner:anna", action: reject}
    - {name: closed, when: "data.tags.licence:closed source.location:leeds", action: copy, target: vault, because: keep it near}
    - {name: all, when: {}, action: reject}
    """
    decision = decided(text)
    assert (decision.action, decision.target, decision.rule, decision.because) == ("copy", "vault", "closed", "keep it near")


def test_a_rule_overrules_the_wish_of_the_requester():
    assert decided("- {name: no, action: reject}", {"action": "copy", "target": "vault"}).action == "reject"


def test_a_wish_counts_where_no_rule_applies():
    decision = decided("- {name: no, when: 'data.size<1GB', action: reject}", {"action": "copy", "target": "vault"})
    assert (decision.action, decision.target, decision.rule) == ("copy", "vault", "request")


def test_a_copy_to_where_the_data_is_leaves_it_there():
    assert decided("- {name: c, action: copy, target: lab}").action == "leave"


def test_a_move_within_one_source_says_that_it_moves_nothing():
    decision = decided("- {name: m, action: move, target: lab}")
    assert decision.problem.code == "target_unusable" and "a move inside one source moves nothing" in decision.problem.detail


def test_a_rule_may_ask_for_the_request_the_owner_and_the_target():
    text = "- {name: c, when: 'request.workload:training target.location:york owner:anna', action: copy}"
    assert decided(text, {"workload": "training", "target": "vault"}).target == "vault"
    assert decided(text, {"workload": "viewing"}).action == "leave"
    assert decided(text, {"workload": "training", "target": "vault", "owner": "ben"}).action == "leave"


def test_a_rule_that_is_not_enforced_is_noted_and_the_next_one_decides():
    text = "- {name: dry, action: reject, enforce: false}\n- {name: wet, when: 'data.size>1GB', action: leave}"
    decision = decided(text)
    assert (decision.action, decision.rule, decision.dry) == ("leave", "wet", ("dry",))
    dry, wet = Composer(asked(text)).record(DATA)["tried"]
    assert dry == {"rule": "dry", "matched": True, "clauses": [], "enforce": False, "would": "reject"}
    assert wet["clauses"] == [{"clause": "data.size>1GB", "field": "data.size", "value": 2 * GIB, "holds": True}]


@pytest.mark.parametrize(("text", "place", "at"), [
    ("- {name: a, acton: leave}", "/rules/0/acton", (1, 13)),
    ("- {name: a, action: lieve}", "/rules/0/action", (1, 13)),
    ("- {name: a, when: {}}", "/rules/0", (1, 3)),
    ("- {name: a, when: 'data.size>1', action: leave}\n- {name: a, action: copy}", "/rules/1/name", (2, 4)),
    ("- name: a\n  when: data.size>1 date.size>1\n  action: leave", "/rules/0/when", (2, 21)),
    ("- name: a\n  when: 'source.loction:x'\n  action: leave", "/rules/0/when", (2, 10)),
    ("- {name: a, when: {data.size: {$gte2: 1}}, action: leave}", "/rules/0/when/data.size/$gte2", (1, 32)),
    ("- name: a\n  when: {data.sizee: 7}\n  action: leave", "/rules/0/when/data.sizee", (2, 10)),
    ("- {action: leave, target: vault}", "/rules/0/target", (1, 19)),
    ("- {action: leave, enforce: perhaps}", "/rules/0/enforce", (1, 19)),
    ("- {name: default, action: leave}", "/rules/0/name", (1, 4)),
    ("- 17", "/rules/0", (1, 3)),
    ("rules: {}", "/rules", (1, 1)),
    ("ruls: []", "/ruls", (1, 1)),
    ("- {name: [", "line 1", (1, 11)),
    ("- {name: a, name: b, action: leave}", "/0/name", (1, 13)),
    ("- &a {action: leave}\n- *a", "line 2", (2, 3)),
])
def test_a_policy_file_is_refused_whole_with_the_place_of_the_mistake(text, place, at):
    with pytest.raises(Invalid) as refused:
        read(text)
    assert refused.value.code == "policy.invalid"
    assert refused.value.detail.count(f"line {at[0]}, column {at[1]}") == 1, refused.value.detail
    found = [error for error in refused.value.errors if error["pointer"].startswith(place)]
    assert found and (found[0]["line"], found[0]["column"]) == at, refused.value.errors
    assert f"line {at[0]}, column {at[1]}" in refused.value.detail


@pytest.mark.parametrize(("text", "said"), [
    ("- {name: a, acton: leave}", "Did you mean 'action'?"),
    ("- {name: a, action: lieve}", "Did you mean 'leave'?"),
    ("- {when: 'source.loction:x', action: leave}", "Did you mean 'location'?"),
    ("- {when: {data.siz: 1}, action: leave}", "Did you mean 'size'?"),
    ("- {when: {data.size: {$gtt: 1}}, action: leave}", "Did you mean '$gt'?"),
])
def test_a_slip_is_answered_with_what_was_probably_meant(text, said):
    with pytest.raises(Invalid) as refused:
        read(text)
    assert said in " ".join(error["detail"] for error in refused.value.errors)


@pytest.mark.parametrize(("text", "said"), [
    ("- {name: a, action: leave}\n- {name: b, when: 'data.size>1', action: reject}", "applies to everything and ends the search"),
    ("- {name: a, when: {data.owner: x}, action: copy}\n- {name: b, when: 'data.owner:x', action: reject}",
     "for the same condition one says copy, the other reject"),
    ("- {name: a, when: 'data.owner:x', action: copy}\n- {name: b, when: 'data.owner:x data.size>3', action: reject}", "is never reached"),
    ("- {name: a, when: 'data.size>5 data.size<3', action: reject}", "data.size cannot be more than 5 and less than 3"),
    ("- {name: a, when: 'data.type:file data.type:dir', action: reject}", "cannot be both 'file' and 'dir'"),
])
def test_a_policy_that_contradicts_itself_is_refused(text, said):
    with pytest.raises(Invalid, match=said):
        read(text)


@pytest.mark.parametrize("text", [
    "rules: []",
    "- {name: a, action: leave, enforce: false}\n- {name: b, action: reject}",
    "- {name: a, when: 'data.keyword:x data.keyword:y', action: reject}",
    "- {name: a, when: 'target.location:york', action: copy, target: vault}\n- {name: b, when: 'target.location:york', action: copy, target: lab}",
    "- {when: {data.tags.sizes: 3}, action: leave}",
    "- {when: {data.modified_at: {$gt: 2020-01-01}}, action: leave}",
])
def test_what_only_looks_like_a_contradiction_is_taken(text):
    read(text)


def test_every_mistake_of_a_file_is_named_at_once():
    with pytest.raises(Invalid) as refused:
        read("- {action: lieve}\n- {actions: leave}\n- {when: 'nothing.x:1', action: leave}")
    assert {error["line"] for error in refused.value.errors} == {1, 2, 3}


def test_a_policy_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(Invalid, match=r"nowhere\.yaml"):
        load(str(tmp_path / "nowhere.yaml"))


def test_the_revision_follows_the_text():
    assert read("- {action: leave}").revision != read("- {action: reject}").revision
    assert read("- {action: leave}").revision == read("- {action: leave}").revision


def test_cost_is_the_weighed_sum_of_its_parts_and_grows_with_a_copy():
    source = {"cost": {"per_gib_out": 2, "per_request": 1, "latency_ms": 500, "mib_per_s": 1024}}
    target = {"cost": {"per_gib_in": 3, "per_gib_month": 4}}
    left, parts = cost_of("leave", 2 * GIB, source, None, None, {})
    assert parts == {"requests": 1.0, "transfer": 4.0, "time": 2.5} and left == 7.5
    copied, parts = cost_of("copy", 2 * GIB, source, target, 15 * 86400, {"time": 0, "storage": 10})
    assert parts == {"requests": 1.0, "transfer": 10.0, "storage": 40.0, "time": 0.0} and copied == 51.0


def test_a_copy_pays_off_when_it_is_read_often():
    source, target = {"cost": {"per_gib_out": 1}}, {"cost": {"per_gib_month": 2}}
    once = [cost_of(action, GIB, source, target, None, {}, reads=1)[0] for action in ("leave", "copy")]
    often = [cost_of(action, GIB, source, target, None, {}, reads=10)[0] for action in ("leave", "copy")]
    assert once == [1, 3] and often == [10, 3]


def test_size_and_prices_that_are_not_known_count_as_nothing():
    assert cost_of("copy", None, {}, None, None, {})[0] == 0


def candidates(*sizes: int) -> list[dict]:
    return [{"id": f"data_{n}", "name": f"{n}", "size": size, "source": {"id": "s", "name": "s"}} for n, size in enumerate(sizes)]


@pytest.mark.parametrize(("select", "expected"), [
    ({}, ["data_0", "data_1", "data_2"]),
    ({"mode": "first"}, ["data_0"]),
    ({"mode": "best"}, ["data_1"]),
    ({"mode": "best", "count": 2}, ["data_1", "data_2"]),
    ({"count": 2}, ["data_0", "data_1"]),
])
def test_a_request_takes_what_its_selection_says(select, expected):
    source = {"id": "s", "name": "s", "cost": {"per_gib_out": 1}}
    outcome = decide(candidates(3 * GIB, 1 * GIB, 2 * GIB), asked(request={"select": select}, source=source))
    assert [one.data_id for one in outcome.decided if one.status == "chosen"] == expected


def test_a_repeated_step_makes_the_same_reservations_and_another_attempt_others():
    request = {"id": "dreq_01JD3Z6K8Q4N5W7X9Y2B3C4D5E", "name": "r", "attempt": 1, "owner": "o"}
    once, again = (rules.reservation_row(request, DATA, decided(""), None)["id"] for _ in range(2))
    assert once == again != rules.reservation_row({**request, "attempt": 2}, DATA, decided(""), None)["id"]


def test_a_broken_data_is_replaced_by_itself_or_by_the_same_bytes_elsewhere():
    missing = {"data": "data_1", "checksum": "sha256:aa"}
    itself, same = {"id": "data_1", "checksum": "sha256:bb"}, {"id": "data_2", "checksum": "sha256:aa"}
    other = {"id": "data_3", "checksum": "sha256:bb"}
    assert rules.stand_in(missing, [other, same, itself], {}) is itself
    assert rules.stand_in(missing, [other, same], {}) is same
    assert rules.stand_in(missing, [other], {}) is None
    assert rules.stand_in({"data": "data_9", "checksum": None}, [{"id": "data_2", "checksum": None}], {}) is None


@pytest.mark.parametrize("select", [{"count": 2}, {"mode": "first"}, {"mode": "best"}])
def test_a_request_that_took_some_of_what_matches_takes_the_next(select):
    other = {"id": "data_3", "checksum": None}
    assert rules.stand_in({"data": "data_1", "checksum": None}, [other], select) is other
