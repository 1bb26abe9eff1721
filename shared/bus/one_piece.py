"""Many AMQP frames in one piece: the way into the system costs more than a message, for sender and broker."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from amqp import Connection

PIECE_BYTES = 1024 * 1024


@contextmanager
def in_one_piece(connection: Connection, timeout_s: float | None = None) -> Iterator[None]:
    """Send what is written to a connection inside at its end, in order. Nothing is sent when the block raises.

    For one thread at a time; what others write to the connection meanwhile is sent along. py-amqp looks up at each frame by
    which function its transport writes.
    """
    transport, written = connection.transport, bytearray()
    write, transport._write = transport._write, written.extend
    try:
        yield
    finally:
        transport._write = write
    with transport.having_timeout(timeout_s):
        for start in range(0, len(written), PIECE_BYTES):
            transport.write(memoryview(written)[start:start + PIECE_BYTES])
