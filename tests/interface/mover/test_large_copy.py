"""A large copy of a file of this machine, with a kernel that refuses, stops early or writes what it was not given. In this process, to meet it."""
from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.instances.mover.copying import copy

MIB = 1 << 20
SIZE = 5 * MIB + 12_345
KNOWN = pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])


class Here:
    """A job of one copy in this process, and what it says."""

    cancelled, elapsed_s = False, 0.0

    def __init__(self, folder: Path) -> None:
        self.source, self.target = folder / "source", folder / "target"
        self.source.mkdir()
        self.target.mkdir()
        self.content = os.urandom(SIZE)
        self.checksum = "sha256:" + hashlib.sha256(self.content).hexdigest()
        (self.source / "x").write_bytes(self.content)
        self.body: dict[str, Any] = {"sources": {
            "s": {"adaptor": "file", "parameters": {"rootdir": str(self.source)}},
            "t": {"adaptor": "file", "parameters": {"rootdir": str(self.target), "writable": True}}}}
        self.said: list[dict[str, Any]] = []

    def send(self, **message: Any) -> None:
        self.said.append(message)

    def copied(self, **more: Any) -> dict[str, Any]:
        """The one result."""
        self.said.clear()
        self.body["items"] = [{"key": "k", "source": "s", "path": "x", "target": "t", "target_path": "i/x", **more}]
        copy(self)  # type: ignore[arg-type]
        result, = [result for message in self.said for result in message.get("results", ())]
        return result

    def is_whole(self, result: dict[str, Any]) -> bool:
        return result.get("checksum") == self.checksum and (self.target / "i/x").read_bytes() == self.content and self.left() == ["i/x"]

    def left(self) -> list[str]:
        return sorted(str(path.relative_to(self.target)) for path in self.target.rglob("*") if not path.is_dir())


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Have the kernel's copying done by a function of the real one and its arguments; where each call was."""
    real = os.copy_file_range

    def be(does: Callable[..., int]) -> list[int]:
        places: list[int] = []

        def called(source: int, target: int, count: int, at: int, there: int) -> int:
            places.append(at)
            return does(real, source, target, count, at, there)
        monkeypatch.setattr(os, "copy_file_range", called)
        return places
    return be


def refuse(number: int) -> int:
    raise OSError(number, os.strerror(number))


@KNOWN
@pytest.mark.parametrize("verify", ["cache", "device"])
def test_a_copy_has_the_bytes_and_the_checksum_of_its_source_however_it_is_verified(here: Here, kernel: Any, verify: str, known: bool) -> None:
    places = kernel(lambda real, *call: real(*call))
    here.body["verify"] = verify
    assert here.is_whole(here.copied(checksum=here.checksum if known else None))
    assert places, "the kernel was not asked"
    assert here.said[-1]["done"]["bytes"] == SIZE


@pytest.mark.parametrize(("number", "after"), [
    (errno.EXDEV, 0), (errno.EINVAL, 0), (errno.ENOSYS, 0), (errno.EOPNOTSUPP, 0), (errno.EIO, 3 * MIB), (errno.EINVAL, 3 * MIB)])
def test_what_the_kernel_does_not_copy_is_read_and_written(here: Here, kernel: Any, number: int, after: int) -> None:
    places = kernel(lambda real, source, target, count, at, there: refuse(number) if at >= after else real(source, target, count, at, there))
    assert here.is_whole(here.copied())
    assert places[-1] == after, "it was asked again"


@pytest.mark.parametrize("most", [0, 10_001, 300_000])
def test_a_kernel_that_copies_less_than_it_was_asked_to_leaves_no_gap(here: Here, kernel: Any, most: int) -> None:
    kernel(lambda real, source, target, count, at, there: real(source, target, min(count, most), at, there) if most else 0)
    assert here.is_whole(here.copied())


@KNOWN
@pytest.mark.parametrize("verify", ["cache", "device"])
@pytest.mark.parametrize("at", [0, SIZE - 1])
def test_a_target_that_gives_back_another_byte_is_found_out_and_nothing_stays(here: Here, kernel: Any, verify: str, known: bool, at: int) -> None:
    def lie(real: Any, source: int, target: int, count: int, first: int, there: int) -> int:
        done = real(source, target, count, first, there)
        if first <= at < first + done:
            os.pwrite(target, bytes([here.content[at] ^ 1]), at)
        return done
    kernel(lie)
    here.body["verify"] = verify
    error = here.copied(checksum=here.checksum if known else None)["error"]
    assert (error["code"], error["kind"], error["retryable"]) == ("checksum_mismatch", "Unavailable", True)
    assert "not what is read back" in error["detail"] and here.left() == [] and list(here.target.iterdir()) == []


def test_a_source_that_has_not_the_checksum_of_the_catalogue_is_what_is_blamed(here: Here) -> None:
    error = here.copied(checksum="sha256:" + "0" * 64)["error"]
    assert (error["code"], error["kind"], error["retryable"]) == ("checksum_mismatch", "Conflict", False)
    assert f"'x' has {here.checksum}, the catalogue says sha256:000" in error["detail"] and here.left() == []


@KNOWN
def test_a_source_that_is_written_behind_the_copy_is_said_to_have_changed_not_the_target(here: Here, kernel: Any, known: bool) -> None:
    seen = os.stat(here.source / "x")

    def meanwhile(real: Any, source: int, target: int, count: int, at: int, there: int) -> int:
        done = real(source, target, count, at, there)
        if at == 0:
            with (here.source / "x").open("r+b") as stream:
                stream.write(bytes([here.content[0] ^ 1]))
            os.utime(here.source / "x", ns=(seen.st_atime_ns, seen.st_mtime_ns))
        return done
    kernel(meanwhile)
    error = here.copied(checksum=here.checksum if known else None)["error"]
    assert (error["code"], error["retryable"]) == ("source.changed_during_copy", True) and here.left() == []


@pytest.mark.parametrize("by", [-MIB, MIB])
def test_a_source_that_shrinks_or_grows_meanwhile_is_noticed(here: Here, kernel: Any, by: int) -> None:
    def meanwhile(real: Any, source: int, target: int, count: int, at: int, there: int) -> int:
        if at == 0:
            os.truncate(here.source / "x", SIZE + by)
        return real(source, target, count, at, there)
    kernel(meanwhile)
    assert here.copied()["error"]["code"] == "source.changed_during_copy" and here.left() == []


def test_a_source_that_ends_before_it_says_is_not_taken_for_whole(here: Here, kernel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel(lambda real, source, target, count, at, there: 0 if at == 3 * MIB else real(source, target, count, at, there))
    monkeypatch.setattr(os, "preadv", lambda fd, buffers, at, real=os.preadv: 0 if at == 3 * MIB else real(fd, buffers, at))
    assert here.copied()["error"]["code"] == "source.changed_during_copy" and here.left() == []


def test_whether_the_source_or_the_target_fails_is_told(here: Here, kernel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel(lambda *_: refuse(errno.EIO))
    monkeypatch.setattr(os, "pwrite", lambda *_: refuse(errno.EIO))
    assert here.copied()["error"]["code"] == "target.not_writable" and here.left() == []
    monkeypatch.setattr(os, "preadv", lambda *_: refuse(errno.EIO))
    assert here.copied()["error"]["code"] == "source.unreadable"


@KNOWN
def test_of_a_part_that_is_there_only_what_is_wrong_is_copied_again(here: Here, kernel: Any, monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    sum_known = here.checksum if known else None
    kernel(lambda real, source, target, count, at, there: refuse(errno.EIO) if at >= 3 * MIB else real(source, target, count, at, there))
    with monkeypatch.context() as failing:
        failing.setattr(os, "preadv", lambda fd, buffers, at, real=os.preadv: refuse(errno.EIO) if at == 3 * MIB else real(fd, buffers, at))
        assert here.copied(checksum=sum_known)["error"]["code"] == "source.unreadable"
    part, = here.target.rglob("*.part")
    with part.open("r+b") as stream:
        stream.seek(MIB + 5)
        stream.write(b"garbage")
    places = kernel(lambda real, *call: real(*call))
    result = here.copied(checksum=sum_known)
    assert here.is_whole(result)
    assert places[:2] == [MIB, 3 * MIB] and result["resumed_bytes"] == 2 * MIB
