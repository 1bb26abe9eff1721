"""Many small copies: written (by a few threads where the source is remote), forced to the device together, renamed, and only then called done.

One ``syncfs`` for a batch costs about what one ``fsync`` does; a batch of one uses ``fsync``. Nothing has its final name before
that, and no result is sent before the folders are forced as well.
"""
from __future__ import annotations

import hashlib
import itertools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from services.instances.mover.copying import LARGE, already_there, changed, finish, keep_time, unchanged
from services.instances.mover.looking import as_known, read, same_checksum, source_of
from services.instances.mover.target import Spot, exists, mark, remove_empty, rename_new, sync_file_system, sync_folders, target_error
from services.instances.mover.work import Work
from shared.kernel.errors import Conflict, Invalid, Unavailable
from shared.sources.beneath import source_error
from shared.sources.file import FileSource, stat_of
from shared.sources.port import Source, Stat

THREADS = 1  # Of local files: a second thread waits for the interpreter more than it gains (10,000 files on tmpfs: 1.4 s with one, 1.8 s with two).
THREADS_REMOTE = 8
BATCH = 1_000
BATCH_BYTES = 64 << 20
_CREATE = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class _Written:
    """A copy under its temporary name."""

    __slots__ = ("item", "spot", "size", "checksum")

    def __init__(self, item: Mapping[str, Any], spot: Spot, size: int, checksum: str) -> None:
        self.item, self.spot, self.size, self.checksum = item, spot, size, checksum


def copy_small(work: Work, items: Sequence[Mapping[str, Any]]) -> None:
    """Copy the items; each gets its result. Those that turn out to be large meanwhile fail as changed."""
    total = sum(item.get("size") or 0 for item in items)
    moved = 0
    batch: list[Mapping[str, Any]] = []
    batch_bytes = 0
    for number, item in enumerate(items):
        batch.append(item)
        batch_bytes += item.get("size") or 0
        if len(batch) >= BATCH or batch_bytes >= BATCH_BYTES or number == len(items) - 1:
            _batch(work, batch)
            moved += batch_bytes
            if len(items) > BATCH:
                work.progress(None, moved, total, "copying")
            batch, batch_bytes = [], 0


def _batch(work: Work, items: Sequence[Mapping[str, Any]]) -> None:
    written: list[_Written] = []

    def one(item: Mapping[str, Any]) -> None:
        with work.transfer(item):
            done = _write(work, item, alone=len(items) == 1)
        if done is not None:
            written.append(done)

    _side_by_side(work, items, one)
    try:
        if len(items) > 1:
            for root in {copy.spot.root for copy in written}:
                sync_file_system(root.device())
    except OSError as error:
        for copy in written:
            _give_up(work, copy, target_error(error, copy.spot.shown()))
        return
    placed = [copy for copy in written if _place(work, copy)]
    _sync_folders(placed)
    for copy in placed:
        finish(work, copy.item, copy.size, copy.checksum, copy.size)


def _side_by_side(work: Work, items: Sequence[Mapping[str, Any]], one: Callable[[Mapping[str, Any]], None]) -> None:
    remaining = iter(items)
    lock = threading.Lock()

    def serve() -> None:
        while True:
            with lock:
                some = list(itertools.islice(remaining, 8))
            if not some:
                return
            for item in some:
                work.attempt(item, one)

    threads = [threading.Thread(target=serve, daemon=True) for _ in range(min(_width(work, items), len(items)) - 1)]
    for thread in threads:
        thread.start()
    serve()
    for thread in threads:
        thread.join()


def _width(work: Work, items: Sequence[Mapping[str, Any]]) -> int:
    try:
        remote = not hasattr(work.place(items[0], "source"), "root")
    except Exception:
        remote = False
    return THREADS_REMOTE if remote else THREADS


def _write(work: Work, item: Mapping[str, Any], alone: bool) -> _Written | None:
    """Read, write, read back, compare; None when an earlier attempt had put the copy in place (and its result is said)."""
    source = source_of(work, item)
    spot = Spot(work.place(item, "target"), item["key"], item["target_path"])
    try:
        there = already_there(work, item, spot)
        if there is not None:
            finish(work, item, *there, 0)
            return None
        before, content = _content_of_file(item, source) if isinstance(source, FileSource) else _content(item, source)
        work.pace(item, len(content))
        checksum = "sha256:" + hashlib.sha256(content).hexdigest()
        same_checksum(item, checksum)
        _write_part(spot, content, alone, lambda fd: keep_time(item, fd, before))
        return _Written(item, spot, len(content), checksum)
    except OSError as error:
        raise target_error(error, spot.shown()) from None


def _content(item: Mapping[str, Any], source: Source) -> tuple[Stat, bytes]:
    """What the source says of the item, and its bytes. Raises ``source.changed_during_copy`` and what the source says."""
    path = item["path"]
    with source.open(path) as stream:
        before: Stat = stream.stat  # type: ignore[attr-defined]
        as_known(item, before)
        content = _whole(stream, LARGE if before.size is None else before.size, path)
    if before.size is not None and len(content) != before.size or len(content) > LARGE:
        raise changed(path)
    unchanged(source, path, before)
    return before, content


def _content_of_file(item: Mapping[str, Any], source: FileSource) -> tuple[Stat, bytes]:
    """The same of a local file with half the calls: the open file tells whether anybody touched it, by ctime also if it was renamed or removed."""
    path = item["path"]
    fd, found = source.root.open_file(path)
    try:
        before = stat_of(found)
        as_known(item, before)
        size = found.st_size
        if size > LARGE:
            raise changed(path)
        try:
            content = os.read(fd, size + 1)
            while len(content) < size and (more := os.read(fd, size + 1 - len(content))):
                content += more
        except OSError as error:
            raise source_error(error, path) from None
        now = os.fstat(fd)
    finally:
        os.close(fd)
    if len(content) != size:
        raise changed(path)
    if (now.st_ctime_ns, now.st_mtime_ns, now.st_size) != (found.st_ctime_ns, found.st_mtime_ns, size):
        unchanged(source, path, before)
    return before, content


def _whole(stream: Any, expected: int, path: str) -> bytes:
    """Up to ``min(expected, LARGE) + 1`` bytes; stops at what was expected, for the look at the source afterwards tells whether it grew."""
    most = min(expected, LARGE) + 1
    content = read(stream, most, path)
    while len(content) != expected and len(content) < most and (more := read(stream, most - len(content), path)):
        content += more
    return content


def _write_part(spot: Spot, content: bytes, alone: bool, written: Callable[[int], None]) -> None:
    try:
        folder = spot.folder(create=True)
        fd = os.open(spot.part, _CREATE, 0o666, dir_fd=folder.fd)
    except FileNotFoundError:
        # The folder was empty, and somebody who removed the last copy in it took it away meanwhile.
        spot.root.forget(spot.folder_path)
        folder = spot.folder(create=True)
        fd = os.open(spot.part, _CREATE, 0o666, dir_fd=folder.fd)
    try:
        mark(fd, spot.key)
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view):]
        written(fd)
        if alone:
            os.fsync(fd)
        if os.pread(fd, len(content) + 1, 0) != content:
            raise Unavailable("checksum_mismatch", f"What was written to '{spot.shown()}' is not what is read back.",
                              next_step="Look at the target's disk.")
    except BaseException:
        os.unlink(spot.part, dir_fd=folder.fd)
        remove_empty(spot.root, spot.folder_path)
        raise
    finally:
        os.close(fd)


def _place(work: Work, copy: _Written) -> bool:
    try:
        work.check()
        folder = copy.spot.folder()
        try:
            rename_new(folder.fd, copy.spot.part, folder.fd, copy.spot.name)
        except FileExistsError:
            raise exists(copy.spot.shown()) from None
        return True
    except OSError as error:
        _give_up(work, copy, target_error(error, copy.spot.shown()))
    except (Conflict, Invalid) as error:
        _give_up(work, copy, error)
    return False


def _give_up(work: Work, copy: _Written, error: Exception) -> None:
    try:
        folder = copy.spot.folder()
        os.unlink(copy.spot.part, dir_fd=folder.fd)
        remove_empty(copy.spot.root, copy.spot.folder_path)
    except OSError:
        pass
    work.failed(copy.item, error)


def _sync_folders(placed: Sequence[_Written]) -> None:
    by_root: dict[Any, set[bytes]] = {}
    for copy in placed:
        by_root.setdefault(copy.spot.root, set()).add(copy.spot.folder_path)
    for root, folders in by_root.items():
        sync_folders(root, folders)
