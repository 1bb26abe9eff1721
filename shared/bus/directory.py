"""The exchanges, queues and bindings of the embedded broker, and what of them is on disk. Moves no messages."""
from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from amqp.exceptions import NotFound, PreconditionFailed, ResourceLocked

from shared.bus.journal import Journal
from shared.bus.queues import Queue
from shared.bus.routing import Exchange

KINDS = ("direct", "topic", "fanout")


class Directory:
    """Everything that has a name. Not for several threads at once; the engine sees to that."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.exchanges = {f"amq.{kind}": Exchange(f"amq.{kind}", kind, durable=False) for kind in KINDS}
        self.queues: dict[str, Queue] = {}

    def recover(self) -> int:
        """Take over what is on disk after a start; the highest seq that any queue has known."""
        seq = 0
        for name, kind, auto_delete in self._journal.exchanges():
            self.exchanges[name] = Exchange(name, kind, True, bool(auto_delete))
        for number, name, arguments in self._journal.queues():
            queue = self.queues[name] = Queue(name, arguments, self._journal, number)
            seq = max(seq, queue.recover())
        for exchange, queue, key in self._journal.bindings():
            if exchange in self.exchanges and queue in self.queues:
                self.exchanges[exchange].bind(self.queues[queue], key)
        return seq

    def route(self, exchange: str, key: str) -> Sequence[Queue]:
        """The queues that get a message, each once. The nameless exchange leads to the queue of the key's name."""
        if not exchange:
            queue = self.queues.get(key)
            return (queue,) if queue is not None else ()
        return self.exchange(exchange).route(key)

    def exchange(self, name: str) -> Exchange:
        found = self.exchanges.get(name)
        if found is None:
            raise NotFound(f"NOT_FOUND - no exchange '{name}'")
        return found

    def queue(self, name: str, connection: Any = None) -> Queue:
        found = self.queues.get(name)
        if found is None:
            raise NotFound(f"NOT_FOUND - no queue '{name}'")
        if found.owner is not None and found.owner is not connection:
            raise ResourceLocked(f"RESOURCE_LOCKED - queue '{name}' is exclusive to another connection")
        return found

    def declare_exchange(self, name: str, kind: str, durable: bool, auto_delete: bool, passive: bool) -> None:
        found = self.exchanges.get(name)
        if passive:
            self.exchange(name)
        elif found is None:
            if kind not in KINDS:
                raise PreconditionFailed(f"PRECONDITION_FAILED - unknown exchange type '{kind}'")
            if durable and not auto_delete:
                self._journal.add_exchange(name, kind, auto_delete)
            self.exchanges[name] = Exchange(name, kind, durable, auto_delete)
        elif (found.kind, found.durable) != (kind, durable) and not name.startswith("amq."):
            raise PreconditionFailed(f"PRECONDITION_FAILED - exchange '{name}' is a {found.kind} exchange, "
                                     f"durable={found.durable}, and was declared as {kind}, durable={durable}")

    def delete_exchange(self, name: str) -> None:
        found = self.exchanges.pop(name, None)
        if found is not None and found.durable:
            self._journal.drop_exchange(name)

    def declare_queue(self, name: str, arguments: Mapping[str, Any], *, durable: bool, exclusive: bool,
                      auto_delete: bool, connection: Any) -> Queue:
        """Make a queue, or check that the one which is there is the same."""
        name = name or f"amq.gen-{uuid.uuid4().hex}"
        if name in self.queues:
            found = self.queue(name, connection)
            _check_same(found, arguments, durable, auto_delete, exclusive)
            return found
        # A queue that ends with a connection or expires unread ends with this process, too.
        on_disk = durable and not exclusive and not auto_delete and "x-expires" not in arguments
        number = self._journal.add_queue(name, arguments) if on_disk else None
        self.queues[name] = Queue(name, arguments, self._journal, number, durable=durable, auto_delete=auto_delete,
                                  owner=connection if exclusive else None)
        return self.queues[name]

    def bind(self, queue_name: str, exchange_name: str, key: str, connection: Any) -> None:
        queue, exchange = self.queue(queue_name, connection), self.exchange(exchange_name)
        if exchange.bind(queue, key) and queue.number is not None and exchange.durable:
            self._journal.add_binding(exchange_name, queue_name, key)

    def unbind(self, queue_name: str, exchange_name: str, key: str) -> None:
        exchange = self.exchanges.get(exchange_name)
        if exchange is not None and exchange.unbind(queue_name, key):
            self._journal.drop_binding(exchange_name, queue_name, key)

    def forget(self, queue: Queue) -> None:
        """A queue is no more; nor are exchanges that lived for it."""
        del self.queues[queue.name]
        for name, exchange in list(self.exchanges.items()):
            if exchange.forget(queue.name) and exchange.auto_delete and not exchange.in_use:
                del self.exchanges[name]


def _check_same(queue: Queue, arguments: Mapping[str, Any], durable: bool, auto_delete: bool, exclusive: bool) -> None:
    said = {**arguments, "durable": durable, "auto_delete": auto_delete, "exclusive": exclusive}
    have = {**queue.arguments, "durable": queue.durable, "auto_delete": queue.auto_delete,
            "exclusive": queue.owner is not None}
    for key in sorted({*said, *have}):
        if said.get(key) != have.get(key):
            raise PreconditionFailed(f"PRECONDITION_FAILED - inequivalent arg '{key}' for queue '{queue.name}': "
                                     f"received {said.get(key)!r} but current is {have.get(key)!r}")
