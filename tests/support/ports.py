"""Ports of the loopback interface for servers of tests, which nobody else takes meanwhile.

A server that keeps its port over restarts has to be told one before it binds it. The ports given here are none that the
system gives to outgoing connections or to whoever asks for any port, and no two processes of a machine are given the same.
"""
from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

_SYSTEM_GIVES = Path("/proc/sys/net/ipv4/ip_local_port_range")
_BLOCK = 200
_FIRST, _LAST = 10_000, 65_535


def free_port() -> int:
    """A port that nobody listens on, and that no other call gives on this machine for as long as this process lives.

    Raises:
        RuntimeError: none is left.
    """
    with _giving:
        for port in _ports:
            if _is_free(port):
                return port
    raise RuntimeError(f"No port from {_FIRST} is free for a server of a test.")


def blocks(system_gives: tuple[int, int]) -> list[Sequence[int]]:
    """The ports that may be given out, by blocks: none of the system's own range, unless that leaves too few."""
    low, high = system_gives
    ours = [port for port in range(_FIRST, _LAST + 1) if not low <= port <= high]
    if len(ours) < 10 * _BLOCK:
        ours = list(range(_FIRST, _LAST + 1))
    return [ours[start:start + _BLOCK] for start in range(0, len(ours), _BLOCK)]


def _given() -> Iterator[int]:
    low, high = (int(word) for word in _SYSTEM_GIVES.read_text().split())
    for block in blocks((low, high)):
        if _claims(block[0]):
            yield from block


def _claims(number: int) -> bool:
    """Whether a block is this process's now: a name without a file, which the system knows as long as the process lives."""
    mark = socket.socket(socket.AF_UNIX)
    try:
        mark.bind(f"\0edgemere-test-ports-{number}")
    except OSError as error:
        mark.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    _marks.append(mark)
    return True


def _is_free(port: int) -> bool:
    """Whether nothing is bound to it on any address."""
    with socket.socket() as tried:
        try:
            tried.bind(("", port))
        except OSError:
            return False
    return True


_giving = threading.Lock()
_marks: list[socket.socket] = []
_ports = _given()
