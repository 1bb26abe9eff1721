"""Reading back what was written, from the device where that is possible. Calls the C library, which gives up the interpreter's lock."""
from __future__ import annotations

import ctypes
import functools
import mmap
import os
from typing import Any

_WRITE = 2
_WAIT_WRITE_WAIT = 7
_BLOCK = 4096


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

    Reads past the page cache (``O_DIRECT``) where the file system can; elsewhere it drops the range from the cache first,
    and where that is not heeded either (tmpfs, some network file systems) the cache is what answers.
    """

    def __init__(self, fd: int, room: int) -> None:
        self._fd = fd
        self._memory = mmap.mmap(-1, room)
        self._address = address_of(self._memory)
        self._view = memoryview(self._memory)
        try:
            self._direct = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
        except OSError:
            self._direct = -1

    def equals(self, start: int, count: int, address: int) -> bool:
        """Whether ``count`` bytes from ``start`` (a multiple of 4,096) are those at ``address``. Raises OSError."""
        if not self._read_direct(start, count):
            os.posix_fadvise(self._fd, start, count, os.POSIX_FADV_DONTNEED)
            done = 0
            while done < count:
                got = os.preadv(self._fd, [self._view[done:count]], start + done)
                if got == 0:
                    return False
                done += got
        return _libc().memcmp(self._address, address, count) == 0

    def _read_direct(self, start: int, count: int) -> bool:
        """True when the memory holds the range; False where direct reading is not possible."""
        if self._direct < 0:
            return False
        room = -(-count // _BLOCK) * _BLOCK
        try:
            # One call: a short answer before the end would leave an offset that is no multiple of a block.
            return os.preadv(self._direct, [self._view[:room]], start) >= count
        except OSError:
            os.close(self._direct)
            self._direct = -1
            return False

    def close(self) -> None:
        if self._direct >= 0:
            os.close(self._direct)
            self._direct = -1
