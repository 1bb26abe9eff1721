"""How a service is called and told: ``rpc``, ``on_event`` and ``batch_event``, over Nameko's extension life cycle.

A message that arrived ends acked after its handler, or in a retry queue, or with the dead letters; it is never lost in
decoding, and none blocks the others. Nothing here retries in memory, so a crash changes nothing of that.
"""
from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from eventlet import spawn_after
from eventlet.event import Event as GreenEvent
from eventlet.semaphore import Semaphore
from kombu import Connection, Consumer, Exchange, Queue
from kombu.message import Message as KombuMessage
from nameko.constants import AMQP_URI_CONFIG_KEY, DEFAULT_HEARTBEAT, HEARTBEAT_CONFIG_KEY
from nameko.exceptions import ContainerBeingKilled, IncorrectSignature
from nameko.extensions import Entrypoint, SharedExtension
from nameko.messaging import HeaderDecoder, QueueConsumer
from nameko.rpc import RPC_QUEUE_TEMPLATE
from nameko.rpc import Rpc as NamekoRpc
from nameko.rpc import RpcConsumer

from shared.bus import port
from shared.bus.encoding import Undecodable, decode_as, encode
from shared.bus.event import EventMessage, delivery_of, event_of
from shared.bus.failures import after_failure, is_permanent, later
from shared.bus.message import Delivery, Message
from shared.bus.pace import Pace
from shared.bus.topology import (
    BASE, DEAD_QUEUE, INTERNAL, RETRY_DELAYS_S, RPC, Topology, declare, event_queue, retry_queue,
)
from shared.hosting.rpc import deadline_of, wire_error
from shared.kernel.errors import EdgemereError, Invalid, Malformed

log = logging.getLogger(__name__)

BATCH = 500
BATCH_PREFETCH = 1000
BATCH_ATTEMPTS = 3
BATCH_PAUSES_S = (0.2, 1.0, 5.0)


# --- what the entrypoints share ------------------------------------------------------------------------------------

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
        self._wire: Any = None

    def setup(self) -> None:
        port.prepare(self.amqp_uri)
        self.event_slots = Semaphore(max(1, self.container.max_workers // 2))

    def get_consumers(self, consumer_cls: Any, channel: Any) -> list[Consumer]:
        self._in_flight = 0
        for provider in self._providers:
            declare(channel, provider.topology)
            consumer = Consumer(channel, queues=[provider.queue], auto_declare=provider.declares_queue,
                                on_message=partial(self._take, provider))
            consumer.qos(prefetch_count=provider.prefetch)
            self._consumers[provider] = consumer
        return list(self._consumers.values())

    def on_consume_ready(self, connection: Any, channel: Any, consumers: Any, **more: Any) -> None:
        self._wire = connection.connection
        super().on_consume_ready(connection, channel, consumers, **more)

    def on_iteration(self) -> None:
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
        self._in_flight -= 1
        try:
            if message.channel is not None and message.channel.connection:
                settle(message)
        except Exception as error:
            log.warning("a message could not be settled and will come again: %r", error)
        if not self._consumers and self._in_flight <= 0:
            self._wake()

    def _wake(self) -> None:
        interrupt = getattr(self._wire, "interrupt", None)
        if interrupt is not None:
            interrupt()

    def _take(self, provider: Any, message: KombuMessage) -> None:
        self._in_flight += 1
        if provider.has_room():
            provider.handle(message)
        else:
            # Waits for a worker in a thread of its own, so that others are not kept waiting behind it.
            self.container.spawn_managed_thread(partial(provider.handle, message), identifier=provider.queue.name)


def exchange_of(source: str, internal: bool) -> str:
    """The exchange of a source: Nameko's ``<source>.events``, or the one among the services."""
    return INTERNAL if internal else f"{source}.events"


def delays_in(config: dict[str, Any]) -> Sequence[float]:
    """The pauses before further attempts, as the config says."""
    return config.get("retry_backoff_s") or RETRY_DELAYS_S


# --- rpc -----------------------------------------------------------------------------------------------------------

class RpcReceiver(RpcConsumer):
    """The calls of one service. Answers each once, and survives those that cannot be answered."""

    queue_consumer = Receiver()
    bus = Bus()
    topology = BASE
    declares_queue = True

    @property
    def prefetch(self) -> int:
        return self.container.max_workers

    def setup(self) -> None:
        if self.queue is None:
            name = self.container.service_name
            self.queue = Queue(RPC_QUEUE_TEMPLATE.format(name), Exchange(RPC, type="topic", durable=True),
                               routing_key=f"{name}.*", durable=True)
            self.queue_consumer.register_provider(self)

    def has_room(self) -> bool:
        return self.container._worker_pool.free() > 0

    def handle(self, message: KombuMessage) -> None:
        """Give a call to its method, or answer what is wrong with it."""
        called = message.delivery_info.get("routing_key", "")
        if not message.properties.get("reply_to"):
            log.error("a call of %s names nobody to answer to and is dropped", called)
            self.queue_consumer.settle(KombuMessage.reject, message)
            return
        deadline = deadline_of(message.headers.get("nameko.deadline"))
        if not self._worker_in_time(deadline):
            log.warning("a call of %s came after its deadline and is dropped", called)
            self.queue_consumer.settle(KombuMessage.ack, message)
            return
        try:
            args, kwargs = self._parameters(called, message)
            provider = self._method(called)
            provider.check_signature(args, kwargs)
            provider.run(args, kwargs, message)
        except ContainerBeingKilled:
            self.queue_consumer.settle(KombuMessage.requeue, message)
        except IncorrectSignature as error:
            self.answer(message, None, Invalid("parameter.invalid", f"{called} refuses its parameters: {error}."))
        except Exception as error:
            self.answer(message, None, error)

    def _worker_in_time(self, deadline: float | None) -> bool:
        """Wait for a free worker; whether there is one before the deadline."""
        free = self.container._worker_pool.sem
        left_s = None if deadline is None else deadline - time.time()
        if left_s is not None and left_s <= 0:
            return False
        if free.counter <= 0:
            if not free.acquire(timeout=left_s):
                return False
            free.release()
        return True

    def answer(self, message: KombuMessage, result: Any, error: BaseException | None) -> None:
        """Send the answer, then ack the call; an answer that cannot be sent leaves the call to be run again."""
        try:
            body = encode({"result": result, "error": wire_error(error) if error is not None else None})
        except Exception as broken:
            log.exception("the answer of %s is not JSON", message.delivery_info.get("routing_key"))
            body = encode({"result": None, "error": wire_error(broken)})
        try:
            self.bus.broker.publish(Message(
                RPC, message.properties["reply_to"], body, correlation_id=message.properties.get("correlation_id"),
                persistent=False))
        except Exception as broken:
            log.error("the answer of %s could not be sent: %s", message.delivery_info.get("routing_key"), broken)
            self.queue_consumer.settle(KombuMessage.requeue, message)
        else:
            self.queue_consumer.settle(KombuMessage.ack, message)

    def _parameters(self, called: str, message: KombuMessage) -> tuple[Sequence[Any], dict[str, Any]]:
        try:
            body = decode_as(message.body, message.content_type, message.content_encoding)
        except Undecodable as error:
            raise Malformed("message.undecodable", f"The call of {called} cannot be read: {error}.") from error
        if not isinstance(body, dict) or not isinstance(body.get("args"), list) or not isinstance(body.get("kwargs"), dict):
            raise Malformed("message.malformed", f"The call of {called} has no 'args' and 'kwargs'.")
        return body["args"], body["kwargs"]

    def _method(self, called: str) -> Rpc:
        # Nameko's own words for it, which its proxies turn into MethodNotFound at the caller.
        return self.get_provider_for_method(called)


class Rpc(NamekoRpc):
    """A method that other services, also foreign ones, call by ``rpc.<service>.<method>``."""

    rpc_consumer = RpcReceiver()

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"expected_exceptions": (EdgemereError,), **options})

    def run(self, args: Sequence[Any], kwargs: dict[str, Any], message: KombuMessage) -> None:
        self.container.spawn_worker(self, args, kwargs, context_data=self.unpack_message_headers(message),
                                    handle_result=partial(self.handle_result, message))

    def handle_result(self, message: KombuMessage, worker_ctx: Any, result: Any, exc_info: Any) -> Any:
        self.rpc_consumer.answer(message, result, exc_info[1] if exc_info else None)
        return result, exc_info


# --- events --------------------------------------------------------------------------------------------------------

class OnEvent(Entrypoint, HeaderDecoder):
    """A method that handles one event: ``method(self, message: EventMessage)``.

    ``source`` and ``event`` as in Nameko: the exchange is ``<source>.events``; ``internal`` takes the exchange among the
    services instead. The queue is ``<consumer>.<event>``, the consumer being the service unless named. A failed handler
    gets the message again after each of ``delays_s`` (default: ``retry_backoff_s`` of the config); errors that another attempt cannot mend (``EdgemereError`` that is
    not retryable, unless in ``retry_on``) and the last attempt make it a dead letter. ``prefetch``: how many at once.
    """

    receiver = Receiver()
    bus = Bus()
    declares_queue = False

    def __init__(self, source: str, event: str, *, internal: bool = False, consumer: str | None = None,
                 delays_s: Sequence[float] | None = None, retry_on: tuple[type[BaseException], ...] = (),
                 prefetch: int | None = None, **options: Any) -> None:
        super().__init__(**{"expected_exceptions": (EdgemereError,), **options})
        self.event = event
        self.exchange = exchange_of(source, internal)
        self.consumer = consumer
        self.delays_s = delays_s
        self.retry_on = retry_on
        self._prefetch = prefetch

    def topology_for(self, service: str, delays_s: Sequence[float] = RETRY_DELAYS_S) -> Topology:
        """What has to be declared before the first publish."""
        return event_queue(self.queue_name(service), [(self.exchange, self.event)], delays_s=self.delays_s or delays_s)

    def queue_name(self, service: str) -> str:
        return f"{self.consumer or service}.{self.event}"

    @property
    def prefetch(self) -> int:
        return self._prefetch or self.container.max_workers

    def setup(self) -> None:
        self.delays_s = tuple(self.delays_s or delays_in(self.container.config))
        self.topology = self.topology_for(self.container.service_name)
        self.queue = Queue(self.queue_name(self.container.service_name), durable=True)
        self.receiver.register_provider(self)

    def stop(self) -> None:
        self.receiver.unregister_provider(self)

    def has_room(self) -> bool:
        return self.receiver.event_slots.counter > 0 and self.container._worker_pool.free() > 0

    def handle(self, message: KombuMessage) -> None:
        """Give an event to the method, or dead-letter what is none."""
        delivery = delivery_of(self.queue.name, message)
        self.receiver.event_slots.acquire()
        try:
            event = event_of(delivery)
            self.container.spawn_worker(self, (event,), {}, context_data=_event_context(event),
                                        handle_result=partial(self._handled, delivery, message))
        except ContainerBeingKilled:
            self.receiver.event_slots.release()
            self.receiver.settle(KombuMessage.requeue, message)
        except Exception as error:
            self.receiver.event_slots.release()
            log.error("a message of %s is a dead letter: %s", self.queue.name, error)
            self._put_aside(delivery, message, error)

    def _handled(self, delivery: Delivery, message: KombuMessage, worker_ctx: Any, result: Any, exc_info: Any) -> Any:
        self.receiver.event_slots.release()
        if exc_info is None:
            self.receiver.settle(KombuMessage.ack, message)
        else:
            self._put_aside(delivery, message, exc_info[1])
        return result, exc_info

    def _put_aside(self, delivery: Delivery, message: KombuMessage, error: BaseException) -> None:
        # The copy is confirmed before the original is acked: in between there may be two, never none.
        try:
            self.bus.broker.publish(after_failure(delivery, error, self.delays_s, self.retry_on), mandatory=True)
        except Exception as broken:
            log.error("a message of %s could not be put aside: %s", self.queue.name, broken)
            time.sleep(1)
            self.receiver.settle(KombuMessage.requeue, message)
        else:
            self.receiver.settle(KombuMessage.ack, message)


def _event_context(event: EventMessage) -> dict[str, Any]:
    """The context of a handler: what it does is caused by the message. On whose behalf is no publisher's to say."""
    return {"correlation_id": event.correlation_id or event.id or "", "causation_id": event.id or ""}


class BatchEvent(Entrypoint):
    """A method that handles many messages at once: ``method(self, messages)``, up to ``batch`` in order, without waiting
    for a full batch. One consumer at a time has the queue.

    ``source`` and ``internal`` as for ``on_event``; ``patterns`` such as ``data.*`` or ``#``. ``queue`` defaults to
    ``<service>.<method>``; the dead letters are ``batch_event(queue=DEAD_QUEUE, raw=True)``. With ``raw`` the method gets
    ``Delivery`` objects, undecoded, otherwise ``EventMessage``. The batch is acked after the method returned. A failed batch is repeated: without end while the
    error is one that passes (``retryable``), else three times, and then one message at a time, so that a bad one is
    retried and dead-lettered alone.
    """

    bus = Bus()

    def __init__(self, source: str = "", patterns: Iterable[str] = (), *, queue: str | None = None,
                 internal: bool = False, raw: bool = False, batch: int = BATCH, prefetch: int = BATCH_PREFETCH,
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
        self.topology = self.topology_for(self.container.service_name, method=self.method_name)
        self.queue_name = self.queue_name or f"{self.container.service_name}.{self.method_name}"
        port.prepare(self.container.config[AMQP_URI_CONFIG_KEY])
        self._stopping = threading.Event()
        self._waiting: list[KombuMessage] = []
        self._wire: Any = None
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
        config = self.container.config
        while not self._stopping.is_set():
            try:
                with Connection(config[AMQP_URI_CONFIG_KEY], connect_timeout=5,
                                heartbeat=config.get(HEARTBEAT_CONFIG_KEY, DEFAULT_HEARTBEAT)) as connection:
                    connection.connect()
                    self._consume(connection)
            except Exception as error:
                log.warning("the consumer of %s lost its connection: %r", self.queue_name, error)
                self._stopping.wait(1)
            finally:
                # Also where the broker is away at the start: the service waits for it, it does not fail.
                if not self._ready.ready():
                    self._ready.send(None)

    def _consume(self, connection: Connection) -> None:
        channel = connection.default_channel
        pace = self.container.config.get("PACE") or Pace()
        declare(channel, self.topology)
        self._waiting = []
        consumer = Consumer(channel, queues=[Queue(self.queue_name, durable=True)], auto_declare=False,
                            on_message=self._waiting.append, prefetch_count=self.prefetch)
        with consumer:
            self._wire = connection.connection
            if not self._ready.ready():
                self._ready.send(None)
            while not self._stopping.is_set():
                try:
                    connection.drain_events(timeout=0 if len(self._waiting) >= self.batch else
                                            0.0005 if self._waiting else 1)
                    if len(self._waiting) < self.batch:
                        continue
                except TimeoutError:
                    connection.heartbeat_check()
                if self._waiting:
                    batch, self._waiting[:] = self._waiting[:self.batch], self._waiting[self.batch:]
                    began = time.monotonic()
                    self._handle(connection, batch)
                    # Whoever waits for an answer comes first.
                    pace.rest(time.monotonic() - began if len(batch) >= self.batch // 2 else 0)

    def _handle(self, connection: Connection, batch: list[KombuMessage]) -> None:
        good: list[tuple[Any, Delivery]] = []
        for message in batch:
            delivery = delivery_of(self.queue_name, message)
            try:
                good.append((delivery if self.raw else event_of(delivery), delivery))
            except Malformed as error:
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

        self.container.spawn_worker(self, (items,), {}, context_data={}, handle_result=handled)
        return done.wait()

    def _put_aside(self, delivery: Delivery, error: BaseException) -> None:
        if self.queue_name == DEAD_QUEUE:
            # A dead letter has nowhere else to go; it comes again later.
            self.bus.broker.publish(later(delivery, error, self.delays_s[-1]), mandatory=True)
        else:
            self.bus.broker.publish(after_failure(delivery, error, self.delays_s), mandatory=True)


def topology_of(service: type, delays_s: Sequence[float] = RETRY_DELAYS_S) -> Topology:
    """Everything that the entrypoints of a service class need on the broker, to be declared before the first publish.

    ``delays_s`` is the ``retry_backoff_s`` that the service will find in its config.
    """
    found = BASE
    for name, method in inspect.getmembers(service, inspect.isfunction):
        for entrypoint in getattr(method, "nameko_entrypoints", ()):
            if isinstance(entrypoint, OnEvent):
                found += entrypoint.topology_for(service.name, delays_s)
            elif isinstance(entrypoint, BatchEvent):
                found += entrypoint.topology_for(service.name, delays_s, name)
    return found


rpc = Rpc.decorator
on_event = OnEvent.decorator
batch_event = BatchEvent.decorator
