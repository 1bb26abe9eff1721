"""What is decided about each data: the first rule that applies, else the wish, else it stays where it is."""
from __future__ import annotations

import pytest

from services.reservations import rules
from services.reservations.policy.cost import GIB, cost_of
from services.reservations.policy.rules_file import NONE, load, read
from shared.kernel.errors import Invalid

DATA = {"id": "data_1", "name": "a.nii", "path": "scans/a.nii", "size": 2 * GIB, "tags": {"owner": "darren", "licence": "closed"}}
LAB = {"id": "dsrc_1", "name": "lab", "location": "leeds"}
VAULT = {"id": "dsrc_2", "name": "vault", "location": "york"}


def decided(text: str, request: dict | None = None, source: dict = LAB, default: str | None = None):
    return rules.decide(read(text), {"name": "r", **(request or {})}, DATA, source, VAULT, default)


def test_without_rules_and_wish_data_is_left_in_place():
    decision = rules.decide(NONE, {}, DATA, LAB, None, None)
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


def test_a_rule_may_ask_for_the_request_and_the_target():
    text = "- {name: c, when: 'request.workload:training target.location:york', action: copy}"
    assert decided(text, {"workload": "training", "target": "vault"}).target == "vault"
    assert decided(text, {"workload": "viewing"}).action == "leave"


@pytest.mark.parametrize(("text", "place"), [
    ("- {name: a, acton: leave}", "/rules/0/acton"),
    ("- {name: a, action: lieve}", "/rules/0/action"),
    ("- {name: a, action: mount}", "/rules/0/action"),
    ("- {name: a, action: leave}\n- {name: a, action: copy}", "/rules/1/name"),
    ("- {name: a, when: 'date.size>1', action: leave}", "/rules/0/when"),
    ("- {name: a, when: {data.size: {$gte2: 1}}, action: leave}", "/rules/0/when"),
    ("- 17", "/rules/0"),
    ("rules: {}", "/rules"),
    ("- {name: [", "line 1"),
])
def test_a_policy_file_is_refused_whole_with_the_place_of_the_mistake(text, place):
    with pytest.raises(Invalid) as refused:
        read(text)
    assert refused.value.code == "policy.invalid"
    assert any(error["pointer"].startswith(place) for error in refused.value.errors), refused.value.errors


def test_a_policy_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(Invalid, match="nowhere.yaml"):
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


def test_size_and_prices_that_are_not_known_count_as_nothing():
    assert cost_of("copy", None, {}, None, None, {})[0] == 0


def candidates(*sizes: int) -> list[dict]:
    return [{"id": f"data_{n}", "size": size, "source": {"id": "s", "name": "s"}} for n, size in enumerate(sizes)]


@pytest.mark.parametrize(("select", "expected"), [
    ({}, ["data_0", "data_1", "data_2"]),
    ({"mode": "first"}, ["data_0"]),
    ({"mode": "best"}, ["data_1"]),
    ({"mode": "best", "count": 2}, ["data_1", "data_2"]),
    ({"count": 2}, ["data_0", "data_1"]),
])
def test_a_request_takes_what_its_selection_says(select, expected):
    chosen = rules.choose(candidates(3 * GIB, 1 * GIB, 2 * GIB), select, {"s": {"cost": {"per_gib_out": 1}}}, {})
    assert [data["id"] for data in chosen] == expected


def test_a_repeated_step_makes_the_same_reservations_and_another_attempt_others():
    request = {"id": "dreq_01JD3Z6K8Q4N5W7X9Y2B3C4D5E", "name": "r", "attempt": 1, "owner": "o"}
    data = {**DATA, "source": {"id": "dsrc_1", "name": "lab"}}
    once, again = (rules.reservation_row(request, data, LAB, {})["id"] for _ in range(2))
    assert once == again != rules.reservation_row({**request, "attempt": 2}, data, LAB, {})["id"]


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
