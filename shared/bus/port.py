"""What this product asks of a message broker. The laws in ``tests/support/laws/broker.py`` are its meaning.

Promises, of every adapter:
- A publish that returned is in every queue it belongs to; in a durable queue a persistent message then survives the
  death of the broker. Without a return nobody knows: publish again, consumers are made for seeing a message twice.
- A message leaves its queue when it was acked, or went on to the dead-letter exchange, or expired where nobody waits
  for it; never because a process died.
- One queue keeps the order in which messages came; what is given back goes to its old place, and says so.
- What cannot be published now says so within its time limit; nothing waits without end.

When the broker is away, each method raises ``Unavailable`` with the code ``bus.unavailable``; publishing a message that
no queue takes raises ``Unavailable`` with the code ``bus.unroutable`` where it was mandatory. Consuming is kombu's, on the
address ``Broker.uri``, so that Nameko's own extensions run on every adapter.
"""
from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from amqp.exceptions import AccessRefused

from shared.bus.encoding import register_json
from shared.bus.message import Delivery, Message
from shared.bus.topology import Topology
from shared.kernel.errors import Unavailable

# Of a TCP connection: a peer that is gone without a word is noticed after about ten seconds.
KEEPALIVE = {socket.TCP_USER_TIMEOUT: 10_000, socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 3} \
    if hasattr(socket, "TCP_USER_TIMEOUT") else {}

UNAVAILABLE = "bus.unavailable"
UNROUTABLE = "bus.unroutable"
REFUSED = "bus.refused"
MISSING = "bus.missing"


ACCOUNTS = "Import the accounts of this release into the broker: edgemere broker-accounts makes them."


class Seen(NamedTuple):
    """A queue at one moment: its messages, waiting or being worked on, and its consumers."""

    messages: int
    readers: int


class Broker(Protocol):
    """A message broker."""

    uri: str

    def publish(self, message: Message, *, mandatory: bool = False, timeout_s: float = 5) -> None:
        """Publish one message and wait until the broker has taken it."""

    def send(self, message: Message, *, timeout_s: float = 5) -> None:
        """Hand over a message whose loss its sender notices by itself: a call, an answer. Waits for no confirmation."""

    def publish_many(self, messages: Sequence[Message], *, timeout_s: float = 10) -> list[str]:
        """Publish messages in this order; the ids of those that the broker has taken, in order.

        Cheap for hundreds. What is not among the ids may have been taken or not. A message that no queue takes, though
        one that was declared here should, is not among them: the queue is made again.
        """

    def declare(self, topology: Topology) -> None:
        """Make the exchanges, queues and bindings that are missing."""

    def seen(self, queues: Sequence[str] | None = None) -> dict[str, Seen]:
        """What each of these queues holds and who reads it, or each that was declared here; of one that is not there, nothing.

        Each queue is a question to the broker: ask once, and for those alone that are wanted.
        """

    def peek(self, queue: str, limit: int) -> list[Delivery]:
        """The first messages of a queue, which stay there."""

    def is_reachable(self) -> bool:
        """Whether the broker answers now."""

    def close(self) -> None:
        """Let go of connections; the broker itself goes on."""


def connect(uri: str) -> Broker:
    """The broker at an address: ``embedded:///path/to/broker.db`` or ``amqp://user:password@host:port/vhost``.

    Connects at first use, so that the order of starting does not matter.

    Raises:
        ValueError: no adapter knows the scheme.
    """
    prepare(uri)
    # Imported here, because a process uses one of the two.
    if uri.startswith("embedded:"):
        from shared.bus.embedded_broker import EmbeddedBroker
        return EmbeddedBroker(uri)
    if uri.startswith(("amqp:", "amqps:", "pyamqp:")):
        from shared.bus.rabbit import RabbitBroker
        return RabbitBroker(uri)
    raise ValueError(f"'{uri.partition(':')[0]}' is no broker; known are embedded:///file and amqp://host")


def prepare(uri: str) -> None:
    """Make kombu, and with it Nameko, able to use this address and the product's JSON. Repeating it is harmless."""
    register_json()
    if uri.startswith("embedded:"):
        from shared.bus.embedded import register_transport
        register_transport()
    elif uri.startswith("amqps:"):
        from shared.bus.tls import register_transport
        register_transport()


def unavailable(error: BaseException) -> Unavailable:
    """The broker is away, or does not let this process do what it wants, in the words of the product."""
    if isinstance(error, AccessRefused):
        return Unavailable(REFUSED, f"The message broker refuses this process: {error.reply_text}", next_step=ACCOUNTS)
    return Unavailable(UNAVAILABLE, f"The message broker does not answer ({type(error).__name__}).",
                       next_step="Try again; /health/ready says when it is back.")


def missing(error: BaseException) -> Unavailable:
    """What a service with an account of its own does not make itself is not there."""
    return Unavailable(MISSING, f"The message broker lacks what every service needs: {error}", next_step=ACCOUNTS)


def unroutable(message: Message) -> Unavailable:
    """No queue takes this message."""
    return Unavailable(UNROUTABLE, f"Nobody receives '{message.routing_key}' on '{message.exchange}'.")


def confirmed_ids(messages: Iterable[Message]) -> list[str]:
    return [message.id for message in messages if message.id is not None]
