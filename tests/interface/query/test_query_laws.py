"""The laws of the query language on real databases: memory, SQL and the reference matcher agree on every document."""
from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, and_

from shared.query.funnel import funnel
from shared.query.matcher import matches
from shared.query.parse import parse
from shared.query.planning import plan
from shared.query.sql import compile_sql
from tests.interface.query.things import MAPPING, THING, fill, ids, make_engine, stored
from tests.support.query_examples import KINDS, THINGS, documents, queries
from tests.support.reference_matcher import holds

ROUNDS = settings(
    max_examples=150, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


def numbered(examples: list[dict]) -> list[dict]:
    """The documents with ids of their own, and one name for each source."""
    names: dict[str, str | None] = {}
    ready = []
    for n, example in enumerate(examples):
        document = stored({"id": f"d{n}", **example})
        if document["source"]:
            document["source"]["name"] = names.setdefault(document["source"]["id"], document["source"]["name"])
        ready.append(document)
    return ready


many = st.lists(documents(), min_size=1, max_size=8)
asked = st.lists(queries, min_size=1, max_size=8)


@ROUNDS
@given(examples=many, expressions=asked)
def test_sql_and_memory_find_exactly_what_the_reference_matcher_finds(engine: Engine, examples: list, expressions: list) -> None:
    there = numbered(examples)
    with engine.begin() as conn:
        fill(conn, there)
        for expression in expressions:
            query = parse(expression, THINGS)
            expected = {document["id"] for document in there if holds(expression, document, KINDS)}
            in_memory = matches(query)
            assert {document["id"] for document in there if in_memory(document)} == expected, expression
            for compiled in (compile_sql(query, MAPPING, engine), compile_sql(query, MAPPING, engine, driver=-1), plan(conn, query, MAPPING)):
                found = ids(conn, compiled.where, compiled.values)
                assert found >= expected, expression
                if compiled.residual:
                    found = {document["id"] for document in there if document["id"] in found and compiled.residual(document)}
                assert found == expected, expression


@ROUNDS
@given(examples=many, expressions=asked)
def test_a_funnel_counts_what_is_left_after_each_conjunct(engine: Engine, examples: list, expressions: list) -> None:
    there = numbered(examples)
    with engine.begin() as conn:
        fill(conn, there)
        for expression in expressions:
            query = parse(expression, THINGS)
            counted = funnel(conn, query, MAPPING, and_(THING.c.id != "d0"))
            left = [document for document in there if document["id"] != "d0"]
            assert counted["base"] == len(left) and counted["estimate"] is False
            for step in counted["steps"]:
                left = [document for document in left if holds(step["json"], document, KINDS)]
                assert step["remaining"] == len(left), (expression, step)
            assert len(left) == sum(holds(expression, document, KINDS) for document in there[1:])
