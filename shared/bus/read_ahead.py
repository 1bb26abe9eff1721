"""What waits at a connection to RabbitMQ is read in large pieces: py-amqp asks the system three times for each frame, nine times for a message."""
from __future__ import annotations

from typing import Any

from amqp.transport import TCPTransport

PIECE_BYTES = 16 * 1024


def read_ahead(connection: Any) -> None:
    """Have an AMQP connection read as much as there is, and keep what it is not asked for yet; every other kind of connection is left as it is.

    For connections that are read by ``drain_events`` alone: who looks at the socket to see whether anything came does not see what is kept.
    """
    transport = getattr(connection, "transport", None)
    if not isinstance(transport, TCPTransport):
        # An encrypted one does so by itself; an embedded one has no socket.
        return
    receive = transport.sock.recv
    # py-amqp keeps what it is given beyond what it asked for.
    transport._quick_recv = lambda count: receive(max(count, PIECE_BYTES))
