"""Requests that are wanted at the same time are made in one transaction; each is what it would be alone, and belongs to its own call."""
from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from services.requests import creating, handlers, turns
from services.requests.models import METADATA, render_request, request_table
from shared.hosting.config import load_config
from shared.hosting.uses import Uses
from shared.kernel.context import Context
from shared.kernel.errors import Conflict
from shared.kernel.ids import new_id
from shared.storage.database import Database
from shared.storage.group_commit import GroupCommit
from tests.support.answering import Answering
from tests.support.migrated import migrated

OWN = {"id", "name", "ename", "owner", "created_at", "updated_at", "destroyed_at", "announced_at", "correlation_id", "deadline"}


class World:
    def __init__(self, url: str) -> None:
        engine = migrated(url.replace("postgresql://", "postgresql+psycopg2://"), "requests")
        self.db = Database(engine, METADATA)
        self.groups: list[int] = []
        self.config = load_config("test", variables={})
        self.numbered: Any = GroupCommit(self.create)
        self.mesh, self.health = Answering(), turns.Health()

    def create(self, wanted: Any) -> Any:
        self.groups.append(len(wanted))
        return creating.create(self.db, wanted)

    def uses(self, owner: str, **more: Any) -> Uses:
        context = Context(**{"owner": owner, "correlation_id": new_id("event"), "roles": ("DataScientist",), **more})
        return Uses("requests", self.db, self.config, context, self.mesh, {"numbered": self.numbered, "health": self.health})

    def wanted(self, owner: str, fulfill: bool = True, query: str = "lot:a", **more: Any) -> creating.Wanted:
        uses = self.uses(owner, **more)
        return creating.Wanted(uses.context, handlers.request_row(uses, {"query": query}, None), fulfill)

    def table(self, name: str) -> list[dict[str, Any]]:
        with self.db.reading() as connection:
            return [dict(row) for row in connection.execute(select(METADATA.tables[name])).mappings()]

    def said(self) -> list[dict[str, Any]]:
        return [{**row, "body": orjson.loads(row["body"]), "headers": orjson.loads(row["headers"])}
                for row in sorted(self.table("outbox"), key=lambda row: row["seq"])]


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url)
    yield made
    made.db.close()


def as_it_would_be_anywhere(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in OWN}


def test_several_are_made_as_each_would_be_alone(world: World) -> None:
    alone = [creating.create(world.db, [world.wanted(owner, fulfill)])[0] for owner, fulfill in (("ada", True), ("ben", False))]
    words = [(row["name"], row["exchange"]) for row in world.said()]
    together = creating.create(world.db, [world.wanted("ada"), world.wanted("ben", False), world.wanted("ada")])
    assert [as_it_would_be_anywhere(row) for row in together] == [as_it_would_be_anywhere(row) for row in (*alone, alone[0])]
    assert [(row["owner"], row["name"]) for row in together] == [
        ("ada", "datarequest-2"), ("ben", "datarequest-2"), ("ada", "datarequest-3")], "each owner counts for himself"
    there = {row["id"]: row for row in world.table(request_table.name)}
    assert all(there[row["id"]] == {**there[row["id"]], **row} for row in together), "it is stored as it is answered"
    told = Counter((row["name"], row["exchange"]) for row in world.said()[len(words):])
    assert told == Counter(words) + Counter(words[:2]), "the same is said of each"


def test_what_is_said_and_written_belongs_to_the_call_of_each(world: World) -> None:
    wanted = [world.wanted("ada", action="do.datarequest.create", credential="k1", idempotency_key="one", fingerprint="f1"),
              world.wanted("ben", action="do.datarequest.create", credential="k2", idempotency_key="two", fingerprint="f2"),
              world.wanted("ada")]
    first, second, third = creating.create(world.db, wanted)
    said = {(row["name"], row["object_id"]): row for row in world.said()}
    for one, row in zip(wanted, (first, second, third), strict=True):
        for name in ("datarequest.create", "datarequest.needed"):
            headers = said[name, row["id"]]["headers"]
            assert headers["nameko.owner"] == headers["edgemere.owner"] == row["owner"]
            assert headers["nameko.correlation_id"] == said[name, row["id"]]["body"]["correlation_id"] == one.context.correlation_id
        assert said["datarequest.needed", row["id"]]["body"]["obj"] == orjson.loads(orjson.dumps(render_request(row)))
    lines = {row["body"]["obj"]["credential"]: row["body"]["obj"] for row in world.said() if row["name"] == "audit.changed"}
    assert {key: (line["owner"], line["objects"]) for key, line in lines.items()} == {
        "k1": ("ada", [first["id"]]), "k2": ("ben", [second["id"]])}
    keys = {row["key"]: (row["object_id"], row["fingerprint"]) for row in world.table("idempotency")}
    assert keys == {"one": (first["id"], "f1"), "two": (second["id"], "f2")}


def test_a_call_that_cannot_be_done_takes_none_of_the_others_along(world: World) -> None:
    creating.create(world.db, [world.wanted("ada", idempotency_key="one", fingerprint="f")])
    again, other = world.wanted("ben", idempotency_key="one", fingerprint="f"), world.wanted("ada")
    with pytest.raises(Conflict, match="carried out"):
        creating.create(world.db, [other, again])
    assert len(world.table(request_table.name)) == 1, "nothing of the two was made"
    started, go_on, answers = threading.Event(), threading.Event(), {}

    def held(wanted: Any) -> Any:
        if not started.is_set():
            started.set()
            go_on.wait(120)
        return world.create(wanted)

    group: Any = GroupCommit(held)

    def ask(name: str, one: creating.Wanted) -> None:
        try:
            answers[name] = group.do(one)
        except Conflict as error:
            answers[name] = error

    threads = [threading.Thread(target=ask, args=one) for one in (("first", world.wanted("cleo")), ("again", again), ("other", other))]
    threads[0].start()
    assert started.wait(120)
    for thread in threads[1:]:
        thread.start()
    while len(group._waiting) < 2:
        pass
    go_on.set()
    for thread in threads:
        thread.join(120)
    assert world.groups[:2] == [1, 2] and answers["again"].code == "idempotency.in_progress"
    assert answers["other"]["state"] == "Needed" and answers["first"]["owner"] == "cleo"


def test_a_number_that_is_somebodys_name_is_left_out(world: World) -> None:
    handlers.create(world.uses("ada"), {"query": "lot:a", "name": "datarequest-2", "fulfill": False})
    names = [handlers.create(world.uses("ada"), {"query": "lot:a", "fulfill": True})["name"] for _ in range(3)]
    assert len(set(names)) == 3 and "datarequest-2" not in names
    with pytest.raises(IntegrityError):
        row = world.wanted("ada")
        with world.db.transaction() as uow:
            uow.connection.execute(METADATA.tables["counter"].delete())
        creating.create(world.db, [row])


def test_many_at_once_are_made_each_once_in_few_transactions(world: World) -> None:
    names: list[str] = []

    def ask(owner: str) -> None:
        for _ in range(5):
            names.append(owner + handlers.create(world.uses(owner), {"query": "lot:a", "fulfill": True})["name"])

    threads = [threading.Thread(target=ask, args=(owner,)) for owner in ("ada", "ben") * 5]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(names) == sorted(f"{owner}datarequest-{number}" for owner in ("ada", "ben") for number in range(1, 26))
    assert sum(world.groups) == 50 and len(world.groups) < 50
