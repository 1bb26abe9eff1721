"""The embedded broker itself: exchanges, queues, delivery, dead letters, in one process, with RabbitMQ's promises.

A publish returns when the message is in every queue it belongs to, on disk where the queue is durable and the message
persistent. Acks reach the disk within ``ACK_DELAY_S``, so a crash may hand a message out twice, never not at all.
Queues that end with a connection, and those that expire, live in memory. Knows no kombu; there is no network.
"""
from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from amqp.exceptions import ConnectionForced, NotFound, PreconditionFailed, ResourceLocked

from shared.bus.clock import Clock
from shared.bus.journal import Journal, Row, pack
from shared.bus.message import Delivery
from shared.bus.queues import Consumer, Entry, Queue, death_headers
from shared.bus.routing import Exchange
from shared.kernel.errors import EdgemereError

log = logging.getLogger(__name__)

ACK_DELAY_S = 0.02
ACKS_AT_ONCE = 500
DISK_RETRY_S = 1.0

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
        self._exchanges: dict[str, Exchange] = {}
        self._queues: dict[str, Queue] = {}
        self._seq = 0
        self._gone: dict[int, list[int]] = {}
        self._returned: dict[int, dict[int, int]] = {}
        self._flush_set = False
        self._connections: set[Any] = set()
        for kind in ("direct", "topic", "fanout"):
            self._exchanges[f"amq.{kind}"] = Exchange(f"amq.{kind}", kind, durable=False)
        self._recover()

    def _recover(self) -> None:
        for name, kind, auto_delete in self._journal.exchanges():
            self._exchanges[name] = Exchange(name, kind, True, bool(auto_delete))
        for number, name, arguments in self._journal.queues():
            queue = self._queues[name] = Queue(name, arguments, self._journal, number)
            self._seq = max(self._seq, queue.recover())
        for exchange, queue, key in self._journal.bindings():
            if exchange in self._exchanges and queue in self._queues:
                self._exchanges[exchange].bind(self._queues[queue], key)
        for queue in list(self._queues.values()):
            self._pump(queue)

    def stop(self) -> None:
        """Write what is pending and give the file free; every connection is closed."""
        with self._lock:
            if not self.running:
                return
            for connection in list(self._connections):
                connection.shut()
            self._flush()
            self.running = False
            self._clock.stop()
            self._journal.close()

    def attach(self, connection: Any) -> None:
        with self._lock:
            self._check_running()
            self._connections.add(connection)

    def detach(self, connection: Any) -> None:
        """Forget a connection; its exclusive queues go with it."""
        with self._lock:
            self._connections.discard(connection)
            if not self.running:
                return
            for queue in [queue for queue in self._queues.values() if queue.owner is connection]:
                self._delete(queue)

    # --- topology ----------------------------------------------------------------------------------------------

    def declare_exchange(self, name: str, kind: str, durable: bool, auto_delete: bool, passive: bool) -> None:
        with self._lock:
            self._check_running()
            found = self._exchanges.get(name)
            if passive:
                self._exchange(name)
            elif found is None:
                if kind not in ("direct", "topic", "fanout"):
                    raise PreconditionFailed(f"PRECONDITION_FAILED - unknown exchange type '{kind}'")
                self._exchanges[name] = Exchange(name, kind, durable, auto_delete)
                if durable and not auto_delete:
                    self._journal.add_exchange(name, kind, auto_delete)
            elif (found.kind, found.durable) != (kind, durable) and not name.startswith("amq."):
                raise PreconditionFailed(f"PRECONDITION_FAILED - exchange '{name}' is a {found.kind} exchange, "
                                         f"durable={found.durable}, and was declared as {kind}, durable={durable}")

    def delete_exchange(self, name: str) -> None:
        with self._lock:
            self._check_running()
            exchange = self._exchanges.pop(name, None)
            if exchange is not None and exchange.durable:
                self._journal.drop_exchange(name)

    def declare_queue(self, name: str, arguments: Mapping[str, Any], *, durable: bool, exclusive: bool,
                      auto_delete: bool, passive: bool, connection: Any) -> tuple[str, int, int]:
        """Make a queue, or check one that is there; (name, messages that wait, readers)."""
        with self._lock:
            self._check_running()
            if passive:
                queue = self.queue(name, connection)
                return name, len(queue), len(queue.consumers)
            name = name or f"amq.gen-{uuid.uuid4().hex}"
            found = self._queues.get(name)
            if found is None:
                # A queue that ends with a connection or expires unread ends with this process, too.
                on_disk = durable and not exclusive and not auto_delete and "x-expires" not in arguments
                number = self._journal.add_queue(name, arguments) if on_disk else None
                found = self._queues[name] = Queue(
                    name, arguments, self._journal, number, durable=durable, auto_delete=auto_delete,
                    owner=connection if exclusive else None)
            else:
                self.queue(name, connection)
                self._check_same(found, arguments, durable, auto_delete, exclusive)
            self._used(found)
            return name, len(found), len(found.consumers)

    @staticmethod
    def _check_same(queue: Queue, arguments: Mapping[str, Any], durable: bool, auto_delete: bool, exclusive: bool) -> None:
        said = {**arguments, "durable": durable, "auto_delete": auto_delete, "exclusive": exclusive}
        have = {**queue.arguments, "durable": queue.durable, "auto_delete": queue.auto_delete,
                "exclusive": queue.owner is not None}
        for key in sorted({*said, *have}):
            if said.get(key) != have.get(key):
                raise PreconditionFailed(f"PRECONDITION_FAILED - inequivalent arg '{key}' for queue '{queue.name}': "
                                         f"received {said.get(key)!r} but current is {have.get(key)!r}")

    def bind(self, queue_name: str, exchange_name: str, key: str, connection: Any) -> None:
        with self._lock:
            self._check_running()
            queue, exchange = self.queue(queue_name, connection), self._exchange(exchange_name)
            if exchange.bind(queue, key) and queue.number is not None and exchange.durable:
                self._journal.add_binding(exchange_name, queue_name, key)

    def unbind(self, queue_name: str, exchange_name: str, key: str) -> None:
        with self._lock:
            self._check_running()
            exchange = self._exchanges.get(exchange_name)
            if exchange is not None and exchange.unbind(queue_name, key):
                self._journal.drop_binding(exchange_name, queue_name, key)

    def purge(self, name: str, connection: Any) -> int:
        with self._lock:
            queue = self.queue(name, connection)
            count, seqs = queue.clear()
            if seqs:
                self._forget(queue, seqs)
            return count

    def delete_queue(self, name: str, if_unused: bool, if_empty: bool, connection: Any) -> int:
        with self._lock:
            if name not in self._queues:
                return 0
            queue = self.queue(name, connection)
            if if_unused and queue.consumers:
                raise PreconditionFailed(f"PRECONDITION_FAILED - queue '{name}' in use")
            if if_empty and len(queue):
                raise PreconditionFailed(f"PRECONDITION_FAILED - queue '{name}' not empty")
            count = len(queue)
            self._delete(queue)
            return count

    def depths(self) -> dict[str, int]:
        """Messages in each queue, waiting or being read."""
        with self._lock:
            return {queue.name: len(queue) + queue.unacked for queue in self._queues.values()}

    def peek(self, name: str, limit: int) -> list[Delivery]:
        """The first messages that wait in a queue; they stay there, unread."""
        with self._lock:
            return [Delivery(name, entry.exchange, entry.key, entry.body,
                             {key: value for key, value in entry.properties.items() if key != "application_headers"},
                             dict(entry.properties.get("application_headers") or {}), entry.returned > 0)
                    for entry in self.queue(name).first(limit)]

    def queue(self, name: str, connection: Any = None) -> Queue:
        """A queue by its name.

        Raises:
            NotFound: there is none. ResourceLocked: it belongs to another connection.
        """
        self._check_running()
        queue = self._queues.get(name)
        if queue is None:
            raise NotFound(f"NOT_FOUND - no queue '{name}'")
        if queue.owner is not None and queue.owner is not connection:
            raise ResourceLocked(f"RESOURCE_LOCKED - queue '{name}' is exclusive to another connection")
        return queue

    # --- publishing --------------------------------------------------------------------------------------------

    def publish(self, exchange: str, key: str, properties: Mapping[str, Any], body: bytes) -> bool:
        """Put a message into every queue it belongs to; False when there is none.

        Raises:
            NotFound: no such exchange. EdgemereError: ``bus.disk``, nothing was published.
        """
        with self._lock:
            queues = self._route(exchange, key)
            if queues:
                self._accept([(queue, exchange, key, properties, body) for queue in queues])
            return bool(queues)

    def publish_many(self, messages: Iterable[tuple[str, str, Mapping[str, Any], bytes]]) -> list[bool]:
        """The same for many in one transaction of the disk: all or none are published."""
        with self._lock:
            routed: list[Routed] = []
            found = []
            for exchange, key, properties, body in messages:
                queues = self._route(exchange, key)
                found.append(bool(queues))
                routed.extend((queue, exchange, key, properties, body) for queue in queues)
            if routed:
                self._accept(routed)
            return found

    def _route(self, exchange: str, key: str) -> Sequence[Queue]:
        self._check_running()
        if not exchange:
            queue = self._queues.get(key)
            return (queue,) if queue is not None else ()
        return self._exchange(exchange).route(key)

    def _accept(self, routed: Sequence[Routed], gone: Mapping[int, Iterable[int]] | None = None) -> None:
        arrived: dict[int, list[Row]] = {}
        entries: list[tuple[Queue, Entry]] = []
        packed: tuple[int, bytes] = (0, b"")
        for queue, exchange, key, properties, body in routed:
            self._seq += 1
            expires_at = self._expiry(queue, properties)
            stored = queue.number is not None and (properties.get("delivery_mode") == 2 or queue.beyond > 0)
            if stored:
                if packed[0] != id(properties):
                    packed = (id(properties), pack(properties))
                arrived.setdefault(queue.number, []).append(
                    (self._seq, exchange, key, packed[1], body, expires_at, 0))
            entries.append((queue, Entry(self._seq, exchange, key, properties, body, expires_at, 0, stored)))
        if arrived or gone:
            self._write(arrived, gone or {})
        for queue, entry in entries:
            queue.append(entry)
        for queue in {id(queue): queue for queue, _ in entries}.values():
            self._pump(queue)

    @staticmethod
    def _expiry(queue: Queue, properties: Mapping[str, Any]) -> float | None:
        ttl_s, expiration = queue.ttl_s, properties.get("expiration")
        if expiration is not None:
            try:
                own_s = int(expiration) / 1000
            except (TypeError, ValueError):
                raise PreconditionFailed(f"PRECONDITION_FAILED - invalid expiration {expiration!r}") from None
            ttl_s = own_s if ttl_s is None else min(ttl_s, own_s)
        return None if ttl_s is None else time.time() + ttl_s

    # --- reading -----------------------------------------------------------------------------------------------

    def consume(self, consumer: Consumer) -> None:
        with self._lock:
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
        with self._lock:
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
        with self._lock:
            touched = self._released(done)
            for queue, entries in touched:
                self._forget(queue, [entry.seq for entry in entries if entry.stored])
                self._pump(queue)

    def give_back(self, unread: Sequence[tuple[Queue, Entry, Consumer | None]]) -> None:
        """These messages go back to their places, to be read again; too often, and they are dead letters."""
        with self._lock:
            for queue, entries in self._released(unread):
                spent = []
                for entry in entries:
                    entry.returned += 1
                    if queue.delivery_limit is not None and entry.returned > queue.delivery_limit:
                        spent.append(entry)
                        continue
                    if queue.delivery_limit is not None and entry.stored:
                        self._returned.setdefault(queue.number, {})[entry.seq] = entry.returned
                        self._flush_soon()
                    queue.give_back(entry)
                if spent:
                    self._bury(queue, spent, "delivery_limit")
                self._pump(queue)

    def reject(self, queue: Queue, entry: Entry, consumer: Consumer | None) -> None:
        """This message cannot be worked on: to the dead-letter exchange of its queue, or gone."""
        with self._lock:
            for queue, entries in self._released([(queue, entry, consumer)]):
                self._bury(queue, entries, "rejected")
                self._pump(queue)

    def _released(self, messages: Sequence[tuple[Queue, Entry, Consumer | None]]) -> list[tuple[Queue, list[Entry]]]:
        self._check_running()
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
        if exchange is not None and (not exchange or exchange in self._exchanges):
            for entry in entries:
                key = queue.dead_letter_key if queue.dead_letter_key is not None else entry.key
                headers = death_headers(entry.properties.get("application_headers") or {}, queue.name, reason, entry)
                properties = {name: value for name, value in entry.properties.items() if name != "expiration"}
                properties["application_headers"] = headers
                routed.extend((target, exchange, key, properties, entry.body) for target in self._route(exchange, key)
                              if not self._circles(target, headers, reason))
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

    @staticmethod
    def _circles(target: Queue, headers: Mapping[str, Any], reason: str) -> bool:
        # A message that only ever expires around a circle of queues would go round for ever.
        return reason == "expired" and any(death["queue"] == target.name for death in headers["x-death"]) and not any(
            death["reason"] == "rejected" for death in headers["x-death"])

    def _drop_expired(self, queue: Queue) -> None:
        dead = []
        while (entry := queue.head()) is not None and entry.expires_at is not None and entry.expires_at <= time.time():
            dead.append(queue.pop())
            if len(dead) >= ACKS_AT_ONCE:
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
        if not seqs:
            return
        waiting = self._gone.setdefault(queue.number, [])
        waiting.extend(seqs)
        if len(waiting) >= ACKS_AT_ONCE:
            self._flush()
        else:
            self._flush_soon()

    def _flush_soon(self, seconds: float = ACK_DELAY_S) -> None:
        if not self._flush_set:
            self._flush_set = True
            self._clock.after(seconds, self._flush_due)

    def _flush_due(self) -> None:
        with self._lock:
            self._flush_set = False
            if self.running:
                self._flush()

    def _flush(self) -> None:
        if self._gone or self._returned:
            try:
                self._write({}, {})
            except EdgemereError as error:
                log.error("acks wait for the disk: %s", error)
                self._flush_soon(DISK_RETRY_S)

    def _write(self, arrived: Mapping[int, list[Row]], gone: Mapping[int, Iterable[int]]) -> None:
        every = {number: [*self._gone.get(number, ()), *gone.get(number, ())] for number in {*self._gone, *gone}}
        self._journal.write(arrived, every, self._returned)
        self._gone, self._returned = {}, {}

    def _delete(self, queue: Queue) -> None:
        queue.deleted = True
        del self._queues[queue.name]
        for name, exchange in list(self._exchanges.items()):
            if exchange.forget(queue.name) and exchange.auto_delete and not exchange.in_use:
                self._exchanges.pop(name)
        for consumer in list(queue.consumers):
            consumer.channel.cancelled(consumer)
        queue.consumers.clear()
        if queue.number is not None:
            self._gone.pop(queue.number, None)
            self._returned.pop(queue.number, None)
            self._journal.drop_queue(queue.number, queue.name)

    def _exchange(self, name: str) -> Exchange:
        exchange = self._exchanges.get(name)
        if exchange is None:
            raise NotFound(f"NOT_FOUND - no exchange '{name}'")
        return exchange

    def _check_running(self) -> None:
        if not self.running:
            raise ConnectionForced("CONNECTION_FORCED - the broker was stopped")
