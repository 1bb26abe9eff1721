"""A plan writes nothing, and is what then happens when nothing changes in between."""
from __future__ import annotations

from typing import Any

import pytest

from shared.kernel.errors import Conflict, EdgemereError, Invalid, Malformed, NotFound
from tests.support.house import House

RULES = """
- {name: secret, when: {data.tags.secret: true}, action: reject, because: Secret data is not given away.}
- {name: near, when: {source.name: far, request.action: {$ne: leave}}, action: copy, target: scratch, because: Far data is brought near.}
"""


@pytest.fixture
def filled(house: House) -> House:
    house.rules(RULES)
    house.source("scratch", writable=True, capacity={"bytes": 10_000})
    house.source("lab", {f"a{n}.csv": {"size": 100 + n, "tags": {"kind": "scan", "n": n}, "checksum": f"sha256:{n}"} for n in range(4)},
                 cost={"per_request": 0.1})
    house.source("far", {f"b{n}.csv": {"size": 200 + n, "tags": {"kind": "scan", "n": n}, "checksum": f"sha256:{n}"} for n in range(2, 6)},
                 cost={"per_gib_out": 10.0, "latency_ms": 50})
    house.source("vault", {"s.csv": {"size": 1, "tags": {"kind": "scan", "secret": True}}}, capacity={"readers": 1})
    return house


def happened(house: House, **asked: Any) -> tuple[dict[str, Any], dict[str, tuple[Any, ...]]]:
    """What became of a request: itself, and each of its reservations by the name of source and data."""
    made = house.call("requests", "create", **asked)
    try:
        house.call("reservations", "evaluate", request=made["id"])
    except Conflict:
        pass
    items = house.call("reservations", "list", request=made["id"], limit=1000)["items"]
    became = {}
    for item in items:
        status = "chosen" if item["state"] == "Confirmed" else "standby" if item["standby"] else \
            {"rejected_by_policy": "rejected"}.get((item["reason"] or {}).get("code"), "left_out")
        became[f"{item['source']['name']}/{item['name']}"] = (
            status, item["action"], item["target"] and item["target"]["name"], item["cost"], item["rule"])
    return house.call("requests", "show", id=made["id"]), became


def planned(plan: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    return {f"{item['source']['name']}/{item['data']['name']}": (
        item["status"], item["action"], item["target"] and item["target"]["name"], item["cost"], item["rule"]) for item in plan["items"]}


ASKED = [
    {"query": "kind:scan"},
    {"query": "kind:scan", "action": "leave"},
    {"query": "kind:scan n<3", "action": "copy", "target": "scratch"},
    {"query": "kind:scan", "select": {"mode": "best", "count": 2}},
    {"query": "kind:scan", "select": {"distinct": "n", "minimum": 3}},
    {"query": "kind:scan", "select": {"together": "source", "count": 4}},
    {"query": "kind:scan", "select": {"max_bytes": 50, "minimum": 5}},
    {"group": {"small": "kind:scan n<2", "far": {"query": "kind:scan source:far"}}},
    {"group": {"small": "kind:scan n<2", "none": "kind:nothing"}},
    {"query": "kind:scan", "action": "auto", "target": "scratch"},
    {"query": "secret:true"},
    {"query": "kind:scam"},
    {"query": "kind:scan", "select": {"minimum": 50}},
]


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_a_plan_writes_nothing_and_is_what_then_happens(filled: House, asked: dict[str, Any]) -> None:
    before = filled.everything()
    plan = filled.call("requests", "plan", **asked, limit=200)
    assert filled.everything() == before
    request, became = happened(filled, **asked)
    if plan["refusal"]:
        assert (plan["outcome"], request["state"]) == ("Failed", "Failed")
        assert (plan["refusal"]["code"], plan["refusal"]["message"]) == (request["reason"]["code"], request["message"])
        return
    assert (plan["outcome"], request["state"]) == ("Satisfied", "Evaluated") and request["cost"] == pytest.approx(plan["cost"])
    expected = planned(plan)
    # What is taken or stands by has a reservation; what has one was planned with the same decision.
    assert {name for name, one in expected.items() if one[0] in ("chosen", "standby")} <= set(became)
    for name, one in became.items():
        assert one == expected[name], name
    assert plan["counts"]["chosen"] == sum(one[0] == "chosen" for one in became.values())


def test_a_plan_says_how_much_room_is_missing_and_claims_none_of_it(filled: House) -> None:
    asked = {"query": "kind:scan source:far", "action": "copy", "target": "scratch"}
    filled.source("tiny", writable=True, capacity={"bytes": 500})
    plan = filled.call("requests", "plan", **{**asked, "action": "copy", "target": "tiny"})
    assert plan["refusal"] is None  # the rule 'near' takes it to scratch
    filled.rules("[]")
    plan = filled.call("requests", "plan", **{**asked, "target": "tiny"})
    assert plan["outcome"] == "Failed" and plan["refusal"]["code"] == "no_capacity"
    room = plan["capacity"]["rooms"][0]
    assert (room["source"]["name"], room["kind"], room["wanted"], room["free"], room["missing"], room["fits"]) == \
        ("tiny", "bytes", 814, 500, 314, False)
    assert "would fail because the source 'tiny' has no room" in plan["sentence"]
    waits = filled.call("requests", "plan", query="kind:scan source:far", action="copy", target="scratch", wait=True)
    assert waits["outcome"] == "Satisfied"


def test_a_plan_counts_more_bytes_than_one_claim_can_have(filled: House) -> None:
    filled.rules("[]")
    filled.source("deep", {f"d/{n}": {"size": 2**61, "tags": {"kind": "deep"}} for n in range(3)})
    filled.source("tiny", writable=True, capacity={"bytes": 500})
    plan = filled.call("requests", "plan", query="kind:deep", action="copy", target="tiny")
    assert [(room["kind"], room["wanted"]) for room in plan["capacity"]["rooms"] if room["source"]["name"] == "tiny"] == [("bytes", 3 * 2**61)]
    assert plan["refusal"]["code"] == "no_capacity"


def test_a_plan_knows_how_fast_a_source_may_be_read(house: House) -> None:
    house.source("scratch", writable=True)
    house.source("spared", {"long.dat": {"size": 100 * 1024**2, "tags": {"kind": "film"}}}, limits={"mib_per_s": 5})
    plan = house.call("requests", "plan", query="kind:film", action="copy", target="scratch")
    assert 20 <= plan["ready_in_s"] <= 30


def test_a_plan_of_nothing_says_what_to_change(filled: House) -> None:
    plan = filled.call("requests", "plan", query="kind:scam n>=2", action="leave")
    assert plan["outcome"] == "Failed" and plan["refusal"]["code"] == "no_match"
    first = plan["hints"][0]
    assert (first["to"], first["matches"]) == ("kind:scan", 6)
    assert first["command"] == "edgemere do datarequest create --query 'kind:scan n>=2' --action leave"
    assert [step["remaining"] for step in plan["funnel"]["steps"]] == [0, 0]


def test_a_plan_is_paged_and_each_candidate_has_its_decision_record(filled: House) -> None:
    first = filled.call("requests", "plan", query="kind:scan", limit=4)
    second = filled.call("requests", "plan", query="kind:scan", limit=4, cursor=first["next"])
    third = filled.call("requests", "plan", query="kind:scan", limit=4, cursor=second["next"])
    items = first["items"] + second["items"] + third["items"]
    assert first["total"] == len(items) == 9 and third["next"] is None and len({item["data"]["id"] for item in items}) == 9
    assert [item["status"] for item in items] == sorted((item["status"] for item in items), key=["chosen", "standby", "rejected"].index)
    copied = next(item for item in items if item["action"] == "copy")
    assert [(tried["rule"], tried["matched"]) for tried in copied["decision"]["tried"]] == [("secret", False), ("near", True)]
    assert set(copied["decision"]["scores"]) == {"leave", "mount", "copy", "move"}
    assert copied["decision"]["scores"]["mount"]["via"] == "link"
    filled.source("web", {"a.csv": {"tags": {"kind": "remote"}}}, adaptor="http")
    item, = filled.call("requests", "plan", query="kind:remote")["items"]
    assert item["decision"]["scores"]["mount"]["via"] == "read_through", "said before anything is asked for"


@pytest.mark.parametrize(("asked", "kind", "code"), [
    ({"query": "kind:scan", "target": "nowhere"}, NotFound, "datasource.not_found"),
    ({"query": {"$regx": 1}}, Malformed, "query.unknown_operator"),
    ({}, Invalid, "parameter.missing"),
    ({"query": ""}, Invalid, "query.empty"),
    ({"query": "kind:scan", "select": {"mod": "all"}}, Invalid, "parameter.invalid"),
    ({"query": "kind:scan", "cursor": "x"}, Malformed, "cursor.invalid"),
    ({"query": "kind:scan", "name": "taken"}, Conflict, "datarequest.name_taken"),
], ids=str)
def test_what_create_refuses_is_refused_and_not_planned(filled: House, asked: dict[str, Any], kind: type[EdgemereError], code: str) -> None:
    filled.call("requests", "create", query="kind:scan", name="taken", fulfill=False)
    with pytest.raises(kind) as refused:
        filled.call("requests", "plan", **asked)
    assert refused.value.code == code


def test_a_plan_takes_a_reference_that_does_not_exist_yet(filled: House) -> None:
    before = filled.everything()
    plan = filled.call("requests", "plan", data_reference={"name": "mine", "query": "kind:scan source:lab", "defaults": {"action": "leave"}})
    assert plan["counts"]["by_action"] == {"leave": 4} and plan["request"]["action"] == "leave"
    assert filled.everything() == before
