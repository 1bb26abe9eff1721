"""The way of messages from the event log to the clients that subscribed: each once, in order, without a gap.

One reader follows the log for all. A subscription that lies back, or whose client reads too slowly, reads on by itself
at the client's pace: what waits for a client is bounded, what it misses is in the log. Knows no socket.io.
"""
from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from gateway.live import Live
from gateway.sse import Filter, LogReader
from gateway.wanted import Wanted
from gateway.wire import dumps
from shared.kernel.errors import EdgemereError

log = logging.getLogger(__name__)

BATCH = 100
_SAFETY_S = 5.0
_EVERYTHING = Filter()


class Listener(Protocol):
    """A client, as the feed knows it."""

    subscriptions: dict[str, Subscription]
    newest: int

    def has_room(self) -> bool: ...
    def wait_for_room(self) -> bool: ...
    def tell(self, event: str, body: str) -> None: ...
    def drop(self, code: str, detail: str) -> None: ...


class Subscription:
    """One subscription of a client: every message after ``after`` that ``wanted`` lets through.

    ``position`` is how far it has come by itself; while it is ``live``, it is as far as the feed where that is further.
    """

    __slots__ = ("wanted", "client", "after", "position", "live", "over", "narrowed")

    def __init__(self, wanted: Wanted, client: Any, after: int) -> None:
        self.wanted, self.client = wanted, client
        self.after = self.position = after
        self.live = self.over = False
        # What the log itself can filter by; the rest is left to ``wanted``.
        self.narrowed = Filter.of(wanted)


class Feed:
    """All subscriptions of one gateway. ``spawn(function, argument)`` runs something beside."""

    def __init__(self, reader: LogReader, live: Live, spawn: Callable[..., Any]) -> None:
        self._reader, self._live, self._spawn = reader, live, spawn
        self._lock = threading.Lock()
        self._topics: dict[Wanted, set[Subscription]] = {}
        self._count = self._turn = 0
        self.position = 0

    def subscribe(self, client: Listener, wanted: Wanted, after: int | None) -> Subscription:
        """A subscription from after ``after`` (None: from now). It is quiet until ``begin``.

        Raises:
            Unavailable: there are too many streams, or the event log does not answer.
        """
        self._enter()
        try:
            head = max(self.position, self._reader.position)
            if after is None:
                after = head
            elif after > head:
                # Beyond the end, as after a restore from an older state: it goes on from the end.
                after = min(after, self._reader.head())
        except BaseException:
            self._leave()
            raise
        return Subscription(wanted, client, after)

    def begin(self, subscription: Subscription) -> None:
        """Let its messages come, the past ones first."""
        self._spawn(self._catch_up, subscription)

    def end(self, subscription: Subscription) -> None:
        """No further message; a second time does nothing."""
        if subscription.over:
            return
        with self._lock:
            subscription.over = True
            self._retire(subscription)
        self._leave()

    def _enter(self) -> None:
        with self._lock:
            if not self._count:
                self._reader.enter()
                self.position = self._reader.position
                self._turn += 1
                self._spawn(self._run, self._turn)
            self._count += 1

    def _leave(self) -> None:
        with self._lock:
            self._count -= 1
            if not self._count:
                self._reader.leave()

    def _retire(self, subscription: Subscription) -> None:
        subscription.live = False
        topic = self._topics.get(subscription.wanted, set())
        topic.discard(subscription)
        if not topic:
            self._topics.pop(subscription.wanted, None)

    def _run(self, turn: int) -> None:
        """Hand the newest messages to all who are live, until nobody subscribes any more."""
        while self._count and self._turn == turn and not self._live.closed:
            if not self._reader.wait(self.position, _SAFETY_S):
                continue
            try:
                entries = self._after(self.position, _EVERYTHING)
            except EdgemereError as error:
                log.warning("the event log cannot be read, subscriptions stand still: %s", error)
                time.sleep(1)
                continue
            for start in range(0, len(entries), BATCH):
                with self._lock:
                    self._hand_out(entries[start:start + BATCH])
                # Those who write to the clients get their turn.
                time.sleep(0)

    def _after(self, position: int, narrowed: Filter) -> list[tuple[int, dict[str, Any]]]:
        """What the log has after ``position``; its last entry may be (sequence, {}) to say how far that is."""
        recent = self._reader.since(position)
        if recent is not None:
            return [(sequence, item) for sequence, item, _ in recent]
        items, reached = self._reader.page(position, narrowed)
        found = [(item["sequence"], item) for item in items]
        return found if found and found[-1][0] >= reached else [*found, (reached, {})]

    def _hand_out(self, entries: list[tuple[int, dict[str, Any]]]) -> None:
        for sequence, message in entries:
            if sequence <= self.position:
                continue
            body = ""
            for wanted, topic in list(self._topics.items()):
                if not message or not wanted.lets(message):
                    continue
                body = body or dumps(message).decode()
                for subscription in list(topic):
                    client = subscription.client
                    if sequence <= subscription.position or client.newest >= sequence:
                        continue
                    if client.has_room():
                        client.newest = sequence
                        client.tell(message["event"], body)
                    else:
                        # It reads the log at its own pace from here.
                        self._retire(subscription)
                        subscription.position = sequence - 1
                        self._spawn(self._catch_up, subscription)
            self.position = sequence

    def _catch_up(self, subscription: Subscription) -> None:
        client, wanted = subscription.client, subscription.wanted
        try:
            while not subscription.over and not self._live.closed:
                with self._lock:
                    if subscription.position >= self.position and not subscription.over:
                        subscription.live = True
                        self._topics.setdefault(wanted, set()).add(subscription)
                        return
                for sequence, message in self._after(subscription.position, subscription.narrowed):
                    if message and wanted.lets(message) and not self._was_told(subscription, sequence, message):
                        if not client.has_room() and not client.wait_for_room():
                            return
                        if subscription.over:
                            return
                        client.tell(message["event"], dumps(message).decode())
                    subscription.position = sequence
                time.sleep(0)
        except EdgemereError as error:
            client.drop("unavailable", f"The event log does not answer: {error}")

    def _was_told(self, subscription: Subscription, sequence: int, message: dict[str, Any]) -> bool:
        """Whether another subscription of the client has sent it already."""
        return any(
            other.after < sequence <= (max(self.position, other.position) if other.live else other.position) and other.wanted.lets(message)
            for other in tuple(subscription.client.subscriptions.values()) if other is not subscription
        )
