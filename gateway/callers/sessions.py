"""Logins of the page: a credential is changed for a session, which lives in a cookie that no script can read.

Why a cookie and not the memory of the page: downloads, the socket and the documents are asked for by the browser itself,
which sends no header of ours; a script that got into the page could not take it along; and the key that was typed is
forgotten at once. The session is a key of its own, that ends by itself, with the key it was opened with, or at the logout.
What a cookie brings along, calls of other sites, is refused: SameSite=Strict, the Origin, and JSON alone.
"""
from __future__ import annotations

import json
from typing import Any

from gateway.auth import Admission
from gateway.callers.caller import Caller
from gateway.callers.credentials import COOKIE, SECURE_COOKIE
from gateway.callers.doorkeeper import Doorkeeper
from gateway.settings import Settings
from shared.kernel import clock
from shared.kernel.errors import EdgemereError, Invalid, Malformed, TooLarge, Unauthenticated

ADDRESS = "/web/session"
METHODS = ("GET", "HEAD", "POST", "DELETE")
_MAX_BYTES = 16 * 1024

Answered = tuple[int, dict[str, Any], list[tuple[str, str]]]


class Sessions:
    """The sessions of one gateway; they are kept by the service ``events``."""

    def __init__(self, settings: Settings, mesh: Any, admission: Admission, doorkeeper: Doorkeeper) -> None:
        self._settings, self._mesh, self._admission, self._doorkeeper = settings, mesh, admission, doorkeeper

    def answer(self, method: str, environ: dict[str, Any], request_id: str) -> Answered:
        """(status, body, headers) of a request for the session: who one is, a login, a logout.

        Raises:
            Unauthenticated, TooMany: the login is refused. Denied: ``origin_not_allowed``. Malformed, Invalid: the body.
        """
        if method == "POST":
            return self._log_in(environ, request_id)
        if method == "DELETE":
            return self._log_out(environ, request_id)
        try:
            caller = self._doorkeeper.greet(environ, request_id)
        except Unauthenticated as error:
            return 200, {"login": "required", "caller": None, "code": error.code}, []
        return 200, {"login": "required" if self._doorkeeper.required else "none", "caller": shown(caller)}, []

    def _log_in(self, environ: dict[str, Any], request_id: str) -> Answered:
        self._admission.check_origin(environ)
        caller = self._doorkeeper.believe(_credential_in(environ), self._doorkeeper.address(environ), request_id)
        until = clock.stamp(clock.from_epoch(caller.ends)) if caller.ends is not None else None
        session = self._mesh.call("events", "session_open", timeout_s=self._settings.command_timeout_s,
                                  context=caller.context.having(request_id=request_id, correlation_id=request_id),
                                  lifetime_s=self._settings.session_s, until=until)
        self._doorkeeper.record.answered(caller.context.having(action="login", correlation_id=request_id), 200, "ok", [session["id"]])
        body = {"login": "required", "caller": shown(caller) | {"ends": session["expires_at"]}}
        return 200, body, [("Set-Cookie", self._cookie(environ, session["key"]))]

    def _log_out(self, environ: dict[str, Any], request_id: str) -> Answered:
        self._admission.check_origin(environ)
        try:
            caller = self._doorkeeper.greet(environ, request_id)
            if caller.kind == "session":
                self._mesh.call("events", "session_close", timeout_s=self._settings.command_timeout_s, context=caller.context)
                self._doorkeeper.record.answered(caller.context.having(action="logout", correlation_id=request_id), 200, "ok", [caller.key_id])
        except Unauthenticated:
            pass  # It has ended already.
        except EdgemereError:
            # The cookie goes all the same; the session ends by itself.
            return 200, {"login": "required", "caller": None, "closed": False}, [("Set-Cookie", self._cookie(environ, "", "; Max-Age=0"))]
        return 200, {"login": "required", "caller": None, "closed": True}, [("Set-Cookie", self._cookie(environ, "", "; Max-Age=0"))]

    def _cookie(self, environ: dict[str, Any], value: str, more: str = "") -> str:
        secure = self._doorkeeper.is_secure(environ)
        return f"{SECURE_COOKIE if secure else COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}{more}"


def shown(caller: Caller) -> dict[str, Any]:
    """A caller as the page sees it."""
    return {"owner": caller.context.owner, "roles": list(caller.context.roles), "kind": caller.kind,
            "ends": clock.stamp(clock.from_epoch(caller.ends)) if caller.ends is not None else None}


def _credential_in(environ: dict[str, Any]) -> str:
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdigit() or int(length) > _MAX_BYTES:
        raise TooLarge("too_large", f"A login has at most {_MAX_BYTES} bytes.")
    if environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() != "application/json":
        raise Malformed("malformed", "A login is JSON.", next_step='Send application/json: {"credential": "edk_…"}.')
    try:
        given = json.loads(environ["wsgi.input"].read(int(length)))
        environ.get("edgemere.read", bool)()
    except (ValueError, RecursionError):
        raise Malformed("malformed", "The login is not JSON.", next_step='Send {"credential": "edk_…"}.') from None
    credential = given.get("credential") if isinstance(given, dict) else None
    if not isinstance(credential, str) or not credential.strip():
        raise Invalid("parameter.missing", "credential: This is required.", next_step="Give a key or a token.",
                      errors=[{"pointer": "/credential", "detail": "This is required."}])
    return credential.strip()
