"""What a client emits: any action of the table and the three handled messages, answered with ``(answer, problem, about)``.

The same dispatch, the same checks and the same shapes as over REST. Knows no action by name and no socket.io.
"""
from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from gateway.callers.caller import Caller
from gateway.callers.doorkeeper import Doorkeeper
from gateway.content import open_content
from gateway.dispatch import Dispatcher, Patience, check, check_caller, checked_key, reply_of
from gateway.metrics import Metrics
from gateway.problems import problem, unexpected
from gateway.rest import take_parameters
from gateway.settings import Settings
from shared.contracts.action import TREES, Action, load_parameters
from shared.contracts.event import HANDLED, SENT_BY
from shared.contracts.table import ACTIONS
from shared.kernel.context import Context
from shared.kernel.errors import EdgemereError, Invalid, NotFound, TooLarge, did_you_mean

log = logging.getLogger(__name__)

PLACE = "/web/socket.io"
OPTIONS = ("wait", "respond_async", "idempotency_key", "if_match", "request_id", "range")
ROWS: dict[str, Action] = {
    **{row.name: row for row in ACTIONS.values()},
    **{".".join((TREES[row.tree], *row.path)): row for row in ACTIONS.values()},
}
"""Every name under which an action can be emitted: ``do.evaluate`` and ``edgemere.diml.dml.do.evaluate``."""

Answered = tuple[Any, dict[str, Any] | None, dict[str, Any]]


class Calls:
    """Carries out what the clients of one gateway emit. ``owns`` are further names, answered by functions of their own."""

    def __init__(self, dispatcher: Dispatcher, settings: Settings, metrics: Metrics, doorkeeper: Doorkeeper | None = None) -> None:
        self._dispatcher, self._settings, self._metrics, self._doorkeeper = dispatcher, settings, metrics, doorkeeper

    def answer(self, name: str, arguments: Sequence[Any], caller: Caller, is_connected: Callable[[], bool],
               streams: Mapping[str, Callable[[Any], Any]]) -> Answered:
        """(answer, problem, about) of one emitted event; exactly one of the first two is None. Never raises.

        ``about`` has what HTTP says in its status line and headers: ``{status, request_id, location, version}``.
        ``streams`` answers what begins and ends subscriptions; rows that answer a stream are under their ``answer``.
        """
        began = time.perf_counter()
        context = caller.context
        row = ROWS.get(name) or (ACTIONS[SENT_BY] if name in HANDLED else None)
        request_id = uuid.uuid4().hex
        try:
            if len(arguments) > 2:
                raise _refused("", "An event takes its parameters as one object, and the options as a second one.")
            if self._doorkeeper is not None:
                self._doorkeeper.count(context.owner)
            options = _options(arguments[1] if len(arguments) > 1 else None)
            request_id = options.get("request_id") or request_id
            given = arguments[0] if arguments else None
            body, about = self._perform(name, row, given, options, caller, request_id, is_connected, streams)
            found = body, None, {"status": 200, "request_id": request_id, **about}
        except EdgemereError as error:
            found = self.refusal(error, row, request_id)
        except Exception:
            log.exception("request %s for %s failed", request_id, row.name if row else "an event")
            found = self.refusal(unexpected(request_id), row, request_id)
        if self._is_recorded(row, found[2]["status"]):
            context = context.having(action=row.name, correlation_id=request_id)
            self._doorkeeper.record.answered(context, found[2]["status"], "ok" if found[1] is None else found[1]["code"])
        self._metrics.count(f"socket {row.name}" if row else "socket other", found[2]["status"], time.perf_counter() - began,
                            (found[1] or {}).get("code", ""))
        return found

    def _is_recorded(self, row: Action | None, status: int = 0) -> bool:
        return self._doorkeeper is not None and self._doorkeeper.required and row is not None and (row.changes or status == 403)

    @staticmethod
    def refusal(error: EdgemereError, row: Action | None = None, request_id: str = "") -> Answered:
        """The answer that is a problem."""
        request_id = request_id or uuid.uuid4().hex
        return None, problem(error, row.address if row else PLACE, request_id), {"status": error.status, "request_id": request_id}

    def _perform(self, name: str, row: Action | None, given: Any, options: dict[str, Any], caller: Caller,
                 request_id: str, is_connected: Callable[[], bool],
                 streams: Mapping[str, Callable[[Any], Any]]) -> tuple[Any, dict[str, Any]]:
        if name in HANDLED:
            given = {"event": name, "obj": given["obj"] if isinstance(given, Mapping) and "obj" in given else given}
        if name in streams:
            return streams[name](given), {}
        if row is None:
            known = (*ROWS, *HANDLED, *streams)
            raise NotFound("not_found", f"No action or handled message is called '{name[:100]}'.{did_you_mean(name[:100], known)}",
                           next_step="All of them are at /docs and /asyncapi.json.")
        context = caller.context
        check_caller(row, context)
        if self._doorkeeper is not None:
            self._doorkeeper.check_fresh(row, caller, lambda: load_parameters(row, take_parameters(
                row, given if isinstance(given, Mapping) else {}, self._settings)))
        if given is None:
            given = {}
        if not isinstance(given, Mapping):
            raise _refused("", "The parameters are one object, such as {\"id\": \"scans\"}.")
        parameters = take_parameters(row, given, self._settings)
        if row.answer == "stream":
            check(row, parameters)
            return streams[row.answer](parameters), {}
        changes: dict[str, Any] = {"request_id": request_id, "correlation_id": request_id}
        if self._is_recorded(row):
            changes["action"] = row.name
        if row.changes:
            changes |= {"idempotency_key": options.get("idempotency_key", ""), "if_match": options.get("if_match")}
        context = context.having(**changes)
        if row.answer == "content":
            return self._content(row, parameters, options, context)
        patience = Patience(options.get("wait"), options.get("respond_async", False))
        reply = reply_of(row, self._dispatcher.perform(row, parameters, context, patience, is_connected))
        about = {"status": reply.status, "location": reply.location, "version": reply.version}
        return reply.body, {key: value for key, value in about.items() if value is not None}

    def _content(self, row: Action, parameters: dict[str, Any], options: dict[str, Any],
                 context: Context) -> tuple[bytes, dict[str, Any]]:
        check(row, parameters)
        place = self._dispatcher.ask(row, parameters, context)
        span = options.get("range")
        asked = {"REQUEST_METHOD": "GET"} | ({"HTTP_RANGE": f"bytes={span[0]}-{span[1]}"} if span else {})
        found = open_content(place, asked, self._settings.socket_timeout_s)
        headers = {name.lower(): value for name, value in found.headers}
        limit = self._settings.max_message_bytes
        try:
            if int(headers.get("content-length", 0)) > limit:
                address = f"{row.address}?{urlencode(parameters)}"
                raise TooLarge("too_large", f"These are {headers['content-length']} bytes; a message has at most {limit}.",
                               next_step=f"Ask for a range of at most that, or read GET {address}.", limit=limit,
                               address=address)
            content = b"".join(found.body or ())
        finally:
            if hasattr(found.body, "close"):
                found.body.close()
        about = {name.replace("-", "_"): headers[name] for name in ("content-type", "content-range", "etag") if name in headers}
        return content, {"status": found.status, **about, "name": place.get("name"), "size": place.get("size")}


def _options(given: Any) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise _refused("options", "The options are one object, such as {\"wait\": 30}.")
    for name in given:
        if name not in OPTIONS:
            detail = f"There is no option '{str(name)[:100]}'.{did_you_mean(str(name), OPTIONS)}"
            raise Invalid("parameter.unknown", detail, next_step=f"There are: {', '.join(OPTIONS)}.",
                          errors=[{"pointer": f"/options/{name}", "detail": detail}])
    options = {name: value for name, value in given.items() if value is not None}
    _each(options, "wait", lambda value: _is_number(value) and 0 <= value < 1e9, "A number of seconds is needed here.")
    _each(options, "respond_async", lambda value: isinstance(value, bool), "true or false is needed here.")
    _each(options, "idempotency_key", lambda value: isinstance(value, str), "A text is needed here.")
    _each(options, "request_id", lambda value: isinstance(value, str) and 0 < len(value) <= 128 and value.isprintable(),
          "A text of 1 to 128 characters is needed here.")
    _each(options, "if_match", lambda value: isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62,
          "The version that you saw, a whole number, is needed here.")
    _each(options, "range", _is_range, "Two whole numbers, [first, last], are needed here.")
    checked_key(options.get("idempotency_key"))
    return options


def _each(options: dict[str, Any], name: str, holds: Callable[[Any], bool], detail: str) -> None:
    if name in options and not holds(options[name]):
        raise _refused(f"options/{name}", detail)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_range(value: Any) -> bool:
    return (isinstance(value, list) and len(value) == 2 and all(type(one) is int for one in value)
            and 0 <= value[0] <= value[1] < 2**59)


def _refused(name: str, detail: str) -> Invalid:
    pointer = f"/{name}" if name else ""
    return Invalid("parameter.invalid", f"{name}: {detail}" if name else detail, next_step="Correct what the pointer names.",
                   errors=[{"pointer": pointer, "detail": detail}])
