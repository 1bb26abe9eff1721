"""What goes wrong half-way: crashes, full disks, sources that change, cancellation. The mover is frozen to meet it there."""
from __future__ import annotations

import hashlib
import itertools
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.kernel.errors import Unavailable
from tests.interface.mover.conftest import Bench, item, results_of


def test_a_copy_killed_half_way_leaves_no_final_name_and_goes_on_where_it_was(bench: Bench) -> None:
    size = 96 << 20
    content = os.urandom(1 << 20)
    with (bench.source / "x").open("wb") as stream:
        for _ in range(size >> 20):
            stream.write(content)
    bench.sources["s"]["parameters"]["limits"] = {"mib_per_s": 32}
    handle = bench.submit("copy", item("k", "x", size=size))
    os.kill(bench.stop_halfway(), signal.SIGKILL)
    with pytest.raises(Unavailable, match="worker.died"):
        list(handle)
    assert all(name.endswith(".part") for name in bench.left())
    del bench.sources["s"]["parameters"]["limits"]
    result = bench.one("copy", item("k", "x", size=size))
    assert result["ok"] and result["resumed_bytes"] > 0
    with (bench.source / "x").open("rb") as stream:
        assert result["checksum"] == "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
    assert subprocess.run(["cmp", bench.source / "x", bench.target / "i/x"]).returncode == 0
    assert bench.left() == ["i/x"]


def test_a_part_that_was_damaged_in_the_crash_is_repaired(bench: Bench) -> None:
    bench.file("x", os.urandom(40 << 20))
    bench.sources["s"]["parameters"]["limits"] = {"mib_per_s": 16}
    handle = bench.submit("copy", item("k", "x"))
    pid = bench.stop_halfway()
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(Unavailable):
        list(handle)
    part, = bench.target.rglob("*.part")
    with part.open("r+b") as stream:
        stream.write(b"garbage")
        stream.seek(50 << 20)
        stream.write(b"beyond the end")
    del bench.sources["s"]["parameters"]["limits"]
    assert bench.one("copy", item("k", "x"))["ok"]
    assert (bench.target / "i/x").read_bytes() == (bench.source / "x").read_bytes()


def test_a_source_that_changes_half_way_is_refused_and_nothing_stays(bench: Bench) -> None:
    there = bench.sparse("x")
    bench.sources["s"]["parameters"]["limits"] = {"mib_per_s": 64}
    handle = bench.submit("copy", item("k", "x"))
    pid = bench.stop_halfway()
    with there.open("r+b") as stream:
        stream.write(b"changed")
    os.kill(pid, signal.SIGCONT)
    error = results_of(handle, 1)["k"]["error"]
    assert (error["code"], error["retryable"]) == ("source.changed_during_copy", True)
    assert bench.left() == [] and list(bench.target.iterdir()) == []


def test_a_small_file_that_is_rewritten_while_it_is_copied_is_noticed_though_its_size_and_time_stay(bench: Bench) -> None:
    size = (1 << 20) - 1
    there = bench.file("x", b"a" * size)
    seen = os.stat(there)
    over = threading.Event()

    def rewrite() -> None:
        while not over.is_set():  # The last step of whoever rewrites it unnoticed; the first ones are noticed by other tests.
            os.utime(there, ns=(seen.st_atime_ns, seen.st_mtime_ns))

    writer = threading.Thread(target=rewrite)
    writer.start()
    refused: list[dict[str, Any]] = []
    until = time.monotonic() + 120
    try:
        for attempt in itertools.count():
            results = bench.run("copy", *(item(f"{attempt}-{number}", "x", f"{attempt}/{number}", size=size) for number in range(20)))
            refused = [result["error"] for result in results.values() if not result["ok"]]
            if refused or time.monotonic() > until:
                break
    finally:
        over.set()
        writer.join()
    assert refused and {(error["code"], error["retryable"]) for error in refused} == {("source.changed_during_copy", True)}


def test_a_source_that_vanishes_half_way_is_named_and_nothing_stays(bench: Bench) -> None:
    there = bench.sparse("x")
    bench.sources["s"]["parameters"]["limits"] = {"mib_per_s": 64}
    handle = bench.submit("copy", item("k", "x"))
    pid = bench.stop_halfway()
    there.unlink()
    os.kill(pid, signal.SIGCONT)
    assert results_of(handle, 1)["k"]["error"]["code"] == "source.vanished"
    assert bench.left() == []


def test_cancel_ends_a_copy_long_before_it_would_end_and_nothing_stays(bench: Bench) -> None:
    bench.sparse("x", 64 << 30)
    handle = bench.submit("copy", item("k", "x"), item("l", "x", "i/second"))
    pid = bench.stop_halfway()
    handle.cancel()
    os.kill(pid, signal.SIGCONT)
    began = time.monotonic()
    results = results_of(handle, 2)
    assert time.monotonic() - began < 30  # a second on a machine of its own; the two files would take many minutes
    assert {result["error"]["code"] for result in results.values()} == {"cancelled"}
    assert bench.left() == []


@pytest.mark.parametrize("size", [100_000, 3 << 20])
def test_a_file_that_may_not_grow_so_far_is_no_space(bench: Bench, size: int) -> None:
    bench.file("warm", b"")
    bench.file("x", b"x" * size)
    bench.run("verify", item("w", "warm"))
    resource.prlimit(bench.pool.pids()[0], resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
    assert bench.one("copy", item("k", "x"))["error"]["code"] == "target.no_space"
    assert bench.left() == []


@pytest.fixture
def small_disk(bench: Bench) -> Iterator[Path]:
    """A target of 2 MiB, where this user may make one; else files there may be no larger."""
    if os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", bench.target]).returncode == 0:
        yield bench.target
        subprocess.run(["umount", bench.target], check=True)
        return
    bench.file("warm", b"")
    bench.run("verify", item("w", "warm"))
    resource.prlimit(bench.pool.pids()[0], resource.RLIMIT_FSIZE, (2 << 20, resource.RLIM_INFINITY))
    yield bench.target


def test_a_full_disk_refuses_what_does_not_fit_and_keeps_what_does(bench: Bench, small_disk: Path) -> None:
    bench.file("big", b"b" * (5 << 20))
    bench.file("small", b"s" * 1000)
    results = bench.run("copy", item("b", "big"), item("s", "small"))
    assert results["b"]["error"]["code"] == "target.no_space"
    assert results["s"]["ok"]
    assert bench.left() == ["i/small"]
    bench.pool.stop()


def test_a_folder_that_may_not_be_written_is_named(bench: Bench) -> None:
    bench.file("x")
    (bench.target / "i").write_text("a file where a folder should be")
    assert bench.one("copy", item("k", "x"))["error"]["code"] == "target.exists"


def test_a_mover_without_a_parent_ends(bench: Bench) -> None:
    bench.file("x")
    bench.run("verify", item("k", "x"))
    process = bench.pool._workers[0].process
    bench.pool.stop()
    assert process.returncode is not None


def test_small_files_of_a_killed_copy_are_whole_or_not_there(bench: Bench) -> None:
    items = [item(f"k:{number}", f"{number}") for number in range(6_000)]
    for number in range(len(items)):
        bench.file(f"{number}", b"%06d" % number * 100)
    handle = bench.submit("copy", *items)
    next(message for message in handle if message.get("results"))
    os.kill(bench.pool.pids()[0], signal.SIGKILL)
    with pytest.raises(Unavailable, match="worker.died"):
        list(handle)
    left = bench.left()
    assert 0 < len(left) < len(items)
    assert all((bench.target / name).read_bytes() == (bench.source / Path(name).name).read_bytes() for name in left)
    results = bench.run("copy", *items)
    assert all(result["ok"] for result in results.values()) and len(bench.left()) == len(items)


def test_more_small_files_than_may_be_open_are_copied_all_the_same(bench: Bench) -> None:
    bench.file("warm", b"")
    bench.run("verify", item("w", "warm"))
    resource.prlimit(bench.pool.pids()[0], resource.RLIMIT_NOFILE, (128, 128))
    items = [item(f"k:{number}", f"{number}") for number in range(1_500)]
    for number in range(len(items)):
        bench.file(f"{number}", b"%06d" % number)
    results = bench.run("copy", *items)
    assert all(result["ok"] for result in results.values())
    assert len(bench.left()) == len(items) and not any(".part" in name for name in bench.left())
    assert (bench.target / "i/1499").read_bytes() == b"001499"

