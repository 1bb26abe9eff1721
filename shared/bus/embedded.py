"""The embedded broker as a kombu transport, ``embedded:///path/to/broker.db``, so that Nameko itself runs on it.

Channels and connections are objects in this process; what they promise is the engine's. One engine per file serves all
connections of the process, and ends with ``stop_broker``.
"""
from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import kombu.transport
from amqp.exceptions import ChannelError, ConnectionForced, NotFound, RecoverableConnectionError
from kombu.message import Message
from kombu.transport import base

from shared.bus.clock import Bell
from shared.bus.engine import Engine
from shared.bus.queues import Consumer, Entry, Queue

SCHEME = "embedded"
DRAINED_AT_ONCE = 100

_engines: dict[Path, Engine] = {}
_engines_lock = threading.Lock()


def embedded_uri(path: Path) -> str:
    """The address of the broker that keeps its queues in this file."""
    return f"{SCHEME}://{quote(str(path.resolve()))}"


def register_transport() -> None:
    """Let kombu know the scheme ``embedded``."""
    kombu.transport.TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"


def engine_at(uri: str) -> Engine:
    """The broker of this address, started at its first use in the process.

    Raises:
        Conflict: ``bus.in_use``, another process has the file.
    """
    path = Path(unquote(urlsplit(uri).path)).resolve()
    with _engines_lock:
        engine = _engines.get(path)
        if engine is None or not engine.running:
            engine = _engines[path] = Engine(path)
        return engine


def stop_broker(uri: str) -> None:
    """Stop the broker of this address, if it runs here: connections close, the file is free for another process."""
    path = Path(unquote(urlsplit(uri).path)).resolve()
    with _engines_lock:
        engine = _engines.pop(path, None)
    if engine is not None:
        engine.stop()


class Declared(NamedTuple):
    queue: str
    message_count: int
    consumer_count: int


class Channel(base.StdChannel):
    """A channel: its own delivery tags, consumers and un-acked messages."""

    Message = Message
    # Every publish is confirmed: it returns when the message is where it has to be.
    supports_batch_publish = False

    def __init__(self, connection: Connection, number: int) -> None:
        self.connection: Connection | None = connection
        self.channel_id = number
        self.events: dict[str, set[Callable[..., None]]] = {"basic_return": set()}
        self.no_ack_consumers: set[str] = set()
        self._engine = connection.engine
        self._consumers: dict[str, Consumer] = {}
        self._cancelled: dict[str, Callable[[str], None]] = {}
        self._unacked: dict[int, tuple[Queue, Entry, Consumer | None]] = {}
        self._tags = itertools.count(1)
        self._prefetch = 0

    # --- topology ----------------------------------------------------------------------------------------------

    def exchange_declare(self, exchange: str, type: str = "direct", durable: bool = False, auto_delete: bool = False,
                         arguments: Mapping[str, Any] | None = None, nowait: bool = False, passive: bool = False,
                         **_: Any) -> None:
        self._engine.declare_exchange(exchange, type, durable, auto_delete, passive)

    def exchange_delete(self, exchange: str, if_unused: bool = False, nowait: bool = False, **_: Any) -> None:
        self._engine.delete_exchange(exchange)

    def queue_declare(self, queue: str = "", passive: bool = False, durable: bool = False, exclusive: bool = False,
                      auto_delete: bool = True, arguments: Mapping[str, Any] | None = None, nowait: bool = False,
                      **_: Any) -> Declared:
        return Declared(*self._engine.declare_queue(
            queue, arguments or {}, durable=bool(durable), exclusive=bool(exclusive), auto_delete=bool(auto_delete),
            passive=passive, connection=self.connection))

    def queue_bind(self, queue: str, exchange: str = "", routing_key: str = "", arguments: Any = None,
                   nowait: bool = False, **_: Any) -> None:
        self._engine.bind(queue, exchange, routing_key, self.connection)

    def queue_unbind(self, queue: str, exchange: str = "", routing_key: str = "", arguments: Any = None,
                     nowait: bool = False, **_: Any) -> None:
        self._engine.unbind(queue, exchange, routing_key)

    def queue_purge(self, queue: str, nowait: bool = False, **_: Any) -> int:
        return self._engine.purge(queue, self.connection)

    def queue_delete(self, queue: str, if_unused: bool = False, if_empty: bool = False, nowait: bool = False,
                     **_: Any) -> int:
        return self._engine.delete_queue(queue, if_unused, if_empty, self.connection)

    def prepare_queue_arguments(self, arguments: Mapping[str, Any], **options: Any) -> Mapping[str, Any]:
        return base.to_rabbitmq_queue_arguments(arguments, **options)

    # --- publishing --------------------------------------------------------------------------------------------

    def prepare_message(self, body: Any, priority: int | None = None, content_type: str | None = None,
                        content_encoding: str | None = None, headers: Mapping[str, Any] | None = None,
                        properties: Mapping[str, Any] | None = None) -> tuple[bytes, dict[str, Any]]:
        """The message as bytes and AMQP properties."""
        found = {name: value for name, value in (properties or {}).items() if value is not None}
        for name, value in (("priority", priority), ("content_type", content_type), ("content_encoding", content_encoding)):
            if value is not None:
                found[name] = value
        found["application_headers"] = dict(headers or {})
        if isinstance(body, str):
            body = body.encode(content_encoding or "utf-8")
        return bytes(body), found

    def basic_publish(self, message: tuple[bytes, dict[str, Any]], exchange: str = "", routing_key: str = "",
                      mandatory: bool = False, immediate: bool = False, timeout: float | None = None,
                      confirm_timeout: float | None = None, **_: Any) -> None:
        """Publish and confirm; a mandatory message that no queue takes comes back.

        Raises:
            ChannelError: ``NO_ROUTE``, the mandatory message came back and nobody listens for returns.
        """
        body, properties = message
        if not self._engine.publish(exchange, routing_key, properties, body) and mandatory:
            returned = ChannelError("NO_ROUTE", (50, 60), "Basic.return", 312)
            for callback in self.events["basic_return"]:
                callback(returned, exchange, routing_key, message)
            if not self.events["basic_return"]:
                raise returned

    # --- reading -----------------------------------------------------------------------------------------------

    def basic_qos(self, prefetch_size: int = 0, prefetch_count: int = 0, a_global: bool = False, **_: Any) -> None:
        """Bound what later consumers of this channel hold un-acked, each for itself; 0 is no bound."""
        self._prefetch = prefetch_count

    def basic_consume(self, queue: str, consumer_tag: str = "", no_ack: bool = False,
                      callback: Callable[[Any], None] | None = None, nowait: bool = False, arguments: Any = None,
                      on_cancel: Callable[[str], None] | None = None, **_: Any) -> str:
        tag = consumer_tag or f"ctag{self.channel_id}.{next(self._tags)}"
        consumer = Consumer(tag, self._engine.queue(queue, self.connection), self, bool(no_ack), self._prefetch, callback,
                            (arguments or {}).get("x-priority", 0))
        self._consumers[tag] = consumer
        if no_ack:
            self.no_ack_consumers.add(tag)
        if on_cancel is not None:
            self._cancelled[tag] = on_cancel
        self._engine.consume(consumer)
        return tag

    def basic_cancel(self, consumer_tag: str, nowait: bool = False, **_: Any) -> None:
        """Stop a consumer; what was on its way and not handed to it yet goes back to its place."""
        consumer = self._consumers.pop(consumer_tag, None)
        self._cancelled.pop(consumer_tag, None)
        if consumer is not None and self.connection is not None:
            self._engine.cancel(consumer, self._unread(consumer))

    def basic_get(self, queue: str = "", no_ack: bool = False, **_: Any) -> Message | None:
        found = self._engine.queue(queue, self.connection)
        taken = self._engine.take(found, no_ack)
        if taken is None:
            return None
        entry, left = taken
        tag = next(self._tags)
        if not no_ack:
            self._unacked[tag] = (found, entry, None)
        message = self.read(tag, entry, None)
        message.delivery_info["message_count"] = left
        return message

    def basic_ack(self, delivery_tag: int, multiple: bool = False, **_: Any) -> None:
        self._engine.settle(self._picked(delivery_tag, multiple))

    def basic_reject(self, delivery_tag: int, requeue: bool = False, **_: Any) -> None:
        for queue, entry, consumer in self._picked(delivery_tag, False):
            if requeue:
                self._engine.give_back([(queue, entry, consumer)])
            else:
                self._engine.reject(queue, entry, consumer)

    def basic_recover(self, requeue: bool = True, **_: Any) -> None:
        """Give back everything that this channel holds un-acked."""
        held, self._unacked = self._unacked, {}
        if self.connection is not None:
            self.connection.drop(lambda channel, consumer: channel is self)
        self._engine.give_back(list(held.values()))

    def message_to_python(self, raw_message: Message) -> Message:
        return raw_message

    def read(self, tag: int, entry: Entry, consumer: Consumer | None) -> Message:
        """A stored message in kombu's shape; what the reader changes in it changes no other copy."""
        properties = dict(entry.properties)
        headers = properties["application_headers"] = dict(properties.get("application_headers") or {})
        if entry.returned and (consumer is None or consumer.queue.delivery_limit is not None):
            headers["x-delivery-count"] = entry.returned
        info = {"delivery_tag": tag, "redelivered": entry.returned > 0, "exchange": entry.exchange,
                "routing_key": entry.key}
        if consumer is not None:
            info["consumer_tag"] = consumer.tag
        return Message(
            body=entry.body, delivery_tag=tag, channel=self, content_type=properties.get("content_type"),
            content_encoding=properties.get("content_encoding"), delivery_info=info, properties=properties,
            headers=headers)

    def flow(self, active: bool = True) -> None:
        """Flow control has no meaning without a network."""

    def close(self) -> None:
        """Close: consumers end, and what they held un-acked is given back."""
        connection, self.connection = self.connection, None
        if connection is None:
            return
        connection.drop(lambda channel, consumer: channel is self)
        consumers, self._consumers = list(self._consumers.values()), {}
        held, self._unacked = self._unacked, {}
        connection.channels.pop(self.channel_id, None)
        if self._engine.running:
            for consumer in consumers:
                consumer.prefetch, consumer.in_flight = 1, 1 << 60
            self._engine.give_back(list(held.values()))
            for consumer in consumers:
                self._engine.cancel(consumer, ())

    # --- the engine's side -------------------------------------------------------------------------------------

    def hand(self, consumer: Consumer, entry: Entry) -> None:
        """Take a message for a consumer of this channel; called by the engine."""
        tag = next(self._tags)
        if not consumer.no_ack:
            self._unacked[tag] = (consumer.queue, entry, consumer)
        connection = self.connection
        if connection is not None:
            connection.inbox.append((self, consumer, tag, entry))
            connection.bell.ring()

    def cancelled(self, consumer: Consumer) -> None:
        """The queue of a consumer is gone; called by the engine."""
        self._consumers.pop(consumer.tag, None)
        on_cancel = self._cancelled.pop(consumer.tag, None)
        if on_cancel is not None:
            on_cancel(consumer.tag)

    def _unread(self, consumer: Consumer) -> list[Entry]:
        dropped = self.connection.drop(lambda channel, reader: reader is consumer) if self.connection else []
        unread = []
        for tag, entry in dropped:
            if self._unacked.pop(tag, None) is not None:
                unread.append(entry)
        return unread

    def _picked(self, tag: int, multiple: bool) -> list[tuple[Queue, Entry, Consumer | None]]:
        if self.connection is None:
            raise RecoverableConnectionError("Channel closed")
        if not multiple:
            found = self._unacked.pop(tag, None)
            return [found] if found is not None else []
        tags = [held for held in self._unacked if held <= tag] if tag else list(self._unacked)
        return [self._unacked.pop(held) for held in tags]


class Connection:
    """A connection of this process to the broker: an inbox and a bell."""

    def __init__(self, engine: Engine, client: Any) -> None:
        self.engine = engine
        self.client = client
        self.channels: dict[int, Channel] = {}
        self.inbox: deque[tuple[Channel, Consumer, int, Entry]] = deque()
        self.bell = Bell()
        self.connected = True
        self._interrupted = False
        self._numbers = itertools.count(1)
        engine.attach(self)

    def channel(self) -> Channel:
        if not self.connected:
            raise ConnectionForced("CONNECTION_FORCED - the broker was stopped")
        number = next(self._numbers)
        self.channels[number] = Channel(self, number)
        return self.channels[number]

    def drain_events(self, timeout: float | None = None) -> None:
        """Call the consumers for what has arrived, waiting for it when nothing has.

        Raises:
            TimeoutError: nothing came within ``timeout`` seconds.
            RecoverableConnectionError: the connection is closed.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.inbox:
            if not self.connected:
                raise RecoverableConnectionError("Connection closed")
            rang = self.bell.wait(None if deadline is None else deadline - time.monotonic())
            if self._interrupted or not rang and not self.inbox:
                self._interrupted = False
                raise TimeoutError("timed out")
        for _ in range(min(len(self.inbox), DRAINED_AT_ONCE)):
            try:
                channel, consumer, tag, entry = self.inbox.popleft()
            except IndexError:
                return
            if consumer.callback is not None:
                consumer.callback(channel.read(tag, entry, consumer))

    def interrupt(self) -> None:
        """Let who waits in ``drain_events`` go on as if its time were over."""
        self._interrupted = True
        self.bell.ring()

    def drop(self, which: Callable[[Channel, Consumer], bool]) -> list[tuple[int, Entry]]:
        """Take what was on its way out of the inbox."""
        dropped, kept = [], []
        while self.inbox:
            item = self.inbox.popleft()
            (dropped if which(item[0], item[1]) else kept).append(item)
        self.inbox.extendleft(reversed(kept))
        return [(tag, entry) for _, _, tag, entry in dropped]

    def close(self) -> None:
        if self.connected:
            for channel in list(self.channels.values()):
                channel.close()
            self.engine.detach(self)
            self.shut()

    def shut(self) -> None:
        """The broker stops: whoever waits here learns it."""
        self.connected = False
        for channel in list(self.channels.values()):
            channel.connection = None
        self.inbox.clear()
        self.bell.ring()


class Transport(base.Transport):
    """kombu's view of the embedded broker."""

    can_parse_url = True
    driver_type = SCHEME
    driver_name = SCHEME
    connection_errors = (RecoverableConnectionError, OSError)
    channel_errors = (ChannelError, NotFound)
    recoverable_connection_errors = (RecoverableConnectionError, OSError)
    recoverable_channel_errors = ()
    implements = base.Transport.implements.extend(
        asynchronous=False, heartbeats=False, exchange_type=frozenset(["direct", "topic", "fanout"]))

    def driver_version(self) -> str:
        return "1"

    def establish_connection(self) -> Connection:
        return Connection(engine_at(self.client.hostname), self.client)

    def create_channel(self, connection: Connection) -> Channel:
        return connection.channel()

    def close_connection(self, connection: Connection) -> None:
        connection.close()

    def drain_events(self, connection: Connection, timeout: float | None = None, **_: Any) -> None:
        connection.drain_events(timeout)

    def verify_connection(self, connection: Connection) -> bool:
        return connection.connected

    def as_uri(self, uri: str, include_password: bool = False, mask: str = "**") -> str:
        return uri
