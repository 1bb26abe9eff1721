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


class Readback:
    """Compares ranges of a file with memory.

    With ``device`` each range is dropped from the page cache and read again, so that the device answers; where the file system
    does not heed that (tmpfs, some network ones) the cache is what answers. Not by ``O_DIRECT``: its reads hold the lock of the
    inode that the next writes wait for, and the copy would take three times as long.
    """

    def __init__(self, fd: int, room: int, device: bool = True) -> None:
        self._fd, self._device = fd, device
        self._memory = mmap.mmap(-1, room)
        self._address = address_of(self._memory)
        self._view = memoryview(self._memory)

    def equals(self, start: int, count: int, address: int) -> bool:
        """Whether ``count`` bytes from ``start`` are those at ``address``; with ``device`` it must have them. Raises OSError."""
        if self._device:
            os.posix_fadvise(self._fd, start, count, os.POSIX_FADV_DONTNEED)
            os.posix_fadvise(self._fd, start, count, os.POSIX_FADV_WILLNEED)
        done = 0
        while done < count:
            got = os.preadv(self._fd, [self._view[done:count]], start + done)
            if got == 0:
                return False
            done += got
        return _libc().memcmp(self._address, address, count) == 0
