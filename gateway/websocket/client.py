"""One connection: who it is, what it may still send, what waits for it to read, and how it is let go."""
from __future__ import annotations

import json
import time
from collections.abc import Mapping
from queue import Empty
from typing import Any

from engineio import packet as engine_packet
from socketio import packet

from gateway.callers.caller import Caller
from gateway.websocket.feed import Subscription
from gateway.websocket.names import DROPPED
from gateway.wire import dumps
from shared.kernel.errors import EdgemereError

LOOK_S = 0.02
_STRIKES = 200
REASONS = {
    "slow_consumer": "Read faster, or subscribe to less; subscribe again with 'after' set to the last sequence that arrived.",
    "flooding": "Send less often.", "garbage": "Speak socket.io, protocol 5, with the WebSocket transport.",
    "closing": "Connect again, and subscribe with 'after' set to the last sequence that arrived.",
    "unavailable": "Connect again, and subscribe with 'after' set to the last sequence that arrived.",
    "login_over": "Log in again, connect, and subscribe with 'after' set to the last sequence that arrived.",
    "not_logged_in": "Connect with a key in the header Authorization, or in socket.io's auth: {token: \"edk_…\"}.",
}


class Client:
    """One connection: its caller, what it may still send, its subscriptions, and the packets that wait for it."""

    def __init__(self, server: Any, connection: Any, environ: Mapping[str, Any], caller: Caller | None, rate: float) -> None:
        self._server, self._connection = server, connection
        # None until it has logged in, where that is needed and the handshake did not.
        self.caller = caller
        # Why the handshake did not.
        self.refused: EdgemereError | None = environ.get("edgemere.refused")
        self.address = server.doorkeeper.address(environ)
        self.came_at = self.asked_at = time.monotonic()
        self.abort = environ.get("edgemere.abort", bool)
        self.subscriptions: dict[str, Subscription] = {}
        self.made = self.under_way = self.strikes = self.newest = 0
        self.joined = self.leaving = False
        self._rate, self._tokens, self._since = rate, 2 * rate, time.monotonic()

    @property
    def connected(self) -> bool:
        return not self._connection.closed and not self.leaving

    def may_send(self) -> bool:
        """Take one of the messages that it may send now, if there is one."""
        now = time.monotonic()
        self._tokens = min(2 * self._rate, self._tokens + (now - self._since) * self._rate)
        self._since = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def strike(self, code: str, detail: str) -> None:
        """It did something wrong; too often, and it is dropped."""
        self.strikes += 1
        if self.strikes > _STRIKES:
            self.drop(code, detail)

    def has_room(self) -> bool:
        settings, queue = self._server.settings, self._connection.queue
        return queue.qsize() < settings.max_waiting_messages and queue.waiting_bytes < settings.max_waiting_bytes

    def wait_for_room(self) -> bool:
        """Wait until it has read half of what waits for it; when that takes too long it is dropped, and this is False."""
        settings, queue = self._server.settings, self._connection.queue
        end = time.monotonic() + settings.slow_s
        while self.connected and not self._server.closed:
            if queue.qsize() <= settings.max_waiting_messages // 2 and queue.waiting_bytes <= settings.max_waiting_bytes // 2:
                return True
            if time.monotonic() > end:
                self.drop("slow_consumer", f"It did not read half of what waited for it within {settings.slow_s:g} s.")
                return False
            time.sleep(LOOK_S)
        return False

    def tell(self, event: str, body: str) -> None:
        """Queue one event whose body is JSON text."""
        self._put(f"{packet.EVENT}[{json.dumps(event)},{body}]")

    def _put(self, text: str) -> None:
        if not self._connection.closed:
            self._connection.send(engine_packet.Packet(engine_packet.MESSAGE, text))

    def drop(self, code: str, detail: str) -> None:
        """Tell it why, and disconnect it; what waited for it is thrown away. A second time does nothing."""
        if self.leaving or self._connection.closed:
            return
        self.leaving = True
        self._server.metrics_dropped(code)
        queue = self._connection.queue
        try:
            while True:
                queue.get_nowait()
                queue.task_done()
        except Empty:
            pass
        self.tell(DROPPED, dumps({"code": code, "detail": detail, "next_step": REASONS[code]}).decode())
        self._server.spawn(self.hang_up)

    def hang_up(self) -> None:
        """Close the connection, gently if it still reads."""
        end = time.monotonic() + self._server.settings.goodbye_s
        while self._connection.queue.qsize() and not self._connection.closed and time.monotonic() < end:
            time.sleep(LOOK_S)
        self._connection.close(wait=False)
        while self._connection.queue.qsize() > 1 and time.monotonic() < end:
            time.sleep(LOOK_S)
        if time.monotonic() >= end:
            self.abort()
