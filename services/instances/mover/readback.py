"""Reading back what was written, from the device where that is possible. Calls the C library, which gives up the interpreter's lock."""
from __future__ import annotations

import ctypes
import functools
import mmap
import os
from typing import Any

_WRITE = 2
_WAIT_WRITE_WAIT = 7


@functools.cache
def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    libc.memcmp.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    return libc


def address_of(buffer: bytearray | mmap.mmap) -> int:
    """Where the buffer lies; it must neither be resized nor closed while the address is used."""
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def start_writing(fd: int, start: int, count: int) -> None:
    """Have the device begin with a range of a file; says nothing of errors, which ``to_device`` and ``fsync`` find."""
    _libc().sync_file_range(fd, start, count, _WRITE)


def to_device(fd: int, start: int, count: int) -> None:
    """Wait until the device has a range of a file (without the journal, which the final fsync writes). Raises OSError."""
    if _libc().sync_file_range(fd, start, count, _WAIT_WRITE_WAIT) != 0:
        os.fdatasync(fd)  # Not every file system knows the call; and an error of the device is told by this one as well.


def from_device(fd: int, start: int, count: int) -> None:
    """Drop a range of a file that the device has from the page cache and have it read again, so that the device answers.

    Where the file system does not heed that (tmpfs, some network ones) the cache is what answers. Not by ``O_DIRECT``: its reads hold
    the lock of the inode that the next writes wait for, and the copy would take three times as long.
    """
    os.posix_fadvise(fd, start, count, os.POSIX_FADV_DONTNEED)
    os.posix_fadvise(fd, start, count, os.POSIX_FADV_WILLNEED)


class Reader:
    """Reads ranges of an open file, of up to ``room`` bytes, into memory of its own, which lies at ``address``."""

    def __init__(self, fd: int, room: int) -> None:
        self._fd = fd
        self._memory = mmap.mmap(-1, room)
        self._view = memoryview(self._memory)
        self.address = address_of(self._memory)

    def read(self, start: int, count: int) -> memoryview:
        """``count`` bytes from ``start``, fewer where the file ends before that; they stay until the next call. Raises OSError."""
        done = 0
        while done < count and (got := os.preadv(self._fd, [self._view[done:count]], start + done)):
            done += got
        return self._view[:done]

    def equals(self, start: int, count: int, address: int) -> bool:
        """Whether ``count`` bytes from ``start`` are there, and those at ``address``. Raises OSError."""
        return len(self.read(start, count)) == count and _libc().memcmp(self.address, address, count) == 0
