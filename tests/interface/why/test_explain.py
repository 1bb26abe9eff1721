"""An explanation answers for any Data, at any time, and stays what it was."""
from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from shared.kernel import clock
from shared.kernel.errors import Conflict, NotFound
from tests.interface.why.test_plan import RULES
from tests.support.house import House


@pytest.fixture
def filled(house: House) -> House:
    house.rules(RULES)
    house.source("scratch", writable=True)
    house.source("lab", {"a.csv": {"size": 100, "tags": {"kind": "scan", "n": 1}, "checksum": "sha256:a"},
                         "b.csv": {"size": 200, "tags": {"kind": "scan", "n": 2}, "checksum": "sha256:b"},
                         "c.csv": {"size": 300, "tags": {"kind": "table"}}})
    house.source("far", {"copy/a.csv": {"size": 100, "tags": {"kind": "scan", "n": 1}, "checksum": "sha256:a"}},
                 cost={"per_request": 3})
    house.source("vault", {"s.csv": {"size": 1, "tags": {"kind": "scan", "secret": True}}})
    return house


def asked(house: House, **what: Any) -> dict[str, Any]:
    made = house.call("requests", "create", **what)
    try:
        return house.call("reservations", "evaluate", request=made["id"])
    except Conflict:
        return house.call("requests", "show", id=made["id"])


def why_not(house: House, request: dict[str, Any], data: str) -> dict[str, Any]:
    return house.call("requests", "explain", id=request["id"], why_not=data)["why_not"]


def test_why_not_names_clause_rule_replica_or_source(filled: House) -> None:
    request = asked(filled, query="kind:scan n<5", action="leave")
    assert why_not(filled, request, "lab/a.csv")["answer"] == "used"
    other = why_not(filled, request, "c.csv")
    assert other["answer"] == "clause"
    assert {clause["clause"]: (clause["value"], clause["holds"]) for clause in other["clauses"]} == {
        "kind:scan": ("table", False), "n<5": (None, False)}
    assert other["sentence"].startswith("'c.csv' at 'lab' does not match: ")
    assert "kind:scan does not hold, kind is table" in other["sentence"] and "n<5 does not hold, n is not there" in other["sentence"]
    replica = why_not(filled, request, "copy/a.csv")
    assert replica["answer"] == "standby" and replica["beaten_by"]["source"]["name"] == "lab" and replica["beaten_by"]["by"] == pytest.approx(3)
    assert "'a.csv' at 'lab' is better by 3" in replica["sentence"]
    refused = asked(filled, query="kind:scan", action="leave", select={"minimum": 1})
    rejected = why_not(filled, refused, "s.csv")
    assert rejected["answer"] == "rule" and rejected["sentence"] == "'s.csv' is rejected by the rule 'secret': Secret data is not given away."
    assert [tried["rule"] for tried in rejected["decision"]["tried"]] == ["secret"]
    filled.call("catalog", "datasource_suspend", id="vault")
    third = asked(filled, query="kind:scan", action="leave")
    assert why_not(filled, third, "s.csv")["answer"] == "source"


def test_why_not_of_what_the_selection_left_out_or_what_came_later(filled: House) -> None:
    request = asked(filled, query="kind:scan n<5 source:lab", action="leave", select={"mode": "best", "count": 1})
    lost = {"a.csv", "b.csv"} - {request["reservations"][0]["name"]}
    left = why_not(filled, request, f"lab/{lost.pop()}")
    assert left["answer"] == "selection" and left["beaten_by"]["by"] >= 0
    filled.source("new", {"d.csv": {"size": 1, "tags": {"kind": "scan", "n": 1}}})
    wide = asked(filled, query="kind:scan n<5", action="leave")
    filled.source("newer", {"e.csv": {"size": 1, "tags": {"kind": "scan", "n": 1}}})
    assert why_not(filled, wide, "d.csv")["answer"] == "used"
    assert why_not(filled, wide, "e.csv")["answer"] == "later"
    with pytest.raises(NotFound) as nobody:
        why_not(filled, wide, "nobody.csv")
    assert nobody.value.code == "data.not_found"


def test_why_not_asks_which_one_is_meant_where_a_path_is_the_name_of_another_too(filled: House) -> None:
    filled.source("deep", {"below/b.csv": {"size": 2, "tags": {"kind": "scan"}}})
    request = asked(filled, query="kind:scan n<5 source:lab", action="leave")
    with pytest.raises(Conflict) as ambiguous:
        why_not(filled, request, "b.csv")
    assert ambiguous.value.code == "data.ambiguous" and {one["path"] for one in ambiguous.value.extra["candidates"]} == {"b.csv", "below/b.csv"}
    assert why_not(filled, request, "lab/b.csv")["answer"] == "used"
    other = why_not(filled, request, "below/b.csv")
    assert other["sentence"].endswith("source:lab does not hold, source is deep."), other["sentence"]


def test_why_not_of_a_request_that_ended_before_it_reserved_anything_says_so(filled: House) -> None:
    filled.source("one", {"x.bin": {"tags": {"kind": "x"}}, "y.bin": {"tags": {"kind": "x"}}}, capacity={"readers": 1})
    request = asked(filled, query="kind:x", action="leave")
    assert request["state"] == "Failed"
    assert why_not(filled, request, "x.bin")["sentence"] == "'x.bin' matches; the request ended before anything was reserved for it."


def test_a_table_that_is_mounted_is_read_through_the_server_and_its_record_says_so(filled: House) -> None:
    filled.source("db", {"t.parquet": {"type": "table", "size": None}}, adaptor="sql")
    request = asked(filled, query="source:db", action="mount")
    item, = filled.call("requests", "explain", id=request["id"])["items"]
    mount = item["decision"]["scores"]["mount"]
    assert item["action"] == "mount" and mount["possible"] and mount["via"] == "read_through", mount


def test_what_the_query_found_is_told_of_a_request_that_the_policies_end(filled: House) -> None:
    request = asked(filled, query="kind:scan secret:true", name="refused")
    assert request["reason"]["code"] == "rejected_by_policy"
    frame = filled.call("requests", "explain", id="refused")
    assert [(step["clause"], step["remaining"]) for step in frame["funnel"]["steps"]] == [("kind:scan", 4), ("secret:true", 1)]
    assert frame["refusal"]["can_wait"] is False


def test_a_hint_for_a_member_of_a_group_asks_for_the_group_again_with_that_member_loosened(filled: House) -> None:
    asked(filled, name="both", group={"scans": "kind:scan n<5", "maps": "kind:tabel"}, select={"minimum": 1}, action="leave")
    frame = filled.call("requests", "explain", id="both")
    assert frame["sentence"] == "Request 'both' failed because nothing matches for member 'maps': the clause kind:tabel leaves none."
    first, everything = frame["hints"][0], frame["hints"][-1]
    assert (first["to"], everything["line"]) == ("kind:table", "")
    for hint in (first, everything):
        words = dict(zip(*[iter(shlex.split(hint["command"])[4:])] * 2, strict=True))
        assert words["--select"] == '{"minimum": 1}' and words["--action"] == "leave"
        wanted = json.loads(words["--group"])
        again = filled.call("requests", "plan", group=wanted, select=json.loads(words["--select"]), action="leave")
        assert wanted["scans"]["query"] and again["members"]["maps"]["total"] == hint["matches"], hint


def test_a_frame_stays_what_it_was_whatever_comes_later(filled: House) -> None:
    failed = asked(filled, query="kind:scam", name="mine")
    first = filled.call("requests", "explain", id="mine")
    assert first["frozen"] and first["request"]["state"] == "Failed" and first["hints"][0]["to"] == "kind:scan"
    assert first["sentence"] == "Request 'mine' failed because nothing matches: the clause kind:scam leaves none."
    filled.call("requests", "retry", id="mine")
    filled.source("late", {"z.csv": {"tags": {"kind": "scam"}}})
    filled.call("reservations", "evaluate", request="mine")
    now = filled.call("requests", "explain", id="mine")
    assert now["request"]["state"] == "Evaluated" and not now["frozen"] and now["items"][0]["reservation"]["name"] == "z.csv"
    assert [one["state"] for one in now["attempts"]] == ["Failed", "Evaluated"]
    again = filled.call("requests", "explain", id="mine", at=failed["version"])
    for member in ("sentence", "funnel", "hints", "timeline", "frozen", "permalink"):
        assert again[member] == first[member], member
    assert again["request"]["state"] == "Failed" and again["reservations"]["total"] == 0
    assert again == filled.call("requests", "explain", id="mine", attempt=1)
    with pytest.raises(NotFound) as none:
        filled.call("requests", "explain", id="mine", at=99)
    assert none.value.code == "explanation.not_found"


def test_reservations_are_paged_or_one_is_picked_each_with_its_decision(filled: House) -> None:
    filled.source("many", {f"m{n}.csv": {"tags": {"kind": "many"}} for n in range(25)})
    request = asked(filled, query="kind:many")
    first = filled.call("requests", "explain", id=request["id"])
    second = filled.call("requests", "explain", id=request["id"], cursor=first["next"])
    assert (first["total"], len(first["items"]), len(second["items"]), second["next"]) == (25, 20, 5, None)
    counts = first["reservations"]
    assert counts.keys() == {"total", "attempt", "by_state", "by_action", "by_rule", "cost", "costs"}, "each thing is told in one place"
    assert (counts["by_state"], counts["by_action"], counts["total"]) == ({"Confirmed": 25}, {"leave": 25}, 25)
    assert counts["costs"] == [{"state": "Confirmed", "action": "leave", "count": 25, "cost": first["cost"]}] and counts["cost"] == first["cost"]
    one = filled.call("requests", "explain", id=request["id"], reservation="m7.csv")
    assert [item["reservation"]["name"] for item in one["items"]] == ["m7.csv"] and one["items"][0]["decision"]["tried"]
    with pytest.raises(NotFound):
        filled.call("requests", "explain", id=request["id"], reservation="nobody")


def test_what_should_be_ready_by_now_and_is_not_has_no_time_left_that_anybody_knows(filled: House) -> None:
    asked(filled, query="kind:scan n<5", name="due", action="copy", target="scratch")
    frame = filled.call("requests", "explain", id="due")
    assert frame["request"]["state"] == "Evaluated" and frame["request"]["expected_at"] < clock.stamp() and frame["ready_in_s"] is None


def test_the_next_step_of_a_refusal_can_be_typed_whatever_the_name(filled: House) -> None:
    asked(filled, query="kind:scam", name="two words")
    with pytest.raises(Conflict) as over:
        filled.call("requests", "cancel", id="two words")
    assert over.value.next_step == "Start a new attempt: edgemere do datarequest retry --id 'two words'"
    with pytest.raises(Conflict) as nothing:
        filled.call("requests", "lock", id="two words")
    assert nothing.value.next_step == over.value.next_step


def test_a_destroyed_request_is_explained_all_the_same(filled: House) -> None:
    asked(filled, query="kind:scam", name="gone")
    filled.call("requests", "destroy", id="gone")
    frame = filled.call("requests", "explain", id="gone")
    assert frame["frozen"] and frame["funnel"]["steps"][0]["remaining"] == 0


def assert_same_frame(plan: Any, explained: Any, place: str = "") -> None:
    """Wherever both have a value it has the same members; what is null, empty or absent in one says nothing of the other's."""
    if isinstance(plan, dict) and isinstance(explained, dict):
        if place in KEYED_BY_NAMES:
            return
        assert set(plan) == set(explained), place
        for name in plan:
            assert_same_frame(plan[name], explained[name], f"{place}/{name}")
    elif isinstance(plan, list) and isinstance(explained, list) and plan and explained:
        assert_same_frame(plan[0], explained[0], f"{place}/0")


# Maps from names that people or rules gave, or records that are the same object in both.
KEYED_BY_NAMES = ("/counts/by_action", "/counts/by_rule", "/request/query", "/request/labels")


@pytest.mark.parametrize("what", [
    {"query": "kind:scan n<5", "action": "copy", "target": "scratch", "name": "mine", "labels": {"for": "ada"}},
    {"query": "kind:scan", "action": "leave", "select": {"minimum": 1}},
    {"query": "kind:scan source:far", "wait": True, "lifetime": "PT1H"},
    {"query": "kind:scam"}, {"query": "kind:scam", "wait": True},
    {"group": {"scans": "kind:scan n<5", "tables": "kind:table"}},
], ids=["copied", "one rejected", "left", "fails", "waits", "a group"])
def test_a_plan_and_the_explanation_of_what_then_happens_are_one_frame(filled: House, what: dict[str, Any]) -> None:
    plan = filled.call("requests", "plan", **what)
    explained = filled.call("requests", "explain", id=asked(filled, **what)["id"])
    assert list(plan) == list(explained), "the same members in the same order"
    for frame in (plan, explained):
        # Candidates come with what is chosen first, reservations in the order of their ids.
        frame["items"].sort(key=lambda item: item["data"]["id"])
    assert_same_frame(plan, explained)
    assert plan["refusal"] == explained["refusal"]
    for same in ("funnel", "members", "hints", "counts", "cost", "cost_parts", "bytes", "policy", "total"):
        assert plan[same] == explained[same], same
    one = {item["data"]["id"]: item for item in plan["items"]}
    assert one.keys() == {item["data"]["id"] for item in explained["items"]}
    for item in explained["items"]:
        differ = {name for name in item if item[name] != one[item["data"]["id"]][name]}
        assert differ <= {"reservation", "decision"} and item["reservation"]["name"], differ


def test_a_frame_that_stays_says_nothing_that_is_true_for_a_moment_alone(filled: House) -> None:
    filled.configured(budgets={"*": {"period": "30d", "bytes": 1_000_000}})
    over, waits = asked(filled, query="kind:scam"), asked(filled, query="kind:scam", wait=True, needed_by="PT2H")
    frame = filled.call("requests", "explain", id=over["id"])
    assert frame["frozen"] and frame["budget"] is None and frame["ready_in_s"] is None
    now = filled.call("requests", "explain", id=waits["id"])
    assert not now["frozen"] and now["budget"]["bytes"]["remains"] == 1_000_000
    assert now["budget"].keys() == filled.call("requests", "plan", query="kind:scan")["budget"].keys()
