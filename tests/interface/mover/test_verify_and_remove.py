"""Data left in place, and copies that go to the trash, come back, or go for good."""
from __future__ import annotations

import hashlib
import os

from shared.sources.file import stamp_of_ns
from tests.interface.mover.conftest import Bench, item


def test_data_left_in_place_is_verified_by_size_and_time_or_by_checksum(bench: Bench) -> None:
    there = bench.file("a b.csv", b"1,2")
    known = {"size": 3, "modified_at": stamp_of_ns(there.stat().st_mtime_ns)}
    checksum = "sha256:" + hashlib.sha256(b"1,2").hexdigest()
    results = bench.run("verify", item("plain", "a b.csv", **known), item("sum", "a b.csv", **known, checksum=checksum),
                        item("bad", "a b.csv", checksum="sha256:" + "0" * 64), item("gone", "none"), item("grew", "a b.csv", size=2))
    assert results["plain"] == {"key": "plain", "ok": True, "uri": f"file://{bench.source}/a%20b.csv", "path": str(there), "size": 3,
                                "checksum": None, "verified": "size_mtime"}
    assert (results["sum"]["verified"], results["sum"]["checksum"]) == ("checksum", checksum)
    assert results["bad"]["error"]["code"] == "checksum_mismatch"
    assert results["gone"]["error"]["code"] == "source.vanished"
    assert results["grew"]["error"]["code"] == "source.changed"


def test_a_name_that_is_not_utf8_is_opened_by_its_uri(bench: Bench) -> None:
    with open(os.path.join(os.fsencode(bench.source), b"caf\xe9"), "wb"):
        pass
    result = bench.one("verify", item("k", "caf\\xe9"))
    assert (result["path"], result["uri"]) == (None, f"file://{bench.source}/caf%E9")


def test_a_discarded_copy_leaves_its_path_and_comes_back_verified(bench: Bench) -> None:
    bench.file("x", b"bytes")
    copied = bench.one("copy", item("k", "x"))
    assert bench.one("discard", item("k", "x")) == {"key": "k", "ok": True, "trashed": True, "foreign": False}
    assert bench.left() == [".edgemere-trash/k"] and not (bench.target / "i").exists()
    assert bench.one("discard", item("k", "x"))["trashed"] is False
    restored = bench.one("restore", item("k", "x", checksum=copied["checksum"]))
    assert restored["ok"] and restored["verified"] == "checksum"
    assert (bench.target / "i/x").read_bytes() == b"bytes"
    assert bench.one("restore", item("k", "x"))["ok"], "the second time finds it done"


def test_restore_says_when_the_trash_is_empty_or_the_place_is_taken(bench: Bench) -> None:
    assert bench.one("restore", item("k", "x"))["error"]["code"] == "target.trash_empty"
    assert list(bench.target.iterdir()) == []
    bench.file("x", b"bytes")
    bench.run("copy", item("k", "x"))
    bench.run("discard", item("k", "x"))
    (bench.target / "i").mkdir()
    (bench.target / "i/x").write_text("theirs")
    assert bench.one("restore", item("k", "x"))["error"]["code"] == "target.exists"
    assert (bench.target / "i/x").read_text() == "theirs"


def test_purge_removes_trash_part_and_copy_of_its_key_only(bench: Bench) -> None:
    bench.file("x")
    bench.file("y")
    bench.run("copy", item("k", "x"), item("l", "y"))
    bench.run("discard", item("k", "x"))
    assert bench.one("purge", item("k", "x")) == {"key": "k", "ok": True, "purged": True}
    assert bench.left() == ["i/y"]
    assert bench.one("purge", item("k", "x"))["purged"] is False
    assert bench.one("purge", item("l", "y"))["purged"] is True
    assert list(bench.target.iterdir()) == []


def test_files_of_others_are_neither_discarded_nor_purged(bench: Bench) -> None:
    (bench.target / "i").mkdir()
    (bench.target / "i/x").write_text("theirs")
    assert bench.one("discard", item("k", "x")) == {"key": "k", "ok": True, "trashed": False, "foreign": True}
    assert bench.one("purge", item("k", "x"))["purged"] is False
    bench.file("y")
    bench.run("copy", item("l", "y"))
    assert bench.one("discard", item("other", "y"))["foreign"] is True
    assert bench.left() == ["i/x", "i/y"]


def test_the_source_itself_is_never_touched_by_any_of_it(bench: Bench) -> None:
    there = bench.file("x", b"bytes")
    before = os.stat(there)
    for op in ("verify", "copy", "discard", "restore", "purge"):
        bench.run(op, item("k", "x"))
    after = os.stat(there)
    assert (before.st_ino, before.st_mtime_ns, before.st_ctime_ns) == (after.st_ino, after.st_mtime_ns, after.st_ctime_ns)
