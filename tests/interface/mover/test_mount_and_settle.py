"""Links to data in place, and the end of a move."""
from __future__ import annotations

import os
from pathlib import Path

from tests.interface.mover.conftest import Bench, item, results_of


def mounted(bench: Bench, op: str, **of: object) -> dict:
    handle = bench.pool.submit({"op": op, "sources": bench.sources, "policy": {}, "mounts": str(bench.target.parent / "mounts"),
                                "items": [{"key": "k", "source": "s", **of}]})
    return results_of(handle, 1)["k"]


def test_a_mount_is_a_link_that_opens_the_file_and_is_made_once(bench: Bench) -> None:
    there = bench.file("a/x.csv", b"1,2")
    for _ in range(2):
        result = mounted(bench, "mount", path="a/x.csv", mount_path="i-0/a/x.csv")
        assert result["ok"] and result["via"] == "link" and result["verified"] == "size_mtime"
        assert Path(result["path"]).read_bytes() == b"1,2" and Path(result["path"]).is_symlink()
    assert mounted(bench, "unmount", mount_path="i-0/a/x.csv")["unmounted"] is True
    assert mounted(bench, "unmount", mount_path="i-0/a/x.csv")["unmounted"] is False
    assert there.read_bytes() == b"1,2" and not os.listdir(bench.target.parent / "mounts")


def test_a_mount_never_takes_the_place_of_something_else(bench: Bench) -> None:
    bench.file("x")
    there = bench.target.parent / "mounts" / "i-0" / "x"
    there.parent.mkdir(parents=True)
    there.write_text("mine")
    assert mounted(bench, "mount", path="x", mount_path="i-0/x")["error"]["code"] == "target.exists"
    assert mounted(bench, "unmount", mount_path="i-0/x")["unmounted"] is False
    assert there.read_text() == "mine"


def test_what_is_not_what_the_catalogue_says_is_not_mounted(bench: Bench) -> None:
    bench.file("x", b"12345")
    assert mounted(bench, "mount", path="x", mount_path="i-0/x", size=4)["error"]["code"] == "source.changed"
    assert not (bench.target.parent / "mounts" / "i-0").exists()


def moved(bench: Bench) -> dict:
    bench.sources["s"]["parameters"]["deletable"] = True
    result = bench.one("copy", {**item("k", "x", "x"), "moves": True})
    assert result["ok"]
    return {**item("k", "x", "x"), "size": result["size"], "seen": result["seen"]}


def test_a_move_keeps_the_time_loses_the_mark_and_deletes_the_source_once(bench: Bench) -> None:
    os.utime(bench.file("x", b"content"), ns=(5, 1_600_000_000_123_456_789))
    of = moved(bench)
    assert (bench.source / "x").exists()
    assert bench.one("settle", of)["deleted"] is True
    assert bench.one("settle", of)["deleted"] in (True, False)
    assert not (bench.source / "x").exists()
    there = bench.target / "x"
    assert there.read_bytes() == b"content" and there.stat().st_mtime_ns == 1_600_000_000_123_456_789
    assert os.listxattr(there) == []


def test_a_source_that_changed_after_its_copy_is_not_deleted(bench: Bench) -> None:
    bench.file("x", b"content")
    of = moved(bench)
    bench.file("x", b"others")
    result = bench.one("settle", of)
    assert result["deleted"] is False and result["kept"]["code"] == "source.changed"
    assert (bench.source / "x").read_bytes() == b"others"


def test_nothing_is_deleted_when_the_moved_file_is_not_at_the_target(bench: Bench) -> None:
    bench.file("x", b"content")
    of = moved(bench)
    (bench.target / "x").unlink()
    assert not bench.one("settle", of)["ok"]
    (bench.target / "x").write_bytes(b"other size")
    assert bench.one("settle", of)["error"]["code"] == "checksum_mismatch"
    assert (bench.source / "x").read_bytes() == b"content"


def test_a_source_that_does_not_allow_it_loses_nothing(bench: Bench) -> None:
    bench.file("x", b"content")
    of = moved(bench)
    del bench.sources["s"]["parameters"]["deletable"]
    assert bench.one("settle", of)["kept"]["code"] == "source.not_deletable"
    assert (bench.source / "x").exists()
