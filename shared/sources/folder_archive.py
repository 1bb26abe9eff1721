"""A folder that is one Data as one stream of bytes: a tar archive that is made while it is read.

The same files with the same times give the same archive, so its size is known beforehand, and it can be read from anywhere on. Its members
lie below the folder's own name. Nothing of it is stored.
"""
from __future__ import annotations

import io
import tarfile
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from shared.kernel import clock
from shared.kernel.errors import Conflict
from shared.sources.beneath import source_error
from shared.sources.folders import FolderFile
from shared.sources.paths import to_bytes
from shared.sources.port import Stat

MEDIA_TYPE, SUFFIX = "application/x-tar", ".tar"


class FolderArchive(io.RawIOBase):
    """The archive of the folder at ``path`` of a source; ``size`` is that of the whole, in bytes. Lists the folder once."""

    def __init__(self, source: Any, path: str) -> None:
        """
        Raises:
            EdgemereError: ``source.vanished``, ``source.unreadable``.
        """
        self._source, self._path = source, path
        self._top = to_bytes(path).rpartition(b"/")[2]
        self._files: list[FolderFile] = source.folder_files(path)
        lengths = [len(self._header(file)) + _padded(file.stat.size or 0) for file in self._files]
        self._starts = list(accumulate(lengths, initial=0))
        end = self._starts[-1] + 2 * tarfile.BLOCKSIZE
        self.size = end + -end % tarfile.RECORDSIZE
        self.seek(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go on from ``offset`` of the whole."""
        if whence != io.SEEK_SET:
            raise io.UnsupportedOperation("an archive is read from a place in it on")
        self._pieces, self._piece = self._from(min(offset, self.size)), memoryview(b"")
        return offset

    def readinto(self, buffer: Any) -> int:
        """The next bytes. Raises ``source.changed_during_copy`` where a file is not what it was when the archive was begun."""
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._piece = memoryview(piece)
        count = min(len(buffer), len(self._piece))
        buffer[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count

    def close(self) -> None:
        if not self.closed:
            self._pieces.close()
        super().close()

    def _header(self, file: FolderFile) -> bytes:
        member = tarfile.TarInfo((self._top + b"/" + file.inside).decode("utf-8", "surrogateescape"))
        member.size, member.mtime, member.mode = file.stat.size or 0, _seconds(file.stat), file.mode
        return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")

    def _from(self, offset: int) -> Iterator[bytes]:
        first = bisect_right(self._starts, offset) - 1
        skip = offset - self._starts[first]
        for file in self._files[first:]:
            header = self._header(file)
            yield header[skip:]
            yield from self._content(file, max(0, skip - len(header)))
            skip = 0
        yield bytes(self.size - self._starts[-1] - skip)

    def _content(self, file: FolderFile, skip: int) -> Iterator[bytes]:
        path, size = file.below(self._path), file.stat.size or 0
        first = min(skip, size)
        with self._source.open(path, first) as stream:
            if not file.is_still(stream.stat):
                raise _changed(path)
            left = size - first
            while left:
                try:
                    piece = stream.read(min(left, 1 << 18))
                except OSError as error:
                    raise source_error(error, path) from None
                if not piece:
                    raise _changed(path)
                left -= len(piece)
                yield piece
        yield bytes(_padded(size) - max(size, skip))


def _seconds(stat: Stat) -> int:
    if stat.modified_ns is not None:
        return stat.modified_ns // 1_000_000_000
    return int(clock.parse_time(stat.modified_at).timestamp()) if stat.modified_at else 0


def _padded(size: int) -> int:
    return size + -size % tarfile.BLOCKSIZE


def _changed(path: str) -> Conflict:
    return Conflict("source.changed_during_copy", f"'{path}' changed while its folder was read.", next_step="Ask again when nobody writes to it.")
