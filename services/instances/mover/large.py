"""One large copy, as a pipeline of windows: read, written and verified here, hashed in a second thread.

To verify, a window is read back and compared byte by byte with the memory that was read from the source and is hashed. So the
sha256 of the source, which is compared with the catalogue's, is that of the copy, and is computed once. Where the job says
``verify: device``, a third thread does that: it waits until the device has the window, and drops it from the page cache, so that
the device answers; it also waits for the device with a remote source, whose part is believed by a later attempt.
Whatever was verified where, the copy gets its final name after an fsync.
Memory: MEMORY bytes and one window more, for at most COPIES files at a time.
"""
from __future__ import annotations

import hashlib
import json
import os
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

from services.instances.mover.copying import already_there, changed, finish, is_passing, keep_time, unchanged
from services.instances.mover.inspecting import inspection
from services.instances.mover.looking import as_known, read, same_checksum, source_of
from services.instances.mover.readback import Readback, address_of, start_writing, to_device
from services.instances.mover.target import Spot, exists, mark, mark_of, remove_empty, rename_new, sync_folders, target_error
from services.instances.mover.work import Work
from shared.kernel.errors import Unavailable
from shared.sources.beneath import Folder, source_error
from shared.sources.port import Source, Stat

WINDOW = 1 << 20
WINDOW_AWAITED = 4 << 20  # Where each window is waited for on the device: a larger one waits less often.
MEMORY = 16 << 20
# Measured on ext4 of a virtual machine: 1 GiB in writes of this size takes 0.25 s of system time each time, in larger ones anything up to
# 2.4 s. Probably because the page cache takes larger pieces of memory for them, which the host has to provide first; that was not proven.
PIECE = 256 << 10
# The device begins with what is written while the rest is copied, in few calls; the fsync at the end finds less to do.
BEGIN_EVERY = 32 << 20
COPIES = 2
_places = threading.Semaphore(COPIES)


def hash_stream(work: Work, item: Mapping[str, Any], stream: Any, path: str) -> tuple[str, int]:
    """``sha256:…`` and the number of bytes of a stream."""
    digest, size = hashlib.sha256(), 0
    while piece := read(stream, 1 << 20, path):
        digest.update(piece)
        size += len(piece)
        work.check()
        work.progress(item["key"], size, item.get("size"), "verifying")
    return "sha256:" + digest.hexdigest(), size


def copy_large(work: Work, item: Mapping[str, Any]) -> None:
    """Copy one item; going on with the part that an earlier attempt under its key left.

    Raises:
        EdgemereError: nothing is left then, but for a part where the source did not answer and may again.
    """
    source = source_of(work, item)
    spot = Spot(work.place(item, "target"), item["key"], item["target_path"])
    while not _places.acquire(timeout=0.2):
        work.check()
    try:
        there = already_there(work, item, spot)
        if there is not None:
            finish(work, item, *there, 0)
            return
        folder = spot.folder(create=True)
        part = _Part(spot, folder)
        try:
            size, checksum = _fill(work, item, source, part)
            _place(work, spot, folder, part)
        except BaseException as error:
            part.close(keep=is_passing(error))
            raise
        part.close(keep=True)
        part.forget_state()
        finish(work, item, size, checksum, size, resumed_bytes=part.resumed)
    except OSError as error:
        raise target_error(error, spot.shown()) from None
    finally:
        _places.release()


def _place(work: Work, spot: Spot, folder: Folder, part: _Part) -> None:
    os.fsync(part.fd)
    work.check()
    try:
        rename_new(folder.fd, spot.part, folder.fd, spot.name)
    except FileExistsError:
        raise exists(spot.shown()) from None
    sync_folders(spot.root, {spot.folder_path})


class _Part:
    """The file under its temporary name; ``length`` bytes of it are from before."""

    def __init__(self, spot: Spot, folder: Folder) -> None:
        self._spot, self._folder = spot, folder
        self.resumed = 0
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self.fd = os.open(spot.part, flags, 0o666, dir_fd=folder.fd)
        try:
            if mark_of(self.fd) != spot.key:
                os.ftruncate(self.fd, 0)
                mark(self.fd, spot.key)
            self.length = os.fstat(self.fd).st_size
        except BaseException:
            self.close(keep=False)
            raise

    def close(self, keep: bool) -> None:
        os.close(self.fd)
        if not keep:
            for name in (self._spot.part, self._spot.part + b".state"):
                try:
                    os.unlink(name, dir_fd=self._folder.fd)
                except FileNotFoundError:
                    pass
            remove_empty(self._spot.root, self._spot.folder_path)

    def cut(self, length: int) -> None:
        """Forget what is beyond ``length``."""
        if self.length > length:
            os.ftruncate(self.fd, length)
            self.length = length

    # A remote source is not read again for what is here already, so its state at the time is kept beside the part.

    def state(self) -> dict[str, Any]:
        try:
            fd = os.open(self._spot.part + b".state", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._folder.fd)
            with os.fdopen(fd, "rb") as stream:
                return json.loads(stream.read(4096))
        except (OSError, ValueError):
            return {}

    def keep_state(self, stat: Stat, synced: int) -> None:
        name = self._spot.part + b".state"
        fd = os.open(name + b"~", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=self._folder.fd)
        with os.fdopen(fd, "wb") as stream:
            stream.write(json.dumps({"etag": stat.etag, "size": stat.size, "synced": synced}).encode())
        os.rename(name + b"~", name, src_dir_fd=self._folder.fd, dst_dir_fd=self._folder.fd)

    def forget_state(self) -> None:
        try:
            os.unlink(self._spot.part + b".state", dir_fd=self._folder.fd)
        except OSError:
            pass


def _fill(work: Work, item: Mapping[str, Any], source: Source, part: _Part) -> tuple[int, str]:
    path = item["path"]
    remote = not hasattr(source, "root")
    known = part.state() if remote and part.length else {}
    if remote:
        part.cut(int(known.get("synced") or 0))
    stream = source.open(path, part.length if remote else 0)
    try:
        before: Stat = stream.stat
        if remote and part.length and (not before.etag or before.etag != known.get("etag") or before.size != known.get("size")):
            stream.close()
            part.cut(0)
            stream = source.open(path)
            before = stream.stat
        as_known(item, before)
        if before.size is not None:
            part.cut(before.size)
        touched = None if remote else os.fstat(stream.fileno()).st_ctime_ns
        with inspection(work, item, before.size) as looks:
            pipeline = _Pipeline(work, item, part, before, remote, None if remote else lambda: unchanged(source, path, before), looks)
            size = pipeline.run(stream)
            if touched is not None and os.fstat(stream.fileno()).st_ctime_ns != touched:
                # Whoever touched it may have given it back its size and time; only another look at all of it would tell.
                unchanged(source, path, before)
                raise changed(path)
            if before.size is not None and size != before.size:
                raise changed(path)
            unchanged(source, path, before)
            keep_time(item, part.fd, before)
            checksum = "sha256:" + pipeline.digest.hexdigest()
            same_checksum(item, checksum)
            looks.end(checksum)
    finally:
        stream.close()
    return size, checksum


class _Window:
    __slots__ = ("address", "buffer", "count", "start", "users")

    def __init__(self, room: int) -> None:
        self.buffer = bytearray(room)
        self.address = address_of(self.buffer)
        self.count = self.start = self.users = 0


class _Pipeline:
    """Windows go round: free, filled and written, hashed and verified, free again."""

    def __init__(self, work: Work, item: Mapping[str, Any], part: _Part, before: Stat, remote: bool,
                 still: Callable[[], None] | None, looks: Any) -> None:
        self._still, self._looks = still, looks
        self.digest = hashlib.sha256()
        self._work, self._item, self._part, self._before, self._remote = work, item, part, before, remote
        self._device = work.verifies_device
        self._awaits = self._device or remote
        self._room = WINDOW_AWAITED if self._awaits else WINDOW
        self._free: queue.SimpleQueue[_Window] = queue.SimpleQueue()
        for _ in range(MEMORY // self._room if before.size is None or before.size > self._room else 1):
            self._free.put(_Window(self._room))
        self._back = Readback(part.fd, self._room, self._device)
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self._to_hash: queue.SimpleQueue[_Window | None] = queue.SimpleQueue()
        self._to_verify: queue.SimpleQueue[_Window | None] = queue.SimpleQueue()

    def run(self, stream: Any) -> int:
        """The number of bytes copied. Raises what any of the threads met, first come."""
        lines = [(self._to_hash, self._hash)]
        if self._awaits:
            lines.append((self._to_verify, self._verify))
        threads = [threading.Thread(target=self._serve, args=line, daemon=True) for line in lines]
        for thread in threads:
            thread.start()
        try:
            size = self._copy(stream)
        except BaseException as error:
            self._error = self._error or error
        finally:
            for line, _ in lines:
                line.put(None)
            for thread in threads:
                thread.join()
        if self._error is not None:
            raise self._error
        self._work.progress(self._item["key"], size, self._before.size, "verifying")
        return size

    def _serve(self, line: queue.SimpleQueue[_Window | None], do: Any) -> None:
        while (window := line.get()) is not None:
            try:
                if self._error is None:
                    do(window)
            except BaseException as error:
                self._error = self._error or error
            self._used(window)

    def _used(self, window: _Window) -> None:
        with self._lock:
            window.users -= 1
            if window.users == 0:
                self._free.put(window)

    def _copy(self, stream: Any) -> int:
        position = begun = 0
        begin_every = self._room if self._awaits else BEGIN_EVERY
        while self._error is None:
            window = self._free.get()
            window.start, window.count, window.users = position, 0, 2
            ended = self._fill(window, stream)
            position += window.count
            if position - begun >= begin_every or ended and self._awaits:
                start_writing(self._part.fd, begun, position - begun)
                begun = position
            if window.count:
                self._to_hash.put(window)
                if self._awaits:
                    self._to_verify.put(window)
                else:
                    self._verify(window)
                    self._used(window)
                self._work.progress(self._item["key"], position, self._before.size, "copying")
            if self._still is not None:
                self._still()  # A source that changes early need not be copied to its end to be refused.
            if ended:
                break
        return position

    def _fill(self, window: _Window, stream: Any) -> bool:
        """Read a window from the source and write it to the part; True at the source's end."""
        view = memoryview(window.buffer)
        while window.count < self._room and self._error is None:
            self._work.check()
            at = window.start + window.count
            piece = view[window.count:min(self._room, window.count + PIECE)]
            if self._remote and at < self._part.length:
                got = os.preadv(self._part.fd, [piece[:self._part.length - at]], at)
                self._part.resumed += got
            else:
                got = _readinto(stream, piece, self._item["path"])
                if got == 0:
                    return True
                self._work.pace(self._item, got)
                self._write(piece[:got], at)
            window.count += got
        return False

    def _write(self, piece: memoryview, at: int) -> None:
        if at + len(piece) <= self._part.length:
            if os.pread(self._part.fd, len(piece), at) == piece.tobytes():
                self._part.resumed += len(piece)
                return
        while piece:
            count = os.pwrite(self._part.fd, piece, at)
            piece, at = piece[count:], at + count

    def _hash(self, window: _Window) -> None:
        content = memoryview(window.buffer)[:window.count]
        self.digest.update(content)
        self._looks.feed(content)

    def _verify(self, window: _Window) -> None:
        start, count = window.start, window.count
        if self._awaits:
            # What is kept of a remote part is believed later, so the device must have it.
            to_device(self._part.fd, start, count)
        if not self._back.equals(start, count, window.address):
            raise Unavailable("checksum_mismatch", f"What was written for '{self._item['path']}' is not what is read back, "
                              f"near byte {start:,}.", next_step="Look at the target's disk.")
        if self._remote and self._before.etag:
            self._part.keep_state(self._before, start + count)


def _readinto(stream: Any, piece: memoryview, path: str) -> int:
    try:
        return stream.readinto(piece) or 0
    except OSError as error:
        raise source_error(error, path) from None
