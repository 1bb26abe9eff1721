"""The embedded broker itself: exchanges, queues, delivery, dead letters, in one process, with RabbitMQ's promises.

A publish returns when the message is in every queue it belongs to, on disk where the queue is durable and the message
persistent. Acks reach the disk a moment later, so a crash may hand a message out twice, never not at all.
Queues that end with a connection, and those that expire, live in memory. Knows no kombu; there is no network.
"""
from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from amqp.exceptions import ConnectionForced, PreconditionFailed

from shared.bus.clock import Clock
from shared.bus.directory import Directory
from shared.bus.journal import Journal, Row, pack
from shared.bus.ledger import DISK_RETRY_S, Ledger
from shared.bus.message import Delivery
from shared.bus.port import Seen
from shared.bus.queues import Consumer, Entry, Queue, death_headers, only_circles
from shared.kernel.errors import EdgemereError

log = logging.getLogger(__name__)

BURIED_AT_ONCE = 500

Routed = tuple[Queue, str, str, Mapping[str, Any], bytes]
"""queue, exchange, routing key, properties, body"""


class Engine:
    """One broker on one file. All methods may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.running = True
        self._lock = threading.RLock()
        self._journal = Journal(path)
        self._clock = Clock("broker-clock")
        self._directory = Directory(self._journal)
        self._seq = self._directory.recover()
        self._ledger = Ledger(self._journal, self._clock, self._lock)
        self._connections: set[Any] = set()
        for queue in self._directory.queues.values():
            self._watch(queue)

    def stop(self) -> None:
        """Write what is pending and give the file free; every connection is closed."""
        with self._lock:
            if not self.running:
                return
            for connection in list(self._connections):
                connection.shut()
            self._ledger.flush()
            self.running = False
            self._clock.stop()
            self._journal.close()

    def attach(self, connection: Any) -> None:
        with self._asked():
            self._connections.add(connection)

    def detach(self, connection: Any) -> None:
        """Forget a connection; its exclusive queues go with it."""
        with self._lock:
            self._connections.discard(connection)
            if not self.running:
                return
            for queue in [queue for queue in self._directory.queues.values() if queue.owner is connection]:
                self._delete(queue)

    # --- topology ----------------------------------------------------------------------------------------------

    def declare_exchange(self, name: str, kind: str, durable: bool, auto_delete: bool, passive: bool) -> None:
        with self._asked():
            self._directory.declare_exchange(name, kind, durable, auto_delete, passive)

    def delete_exchange(self, name: str) -> None:
        with self._asked():
            self._directory.delete_exchange(name)

    def declare_queue(self, name: str, arguments: Mapping[str, Any], *, durable: bool, exclusive: bool,
                      auto_delete: bool, passive: bool, connection: Any) -> tuple[str, int, int]:
        """Make a queue, or check one that is there; (name, messages that wait, readers)."""
        with self._asked():
            queue = self._directory.queue(name, connection) if passive else self._directory.declare_queue(
                name, arguments, durable=durable, exclusive=exclusive, auto_delete=auto_delete, connection=connection)
            self._used(queue)
            return queue.name, len(queue), len(queue.consumers)

    def bind(self, queue: str, exchange: str, key: str, connection: Any) -> None:
        with self._asked():
            self._directory.bind(queue, exchange, key, connection)

    def unbind(self, queue: str, exchange: str, key: str) -> None:
        with self._asked():
            self._directory.unbind(queue, exchange, key)

    def purge(self, name: str, connection: Any) -> int:
        with self._asked():
            queue = self._directory.queue(name, connection)
            count, seqs = queue.clear()
            self._forget(queue, seqs)
            return count

    def delete_queue(self, name: str, if_unused: bool, if_empty: bool, connection: Any) -> int:
        """Delete a queue, if it is there; how many messages went with it."""
        with self._asked():
            if name not in self._directory.queues:
                return 0
            queue = self._directory.queue(name, connection)
            if if_unused and queue.consumers:
                raise PreconditionFailed(f"PRECONDITION_FAILED - queue '{name}' in use")
            if if_empty and len(queue):
                raise PreconditionFailed(f"PRECONDITION_FAILED - queue '{name}' not empty")
            count = len(queue)
            self._delete(queue)
            return count

    def seen(self) -> dict[str, Seen]:
        """Each queue that is for everybody."""
        with self._asked():
            return {queue.name: Seen(len(queue) + queue.unacked, len(queue.consumers)) for queue in self._directory.queues.values() if queue.owner is None}

    def peek(self, name: str, limit: int) -> list[Delivery]:
        """The first messages that wait in a queue; they stay there, unread."""
        with self._asked():
            return [Delivery(name, entry.exchange, entry.key, entry.body,
                             {key: value for key, value in entry.properties.items() if key != "application_headers"},
                             dict(entry.properties.get("application_headers") or {}), entry.returned > 0)
                    for entry in self._directory.queue(name).first(limit)]

    def queue(self, name: str, connection: Any = None) -> Queue:
        """A queue by its name.

        Raises:
            NotFound: there is none. ResourceLocked: it belongs to another connection.
        """
        with self._asked():
            return self._directory.queue(name, connection)

    # --- publishing --------------------------------------------------------------------------------------------

    def publish(self, exchange: str, key: str, properties: Mapping[str, Any], body: bytes) -> bool:
        """Put a message into every queue it belongs to; False when there is none.

        Raises:
            NotFound: no such exchange. EdgemereError: ``bus.disk``, nothing was published.
        """
        with self._asked():
            queues = self._directory.route(exchange, key)
            if queues:
                self._accept([(queue, exchange, key, properties, body) for queue in queues])
            return bool(queues)

    def publish_many(self, messages: Iterable[tuple[str, str, Mapping[str, Any], bytes]]) -> list[bool]:
        """The same for many in one transaction of the disk: all or none are published."""
        with self._asked():
            routed: list[Routed] = []
            found = []
            for exchange, key, properties, body in messages:
                queues = self._directory.route(exchange, key)
                found.append(bool(queues))
                routed.extend((queue, exchange, key, properties, body) for queue in queues)
            if routed:
                self._accept(routed)
            return found

    def _accept(self, routed: Sequence[Routed], gone: Mapping[int, Iterable[int]] | None = None) -> None:
        arrived: dict[int, list[Row]] = {}
        entries: list[tuple[Queue, Entry]] = []
        packed: tuple[int, bytes] = (0, b"")
        for queue, exchange, key, properties, body in routed:
            self._seq += 1
            expires_at = queue.expiry(properties)
            stored = queue.number is not None and (properties.get("delivery_mode") == 2 or queue.beyond > 0)
            if stored:
                if packed[0] != id(properties):
                    packed = (id(properties), pack(properties))
                arrived.setdefault(queue.number, []).append(
                    (self._seq, exchange, key, packed[1], body, expires_at, 0))
            entries.append((queue, Entry(self._seq, exchange, key, properties, body, expires_at, 0, stored)))
        if arrived or gone:
            self._ledger.write(arrived, gone or {})
        for queue, entry in entries:
            queue.append(entry)
        for queue in {id(queue): queue for queue, _ in entries}.values():
            self._pump(queue)

    # --- reading -----------------------------------------------------------------------------------------------

    def consume(self, consumer: Consumer) -> None:
        with self._asked():
            consumer.queue.consumers.append(consumer)
            self._pump(consumer.queue)

    def cancel(self, consumer: Consumer, unread: Iterable[Entry]) -> None:
        """Take a reader away; ``unread`` was on its way and goes back to its place as if never handed out."""
        with self._lock:
            queue = consumer.queue
            if consumer in queue.consumers:
                queue.consumers.remove(consumer)
            if queue.deleted or not self.running:
                return
            for entry in unread:
                queue.unacked -= 1
                queue.give_back(entry)
            if queue.auto_delete and not queue.consumers:
                self._delete(queue)
                return
            self._used(queue)
            self._pump(queue)

    def take(self, queue: Queue, no_ack: bool) -> tuple[Entry, int] | None:
        """The next message of a queue and how many are left, without being a consumer; None when it is empty."""
        with self._asked():
            self._used(queue)
            self._drop_expired(queue)
            if queue.head() is None:
                return None
            entry = queue.pop()
            queue.mark(entry)
            if no_ack:
                self._forget(queue, [entry.seq] if entry.stored else [])
            else:
                queue.unacked += 1
            self._watch(queue)
            return entry, len(queue)

    def settle(self, done: Sequence[tuple[Queue, Entry, Consumer | None]]) -> None:
        """These messages have been worked on: they are gone."""
        with self._asked():
            touched = self._released(done)
            for queue, entries in touched:
                self._forget(queue, [entry.seq for entry in entries if entry.stored])
                self._pump(queue)

    def give_back(self, unread: Sequence[tuple[Queue, Entry, Consumer | None]]) -> None:
        """These messages go back to their places, to be read again; too often, and they are dead letters."""
        with self._asked():
            for queue, entries in self._released(unread):
                spent = []
                for entry in entries:
                    entry.returned += 1
                    if queue.delivery_limit is not None and entry.returned > queue.delivery_limit:
                        spent.append(entry)
                        continue
                    if queue.delivery_limit is not None and entry.stored:
                        self._ledger.returned(queue.number, entry.seq, entry.returned)
                    queue.give_back(entry)
                if spent:
                    self._bury(queue, spent, "delivery_limit")
                self._pump(queue)

    def reject(self, queue: Queue, entry: Entry, consumer: Consumer | None) -> None:
        """This message cannot be worked on: to the dead-letter exchange of its queue, or gone."""
        with self._asked():
            for _, entries in self._released([(queue, entry, consumer)]):
                self._bury(queue, entries, "rejected")
                self._pump(queue)

    def _released(self, messages: Sequence[tuple[Queue, Entry, Consumer | None]]) -> list[tuple[Queue, list[Entry]]]:
        found: dict[int, tuple[Queue, list[Entry]]] = {}
        for queue, entry, consumer in messages:
            if consumer is not None:
                consumer.in_flight -= 1
            if queue.deleted:
                continue
            queue.unacked -= 1
            found.setdefault(id(queue), (queue, []))[1].append(entry)
        return list(found.values())

    def _pump(self, queue: Queue) -> None:
        """Hand out what can be handed out."""
        self._drop_expired(queue)
        while queue.consumers and (entry := queue.head()) is not None:
            if queue.delivery_limit is not None and entry.returned > queue.delivery_limit:
                if not self._bury(queue, [queue.pop()], "delivery_limit"):
                    break
                continue
            consumer = queue.next_consumer()
            if consumer is None:
                break
            queue.pop()
            queue.mark(entry)
            if consumer.no_ack:
                self._forget(queue, [entry.seq] if entry.stored else [])
            else:
                consumer.in_flight += 1
                queue.unacked += 1
            consumer.channel.hand(consumer, entry)
            self._drop_expired(queue)
        self._watch(queue)

    # --- dead letters, time ------------------------------------------------------------------------------------

    def _bury(self, queue: Queue, entries: Sequence[Entry], reason: str) -> bool:
        """Move messages to the dead-letter exchange in one transaction; False when the disk refused."""
        gone = [entry.seq for entry in entries if entry.stored]
        routed: list[Routed] = []
        exchange = queue.dead_letter_exchange
        if exchange is not None and (not exchange or exchange in self._directory.exchanges):
            for entry in entries:
                key = queue.dead_letter_key if queue.dead_letter_key is not None else entry.key
                headers = death_headers(entry.properties.get("application_headers") or {}, queue.name, reason, entry)
                properties = {name: value for name, value in entry.properties.items() if name != "expiration"}
                properties["application_headers"] = headers
                routed.extend((target, exchange, key, properties, entry.body) for target in self._directory.route(exchange, key)
                              if not only_circles(target.name, headers, reason))
        try:
            if routed:
                self._accept(routed, {queue.number: gone} if gone else None)
            else:
                self._forget(queue, gone)
        except EdgemereError as error:
            log.error("dead letters of %s stay there for now: %s", queue.name, error)
            for entry in entries:
                queue.give_back(entry)
            queue.alarm = None
            self._alarm(queue, DISK_RETRY_S)
            return False
        return True

    def _drop_expired(self, queue: Queue) -> None:
        dead = []
        while (entry := queue.head()) is not None and entry.expires_at is not None and entry.expires_at <= time.time():
            dead.append(queue.pop())
            if len(dead) >= BURIED_AT_ONCE:
                if not self._bury(queue, dead, "expired"):
                    return
                dead = []
        if dead:
            self._bury(queue, dead, "expired")

    def _watch(self, queue: Queue) -> None:
        head = queue.head() if queue.number is None or len(queue) else None
        if head is not None and head.expires_at is not None:
            self._alarm(queue, max(0.0, head.expires_at - time.time()))

    def _alarm(self, queue: Queue, seconds: float) -> None:
        due = time.monotonic() + seconds
        if queue.alarm is not None and queue.alarm <= due:
            return
        queue.alarm = due

        def ring() -> None:
            with self._lock:
                if queue.alarm == due and not queue.deleted and self.running:
                    queue.alarm = None
                    self._pump(queue)

        self._clock.after(seconds, ring)

    def _used(self, queue: Queue) -> None:
        queue.last_used = time.monotonic()
        if queue.expires_s is None or queue.consumers:
            return

        def check() -> None:
            with self._lock:
                idle_s = time.monotonic() - queue.last_used
                if not queue.deleted and self.running and not queue.consumers and idle_s >= queue.expires_s:
                    self._delete(queue)

        self._clock.after(queue.expires_s + 0.001, check)

    # --- inside ------------------------------------------------------------------------------------------------

    def _forget(self, queue: Queue, seqs: list[int]) -> None:
        if seqs:
            self._ledger.forget(queue.number, seqs)

    def _delete(self, queue: Queue) -> None:
        queue.deleted = True
        self._directory.forget(queue)
        for consumer in list(queue.consumers):
            consumer.channel.cancelled(consumer)
        queue.consumers.clear()
        if queue.number is not None:
            self._ledger.drop(queue.number)
            self._journal.drop_queue(queue.number, queue.name)

    @contextmanager
    def _asked(self) -> Iterator[None]:
        with self._lock:
            if not self.running:
                raise ConnectionForced("CONNECTION_FORCED - the broker was stopped")
            yield
