"""The connections at ``/web/socket.io``: who comes in, what a client may send, what waits for it, and how it is let go.

python-socketio speaks the protocol; here are its limits. A client that reads too slowly, floods or sends garbage is
told why (``edgemere.dropped``) and disconnected; what it missed is in the event log, and its sequence resumes it.
"""
from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Mapping
from typing import Any

import socketio
from socketio import packet

from gateway.app import Parts
from gateway.callers.caller import Caller
from gateway.problems import MEDIA_TYPE, problem
from gateway.websocket import transport
from gateway.websocket.calls import PLACE, Calls
from gateway.websocket.client import LOOK_S, REASONS, Client
from gateway.websocket.feed import Feed, Subscription
from gateway.wanted import wanted_by
from gateway.wire import dumps
from shared.kernel.errors import EdgemereError, Invalid, Malformed, NotFound, TooMany, Unauthenticated, Unavailable
from shared.kernel.numbers import finite, no_constant

log = logging.getLogger(__name__)

PING_TIMEOUT_S = 30
# How long a gateway that stops waits for its clients to hear it.
_CLOSING_S = 1.0
# How often it is looked who has to go; how long somebody may take to log in; how often each login is asked about anew.
WATCH_S, LOGIN_S, ANEW_S = 1.0, 10.0, 10.0


class _Json:
    """JSON for the frames; NaN and its kin are no JSON, and no number is beyond all numbers."""

    @staticmethod
    def loads(text: str) -> Any:
        return json.loads(text, parse_constant=no_constant, parse_float=finite)

    @staticmethod
    def dumps(value: Any, **_: Any) -> str:
        return dumps(value).decode()


class _Protocol(socketio.Server):
    """python-socketio's server, with every way in and out led through ``Sockets``."""

    def __init__(self, sockets: Sockets, **options: Any) -> None:
        super().__init__(**options)
        self._sockets = sockets
        self.eio._async = transport.parts()

    def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        super()._handle_eio_connect(eio_sid, environ)
        self._sockets.came(eio_sid, self.eio.sockets[eio_sid], environ)

    def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        super()._handle_eio_disconnect(eio_sid, reason)
        self._sockets.went(eio_sid)

    def _handle_eio_message(self, eio_sid: str, data: Any) -> None:
        if self._sockets.lets_in(eio_sid, data):
            try:
                super()._handle_eio_message(eio_sid, data)
            except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
                self._sockets.not_understood(eio_sid, error)

    def _handle_connect(self, eio_sid: str, namespace: str | None, data: Any) -> None:
        error = self._sockets.logs_in(eio_sid, data)
        if error is None:
            super()._handle_connect(eio_sid, namespace, None)
            return
        self._send_packet(eio_sid, self.packet_class(packet.CONNECT_ERROR, namespace=namespace or "/", data={
            "message": error.detail, "data": problem(error, PLACE, uuid.uuid4().hex)}))

    def _handle_event(self, eio_sid: str, namespace: str | None, id: int | None, data: Any) -> None:
        # Not by python-socketio's handlers: a client must not reach 'connect' and 'disconnect' by emitting them.
        if not isinstance(data, list) or not data or not isinstance(data[0], str):
            raise ValueError("an event has a name")
        if self.manager.is_connected(self.manager.sid_from_eio_sid(eio_sid, namespace or "/"), namespace or "/"):
            self._sockets.emitted(eio_sid, id, data[0], data[1:])

    def acknowledge(self, eio_sid: str, id: int, answered: tuple[Any, ...]) -> None:
        if eio_sid in self.eio.sockets:
            self._send_packet(eio_sid, self.packet_class(packet.ACK, namespace="/", id=id, data=list(answered)))


def create_sockets(parts: Parts) -> Sockets:
    """The WSGI application of the WebSocket. Host and Origin are checked before a request comes here."""
    return Sockets(parts)


class Sockets:
    """See ``create_sockets``."""

    def __init__(self, parts: Parts) -> None:
        settings = self.settings = parts.settings
        # What a client gets wrong is counted, not logged: garbage must not fill the log.
        quiet = logging.getLogger(f"{__name__}.protocol")
        quiet.setLevel(logging.CRITICAL + 1)
        self._protocol = _Protocol(
            self, async_mode="eventlet", transports=["websocket"], cors_allowed_origins=[], json=_Json,
            max_http_buffer_size=settings.max_message_bytes, ping_interval=settings.ping_s, ping_timeout=PING_TIMEOUT_S,
            # A connection that says nothing within both times ends by its own timeout.
            monitor_clients=False, logger=quiet, engineio_logger=quiet)
        self._protocol.on("disconnect", self._left)
        self.doorkeeper = parts.doorkeeper
        self.doorkeeper.on_revoked(self._revoked)
        self._calls = Calls(parts.dispatcher, settings, parts.metrics, parts.doorkeeper)
        self._feed = Feed(parts.reader, parts.live, self._protocol.start_background_task)
        self._admission = parts.admission
        self._clients: dict[str, Client] = {}
        self._watching = False
        self.closed = False
        parts.metrics.gauge("edgemere_sockets", "Open WebSockets.", lambda: len(self._clients))
        parts.metrics.may_drop(REASONS)
        self.metrics_dropped = parts.metrics.dropped

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Serve one connection until it ends.

        Raises:
            Malformed: the request does not ask for a WebSocket.
            Unavailable: there are as many as the settings allow.
            Unauthenticated: the credential of the handshake is not believed. Denied: ``session.cross_site``.
        """
        if environ.get("HTTP_UPGRADE", "").lower() != "websocket":
            raise Malformed("malformed", "Only the WebSocket transport of socket.io is spoken here.",
                            next_step='Connect with {path: "/web/socket.io", transports: ["websocket"]}.')
        if self.closed or len(self._clients) >= self.settings.max_sockets:
            raise Unavailable("unavailable", f"There are {len(self._clients)} WebSockets, as many as this gateway holds.",
                              next_step="Close one, or try again later.")

        environ["edgemere.caller"] = self._caller(environ)

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            # What python-engineio refuses before the handshake is in words of its own.
            return start_response(status, [("Content-Type", MEDIA_TYPE), ("X-Content-Type-Options", "nosniff")], *more)

        said = self._protocol.eio.handle_request(environ, start)
        # Nothing is said after a handshake; a refusal is a text in a list.
        return [_as_problem(said[0])] if said else said

    def _caller(self, environ: dict[str, Any]) -> Caller | None:
        """Who connects, by the handshake; None for somebody who may still say so (a page cannot send a header with it).

        A browser does not let its page read why a handshake was refused: the session in its cookie is refused by socket.io.
        """
        try:
            caller = self.doorkeeper.greet(environ, uuid.uuid4().hex)
        except Unauthenticated as error:
            if error.code != "unauthenticated" and not environ.get("edgemere.cookie"):
                raise
            environ["edgemere.refused"] = error
            return None
        if environ.get("edgemere.cookie"):
            self._admission.check_own_page(environ)
        return caller

    def close(self) -> None:
        """The gateway stops: every client is told, and has a moment to hear it."""
        self.closed = True
        clients = list(self._clients.values())
        for client in clients:
            client.drop("closing", "The server stops.")
        end = time.monotonic() + _CLOSING_S
        while any(client.connected or not client._connection.closed for client in clients) and time.monotonic() < end:
            time.sleep(LOOK_S)

    def spawn(self, function: Any, *arguments: Any) -> Any:
        return self._protocol.start_background_task(function, *arguments)

    def came(self, eio_sid: str, connection: Any, environ: dict[str, Any]) -> None:
        self._clients[eio_sid] = Client(self, connection, environ, environ["edgemere.caller"], self.settings.socket_messages_per_s)
        if self.doorkeeper.required and not self._watching:
            self._watching = True
            self.spawn(self._watch)

    def logs_in(self, eio_sid: str, data: Any) -> EdgemereError | None:
        """Let a connection into the namespace; why not, otherwise. ``data`` is socket.io's ``auth``: {token} or {key}."""
        client = self._clients.get(eio_sid)
        if client is None:
            return Unavailable("unavailable", "The connection has ended.")
        given = next((data[name] for name in ("token", "key") if isinstance(data.get(name), str)), "") if isinstance(data, Mapping) else ""
        if not self.doorkeeper.required or client.caller is not None and not given:
            return None
        if not given:
            return client.refused
        try:
            client.caller = self.doorkeeper.believe(given, client.address, uuid.uuid4().hex)
        except EdgemereError as error:
            return error
        client.asked_at = time.monotonic()
        return None

    def _watch(self) -> None:
        """Let go whose login has ended, and who does not log in. One for all connections."""
        while not self.closed:
            time.sleep(WATCH_S)
            now = time.monotonic()
            for client in tuple(self._clients.values()):
                if client.caller is None:
                    if now - client.came_at > LOGIN_S:
                        client.drop("not_logged_in", f"It did not log in within {LOGIN_S:g} s.")
                elif client.caller.is_over or now - client.asked_at > ANEW_S:
                    self._ask_anew(client)

    def _revoked(self, ids: frozenset[str]) -> None:
        for client in tuple(self._clients.values()):
            if client.caller is not None and client.caller.key_id in ids:
                self.spawn(self._ask_anew, client)

    def _ask_anew(self, client: Client) -> None:
        client.asked_at = time.monotonic()
        error = self.doorkeeper.still(client.caller) if client.caller is not None else None
        if error is not None:
            client.drop("login_over", f"{error.detail} ({error.code})")

    def went(self, eio_sid: str) -> None:
        client = self._clients.pop(eio_sid, None)
        if client is not None:
            for subscription in client.subscriptions.values():
                self._feed.end(subscription)
            client.subscriptions.clear()

    def _left(self, sid: str, reason: str = "") -> None:
        # Leaving the namespace is leaving: there is no other.
        eio_sid = self._protocol.manager.eio_sid_from_sid(sid, "/")
        connection = self._protocol.eio.sockets.get(eio_sid)
        if connection is not None and not connection.closing:
            connection.close(wait=False)

    def lets_in(self, eio_sid: str, data: Any) -> bool:
        client = self._clients.get(eio_sid)
        if client is None or client.leaving:
            return False
        if client.may_send():
            return True
        client.strike("flooding", f"It sent more than {self.settings.socket_messages_per_s:g} messages a second for too long.")
        id = _id_of(data)
        if id is not None and client.connected and client.has_room():
            error = TooMany("too_many", f"A WebSocket may send {self.settings.socket_messages_per_s:g} messages a second.",
                            next_step="Send less often.")
            self._protocol.acknowledge(eio_sid, id, self._calls.refusal(error))
        return False

    def not_understood(self, eio_sid: str, error: Exception) -> None:
        client = self._clients.get(eio_sid)
        if client is not None:
            log.debug("a packet was not understood: %r", error)
            client.strike("garbage", "It sent too much that is not socket.io.")

    def emitted(self, eio_sid: str, id: int | None, name: str, arguments: list[Any]) -> None:
        client = self._clients.get(eio_sid)
        if client is None:
            return
        if client.under_way >= self.settings.socket_calls:
            error = TooMany("too_many", f"{client.under_way} calls of this WebSocket are under way, as many as it may have.",
                            next_step="Wait for an answer before the next call.")
            if id is not None:
                self._protocol.acknowledge(eio_sid, id, self._calls.refusal(error))
            return
        client.under_way += 1
        self.spawn(self._answer, eio_sid, client, id, name, arguments)

    def _answer(self, eio_sid: str, client: Client, id: int | None, name: str, arguments: list[Any]) -> None:
        begins: list[Subscription] = []

        def subscribe(given: Any) -> dict[str, Any]:
            return self._subscribe(client, given, begins)

        try:
            # Answers may be large: who does not read them gets no further ones.
            if not client.has_room() and not client.wait_for_room():
                return
            assert client.caller is not None
            answered = self._calls.answer(name, arguments, client.caller, lambda: client.connected, {
                "subscribe": subscribe, "stream": subscribe, "unsubscribe": lambda given: self._unsubscribe(client, given)})
            if id is not None:
                self._protocol.acknowledge(eio_sid, id, answered)
        finally:
            client.under_way -= 1
            for subscription in begins:
                self._feed.begin(subscription)

    def _subscribe(self, client: Client, given: Any, begins: list[Subscription]) -> dict[str, Any]:
        if len(client.subscriptions) >= self.settings.socket_subscriptions:
            raise TooMany("too_many", f"A WebSocket has at most {self.settings.socket_subscriptions} subscriptions.",
                          next_step="End one with 'unsubscribe'.")
        chosen, after = wanted_by(client.caller.context, given)
        subscription = self._feed.subscribe(client, chosen, after)
        if not client.connected:
            self._feed.end(subscription)
            raise Unavailable("unavailable", "The connection has ended.")
        client.made += 1
        name = f"s{client.made}"
        client.subscriptions[name] = subscription
        # Its messages come after the acknowledgement that names it.
        begins.append(subscription)
        return {"subscription": name, "after": subscription.after}

    def _unsubscribe(self, client: Client, given: Any) -> dict[str, Any]:
        name = given.get("subscription") if isinstance(given, Mapping) else given
        if not isinstance(name, str):
            raise Invalid("parameter.missing", "unsubscribe: subscription: This is required.",
                          next_step="Give the one that 'subscribe' answered.",
                          errors=[{"pointer": "/subscription", "detail": "This is required."}])
        subscription = client.subscriptions.pop(name, None)
        if subscription is None:
            raise NotFound("not_found", f"There is no subscription '{name[:100]}' here.",
                           next_step=f"There are: {', '.join(client.subscriptions) or 'none'}.")
        self._feed.end(subscription)
        return {"subscription": name, "position": max(subscription.position, self._feed.position if subscription.live else 0)}


def _id_of(data: Any) -> int | None:
    """The id of an event packet that asks for an acknowledgement, without parsing the rest."""
    if not isinstance(data, str) or data[:1] != str(packet.EVENT):
        return None
    digits = data[1:20].partition("[")[0]
    return int(digits) if digits.isascii() and digits.isdigit() else None


def _as_problem(said: Any) -> bytes:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    error: EdgemereError = Malformed("malformed", f"This is not a socket.io handshake: {text.strip(chr(34))[:200]}",
                                     next_step='Connect with {path: "/web/socket.io", transports: ["websocket"]}, protocol 4.')
    return dumps(problem(error, PLACE, ""))
