"""Funnel, hints, why-not and plan over random catalogues, policies and requests, compared with an independent oracle."""
from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.kernel.errors import Conflict
from tests.support import why_oracle as oracle
from tests.support.house import House

REQUESTS = 5
OWNERS = ["darren", "daren", "zoe", "zoé", "Darren", "max", "maxim"]
KINDS = ["scan", "scans", "table", "label", None]
SELECTS: list[dict[str, Any]] = [{}, {}, {"mode": "first"}, {"mode": "best"}, {"mode": "best", "count": 2}, {"count": 3}, {"minimum": 2},
                                 {"mode": "first", "minimum": 1}, {"count": 2, "minimum": 2}, {"together": True}, {"together": "location"},
                                 {"together": True, "minimum": 2}, {"mode": "best", "count": 2, "together": True}]


@pytest.fixture
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    if getattr(request, "param", "sqlite") == "postgresql":
        url = request.getfixturevalue("fresh_database")()
        made = House(lambda name: url, tmp_path)
    else:
        made = House(lambda name: f"sqlite:///{tmp_path / name}.db", tmp_path)
    yield made
    made.close()


def test_random_cases_agree_with_the_oracle(house: House) -> None:
    for seed in range(24):
        _catalogue(house, seed)


@pytest.mark.parametrize("house", ["postgresql"], indirect=True)
def test_random_cases_on_postgresql_agree_with_the_oracle(house: House) -> None:
    for seed in range(1000, 1003):
        _catalogue(house, seed)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("house", ["sqlite", "postgresql"], indirect=True)
def test_five_hundred_random_cases_on_each_database_agree_with_the_oracle(house: House) -> None:
    for seed in range(100):
        _catalogue(house, seed)


def _catalogue(house: House, seed: int) -> None:
    dice = random.Random(seed)
    house.emptied()
    budget = {kind: amount for kind, amount in (("bytes", dice.randrange(1, 4000)), ("money", round(dice.random() * 60, 2))) if dice.random() < 0.4}
    house.configured(budgets={"ada": {"period": "30d", **budget}} if budget else {})
    sources, documents = _filled(house, dice)
    for number in range(REQUESTS):
        rules, query = _loaded(house, dice), _query(dice)
        asked = {"all": True, "target": "scratch", "select": dice.choice(SELECTS),
                 **({"action": wish} if (wish := dice.choice([None, None, "leave", "mount", "copy", "auto"])) else {})}
        group = {name: (_query(dice), dice.choice([None, *SELECTS])) for name in ("scans", "labels", "b")[:dice.randrange(2, 4)]} \
            if dice.random() < 0.3 else None
        if group:
            asked["group"] = {name: {"query": oracle.expression(own), "all": True, **({"select": select} if select else {})}
                              for name, (own, select) in group.items()}
        else:
            asked["query"] = oracle.expression(query)
        place = f"seed {seed}, request {number}: {json.dumps(asked)} {json.dumps(rules)} {json.dumps(budget)}"
        _compare_query(house, query, documents, place)
        parts = {name: (oracle.matching(own, documents), select or asked["select"]) for name, (own, select) in group.items()} \
            if group else {None: (oracle.matching(query, documents), asked["select"])}
        expected = oracle.plan(parts, sources, rules, asked.get("action"), "scratch", budget)
        plan = _compare_plan(house, expected, asked, place)
        made = _compare_deed(house, expected, asked, plan, place)
        if not group:
            _compare_why_not(house, query, documents, expected, made, place)
        # What it holds is given back, as the messages of its end would: the next one finds the catalogue as it was. What it was charged is spent.
        house.call("catalog", "release", holder=made)
        if expected["refusal"] is None:
            budget = {kind: left - expected["spends"][kind] for kind, left in budget.items()}


def _loaded(house: House, dice: random.Random) -> list[dict[str, Any]]:
    """Rules that count from now on; files with rules that are never reached are refused, and others are thought of."""
    while True:
        rules = _rules(dice)
        house.rules(json.dumps([{**rule, "when": {name: operand if op == "$eq" else {op: operand} for name, op, operand in rule["when"]},
                                 **({"target": "scratch"} if rule["action"] in ("copy", "move", "auto") else {})} for rule in rules]))
        if [rule.name for rule in house.policies.current().rules] == [rule["name"] for rule in rules] and house.policies.problem is None:
            return rules


def _filled(house: House, dice: random.Random) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    given = {}
    sizes = dice.sample(range(1, 1000), 40)
    for at, name in enumerate(("lab", "far", "vault", "scratch")):
        # No two Data cost the same: a tie goes by a hash, and the oracle has none.
        cost = {"per_request": at + 1 + dice.random(), "per_gib_out": 1e6 * (1 + dice.random())} | {
            key: dice.random() * 5 for key in ("per_gib_in", "per_gib_month", "latency_ms", "mib_per_s") if dice.random() < 0.5}
        capacity = {"readers": dice.randrange(1, 8)} if dice.random() < 0.3 else {}
        capacity |= {"bytes": dice.randrange(1, 4000)} if name == "scratch" and dice.random() < 0.4 else {}
        given[name] = {"name": name, "cost": cost, "capacity": capacity, "location": dice.choice(["here", "there"])}
        data = {}
        for n in range(dice.randrange(0, 9)):
            tags = {"owner": dice.choice(OWNERS), "kind": dice.choice(KINDS), "n": dice.choice([dice.randrange(6), dice.random() * 5, None]),
                    "labels": dice.sample(["a", "ab", "abc", "b"], dice.randrange(3)), "secret": dice.random() < 0.2}
            data[f"d/{dice.choice(['scan', 'table', 'x'])}_{n}.csv"] = {
                "size": sizes.pop(), "tags": {key: value for key, value in tags.items() if value is not None},
                "modified_at": f"202{dice.randrange(3)}-0{dice.randrange(1, 7)}-01T00:00:00.000000Z",
                "checksum": f"sha256:{n}" if dice.random() < 0.4 else None}
        house.source(name, data, writable=name == "scratch", deletable=True, **{key: value for key, value in given[name].items() if key != "name" and value})
    documents = house.call("catalog", "query", expression={}, limit=1000)["items"]
    return given, documents


def _query(dice: random.Random) -> oracle.Query:
    clauses = {
        "owner": lambda: dice.choice([("$eq", dice.choice([*OWNERS, "darrin", "nobody"])), ("$in", ["zo", dice.choice(OWNERS)]), ("$prefix", "dax")]),
        "kind": lambda: dice.choice([("$eq", dice.choice(["scan", "scam", "tabel"])), ("$ne", "scan"), ("$exists", True), ("$prefix", "tax")]),
        "n": lambda: (dice.choice(["$gt", "$gte", "$lt", "$lte", "$eq"]), dice.randrange(7)),
        "labels": lambda: dice.choice([("$eq", "abcd"), ("$gt", "ab"), ("$size", 2), ("$in", ["a", "b"])]),
        "size": lambda: (dice.choice(["$gt", "$gte", "$lt", "$lte", "$eq"]), dice.randrange(1000)),
        "name": lambda: dice.choice([("$prefix", dice.choice(["scan_1", "tax", "q"])), ("$eq", "scan_0.csw")]),
        "modified_at": lambda: (dice.choice(["$gt", "$gte", "$lt", "$lte", "$eq"]), f"202{dice.randrange(3)}-0{dice.randrange(1, 7)}-01"),
        "source": lambda: ("$eq", dice.choice(["lab", "far", "labs"])),
    }
    wanted = dice.sample(list(clauses), dice.randrange(0, 5))
    return [(field, *clauses[field]()) for field in wanted]


def _rules(dice: random.Random) -> list[dict[str, Any]]:
    conditions = [("data.tags.secret", "$eq", True), ("data.size", "$gt", dice.randrange(1000)), ("source.name", "$eq", dice.choice(["lab", "far"])),
                  ("source.location", "$eq", "here"), ("data.tags.kind", "$eq", "scan"), ("data.tags.n", "$lt", dice.randrange(6))]
    rules = [{"name": f"rule-{at}", "when": dice.sample(conditions, dice.randrange(1, 3)),
              "action": dice.choice(["leave", "mount", "copy", "auto", "move", "reject"])} for at in range(dice.randrange(4))]
    for rule in rules:
        # What is at the target cannot be moved there, which is refused; what is asked here is what moving costs.
        if rule["action"] == "move" and "source.name" not in {name for name, _, _ in rule["when"]}:
            rule["when"] = [*rule["when"], conditions[2]]
    return rules


def _compare_query(house: House, query: oracle.Query, documents: list[dict[str, Any]], place: str) -> None:
    page = house.call("catalog", "query", expression=oracle.expression(query), limit=1)
    assert [page["funnel"]["base"], *(step["remaining"] for step in page["funnel"]["steps"])] == oracle.funnel(query, documents), place
    for wanted in (1, 4):
        found = house.call("catalog", "hints", expression=oracle.expression(query), wanted=wanted)
        assert [(one["kind"], one["query"], one["matches"]) for one in found["hints"]] == oracle.hints(query, documents, wanted), place


def _compare_plan(house: House, expected: dict[str, Any], asked: dict[str, Any], place: str) -> dict[str, Any]:
    plan = house.call("requests", "plan", **asked, limit=200)
    assert (plan["refusal"] or {}).get("code") == expected["refusal"], place
    for item in plan["items"]:
        one = expected["decisions"][item["data"]["id"]]
        assert (item["action"], item["rule"]) == (one["action"], one["rule"]), place
        assert item["cost"] == pytest.approx(one["cost"], abs=1e-6), place
    if expected["refusal"] is None:
        assert plan["cost"] == pytest.approx(expected["cost"], abs=1e-6), place
        assert sorted((item["data"]["id"], item["status"]) for item in plan["items"]) == sorted(expected["statuses"].items()), place
        if plan["budget"]:
            assert plan["budget"]["wanted"] == pytest.approx(expected["spends"], abs=1e-6), place
    return plan


def _compare_deed(house: House, expected: dict[str, Any], asked: dict[str, Any], plan: dict[str, Any], place: str) -> str:
    """The request is made and does what was planned; its id."""
    made = house.call("requests", "create", **asked)
    try:
        house.call("reservations", "evaluate", request=made["id"])
    except Conflict:
        pass
    shown = house.call("requests", "show", id=made["id"])
    assert (shown["reason"] or {}).get("code") == expected["refusal"] and shown["state"] == (
        "Failed" if expected["refusal"] else "Evaluated"), place
    assert (shown["reason"] or {}).get("member") == expected["member"], place
    if "group" in asked:
        assert list(shown["group"]) == list(asked["group"]), place
    else:
        assert list(shown["query"]) == list(asked["query"]), place
    if expected["refusal"] is None:
        assert shown["cost"] == pytest.approx(plan["cost"], abs=1e-6), place
    return made["id"]


def _compare_why_not(house: House, query: oracle.Query, documents: list[dict[str, Any]], expected: dict[str, Any], made: str, place: str) -> None:
    """Each Data is answered for."""
    answers = {"chosen": {"used"}, "standby": {"standby"}, "rejected": {"rule"}, "left_out": {"selection", "replica"}}
    for document in random.Random(place).sample(documents, min(len(documents), 5)):
        why = house.call("reservations", "why_not", request=made, data=document["id"], query=oracle.expression(query), attempt=1)
        held = [oracle._holds(clause, document) for clause in query]
        assert [clause["holds"] for clause in why["clauses"]] == held, place
        if not all(held):
            assert why["answer"] == "clause", place
        elif expected["refusal"] is None:
            assert why["answer"] in answers[expected["statuses"][document["id"]]], f"{place} {document['name']} {why['sentence']}"
