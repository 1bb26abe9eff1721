"""What a copy is, whatever its size, and what it never does."""
from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tests.interface.mover.conftest import Bench, item

SIZES = [0, 1, 4096, (1 << 20) - 1, 1 << 20, (8 << 20) + 17, 33 << 20]


@pytest.mark.parametrize("size", SIZES)
def test_a_copy_has_the_bytes_and_the_checksum_of_its_source(bench: Bench, size: int) -> None:
    content = os.urandom(size)
    bench.file("a/b.bin", content)
    result = bench.one("copy", item("k", "a/b.bin", size=size))
    assert result["ok"], result
    assert result["checksum"] == "sha256:" + hashlib.sha256(content).hexdigest()
    assert (result["size"], result["verified"]) == (size, "checksum")
    assert Path(result["path"]).read_bytes() == content
    assert result["uri"] == f"file://{bench.target}/i/a/b.bin"
    assert bench.left() == ["i/a/b.bin"]


@pytest.mark.parametrize("size", [10, 3 << 20])
def test_copying_again_under_the_same_key_finds_the_work_done(bench: Bench, size: int) -> None:
    bench.file("x", os.urandom(size))
    first = bench.one("copy", item("k", "x"))
    inode = os.stat(first["path"]).st_ino
    assert bench.one("copy", item("k", "x"))["checksum"] == first["checksum"]
    assert os.stat(first["path"]).st_ino == inode


@pytest.mark.parametrize("size", [10, 3 << 20])
@pytest.mark.parametrize("content", ["same", "other"])
def test_a_file_of_somebody_else_is_never_replaced(bench: Bench, size: int, content: str) -> None:
    bench.file("x", b"s" * size)
    (bench.target / "i").mkdir()
    there = bench.target / "i/x"
    there.write_bytes(b"s" * size if content == "same" else b"theirs")
    before = there.read_bytes()
    result = bench.one("copy", item("k", "x"))
    assert result["error"]["code"] == "target.exists"
    assert there.read_bytes() == before
    assert bench.left() == ["i/x"]


def test_many_small_files_all_arrive_with_one_result_each(bench: Bench) -> None:
    for number in range(1203):
        bench.file(f"d{number % 7}/{number}", str(number).encode())
    results = bench.run("copy", *(item(f"k{n}", f"d{n % 7}/{n}", size=len(str(n))) for n in range(1203)))
    assert all(result["ok"] for result in results.values())
    assert all((bench.target / f"i/d{n % 7}/{n}").read_text() == str(n) for n in range(1203))
    assert len(bench.left()) == 1203


def test_one_bad_item_does_not_harm_the_others(bench: Bench) -> None:
    bench.file("good")
    results = bench.run("copy", item("a", "good"), item("b", "missing"), item("c", "../x", "i/x"), item("d", "good", "../out"),
                        item("e", "good", "i/.edgemere-x"))
    assert results["a"]["ok"]
    assert results["b"]["error"]["code"] == "source.vanished"
    assert {results[key]["error"]["code"] for key in "cde"} == {"source.bad_path"}
    assert bench.left() == ["i/good"]


@pytest.mark.parametrize("size", [5, 2 << 20])
def test_what_is_not_as_the_catalogue_says_is_refused(bench: Bench, size: int) -> None:
    bench.file("x", b"a" * size)
    results = bench.run(
        "copy", item("size", "x", "1", size=size + 1), item("time", "x", "2", size=size, modified_at="2001-01-01T00:00:00.000000Z"),
        item("sum", "x", "3", size=size, checksum="sha256:" + "0" * 64))
    assert results["size"]["error"]["code"] == "source.changed"
    assert results["time"]["error"]["code"] == "source.changed"
    assert results["sum"]["error"]["code"] == "checksum_mismatch"
    assert bench.left() == []


def test_names_that_are_hard_arrive_under_names_that_open(bench: Bench) -> None:
    from shared.sources.paths import from_bytes, target_path

    names = [b"a b'\"\n.txt", b"caf\xe9.txt", b"back\\slash", "ü/ø".encode(), b"n" * 255]
    items = []
    for number, name in enumerate(names):
        native = os.path.join(os.fsencode(bench.source), name)
        os.makedirs(os.path.dirname(native), exist_ok=True)
        with open(native, "wb") as stream:
            stream.write(name)
        items.append(item(f"k{number}", from_bytes(name), target_path("i-0", from_bytes(name))))
    results = bench.run("copy", *items)
    for number, name in enumerate(names):
        assert results[f"k{number}"]["ok"], results[f"k{number}"]
        assert Path(results[f"k{number}"]["path"]).read_bytes() == name


def test_a_link_is_neither_read_through_nor_written_through(bench: Bench, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (bench.source / "link").symlink_to(outside / "secret")
    (bench.source / "folder").symlink_to(outside)
    (bench.target / "way").symlink_to(outside)
    bench.file("x")
    results = bench.run("copy", item("a", "link"), item("b", "folder/secret", "i/s"), item("c", "x", "way/x"))
    assert results["a"]["error"]["code"] == "source.bad_path"
    assert results["b"]["error"]["code"] in ("source.bad_path", "source.vanished")
    assert results["c"]["error"]["code"] == "target.exists"
    assert sorted(os.listdir(outside)) == ["secret"]


def test_a_target_that_takes_no_copies_says_so(bench: Bench) -> None:
    bench.file("x")
    bench.sources["t"]["parameters"]["writable"] = False
    assert bench.one("copy", item("k", "x"))["error"]["code"] == "target.not_writable"


def test_a_simulated_source_has_no_bytes_to_copy_and_is_verified_as_simulated(bench: Bench) -> None:
    bench.sources["s"] = {"adaptor": "simulated", "parameters": {"listing": {"a": {"size": 5}}}}
    assert bench.one("copy", item("k", "a"))["error"]["code"] == "source.no_bytes"
    assert bench.one("verify", item("k", "a", size=5)) == {
        "key": "k", "ok": True, "uri": None, "path": None, "size": 5, "checksum": None, "verified": "simulated"}


def test_a_job_that_cannot_be_read_fails_as_a_whole(bench: Bench) -> None:
    from shared.kernel.errors import Invalid

    with pytest.raises(Invalid, match="worker.bad_job"):
        bench.run("copy", item("k", "x"), item("k", "y"))
    with pytest.raises(Invalid, match="worker.bad_job"):
        bench.run("copy", item("../k", "x"))
