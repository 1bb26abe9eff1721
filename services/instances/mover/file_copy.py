"""The bytes of a large file of this machine into a part: copied by the kernel here, read back and hashed in a second thread.

What is hashed is what is read back, so the checksum that the copy gets is that of the target's bytes. Where the catalogue knows the
checksum of the source, that they are equal is the proof (``large.py`` looks); where it does not, the source is read again beside the
target and compared byte by byte. ``copy_file_range`` copies from page cache to page cache, or shares the blocks where the file system
can (btrfs, xfs). It saves a third of the processor time of the whole beside other work, and nothing on a machine at rest
(docs/benchmarks.md). Where the kernel refuses it (two file systems), and at whatever it reports, reading and writing go on from
there: that tells the source's errors from the target's.
Memory: four pieces.
"""
from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Mapping
from typing import Any

from services.instances.mover.copying import changed, unchanged
from services.instances.mover.lines import Lines
from services.instances.mover.part import Part
from services.instances.mover.readback import Reader, from_device, start_writing, to_device
from services.instances.mover.work import Work
from shared.kernel.errors import EdgemereError, Unavailable
from shared.sources.beneath import source_error
from shared.sources.port import Source, Stat

# Handed over at a time: each time costs both threads a wait. What is read back is not far behind, so a copy that goes wrong ends soon.
WINDOW = 4 << 20
AHEAD = 16
AWAITED = 4  # So many windows later, when the device has had time for it, one is waited for, where the device is asked.
BY_KERNEL = 1 << 20  # At a time: a copy that is cancelled waits for it.
PIECE = 256 << 10  # Stays in the cache of the processor from being read to being hashed.
# The device begins with what is written while the rest is copied, in few calls; the fsync at the end finds less to do.
BEGIN_EVERY = 32 << 20


class Origin:
    """The open file that is copied, with what was seen when it was opened."""

    def __init__(self, source: Source, path: str, stream: Any) -> None:
        self.fd: int = stream.fileno()
        self.before: Stat = stream.stat
        self.path = path
        self._source = source
        self._touched = os.fstat(self.fd).st_ctime_ns

    def in_place(self) -> None:
        """Raises ``source.changed_during_copy``, ``source.vanished``: what is at its path is not what was opened."""
        unchanged(self._source, self.path, self.before)

    def untouched(self) -> None:
        """The same, also where somebody wrote to it and gave it back its size and time. Raises as ``in_place``."""
        self.in_place()
        if os.fstat(self.fd).st_ctime_ns != self._touched:
            raise changed(self.path)  # Only another look at all of it would tell what was written.


class FileCopy:
    """One copy. ``digest`` is that of what was read back, once ``run`` has returned."""

    def __init__(self, work: Work, item: Mapping[str, Any], origin: Origin, part: Part, looks: Any) -> None:
        self._work, self._item, self._origin, self._part, self._looks = work, item, origin, part, looks
        self.digest = hashlib.sha256()
        self._device = work.verifies_device
        self._compares = not item.get("checksum")
        self._by_kernel = True
        self._written, self._read = Reader(part.fd, PIECE), Reader(origin.fd, PIECE)
        # Those of the second thread.
        self._back, self._again = Reader(part.fd, PIECE), Reader(origin.fd, PIECE)

    def run(self) -> int:
        """The number of bytes copied.

        Raises:
            EdgemereError: what the source or the job says, or that something else is read back than was copied.
            OSError: of the target.
        """
        lines: Lines[tuple[int, int]] = Lines(self._read_back, ahead=AHEAD)
        size = lines.run(lambda: self._copy(lines))
        self._work.progress(self._item["key"], size, self._origin.before.size, "verifying")
        return size

    def _copy(self, lines: Lines[tuple[int, int]]) -> int:
        position = begun = 0
        begin_every, behind = (WINDOW, AWAITED) if self._device else (BEGIN_EVERY, 0)
        waiting: deque[tuple[int, int]] = deque()
        ended = False
        while not ended and not lines.failed:
            start = position
            while position < start + WINDOW and not ended:
                self._work.check()
                count = self._piece(position, start + WINDOW - position)
                self._work.pace(self._item, count)
                position += count
                ended = count == 0
                self._work.progress(self._item["key"], position, self._origin.before.size, "copying")
            if position - begun >= begin_every or ended and self._device:
                start_writing(self._part.fd, begun, position - begun)
                begun = position
            if position > start:
                waiting.append((start, position - start))
            while len(waiting) > (0 if ended else behind):
                lines.put(self._to_be_read_back(waiting.popleft()))
            self._origin.in_place()  # A source that changes early need not be copied to its end to be refused.
        return position

    def _piece(self, at: int, most: int) -> int:
        """Copy some bytes; 0 at the source's end. What is there already of an earlier attempt is compared, and stays where it is right."""
        there = min(PIECE, most, self._part.length - at)
        if there > 0 and len(self._from_source(at, there)) == there and self._written.equals(at, there, self._read.address):
            self._part.resumed += there
            return there
        if self._by_kernel:
            try:
                # Where there is a limit, it is kept to piece by piece.
                if count := os.copy_file_range(self._origin.fd, self._part.fd, min(most, PIECE if self._work.limited else BY_KERNEL), at, at):
                    return count
            except OSError:
                pass
            self._by_kernel = False
        piece = self._from_source(at, min(most, PIECE))
        self._part.write(piece, at)
        return len(piece)

    def _from_source(self, at: int, count: int) -> memoryview:
        try:
            return self._read.read(at, count)
        except OSError as error:
            raise source_error(error, self._origin.path) from None

    def _to_be_read_back(self, window: tuple[int, int]) -> tuple[int, int]:
        """The same window, once what will answer is what the job wants to be asked."""
        if self._device:
            to_device(self._part.fd, *window)
            from_device(self._part.fd, *window)
        return window

    def _read_back(self, window: tuple[int, int]) -> None:
        start, count = window
        for at in range(start, start + count, PIECE):
            wanted = min(PIECE, start + count - at)
            piece = self._back.read(at, wanted)
            if len(piece) != wanted or self._compares and not self._is_of_source(at, wanted):
                self._origin.untouched()
                raise not_read_back(self._origin.path, at)
            self.digest.update(piece)
            self._looks.feed(piece)

    def _is_of_source(self, at: int, count: int) -> bool:
        """Whether what was read back last is what the source has."""
        try:
            return self._again.equals(at, count, self._back.address)
        except OSError as error:
            raise source_error(error, self._origin.path) from None


def not_read_back(path: str, at: int | None = None) -> EdgemereError:
    """``checksum_mismatch``: the target gives back other bytes than it was given."""
    return Unavailable("checksum_mismatch", f"What was written for '{path}' is not what is read back{'' if at is None else f', near byte {at:,}'}.",
                       next_step="Look at the target's disk.")
