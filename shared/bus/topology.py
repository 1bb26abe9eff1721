"""Names and arguments of all exchanges and queues, as data. They are fixed: a broker refuses a queue with others."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

PUBLIC = "edgemere.events"
INTERNAL = "edgemere.internal"
DEAD_LETTERS = "edgemere.dlx"
DEAD_QUEUE = "edgemere.dead"
RETRY = "edgemere.retry."
RPC = "nameko-rpc"

EXCHANGES = {"public": PUBLIC, "internal": INTERNAL}

RETRY_DELAYS_S = (0.2, 1.0, 5.0, 20.0, 60.0)
# Counts crashes only, and takes along whatever a crashing process had prefetched: well above what restarts cause.
DELIVERY_LIMIT = 30

_SAFE = {
    "x-queue-type": "quorum",
    # A dead letter leaves its queue only when the dead-letter queue has confirmed it.
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}


@dataclass(frozen=True)
class ExchangeSpec:
    """A durable exchange."""

    name: str
    kind: str = "topic"


@dataclass(frozen=True)
class QueueSpec:
    """A durable queue, its arguments and the (exchange, routing key) pairs it is bound with."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    bindings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Topology:
    """What has to be there before the first message."""

    exchanges: tuple[ExchangeSpec, ...] = ()
    queues: tuple[QueueSpec, ...] = ()

    def __add__(self, other: Topology) -> Topology:
        exchanges = {spec.name: spec for spec in (*self.exchanges, *other.exchanges)}
        queues = {spec.name: spec for spec in (*self.queues, *other.queues)}
        return Topology(tuple(exchanges.values()), tuple(queues.values()))


BASE = Topology(
    exchanges=(ExchangeSpec(PUBLIC), ExchangeSpec(INTERNAL), ExchangeSpec(DEAD_LETTERS), ExchangeSpec(RPC)),
    queues=(QueueSpec(DEAD_QUEUE, {"x-queue-type": "quorum"}, ((DEAD_LETTERS, "#"),)),),
)


def event_queue(name: str, bindings: Iterable[tuple[str, str]], *, single: bool = False,
                delays_s: Iterable[float] = RETRY_DELAYS_S) -> Topology:
    """A queue of events with everything that its consumer needs: exchanges, retry queues, dead letters.

    ``single``: one consumer at a time gets all messages, in order.
    """
    bindings = tuple(bindings)
    arguments = {**_SAFE, "x-delivery-limit": DELIVERY_LIMIT, "x-dead-letter-exchange": DEAD_LETTERS,
                 "x-dead-letter-routing-key": name}
    if single:
        arguments["x-single-active-consumer"] = True
    topology = BASE + Topology(tuple(ExchangeSpec(exchange) for exchange, _ in bindings))
    for delay_s in delays_s:
        topology += retry_queue(delay_s)
    return topology + Topology(queues=(QueueSpec(name, arguments, bindings),))


def retry_name(delay_s: float) -> str:
    """The exchange, and the queue, where a message waits this long."""
    return f"{RETRY}{round(delay_s * 1000)}ms"


def retry_queue(delay_s: float) -> Topology:
    """Where messages wait ``delay_s`` and then go back to exactly the queue that their routing key names."""
    name = retry_name(delay_s)
    arguments = {**_SAFE, "x-message-ttl": round(delay_s * 1000), "x-dead-letter-exchange": ""}
    return Topology((ExchangeSpec(name, "fanout"),), (QueueSpec(name, arguments, ((name, ""),)),))


def dead_letter_queue() -> Topology:
    """The queue of the dead letters, for who reads it."""
    return BASE


def declare(channel: Any, topology: Topology) -> None:
    """Make what is missing, through a kombu channel.

    Raises:
        amqp.exceptions.PreconditionFailed: something is there with other arguments.
    """
    for exchange in topology.exchanges:
        channel.exchange_declare(exchange=exchange.name, type=exchange.kind, durable=True, auto_delete=False)
    for queue in topology.queues:
        channel.queue_declare(queue=queue.name, durable=True, exclusive=False, auto_delete=False,
                              arguments=dict(queue.arguments))
        for name, key in queue.bindings:
            channel.queue_bind(queue=queue.name, exchange=name, routing_key=key)
