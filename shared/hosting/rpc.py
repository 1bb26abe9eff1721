"""Calling other services: with a deadline that travels, a context, and errors that keep their code.

A call ends in an answer or an ``EdgemereError``; never in a wait without end, and never in a bare timeout exception.
"""
from __future__ import annotations

import functools
import logging
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from kombu import Connection, Consumer, Exchange, Queue
from kombu.message import Message as KombuMessage
from nameko.constants import AMQP_URI_CONFIG_KEY
from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider

from shared.bus import port
from shared.bus.accounts import account_of
from shared.bus.clock import Bell
from shared.bus.encoding import Undecodable, decode, decode_as, encode
from shared.bus.message import Message
from shared.bus.read_ahead import read_ahead
from shared.bus.seal import Seal
from shared.bus.topology import RPC, ExchangeSpec, Topology, declare, reply_queue, rpc_queue
from shared.hosting.here import Here, Taker
from shared.hosting.wire import context_of, error_from_wire, headers_of, no_answer, not_running
from shared.kernel.context import Context
from shared.kernel.errors import EdgemereError, Unavailable
from shared.kernel.trace import NO_TRACER, Tracer

log = logging.getLogger(__name__)

TIMEOUT_S = 10.0
PATIENCE_S = 1.0
HEARTBEAT_S = 20
DRAIN_S = 1.0
RECONNECT_S = (0.2, 0.5, 1.0, 2.0, 5.0)


def current_context(worker_ctx: WorkerContext) -> Context:
    """The context of the call or event that a worker handles."""
    return context_of(worker_ctx.data)


def tracer_in(config: Mapping[str, Any], service: str) -> Tracer:
    """The tracer that the composition root gave a service, if it did."""
    tracing = config.get("TRACING")
    return tracing.tracer(service) if tracing is not None else NO_TRACER


class _Call:
    """One call under way. ``answer`` is what comes: a message, or from this process its bytes."""

    __slots__ = ("bell", "answer", "error")

    def __init__(self) -> None:
        self.bell = Bell()
        self.answer: KombuMessage | bytes | None = None
        self.error: EdgemereError | None = None

    def answered(self, answer: KombuMessage | bytes) -> None:
        self.answer = answer
        self.bell.ring()

    def failed(self, error: EdgemereError) -> None:
        self.error = error
        self.bell.ring()

    def taken(self) -> KombuMessage | bytes:
        """What came, once the bell has rung."""
        if self.error is not None:
            raise self.error
        assert self.answer is not None
        return self.answer


class MeshClient:
    """Calls services from anywhere: workers, gateway threads, timers. One reply queue for all calls of a client.

    ``timeout_s`` holds for calls that give none. With the ``seal`` of the mesh its contexts are believed; without it its
    calls are a foreigner's. Services that are ``here``, in its own process, it asks directly, and connects at the first call to another.
    """

    def __init__(self, uri: str, *, timeout_s: float = TIMEOUT_S, name: str = "client", tracer: Tracer = NO_TRACER,
                 seal: Seal | None = None, here: Here | None = None) -> None:
        self._broker = port.connect(uri)
        self._tracer = tracer
        self._uri = uri
        self._timeout_s = timeout_s
        self._name, self._seal, self._here = name, seal, here
        self._calls: dict[str, _Call] = {}
        self._heard: dict[str, float] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._listening = threading.Event()
        self._stopping = False
        self._reply_to = ""
        self._wire: Any = None

    def call(self, service: str, method: str, /, *args: Any, timeout_s: float | None = None,
             context: Context | None = None, **parameters: Any) -> Any:
        """The answer of ``service.method(*args, **parameters)``.

        The deadline is that of the context or ``timeout_s`` from now, whichever is earlier, and travels with the call.

        Raises:
            Unavailable: the service or the broker is not there. DeadlineExceeded: no answer in time; the call may have
            been carried out. EdgemereError: what the service answered.
        """
        context = context or Context()
        deadline = time.time() + (self._timeout_s if timeout_s is None else timeout_s)
        if context.deadline is not None:
            deadline = min(deadline, context.deadline)
        if not context.traceparent:
            return self._call(service, method, args, parameters, context, deadline)
        span = self._tracer.begin(f"{service}.{method}", "client", context.traceparent, rpc_system="nameko", rpc_service=service,
                                  rpc_method=method)
        failed = "internal"
        try:
            answer = self._call(service, method, args, parameters, context.having(traceparent=span.traceparent), deadline)
            failed = ""
            return answer
        except EdgemereError as error:
            failed = error.code
            raise
        finally:
            span.end(failed)

    def _call(self, service: str, method: str, args: tuple[Any, ...], parameters: Mapping[str, Any], context: Context,
              deadline: float) -> Any:
        taker = self._here.of(service) if self._here is not None else None
        if taker is None:
            self._listen(service, method, deadline)
        correlation_id, call = uuid.uuid4().hex, _Call()
        self._calls[correlation_id] = call
        try:
            left_s = self._left(service, method, deadline)
            address, body = f"{service}.{method}", encode({"args": args, "kwargs": parameters})
            context = context.having(deadline=deadline)
            if taker is not None:
                return self._read(service, method, self._taken(taker, call, service, method, body, context))
            headers = headers_of(context)
            headers = self._seal.sealed(address, headers, body) if self._seal else headers
            self._send(service, Message(
                RPC, address, body, headers=headers, correlation_id=correlation_id, reply_to=self._reply_to,
                persistent=False, expires_s=left_s), left_s)
            answer = self._wait(call, service, method, deadline)
        finally:
            self._calls.pop(correlation_id, None)
        return self._read(service, method, answer)

    def bound(self, context: Context) -> BoundMesh:
        """The same client, for the calls of one context."""
        return BoundMesh(self, context)

    def is_ready(self) -> bool:
        """Whether answers can be received now."""
        return self._listening.is_set()

    def stop(self) -> None:
        """End: calls under way fail with ``Unavailable``."""
        self._stopping = True
        interrupt = getattr(self._wire, "interrupt", None)
        if interrupt is not None:
            interrupt()
        self._fail_all("the client was stopped")
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(DRAIN_S * 2)
        self._broker.close()

    # --- inside ------------------------------------------------------------------------------------------------

    def _send(self, service: str, message: Message, left_s: float) -> None:
        if self._is_there(service):
            self._broker.send(message, timeout_s=min(left_s, 5))
            return
        try:
            self._broker.publish(message, mandatory=True, timeout_s=min(left_s, 5))
        except Unavailable as error:
            if error.code == port.UNROUTABLE:
                raise not_running(service) from None
            raise

    def _taken(self, taker: Taker, call: _Call, service: str, method: str, body: bytes, context: Context) -> KombuMessage | bytes:
        """The answer of a service in this process."""
        assert context.deadline is not None
        if self._stopping:
            raise port.unavailable(ConnectionError())
        taker.take(f"{service}.{method}", body, context, call.answered)
        while not call.bell.wait(self._left(service, method, context.deadline)):
            pass
        return call.taken()

    def _wait(self, call: _Call, service: str, method: str, deadline: float) -> KombuMessage | bytes:
        asked = False
        while not call.bell.wait(min(self._left(service, method, deadline), PATIENCE_S)):
            # A service that is gone leaves its queue behind; whoever waits for it should know early.
            if not asked and not self._is_there(service):
                asked = True
                if not any(queue.readers for queue in self._broker.seen([rpc_queue(service)]).values()):
                    raise not_running(service)
        answer = call.taken()
        self._heard[service] = time.monotonic()
        return answer

    def _is_there(self, service: str) -> bool:
        """Whether the service answered so recently that its queue need not be looked for."""
        return time.monotonic() - self._heard.get(service, float("-inf")) < PATIENCE_S

    @staticmethod
    def _left(service: str, method: str, deadline: float) -> float:
        left_s = deadline - time.time()
        if left_s <= 0:
            raise no_answer(f"{service}.{method}")
        return left_s


    @staticmethod
    def _read(service: str, method: str, answer: KombuMessage | bytes) -> Any:
        try:
            body = decode(answer) if isinstance(answer, bytes) else decode_as(answer.body, answer.content_type, answer.content_encoding)
        except Undecodable as error:
            raise EdgemereError("internal", f"The answer of '{service}.{method}' cannot be read: {error}.") from error
        if not isinstance(body, dict):
            raise EdgemereError("internal", f"The answer of '{service}.{method}' is no answer.")
        if body.get("error"):
            raise error_from_wire(service, method, body["error"])
        return body.get("result")

    def _listen(self, service: str, method: str, deadline: float) -> None:
        if self._listening.is_set():
            return
        with self._lock:
            if self._stopping:
                raise port.unavailable(ConnectionError())
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"mesh-{self._name}", daemon=True)
                self._thread.start()
        if not self._listening.wait(min(self._left(service, method, deadline), 5)):
            raise port.unavailable(ConnectionError())

    def _run(self) -> None:
        failures = 0
        while not self._stopping:
            try:
                with Connection(self._uri, heartbeat=HEARTBEAT_S, connect_timeout=5) as connection:
                    connection.connect()
                    failures = 0
                    self._receive(connection)
            except Exception as error:
                if not self._stopping:
                    log.warning("the replies to %s are interrupted: %r", self._name, error)
            self._listening.clear()
            self._heard.clear()
            self._fail_all("the connection to the broker was lost")
            if not self._stopping:
                time.sleep(RECONNECT_S[min(failures, len(RECONNECT_S) - 1)])
                failures += 1

    def _receive(self, connection: Connection) -> None:
        # A new name each time: what the old queue held belongs to calls that have failed.
        reply_to = str(uuid.uuid4())
        channel = connection.default_channel
        declare(channel, Topology((ExchangeSpec(RPC),)), account_of(self._uri))
        queue = Queue(reply_queue(self._name, reply_to), Exchange(RPC, type="topic", no_declare=True), routing_key=reply_to,
                      durable=False, exclusive=True, auto_delete=True)
        with Consumer(channel, queues=[queue], on_message=self._on_reply, no_ack=True,
                      on_decode_error=lambda message, error: self._on_reply(message)):
            self._reply_to, self._wire = reply_to, connection.connection
            read_ahead(connection.connection)
            self._listening.set()
            while not self._stopping:
                with suppress(TimeoutError):
                    connection.drain_events(timeout=DRAIN_S)
                # Also while answers keep coming: they need no ack, so that nothing else tells the broker of us.
                connection.heartbeat_check()

    def _on_reply(self, message: KombuMessage) -> None:
        call = self._calls.pop(message.properties.get("correlation_id"), None)
        if call is not None:
            call.answered(message)

    def _fail_all(self, why: str) -> None:
        for correlation_id in list(self._calls):
            call = self._calls.pop(correlation_id, None)
            if call is not None:
                call.failed(Unavailable(port.UNAVAILABLE, f"The answer will not arrive: {why}.", next_step="Try again."))


class BoundMesh:
    """A client for the calls of one context: ``mesh.call("catalog", "query", …)`` or ``mesh.catalog.query(…)``.

    ``timeout_s`` and ``context`` of ``call`` are the client's; everything else is a parameter of the service.
    """

    def __init__(self, client: MeshClient, context: Context) -> None:
        self._client = client
        self._context = context

    def call(self, service: str, method: str, /, *args: Any, timeout_s: float | None = None,
             context: Context | None = None, **parameters: Any) -> Any:
        return self._client.call(service, method, *args, timeout_s=timeout_s, context=context or self._context, **parameters)

    def having(self, **changes: Any) -> BoundMesh:
        """The same, in a changed context."""
        return BoundMesh(self._client, self._context.having(**changes))

    def __getattr__(self, service: str) -> _Service:
        if service.startswith("_"):
            raise AttributeError(service)
        return _Service(self, service)


class _Service:
    def __init__(self, mesh: BoundMesh, name: str) -> None:
        self._mesh = mesh
        self._name = name

    def __getattr__(self, method: str) -> Any:
        if method.startswith("_"):
            raise AttributeError(method)
        return functools.partial(self._mesh.call, self._name, method)


class Mesh(DependencyProvider):
    """Gives each worker the mesh in the context of its call; also usable inside another provider.

    A key for repeated calls and the version that the caller saw belong to the call that carries them, so they do not
    travel further; ``mesh.having(idempotency_key=…)`` gives one to a call of one's own.
    """

    def bind(self, container: Any, attr_name: str | None = None) -> Mesh:
        return super().bind(container, attr_name)

    def setup(self) -> None:
        config = self.container.config
        self.client = MeshClient(config[AMQP_URI_CONFIG_KEY], timeout_s=config.get("rpc_timeout_s", TIMEOUT_S),
                                 name=self.container.service_name, tracer=tracer_in(config, self.container.service_name),
                                 seal=config.get("SEAL"), here=config.get("HERE"))

    def stop(self) -> None:
        self.client.stop()

    kill = stop

    def get_dependency(self, worker_ctx: WorkerContext) -> BoundMesh:
        return self.client.bound(current_context(worker_ctx).having(idempotency_key="", if_match=None))
