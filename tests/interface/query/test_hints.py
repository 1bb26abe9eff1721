"""Relaxation hints on real databases: what they promise is what the changed query finds, and none is forgotten."""
from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from sqlalchemy import Engine

from shared.kernel.ids import new_id
from shared.query import near_misses
from shared.query.hints import MOST, hints
from shared.query.parse import parse
from tests.interface.query.test_query_laws import asked, many, numbered
from tests.interface.query.things import MAPPING, THING, fill, make_engine, stored
from tests.support.query_examples import KINDS, THINGS
from tests.support.reference_matcher import holds

ROUNDS = settings(
    max_examples=60, deadline=None, derandomize=True, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@ROUNDS
@given(examples=many, expressions=asked)
def test_every_hint_finds_as_many_as_it_says_and_no_clause_that_would_help_is_left_out(
        engine: Engine, examples: list, expressions: list) -> None:
    there = numbered(examples)
    with engine.begin() as conn:
        fill(conn, there)
        for expression in expressions:
            query = parse(expression, THINGS)
            for index_is_base, left in ((True, there), (False, there[1:])):
                found = hints(conn, query, MAPPING, None if index_is_base else THING.c.id != "d0", index_is_base=index_is_base)
                if query.is_empty:
                    continue

                def count(asked: dict) -> int:
                    return sum(holds(asked, document, KINDS) for document in left)

                assert found["matches"] == count(query.to_json()) and not found["estimate"], expression
                for hint in found["hints"]:
                    assert hint["matches"] == count(hint["query"]) > found["matches"], (expression, hint)
                    assert hint["query"] == parse(hint["line"], THINGS).to_json(), hint
                    assert hint["more"] == hint["matches"] - found["matches"] and hint["exact"]
                if len(query.conjuncts) > MOST // 2:
                    continue
                dropped = [hint["clauses"][0] for hint in found["hints"] if hint["kind"] == "drop"]
                for clause in query.clauses:
                    rest = {"$and": [other.json for other in query.clauses if other is not clause] or [{}]}
                    assert (clause.label in dropped) == (count(rest) > found["matches"]), (expression, clause.label)


def _filled(engine: Engine, documents: list[dict]) -> None:
    with engine.begin() as conn:
        empty = {"name": None, "path": "", "size": None, "ready": None, "at": None, "source": None, "target": None,
                 "data": [], "labels": None, "access": None, "tags": {}}
        fill(conn, numbered([{**empty, **document} for document in documents]))


def _lines(engine: Engine, line: str, **options: object) -> list[tuple[str, int]]:
    with engine.connect() as conn:
        return [(hint["line"], hint["matches"]) for hint in hints(conn, parse(line, THINGS), MAPPING, index_is_base=True, **options)["hints"]]


def test_a_bound_moves_to_the_nearest_value_that_gains_something_or_as_far_as_is_wanted(engine: Engine) -> None:
    _filled(engine, [{"size": size, "tags": {"a": {"b": size}}} for size in (10, 20, 20, 30, 40)])
    assert _lines(engine, "size>=50") == [("size>=40", 1), ("", 5)]
    assert _lines(engine, "size>=50", wanted=3) == [("size>=20", 4), ("", 5)]
    assert _lines(engine, "size<10")[0] == ("size<=10", 1)
    assert _lines(engine, "a.b>40 a.b<100")[0] == ("a.b>=40 a.b<100", 1)
    assert _lines(engine, "size>30")[0] == ("size>=30", 2)


def test_an_equality_takes_in_the_value_most_like_it(engine: Engine) -> None:
    _filled(engine, [{"name": name, "tags": {"owner": owner, "year": year}} for name, owner, year in (
        ("scan1.csv", "darren", 2019), ("scan2.csv", "darren", 2023), ("table.csv", "zoe", 2024))])
    assert _lines(engine, "owner:daren")[0] == ("owner:darren", 2)
    assert _lines(engine, "owner:xyz") == [("", 3)]
    assert _lines(engine, "year:2020")[0] == ("year:2019", 1)
    assert ("year:2023,2024", 2) in _lines(engine, "year:2023")
    assert _lines(engine, "name:scam2.csv owner:darren")[0] == ("name:scan2.csv owner:darren", 1)


def test_a_prefix_is_shortened_and_a_pattern_loses_an_end(engine: Engine) -> None:
    _filled(engine, [{"name": name, "tags": {"a": name}} for name in ("scan_01.csv", "scan_02.csv", "table.csv")])
    assert _lines(engine, "name:scan_9*")[0] == ("name:scan_*", 2)
    assert _lines(engine, "a:scan_9*")[0] == ("a:scan_*", 2)
    assert _lines(engine, "name:scan*.txt")[0] == ("name:scan*", 2)
    assert _lines(engine, "name:t*.csv a:s*.csv")[:2] == [("name:*.csv a:s*.csv", 2), ("name:t*.csv a:*.csv", 1)]


def test_where_no_single_change_helps_two_clauses_are_left_out_together(engine: Engine) -> None:
    _filled(engine, [{"size": 1, "tags": {"a": "x"}}, {"size": 1, "tags": {"a": "y", "b": 1}}])
    assert _lines(engine, "a:nobody-at-all b:5 size:1 -size:7") == [("size:1 -size:7", 2)]


def test_what_sql_cannot_say_is_counted_within_bounds_and_said_to_be_an_estimate_beyond_them(engine: Engine) -> None:
    _filled(engine, [{"name": f"n{n}", "size": n % 10} for n in range(200)])
    query = parse('name~"^n1" size>=10', THINGS)
    with engine.connect() as conn:
        exact = hints(conn, query, MAPPING)
        assert [(hint["line"], hint["matches"], hint["exact"]) for hint in exact["hints"]] == [('name~"^n1"', 111, True)]
        cut = hints(conn, query, MAPPING, max_rows=50)
        assert cut["estimate"] and not cut["hints"][0]["exact"] and "about" in cut["hints"][0]["sentence"]


def test_where_every_clause_is_broad_a_sample_is_counted_and_said_to_be_one(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = {"name": None, "path": "", "ready": None, "at": None, "source": None, "target": None, "data": [], "labels": None, "access": None}
    # What counts up with the ids must not choose among them.
    there = [stored({**empty, "id": new_id("data"), "size": n % 10, "tags": {"side": n // 512 % 2, "third": n % 3, "lone": n == 77}}) for n in range(3000)]
    with engine.begin() as conn:
        fill(conn, there)
        asked = [parse(line, THINGS) for line in ("side:0 third:1 size>=5", "side:0 lone:false third:7")]
        exact, none = (hints(conn, query, MAPPING, index_is_base=True) for query in asked)
        monkeypatch.setattr(near_misses, "MOST_ROWS", 300)
        about, still_none = (hints(conn, query, MAPPING, index_is_base=True) for query in asked)
    assert about["estimate"] and not exact["estimate"]
    assert [(one["kind"], one["clauses"]) for one in about["hints"] if one["kind"] == "drop"] and not any(one["exact"] for one in about["hints"])
    counts = {tuple(one["clauses"]): one["matches"] for one in about["hints"] if one["kind"] == "drop"}
    for one in exact["hints"]:
        if one["kind"] == "drop":
            assert counts[tuple(one["clauses"])] == pytest.approx(one["matches"], rel=0.5), one
    # Where one of them is rare, all that it leaves is looked at.
    assert still_none == none and none["hints"]


def test_what_is_too_rare_for_a_sample_is_found_all_the_same(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = {"name": None, "path": "", "size": 1, "ready": None, "at": None, "source": None, "target": None, "data": [], "labels": None, "access": None}
    # Three thirds that share nothing, but for one that belongs to two of them.
    there = [stored({**empty, "id": new_id("data"), "tags": {"a": n < 700 or n == 999, "b": 700 <= n < 1400, "c": n >= 1400}}) for n in range(2100)]
    with engine.begin() as conn:
        fill(conn, there)
        monkeypatch.setattr(near_misses, "MOST_ROWS", 20)
        found = hints(conn, parse("a:true b:true c:true", THINGS), MAPPING, index_is_base=True)["hints"]
    assert [one["clauses"] for one in found if one["kind"] == "drop"] == [["c:true"]]
    # By chance it may be in the sample; then it stands for others.
    assert all(one["matches"] == 1 if one["exact"] else "about" in one["sentence"] for one in found)
