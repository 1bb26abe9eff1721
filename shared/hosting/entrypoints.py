"""How a service is called and told: ``rpc``, ``on_event`` and ``batch_event``, over Nameko's extension life cycle.

A message that arrived ends acked after its handler, or in a retry queue, or with the dead letters; it is never lost in
decoding, and none blocks the others. Nothing here retries in memory, so a crash changes nothing of that.
"""
from __future__ import annotations

import functools
import inspect
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from kombu import Exchange, Queue
from kombu.message import Message as KombuMessage
from nameko.exceptions import ContainerBeingKilled, IncorrectSignature
from nameko.extensions import Entrypoint
from nameko.messaging import HeaderDecoder
from nameko.rpc import RpcConsumer
from nameko.rpc import Rpc as NamekoRpc

from shared.bus.encoding import Undecodable, decode, decode_as, encode
from shared.bus.event import EventMessage, delivery_of, event_of
from shared.bus.failures import after_failure
from shared.bus.message import Delivery, Message
from shared.bus.topology import BASE, INTERNAL, RETRY_DELAYS_S, RPC, Topology, event_queue, rpc_queue
from shared.hosting.batches import BatchEvent
from shared.hosting.behalf import on_behalf_of
from shared.hosting.receiving import Bus, Receiver, count_failure, delays_in, exchange_of
from shared.hosting.wire import CONTRACT, deadline_of, headers_of, no_answer, not_running, said_context, wire_error
from shared.kernel.context import Context
from shared.kernel.errors import Denied, EdgemereError, Invalid, Malformed

log = logging.getLogger(__name__)


# --- rpc -----------------------------------------------------------------------------------------------------------

Answering = Callable[[Any, BaseException | None], None]
"""Answers a call, with its result or with an error."""


class RpcReceiver(RpcConsumer):
    """The calls of one service, from the broker and from its own process. Answers each once, and survives those that cannot be answered."""

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
            self.queue = Queue(rpc_queue(name), Exchange(RPC, type="topic", durable=True, no_declare=True),
                               routing_key=f"{name}.*", durable=True)
            self.queue_consumer.register_provider(self)

    def has_room(self) -> bool:
        return self.container._worker_pool.free() > 0

    def handle(self, message: KombuMessage) -> None:
        """Give a call to its method, or answer what is wrong with it."""
        called = message.delivery_info.get("routing_key", "")
        reply_to = message.properties.get("reply_to")
        # With a point in it the answer would be somebody's call.
        if not reply_to or "." in reply_to:
            log.error("a call of %s names nobody to answer to and is dropped", called)
            self.queue_consumer.settle(KombuMessage.reject, message)
            return
        deadline = deadline_of(message.headers.get("nameko.deadline"))
        if not self._worker_in_time(deadline):
            log.warning("a call of %s came after its deadline and is dropped", called)
            self.queue_consumer.settle(KombuMessage.ack, message)
            return
        try:
            self._perform(called, partial(decode_as, message.body, message.content_type, message.content_encoding),
                          partial(self._believed, called, message), message.headers.get("nameko.contract"), partial(self._reply, message))
        except ContainerBeingKilled:
            self.queue_consumer.settle(KombuMessage.requeue, message)

    def take(self, called: str, body: bytes, context: Context, answered: Callable[[bytes], None]) -> None:
        """A call from this process, as ``Taker`` says."""
        if not self._worker_in_time(context.deadline):
            raise no_answer(called)
        try:
            self._perform(called, partial(decode, body), lambda provider: said_context(headers_of(context)), CONTRACT,
                          lambda result, error: answered(_answer_body(called, result, error)))
        except ContainerBeingKilled:
            raise not_running(self.container.service_name) from None

    def _perform(self, called: str, read: Callable[[], Any], believed: Callable[[Rpc], dict[str, Any]], contract: Any, answer: Answering) -> None:
        """Give a call to its method, or answer what is wrong with it.

        Raises:
            ContainerBeingKilled: nothing was begun.
        """
        try:
            args, kwargs = _parameters(called, read)
            # Nameko's own words for one that is not there, which its proxies turn into MethodNotFound at the caller.
            provider: Rpc = self.get_provider_for_method(called)
            context = believed(provider)
            if is_newer(contract):
                kwargs = provider.known(kwargs)
            provider.check_signature(args, kwargs)
            provider.run(args, kwargs, context, answer)
        except ContainerBeingKilled:
            raise
        except IncorrectSignature as error:
            answer(None, Invalid("parameter.invalid", f"{called} refuses its parameters: {error}."))
        except Exception as error:
            answer(None, error)

    def _believed(self, called: str, message: KombuMessage, provider: Rpc) -> dict[str, Any]:
        """What the headers of a call say of its context; on whose behalf it comes is believed of the mesh alone.

        Raises:
            Denied: ``rpc.among_services``, the method is none for foreigners.
        """
        data = said_context(message.headers)
        seal = self.container.config.get("SEAL")
        if seal is None or seal.holds(called, message.headers, message.body):
            return data
        if not provider.foreign:
            raise Denied("rpc.among_services", f"'{called}' is for the services of the mesh alone.",
                         next_step="A process of this mesh needs the same EDGEMERE_MESH_SECRET as the others; a foreign program "
                                   "calls the actions of the documents, which are for everybody.")
        return {**data, "owner": seal.owner, "roles": list(seal.roles), "mesh": False, "credential": "", "address": "", "action": ""}

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

    def _reply(self, message: KombuMessage, result: Any, error: BaseException | None) -> None:
        """Send the answer, then ack the call; an answer that cannot be sent leaves the call to be run again."""
        called = message.delivery_info.get("routing_key")
        try:
            self.bus.broker.send(Message(
                RPC, message.properties["reply_to"], _answer_body(called, result, error), correlation_id=message.properties.get("correlation_id"),
                persistent=False))
        except Exception as broken:
            log.error("the answer of %s could not be sent: %s", called, broken)
            self.queue_consumer.settle(KombuMessage.requeue, message)
        else:
            self.queue_consumer.settle(KombuMessage.ack, message)

    def start(self) -> None:
        super().start()
        if (here := self.container.config.get("HERE")) is not None:
            here.arrives(self.container.service_name, self)

    def unregister_provider(self, provider: Any) -> None:
        # The first of them to stop: the service takes no more calls.
        if (here := self.container.config.get("HERE")) is not None:
            here.leaves(self.container.service_name)
        super().unregister_provider(provider)


def _parameters(called: str, read: Callable[[], Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    try:
        body = read()
    except Undecodable as error:
        raise Malformed("message.undecodable", f"The call of {called} cannot be read: {error}.") from error
    if not isinstance(body, dict) or not isinstance(body.get("args"), list) or not isinstance(body.get("kwargs"), dict):
        raise Malformed("message.malformed", f"The call of {called} has no 'args' and 'kwargs'.")
    return body["args"], body["kwargs"]


def _answer_body(called: str, result: Any, error: BaseException | None) -> bytes:
    try:
        return encode({"result": result, "error": wire_error(error) if error is not None else None})
    except Exception as broken:
        log.exception("the answer of %s is not JSON", called)
        return encode({"result": None, "error": wire_error(broken)})


class Rpc(NamekoRpc):
    """A method that other services call by ``rpc.<service>.<method>``; those that are no part of the mesh, where it is ``foreign``."""

    rpc_consumer = RpcReceiver()

    def __init__(self, *, foreign: bool = False, **options: Any) -> None:
        super().__init__(**{"expected_exceptions": (EdgemereError,), **options})
        self.foreign = foreign

    @functools.cached_property
    def _signature(self) -> inspect.Signature:
        return inspect.signature(getattr(self.container.service_cls, self.method_name))

    def check_signature(self, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        # Nameko finds the signature out anew at each call; what it does not take is said in Nameko's words.
        try:
            self._signature.bind(None, *args, **kwargs)
        except TypeError:
            super().check_signature(args, kwargs)

    def known(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Those of a newer caller's parameters that this method has; an action says itself what it does not know."""
        taken = self._signature.parameters
        if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in taken.values()):
            return kwargs
        return {name: value for name, value in kwargs.items() if name in taken}

    def run(self, args: Sequence[Any], kwargs: dict[str, Any], context: dict[str, Any], answer: Answering) -> None:
        """Have a worker call the method; ``answer`` gets what comes of it."""
        def answered(worker_ctx: Any, result: Any, exc_info: Any) -> Any:
            answer(result, exc_info[1] if exc_info else None)
            return result, exc_info
        self.container.spawn_worker(self, args, kwargs, context_data=context, handle_result=answered)


# --- events --------------------------------------------------------------------------------------------------------

class OnEvent(Entrypoint, HeaderDecoder):
    """A method that handles one event: ``method(self, message: EventMessage)``.

    ``source`` and ``event`` as in Nameko: the exchange is ``<source>.events``; ``internal`` takes the exchange among the
    services instead. The queue is ``<consumer>.<event>``, the consumer being the service unless named. A failed handler
    gets the message again after each of ``delays_s`` (default: ``retry_backoff_s`` of the config); errors that another
    attempt cannot mend (``EdgemereError`` that is not retryable, unless in ``retry_on``) and the last attempt make it a
    dead letter; while something that it needs is away, the last pause repeats. ``prefetch``: how many at once.
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
            context = event_context(event, self.exchange == INTERNAL)
            if "SEAL" in self.container.config:
                context |= on_behalf_of(delivery, self.container.config["SEAL"])
            self.container.spawn_worker(self, (event,), {}, context_data=context,
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
        again = after_failure(delivery, error, self.delays_s, self.retry_on)
        try:
            self.bus.broker.publish(again, mandatory=True)
        except Exception as broken:
            log.error("a message of %s could not be put aside: %s", self.queue.name, broken)
            time.sleep(1)
            self.receiver.settle(KombuMessage.requeue, message)
        else:
            count_failure(self.container, again)
            self.receiver.settle(KombuMessage.ack, message)


def event_context(event: EventMessage, internal: bool) -> dict[str, Any]:
    """The context of a handler: what it does is caused by the message.

    A message among the services stands in no log, so its own cause is passed on.
    """
    cause = internal and event.causation_id or event.id
    return {"correlation_id": event.correlation_id or event.id or "", "causation_id": cause or "",
            "traceparent": event.headers.get("traceparent")}


# --- all of them ---------------------------------------------------------------------------------------------------

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


def is_newer(contract: Any) -> bool:
    """Whether a caller knows a later contract among the services than this process."""
    return isinstance(contract, int) and contract > CONTRACT


rpc = Rpc.decorator
on_event = OnEvent.decorator
batch_event = BatchEvent.decorator
