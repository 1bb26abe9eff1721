"""The broker port on RabbitMQ 3.10 or newer, over py-amqp. Every wait has a limit; connects at first use and again later.

Publishing uses a few connections of its own: a publish takes one, waits for its confirm, and gives it back. Channels are
never shared between threads, because py-amqp's are not made for that.
"""
from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import amqp
from amqp.exceptions import AMQPError, ChannelError, MessageNacked, NotFound, RecoverableConnectionError
from kombu import Connection
from kombu.exceptions import OperationalError

from shared.bus.accounts import account_of
from shared.bus.event import delivery_of
from shared.bus.frames import published
from shared.bus.message import Delivery, Message
from shared.bus.port import KEEPALIVE, Seen, missing, unavailable, unroutable
from shared.bus.topology import Topology, declare

T = TypeVar("T")
log = logging.getLogger(__name__)
CONNECT_S = 3
PROBE_S = 2
IDLE_CONNECTIONS = 10
# So long it is remembered that a message has no reader, in spite of everything being declared.
WANTED_S = 60.0

# How a line's messages are confirmed: each before the next, many at once, or not.
EACH, MANY, NONE = "each", "many", "none"

AWAY = (AMQPError, MessageNacked, OperationalError, OSError)


class _Line:
    """One connection with one channel for publishing; ``sent`` and ``settled`` count as the broker counts."""

    def __init__(self, uri: str, timeout_s: float, confirms: str) -> None:
        self.connection = Connection(uri, connect_timeout=min(CONNECT_S, timeout_s), transport_options={
            "confirm_publish": confirms == EACH, "socket_settings": KEEPALIVE})
        self.connection.connect()
        self.channel = self.connection.channel()
        self.frame_max = self.connection.connection.frame_max
        self.sent = 0
        self.acked: set[int] = set()
        self.refused: set[int] = set()
        self.returned: list[tuple[str, str, str | None]] = []
        self._settled = 0
        if confirms == MANY:
            self.channel.confirm_select()
            self.channel.events["basic_ack"].add(lambda tag, multiple: self._settle(self.acked, tag, multiple))
            self.channel.events["basic_nack"].add(lambda tag, multiple: self._settle(self.refused, tag, multiple))
            # It comes before the confirm of the same message.
            self.channel.events["basic_return"].add(lambda error, exchange, key, message: self.returned.append(
                (exchange, key, message.properties.get("message_id"))))

    def write(self, frames: bytes, timeout_s: float) -> None:
        """Send frames of this channel, in one piece.

        Raises:
            RecoverableConnectionError: the channel is closed, or they could not be sent in time. OSError: the connection is lost.
        """
        if self.channel.connection is None:
            raise RecoverableConnectionError("the channel was closed")
        transport = self.channel.connection.transport
        try:
            with transport.having_timeout(timeout_s):
                transport.write(frames)
        except TimeoutError:
            # Part of them may be on its way: nothing can follow.
            raise RecoverableConnectionError("what was published could not be sent in time") from None

    def _settle(self, into: set[int], tag: int, multiple: bool) -> None:
        if multiple:
            into.update(number for number in range(self._settled + 1, tag + 1)
                        if number not in self.acked and number not in self.refused)
            self._settled = tag
        else:
            into.add(tag)

    def is_alive(self) -> bool:
        """Whether the broker has said nothing since, least of all that it is gone. Asks the socket, not the broker."""
        sock = self.connection.connection.transport.sock
        if hasattr(sock, "cipher"):
            # An encrypted one cannot be looked into: what it is worth, its use will show.
            return True
        try:
            # Beneath eventlet's socket, which would wait for something to come.
            said = getattr(sock, "fd", sock).recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except (AttributeError, OSError, ValueError):
            return False
        return said != b"" and self._hear()

    def _hear(self) -> bool:
        with suppress(*AWAY):
            self.connection.drain_events(timeout=0.01)
            return self.connection.connected
        return False

    def close(self) -> None:
        with suppress(Exception):
            # Without a word to a broker that may not answer.
            self.connection.collect(socket_timeout=0.2)


class RabbitBroker:
    """See ``shared.bus.port.Broker``."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._singles: list[_Line] = []
        self._batches: list[_Line] = []
        self._unconfirmed: list[_Line] = []
        self._topology = Topology()
        self._nobodys: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def publish(self, message: Message, *, mandatory: bool = False, timeout_s: float = 5) -> None:
        deadline = time.monotonic() + timeout_s

        def send(line: _Line) -> None:
            left_s = max(0.05, deadline - time.monotonic())
            line.channel.basic_publish(_amqp(message), exchange=message.exchange, routing_key=message.routing_key,
                                       mandatory=mandatory, timeout=left_s, confirm_timeout=left_s)

        try:
            self._sending(self._singles, EACH, timeout_s, send)
        except (NotFound, ChannelError) as error:
            if mandatory and (isinstance(error, NotFound) or "NO_ROUTE" in str(error)):
                raise unroutable(message) from None
            if isinstance(error, NotFound):
                return
            raise unavailable(error) from error
        except AWAY as error:
            raise unavailable(error) from error

    def send(self, message: Message, *, timeout_s: float = 5) -> None:
        def send(line: _Line) -> None:
            line.write(published(line.channel.channel_id, message, line.frame_max), timeout_s)

        try:
            self._sending(self._unconfirmed, NONE, timeout_s, send)
        except AWAY as error:
            raise unavailable(error) from error

    def publish_many(self, messages: Sequence[Message], *, timeout_s: float = 10) -> list[str]:
        deadline = time.monotonic() + timeout_s

        def send(line: _Line) -> list[str]:
            first = line.sent + 1
            # What was confirmed for batches before is not counted for this one.
            line._settled = line.sent
            line.acked.clear()
            line.refused.clear()
            line.returned.clear()
            line.sent += len(messages)
            line.write(b"".join([published(line.channel.channel_id, message, line.frame_max, mandatory=True) for message in messages]),
                       max(0.05, deadline - time.monotonic()))
            while len(line.acked) + len(line.refused) < len(messages):
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    break
                try:
                    line.connection.drain_events(timeout=left_s)
                except TimeoutError:
                    break
            homeless = self._homeless(line.returned)
            taken = [message.id for number, message in enumerate(messages, first)
                     if number in line.acked and message.id is not None and message.id not in homeless]
            if len(line.acked) + len(line.refused) < len(messages):
                # Confirms that come later would be counted for the next batch.
                line.close()
            return taken

        if not messages:
            return []
        try:
            return self._sending(self._batches, MANY, timeout_s, send)
        except AWAY as error:
            raise unavailable(error) from error

    def declare(self, topology: Topology) -> None:
        everything = self._topology + topology
        try:
            with self._asking() as channel:
                declare(channel, everything, account_of(self.uri))
        except NotFound as error:
            raise missing(error) from error
        self._topology = everything

    def seen(self, queues: Sequence[str] | None = None) -> dict[str, Seen]:
        found = {}
        with self._asking() as channel:
            for name in [spec.name for spec in self._topology.queues] if queues is None else queues:
                try:
                    said = channel.queue_declare(queue=name, passive=True)
                except NotFound:
                    # The broker answers so by closing the channel.
                    channel = channel.connection.channel()
                else:
                    found[name] = Seen(said.message_count, said.consumer_count)
        return found

    def peek(self, queue: str, limit: int) -> list[Delivery]:
        found: list[Delivery] = []
        try:
            with self._asking() as channel:
                while len(found) < limit:
                    message = channel.basic_get(queue)
                    if message is None:
                        break
                    found.append(delivery_of(queue, channel.message_to_python(message)))
                # The channel closes, and what it holds goes back to its place.
        except NotFound:
            return []
        return found

    def is_reachable(self) -> bool:
        try:
            with Connection(self.uri, connect_timeout=PROBE_S) as connection:
                connection.connect()
            return True
        except AWAY:
            return False

    def close(self) -> None:
        with self._lock:
            lines = [*self._singles, *self._batches, *self._unconfirmed]
            for idle in (self._singles, self._batches, self._unconfirmed):
                idle.clear()
        for line in lines:
            line.close()

    def _homeless(self, returned: Sequence[tuple[str, str, str | None]]) -> set[str | None]:
        """The ids of messages that no queue took, although one should have: somebody removed it. It is made again, and
        they are published again; where nobody wants them even then, nothing is lost.
        """
        now = time.monotonic()
        fresh = [one for one in returned if now - self._nobodys.get(one[:2], -WANTED_S) >= WANTED_S]
        if fresh:
            log.warning("%d messages found no queue, such as %s; what should be there is declared again", len(fresh), fresh[0][1])
            self.declare(Topology())
            self._nobodys.update({(exchange, key): now for exchange, key, _ in fresh})
        return {message_id for _, _, message_id in fresh}

    # --- inside ------------------------------------------------------------------------------------------------

    def _sending(self, idle: list[_Line], confirms: str, timeout_s: float, send: Callable[[_Line], T]) -> T:
        with self._lock:
            line = idle.pop() if idle else None
        if line is not None and not line.is_alive():
            line.close()
            self.close()
            line = None
        kept = line is not None
        try:
            if line is None:
                line = _Line(self.uri, timeout_s, confirms)
            try:
                answer = send(line)
            except TimeoutError:
                raise
            except (AMQPError, OSError) as error:
                if not kept or isinstance(error, ChannelError):
                    raise
                # It had been idle, and the broker was restarted meanwhile: the others are no better.
                line.close()
                self.close()
                line = _Line(self.uri, timeout_s, confirms)
                answer = send(line)
        except BaseException:
            if line is not None:
                line.close()
            raise
        with self._lock:
            if line.connection.connected and len(idle) < IDLE_CONNECTIONS:
                idle.append(line)
                return answer
        line.close()
        return answer

    @contextmanager
    def _asking(self) -> Iterator[Any]:
        try:
            with Connection(self.uri, connect_timeout=CONNECT_S, transport_options={"read_timeout": CONNECT_S}) as connection:
                connection.connect()
                yield connection.channel()
        except NotFound:
            raise
        except AWAY as error:
            raise unavailable(error) from error


def _amqp(message: Message) -> amqp.Message:
    properties = message.properties()
    properties["application_headers"] = dict(properties["application_headers"])
    return amqp.Message(message.body, **properties)
