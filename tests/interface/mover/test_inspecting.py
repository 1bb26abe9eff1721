"""What is copied is looked at on its way: by its first bytes, and by a real clamd. What is refused leaves nothing."""
from __future__ import annotations

import os
import shutil
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.interface.mover.conftest import Bench, item
from tests.support.clamd import EICAR, FINDING, Clamd

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
MIB = 1 << 20


def asked(**more: Any) -> dict[str, Any]:
    return {"types": "off", "scanner": "", "scanner_timeout_s": 20, "scanner_max_bytes": 100 * MIB, "above": "refuse", "in_place": False, **more}


@pytest.fixture(params=["unix", "tcp"])
def scanned(request: pytest.FixtureRequest, bench: Bench, clamd: Clamd) -> Bench:
    """A mover that has everything scanned, by the socket or by the port."""
    bench.inspect = asked(scanner=getattr(clamd, request.param))
    return bench


@contextmanager
def pretender(*answers: bytes) -> Iterator[tuple[str, threading.Event]]:
    """A scanner that takes one stream after the other and says this; after the last one it says nothing, and it is told that it was asked so far."""
    asked_all = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        def serve() -> None:
            for answer in [*answers, b""]:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return  # Nobody came any more.
                with connection, connection.makefile("rb") as stream:
                    stream.read(len(b"zINSTREAM\0"))
                    while (size := struct.unpack(">I", stream.read(4))[0]):
                        stream.read(size)
                    connection.sendall(answer)
                    if not answer:
                        asked_all.set()
                        time.sleep(120)
        threading.Thread(target=serve, daemon=True).start()
        yield f"tcp://127.0.0.1:{listening.getsockname()[1]}", asked_all


@pytest.mark.parametrize("before", [0, 3 * MIB], ids=["small", "large"])
def test_what_the_scanner_finds_is_not_copied_and_leaves_nothing_while_the_rest_is(scanned: Bench, before: int) -> None:
    scanned.file("good.bin", b"x" * before + b"good")
    scanned.file("bad.bin", b"x" * before + EICAR)
    results = scanned.run("copy", item("g", "good.bin"), item("b", "bad.bin"))
    assert results["g"]["ok"] and results["g"]["inspected"] == {"scanner": "clean"}
    error = results["b"]["error"]
    assert (error["code"], error["retryable"], error["extra"]["finding"]) == ("data.malicious", False, FINDING)
    assert FINDING in error["detail"] and "bad.bin" in error["detail"] and error["next_step"]
    assert scanned.left() == ["i/good.bin"]


def test_many_small_files_are_scanned_though_all_of_them_are_open_at_a_time(scanned: Bench) -> None:
    for number in range(1_100):
        scanned.file(f"{number}.txt", b"text")
    results = scanned.run("copy", *(item(f"k{number}", f"{number}.txt") for number in range(1_100)))
    assert [result for result in results.values() if result.get("inspected") != {"scanner": "clean"}] == []


def test_one_bad_file_of_a_folder_refuses_the_folder(scanned: Bench) -> None:
    scanned.sources["s"]["parameters"]["folders_as_data"] = ["*.zarr"]
    scanned.file("day.zarr/0", b"good")
    scanned.file("day.zarr/1", EICAR)
    error = scanned.one("copy", item("k", "day.zarr"))["error"]
    assert error["code"] == "data.malicious" and "1" in error["detail"]
    assert scanned.left() == []
    (scanned.source / "day.zarr/1").write_bytes(b"better")
    assert scanned.one("copy", item("k", "day.zarr"))["inspected"] == {"scanner": "clean"}


def test_what_stays_where_it_is_is_scanned_where_that_is_asked_for_and_only_there(scanned: Bench) -> None:
    scanned.sources["s"]["parameters"]["folders_as_data"] = ["*.zarr"]
    scanned.file("bad.bin", EICAR)
    scanned.file("day.zarr/1", EICAR)
    places = [{"key": path, "source": "s", "path": path} for path in ("bad.bin", "day.zarr")]
    assert all(result["ok"] and "inspected" not in result for result in scanned.run("verify", *places).values())
    scanned.inspect |= {"in_place": True}
    assert {result["error"]["code"] for result in scanned.run("verify", *places).values()} == {"data.malicious"}
    assert (scanned.source / "bad.bin").read_bytes() == EICAR
    scanned.file("good.bin")
    assert scanned.one("verify", {"key": "g", "source": "s", "path": "good.bin"})["inspected"] == {"scanner": "clean"}


def test_while_the_scanner_is_away_nothing_is_copied_and_once_it_is_back_all_is(bench: Bench) -> None:
    scanner = Clamd()
    try:
        bench.inspect = asked(scanner=scanner.unix)
        bench.file("a.txt")
        bench.file("big.bin", os.urandom(2 * MIB))
        scanner.kill()
        for result in bench.run("copy", item("a", "a.txt"), item("b", "big.bin")).values():
            assert (result["error"]["code"], result["error"]["retryable"]) == ("scanner.unavailable", True)
        assert [path for path in bench.left() if not path.startswith("i/.edgemere-")] == []
        scanner.start()
        assert all(result["inspected"] == {"scanner": "clean"} for result in bench.run("copy", item("a", "a.txt"), item("b", "big.bin")).values())
    finally:
        scanner.stop()


@pytest.mark.parametrize("answer", [b"", b"stream: Can't allocate memory ERROR\0", b"hello\0", b"stream: OKAY\0", b"OK\0"])
def test_what_is_no_clear_answer_is_not_taken_for_a_good_one(bench: Bench, answer: bytes) -> None:
    bench.file("a.txt")
    with pretender(answer) as (address, _):
        bench.inspect = asked(scanner=address, scanner_timeout_s=1)
        began = time.monotonic()
        result = bench.one("copy", item("a", "a.txt"))
    assert result["error"]["code"] == "scanner.unavailable" and bench.left() == []
    assert time.monotonic() - began < 60


def test_a_copy_that_waits_for_the_scanner_can_be_cancelled(bench: Bench) -> None:
    bench.file("a.txt")
    with pretender() as (address, is_asked):
        bench.inspect = asked(scanner=address, scanner_timeout_s=200)
        handle = bench.submit("copy", item("a", "a.txt"))
        assert is_asked.wait(120)
        began = time.monotonic()
        handle.cancel()
        code, = [result["error"]["code"] for message in handle for result in message.get("results", ())]
    assert code == "cancelled" and time.monotonic() - began < 60 and bench.left() == []


@pytest.mark.parametrize(("most", "bound"), [(2 * MIB, "StreamMaxLength"), (100 * MIB, "StreamMaxLength"), (100 * MIB, "MaxFileSize")],
                         ids=["by the setting", "by the scanner", "by the scanner, which says so afterwards"])
def test_what_is_larger_than_is_scanned_is_refused_or_passes_as_the_settings_say(bench: Bench, most: int, bound: str) -> None:
    scanner = Clamd(**{bound: "2M"})
    try:
        bench.inspect = asked(scanner=scanner.unix, scanner_max_bytes=most)
        bench.file("big.bin", bytes(5 * MIB))
        bench.file("fits.bin", bytes(MIB + 1))
        results = bench.run("copy", item("b", "big.bin"), item("f", "fits.bin"))
        assert results["b"]["error"]["code"] == "data.not_scanned" and not results["b"]["error"]["retryable"]
        assert results["f"]["inspected"] == {"scanner": "clean"} and bench.left() == ["i/fits.bin"]
        bench.inspect |= {"above": "pass"}
        assert bench.one("copy", item("b", "big.bin"))["inspected"] == {"scanner": "too_large"}
    finally:
        scanner.stop()


@pytest.mark.parametrize("more", [0, 2 * MIB], ids=["small", "large"])
def test_what_is_not_what_its_name_says_is_refused_or_the_result_says_so(bench: Bench, more: int) -> None:
    bench.file("picture.csv", PNG + bytes(more))
    bench.file("true.png", PNG + bytes(more))
    bench.file("served", PNG + bytes(more))
    bench.file("nobody.knows", PNG + bytes(more))
    items = item("p", "picture.csv"), item("t", "true.png"), item("s", "served", media_type="application/json"), item("n", "nobody.knows")
    bench.inspect = asked(types="warn")
    results = bench.run("copy", *items)
    assert {key: result["inspected"]["types"] for key, result in results.items()} == {"p": "unlike", "t": "as_named", "s": "unlike", "n": "unknown"}
    assert "'picture.csv' is named as text" in results["p"]["inspected"]["warning"] and "a PNG image" in results["p"]["inspected"]["warning"]
    shutil.rmtree(bench.target / "i")
    bench.inspect = asked(types="refuse")
    results = bench.run("copy", *items)
    assert {key: result.get("error", {}).get("code") for key, result in results.items()} == {
        "p": "data.type_mismatch", "t": None, "s": "data.type_mismatch", "n": None}
    assert results["p"]["error"]["retryable"] is False and bench.left() == ["i/nobody.knows", "i/true.png"]


def test_without_a_wish_nothing_is_inspected_and_no_result_says_so(bench: Bench, tmp_path: Path) -> None:
    bench.inspect = asked()
    bench.file("picture.csv", PNG + EICAR)
    result = bench.one("copy", item("p", "picture.csv"))
    assert result["ok"] and "inspected" not in result
