"""Instances with real copies, a real mover and both databases: renewed, pinned, over, brought back, reaped, audited."""
from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from services.instances import handlers, inventory, lifetime, pins, reaper, repository, undoing
from services.instances.models import INSTANCE, METADATA, access_table, instance_table
from services.instances.moving import Movers
from shared.hosting.config import load_config
from shared.hosting.uses import Uses
from shared.hosting.workers import WorkerPool
from shared.kernel import clock
from shared.kernel.context import Context
from shared.kernel.errors import Conflict, Invalid, NoCapacity
from shared.kernel.ids import new_id
from shared.storage.database import Database
from shared.storage.bulk import insert_rows
from tests.support.answering import Answering
from tests.support.migrated import migrated

TARGET = "dsrc_target"


class World:
    """The service ``instances`` on a database, with one request of ``ada`` and copies that the mover made."""

    def __init__(self, url: str, folder: Path, pool: WorkerPool) -> None:
        engine = migrated(url, "instances")
        self.source, self.target = folder / "source", folder / "target"
        self.source.mkdir()
        self.target.mkdir()
        self.request = {"id": new_id("datarequest"), "name": "r", "owner": "ada", "attempt": 1, "state": "Satisfied", "correlation_id": "c",
                        "owner_roles": []}
        self.sources = {
            TARGET: {"id": TARGET, "name": "desk", "adaptor": "file", "parameters": {"rootdir": str(self.target), "writable": True}},
            "dsrc_source": {"id": "dsrc_source", "name": "lab", "adaptor": "file", "parameters": {"rootdir": str(self.source)}}}
        self.taken: list[dict[str, Any]] = []
        self.full = False
        mesh = Answering(
            catalog__sources=lambda ids: {one: self.sources[one] for one in ids}, requests__plain=lambda request: self.request,
            reservations__take_back=self._take_back, reservations__give_back=lambda **asked: {"freed": 0})
        self.pool = pool
        self.uses = Uses("instances", Database(engine, METADATA), load_config("test", variables={}), Context(owner="ada"), mesh,
                         {"movers": Movers(pool, {}, str(folder / "mounts"))})

    def _take_back(self, **asked: Any) -> dict[str, int]:
        if self.full:
            raise NoCapacity("source.no_capacity", "There is no room.")
        self.taken.append(asked)
        return {"reservations": 1}

    def instance(self, name: str, **more: Any) -> dict[str, Any]:
        """A Ready instance with one copy at the target."""
        row_id, data = new_id("datainstance"), new_id("data")
        (self.source / f"{name}.bin").write_bytes(name.encode())
        item = {"key": f"{row_id}:{data}", "source": "dsrc_source", "path": f"{name}.bin", "target": TARGET, "target_path": f"{name}/{name}.bin"}
        copied: list[dict[str, Any]] = []
        for message in self.pool.submit({"op": "copy", "sources": self.sources, "items": [item]}):
            copied += message.get("results", ())
        with self.uses.db.transaction(self.uses.context) as uow:
            made, = uow.create(INSTANCE, [{
                "id": row_id, "owner": "ada", "name": name, "request_id": self.request["id"], "request_name": "r", "attempt": 1, "entries": 1,
                "bytes_total": len(name), "bytes_done": len(name), "pinned": False, "alone": False, "undone": False, "used_at": clock.stamp(),
                **more}], "create", "ready")
            insert_rows(uow.connection, access_table, [{
                "instance_id": row_id, "data_id": data, "position": 0, "request_id": self.request["id"], "name": f"{name}.bin", "action": "copy",
                "state": "ready", "source_id": "dsrc_source", "source_path": f"{name}.bin", "target_id": TARGET,
                "target_path": f"{name}/{name}.bin", "size": len(name), "tries": 0, "checksum": copied[0]["checksum"], "path": copied[0]["path"]}])
        return made

    def copy_of(self, name: str) -> Path:
        return self.target / name / f"{name}.bin"

    def state(self, name: str) -> str:
        with self.uses.db.reading() as connection:
            return connection.execute(select(instance_table.c.state).where(instance_table.c.name == name)).scalar_one()

    def set(self, name: str, **columns: Any) -> None:
        with self.uses.db.transaction() as uow:
            uow.connection.execute(update(instance_table).where(instance_table.c.name == name).values(**columns))

    def until(self, name: str, state: str) -> None:
        deadline = time.monotonic() + 120
        while self.state(name) != state:
            assert time.monotonic() < deadline, f"{name} is {self.state(name)}"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    made = WorkerPool([sys.executable, "-m", "services.instances.mover"], name="mover")
    yield made
    made.stop()


@pytest.fixture
def world(database_url: str, tmp_path: Path, pool: WorkerPool) -> Iterator[World]:
    made = World(database_url, tmp_path, pool)
    yield made
    made.uses.db.close()


def test_an_end_is_set_later_and_never_earlier(world: World) -> None:
    soon = clock.stamp_in(60)
    world.instance("a", lifetime=60.0, expires_at=soon)
    later = lifetime.renew(world.uses, {"id": "a", "for": 7200.0})["expires_at"]
    assert later > clock.stamp_in(7000)
    assert lifetime.renew(world.uses, {"id": "a"})["expires_at"] == later, "by its own lifetime it would end earlier"
    for given in ({"for": 60.0}, {"until": soon}, {"until": "2020-01-01T00:00:00.000000Z"}, {"for": 9000.0, "until": clock.stamp_in(9000)}):
        with pytest.raises(Invalid):
            lifetime.renew(world.uses, {"id": "a", **given})
    world.instance("b")
    with pytest.raises(Conflict) as endless:
        lifetime.renew(world.uses, {"id": "b", "for": 60.0})
    assert endless.value.code == "datainstance.no_end"


def test_what_is_pinned_neither_ends_nor_is_destroyed_nor_reaped_until_it_is_free(world: World) -> None:
    kept = world.instance("a", lifetime=1.0, expires_at=clock.stamp_in(-1))
    assert pins.pin(world.uses, {"id": "a", "reason": "paper"})["pinned"]
    assert lifetime.sweep(world.uses)["expired"] == 0
    with pytest.raises(Conflict) as refused:
        handlers.destroy(world.uses, {"attr1": "a"})
    assert refused.value.code == "datainstance.pinned" and "paper" in refused.value.detail
    item, = reaper.candidates(world.uses, TARGET)["items"]
    assert item["pin"]["reason"] == "paper"
    assert reaper.reap(world.uses, {kept["id"]: item["version"]}, "room")["reaped"] == []
    world.set("a", pinned_until=clock.stamp_in(-100), warn_at=clock.stamp_in(-100), expires_at=clock.stamp_in(-50))
    with world.uses.db.reading() as connection:
        # As the next steps of a sweep see it, when the pin came to its end after the step that frees.
        assert not repository.expired(connection, clock.stamp(), 10) and not repository.to_warn(connection, clock.stamp_in(-75), 10)
    assert lifetime.sweep(world.uses)["unpinned"] == 1
    with world.uses.db.reading() as connection:
        left = connection.execute(select(instance_table.c.expires_at)).scalar_one()
    assert left > clock.stamp(), "what would have ended meanwhile gets the time of a warning"
    world.set("a", expires_at=clock.stamp_in(-1))
    assert lifetime.sweep(world.uses)["expired"] == 1 and world.state("a") == "Destroyed"


def test_a_destroyed_copy_comes_back_within_its_grace_time_and_not_after(world: World) -> None:
    world.instance("a")
    handlers.destroy(world.uses, {"attr1": "a"})
    assert not world.copy_of("a").exists()
    undoing.undo(world.uses, {"id": "a"})
    world.until("a", "Ready")
    assert world.copy_of("a").read_bytes() == b"a" and len(world.taken) == 1
    handlers.destroy(world.uses, {"attr1": "a"})
    world.full = True
    with pytest.raises(NoCapacity):
        undoing.undo(world.uses, {"id": "a"})
    world.full = False
    assert world.state("a") == "Destroyed"
    world.set("a", undo_until=clock.stamp_in(-1))
    with pytest.raises(Conflict) as late:
        undoing.undo(world.uses, {"id": "a"})
    assert late.value.code == "datainstance.grace_over"


def test_what_was_used_since_it_was_seen_is_not_reaped(world: World) -> None:
    old, new = world.instance("old", used_at=clock.stamp_in(-500)), world.instance("new")
    seen = {item["name"]: item for item in reaper.candidates(world.uses, TARGET)["items"]}
    assert list(seen) == ["old", "new"] and seen["old"]["bytes"] == 3
    pins.pin(world.uses, {"id": "new"})
    pins.unpin(world.uses, {"id": "new"})
    assert reaper.reap(world.uses, {old["id"]: seen["old"]["version"], new["id"]: seen["new"]["version"]}, "room")["reaped"] == [old["id"]]
    assert (world.state("old"), world.state("new")) == ("Destroyed", "Ready")
    assert not world.copy_of("old").exists() and world.copy_of("new").exists()


def test_an_audit_is_told_of_each_copy_and_breaks_those_that_are_lost(world: World) -> None:
    for name in ("a", "b", "c"):
        world.instance(name)
    first = inventory.copies_claimed(world.uses, TARGET, None, 2)
    rest = inventory.copies_claimed(world.uses, TARGET, [first[-1]["instance"], first[-1]["data"]], 2)
    assert sorted(one["name"] for one in first + rest) == ["a.bin", "b.bin", "c.bin"]
    one = first[0]
    key = f"{one['instance']}:{one['data']}"
    known = inventory.copies_known(world.uses, TARGET, [key, "nobody:nothing"])
    assert list(known) == [key] and known[key]["state"] == "ready" and known[key]["checksum"].startswith("sha256:")
    assert inventory.copies_lost(world.uses, TARGET, [[one["instance"], one["data"]]], "gone") == {"broken": 1}
    assert world.state(one["name"][0]) == "Broken"
