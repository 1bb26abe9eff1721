"""What the entrypoints share: the way to the broker, and the consumer that hands messages to them.

Decodes nothing and settles nothing by itself; each entrypoint does both.
"""
from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import amqp
from eventlet import spawn_after
from eventlet.semaphore import Semaphore
from kombu import Connection, Consumer
from kombu.message import Message as KombuMessage
from nameko.constants import AMQP_URI_CONFIG_KEY, DEFAULT_HEARTBEAT, HEARTBEAT_CONFIG_KEY
from nameko.extensions import SharedExtension
from nameko.messaging import QueueConsumer

from shared.bus import port
from shared.bus.accounts import account_of
from shared.bus.message import Message
from shared.bus.one_piece import in_one_piece
from shared.bus.read_ahead import read_ahead
from shared.bus.topology import DEAD_LETTERS, INTERNAL, RETRY_DELAYS_S, declare

log = logging.getLogger(__name__)

CONNECT_S = 5
RECONNECT = {"interval_start": 0.2, "interval_step": 0.5, "interval_max": 3}
# A peer that is gone without a word is noticed after about ten seconds.
CONSUMING = {"socket_settings": port.KEEPALIVE}


class Bus(SharedExtension):
    """The container's way to the broker."""

    _broker: port.Broker | None = None

    @property
    def broker(self) -> port.Broker:
        if self._broker is None:
            self._broker = port.connect(self.container.config[AMQP_URI_CONFIG_KEY])
        return self._broker

    def stop(self) -> None:
        if self._broker is not None:
            self._broker.close()


class Receiver(QueueConsumer):
    """Nameko's consumer of queues, but it hands on bodies undecoded, declares what a provider needs at each connection,
    and stays connected until what was handed out is settled.

    At most half of the workers handle events, so that a flood of events leaves room to answer calls.
    """

    bus = Bus()

    def __init__(self) -> None:
        super().__init__()
        self._in_flight = 0
        self._channel: Any = None
        self._held: set[int] = set()
        self._wire: Any = None
        self._telling = Semaphore(1)
        self.is_connected = False

    @property
    def connection(self) -> Connection:
        return connection_of(self.container)

    @contextmanager
    def establish_connection(self) -> Iterator[Connection]:
        # kombu's own pauses grow to half a minute.
        with self.create_connection() as connection:
            connection.ensure_connection(self.on_connection_error, None, **RECONNECT)
            yield connection

    @contextmanager
    def consumer_context(self, **more: Any) -> Iterator[Any]:
        try:
            with super().consumer_context(**more) as consuming:
                yield consuming
        finally:
            self._wire, self.is_connected = None, False

    def setup(self) -> None:
        port.prepare(self.amqp_uri)
        look_after(self.container, "calls and events", lambda: self.is_connected)
        self.event_slots = Semaphore(max(1, self.container.max_workers // 2))

    def get_consumers(self, consumer_cls: Any, channel: Any) -> list[Consumer]:
        self._in_flight = 0
        self._channel, self._held = channel, set()
        for provider in self._providers:
            declare(channel, provider.topology, account_of(self.amqp_uri))
            consumer = Consumer(channel, queues=[provider.queue], auto_declare=provider.declares_queue,
                                on_message=partial(self._take, provider),
                                # kombu's own way with what it cannot unpack is to ack it.
                                on_decode_error=lambda message, error, provider=provider: self._take(provider, message))
            consumer.qos(prefetch_count=provider.prefetch)
            self._consumers[provider] = consumer
        return list(self._consumers.values())

    def on_consume_ready(self, connection: Any, channel: Any, consumers: Any, **more: Any) -> None:
        self._wire = connection.connection
        read_ahead(connection.connection)
        self.is_connected = True
        super().on_consume_ready(connection, channel, consumers, **more)

    def on_iteration(self) -> None:
        if not getattr(self._wire, "connected", True):
            # Told by somebody who wrote to it, an ack for example. kombu would quietly connect anew and wait there, without our consumers.
            raise ConnectionResetError("the connection to the broker was found broken")
        self._cancel_consumers_if_requested()
        if not self._consumers and self._in_flight <= 0:
            self.should_stop = True
            self._wake()

    def unregister_provider(self, provider: Any) -> None:
        spawn_after(0, self._wake)
        super().unregister_provider(provider)

    def kill(self) -> None:
        # The consumer looks up only when something comes, or its time is over.
        spawn_after(0, self._wake)
        super().kill()

    def settle(self, settle: Callable[[KombuMessage], None], message: KombuMessage) -> None:
        """Ack, reject or requeue; on a connection that is gone the broker has taken the message back by itself."""
        self._settle(lambda: settle(message), [message])

    def ack_all(self, messages: Sequence[KombuMessage]) -> None:
        """Ack several in one piece. Those before which nothing is still with a handler are acked in one word: to a quorum queue each word
        is an entry of its log."""
        held = self._held - {message.delivery_tag for message in messages}
        first = min(held, default=None)
        ready = [message for message in messages
                 if message.channel is self._channel and (first is None or message.delivery_tag < first)]
        if ready:
            self._settle(partial(max(ready, key=lambda message: message.delivery_tag).ack, multiple=True), ready)
        self._settle_each([message for message in messages if message not in ready])

    def _settle_each(self, messages: Sequence[KombuMessage]) -> None:
        connection = getattr(messages[0].channel, "connection", None) if messages else None
        if len(messages) < 2 or not isinstance(connection, amqp.Connection) or not connection.connected:
            for message in messages:
                self.settle(KombuMessage.ack, message)
            return
        with self._telling:
            try:
                with in_one_piece(connection):
                    for message in messages:
                        self.settle(KombuMessage.ack, message)
            except OSError as error:
                log.warning("%d messages could not be settled and will come again: %r", len(messages), error)

    def _settle(self, settle: Callable[[], None], messages: Sequence[KombuMessage]) -> None:
        self._in_flight -= len(messages)
        channel = messages[0].channel
        try:
            if channel is not None and channel.connection:
                settle()
                if channel is self._channel:
                    # What could not be told stays held, so that nothing after it is acked together with it.
                    self._held.difference_update(message.delivery_tag for message in messages)
        except Exception as error:
            log.warning("%d message(s) could not be settled and will come again: %r", len(messages), error)
        if not self._consumers and self._in_flight <= 0:
            self._wake()

    def _wake(self) -> None:
        interrupt = getattr(self._wire, "interrupt", None)
        if interrupt is not None:
            interrupt()

    def _take(self, provider: Any, message: KombuMessage) -> None:
        self._in_flight += 1
        self._held.add(message.delivery_tag)
        if provider.has_room():
            provider.handle(message)
        else:
            # Waits for a worker in a thread of its own, so that others are not kept waiting behind it.
            self.container.spawn_managed_thread(partial(provider.handle, message), identifier=provider.queue.name)


def connection_of(container: Any) -> Connection:
    """A connection to consume on: with heartbeats, and a limit for every step of connecting."""
    config = container.config
    return Connection(config[AMQP_URI_CONFIG_KEY], connect_timeout=CONNECT_S,
                      heartbeat=config.get(HEARTBEAT_CONFIG_KEY, DEFAULT_HEARTBEAT), transport_options=CONSUMING)


def look_after(container: Any, title: str, is_connected: Callable[[], bool]) -> None:
    """Have the process's health say when a consumer is not connected."""
    vitals = container.config.get("VITALS", {}).get(container.service_name)
    if vitals is not None:
        vitals.consumer(title, is_connected)


def count_failure(container: Any, message: Message) -> None:
    """Count what became of a message whose handler failed: another attempt, or a dead letter."""
    figures = container.config.get("FIGURES")
    if figures is not None:
        dead = message.exchange == DEAD_LETTERS
        figures.put_aside(container.service_name, message.headers["x-queue"], message.headers["x-error-code"] if dead else None)


def exchange_of(source: str, internal: bool) -> str:
    """The exchange of a source: Nameko's ``<source>.events``, or the one among the services."""
    return INTERNAL if internal else f"{source}.events"


def delays_in(config: dict[str, Any]) -> Sequence[float]:
    """The pauses before further attempts, as the config says."""
    return config.get("retry_backoff_s") or RETRY_DELAYS_S
