"""Folders that are one Data, to, from and within an object store, against a real S3 server."""
from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from shared.kernel.errors import Conflict
from shared.sources.file import leaving_name, open_source as open_file
from shared.sources.folder_archive import FolderArchive
from shared.sources.port import Entry, Problem, SourcePolicy
from shared.sources.registry import open_source
from tests.interface.mover.conftest import Bench, bench, item, results_of  # noqa: F401  (the fixture)
from tests.interface.mover.test_folders import manifest
from tests.interface.sources.test_store import kill_in_an_upload, name, uploads  # noqa: F401  (a fixture)
from tests.support.object_store import ObjectStore

LARGE = os.urandom(1 << 20) * 18
LOOPBACK = SourcePolicy(allowed_hosts=["127.0.0.1"])


@pytest.fixture
def world(bench: Bench, store: ObjectStore, name: str) -> Bench:  # noqa: F811
    """``s`` has ``day.zarr``, one data of four files; ``t`` is a place in the store, ``f`` a folder."""
    bench.sources["s"]["parameters"] |= {"folders_as_data": ["*.zarr"], "writable": True}
    bench.sources["f"] = bench.sources["t"]
    bench.sources["t"] = {"adaptor": "fsspec", "parameters": store.parameters(f"{name}/in", writable=True)}
    bench.policy = {"allowed_hosts": ["127.0.0.1"]}
    bench.file("day.zarr/.zarray", b"{}")
    bench.file("day.zarr/0/0", b"x" * 10)
    bench.file("day.zarr/0/empty", b"")
    bench.file("day.zarr/0/large", LARGE)
    bench.file("beside.txt")
    return bench


@pytest.fixture
def shelf(world: Bench, store: ObjectStore, name: str) -> Bench:  # noqa: F811
    """``t`` has ``shelf/day.zarr``, one data of objects, beside an object of its own."""
    world.sources["t"]["parameters"]["folders_as_data"] = ["*.zarr"]
    for path in sorted((world.source / "day.zarr").rglob("*")):
        if path.is_file():
            store.fs.pipe_file(f"{name}/in/shelf/{path.relative_to(world.source)}", path.read_bytes())
    store.fs.pipe_file(f"{name}/in/shelf/beside.txt", b"beside")
    return world


def scanned(world: Bench, place: str = "t") -> dict[str, Any]:
    source = open_source(world.sources[place]["adaptor"], world.sources[place]["parameters"], LOOPBACK)
    found = {one.path: one for one in source.scan()}
    source.close()
    return found


def at(store: ObjectStore, name: str) -> list[str]:  # noqa: F811
    return sorted(path.removeprefix(f"{name}/in/") for path in store.fs.find(name))


def from_shelf(key: str = "b", **more: Any) -> dict[str, Any]:
    return {"key": key, "source": "t", "path": "shelf/day.zarr", "target": "f", "target_path": "i/day.zarr", **more}


FILES = ["i/day.zarr/.zarray", "i/day.zarr/0/0", "i/day.zarr/0/empty", "i/day.zarr/0/large"]


def test_a_folder_is_copied_into_the_store_and_back_as_one(world: Bench, store: ObjectStore, name: str) -> None:  # noqa: F811
    there = world.one("copy", item("k", "day.zarr", size=len(LARGE) + 12))
    assert there["ok"], there
    assert (there["size"], there["checksum"]) == (len(LARGE) + 12, manifest(world.source / "day.zarr"))
    assert (there["uri"], there["path"], there["verified"]) == (f"s3://{name}/in/i/day.zarr", None, "checksum")
    assert at(store, name) == FILES and uploads(store, name) == []
    assert store.fs.cat_file(f"{name}/in/i/day.zarr/0/large") == LARGE
    world.sources["t"]["parameters"]["folders_as_data"] = ["*.zarr"]
    assert scanned(world) == {}, "a copy is no data of its own"
    back = world.one("copy", {**from_shelf(), "path": "i/day.zarr"})
    assert back["ok"] and back["checksum"] == there["checksum"] == manifest(world.target / "i/day.zarr")
    assert world.one("copy", item("k", "day.zarr"))["checksum"] == there["checksum"], "asked again, it finds what is there"


def test_a_scan_of_a_store_finds_one_data_and_notices_each_change_in_it(shelf: Bench, store: ObjectStore, name: str) -> None:  # noqa: F811
    found = scanned(shelf)
    assert sorted(found) == ["shelf/beside.txt", "shelf/day.zarr"]
    one: Entry = found["shelf/day.zarr"]
    assert (one.type, one.size, one.media_type, one.uri) == ("dir", len(LARGE) + 12, "inode/directory", f"s3://{name}/in/shelf/day.zarr")
    assert scanned(shelf)["shelf/day.zarr"].fingerprint == one.fingerprint
    assert shelf.one("verify", {"key": "v", "source": "t", "path": "shelf/day.zarr", "size": one.size, "modified_at": one.modified_at})["ok"]
    checked = shelf.one("verify", {"key": "v", "source": "t", "path": "shelf/day.zarr", "checksum": manifest(shelf.source / "day.zarr")})
    assert checked["ok"] and checked["verified"] == "checksum"
    store.fs.pipe_file(f"{name}/in/shelf/day.zarr/0/0", b"y" * 10)
    assert scanned(shelf)["shelf/day.zarr"].fingerprint != one.fingerprint
    store.fs.pipe_file(f"{name}/in/shelf/day.zarr", b"an object of the same name")
    problem = scanned(shelf)["shelf/day.zarr"]
    assert isinstance(problem, Problem) and "same name" in problem.detail
    shelf.sources["t"]["parameters"]["exclude"] = ["shelf/day.zarr/"]
    assert scanned(shelf)["shelf/day.zarr"].type == "object"


def test_a_folder_of_objects_is_copied_here_and_within_the_store(shelf: Bench, store: ObjectStore, name: str) -> None:  # noqa: F811
    wanted = manifest(shelf.source / "day.zarr")
    here = shelf.one("copy", from_shelf())
    assert here["ok"] and here["checksum"] == wanted == manifest(shelf.target / "i/day.zarr"), here
    shelf.sources["u"] = {"adaptor": "fsspec", "parameters": store.parameters(f"{name}/other", writable=True)}
    within = shelf.one("copy", {**from_shelf("w"), "target": "u"})
    assert within["ok"] and within["checksum"] == wanted, within
    assert store.fs.cat_file(f"{name}/other/i/day.zarr/0/large") == LARGE


def test_what_stands_in_the_way_is_refused_and_stays(world: Bench, store: ObjectStore, name: str) -> None:  # noqa: F811
    store.fs.pipe_file(f"{name}/in/i/day.zarr/0/theirs", b"theirs")
    assert world.one("copy", item("k", "day.zarr"))["error"]["code"] == "target.exists"
    assert at(store, name) == ["i/day.zarr/0/theirs"]
    store.fs.rm(f"{name}/in/i/day.zarr/0/theirs")
    store.fs.pipe_file(f"{name}/in/i/day.zarr", b"an object of this name")
    assert world.one("copy", item("k", "day.zarr"))["error"]["code"] == "target.exists"
    assert at(store, name) == ["i/day.zarr"]


def test_an_object_that_appears_while_it_is_copied_ends_the_copy_and_stays(world: Bench, store: ObjectStore, name: str) -> None:  # noqa: F811
    """What is there before its file comes is not replaced, and what comes beside the files is seen at the end."""
    world.sources["s"]["parameters"]["limits"] = {"mib_per_s": 10}
    for appears in ("i/day.zarr/0/large", "i/day.zarr/0/beside"):
        handle = world.submit("copy", item("k", "day.zarr"))
        until = time.monotonic() + 120
        while "i/day.zarr/0/0" not in at(store, name) and time.monotonic() < until:
            time.sleep(0.01)
        store.fs.pipe_file(f"{name}/in/{appears}", b"theirs")
        assert results_of(handle, 1)["k"]["error"]["code"] == "target.exists"
        assert at(store, name) == [appears] and uploads(store, name) == []
        store.fs.rm(f"{name}/in/{appears}")


def test_a_source_that_changes_meanwhile_is_noticed_and_nothing_stays(world: Bench, shelf: Bench, store: ObjectStore, name: str) -> None:  # noqa: F811
    world.sources["s"]["parameters"]["limits"] = world.sources["t"]["parameters"]["limits"] = {"mib_per_s": 10}
    handle = world.submit("copy", item("k", "day.zarr"))
    while "i/day.zarr/0/0" not in at(store, name):
        time.sleep(0.01)
    world.file("day.zarr/new", b"new")
    assert results_of(handle, 1)["k"]["error"]["code"] == "source.changed_during_copy"
    assert not [path for path in at(store, name) if path.startswith("i/")] and uploads(store, name) == []
    handle = shelf.submit("copy", from_shelf())
    while not list(shelf.target.rglob("*.part")):
        time.sleep(0.01)
    store.fs.pipe_file(f"{name}/in/shelf/day.zarr/new", b"new")
    assert results_of(handle, 1)["b"]["error"]["code"] == "source.changed_during_copy"
    assert shelf.left() == []
    wrong = world.one("copy", item("w", "day.zarr", checksum="sha256:" + "0" * 64))
    assert wrong["error"]["code"] == "checksum_mismatch" and not [path for path in at(store, name) if path.startswith("i/")]


@pytest.mark.parametrize("to", ["store", "folder"])
def test_cancel_leaves_nothing(shelf: Bench, store: ObjectStore, name: str, to: str) -> None:  # noqa: F811
    for number in range(30):
        shelf.file(f"day.zarr/many/{number}", b"x" * 1000)
    place = "s" if to == "store" else "t"
    shelf.sources[place]["parameters"]["limits"] = {"mib_per_s": 5}
    before = at(store, name)
    handle = shelf.submit("copy", item("k", "day.zarr") if to == "store" else from_shelf("k"))
    until = time.monotonic() + 120
    while not (uploads(store, name) if to == "store" else list(shelf.target.rglob("*.part"))) and time.monotonic() < until:
        time.sleep(0.01)
    handle.cancel()
    assert results_of(handle, 1)["k"]["error"]["code"] == "cancelled"
    assert at(store, name) == before and uploads(store, name) == [] and shelf.left() == []


def test_a_copy_killed_half_way_goes_on_and_can_be_purged(world: Bench, store: ObjectStore, name: str) -> None:  # noqa: F811
    world.file("day.zarr/0/large", LARGE * 3)
    world.sources["s"]["parameters"]["limits"] = {"mib_per_s": 20}
    kill_in_an_upload(world, store, name, world.submit("copy", item("k", "day.zarr")))
    assert "i/day.zarr/0/0" in at(store, name) and len(uploads(store, name)) == 1
    written = store.fs.info(f"{name}/in/i/day.zarr/0/0")["LastModified"]
    del world.sources["s"]["parameters"]["limits"]
    result = world.one("copy", item("k", "day.zarr"))
    assert result["ok"] and result["checksum"] == manifest(world.source / "day.zarr"), result
    assert at(store, name) == FILES and uploads(store, name) == []
    assert store.fs.info(f"{name}/in/i/day.zarr/0/0")["LastModified"] == written, "what was there was not written again"
    assert world.one("purge", item("k", "day.zarr"))["purged"] and at(store, name) == []
    world.sources["s"]["parameters"]["limits"] = {"mib_per_s": 20}
    kill_in_an_upload(world, store, name, world.submit("copy", item("k", "day.zarr")))
    assert world.one("purge", item("k", "day.zarr"))["purged"] and at(store, name) == [] and uploads(store, name) == []


def test_a_copied_folder_is_discarded_restored_and_purged_as_one(world: Bench, store: ObjectStore, name: str) -> None:  # noqa: F811
    copied = world.one("copy", item("k", "day.zarr"))
    of = {"key": "k", "target": "t", "target_path": "i/day.zarr", "checksum": copied["checksum"]}
    for _ in range(2):
        assert world.one("discard", of)["trashed"] is True and all(path.startswith(".edgemere-trash/k/") for path in at(store, name))
        assert world.one("discard", of)["trashed"] is False
        assert world.one("restore", of)["checksum"] == copied["checksum"] and at(store, name) == FILES
    world.one("discard", of)
    store.fs.pipe_file(f"{name}/in/i/day.zarr/theirs", b"theirs")
    assert world.one("restore", of)["error"]["code"] == "target.exists"
    assert world.one("purge", of)["purged"] and at(store, name) == ["i/day.zarr/theirs"]
    assert world.one("discard", of) == {"key": "k", "ok": True, "trashed": False, "foreign": True}
    assert world.one("purge", of)["purged"] is False
    store.fs.rm(f"{name}/in/i/day.zarr/theirs")
    assert world.one("restore", of)["error"]["code"] == "target.trash_empty"


@pytest.mark.parametrize("way", ["into the store", "out of the store"])
def test_a_folder_is_moved_as_one_and_becomes_the_targets_own(shelf: Bench, store: ObjectStore, name: str, way: str) -> None:  # noqa: F811
    shelf.sources["f"]["parameters"]["folders_as_data"] = ["*.zarr"]
    before = manifest(shelf.source / "day.zarr")
    into = way == "into the store"
    job = item("k", "day.zarr", "moved/day.zarr") if into else from_shelf("k")
    if not into:
        shelf.sources["t"]["parameters"]["deletable"] = True
    copied = shelf.one("copy", {**job, "moves": True})
    assert copied["ok"] and copied["fingerprint"] and copied["checksum"] == before, copied
    settled = shelf.one("settle", {**job, "size": copied["size"], "seen": copied["seen"]})
    assert (settled["deleted"], settled["kept"]) == (True, None), settled
    assert scanned(shelf, job["target"])[job["target_path"]].fingerprint == copied["fingerprint"]
    assert job["path"] not in scanned(shelf, job["source"])
    assert shelf.one("settle", {**job, "size": copied["size"], "seen": copied["seen"]})["ok"], "asked again, nothing is left to do"
    assert not [path for path in at(store, name) if ".edgemere-" in path]


def test_a_deletion_that_died_goes_on_with_what_was_seen(shelf: Bench) -> None:
    source = open_file({**shelf.sources["s"]["parameters"], "deletable": True}, SourcePolicy())
    seen = source.stat("day.zarr")
    new = shelf.file("day.zarr/0/new", b"new")
    with pytest.raises(Conflict, match="was not deleted"):
        source.delete("day.zarr", seen)
    assert new.exists() and (shelf.source / "day.zarr/0/large").exists()
    new.unlink()
    leaving = shelf.source / os.fsdecode(leaving_name(b"day.zarr", seen))
    (shelf.source / "day.zarr").rename(leaving)
    (leaving / ".zarray").unlink()
    assert "day.zarr" not in scanned(shelf, "s"), "what is left of it is no data"
    assert source.delete("day.zarr", seen) is False and not leaving.exists()
    source.close()


def test_a_deletion_of_objects_that_died_goes_on_with_what_was_seen_and_leaves_what_is_new(
        shelf: Bench, store: ObjectStore, name: str) -> None:  # noqa: F811
    source: Any = open_source("fsspec", {**shelf.sources["t"]["parameters"], "deletable": True}, LOOPBACK)
    seen = source.stat("shelf/day.zarr")
    store.fs.pipe_file(f"{name}/in/shelf/day.zarr/new", b"new")
    with pytest.raises(Conflict, match="was not deleted"):
        source.delete("shelf/day.zarr", seen)
    assert "shelf/day.zarr/0/large" in at(store, name)
    store.fs.rm(f"{name}/in/shelf/day.zarr/new")
    source.note_leaving("shelf/day.zarr", seen)
    store.fs.rm(f"{name}/in/shelf/day.zarr/.zarray")
    store.fs.pipe_file(f"{name}/in/shelf/day.zarr/new", b"new")
    assert source.delete("shelf/day.zarr", seen) is True
    assert at(store, name) == ["shelf/beside.txt", "shelf/day.zarr/new"]
    source.close()


def test_names_that_no_object_or_no_file_can_have_are_refused_before_anything_is_written(
        shelf: Bench, store: ObjectStore, name: str) -> None:  # noqa: F811
    for odd in (os.fsencode(shelf.source) + b"/day.zarr/caf\xe9", os.fsencode(shelf.source) + b"/day.zarr/" + b"/".join([b"d" * 200] * 6)):
        os.makedirs(os.path.dirname(odd), exist_ok=True)
        Path(os.fsdecode(odd)).write_bytes(b"odd")
        before = at(store, name)
        error = shelf.one("copy", item("k", "day.zarr"))["error"]
        assert error["code"] == "source.bad_path" and at(store, name) == before, error
        os.unlink(odd)
    assert shelf.one("copy", item("k", "day.zarr"))["ok"]
    for odd in ("..//x", "0/0/below-a-file", "x" * 300):
        store.fs.pipe_file(f"{name}/in/shelf/day.zarr/{odd}", b"odd")
        error = shelf.one("copy", from_shelf())["error"]
        assert error["code"] in ("source.bad_path", "target.exists") and shelf.left() == [], (odd, error)
        store.fs.rm(f"{name}/in/shelf/day.zarr/{odd}")
    assert shelf.one("copy", from_shelf())["ok"]


def test_a_target_that_would_not_keep_a_folder_as_one_takes_none_that_moves(world: Bench) -> None:
    error = world.one("copy", item("k", "day.zarr", moves=True))["error"]
    assert error["code"] == "target.not_writable" and "folders_as_data" in error["next_step"]


def test_a_folder_of_objects_is_packed_as_it_is_read(shelf: Bench, tmp_path: Path) -> None:
    source: Any = open_source("fsspec", shelf.sources["t"]["parameters"], LOOPBACK)
    with FolderArchive(source, "shelf/day.zarr") as stream:
        packed = stream.read()
        stream.seek(len(packed) // 2)
        assert stream.read() == packed[len(packed) // 2:]
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["tar", "-x", "-C", out], input=packed, check=True)
    assert manifest(out / "day.zarr") == manifest(shelf.source / "day.zarr")
    with pytest.raises(Conflict, match="is a folder"):
        source.open("shelf/day.zarr")
    source.close()
