"""An action over HTTP: its headers read, the dispatcher asked, and what it came to as an answer of the row's kind.

Knows no action by name. Who is calling and what he gives were found out before; errors go to whoever asked for the answer.
"""
from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from gateway import content, sse
from gateway.answers import NO_STORE, Answer, json_answer
from gateway.callers.caller import Caller
from gateway.callers.doorkeeper import Doorkeeper
from gateway.dispatch import Dispatcher, Outcome, Patience, check, checked_key, reply_of
from gateway.live import Live
from gateway.settings import Settings
from gateway.wanted import wanted_by
from shared.contracts.action import Action, load_parameters
from shared.kernel.context import Context
from shared.kernel.errors import EdgemereError, Malformed, PreconditionFailed
from shared.kernel.trace import traceparent_of

_VERSION = re.compile(r'(?:W/)?"(\d{1,18})"', re.ASCII)
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})(?![\d.])", re.IGNORECASE | re.ASCII)


class Actions:
    """Answers calls of the table's rows; the context and the caller of each are in its environ, where the others find them."""

    def __init__(self, dispatcher: Dispatcher, doorkeeper: Doorkeeper, reader: sse.LogReader, live: Live, settings: Settings) -> None:
        self._dispatcher, self._doorkeeper, self._reader, self._live, self._settings = dispatcher, doorkeeper, reader, live, settings
        self._kinds: dict[str, Callable[..., Answer]] = {"stream": self._stream, "content": self._content}

    def answer(self, row: Action, parameters: dict[str, Any], context: Context, environ: dict[str, Any]) -> Answer:
        """What an action comes to: an object or document, a stream, or bytes. Raises as ``Dispatcher.perform``."""
        return self._kinds.get(row.answer, self._plain)(row, parameters, context, environ)

    def context(self, row: Action, environ: dict[str, Any], request_id: str, caller: Caller) -> Context:
        """The context of a call, from its headers and who makes it. Raises for headers that cannot be read."""
        changes: dict[str, Any] = {"request_id": request_id, "correlation_id": request_id,
                                   "traceparent": traceparent_of(environ.get("HTTP_TRACEPARENT"))}
        if row.changes:
            changes["action"] = row.name if self._doorkeeper.required else ""
            changes["idempotency_key"] = checked_key(environ.get("HTTP_IDEMPOTENCY_KEY"))
            changes["if_match"] = _if_match(environ)
        return caller.context.having(**changes)

    def _plain(self, row: Action, parameters: dict[str, Any], context: Context, environ: dict[str, Any]) -> Answer:
        patience = _patience(environ.get("HTTP_PREFER", ""))
        connected = environ.get("edgemere.connected", lambda: True)
        may_stay = self._may_stay(environ["edgemere.caller"])

        def waits_on() -> bool:
            if may_stay is not None and (error := may_stay()) is not None:
                raise error
            return connected()

        outcome = self._dispatcher.perform(row, parameters, context, patience, waits_on)
        return _from_outcome(row, outcome, patience, environ)

    def _stream(self, row: Action, parameters: dict[str, Any], context: Context, environ: dict[str, Any]) -> Answer:
        check(row, parameters)
        chosen, after = wanted_by(context, load_parameters(row, parameters))
        after = sse.position_of(environ, after)
        headers = [("Content-Type", "text/event-stream; charset=utf-8"), NO_STORE, ("X-Accel-Buffering", "no")]
        if environ["REQUEST_METHOD"] == "HEAD":
            return Answer(200, headers)
        # Each message leaves at once: the web server must not collect them.
        environ["eventlet.minimum_write_chunk_size"] = 0
        return Answer(200, headers, sse.Stream(self._reader, self._live, chosen, after, self._settings.heartbeat_s,
                                               self._may_stay(environ["edgemere.caller"])))

    def _may_stay(self, caller: Caller) -> Callable[[], EdgemereError | None] | None:
        return (lambda: self._doorkeeper.still(caller)) if self._doorkeeper.required else None

    def _content(self, row: Action, parameters: dict[str, Any], context: Context, environ: dict[str, Any]) -> Answer:
        check(row, parameters)
        place = self._dispatcher.ask(row, parameters, context)
        found = content.open_content(place, environ, self._settings.socket_timeout_s)
        if found.body is None:
            return Answer(found.status, found.headers, b"")
        environ["edgemere.given_out"] = [str(parameters[name]) for name in ("id", "data") if parameters.get(name)]
        may_read_on = self._may_read_on(row, parameters, context, environ["edgemere.caller"])
        return Answer(found.status, found.headers, content.WhileAllowed(found.body, may_read_on))

    def _may_read_on(self, row: Action, parameters: dict[str, Any], context: Context, caller: Caller) -> Callable[[], EdgemereError | None]:
        """Why a reader of bytes may not go on: his login is over, or the service would not give him the bytes now."""
        asked_at = time.monotonic()

        def why_not() -> EdgemereError | None:
            nonlocal asked_at
            error = self._doorkeeper.still(caller)
            if error is not None or time.monotonic() - asked_at < content.ANEW_S:
                return error
            asked_at = time.monotonic()
            try:
                self._dispatcher.ask(row, parameters, context)
            except EdgemereError as refusal:
                # What nobody can say now is no reason.
                return None if refusal.retryable else refusal
            return None

        return why_not


def _from_outcome(row: Action, outcome: Outcome, patience: Patience, environ: dict[str, Any]) -> Answer:
    headers = []
    if outcome.waited_s is not None and (patience.seconds is not None or patience.respond_async):
        applied = f"wait={outcome.waited_s:g}" if patience.seconds is not None else "respond-async"
        headers.append(("Preference-Applied", applied))
    reply = reply_of(row, outcome)
    if reply.version is not None:
        etag = f'"{reply.version}"'
        headers.append(("ETag", etag))
        if not row.changes and content.names(environ.get("HTTP_IF_NONE_MATCH", ""), etag):
            return Answer(304, [NO_STORE, *headers])
    if reply.location:
        headers.append(("Location", reply.location))
    return json_answer(reply.status, reply.body, headers)


def _if_match(environ: dict[str, Any]) -> int | None:
    given = environ.get("HTTP_IF_MATCH", "").strip()
    if not given or given == "*":
        return None
    match = _VERSION.fullmatch(given)
    if match:
        # A proxy that compresses makes the tag weak; it names the same version.
        return int(match.group(1))
    if given.startswith(('"', "W/")) and "," not in given:
        raise PreconditionFailed("precondition_failed", "If-Match names no version of the object.",
                                 next_step="Send the ETag of its show.")
    raise Malformed("malformed", "If-Match cannot be read: one ETag such as \"3\" is needed.",
                    next_step="Send the ETag of the object's show.")


def _patience(header: str) -> Patience:
    match = _WAIT.search(header)
    return Patience(float(match.group(1)) if match else None, "respond-async" in header.lower())
