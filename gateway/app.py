"""The gateway as a WSGI application: who is asked for by a request, whether its caller is let in, and what is said of the answer.

``actions`` answers the actions, ``own_addresses`` the rest. Knows no action by name, no broker and no web server; nothing raises into the server.
"""
from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from gateway import sse
from gateway.actions import Actions
from gateway.answers import AS_FILE, TLS_ALONE, Answer, is_said, json_answer, leave_unread, other_method, refusal, send
from gateway.auth import Admission
from gateway.callers import sessions
from gateway.callers.credentials import IN_URL, check_address
from gateway.callers.doorkeeper import Doorkeeper
from gateway.dispatch import Dispatcher, check_caller
from gateway.health import Health
from gateway.live import Live
from gateway.metrics import Metrics
from gateway.own_addresses import OwnAddresses
from gateway.problems import unexpected
from gateway.rest import read_parameters
from gateway.settings import Settings
from shared.contracts.action import Action, load_parameters
from shared.contracts.table import BY_ADDRESS
from shared.kernel.errors import EdgemereError
from shared.kernel.trace import NO_TRACER, Tracer

log = logging.getLogger(__name__)

SOCKETS = "/web/socket.io"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)


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
        self._reader = sse.LogReader(mesh, live, settings)
        parts = Parts(self._admission, self._doorkeeper, self._dispatcher, self._reader, live, settings, metrics)
        self._sockets = make_sockets(parts) if make_sockets else None
        self._own = OwnAddresses(settings, self._doorkeeper, Health(mesh, settings, own_health), metrics)
        self._actions = Actions(self._dispatcher, self._doorkeeper, self._reader, live, settings)
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
        name = row.name if row else (path if path in self._own else "other")
        self._metrics.count(name, answer.status, time.perf_counter() - began, code)
        self._keep_record(row, environ, answer.status, code or "ok")
        answer.headers += self._doorkeeper.headers(environ)
        if (row is not None or path == sessions.ADDRESS) and is_said(answer):
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
            return self._own.answer(path, method, environ, request_id)
        allowed = ("POST",) if row.changes else ("GET", "HEAD", "POST")
        if method not in allowed:
            return other_method(method, row.address, allowed)
        if row.changes:
            self._admission.check_origin(environ)
        caller = self._doorkeeper.greet(environ, request_id)
        if row.changes and environ.get("edgemere.cookie"):
            self._admission.check_own_page(environ)
        context = environ["edgemere.context"] = self._actions.context(row, environ, request_id, caller)
        check_caller(row, context)
        environ["edgemere.caller"] = caller
        read = cache(lambda: read_parameters(row, environ, self._settings))
        self._doorkeeper.check_fresh(row, caller, lambda: load_parameters(row, read()))
        parameters = read()
        return self._actions.answer(row, parameters, context, environ)

    def _session(self, method: str, environ: dict[str, Any], request_id: str) -> Answer:
        if method not in sessions.METHODS:
            return other_method(method, sessions.ADDRESS, sessions.METHODS)
        status, body, headers = self._sessions.answer(method, environ, request_id)
        return json_answer(status, body, headers)

def _request_id(environ: dict[str, Any]) -> str:
    given = environ.get("HTTP_X_REQUEST_ID", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
