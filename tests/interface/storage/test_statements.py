"""Rows by several of their words: through an index, also where the database has no type for truths."""
from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Column, Connection, MetaData, Table, Text, create_engine, insert, select

from shared.storage.statements import among

THING = Table("thing", MetaData(), Column("id", Text, primary_key=True), Column("owner", Text))
NAMED = select(THING.c.owner).where(among(THING.c.id, "ids"))


@pytest.fixture
def connection() -> Iterator[Connection]:
    with create_engine("sqlite://").connect() as made:
        THING.metadata.create_all(made)
        made.execute(insert(THING), [{"id": f"t{n}", "owner": f"o{n % 2}"} for n in range(10)])
        yield made


@pytest.mark.parametrize("statement", [NAMED, NAMED.where(THING.c.owner == "o1")], ids=["alone", "with another condition"])
def test_sqlite_looks_each_word_up_and_reads_no_other_row(connection: Connection, statement: object) -> None:
    text = str(statement.compile(connection))
    steps = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", ('["t3"]', "o1")[:text.count("?")])]
    assert any(step.startswith("SEARCH thing USING INDEX") for step in steps) and "SCAN thing" not in steps, steps


def test_those_of_the_words_are_found_and_no_others(connection: Connection) -> None:
    assert connection.execute(NAMED, {"ids": ["t3", "t5", "t99"]}).scalars().all() == ["o1", "o1"]
    assert connection.execute(NAMED.where(THING.c.owner == "o0"), {"ids": ["t3", "t4"]}).scalars().all() == ["o0"]
    assert connection.execute(NAMED, {"ids": []}).all() == []
