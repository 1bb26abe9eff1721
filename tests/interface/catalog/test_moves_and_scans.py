"""Scans of both ends of a move, each held at the point where it has seen the files and has not yet written of them.

The files, the scanner, the database are real; the test does what a move does, in its order: the copy, the record, the deletion, the end.
"""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.catalog import auditing, claims, data, passages, scans
from services.catalog.models import SOURCE, passage_table
from shared.hosting.uses import Uses
from shared.sources.file import open_source
from shared.storage.record import Row
from tests.interface.catalog.world import Catalogue

NAMES = ("a.bin", "b.bin")


def held(kind: type[scans.Run]) -> type[Any]:
    """A scan or audit that waits, each time it has seen files, and once before it looks for what vanished."""
    class Held(kind):
        def __init__(self, uses: Uses, scan: Row) -> None:
            super().__init__(uses, scan)
            self.has_seen, self.may_write = threading.Event(), threading.Event()

        def _take(self, found: list[Any]) -> None:
            self._wait()
            super()._take(found)

        def _finish(self, done: Any) -> None:
            self._wait()
            super()._finish(done)

        def _wait(self) -> None:
            self.has_seen.set()
            assert self.may_write.wait(120)
    return Held


class World:
    """Two folders that are sources, and a move from the one to the other, step by step."""

    def __init__(self, catalogue: Catalogue, root: Path) -> None:
        self.catalogue, self.uses = catalogue, catalogue.uses
        self.places = {name: root / name for name in ("origin", "target")}
        for place in self.places.values():
            place.mkdir()
        for name in NAMES:
            (self.places["origin"] / name).write_bytes(name.encode())
        self.ids = {name: catalogue.folder(place, name)["id"] for name, place in self.places.items()}
        self.data = {item["path"]: item["id"] for item in catalogue.call("data_list")["items"]}
        self.threads: list[tuple[Any, threading.Thread]] = []

    def copy(self) -> None:
        for name in NAMES:
            (self.places["target"] / name).write_bytes(name.encode())

    def prints(self) -> dict[str, str | None]:
        """What a scan finds of the copies."""
        source = open_source({"rootdir": str(self.places["target"])}, self.uses.parts["policy"])
        prints = {name: source.fingerprint(name) for name in NAMES}
        source.close()
        return prints

    def switch(self) -> None:
        prints = self.prints()
        answer = data.relocate_all(self.uses, [{"data": self.data[name], "source": self.ids["target"], "path": name, "fingerprint": prints[name]}
                                               for name in NAMES], "dreq_move")
        assert answer["refused"] == {}

    def delete(self) -> None:
        for name in NAMES:
            (self.places["origin"] / name).unlink()

    def end(self) -> None:
        passages.end(self.uses, list(self.data.values()))

    def begin_scan(self, name: str, run_as: type[scans.Run] = scans.Run, **more: Any) -> Any:
        """A scan, or an audit, that has seen what lies there now and waits."""
        with self.catalogue.db.transaction(self.uses.context) as uow:
            source = uow.get(SOURCE, self.ids[name])
            scan = scans.begun(self.uses, source["id"], **more)
            scans.write(uow, source, scan)
        run = held(run_as)(self.uses, scan)
        thread = threading.Thread(target=run.to_the_end)
        thread.start()
        self.threads.append((run, thread))
        assert run.has_seen.wait(120)
        return run

    def finish(self) -> None:
        """Let the scans that wait write, and wait for their ends."""
        for run, thread in self.threads:
            run.may_write.set()
            thread.join(120)
            assert not thread.is_alive()
        self.threads = []

    def where(self) -> list[tuple[str, str, str]]:
        """Where the catalogue says that the data is, with the id under which it does."""
        return sorted((item["path"], item["source"]["name"], item["id"]) for item in self.catalogue.call("data_list")["items"])

    def moved(self) -> list[tuple[str, str, str]]:
        return [(name, "target", self.data[name]) for name in NAMES]

    def under_way(self) -> int:
        with self.catalogue.db.reading() as connection:
            return len(connection.execute(passage_table.select()).all())


@pytest.fixture
def world(catalogue: Catalogue, tmp_path: Path) -> Iterator[World]:
    made = World(catalogue, tmp_path)
    yield made
    made.finish()


STEPS: tuple[Callable[[World], None], ...] = (World.copy, World.switch, World.delete, World.end)


@pytest.mark.parametrize("begins", range(len(STEPS)), ids=["before", "after_the_copy", "after_the_switch", "after_the_deletion"])
@pytest.mark.parametrize("writes", range(1, len(STEPS) + 1), ids=["at_the_copy", "at_the_switch", "at_the_deletion", "at_the_end"])
def test_a_scan_of_the_origin_at_any_moment_of_a_move_leaves_each_data_once(world: World, begins: int, writes: int) -> None:
    for number, step in enumerate(STEPS):
        if number == begins:
            world.begin_scan("origin")
        step(world)
        if number + 1 >= writes:
            world.finish()
    world.finish()
    assert world.where() == world.moved()
    assert world.under_way() == 0
    assert world.catalogue.call("datasource_show", id="origin")["data_count"] == 0


def test_what_a_scan_of_the_target_did_not_see_yet_has_not_vanished(world: World) -> None:
    (world.places["target"] / "own.bin").write_bytes(b"own")
    world.catalogue.rescan("target")
    world.begin_scan("target")
    for step in STEPS:
        step(world)
    world.finish()
    assert [item for item in world.where() if item[0] in NAMES] == world.moved()
    assert world.under_way() == 0


def test_a_scan_that_begins_before_the_end_of_a_move_does_not_miss_its_copy(world: World) -> None:
    """Until its move is over, a copy has the mark of copies, and no scan sees it."""
    (world.places["target"] / "own.bin").write_bytes(b"own")
    world.catalogue.rescan("target")
    world.copy()
    world.switch()
    hidden = {name: (world.places["target"] / name).rename(world.places["target"].parent / name) for name in NAMES}
    world.catalogue.rescan("target")
    for name, path in hidden.items():
        path.rename(world.places["target"] / name)
    world.delete()
    world.end()
    assert [item for item in world.where() if item[0] in NAMES] == world.moved()


def test_a_copy_that_a_scan_took_for_data_of_its_own_becomes_what_was_moved(world: World) -> None:
    """A store cannot hide what a move has brought, as a folder does."""
    world.copy()
    assert world.catalogue.rescan("target")["added"] == len(NAMES)
    for step in (World.switch, World.delete, World.end):
        step(world)
    assert world.where() == world.moved()
    assert world.catalogue.call("datasource_show", id="target")["data_count"] == len(NAMES)
    assert (scan := world.catalogue.rescan("target"))["added"] == scan["changed"] == scan["vanished"] == 0


def test_a_copy_on_which_somebody_stands_by_then_is_not_taken_from_him(world: World) -> None:
    world.copy()
    world.catalogue.rescan("target")
    there = next(item for item in world.catalogue.call("data_list")["items"] if item["source"]["name"] == "target" and item["path"] == "a.bin")
    world.catalogue.claim(there["source"], "c1", data=there["id"])
    prints = world.prints()
    answer = data.relocate_all(world.uses, [{"data": world.data[name], "source": world.ids["target"], "path": name, "fingerprint": prints[name]}
                                            for name in NAMES], "dreq_move")
    assert {one: error["code"] for one, error in answer["refused"].items()} == {world.data["a.bin"]: "data.path_taken"}
    claims.release(world.uses, ids=["c1"])


@pytest.mark.parametrize("repair", ["none", "catalogue"])
def test_an_audit_does_not_call_dark_what_a_move_is_taking_away(world: World, repair: str) -> None:
    (world.places["origin"] / "stays.bin").write_bytes(b"stays")
    world.catalogue.rescan("origin")
    audit = world.begin_scan("origin", auditing.Audit, kind="audit", repair=repair, found=dict.fromkeys([*auditing.KINDS, "repaired"], 0))
    for step in STEPS:
        step(world)
    world.finish()
    assert audit.scan["found"]["dark"] == audit.scan["found"]["lost"] == 0
    assert [item for item in world.where() if item[0] in NAMES] == world.moved()


def test_what_a_move_left_behind_is_data_of_its_own_once_the_move_is_over(world: World) -> None:
    world.copy()
    world.switch()
    world.catalogue.rescan("origin")
    assert world.where() == world.moved()
    world.end()
    assert world.catalogue.rescan("origin")["added"] == len(NAMES)
    assert len(world.where()) == 2 * len(NAMES)


def test_the_end_is_told_again_and_a_scan_of_later_is_not_bound_by_it(world: World) -> None:
    world.copy()
    world.switch()
    world.delete()
    world.begin_scan("origin")
    world.end()
    world.end()
    assert world.under_way() == len(NAMES), "a scan is under way that may have seen them"
    world.finish()
    world.end()
    assert world.under_way() == 0
    (world.places["origin"] / "a.bin").write_bytes(b"new")
    assert world.catalogue.rescan("origin")["added"] == 1


def test_data_that_goes_on_from_its_target_is_bound_at_all_its_places(world: World) -> None:
    run = world.begin_scan("origin")
    for step in STEPS:
        step(world)
    back = data.relocate_all(world.uses, [{"data": world.data["a.bin"], "source": world.ids["origin"], "path": "elsewhere.bin"}], "dreq_again")
    assert back["refused"] == {}
    passages.end(world.uses, [world.data["a.bin"]])
    run.may_write.set()
    world.finish()
    assert world.where() == [("b.bin", "target", world.data["b.bin"]), ("elsewhere.bin", "origin", world.data["a.bin"])]
