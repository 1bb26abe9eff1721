"""One way for every action, whatever the face: check, ask the service, wait where the row says so. Knows no HTTP."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from gateway.live import Live
from gateway.settings import Settings
from shared.contracts.action import Action, Wait, load_parameters
from shared.contracts.table import ACTIONS
from shared.kernel import ids
from shared.kernel.context import Context
from shared.kernel.errors import EdgemereError, Invalid, NotYet
from shared.kernel.rights import check_role
from shared.kernel.trace import NO_TRACER, UNDER_WAY, Span, Tracer, trace_id_of

KEY_LENGTH = 255
# How long a waiting call may not notice that its client has gone.
_GLANCE_S = 1.0


@dataclass(frozen=True)
class Patience:
    """How long a caller wants to wait: ``seconds`` (None: as the row says), and whether it said so itself."""

    seconds: float | None = None
    respond_async: bool = False


@dataclass(frozen=True)
class Outcome:
    """What an action came to: the answer's ``body``, and the id of the ``operation`` that goes on, if one does.

    ``made`` is false where an action that makes something answers with what was there already.
    """

    body: Any
    operation: str | None = None
    waited_s: float | None = None
    made: bool = True


@dataclass(frozen=True)
class Reply:
    """What every face says of an outcome: ``status`` and ``location`` as HTTP means them, ``version`` of a bare object."""

    status: int
    body: Any
    location: str | None = None
    version: int | None = None


_SHOWN = {row.noun: row.address for row in ACTIONS.values()
          if row.path[-1] == "show" and row.answer == "object"}


def reply_of(row: Action, outcome: Outcome) -> Reply:
    """202 with the operation while something goes on, 201 with the place of what was made, else 200."""
    body = outcome.body
    if outcome.operation:
        if row.answer == "document" and isinstance(body, dict):
            body = {**body, "operation": outcome.operation}
        return Reply(202, body, f"{_SHOWN['operation']}?id={outcome.operation}")
    version = body.get("version") if row.answer == "object" and isinstance(body, dict) else None
    creates = row.may_create and outcome.made
    return Reply(201 if creates else 200, body, _location(row, body) if creates else None,
                 version if isinstance(version, int) else None)


def _location(row: Action, body: Any) -> str | None:
    """The show address of what was made: the object itself, or what a document's wait follows."""
    follows = row.answer == "document" and row.wait is not None
    found = member(body, row.wait.id_path if follows else "id")
    noun = row.wait.noun if follows else row.noun
    return f"{_SHOWN[noun]}?id={quote(found, safe='')}" if isinstance(found, str) and noun in _SHOWN else None


class Dispatcher:
    """Runs actions of the table.

    ``mesh.call(service, method, timeout_s=, context=, **parameters)`` asks a service and raises EdgemereErrors.
    """

    def __init__(self, mesh: Any, live: Live, settings: Settings, tracer: Tracer = NO_TRACER) -> None:
        self._mesh, self._live, self._settings, self._tracer = mesh, live, settings, tracer

    def perform(self, row: Action, parameters: Mapping[str, Any], context: Context, patience: Patience = Patience(),
                is_connected: Callable[[], bool] = lambda: True) -> Outcome:
        """Check the parameters, ask the service, and wait as the row and ``patience`` say.

        The service gets the parameters as they came: it checks them itself, so that RPC and REST mean the same.

        Raises:
            NotYet: the row is not built.
            Invalid: the parameters do not fit the row.
            EdgemereError: whatever the service answered; ``unavailable`` or ``deadline_exceeded`` when nobody did.
        """
        checked = check(row, parameters)
        with self._traced(row, context) as context:
            body = self._ask(row, parameters, context)
            if row.wait is None:
                return Outcome(body)
            outcome = self._wait(row.wait, body, context, patience, is_connected)
            if row.inline is not None:
                return replace(outcome, made=isinstance(checked.get(row.inline), Mapping))
            made = member(body, "made") if row.creates and row.answer == "document" else None
            # Whether something was made only the first answer knows; those that a wait looks at have it from there.
            return outcome if made is None else replace(outcome, body={**outcome.body, "made": made}, made=made)

    def ask(self, row: Action, parameters: Mapping[str, Any], context: Context) -> Any:
        """The service's answer to checked parameters, with no wait."""
        with self._traced(row, context) as context:
            return self._ask(row, parameters, context)

    @contextmanager
    def _traced(self, row: Action, context: Context) -> Iterator[Context]:
        """The context of a span around the whole action, which is what log lines name meanwhile."""
        span: Span = self._tracer.begin(row.name, "server", context.traceparent, http_route=row.address,
                                        edgemere_request__id=context.request_id)
        token = UNDER_WAY.set({"action": row.name, "correlation_id": context.correlation_id, "trace_id": trace_id_of(span.traceparent)})
        failed = "internal"
        try:
            yield context.having(traceparent=span.traceparent) if span.traceparent else context
            failed = ""
        except EdgemereError as error:
            failed = error.code
            raise
        finally:
            UNDER_WAY.reset(token)
            span.end(failed)

    def _ask(self, row: Action, parameters: Mapping[str, Any], context: Context) -> Any:
        return self._call(row.service, row.method, context, row.changes,
                          {name: value for name, value in parameters.items() if value is not None})

    def _call(self, service: str, method: str, context: Context, changes: bool, parameters: Mapping[str, Any]) -> Any:
        timeout_s = self._settings.command_timeout_s if changes else self._settings.query_timeout_s
        return self._mesh.call(service, method, timeout_s=timeout_s, context=context, **parameters)

    def _wait(self, wait: Wait, body: Any, context: Context, patience: Patience,
              is_connected: Callable[[], bool]) -> Outcome:
        object_id = member(body, wait.id_path)
        default_s = self._settings.wait_s if wait.default_s and self._settings.wait_s is not None else wait.default_s
        wanted = default_s if patience.seconds is None else patience.seconds
        seconds = 0.0 if patience.respond_async and patience.seconds is None else min(wanted, self._settings.max_wait_s)
        if not isinstance(object_id, str) or _has_ended(wait, body):
            return Outcome(body, waited_s=seconds)
        if seconds > 0:
            body = self._until_ended(wait, body, object_id, seconds, context, is_connected)
            if _has_ended(wait, body):
                return Outcome(body, waited_s=seconds)
        if seconds <= 0 and wait.default_s <= 0 and not patience.respond_async:
            return Outcome(body, waited_s=seconds)
        subject = member(body, wait.operation_path)
        operation = ids.with_noun(subject, "operation") if ids.is_id(subject) else None
        return Outcome(body, operation, seconds)

    def _until_ended(self, wait: Wait, body: Any, object_id: str, seconds: float, context: Context,
                     is_connected: Callable[[], bool]) -> Any:
        """The newest answer when the object has ended, the time is over or the client is gone."""
        service, method, name = wait.refresh
        # A wait is not the call: what the caller saw and its key belong to the first call alone.
        context = context.having(idempotency_key="", fingerprint="", if_match=None, deadline=None)
        end = time.monotonic() + seconds
        with self._live.watch(wait.noun, object_id) as watch:
            look_at = 0.0
            while True:
                now = time.monotonic()
                is_over = now >= end
                if is_over or now >= look_at:
                    # Also the first time: the object may have ended before the watch began. And the last time: it may have moved without ending.
                    try:
                        body = self._call(service, method, context, False, {name: object_id})
                    except EdgemereError as error:
                        if not error.retryable:
                            raise
                    if _has_ended(wait, body):
                        return body
                    now = time.monotonic()
                    look_at = now + self._settings.recheck_s
                if is_over or watch.over or not is_connected():
                    return body
                told, obj = watch.sleep(max(0.0, min(end, look_at, now + _GLANCE_S) - now))
                if told and (obj is None or member(obj, wait.field) in (None, *wait.until)):
                    look_at = 0.0


def check_caller(row: Action, context: Context) -> None:
    """Refuse whom the row is not for, as its service would, before anything of the call is read.

    Raises:
        Denied: ``denied``.
    """
    check_role(context, row.roles, " ".join(row.path))


def check(row: Action, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The checked parameters; what the service would refuse, and what is not built, is refused without a hop.

    Raises:
        NotYet: ``not_yet``.
        Invalid: with a pointer for each parameter.
    """
    if not row.built:
        raise NotYet("not_yet", f"'{' '.join(row.path)}' is not built yet.",
                     next_step="It is listed in the documents and comes with a later release.")
    return load_parameters(row, parameters)


def checked_key(key: str | None) -> str:
    """An idempotency key, checked; empty for none.

    Raises:
        Invalid: ``idempotency.invalid``.
    """
    if key is None:
        return ""
    if not 1 <= len(key) <= KEY_LENGTH:
        raise Invalid("idempotency.invalid", f"The Idempotency-Key has {len(key)} characters; 1 to {KEY_LENGTH} can be used.",
                      next_step="Use a UUID for each new call.")
    return key


def member(body: Any, path: str) -> Any:
    """The member of ``body`` at a dotted path, or None."""
    for name in path.split("."):
        if not isinstance(body, Mapping):
            return None
        body = body.get(name)
    return body


def _has_ended(wait: Wait, body: Any) -> bool:
    parent, _, _ = wait.id_path.rpartition(".")
    obj = member(body, parent) if parent else body
    return member(obj, wait.field) in wait.until
