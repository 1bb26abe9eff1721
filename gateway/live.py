"""What wakes the gateway's waiting calls and streams: one ear on the bus, many sleepers.

Holds no state of the product: a message wakes whoever waits for its object, and the sleeper asks the service.
A wake-up may be missing (the broker was away), so sleepers also look by themselves now and then.
"""
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from shared.contracts.event import EVENTS
from shared.contracts.table import ACTIONS

# Classes whose messages are always heard; those of the others come by the ten thousand in a burst.
HEARD = ("datarequest", "datareference", "datasource")


def _keys() -> tuple[str, ...]:
    """What is always heard: of the classes ``HEARD`` the messages that end a wait, as the table has it. A request says ten things and ends once."""
    found: set[str] = set()
    for wait in {row.wait for row in ACTIONS.values() if row.wait is not None and row.wait.noun in HEARD}:
        names = {f"{wait.noun}.{state.lower()}" for state in wait.until} & EVENTS.keys()
        found |= names if wait.field == "state" else {f"{wait.noun}.*"}
    return tuple(sorted(found))


class Live:
    """The sleepers of one gateway.

    Whoever hears the bus calls ``heard`` with the public messages of the routing keys ``keys``, ``advanced`` and ``resumed``.
    """

    keys = _keys()

    def __init__(self) -> None:
        self._open_feed: Callable[[str], Any] | None = None
        self._lock = threading.Lock()
        self._watches: dict[str, set[Watch]] = {}
        self._feeds: dict[str, tuple[Any, int]] = {}
        self._log_listeners: set[threading.Event] = set()
        self._revoked: Callable[[Any], None] = lambda ids: None
        self._doubt: Callable[[], None] = lambda: None
        self.last_sequence = 0
        self.closed = False

    def use(self, open_feed: Callable[[str], Any]) -> None:
        """``open_feed(noun)`` starts to listen to a further class and gives an object with ``close()``, once it hears."""
        self._open_feed = open_feed

    def on_keys(self, revoked: Callable[[Any], None], doubt: Callable[[], None]) -> None:
        """``revoked(ids)`` is called when keys have changed, ``doubt()`` when that may have been missed."""
        self._revoked, self._doubt = revoked, doubt

    def revoked(self, ids: Any) -> None:
        """The bus says that these keys have changed."""
        self._revoked([key_id for key_id in ids if isinstance(key_id, str)] if isinstance(ids, list) else [])

    def heard(self, event: str, body: Any) -> None:
        """A public message arrived; wakes those who wait for its object. A malformed body wakes nobody."""
        obj = body.get("obj") if isinstance(body, dict) else None
        object_id = obj.get("id") if isinstance(obj, dict) else None
        for watch in tuple(self._watches.get(object_id, ())) if isinstance(object_id, str) else ():
            watch.tell(obj)

    def advanced(self, last_sequence: int) -> None:
        """The event log has committed messages up to ``last_sequence``; wakes its readers."""
        self.last_sequence = max(self.last_sequence, last_sequence)
        for listener in tuple(self._log_listeners):
            listener.set()

    def resumed(self) -> None:
        """The bus is heard again after a break; everybody looks for what was missed."""
        self._doubt()
        for watches in tuple(self._watches.values()):
            for watch in tuple(watches):
                watch.tell(None)
        for listener in tuple(self._log_listeners):
            listener.set()

    def close(self) -> None:
        """The gateway stops: all sleepers wake and end."""
        self.closed = True
        self.resumed()

    def watch(self, noun: str, object_id: str) -> Watch:
        """A watch over one object, to be used with ``with``; messages sent from then on are not missed."""
        return Watch(self, noun, object_id)

    def listen_to_log(self, listener: threading.Event) -> None:
        """Set ``listener`` whenever the event log grows."""
        self._log_listeners.add(listener)

    def leave_log(self, listener: threading.Event) -> None:
        """No longer set ``listener``."""
        self._log_listeners.discard(listener)

    def _enter(self, watch: Watch) -> None:
        self._watches.setdefault(watch.object_id, set()).add(watch)
        if watch.noun in HEARD or self._open_feed is None:
            return
        with self._lock:
            feed, users = self._feeds.get(watch.noun, (None, 0))
            # Under the lock: a second watch must not sleep before the feed of the first one hears.
            self._feeds[watch.noun] = (feed or self._open_feed(watch.noun), users + 1)

    def _leave(self, watch: Watch) -> None:
        watches = self._watches.get(watch.object_id, set())
        watches.discard(watch)
        if not watches:
            self._watches.pop(watch.object_id, None)
        with self._lock:
            feed, users = self._feeds.get(watch.noun, (None, 0))
            if users == 1:
                del self._feeds[watch.noun]
                feed.close()
            elif users:
                self._feeds[watch.noun] = (feed, users - 1)

    @property
    def watching(self) -> int:
        """How many calls wait now."""
        return sum(map(len, tuple(self._watches.values())))


class Watch:
    """One call that waits for one object."""

    def __init__(self, live: Live, noun: str, object_id: str) -> None:
        self.noun, self.object_id = noun, object_id
        self._live = live
        self._event = threading.Event()
        self._told: Any = None

    def __enter__(self) -> Watch:
        self._live._enter(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._live._leave(self)

    def tell(self, obj: Any) -> None:
        """The object as a message showed it, or None when something may have been missed."""
        self._told = obj
        self._event.set()

    def sleep(self, seconds: float) -> tuple[bool, Any]:
        """Sleep until told, at most ``seconds``: (told, object or None)."""
        told = self._event.wait(seconds)
        self._event.clear()
        return told, self._told

    @property
    def over(self) -> bool:
        """Whether the gateway stops."""
        return self._live.closed
