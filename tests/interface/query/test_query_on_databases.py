"""What the laws do not reach: index use, scans cut short, warnings, orders, and odd tags, on both databases."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, insert, literal, select, text
from sqlalchemy.exc import StatementError

from shared.query import DATA_FIELDS, parse, parse_sort
from shared.query.funnel import funnel
from shared.query.ordering import order_by
from shared.query.planning import Probes, plan, selectivities
from shared.query.scan import scan
from shared.query.sql import compile_sql
from shared.query.tag_index import tag_rows
from shared.query.unknown_tags import tag_names, unknown_tags
from tests.interface.query.things import MAPPING, TAGS, THING, fill, ids, make_engine, stored
from tests.support.query_examples import DOCUMENT, MEANING, THINGS

EMPTY = {"name": None, "path": "p", "size": None, "ready": None, "at": None, "source": None, "target": None, "data": [],
         "labels": None, "access": None, "tags": {}}


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


def thing(n: int, **values: Any) -> dict[str, Any]:
    return stored({"id": f"d{n:05}", **EMPTY, **values})


def numbers(conn: Any, expression: Any) -> list[int]:
    where = compile_sql(parse(expression, THINGS), MAPPING, conn).where
    return sorted(int(found[1:]) for found in ids(conn, where))


@pytest.fixture
def many(engine: Engine) -> Engine:
    """3,000 things: ``batch`` is rare, ``kind`` is common, names count up."""
    with engine.begin() as conn:
        fill(conn, [thing(n, name=f"n{n}", size=n, tags={"batch": f"b{n // 3}", "kind": "xyz"[n % 3], "n": n}) for n in range(3000)])
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("ANALYZE"))
    return engine


def test_each_operator_means_the_same_of_a_tag_and_of_what_is_inside_a_json_column(engine: Engine) -> None:
    fields = DATA_FIELDS.fields
    with engine.begin() as conn:
        fill(conn, [thing(0, tags=DOCUMENT["tags"], labels=DOCUMENT["tags"])])
        for expression, expected in MEANING:
            if not expression or any(name.startswith("$") or name.split(".")[0] in fields for name in expression):
                continue
            for asked in (expression, {f"labels.{name}": condition for name, condition in expression.items()}):
                compiled = compile_sql(parse(asked, THINGS), MAPPING, conn)
                every = select(*MAPPING.columns).where(compiled.where)
                found = scan(conn, every, MAPPING.document, compiled.residual or (lambda document: True))
                assert (found.matched == 1) is expected, asked


def test_neighbours_beyond_the_exact_range_of_doubles_stay_apart(engine: Engine) -> None:
    big = [2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63 - 2, -(2**63), float(2**62), 2**62 + 1]
    with engine.begin() as conn:
        fill(conn, [thing(n, size=value, tags={"v": value}, labels={"v": value}) for n, value in enumerate(big)])
        for n, value in enumerate(big):
            for name in ("size", "v", "labels.v"):
                assert numbers(conn, {name: value}) == [n]
                assert numbers(conn, {name: {"$gt": value}}) == [m for m, other in enumerate(big) if other > value]


def test_text_is_ordered_by_code_point_and_case_matters(engine: Engine) -> None:
    texts = ["B", "a", "b", "é", "\ud7ff", "\ue000", "\uffff", "\U0001f600", "_", "Z"]
    with engine.begin() as conn:
        fill(conn, [thing(n, name=value, tags={"v": value}, labels={"v": value}) for n, value in enumerate(texts)])
        for value in texts:
            for name in ("name", "v", "labels.v"):
                assert numbers(conn, {name: {"$lt": value}}) == [n for n, other in enumerate(texts) if other < value]
        assert numbers(conn, {"v": {"$like": "b*"}}) == numbers(conn, {"name": {"$like": "b"}}) == [2]


def test_tags_with_odd_names_and_long_values_are_found(engine: Engine) -> None:
    long = "v" * 100_000
    odd = {"$where": 1, "": 2, "a.b": 3, "a\x00b": 4, "\U0001f600": 5, "k" * 5000: 6, "x'); DROP TABLE thing; --": 7, "\ud800": 8}
    with engine.begin() as conn:
        fill(conn, [thing(0, tags={**odd, "text": long, "near": long + "a"}), thing(1, tags={"text": long + "b", "near": long})])
        assert numbers(conn, {"tags.$where": 1, "tags.": 2, "a.b": 3, "a\ufffdb": 4, "\U0001f600": 5, "\ufffd": 8}) == [0]
        assert numbers(conn, {"x'); DROP TABLE thing; --": 7}) == [0]
        for expression, found in (
            ({"text": long[:60_000]}, []), ({"text": {"$prefix": long[:60_000]}}, [0, 1]), ({"text": {"$gt": long[:60_000]}}, [0, 1]),
            ({"text": {"$like": "v*b"}}, [1]), ({"near": {"$in": ["x", long[:300]]}}, []), ({"near": {"$lt": long[:256] + "w"}}, [0, 1]),
            ({"text": {"$gt": "u" * 300}}, [0, 1]), ({"text": {"$lt": "w" * 300}}, [0, 1]), ({"text": {"$gt": "w" * 300}}, []),
        ):
            assert numbers(conn, expression) == found


def test_a_data_with_very_many_tags_is_indexed_and_found(engine: Engine) -> None:
    with engine.begin() as conn:
        fill(conn, [thing(0)])
        conn.execute(insert(TAGS), tag_rows("d00000", {f"k{n}": n for n in range(20_000)}))
        assert numbers(conn, "k19999:19999 k7<8 -k8:9") == [0]


def test_a_rare_tag_is_looked_up_and_not_searched_for(many: Engine) -> None:
    with many.connect() as conn:
        query = parse("kind:x size>=0 batch:b500 n>=0", THINGS)
        assert [count for count in selectivities(conn, query, MAPPING)] == [1000, None, 3, 1000]
        compiled = plan(conn, query, MAPPING)
        statement = select(THING.c.id).where(compiled.where).params(compiled.values)
        sql = str(statement.compile(conn, compile_kwargs={"literal_binds": True}))
        explain = "EXPLAIN QUERY PLAN " if many.dialect.name == "sqlite" else "EXPLAIN "
        steps = "\n".join(str(row[-1]) for row in conn.exec_driver_sql(explain + sql.replace("%", "%%")))
        assert "SCAN thing" not in steps and "Seq Scan" not in steps, steps
        assert set(conn.scalars(statement)) == {"d01500"}


def test_the_way_to_look_is_not_asked_for_again_and_what_came_since_is_found(many: Engine) -> None:
    asked: list[str] = []
    query = parse("kind:x batch:b400", THINGS)
    with many.connect() as conn:
        event.listen(conn, "before_cursor_execute", lambda connection, cursor, statement, *more: asked.append(statement))
        first = plan(conn, query, MAPPING)
        assert len(asked) == 1
        assert plan(conn, query, MAPPING).where is first.where and len(asked) == 1
        before = found(conn, "kind:x batch:b400")
        assert before
        fill(conn, [thing(3000, tags={"kind": "x", "batch": "b400"})])
        assert found(conn, "kind:x batch:b400") == {"d03000"} != before
        conn.rollback()


def found(conn: Connection, expression: Any) -> set[str]:
    compiled = plan(conn, parse(expression, THINGS), MAPPING)
    return ids(conn, compiled.where, compiled.values)


def test_queries_of_one_shape_share_their_condition_and_find_each_its_own(many: Engine) -> None:
    with many.connect() as conn:
        first, second = (plan(conn, parse(f"batch:{batch}", THINGS), MAPPING) for batch in ("b7", "b8"))
        assert first.where is second.where and first.lasts and first.values != second.values
        # A condition without its values finds nothing by mistake.
        with pytest.raises(StatementError):
            conn.execute(select(THING.c.id).where(first.where))
    with many.connect() as conn:
        for batch in range(7, 12):
            assert found(conn, f"batch:b{batch}") == {f"d{n:05}" for n in range(batch * 3, batch * 3 + 3)}
            assert found(conn, f"batch:b{batch} -kind:y") == {f"d{n:05}" for n in (batch * 3, batch * 3 + 2)}
            either = {"batch": f"b{batch}", "$or": [{"kind": "x"}, {"n": {"$gte": batch * 3 + 2}}]}
            assert found(conn, either) == {f"d{n:05}" for n in (batch * 3, batch * 3 + 2)}
            # What is handed over and asked of memory alone does no harm.
            assert len(found(conn, {"batch": f"b{batch}", "$or": [{"kind": "x"}, {"name": {"$regex": "7$"}}]})) == 3


def test_what_would_be_asked_before_a_query_can_be_asked_with_something_else(many: Engine) -> None:
    asked: list[str] = []
    with many.connect() as conn:
        event.listen(conn, "before_cursor_execute", lambda connection, cursor, statement, *more: asked.append(statement))
        queries = [parse(text, THINGS) for text in ("batch:b500 kind:x", "kind:y batch:b500", "n:7 batch:b3", "batch:b500 kind:x", "name~7$")]
        probes = Probes(conn, queries, MAPPING)
        first, *counts = conn.execute(select(literal(1), *probes.columns), probes.values).one()
        assert first == 1 and counts == [3, 1000, 1000, 3, 1, 3]
        probes.told(counts)
        del asked[:]
        compiled = [plan(conn, query, MAPPING) for query in queries]
        assert not asked
        assert ids(conn, compiled[0].where, compiled[0].values) == {"d01500"}
        assert not Probes(conn, queries, MAPPING).columns
        # Each was told what is its own: as when it asks for itself.
        assert compiled[1].where is plan(conn, parse("kind:z batch:b501", THINGS), MAPPING).where and len(asked) == 2


def test_a_scan_says_what_it_did_not_look_at(many: Engine) -> None:
    query = parse("kind:x name~7$", THINGS)
    with many.connect() as conn:
        compiled = plan(conn, query, MAPPING)
        statement = select(*MAPPING.columns).where(compiled.where).order_by(THING.c.id).params(compiled.values)
        every = scan(conn, statement, MAPPING.document, compiled.residual)
        assert (every.matched, every.examined, every.is_estimate) == (100, 1000, False) == (len(every.rows), 1000, False)
        page = scan(conn, statement, MAPPING.document, compiled.residual, want=5)
        assert [shown["name"] for _, shown in page.rows] == ["n27", "n57", "n87", "n117", "n147"] and page.is_estimate
        few = scan(conn, statement, MAPPING.document, compiled.residual, max_rows=300)
        assert (few.matched, few.examined, few.is_estimate) == (30, 300, True)
        ticks = iter(range(100))
        late = scan(conn, statement, MAPPING.document, compiled.residual, max_seconds=0.5, clock=lambda: next(ticks))
        assert (late.examined, late.is_estimate) == (500, True)


def test_a_funnel_with_an_expression_over_more_rows_than_allowed_is_an_estimate(many: Engine) -> None:
    query = parse("kind:x name~7$ size<1501", THINGS)
    with many.connect() as conn:
        exact = funnel(conn, query, MAPPING)
        assert [step["remaining"] for step in exact["steps"]] == [1000, 100, 50] and exact["base"] == 3000 and not exact["estimate"]
        assert [step["clause"] for step in exact["steps"]] == ["kind:x", 'name~"7$"', "size<1501"]
        guess = funnel(conn, query, MAPPING, max_rows=400)
        assert guess["estimate"] and guess["steps"][0]["remaining"] == 1000 and guess["steps"][1]["remaining"] == 100


def test_an_empty_query_has_a_funnel_of_its_base_alone(many: Engine) -> None:
    with many.connect() as conn:
        assert funnel(conn, parse(None, THINGS), MAPPING, THING.c.size < 10) == {"base": 10, "steps": [], "estimate": False}


def test_a_tag_that_nobody_has_is_named_with_the_nearest(many: Engine) -> None:
    with many.connect() as conn:
        query = parse("bach:b1 kind:x -knd:y zzzz:1 n>5", THINGS)
        assert unknown_tags(conn, query, MAPPING) == [
            {"field": "bach", "nearest": ["batch"]}, {"field": "knd", "nearest": ["kind"]}, {"field": "zzzz", "nearest": []}]
        assert tag_names(conn, MAPPING) == ["batch", "kind", "n"] and tag_names(conn, MAPPING, 2) == ["batch", "kind"]
        assert unknown_tags(conn, parse("kind:x", THINGS), MAPPING) == []


def test_rows_are_ordered_by_code_point_with_nulls_last(engine: Engine) -> None:
    with engine.begin() as conn:
        fill(conn, [thing(0, name="b"), thing(1, name=None), thing(2, name="B"), thing(3, name="é"), thing(4, name="b")])
        def ordered(line: str) -> list[str]:
            return list(conn.scalars(select(THING.c.id).order_by(*order_by(parse_sort(line, THINGS), MAPPING, conn))))

        assert ordered("name") == ["d00002", "d00000", "d00004", "d00003", "d00001"]
        assert ordered("-name") == ["d00003", "d00000", "d00004", "d00002", "d00001"]


def test_the_largest_queries_are_answered(many: Engine) -> None:
    dates = [f"20{n // 100:02}-0{n % 9 + 1}-{n % 28 + 1:02}" for n in range(10_000)]
    with many.connect() as conn:
        assert numbers(conn, {"$or": [{"n": n} for n in range(500)]}) == list(range(500))
        assert numbers(conn, {"$or": [{"n": {"$in": [n, "x", "2020-01-01", None, True]}} for n in range(300)]}) == list(range(300))
        assert numbers(conn, {"batch": "b100", "$and": [{"n": {"$ne": n}} for n in range(301, 750)]}) == [300]
        assert len(numbers(conn, {"n": {"$in": list(range(2, 10_002))}})) == 2998
        assert numbers(conn, {"n": {"$in": dates}}) == numbers(conn, {"at": {"$in": dates}}) == []
        assert len(numbers(conn, {"name": {"$nin": [f"n{n}" for n in range(10_000)]}})) == 0
        wide = parse({"batch": "b999", "$and": [{"n": {"$gte": n}} for n in range(2700, 3198)]}, THINGS)
        assert [step["remaining"] for step in funnel(conn, wide, MAPPING)["steps"]] == [3] * 299 + [2, 1] + [0] * 198


def test_more_conditions_on_json_than_a_statement_can_hold_are_left_to_the_matcher(many: Engine) -> None:
    for expression in ({"$and": [{f"labels.a.b.{n}": {"$ne": 1}} for n in range(400)]}, {"labels.a": {"$in": list(range(9000))}},
                       {"labels.a.b.c.d": {"$exists": False}}):
        compiled = compile_sql(parse(expression, THINGS), MAPPING, many)
        with many.connect() as conn:
            every = select(*MAPPING.columns).where(compiled.where)
            found = scan(conn, every, MAPPING.document, compiled.residual, max_seconds=600)
        assert found.matched == (0 if "labels.a" in expression else 3000) and not found.is_estimate
