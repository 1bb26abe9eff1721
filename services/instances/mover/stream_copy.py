"""The bytes of a large item that comes from afar into a part: read and written here, hashed in a second thread, verified in a third.

To verify, a window is read back once the device has it and compared byte by byte with the memory that was read from the source and is
hashed: what is kept of a remote part is believed by a later attempt, so the device must have it. So the sha256 of the source, which is
compared with the catalogue's, is that of the copy, and nothing is asked of the source twice.
Memory: MEMORY bytes and one window more.
"""
from __future__ import annotations

import hashlib
import os
import queue
import threading
from collections.abc import Mapping
from typing import Any

from services.instances.mover.file_copy import PIECE, not_read_back
from services.instances.mover.lines import Lines
from services.instances.mover.part import Part
from services.instances.mover.readback import Reader, address_of, from_device, start_writing, to_device
from services.instances.mover.work import Work
from shared.sources.beneath import source_error

WINDOW = 4 << 20
MEMORY = 16 << 20


class _Window:
    __slots__ = ("address", "buffer", "count", "start", "users")

    def __init__(self, room: int) -> None:
        self.buffer = bytearray(room)
        self.address = address_of(self.buffer)
        self.count = self.start = self.users = 0


class StreamCopy:
    """One copy. Windows go round: free, filled and written, hashed and verified, free again. ``digest`` is that of all, once ``run`` has returned."""

    def __init__(self, work: Work, item: Mapping[str, Any], stream: Any, part: Part, looks: Any) -> None:
        self._work, self._item, self._stream, self._part, self._looks = work, item, stream, part, looks
        self.digest = hashlib.sha256()
        self._before = stream.stat
        self._free: queue.SimpleQueue[_Window] = queue.SimpleQueue()
        for _ in range(MEMORY // WINDOW if self._before.size is None or self._before.size > WINDOW else 1):
            self._free.put(_Window(WINDOW))
        self._back = Reader(part.fd, WINDOW)
        self._lock = threading.Lock()

    def run(self) -> int:
        """The number of bytes copied. Raises as that of ``FileCopy``."""
        lines = Lines(self._hash, self._verify, after=self._used)
        size = lines.run(lambda: self._copy(lines))
        self._work.progress(self._item["key"], size, self._before.size, "verifying")
        return size

    def _used(self, window: _Window) -> None:
        with self._lock:
            window.users -= 1
            if window.users == 0:
                self._free.put(window)

    def _copy(self, lines: Lines[_Window]) -> int:
        position, ended = 0, False
        while not ended and not lines.failed:
            window = self._free.get()
            window.start, window.count, window.users = position, 0, 2
            ended = self._fill(window, lines)
            position += window.count
            start_writing(self._part.fd, window.start, window.count)
            if window.count:
                lines.put(window)
                self._work.progress(self._item["key"], position, self._before.size, "copying")
        return position

    def _fill(self, window: _Window, lines: Lines[_Window]) -> bool:
        """Read a window from the source and write it to the part; True at the source's end."""
        view = memoryview(window.buffer)
        while window.count < WINDOW and not lines.failed:
            self._work.check()
            at = window.start + window.count
            piece = view[window.count:min(WINDOW, window.count + PIECE)]
            if at < self._part.length:
                got = os.preadv(self._part.fd, [piece[:self._part.length - at]], at)
                self._part.resumed += got
            else:
                got = _readinto(self._stream, piece, self._item["path"])
                if got == 0:
                    return True
                self._work.pace(self._item, got)
                self._part.write(piece[:got], at)
            window.count += got
        return False

    def _hash(self, window: _Window) -> None:
        content = memoryview(window.buffer)[:window.count]
        self.digest.update(content)
        self._looks.feed(content)

    def _verify(self, window: _Window) -> None:
        start, count = window.start, window.count
        to_device(self._part.fd, start, count)
        if self._work.verifies_device:
            from_device(self._part.fd, start, count)
        if not self._back.equals(start, count, window.address):
            raise not_read_back(self._item["path"], start)
        if self._before.etag:
            self._part.keep_state(self._before, start + count)


def _readinto(stream: Any, piece: memoryview, path: str) -> int:
    try:
        return stream.readinto(piece) or 0
    except OSError as error:
        raise source_error(error, path) from None
