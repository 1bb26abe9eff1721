"""Data of a store mounted by FUSE in a running mesh: planned, read, destroyed, brought back, and there after every kind of end.

Where this machine does not let anybody mount, the same requests are read through, with the reason that the plan gives.
"""
from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.interface.mesh.test_far_sources import DO, Lab
from tests.support import fuse

BODY = os.urandom(1 << 20) * 6


class Shelf(Lab):
    """A lab whose server finds FUSE where the machine has it, with a store of one object and one folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, **fuse.environment())
        self.store.fs.mkdir("shelf")
        self.store.fs.pipe_file("shelf/x.bin", BODY)
        for name, body in {".zarray": b"{}", "0/0": BODY[:100_000]}.items():
            self.store.fs.pipe_file(f"shelf/day.zarr/{name}", body)
        self.source("shelf", "fsspec", self.store.parameters("shelf", folders_as_data=["*.zarr"]))

    def stop(self) -> None:
        super().stop()
        assert fuse.take_down_all(self.folder) == [], "a server that stopped leaves nothing mounted"

    def mounted(self, name: str, query: str = "name:x.bin") -> dict[str, Any]:
        """The entry of a request that mounts; its path is None where this machine mounts nothing."""
        assert self.request(name, query=f"source:shelf {query}", action="mount")["state"] == "Satisfied"
        entry, = self.access(name)
        return entry

    def serving(self) -> list[psutil.Process]:
        return [one for one in psutil.Process(self.server.process.pid).children(recursive=True) if "services.instances.fuse" in one.cmdline()]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    shelf = Shelf(tmp_path_factory.mktemp("shelf"))
    yield shelf
    shelf.stop()


def test_a_mount_is_made_as_it_was_planned_and_explained(shelf: Shelf) -> None:
    plan = shelf.call(f"{DO}/datarequest/plan", query="source:shelf", action="mount")
    planned = [item["decision"]["scores"]["mount"] for item in plan["items"]]
    files = shelf.mounted("as-planned"), shelf.mounted("folder", "type:dir")
    assert [one["via"] for one in planned] == [entry["via"] for entry in files]
    frame = shelf.call(f"{DO}/datarequest/explain", id="as-planned")
    assert frame["items"][0]["decision"]["scores"]["mount"]["via"] == files[0]["via"]
    if fuse.mounts_here():
        assert {one["via"] for one in planned} == {"fuse"} and not any("via_why" in one for one in planned)
        path, folder = (Path(entry["path"]) for entry in files)
        assert path.read_bytes() == BODY and path.is_relative_to(shelf.server.data / "mounts") and files[0]["uri"] == path.as_uri()
        assert {str(one.relative_to(folder)): one.stat().st_size for one in folder.rglob("*") if one.is_file()} == {".zarray": 2, "0/0": 100_000}
    else:
        assert {one["via"] for one in planned} == {"read_through"} and all(re.search("FUSE|fuse", one["via_why"]) for one in planned)
        assert [entry["path"] for entry in files] == [None, None]
    assert shelf.content(files[0]["instance"], Range="bytes=5-104") == BODY[5:105]


def test_destroyed_it_is_gone_at_once_and_an_undo_brings_it_back(shelf: Shelf) -> None:
    entry = shelf.mounted("there-and-back")
    shelf.call(f"{DO}/datainstance/destroy", id=entry["instance"])
    if entry["path"]:
        assert not os.path.lexists(entry["path"])
    back = shelf.call(f"{DO}/datainstance/undo", id=entry["instance"])
    assert back["state"] in ("Ready", "Provisioning")
    if entry["path"]:
        until(lambda: reads(entry["path"]), "it is back")
        shelf.call(f"{DO}/datainstance/destroy", id=entry["instance"])
        assert not os.path.lexists(entry["path"]) and not [
            one for one in (shelf.server.data / "fuse/table").glob("*.json") if "there-and-back" in one.read_text()]


def test_a_process_that_is_killed_is_followed_by_another_and_the_mount_goes_with_its_server(shelf: Shelf) -> None:
    entry = shelf.mounted("long-lived")
    if not entry["path"]:
        assert not fuse.mounts_here() and shelf.serving() == []
        return
    process, = shelf.serving()
    process.send_signal(signal.SIGKILL)
    until(lambda: reads(entry["path"]) and len(fuse.mounted(shelf.folder)) == 1, "another process serves it")
    shelf.server.kill9()
    until(lambda: not fuse.mounted(shelf.folder), "the mount goes with its server")
    shelf.server.start()
    until(lambda: reads(entry["path"]), "it is served again after kill -9 of the server")


def test_it_is_there_after_a_restart_and_after_the_end_of_every_process_at_once(shelf: Shelf) -> None:
    entry = shelf.mounted("longer-lived")
    if not entry["path"]:
        assert not fuse.mounts_here()
        return
    shelf.server.kill9(everything=True)
    shelf.server.start()
    until(lambda: reads(entry["path"]) and len(fuse.mounted(shelf.folder)) == 1, "it is served again after kill -9 of everything")
    shelf.server.terminate()
    assert fuse.mounted(shelf.folder) == [], "a server that stopped leaves nothing mounted"
    shelf.server.start()
    until(lambda: reads(entry["path"]), "it is served again after a restart")
    shelf.call(f"{DO}/datarequest/complete", id="longer-lived")
    until(lambda: not os.path.lexists(entry["path"]), "it goes with its request")


def test_what_changed_under_a_mount_breaks_its_instance(shelf: Shelf) -> None:
    shelf.store.fs.pipe_file("shelf/fickle.bin", b"a" * 1000)
    shelf.call("/edgemere/diml/dml/fmdm/datasource/scan", id="shelf")
    entry = shelf.mounted("fickle", "name:fickle.bin")
    if not entry["path"]:
        assert not fuse.mounts_here()
        return
    assert Path(entry["path"]).read_bytes() == b"a" * 1000
    shelf.store.fs.pipe_file("shelf/fickle.bin", b"b" * 1000)

    def broken() -> bool:
        try:
            assert Path(entry["path"]).read_bytes() == b"a" * 1000, "never other bytes under the old name"
        except OSError:
            pass
        return shelf.call(f"{DO}/datainstance/show", id=entry["instance"])["state"] in ("Broken", "Destroyed")
    until(broken, "its instance breaks")
    shown = shelf.call(f"{DO}/datainstance/show", id=entry["instance"])
    assert "source.changed" in str(shown) or shown["state"] == "Destroyed", shown


def reads(path: str) -> bool:
    def read() -> bool:
        try:
            with open(path, "rb", buffering=0) as file:
                return file.read(100) == BODY[:100]
        except OSError:
            return False
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(read).result(120)


def until(holds: Callable[[], Any], what: str, limit_s: float = 120) -> None:
    end = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.1)
