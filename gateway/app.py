"""The gateway as a WSGI application: from a request to an action of the table, and from its outcome to an answer.

Knows no action by name, no broker and no web server. Every way out is JSON, a problem document, a stream or one of the
gateway's own pages; nothing raises into the server.
"""
from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from gateway import content, pages, sse
from gateway.answers import AS_FILE, NO_STORE, TLS_ALONE, Answer, accepts_gzip, is_json, json_answer, leave_unread, other_method, refusal, send
from gateway.auth import Admission
from gateway.callers import sessions
from gateway.callers.caller import Caller
from gateway.callers.credentials import IN_URL, check_address
from gateway.callers.doorkeeper import Doorkeeper
from gateway.dispatch import Dispatcher, Outcome, Patience, check, check_caller, checked_key, reply_of
from gateway.documents import Documents
from gateway.health import Health
from gateway.live import Live
from gateway.metrics import MEDIA_TYPE as METRICS_TYPE
from gateway.metrics import Metrics
from gateway.problems import unexpected
from gateway.rest import read_parameters
from gateway.settings import Settings
from gateway.wanted import wanted_by
from gateway.web import assets, lines, table
from shared.contracts.action import Action, load_parameters
from shared.contracts.table import BY_ADDRESS
from shared.kernel.context import Context
from shared.kernel.errors import EdgemereError, Malformed, NotFound, did_you_mean
from shared.kernel.errors import PreconditionFailed, Unauthenticated
from shared.kernel.trace import NO_TRACER, Tracer, traceparent_of

log = logging.getLogger(__name__)

SOCKETS = "/web/socket.io"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)
_VERSION = re.compile(r'(?:W/)?"(\d{1,18})"', re.ASCII)
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})(?![\d.])", re.IGNORECASE | re.ASCII)
# What is answered without a login: whether it lives, and the page with its login.
_OPEN = frozenset({"/health/live", "/health/ready", "/edgemere.js", "/edgemere.d.ts"})


@dataclass(frozen=True)
class Parts:
    """What the faces of one gateway share."""

    admission: Admission
    doorkeeper: Doorkeeper
    dispatcher: Dispatcher
    reader: sse.LogReader
    live: Live
    settings: Settings
    metrics: Metrics


def create_app(mesh: Any, live: Live, settings: Settings, metrics: Metrics | None = None,
               make_sockets: Callable[[Parts], Any] | None = None,
               own_health: Callable[[], tuple[bool, dict[str, Any]]] | None = None, tracer: Tracer = NO_TRACER) -> App:
    """The application.

    ``mesh.call(service, method, timeout_s=, context=, **parameters)`` asks a service and raises EdgemereErrors.
    ``live`` must be told what the bus says (see ``gateway.live``). ``metrics`` may be shared with other parts of the
    process. ``make_sockets`` makes the WSGI application of the WebSocket, with ``close()`` and ``open``, where the web
    server can carry one. ``own_health`` tells how this process is, beside the services.
    """
    return App(mesh, live, settings, metrics or Metrics(), make_sockets, own_health, tracer)


class App:
    """See ``create_app``."""

    def __init__(self, mesh: Any, live: Live, settings: Settings, metrics: Metrics,
                 make_sockets: Callable[[Parts], Any] | None,
                 own_health: Callable[[], tuple[bool, dict[str, Any]]] | None, tracer: Tracer = NO_TRACER) -> None:
        self._mesh, self._live, self._settings, self._metrics = mesh, live, settings, metrics
        self._admission = Admission(settings)
        self._doorkeeper = Doorkeeper(settings, mesh)
        self._sessions = sessions.Sessions(settings, mesh, self._admission, self._doorkeeper)
        live.on_keys(self._doorkeeper.revoked, self._doorkeeper.doubt)
        self._dispatcher = Dispatcher(mesh, live, settings, tracer)
        self._health = Health(mesh, settings, own_health)
        self._reader = sse.LogReader(mesh, live, settings)
        parts = Parts(self._admission, self._doorkeeper, self._dispatcher, self._reader, live, settings, metrics)
        self._sockets = make_sockets(parts) if make_sockets else None
        self._pages: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "/": self._start, "/metrics": self._figures, "/health/live": self._alive, "/health/ready": self._ready,
            **Documents(settings.version, settings.max_body_bytes).pages,
        }
        self._assets = assets.Assets({"/web/table.json": lambda: table.document(settings.version)})
        self._kinds: dict[str, Callable[..., Answer]] = {
            "stream": self._stream, "content": self._content,
        }
        metrics.gauge("edgemere_streams", "Open event streams.", lambda: self._reader.streams)
        metrics.counter("edgemere_audit_lost", "Lines of the audit log that this gateway could not keep.", lambda: self._doorkeeper.record.lost)
        metrics.gauge("edgemere_waits", "Calls that wait for something to end.", lambda: live.watching)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        began = time.perf_counter()
        request_id = _request_id(environ)
        path = environ.get("PATH_INFO", "")
        row = BY_ADDRESS.get(path)
        code = ""
        try:
            check_address(path, environ.get("QUERY_STRING", ""))
            if self._sockets is not None and path.rstrip("/") == SOCKETS:
                # Whoever gets in here is answered in frames, for as long as the connection lasts.
                self._admission.check_host(environ)
                self._admission.check_origin(environ)
                return self._sockets(environ, start_response)
            answer = self._answer(row, path, environ, request_id)
        except EdgemereError as error:
            code = error.code
            # What should not be in an address is not said again.
            answer = refusal(error, "" if code == IN_URL else path, request_id)
            if error.status in (401, 403, 429):
                leave_unread(environ)
        except Exception:
            log.exception("request %s to %s failed", request_id, row.name if row else "a page")
            code = "internal"
            answer = refusal(unexpected(request_id), path, request_id)
        name = row.name if row else (path if path in self._pages else "other")
        self._metrics.count(name, answer.status, time.perf_counter() - began, code)
        self._keep_record(row, environ, answer.status, code or "ok")
        answer.headers += self._doorkeeper.headers(environ)
        if (row is not None or path == sessions.ADDRESS) and is_json(answer):
            answer.headers.append(AS_FILE)
        if self._doorkeeper.is_secure(environ):
            answer.headers.append(TLS_ALONE)
        return send(answer, environ, start_response, request_id)

    def _keep_record(self, row: Action | None, environ: dict[str, Any], status: int, outcome: str) -> None:
        """Say in the audit log what a logged-in caller was told: of a change, of what he had no right to, and which bytes he was given."""
        context = environ.get("edgemere.context")
        if row is None or context is None or not self._doorkeeper.required:
            return
        if row.changes or status == 403:
            self._doorkeeper.record.answered(context.having(action=row.name), status, outcome)
        elif "edgemere.given_out" in environ and status < 300:
            self._doorkeeper.record.read(context.having(action=row.name), status, environ["edgemere.given_out"])

    def close(self) -> None:
        """The server stops: waiting calls answer with what is, streams end, sockets hear that they end."""
        self._live.close()
        if self._sockets is not None:
            self._sockets.close()
        self._doorkeeper.record.close()

    def _answer(self, row: Action | None, path: str, environ: dict[str, Any], request_id: str) -> Answer:
        self._admission.check_host(environ)
        method = environ["REQUEST_METHOD"]
        if path == sessions.ADDRESS:
            return self._session(method, environ, request_id)
        if row is None:
            return self._own_page(path, method, environ, request_id)
        allowed = ("POST",) if row.changes else ("GET", "HEAD", "POST")
        if method not in allowed:
            return other_method(method, row.address, allowed)
        if row.changes:
            self._admission.check_origin(environ)
        caller = self._doorkeeper.greet(environ, request_id)
        if row.changes and environ.get("edgemere.cookie"):
            self._admission.check_own_page(environ)
        context = environ["edgemere.context"] = self._context(row, environ, request_id, caller)
        check_caller(row, context)
        self._doorkeeper.check_fresh(row, caller)
        environ["edgemere.caller"] = caller
        parameters = read_parameters(row, environ, self._settings)
        return self._kinds.get(row.answer, self._plain)(row, parameters, context, environ)

    def _session(self, method: str, environ: dict[str, Any], request_id: str) -> Answer:
        if method not in sessions.METHODS:
            return other_method(method, sessions.ADDRESS, sessions.METHODS)
        status, body, headers = self._sessions.answer(method, environ, request_id)
        return json_answer(status, body, headers)

    def _context(self, row: Action, environ: dict[str, Any], request_id: str, caller: Caller) -> Context:
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

    def _own_page(self, path: str, method: str, environ: dict[str, Any], request_id: str) -> Answer:
        page = self._pages.get(path)
        if page is None and (path == assets.ROOT or path.startswith(f"{assets.ROOT}/")):
            page = self._web
        if page is None:
            shown = path.encode("latin-1", "replace").decode("utf-8", "replace")[:200]
            raise NotFound(
                "not_found", f"There is nothing at {shown!r}.{did_you_mean(path[:200], (*BY_ADDRESS, *self._pages))}",
                next_step="All addresses are at /docs and /openapi.json.",
            )
        # What it asks about may be longer than any address.
        allowed = ("POST",) if path == lines.ADDRESS else ("GET", "HEAD")
        if method not in allowed:
            return other_method(method, path, allowed)
        if self._doorkeeper.required and page != self._web and path not in _OPEN:
            try:
                self._doorkeeper.greet(environ, request_id)
            except Unauthenticated:
                if "text/html" not in environ.get("HTTP_ACCEPT", ""):
                    raise
                # A person in a browser: the page asks for the login, and leads back.
                return Answer(303, [("Location", f"/web?next={quote(path, safe='/')}"), NO_STORE])
        return page(environ)

    def _start(self, environ: dict[str, Any]) -> Answer:
        if "text/html" in environ.get("HTTP_ACCEPT", ""):
            return Answer(303, [("Location", "/web"), NO_STORE])
        return json_answer(200, pages.start(self._settings.version))

    def _web(self, environ: dict[str, Any]) -> Answer:
        path = environ["PATH_INFO"]
        file = self._assets.at(path)
        if file is None:
            raise NotFound("not_found", f"The page has no file at {path[:200]!r}.", next_step="Open /web.")
        headers = [("Content-Type", file.kind), ("Cache-Control", "no-cache"), ("ETag", file.etag),
                   ("Content-Security-Policy", assets.POLICY), ("Vary", "Accept-Encoding")]
        if content.names(environ.get("HTTP_IF_NONE_MATCH", ""), file.etag):
            return Answer(304, headers)
        if not accepts_gzip(environ.get("HTTP_ACCEPT_ENCODING", "")):
            return Answer(200, [*headers, ("Content-Length", str(len(file.plain)))], file.plain)
        return Answer(200, [*headers, ("Content-Encoding", "gzip"), ("Content-Length", str(len(file.packed)))], file.packed)

    def _figures(self, environ: dict[str, Any]) -> Answer:
        return Answer(200, [("Content-Type", METRICS_TYPE), NO_STORE], self._metrics.text())

    def _alive(self, environ: dict[str, Any]) -> Answer:
        return json_answer(200, {"ok": True, "version": self._settings.version})

    def _ready(self, environ: dict[str, Any]) -> Answer:
        ready, found = self._health.ready()
        return json_answer(200 if ready else 503, found)


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


def _request_id(environ: dict[str, Any]) -> str:
    given = environ.get("HTTP_X_REQUEST_ID", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


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
