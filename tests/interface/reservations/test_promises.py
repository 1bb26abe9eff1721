"""Quotas of instances and bytes are never passed, however many requests of one owner are evaluated at once. Two real databases."""
from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, select

from services.instances import provisioning, rules
from services.instances.models import INSTANCE, METADATA as INSTANCES, instance_table, made_table
from services.instances.repository import held_by
from services.reservations import promises
from services.reservations.models import METADATA, promise_table
from shared.hosting.config import load_config
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.context import Context
from shared.kernel.errors import TooMany
from shared.kernel.ids import new_id
from shared.storage.bulk import insert_rows
from shared.storage.database import Database
from tests.support.answering import Answering
from tests.support.migrated import migrated

LIMIT = 6
SIZE = 10


class World:
    """The services ``reservations`` and ``instances`` as far as quotas go, each on its database."""

    def __init__(self, url: str) -> None:
        self.instances = self._database(url.replace("database.sqlite", "instances.sqlite"), "instances", INSTANCES)
        mesh = Answering(instances__held_by=self._held_by)
        config = load_config("test", overrides={"quotas": {"ada": {"instances": LIMIT, "bytes": LIMIT * SIZE}}}, variables={})
        self.uses = Uses("reservations", self._database(url, "reservations", METADATA), config, Context(owner="ada"), mesh)

    @staticmethod
    def _database(url: str, service: str, metadata: Any) -> Database:
        engine = migrated(url, service)
        return Database(engine, metadata)

    def _held_by(self, **asked: Any) -> dict[str, Any]:
        with self.instances.reading() as connection:
            return held_by(connection, **asked)

    def make(self, request: dict[str, Any], count: int) -> None:
        """Write the instances of a request, one transaction each, and then that they are made: as the service does."""
        for number in range(count):
            reservation = {"id": new_id("datareservation"), "data_id": new_id("data"), "name": "x", "source_id": new_id("datasource"),
                           "source_name": "s", "target_id": new_id("datasource"), "target_name": "t", "action": "copy", "member": None,
                           "snapshot": {"path": "x", "size": SIZE, "name": "x"}}
            instance = rules.instance_row(request, reservation["data_id"], f"{request['id']}-{number}", [reservation])
            with self.instances.transaction(self.uses.context) as uow:
                provisioning.insert(uow, [(instance, [rules.entry_row(instance, 0, reservation)])], 60)
        with self.instances.transaction(self.uses.context) as uow:
            insert_rows(uow.connection, made_table, [{"request_id": request["id"], "attempt": request["attempt"], "at": clock.stamp()}])

    def claim(self, request: dict[str, Any], count: int = 1) -> str | None:
        return promises.claim(self.uses, request, {"instances": count, "bytes": count * SIZE})

    def has(self) -> dict[str, Any]:
        return self._held_by(owner="ada")


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url)
    yield made
    made.uses.db.close()
    made.instances.close()


def request(**more: Any) -> dict[str, Any]:
    return {"id": new_id("datarequest"), "name": "r", "owner": "ada", "attempt": 1, "granularity": "data", **more}


def test_requests_that_are_evaluated_at_once_never_pass_the_quota_together(world: World) -> None:
    counts = [1 + number % 2 for number in range(16)]
    start, answers = threading.Barrier(len(counts)), {}

    def work(number: int) -> None:
        start.wait()
        mine = request()
        answers[number] = world.claim(mine, counts[number])
        if answers[number] is None:
            world.make(mine, counts[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(counts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = sum(count for number, count in enumerate(counts) if answers[number] is None)
    assert len(answers) == len(counts) and taken == LIMIT, "all of it is given, and no more"
    assert {kind: world.has()[kind] for kind in ("instances", "bytes")} == {"instances": LIMIT, "bytes": LIMIT * SIZE}
    assert all("that its owner may have" in answer for answer in answers.values() if answer)


def test_a_promise_counts_until_its_instances_are_written_and_then_they_do(world: World) -> None:
    first, second = request(), request()
    assert world.claim(first, 4) is None and world.claim(first, 4) is None, "the same claim again is the same"
    assert "4 instances" not in (world.claim(second, 2) or "")
    over = world.claim(request(), 1)
    assert over == "It would be 7 instances, of 6 that its owner may have; there are 6."
    assert promises.would_refuse(world.uses, request(), {"instances": 1, "bytes": 0}) == over
    world.make(first, 4)
    assert world.claim(request(), 1) == over, "what is made is not counted twice, and not left out"
    promises.release(world.uses, second["id"], "ada", up_to=1)
    assert world.claim(request(), 2) is None
    with world.uses.db.reading() as connection:
        kept = connection.execute(select(func.count()).select_from(promise_table)).scalar_one()
    assert kept == 1, "what is made is promised no more"


def test_a_look_that_is_old_is_looked_at_again_though_the_promises_are_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the judgement somebody was promised everything, made it, and was forgotten."""
    look, others = promises._look, [request(), request()]

    def slow(uses: Uses, asked: dict[str, Any]) -> Any:
        found = look(uses, asked)
        if asked["id"] == late["id"] and others:
            monkeypatch.setattr(promises, "_look", look)
            first, second = others
            assert world.claim(first, LIMIT) is None
            world.make(first, LIMIT)
            assert world.claim(second, 1), "it is full, and what is made is promised no more"
        return found

    late = request()
    monkeypatch.setattr(promises, "_look", slow)
    assert world.claim(late, 1) == "It would be 7 instances, of 6 that its owner may have; there are 6."


def test_a_refused_claim_keeps_nothing(world: World) -> None:
    again = request()
    assert world.claim(again, 2) is None
    assert world.claim(again, LIMIT + 1)
    assert world.claim(request(), LIMIT) is None


def test_an_instance_that_comes_back_counts_from_the_moment_in_which_it_is_promised(world: World) -> None:
    first = request()
    assert world.claim(first, LIMIT) is None
    world.make(first, LIMIT)
    with world.instances.transaction() as uow:
        rows = uow.rows(select(instance_table).order_by(instance_table.c.id))
        gone, *_ = uow.destroy(INSTANCE, rows[:2])
    assert world.has()["instances"] == LIMIT - 2
    assert world.claim(request(), 1) is None
    promises.claim_undo(world.uses, gone["id"], gone["version"], "ada", SIZE)
    with pytest.raises(TooMany, match="7 instances, of 6"):
        promises.claim_undo(world.uses, rows[1]["id"], rows[1]["version"] + 1, "ada", SIZE)
    with world.instances.transaction() as uow:
        uow.move(INSTANCE, [gone], "undo", changes={"destroyed_at": None})
    assert world.claim(request(), 1) == "It would be 7 instances, of 6 that its owner may have; there are 6.", "it is not counted twice"
    promises.release(world.uses, gone["id"], attempt=gone["version"])
    assert world.claim(request(), 1), "what came back counts by itself"


def test_owners_without_a_quota_are_not_looked_at(world: World) -> None:
    assert promises.claim(world.uses, request(owner="bob"), {"instances": 10**6, "bytes": 10**15}) is None
