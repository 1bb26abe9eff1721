"""The clauses of a query stay in the order in which they were written, on each database and through every way of reading."""
from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import update

from services.requests import handlers, references, repository, turns
from services.requests.models import METADATA, REQUEST, request_table
from shared.hosting.config import load_config
from shared.hosting.uses import Uses
from shared.kernel.context import Context
from shared.storage.database import Database
from tests.support.answering import Answering
from tests.support.migrated import migrated

WRITTEN = {"owner": "darren", "type": "file", "a": 1, "zz": {"$gt": 2, "$eq": 7}, "b": 3}
GROUP = {"scans": "type:file owner:ann b:1", "a": "kind:label"}


@pytest.fixture
def uses(database_url: str) -> Iterator[Uses]:
    engine = migrated(database_url, "requests")
    made = Uses("requests", Database(engine, METADATA), load_config("dev", variables={}), Context(owner="ada"), Answering(), {"health": turns.Health()})
    yield made
    made.db.close()


def keys(value: object) -> object:
    """The keys of nested objects, in their order."""
    if isinstance(value, dict):
        return [(name, keys(one)) for name, one in value.items()]
    return [keys(one) for one in value] if isinstance(value, list) else value


def test_a_request_is_read_as_it_was_written(uses: Uses) -> None:
    made = handlers.create(uses, {"query": WRITTEN, "fulfill": True, "wait": False, "name": "first"})
    typed = keys(made["query"])
    assert [name for name, _ in typed][:3] == ["owner", "type", "a"]
    assert keys(handlers.show(uses, {"id": "first"})["query"]) == typed
    assert keys(handlers.find(uses, {"limit": 5})["items"][0]["query"]) == typed
    with uses.db.reading() as connection:
        assert keys(repository.row_of(connection, made["id"])["query"]) == typed
    with uses.db.transaction() as uow:
        assert keys(uow.get(REQUEST, made["id"])["query"]) == typed


def test_the_members_of_a_group_and_a_reference_are_too(uses: Uses) -> None:
    made = handlers.create(uses, {"group": GROUP, "fulfill": True, "wait": False, "name": "group"})
    assert list(made["group"]) == ["scans", "a"]
    assert keys(handlers.show(uses, {"id": "group"})["group"]) == keys(made["group"])
    references.create(uses, {"name": "feed", "query": WRITTEN})
    with uses.db.reading() as connection:
        assert list(references.named(uses, connection, "feed")["query"])[:3] == ["owner", "type", "a"]


def test_what_an_older_program_writes_is_read_as_the_database_has_it(uses: Uses) -> None:
    made = handlers.create(uses, {"query": {"b": 1, "a": 2}, "fulfill": True, "wait": False, "name": "older"})
    with uses.db.transaction() as uow:
        uow.connection.execute(update(request_table).values(query={"c": 3}).where(request_table.c.id == made["id"]))
    if uses.db.engine.dialect.name == "postgresql":
        assert handlers.show(uses, {"id": "older"})["query"] == {"c": 3}, "the text beside it says something else, and does not count"
    with uses.db.transaction() as uow:
        uow.connection.execute(update(request_table).values(query={"c": 3}, query_as_given=None).where(request_table.c.id == made["id"]))
    assert handlers.show(uses, {"id": "older"})["query"] == {"c": 3}
