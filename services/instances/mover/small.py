"""Many small copies: written (by a few threads where the source is remote), forced to the device together, named, and only then called done.

One ``syncfs`` for a batch costs about what one ``fsync`` does; a batch of one uses ``fsync``. While the device takes one batch the
next is written, so each ``syncfs`` forces out the files of one batch and the names of the one before. Nothing has its final name
before its bytes are on the device, and no result is sent before its name is there as well. Until then it has none at all, where the
file system knows files without one: making and naming it takes half of what making and renaming it does, and a folder is held for
one call of each file, so that two processes hardly wait for each other.

Each call counts here: of a file of 4 KiB, ``cp`` makes a copy in 17 µs. So whether a copy is there already is not asked before it
is written, but when its name turns out to be taken, or it cannot be written.
"""
from __future__ import annotations

import hashlib
import itertools
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from services.instances.mover.copying import LARGE, already_there, changed, finish, keep_time, keeps_time, unchanged
from services.instances.mover.inspecting import whole
from services.instances.mover.looking import as_known, read, same_checksum
from services.instances.mover.target import Spot, mark, sync_file_system, sync_folders, target_error
from services.instances.mover.unplaced import Copy, Way
from services.instances.mover.work import Work
from shared.kernel.errors import EdgemereError, Unavailable
from shared.sources.beneath import Root, source_error
from shared.sources.file import stat_of
from shared.sources.paths import to_bytes
from shared.sources.port import Source, Stat

THREADS = 1  # Of local files: a second thread waits for the interpreter more than it gains (10,000 files on tmpfs: 1.4 s with one, 1.8 s with two).
THREADS_REMOTE = 8  # Also where a scanner is waited for.
BATCH = 1_000
BATCH_BYTES = 64 << 20


def copy_small(work: Work, items: Sequence[Mapping[str, Any]]) -> None:
    """Copy the items; each gets its result. Those that turn out to be large meanwhile fail as changed."""
    total = sum(item.get("size") or 0 for item in items)
    line, moved = _Line(work), 0
    for batch in _batches(items):
        line.take(batch, last=len(batch) == len(items))
        moved += sum(item.get("size") or 0 for item in batch)
        if len(items) > len(batch):
            work.progress(None, moved, total, "copying")
    line.end()


def _batches(items: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    batch: list[Mapping[str, Any]] = []
    size = 0
    for item in items:
        batch.append(item)
        size += item.get("size") or 0
        if len(batch) >= BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _Line:
    """The batches on their way: the one that the device takes (``_written``), and the one whose names it takes (``_placed``)."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._written: list[Copy] = []
        self._placed: list[Copy] = []
        self._sync: _Sync | None = None

    def take(self, items: Sequence[Mapping[str, Any]], last: bool = False) -> None:
        """Write a batch; meanwhile the device has taken the one before, which gets its names."""
        alone = last and len(items) == 1
        written = _written(self._work, items, alone)
        self._advance()
        self._written = written
        if not alone:
            self._sync = _Sync({copy.way.root for copy in written} | {copy.way.root for copy in self._placed})

    def end(self) -> None:
        """Wait until all is on the device, under its name."""
        self._advance()
        self._advance()

    def _advance(self) -> None:
        sync, self._sync = self._sync, None
        written, self._written = self._written, []
        placed, self._placed = self._placed, []
        failed: OSError | None = None
        try:
            if sync is not None:
                sync.wait()
            elif placed:
                _sync_folders(placed)
        except OSError as error:
            failed = error
        for copy in placed:
            if failed is not None:
                _give_up(self._work, copy, target_error(failed, copy.item["target_path"]), placed=True)
            else:
                finish(self._work, copy.item, copy.size, copy.checksum, copy.size)
        for copy in written:
            if failed is not None:
                _give_up(self._work, copy, target_error(failed, copy.item["target_path"]))
            elif _place(self._work, copy):
                self._placed.append(copy)


class _Sync:
    """A ``syncfs`` of some places, under way in a thread of its own."""

    def __init__(self, roots: set[Root]) -> None:
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, args=(roots,), daemon=True)
        self._thread.start()

    def _run(self, roots: set[Root]) -> None:
        try:
            for root in roots:
                sync_file_system(root.device())
        except OSError as error:
            self._error = error

    def wait(self) -> None:
        """Raises OSError: what a device said."""
        self._thread.join()
        if self._error is not None:
            raise self._error


def _written(work: Work, items: Sequence[Mapping[str, Any]], alone: bool) -> list[Copy]:
    """The copies of a batch under their temporary names; what cannot be copied has its result."""
    written: list[Copy] = []
    remaining = iter(items)
    lock = threading.Lock()

    def serve() -> None:
        ways: dict[Any, Way] = {}
        while True:
            with lock:
                some = list(itertools.islice(remaining, 8))
            if not some:
                return
            for item in some:
                try:
                    work.check()
                    if work.limited:
                        with work.transfer(item):
                            copy = _write(work, item, ways, alone)
                    else:
                        copy = _write(work, item, ways, alone)
                    if copy is not None:
                        written.append(copy)
                except Exception as error:
                    work.failed(item, error)

    threads = [threading.Thread(target=serve, daemon=True) for _ in range(min(_width(work, items), len(items)) - 1)]
    for thread in threads:
        thread.start()
    serve()
    for thread in threads:
        thread.join()
    return written


def _width(work: Work, items: Sequence[Mapping[str, Any]]) -> int:
    try:
        remote = not hasattr(work.place(items[0], "source"), "root")
    except Exception:
        remote = False
    return THREADS_REMOTE if remote or work.inspect is not None and work.inspect["scanner"] else THREADS


def _write(work: Work, item: Mapping[str, Any], ways: dict[Any, Way], alone: bool) -> Copy | None:
    """Read, write, read back, compare; None when an earlier attempt had put the copy in place (and its result is said)."""
    try:
        way = _way(work, item, ways)
        before, content = _content_of_file(item, way) if way.source_folder is not None else _content(item, way.source)
        if work.limited:
            work.pace(item, len(content))
        checksum = "sha256:" + hashlib.sha256(content).hexdigest()
        same_checksum(item, checksum)
        if work.inspect is not None:
            whole(work, item, content, checksum)
        copy = Copy(item, way, to_bytes(item["target_path"]).rpartition(b"/")[2], len(content), checksum)
        _write_part(copy, content, alone, before)
    except OSError as error:
        # Where there is no room left, that may be because the copy is there.
        if not _is_there(work, item):
            raise target_error(error, item["target_path"]) from None
        return None
    return copy


def _way(work: Work, item: Mapping[str, Any], ways: dict[Any, Way]) -> Way:
    """The item's way, which is kept (one at a time) for those that follow."""
    source, target = item.get("source"), item.get("target")
    if not isinstance(source, str) or not isinstance(target, str):
        return Way(work, item)  # An inline place has no name to know it by.
    key = (source, item["path"].rpartition("/")[0], target, item["target_path"].rpartition("/")[0])
    way = ways.get(key)
    if way is None:
        ways.clear()
        ways[key] = way = Way(work, item)
    return way


def _is_there(work: Work, item: Mapping[str, Any]) -> bool:
    """Whether an earlier attempt had put the copy in place; its result is said then. Raises ``target.exists``."""
    try:
        spot = Spot(work.place(item, "target"), item["key"], item["target_path"])
        there = already_there(work, item, spot)
    except OSError as error:
        raise target_error(error, item["target_path"]) from None
    if there is not None:
        finish(work, item, *there, 0)
    return there is not None


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


def _content_of_file(item: Mapping[str, Any], way: Way) -> tuple[os.stat_result, bytes]:
    """The same of a local file with half the calls: the open file tells by its ctime whether anybody touched it."""
    path, source = item["path"], way.source
    fd, before = source.root.open_in(way.source_folder, path)
    try:
        size = before.st_size
        if item.get("modified_at") is not None or item.get("size") != size:
            as_known(item, stat_of(before))
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
    if (now.st_ctime_ns, now.st_mtime_ns, now.st_size) != (before.st_ctime_ns, before.st_mtime_ns, size):
        # Whoever touched it may have given it back its time, so what was read may be half of one state and half of another.
        unchanged(source, path, stat_of(before))
        raise changed(path)
    return before, content


def _whole(stream: Any, expected: int, path: str) -> bytes:
    """Up to ``min(expected, LARGE) + 1`` bytes; stops at what was expected, for the look at the source afterwards tells whether it grew."""
    most = min(expected, LARGE) + 1
    content = read(stream, most, path)
    while len(content) != expected and len(content) < most and (more := read(stream, most - len(content), path)):
        content += more
    return content


def _write_part(copy: Copy, content: bytes, alone: bool, before: Stat | os.stat_result) -> None:
    item = copy.item
    key = item["key"].encode()
    fd = copy.open(key)
    try:
        mark(fd, key)
        done = os.write(fd, content)
        while done < len(content):
            done += os.write(fd, content[done:])
        if keeps_time(item):
            keep_time(item, fd, before if isinstance(before, Stat) else stat_of(before))
        if alone:
            os.fsync(fd)
        if os.pread(fd, len(content) + 1, 0) != content:
            raise Unavailable("checksum_mismatch", f"What was written to '{item['target_path']}' is not what is read back.",
                              next_step="Look at the target's disk.")
    except BaseException:
        copy.remove()
        raise
    finally:
        if copy.part is not None:
            os.close(fd)


def _place(work: Work, copy: Copy) -> bool:
    """Give a copy its name; False where that was not possible, and its result is said."""
    try:
        work.check()
        try:
            copy.place()
            return True
        except FileExistsError:
            if not _is_there(work, copy.item):
                raise
            copy.close()
    except OSError as error:
        _give_up(work, copy, target_error(error, copy.item["target_path"]))
    except EdgemereError as error:
        _give_up(work, copy, error)
    return False


def _give_up(work: Work, copy: Copy, error: Exception, placed: bool = False) -> None:
    try:
        copy.remove(placed)
    except OSError:
        pass
    work.failed(copy.item, error)


def _sync_folders(placed: Sequence[Copy]) -> None:
    by_root: dict[Root, set[bytes]] = {}
    for copy in placed:
        by_root.setdefault(copy.way.root, set()).add(copy.way.folder_path)
    for root, folders in by_root.items():
        sync_folders(root, folders)
