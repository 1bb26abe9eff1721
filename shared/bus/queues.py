"""One queue of the embedded broker: what waits, in which order, and who reads it. Writes nothing to disk itself."""
from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from amqp.exceptions import PreconditionFailed

from shared.bus.journal import Journal, Row, unpack

WINDOW = 1000
WINDOW_BYTES = 16 * 1024 * 1024


class Entry:
    """One message in one queue. ``seq`` is its place; ``returned`` how often it was given back unread."""

    __slots__ = ("seq", "exchange", "key", "properties", "body", "expires_at", "returned", "stored")

    def __init__(self, seq: int, exchange: str, key: str, properties: Mapping[str, Any], body: bytes,
                 expires_at: float | None, returned: int, stored: bool) -> None:
        self.seq = seq
        self.exchange = exchange
        self.key = key
        self.properties = properties
        self.body = body
        self.expires_at = expires_at
        self.returned = returned
        self.stored = stored


class Consumer:
    """One reader of a queue. ``channel.hand(consumer, entry)`` passes a message on."""

    __slots__ = ("tag", "queue", "channel", "no_ack", "prefetch", "in_flight", "callback", "priority")

    def __init__(self, tag: str, queue: Queue, channel: Any, no_ack: bool, prefetch: int, callback: Any, priority: int = 0) -> None:
        self.tag = tag
        self.queue = queue
        self.channel = channel
        self.no_ack = no_ack
        self.prefetch = prefetch
        self.in_flight = 0
        self.callback = callback
        self.priority = priority

    @property
    def has_room(self) -> bool:
        return self.no_ack or not self.prefetch or self.in_flight < self.prefetch


class Queue:
    """A queue. Only a window of its head is in memory; the rest of a durable one stays on disk.

    Messages come out by ``seq``: those given back first, because everything behind them was never handed out.
    """

    def __init__(self, name: str, arguments: Mapping[str, Any], journal: Journal, number: int | None = None, *,
                 durable: bool = True, auto_delete: bool = False, owner: Any = None) -> None:
        self.name = name
        self.arguments = dict(arguments)
        self.number = number
        self.durable = durable
        self.auto_delete = auto_delete
        self.owner = owner
        self.deleted = False
        self.consumers: list[Consumer] = []
        self.unacked = 0
        self.alarm: float | None = None
        self.last_used = time.monotonic()
        self.ttl_s = self._seconds("x-message-ttl")
        self.expires_s = self._seconds("x-expires")
        self.delivery_limit: int | None = self.arguments.get("x-delivery-limit")
        self.dead_letter_exchange: str | None = self.arguments.get("x-dead-letter-exchange")
        self.dead_letter_key: str | None = self.arguments.get("x-dead-letter-routing-key")
        self.single = bool(self.arguments.get("x-single-active-consumer"))
        self._journal = journal
        self._ready: deque[Entry] = deque()
        self._given_back: list[tuple[int, Entry]] = []
        self._held_bytes = 0
        self.beyond = 0
        self._last_read = 0
        self._mark = 0
        self._turn = 0

    def _seconds(self, argument: str) -> float | None:
        value = self.arguments.get(argument)
        return None if value is None else value / 1000

    def __len__(self) -> int:
        """Messages that wait for a reader."""
        return len(self._ready) + len(self._given_back) + self.beyond

    def recover(self) -> int:
        """Take over what is on disk after a start; gives the highest seq that the queue has known."""
        assert self.number is not None
        self.beyond, highest = self._journal.recover(self.number)
        return highest

    def expiry(self, properties: Mapping[str, Any]) -> float | None:
        """When a message that arrives now expires, in seconds since the epoch."""
        ttl_s, expiration = self.ttl_s, properties.get("expiration")
        if expiration is not None:
            try:
                own_s = int(expiration) / 1000
            except (TypeError, ValueError):
                raise PreconditionFailed(f"PRECONDITION_FAILED - invalid expiration {expiration!r}") from None
            ttl_s = own_s if ttl_s is None else min(ttl_s, own_s)
        return None if ttl_s is None else time.time() + ttl_s

    def append(self, entry: Entry) -> None:
        if entry.stored:
            if self.beyond or len(self._ready) >= WINDOW or self._held_bytes >= WINDOW_BYTES:
                self.beyond += 1
                return
            self._last_read = entry.seq
        self._held_bytes += len(entry.body)
        self._ready.append(entry)

    def give_back(self, entry: Entry) -> None:
        heapq.heappush(self._given_back, (entry.seq, entry))

    def head(self) -> Entry | None:
        """The next message, still in the queue."""
        if self._given_back:
            return self._given_back[0][1]
        if not self._ready and self.beyond:
            self._load()
        return self._ready[0] if self._ready else None

    def pop(self) -> Entry:
        """Take the message that ``head`` showed."""
        if self._given_back:
            return heapq.heappop(self._given_back)[1]
        entry = self._ready.popleft()
        self._held_bytes -= len(entry.body)
        return entry

    def mark(self, entry: Entry) -> None:
        """Note on disk that the message is handed out now."""
        if entry.stored and entry.seq > self._mark:
            self._mark = entry.seq
            self._journal.mark(self.number, entry.seq)

    def next_consumer(self) -> Consumer | None:
        """A reader that may have one more message: of those of the highest priority that have room, each in its turn, unless only the first is active."""
        if self.single:
            return next((consumer for consumer in self.consumers[:1] if consumer.has_room), None)
        count, found = len(self.consumers), None
        for turn in ((self._turn + step) % count for step in range(1, count + 1)):
            consumer = self.consumers[turn]
            if consumer.has_room and (found is None or consumer.priority > self.consumers[found].priority):
                found = turn
        if found is None:
            return None
        self._turn = found
        return self.consumers[found]

    def first(self, limit: int) -> list[Entry]:
        """The first messages that wait, still in the queue."""
        found = [entry for _, entry in sorted(self._given_back)[:limit]]
        found += list(self._ready)[:limit - len(found)]
        if self.beyond and len(found) < limit:
            rows = self._journal.read(self.number, self._last_read, limit - len(found), WINDOW_BYTES)
            found += [_from_row(row) for row in rows]
        return found

    def clear(self) -> tuple[int, list[int]]:
        """Drop all that waits: (how many, the seqs of those that are in memory and on disk)."""
        count = len(self)
        known = [entry.seq for entry in [*self._ready, *(entry for _, entry in self._given_back)] if entry.stored]
        if self.beyond:
            self._journal.clear(self.number, self._last_read)
        self._ready.clear()
        self._given_back.clear()
        self._held_bytes = self.beyond = 0
        return count, known

    def _load(self) -> None:
        rows = self._journal.read(self.number, self._last_read, WINDOW, WINDOW_BYTES)
        for row in rows:
            self._ready.append(_from_row(row))
            self._held_bytes += len(row[4])
        self.beyond = self.beyond - len(rows) if rows else 0
        if rows:
            self._last_read = rows[-1][0]


def _from_row(row: Row) -> Entry:
    seq, exchange, key, properties, body, expires_at, returned = row
    return Entry(seq, exchange, key, unpack(properties), body, expires_at, returned, True)


def death_headers(headers: Mapping[str, Any], queue: str, reason: str, entry: Entry) -> dict[str, Any]:
    """The headers of a message that leaves ``queue`` for its dead-letter exchange, as RabbitMQ writes them."""
    found = dict(headers)
    deaths = [dict(death) for death in found.get("x-death", ())]
    same = next((death for death in deaths if death.get("queue") == queue and death.get("reason") == reason), None)
    if same is None:
        same = {"count": 0, "reason": reason, "queue": queue, "time": int(time.time()),
                "exchange": entry.exchange, "routing-keys": [entry.key]}
        if entry.properties.get("expiration") is not None:
            same["original-expiration"] = entry.properties["expiration"]
    else:
        deaths.remove(same)
    same["count"] += 1
    found["x-death"] = [same, *deaths]
    for place in ("first", "last"):
        if place == "last" or "x-first-death-queue" not in found:
            found[f"x-{place}-death-queue"] = queue
            found[f"x-{place}-death-reason"] = reason
            found[f"x-{place}-death-exchange"] = entry.exchange
    return found


def only_circles(queue: str, headers: Mapping[str, Any], reason: str) -> bool:
    """Whether a dead letter only ever expires around a circle of queues, and would go round for ever."""
    deaths = headers["x-death"]
    return reason == "expired" and any(death.get("queue") == queue for death in deaths) and not any(
        death.get("reason") == "rejected" for death in deaths)
