"""A folder that is one Data: copied, mounted, moved and removed as one, verified file by file."""
from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from services.instances.mover.target import part_name
from shared.sources.file import open_source
from shared.sources.port import Entry, SourcePolicy
from tests.interface.mover.conftest import Bench, item
from tests.interface.mover.test_mount_and_settle import mounted


@pytest.fixture
def world(bench: Bench) -> Bench:
    """A source with ``day.zarr``, one data of three files, beside a file of its own."""
    bench.sources["s"]["parameters"] |= {"folders_as_data": ["*.zarr"], "writable": True}
    bench.sources["t"]["parameters"] |= {"folders_as_data": ["*.zarr"]}
    bench.file("day.zarr/.zarray", b"{}")
    bench.file("day.zarr/0/0", b"x" * 10)
    bench.file("day.zarr/0/large", os.urandom(1 << 20) * 2)
    bench.file("beside.txt")
    return bench


def entry(bench: Bench, place: str = "s", path: str = "day.zarr") -> dict[str, Any] | None:
    """What a scan says of the folder, as an item of the mover has it."""
    source = open_source(bench.sources[place]["parameters"], SourcePolicy())
    found = {one.path: one for one in source.scan() if isinstance(one, Entry)}
    source.close()
    return {"size": found[path].size, "modified_at": found[path].modified_at} if path in found else None


def manifest(folder: Path) -> str:
    """The checksum that docs/sources.md tells people to make."""
    made = subprocess.run("find . -type f ! -path '*/.edgemere-*' -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum", shell=True, cwd=folder,
                          capture_output=True, text=True, check=True)
    return "sha256:" + made.stdout.split()[0]


def test_a_scan_finds_one_data_and_notices_each_change_in_it(world: Bench) -> None:
    source = open_source(world.sources["s"]["parameters"], SourcePolicy())
    world.file("day.zarr.meta.yaml", b"owner: mara")

    def scan() -> dict[str, Entry]:
        return {one.path: one for one in source.scan() if isinstance(one, Entry)}
    first = scan()
    assert sorted(first) == ["beside.txt", "day.zarr"]
    one = first["day.zarr"]
    assert (one.type, one.size, one.media_type, one.tags["owner"]) == ("dir", (2 << 20) + 12, "inode/directory", "mara")
    inner = world.source / "day.zarr/0/0"
    os.utime(inner, ns=(1, 1))
    assert scan()["day.zarr"].fingerprint != one.fingerprint
    source.close()


def test_a_folder_is_copied_as_one_and_its_checksum_is_that_of_its_manifest(world: Bench) -> None:
    result = world.one("copy", item("k", "day.zarr", **entry(world)))
    assert result["ok"], result
    assert (result["size"], result["verified"], result["path"]) == ((2 << 20) + 12, "checksum", str(world.target / "i/day.zarr"))
    assert result["checksum"] == manifest(world.source / "day.zarr") == manifest(world.target / "i/day.zarr")
    assert world.left() == ["i/day.zarr/.zarray", "i/day.zarr/0/0", "i/day.zarr/0/large"]
    assert world.one("copy", item("k", "day.zarr"))["checksum"] == result["checksum"], "asked again, it finds what is there"
    assert entry(world, "t", "i/day.zarr") is None, "a copy is no data of its own"
    wrong = world.one("copy", item("w", "day.zarr", "w/day.zarr", checksum="sha256:" + "0" * 64))
    assert wrong["error"]["code"] == "checksum_mismatch" and not (world.target / "w").exists()


def test_a_folder_that_changed_or_stands_in_the_way_is_refused_and_nothing_stays(world: Bench) -> None:
    known = entry(world)
    world.file("day.zarr/new", b"new")
    assert world.one("copy", item("k", "day.zarr", **known))["error"]["code"] == "source.changed"
    (world.target / "i/day.zarr").mkdir(parents=True)
    (world.target / "i/day.zarr/theirs").write_text("theirs")
    assert world.one("copy", item("k", "day.zarr"))["error"]["code"] == "target.exists"
    assert world.left() == ["i/day.zarr/theirs"]


def test_a_copy_broken_off_goes_on_and_takes_nothing_along_that_is_gone(world: Bench) -> None:
    first = world.one("copy", item("k", "day.zarr"))
    there = world.target / "i/day.zarr"
    part = there.parent / part_name(b"k").decode()
    there.rename(part)
    inode = os.stat(part / "0/large").st_ino
    (part / "0/0").unlink()
    again = world.one("copy", item("k", "day.zarr"))
    assert again["checksum"] == first["checksum"] and os.stat(there / "0/large").st_ino == inode
    there.rename(part)
    (part / "stale").write_text("of another state")
    assert world.one("copy", item("k", "day.zarr"))["error"]["code"] == "source.changed_during_copy"
    assert world.left() == []


def test_a_copied_folder_is_discarded_restored_and_purged_as_one(world: Bench) -> None:
    copied = world.one("copy", item("k", "day.zarr"))
    of = {"key": "k", "target": "t", "target_path": "i/day.zarr", "checksum": copied["checksum"]}
    for _ in range(2):
        assert world.one("discard", of)["trashed"] and not (world.target / "i").exists()
        assert world.one("restore", of)["checksum"] == copied["checksum"]
        assert manifest(world.target / "i/day.zarr") == copied["checksum"]
    world.one("discard", of)
    (world.target / ".edgemere-trash/k/0/0").write_bytes(b"spoilt")
    assert world.one("restore", of)["error"]["code"] == "checksum_mismatch"
    assert world.one("purge", of)["purged"] and world.left() == []


def test_a_folder_is_verified_and_mounted_where_it_lies(world: Bench) -> None:
    assert world.one("verify", {"key": "v", "source": "s", "path": "day.zarr", **entry(world)})["verified"] == "size_mtime"
    checked = {"key": "v", "source": "s", "path": "day.zarr", "checksum": manifest(world.source / "day.zarr")}
    assert world.one("verify", checked)["verified"] == "checksum"
    (world.source / "day.zarr/0/0").write_bytes(b"y" * 10)
    assert world.one("verify", checked)["error"]["code"] == "checksum_mismatch"
    result = mounted(world, "mount", path="day.zarr", mount_path="i-0/day.zarr")
    assert result["via"] == "link" and (Path(result["path"]) / "0/0").read_bytes() == b"y" * 10


def test_a_folder_is_moved_as_one_and_becomes_the_targets_own(world: Bench) -> None:
    before = manifest(world.source / "day.zarr")
    copied = world.one("copy", item("k", "day.zarr", moves=True, **entry(world)))
    assert copied["ok"] and copied["fingerprint"], copied
    settled = world.one("settle", item("k", "day.zarr", size=copied["size"], seen=copied["seen"]))
    assert (settled["deleted"], settled["kept"]) == (True, None)
    assert not (world.source / "day.zarr").exists() and (world.source / "beside.txt").exists()
    source = open_source(world.sources["t"]["parameters"], SourcePolicy())
    found = {one.path: one for one in source.scan() if isinstance(one, Entry)}
    assert list(found) == ["i/day.zarr"] and found["i/day.zarr"].fingerprint == copied["fingerprint"]
    source.close()
    assert manifest(world.target / "i/day.zarr") == before


def test_a_target_that_would_not_keep_a_folder_as_one_takes_none_that_moves(world: Bench) -> None:
    world.sources["t"]["parameters"]["folders_as_data"] = []
    error = world.one("copy", item("k", "day.zarr", moves=True))["error"]
    assert error["code"] == "target.not_writable" and "folders_as_data" in error["next_step"]
    assert world.one("copy", item("k", "day.zarr"))["ok"]


def test_a_place_that_takes_no_folder_as_one_says_so(world: Bench) -> None:
    world.sources["t"] = {"adaptor": "simulated", "parameters": {"listing": {}}}
    error = world.one("copy", item("k", "day.zarr"))["error"]
    assert error["code"] == "target.not_writable" and "folder of this machine" in error["next_step"]


def test_a_row_of_a_listing_makes_a_folder_one_data_too(world: Bench) -> None:
    world.sources["s"]["parameters"]["folders_as_data"] = []
    world.file("runs/7/a", b"a" * 5)
    world.file("runs/7/b/c", b"c" * 6)
    world.file("datasource.yaml", b"runs/7: {type: dir, owner: mara}\nbeside.txt: {owner: ann}\n")
    source = open_source(world.sources["s"]["parameters"], SourcePolicy())
    found = {one.path: one for one in source.scan() if isinstance(one, Entry)}
    assert [one.path for one in source.scan() if not isinstance(one, Entry)] == []
    source.close()
    one = found.pop("runs/7")
    assert (one.type, one.size, one.media_type, one.tags["owner"]) == ("dir", 11, "inode/directory", "mara")
    assert not any(path.startswith("runs/") for path in found) and found["beside.txt"].type == "file"
    result = world.one("copy", item("k", "runs/7", size=11, modified_at=one.modified_at))
    assert result["ok"] and result["checksum"] == manifest(world.source / "runs/7") == manifest(world.target / "i/runs/7"), result
    error = world.one("copy", item("d", "day.zarr"))["error"]
    assert error["code"] == "source.bad_path", "a folder that nothing names is none"
