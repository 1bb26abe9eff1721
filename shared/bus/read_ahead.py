"""What waits at a connection to RabbitMQ is read in large pieces, and taken apart there: py-amqp asks the system three times for each frame, nine
times for a message, and looks at each value of it by itself.
"""
from __future__ import annotations

from struct import Struct
from typing import Any

from amqp.basic_message import Message
from amqp.exceptions import UnexpectedFrame
from amqp.spec import Basic
from amqp.transport import TCPTransport

from shared.bus import frames

PIECE_BYTES = 64 * 1024
# A message that is larger is put together by py-amqp, frame by frame, instead of being waited for.
WHOLE_BYTES = 256 * 1024
_frame = Struct(">BHI")


def read_ahead(connection: Any) -> None:
    """Have an AMQP connection read as much as there is, and hand on all messages that are in it; every other kind of connection is left as it is.

    For connections that are read by ``drain_events`` alone, by one thread: who looks at the socket to see whether anything came does not see
    what is kept. Bodies are handed on as the bytes that came.
    """
    if isinstance(getattr(connection, "transport", None), TCPTransport):
        # An encrypted one reads large pieces by itself; an embedded one has no socket.
        connection.blocking_read = _Reader(connection).read


class _Reader:
    """Reads for one connection: ``read`` is what ``drain_events`` repeats until something was handed on."""

    def __init__(self, connection: Any) -> None:
        self._connection, self._transport = connection, connection.transport
        # py-amqp may have read on already.
        self._kept: bytes = bytes(self._transport._read_buffer)
        self._transport._read_buffer = b""
        self._at = 0

    def read(self, timeout: float | None = None) -> bool:
        """Hand on the messages that are there, or something else that the broker says; where that is nothing, wait for more. Whether anything was.

        Raises:
            TimeoutError: nothing came in time. OSError, AMQPError: the connection is lost, or the broker closed it.
        """
        count = 0
        while True:
            if self._hand_on_message():
                count += 1
                continue
            if count:
                return True
            frame = self._frame(self._at)
            if frame is None or self._channel_of_message(frame) is not None and len(self._kept) - self._at < WHOLE_BYTES:
                # Nothing, or a message of which the rest is on its way.
                self._receive(timeout)
                return False
            kind, channel, end = frame
            payload, self._at = self._kept[self._at + 7:end - 1], end
            if self._connection.on_inbound_frame((kind, channel, payload)):
                return True

    def _receive(self, timeout: float | None) -> None:
        transport = self._transport
        try:
            with transport.having_timeout(timeout):
                piece = transport.sock.recv(PIECE_BYTES)
        except TimeoutError:
            raise
        except OSError:
            transport.connected = False
            raise
        if not piece:
            transport.connected = False
            raise OSError("the broker closed the connection")
        self._kept = self._kept[self._at:] + piece if self._at < len(self._kept) else piece
        self._at = 0

    def _frame(self, at: int) -> tuple[int, int, int] | None:
        """The kind of the frame that begins at ``at``, its channel, and where it ends; None where it is not there as a whole."""
        kept = self._kept
        if len(kept) - at < frames.AROUND:
            return None
        kind, channel, size = _frame.unpack_from(kept, at)
        end = at + size + frames.AROUND
        if end > len(kept):
            return None
        if kept[end - 1] != frames.LAST:
            raise UnexpectedFrame(f"a frame of {size} bytes ends with {kept[end - 1]:#04x}")
        return kind, channel, end

    def _channel_of_message(self, frame: tuple[int, int, int]) -> Any:
        """The channel for which this frame, the next one, begins a message; None where it does not, or where nobody wants messages any more."""
        if frame[0] != frames.METHOD or not self._kept.startswith(frames.DELIVER, self._at + 7):
            return None
        channel = (self._connection.channels or {}).get(frame[1])
        return None if channel is None or channel.is_closing else channel

    def _hand_on_message(self) -> bool:
        """Hand on a message that comes next, if it is there as a whole."""
        frame = self._frame(self._at)
        channel = self._channel_of_message(frame) if frame is not None else None
        if frame is None or channel is None:
            return False
        _, number, end = frame
        whole = self._content(number, end)
        if whole is None:
            return False
        method = self._kept[self._at + 7:end - 1]
        message, self._at, count = whole
        self._connection.bytes_recv += count
        # As the channel does when it has looked up what to do about a delivery.
        channel._callbacks[Basic.Deliver](*frames.delivered(method), message)
        return True

    def _content(self, channel: int, at: int) -> tuple[Message, int, int] | None:
        """The message whose header begins at ``at``, where it ends, and how many frames it has; None where it is not there as a whole."""
        header = self._frame(at)
        if header is None or header[:2] != (frames.HEADER, channel):
            return None
        end = header[2]
        length, properties = frames.properties(self._kept[at + 7:end - 1])
        parts = []
        while length > 0:
            at = end
            part = self._frame(at)
            if part is None or part[:2] != (frames.BODY, channel):
                return None
            end = part[2]
            parts.append(self._kept[at + 7:end - 1])
            length -= len(parts[-1])
        message = Message(parts[0] if len(parts) == 1 else b"".join(parts))
        message.properties = properties
        return message, end, 2 + len(parts)
