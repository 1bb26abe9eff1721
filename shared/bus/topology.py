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
LATER = "edgemere.later."
REPLAY = "edgemere.replay"
RPC = "nameko-rpc"
# The service that the dead letters are for.
READS_DEAD = "events"

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
    exchanges=(ExchangeSpec(PUBLIC), ExchangeSpec(INTERNAL), ExchangeSpec(DEAD_LETTERS), ExchangeSpec(REPLAY, "direct"), ExchangeSpec(RPC)),
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
    # A dead letter that is replayed comes by an exchange of its own, so that who replays need not be let at every queue there is.
    return topology + Topology(queues=(QueueSpec(name, arguments, (*bindings, (REPLAY, name))),))


def later_name(delay_s: float) -> str:
    """The exchange to which a message is published that is to come again after this time.

    A topic exchange, though it has one queue: to such a one a broker can let an account publish for its own queues alone.
    """
    return f"{LATER}{round(delay_s * 1000)}ms"


def retry_queue(delay_s: float) -> Topology:
    """Where messages wait ``delay_s`` and then go back to exactly the queue that their routing key names."""
    exchange, name = later_name(delay_s), f"{RETRY}{round(delay_s * 1000)}ms"
    arguments = {**_SAFE, "x-message-ttl": round(delay_s * 1000), "x-dead-letter-exchange": ""}
    return Topology((ExchangeSpec(exchange),), (QueueSpec(name, arguments, ((exchange, "#"),)),))


def rpc_queue(service: str) -> str:
    """Where the calls of a service wait, as Nameko names it."""
    return f"rpc-{service}"


def reply_queue(caller: str, id: str) -> str:
    """Where one process of ``caller`` gets its answers; the empty id gives what all of them begin with."""
    return f"rpc.reply-{caller}-{id}"


def dead_letter_queue() -> Topology:
    """The queue of the dead letters, for who reads it."""
    return BASE


def declare(channel: Any, topology: Topology, account: str = "") -> None:
    """Make what is missing, through a kombu channel.

    With an ``account`` of its own at the broker (see ``shared.bus.accounts``) a service makes its own queues alone, and looks whether
    the rest is there.

    Raises:
        amqp.exceptions.PreconditionFailed: something is there with other arguments.
        amqp.exceptions.NotFound: something is missing that this account does not make.
    """
    for exchange in topology.exchanges:
        channel.exchange_declare(exchange=exchange.name, type=exchange.kind, durable=True, auto_delete=False, passive=bool(account))
    for queue in topology.queues:
        if not is_made_by(account, queue.name):
            channel.queue_declare(queue=queue.name, passive=True)
            continue
        channel.queue_declare(queue=queue.name, durable=True, exclusive=False, auto_delete=False,
                              arguments=dict(queue.arguments))
        for name, key in queue.bindings:
            channel.queue_bind(queue=queue.name, exchange=name, routing_key=key)


def is_made_by(account: str, queue: str) -> bool:
    """Whether a service makes a queue; one account for the whole mesh, the empty one, makes everything."""
    return not account or queue.startswith(f"{account}.") or queue == DEAD_QUEUE and account == READS_DEAD
