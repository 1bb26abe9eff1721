"""How a service answers an action of the table: checked parameters in, JSON out, a repeated call found again.

A service's method is a name and one line; the work is a plain function ``handler(uses, parameters)`` that knows no
Nameko. ``uses`` is what the composition root gave this service (see ``Uses``).
"""
from __future__ import annotations

import functools
import hashlib
import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson
from nameko.extensions import DependencyProvider
from sqlalchemy import select

from shared.contracts.action import Action, load_parameters
from shared.contracts.table import BY_RPC
from shared.hosting.entrypoints import BatchEvent, Rpc, rpc
from shared.hosting.gathering import OnEvents
from shared.hosting.rpc import Mesh, current_context
from shared.hosting.timers import Timer
from shared.hosting.uses import Uses
from shared.kernel.context import Context
from shared.kernel.errors import Conflict, EdgemereError, Invalid, NotFound, NotYet
from shared.kernel.rights import check_role
from shared.kernel.trace import UNDER_WAY, Span, trace_id_of, traceparent_of

# A batch may have thousands of messages of as many traces.
MOST_LINKS = 64


class UsesProvider(DependencyProvider):
    """Gives each worker its ``Uses``: the service's own, with the context of the call or message."""

    mesh = Mesh()

    def worker_setup(self, worker_ctx: Any) -> None:
        if not isinstance(worker_ctx.entrypoint, BatchEvent):
            self.container.config["PACE"].begin()

    def worker_teardown(self, worker_ctx: Any) -> None:
        if not isinstance(worker_ctx.entrypoint, BatchEvent):
            self.container.config["PACE"].end()

    def worker_result(self, worker_ctx: Any, result: Any = None, exc_info: Any = None) -> None:
        figures = self.container.config.get("FIGURES")
        error = exc_info[1] if exc_info else None
        outcome = "ok" if error is None else error.code if isinstance(error, EdgemereError) else "internal"
        if worker_ctx.span is not None:
            worker_ctx.span.end("" if error is None else outcome)
        if figures is not None:
            entrypoint = worker_ctx.entrypoint
            figures.handled(self.container.service_name, entrypoint.method_name, type(entrypoint).__name__.lower(), outcome,
                            time.monotonic() - worker_ctx.began)

    def get_dependency(self, worker_ctx: Any) -> Uses:
        worker_ctx.began = time.monotonic()
        uses: Uses = self.container.config["USES"][self.container.service_name]
        context, mesh = current_context(worker_ctx), self.mesh.get_dependency(worker_ctx)
        worker_ctx.span = _span(uses, worker_ctx, context)
        if worker_ctx.span is not None:
            context = context.having(traceparent=worker_ctx.span.traceparent)
            mesh = mesh.having(traceparent=context.traceparent)
        if isinstance(worker_ctx.entrypoint, Timer):
            # Nobody asked for it.
            context, mesh = context.having(mesh=True), mesh.having(mesh=True)
        if not context.correlation_id and isinstance(worker_ctx.entrypoint, Rpc):
            # A foreign caller that ties nothing together: its call does.
            context = context.having(correlation_id=worker_ctx.call_id)
            mesh = mesh.having(correlation_id=worker_ctx.call_id)
        # Of this worker's own thread, which ends with it.
        UNDER_WAY.set({"service": self.container.service_name, "method": worker_ctx.entrypoint.method_name,
                       "correlation_id": context.correlation_id, "trace_id": trace_id_of(context.traceparent)})
        return replace(uses, context=context, mesh=mesh)


def _span(uses: Uses, worker_ctx: Any, context: Context) -> Span | None:
    """The span of a worker: of a call that has a trace, of an event, or of a batch, linked with what is in it."""
    entrypoint, name = worker_ctx.entrypoint, f"{uses.service}.{worker_ctx.entrypoint.method_name}"
    if isinstance(entrypoint, BatchEvent) or isinstance(entrypoint, OnEvents) and len(worker_ctx.args[0]) > 1:
        heads = dict.fromkeys(found for item in worker_ctx.args[0] if (found := traceparent_of(item.headers.get("traceparent"))))
        links = list(heads)[:MOST_LINKS]
        return uses.tracer.begin(name, "consumer", links=links, messaging_batch_message__count=len(worker_ctx.args[0])) if links else None
    if not context.traceparent:
        return None
    if isinstance(entrypoint, Rpc):
        return uses.tracer.begin(name, "server", context.traceparent, rpc_system="nameko", edgemere_correlation__id=context.correlation_id)
    return uses.tracer.begin(name, "consumer", context.traceparent, messaging_system="rabbitmq",
                             messaging_destination_name=getattr(entrypoint, "event", ""), messaging_message_id=context.causation_id)


def action(method: Callable[..., Any]) -> Callable[..., Any]:
    """Make ``method(self, parameters)`` the RPC of the row that has the service's and the method's name."""

    @functools.wraps(method)
    def answer(self: Any, *given: Any, **parameters: Any) -> Any:
        row = BY_RPC[f"{self.name}.{method.__name__}"]
        if given:
            parameters = {**_named(row, given), **parameters}
        return _answer(row, self.uses, parameters, lambda checked: method(self, checked), self)

    # The wrapper takes whatever a foreign caller sends: what is wrong with it is said by the contract, not by Python.
    del answer.__wrapped__
    return rpc(foreign=True)(answer)


def _named(row: Action, given: tuple[Any, ...]) -> dict[str, Any]:
    name = row.positional or next(iter(row.parameters._declared_fields), None)
    if len(given) > 1 or name is None:
        raise Invalid("parameter.unknown", f"{row.rpc} takes its parameters by name.",
                      next_step=f"It takes: {', '.join(row.parameters._declared_fields)}.")
    return {name: given[0]}


def _answer(row: Action, uses: Uses, parameters: Mapping[str, Any], work: Callable[[dict[str, Any]], Any],
            service: Any) -> Any:
    check_role(uses.context, row.roles, " ".join(row.path))
    if not row.built:
        raise NotYet("not_yet", f"'{' '.join(row.path)}' is not built yet.",
                     next_step="It is listed in the documents and comes with a later release.")
    checked = load_parameters(row, parameters)
    try:
        return _once(row, uses, parameters, lambda: work(checked), service)
    except (NotFound, Conflict) as error:
        # What is not there, or not in the state for this, is what the row's own parameter names.
        if not error.errors and row.positional in checked:
            error.errors = [{"pointer": f"/{row.positional}", "detail": error.detail}]
        raise


def _once(row: Action, uses: Uses, parameters: Mapping[str, Any], work: Callable[[], Any], service: Any) -> Any:
    """Do the work, unless a call with this Idempotency-Key did; then its answer, as it is now.

    The key is tied to the object that the call is answered with, in the transaction that changes it; where that is
    an object of another service, after the work, which can be repeated.
    """
    if not row.changes or not uses.context.idempotency_key:
        return work()
    digest = hashlib.sha256(orjson.dumps([row.name, parameters], option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()
    key = f"{uses.context.owner}|{row.rpc}|{uses.context.idempotency_key}"
    uses.context = uses.context.having(fingerprint=digest, idempotency_key=key, answers=row.noun)
    try:
        found = _remembered(uses)
        if found is not None:
            return _replayed(service, uses, found, parameters)
        answer = work()
        object_id = _id_of(row, answer)
        if row.noun in service.replays and object_id and _remembered(uses) is None:
            with uses.db.transaction(uses.context) as uow:
                uow.remember(row.noun, object_id)
        return answer
    except Conflict:
        # The first of two calls may have come to its end since we looked: then it is what this one collides with.
        found = _remembered(uses)
        if found is None:
            raise
        return _replayed(service, uses, found, parameters)


def _replayed(service: Any, uses: Uses, found: Mapping[str, Any], parameters: Mapping[str, Any]) -> Any:
    """The answer to a repeated call: what it said, which the fingerprint shows to be the same, about the object of the first one."""
    return service.replays[found["noun"]](uses, {**parameters, "id": found["object_id"]})


def _id_of(row: Action, answer: Any) -> str | None:
    """The id of what an answer is about: the object itself, or what a document's wait follows."""
    path = row.wait.id_path if row.answer == "document" and row.wait else "id"
    for name in path.split("."):
        answer = answer.get(name) if isinstance(answer, Mapping) else None
    return answer if isinstance(answer, str) else None


def _remembered(uses: Uses) -> Mapping[str, Any] | None:
    """What the first call with this key was tied to.

    Raises:
        Invalid: ``idempotency.mismatch``, that was another call.
    """
    table = uses.db.metadata.tables["idempotency"]
    with uses.db.reading() as connection:
        found = connection.execute(select(table).where(table.c.key == uses.context.idempotency_key)).mappings().first()
    if found is not None and found["fingerprint"] != uses.context.fingerprint:
        raise Invalid("idempotency.mismatch", "This Idempotency-Key was used before for something else.",
                      next_step="Use a new key for a new call.")
    return found


def entrypoints_of(service: type) -> list[str]:
    """The names of the methods of a service class that answer RPCs."""
    return [name for name, member in inspect.getmembers(service) if getattr(member, "nameko_entrypoints", None)]


__all__ = ["UsesProvider", "action", "entrypoints_of"]
