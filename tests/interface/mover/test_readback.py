"""The comparison of what was written with what was meant."""
from __future__ import annotations

import os
from pathlib import Path

from services.instances.mover.readback import Reader, address_of, start_writing, to_device


def test_a_single_wrong_byte_or_a_missing_end_is_found(tmp_path: Path) -> None:
    meant = bytearray(os.urandom(100_000))
    fd = os.open(tmp_path / "x", os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, meant, 8192)
    start_writing(fd, 8192, len(meant))
    to_device(fd, 8192, len(meant))
    back = Reader(fd, 1 << 20)
    assert back.equals(8192, len(meant), address_of(meant))
    os.pwrite(fd, bytes([meant[77_777] ^ 1]), 8192 + 77_777)
    to_device(fd, 8192, len(meant))
    assert not back.equals(8192, len(meant), address_of(meant))
    os.ftruncate(fd, 50_000)
    assert not back.equals(8192, len(meant), address_of(meant))
    os.close(fd)
