"""The gateway's ear on the bus: transient queues that hear messages while they are there, and survive a lost broker.

What is said while nobody listens is gone for this ear; ``resumed`` tells its owner to look for himself. Nothing is
handled here: a message wakes somebody, that is all.
"""
from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import orjson
from kombu import Connection, Consumer, Queue

from shared.bus.accounts import account_of
from shared.bus.port import prepare
from shared.bus.read_ahead import read_ahead
from shared.bus.topology import BASE, INTERNAL, PUBLIC, declare

log = logging.getLogger(__name__)

LOG_ADVANCED = "log.advanced"
KEYS_REVOKED = "apikey.revoked"
_DRAIN_S = 1.0
_HEARTBEAT_S = 10
_PAUSES_S = (0.1, 0.5, 1, 2, 5)


class Sleepers(Protocol):
    """Whom the messages wake; ``gateway.live.Live`` is one."""

    keys: Sequence[str]

    def heard(self, event: str, body: Any) -> None: ...
    def advanced(self, last_sequence: int) -> None: ...
    def resumed(self) -> None: ...
    def revoked(self, ids: Any) -> None: ...
    def use(self, open_feed: Callable[[str], Any]) -> None: ...


class LiveFeed:
    """One thread with one exclusive queue, bound to ``bindings`` (exchange, routing key).

    ``heard(key, body)`` is called with each message whose body is JSON, ``resumed()`` after each connection, the
    first one included. Both run in the feed's thread and must return at once.
    """

    def __init__(self, uri: str, bindings: Sequence[tuple[str, str]], heard: Callable[[str, Any], None],
                 resumed: Callable[[], None]) -> None:
        prepare(uri)
        self._uri, self._bindings = uri, tuple(bindings)
        self._heard, self._resumed = heard, resumed
        self._closed = threading.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live-feed", daemon=True)

    @property
    def listening(self) -> bool:
        """Whether messages are heard now."""
        return self._listening.is_set()

    def start(self, wait_s: float = 5) -> LiveFeed:
        """Begin to listen; returns when messages are heard, or after ``wait_s`` with the attempts going on."""
        self._thread.start()
        self._listening.wait(wait_s)
        return self

    def close(self) -> None:
        """Stop listening; returns at once."""
        self._closed.set()

    def _run(self) -> None:
        failures = 0
        while not self._closed.is_set():
            try:
                with Connection(self._uri, heartbeat=_HEARTBEAT_S, connect_timeout=5) as connection:
                    self._listen(connection)
            except Exception as error:
                # Whatever is wrong with the broker or on the way to it, the ear comes back.
                if not self._closed.is_set():
                    log.warning("the bus is not heard (%r); trying again", error)
            failures = 0 if self._listening.is_set() else min(failures + 1, len(_PAUSES_S) - 1)
            self._listening.clear()
            self._closed.wait(_PAUSES_S[failures])

    def _listen(self, connection: Connection) -> None:
        with connection.channel() as channel:
            declare(channel, BASE, account_of(self._uri))
            queue = Queue("", exclusive=True, auto_delete=True, durable=False, channel=channel)
            queue.queue_declare()
            for exchange, key in self._bindings:
                queue.bind_to(exchange, key)
            with Consumer(channel, [Queue(queue.name, no_declare=True)], no_ack=True, on_message=self._on_message,
                          auto_declare=False):
                self._listening.set()
                read_ahead(connection.connection)
                self._resumed()
                while not self._closed.is_set():
                    try:
                        connection.drain_events(timeout=_DRAIN_S)
                    except TimeoutError:
                        pass
                    if connection.supports_heartbeats:
                        connection.heartbeat_check()

    def _on_message(self, message: Any) -> None:
        try:
            body = orjson.loads(message.body)
        except orjson.JSONDecodeError:
            log.debug("a message on %s is not JSON", message.delivery_info.get("routing_key"))
            return
        self._heard(message.delivery_info.get("routing_key", ""), body)


class LiveFeeds:
    """The feeds of one gateway: a lasting one for few messages, and further ones while somebody needs them."""

    def __init__(self, uri: str, sleepers: Sleepers) -> None:
        self._uri, self._sleepers = uri, sleepers
        bindings = [(PUBLIC, key) for key in sleepers.keys]
        self._lasting = LiveFeed(uri, [*bindings, (INTERNAL, LOG_ADVANCED), (INTERNAL, KEYS_REVOKED)], self._heard, sleepers.resumed)
        sleepers.use(self.open)

    @property
    def listening(self) -> bool:
        """Whether the lasting feed hears the bus now."""
        return self._lasting.listening

    def start(self, wait_s: float = 5) -> LiveFeeds:
        """Begin to listen; see ``LiveFeed.start``."""
        self._lasting.start(wait_s)
        return self

    def open(self, noun: str) -> LiveFeed:
        """A further feed with the messages of one class; ``close`` it."""
        return LiveFeed(self._uri, [(PUBLIC, f"{noun}.*")], self._heard, self._sleepers.resumed).start()

    def close(self) -> None:
        """Stop the lasting feed."""
        self._lasting.close()

    def _heard(self, key: str, body: Any) -> None:
        if key == KEYS_REVOKED:
            obj = body.get("obj") if isinstance(body, dict) else None
            self._sleepers.revoked(obj.get("ids") if isinstance(obj, dict) else None)
        elif key != LOG_ADVANCED:
            self._sleepers.heard(key, body)
        elif isinstance(body, dict) and isinstance(body.get("last_sequence"), int):
            self._sleepers.advanced(body["last_sequence"])
