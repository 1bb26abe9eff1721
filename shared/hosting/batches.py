"""The entrypoint for many messages at once. See ``entrypoints`` for what becomes of a message."""
from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

from eventlet.event import Event as GreenEvent
from kombu import Connection, Consumer, Queue
from kombu.message import Message as KombuMessage
from nameko.constants import AMQP_URI_CONFIG_KEY
from nameko.exceptions import ContainerBeingKilled
from nameko.extensions import Entrypoint

from shared.bus import port
from shared.bus.accounts import account_of
from shared.bus.event import delivery_of, event_of
from shared.bus.failures import after_failure, copy_of, is_permanent
from shared.bus.message import Delivery
from shared.bus.pace import Pace, gathering_s
from shared.bus.read_ahead import read_ahead
from shared.bus.topology import (
    BASE, DEAD_QUEUE, RETRY_DELAYS_S, Topology, declare, event_queue, later_name, retry_queue,
)
from shared.hosting.behalf import on_behalf_of
from shared.hosting.receiving import Bus, connection_of, count_failure, delays_in, exchange_of, look_after
from shared.kernel.errors import Denied, EdgemereError, Malformed

log = logging.getLogger(__name__)

BATCH = 500
BATCH_PREFETCH = 1000
BATCH_ATTEMPTS = 3
# What comes within this time of the first message is handled with it: a transaction costs more than the messages in it.
GATHER_S = 0.004
# The same after a batch of more than so many.
BUSY, GATHER_BUSY_S = 10, 0.05
BATCH_PAUSES_S = (0.2, 1.0, 5.0)


class BatchEvent(Entrypoint):
    """A method that handles many messages at once: ``method(self, messages)``, up to ``batch`` in order (the setting
    ``events.batch`` unless given), without waiting for a full batch. One consumer at a time has the queue.

    ``source`` and ``internal`` as for ``on_event``; ``patterns`` such as ``data.*`` or ``#``. ``queue`` defaults to
    ``<service>.<method>``; the dead letters are ``batch_event(queue=DEAD_QUEUE, raw=True)``. With ``raw`` the method gets
    ``Delivery`` objects, undecoded, otherwise ``EventMessage``. The batch is acked after the method returned. A failed batch is repeated: without end while the
    error is one that passes (``retryable``), else three times, and then one message at a time, so that a bad one is
    retried and dead-lettered alone.
    """

    bus = Bus()

    def __init__(self, source: str = "", patterns: Iterable[str] = (), *, queue: str | None = None,
                 internal: bool = False, raw: bool = False, batch: int | None = None, prefetch: int = BATCH_PREFETCH,
                 delays_s: Sequence[float] | None = None, pauses_s: Sequence[float] = BATCH_PAUSES_S,
                 **options: Any) -> None:
        super().__init__(**{"expected_exceptions": (EdgemereError,), **options})
        self.queue_name = queue
        self.bindings = tuple((exchange_of(source, internal), pattern) for pattern in patterns)
        self.raw = raw
        self.batch = batch
        self.prefetch = prefetch
        self.delays_s = delays_s
        self.pauses_s = tuple(pauses_s)

    def topology_for(self, service: str, delays_s: Sequence[float] = RETRY_DELAYS_S, method: str = "") -> Topology:
        """What has to be declared before the first publish."""
        delays_s = self.delays_s or delays_s
        if self.queue_name == DEAD_QUEUE:
            return BASE + retry_queue(delays_s[-1])
        name = self.queue_name or f"{service}.{method}"
        return event_queue(name, self.bindings, single=True, delays_s=delays_s)

    def setup(self) -> None:
        self.delays_s = tuple(self.delays_s or delays_in(self.container.config))
        self.batch = self.batch or self.container.config.get("event_batch", BATCH)
        # While one batch is handled, the next can arrive.
        self.prefetch = max(self.prefetch, 2 * self.batch)
        self.topology = self.topology_for(self.container.service_name, method=self.method_name)
        self.queue_name = self.queue_name or f"{self.container.service_name}.{self.method_name}"
        port.prepare(self.container.config[AMQP_URI_CONFIG_KEY])
        self._stopping = threading.Event()
        self._waiting: list[KombuMessage] = []
        self._wire: Any = None
        self._connected = False
        look_after(self.container, self.queue_name, lambda: self._connected)
        self._ready = GreenEvent()

    def start(self) -> None:
        self._thread = self.container.spawn_managed_thread(self._run, identifier=self.queue_name)
        self._ready.wait()

    def stop(self) -> None:
        self.kill()
        self._thread.wait()

    def kill(self) -> None:
        self._stopping.set()
        interrupt = getattr(self._wire, "interrupt", None)
        if interrupt is not None:
            interrupt()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with connection_of(self.container) as connection:
                    connection.connect()
                    self._consume(connection)
            except Exception as error:
                log.warning("the consumer of %s lost its connection: %r", self.queue_name, error)
                self._stopping.wait(1)
            finally:
                self._connected = False
                # Also where the broker is away at the start: the service waits for it, it does not fail.
                if not self._ready.ready():
                    self._ready.send(None)

    def _consume(self, connection: Connection) -> None:
        channel = connection.default_channel
        pace = self.container.config.get("PACE") or Pace()
        declare(channel, self.topology, account_of(self.container.config[AMQP_URI_CONFIG_KEY]))
        self._waiting = []
        consumer = Consumer(channel, queues=[Queue(self.queue_name, durable=True)], auto_declare=False,
                            on_message=self._waiting.append, prefetch_count=self.prefetch,
                            on_decode_error=lambda message, error: self._waiting.append(message))
        with consumer:
            self._wire = connection.connection
            read_ahead(connection.connection)
            self._connected = True
            if not self._ready.ready():
                self._ready.send(None)
            due, gather_s = 0.0, GATHER_S
            while not self._stopping.is_set():
                full, none = len(self._waiting) >= self.batch, not self._waiting
                try:
                    connection.drain_events(timeout=0 if full else max(0.0, due - time.monotonic()) if self._waiting else 1)
                    if none:
                        due = time.monotonic() + gather_s
                    if len(self._waiting) < self.batch and time.monotonic() < due:
                        continue
                except TimeoutError:
                    connection.heartbeat_check()
                if self._waiting:
                    batch, self._waiting[:] = self._waiting[:self.batch], self._waiting[self.batch:]
                    began = time.monotonic()
                    self._handle(connection, batch)
                    took_s = time.monotonic() - began
                    gather_s = gathering_s(took_s, GATHER_BUSY_S) if len(batch) > BUSY else GATHER_S
                    # Whoever waits for an answer comes first.
                    pace.rest(took_s if len(batch) >= self.batch // 2 else 0)

    def _handle(self, connection: Connection, batch: list[KombuMessage]) -> None:
        good: list[tuple[Any, Delivery]] = []
        for message in batch:
            delivery = delivery_of(self.queue_name, message)
            try:
                if not self.raw and "SEAL" in self.container.config:
                    on_behalf_of(delivery, self.container.config["SEAL"])
                good.append((delivery if self.raw else event_of(delivery), delivery))
            except (Malformed, Denied) as error:
                self._put_aside(delivery, error)
        error = self._persistently([item for item, _ in good], connection) if good else None
        if error is not None:
            for item, delivery in good:
                alone = self._work([item])
                if alone is not None:
                    self._put_aside(delivery, alone)
        batch[-1].channel.basic_ack(batch[-1].delivery_tag, multiple=True)

    def _persistently(self, items: list[Any], connection: Connection) -> BaseException | None:
        attempt = 0
        while True:
            error = self._work(items)
            if error is None:
                return None
            attempt += 1
            passes = isinstance(error, EdgemereError) and error.retryable
            if is_permanent(error) or not passes and attempt >= BATCH_ATTEMPTS:
                return error
            if self._stopping.wait(self.pauses_s[min(attempt, len(self.pauses_s)) - 1]):
                raise ContainerBeingKilled()
            connection.heartbeat_check()

    def _work(self, items: list[Any]) -> BaseException | None:
        done = GreenEvent()

        def handled(worker_ctx: Any, result: Any, exc_info: Any) -> Any:
            done.send(exc_info[1] if exc_info else None)
            return result, exc_info

        self.container.spawn_worker(self, (items,), {}, context_data={"mesh": True}, handle_result=handled)
        return done.wait()

    def _put_aside(self, delivery: Delivery, error: BaseException) -> None:
        if self.queue_name == DEAD_QUEUE:
            log.error("a dead letter could not be read and comes again later: %s", error)
            # Unchanged, because its reason is that of its own death.
            self.bus.broker.publish(copy_of(delivery, later_name(self.delays_s[-1]), DEAD_QUEUE), mandatory=True)
        else:
            again = after_failure(delivery, error, self.delays_s)
            self.bus.broker.publish(again, mandatory=True)
            count_failure(self.container, again)
