"""WebSocket frames over eventlet's connections, for python-socketio: bounded, unmasked quickly, refused where garbage.

With ``gateway.service`` the only part of the gateway that knows eventlet.
"""
from __future__ import annotations

from typing import Any

from engineio.async_drivers import eventlet as driver
from eventlet import queue
from eventlet.websocket import FailedConnectionError

TOO_BIG = 1009
# engine.io's packets that carry nothing, and the four of socket.io that a client may send: connect, disconnect,
# event, ack. Binary ones would come in parts that somebody has to keep until the last one is there.
_BARE = frozenset({"1", "2", "3", "2probe", "3probe", "5", "6"})
_SPOKEN = ("40", "41", "42", "43")


class Outgoing(queue.Queue):
    """The packets that wait for one client to read; ``waiting_bytes`` is their size."""

    waiting_bytes = 0

    def _put(self, item: Any) -> None:
        self.waiting_bytes += _size(item)
        super()._put(item)

    def _get(self) -> Any:
        item = super()._get()
        self.waiting_bytes -= _size(item)
        return item


def _size(packet: Any) -> int:
    data = getattr(packet, "data", None)
    return len(data) if isinstance(data, (str, bytes)) else 0


class Handshake(driver.WebSocketWSGI):
    """Eventlet's WebSocket with this server's bounds.

    No compression: each connection would hold a window of a quarter of a MiB. No protocols older than RFC 6455.
    """

    def __init__(self, handler: Any, server: Any) -> None:
        super().__init__(handler, server)
        self.support_legacy_versions = False
        self._limit = int(server.max_http_buffer_size)

    def _negotiate_permessage_deflate(self, extensions: Any) -> None:
        return None

    def _handle_hybi_request(self, environ: dict[str, Any]) -> Any:
        socket = super()._handle_hybi_request(environ)
        # Eventlet takes the mask off byte by byte in Python, and bounds frames but not the messages made of them.
        socket._apply_mask = unmasked
        socket._recv_frame = _bounded(socket._recv_frame, self._limit)
        socket.wait = _only_packets(socket.wait)
        return socket


def unmasked(data: bytes, mask: tuple[int, ...], length: int | None = None, offset: int = 0) -> bytes:
    """``data`` xor the four bytes of the mask, the first of which belongs to ``-offset``."""
    length = len(data)
    turn = offset % 4
    key = bytes(mask[turn:] + mask[:turn])
    pad = (key * (length // 4 + 1))[:length]
    return (int.from_bytes(data, "little") ^ int.from_bytes(pad, "little")).to_bytes(length, "little")


def _bounded(receive: Any, limit: int) -> Any:
    def bounded(message: Any = None) -> Any:
        found = receive(message=message)
        if sum(map(len, found.data)) > limit:
            raise FailedConnectionError(TOO_BIG, f"A message has at most {limit} bytes.")
        return found
    return bounded


def _only_packets(wait: Any) -> Any:
    def next_packet() -> Any:
        text = wait()
        if text is None or isinstance(text, str) and (text in _BARE or text[:2] in _SPOKEN):
            return text
        raise ValueError("not a packet of engine.io and socket.io that a client sends here")
    return next_packet


def parts() -> dict[str, Any]:
    """What python-engineio's eventlet driver is made of, with this module's own in their places."""
    return {**driver._async, "websocket": Handshake, "queue": Outgoing}
