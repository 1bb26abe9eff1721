"""The broker port on the embedded broker: straight calls, no connection in between."""
from __future__ import annotations

from collections.abc import Sequence

from amqp.exceptions import AMQPError, NotFound
from kombu import Connection

from shared.bus.embedded import engine_at
from shared.bus.engine import Engine
from shared.bus.message import Delivery, Message
from shared.bus.port import Seen, confirmed_ids, unavailable, unroutable
from shared.bus.topology import Topology, declare
from shared.kernel.errors import EdgemereError


class EmbeddedBroker:
    """See ``shared.bus.port.Broker``."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._known: Engine | None = None

    @property
    def _engine(self) -> Engine:
        if self._known is None or not self._known.running:
            self._known = engine_at(self.uri)
        return self._known

    def publish(self, message: Message, *, mandatory: bool = False, timeout_s: float = 5) -> None:
        try:
            taken = self._engine.publish(message.exchange, message.routing_key, message.properties(), message.body)
        except NotFound:
            taken = False
        except AMQPError as error:
            raise unavailable(error) from error
        if mandatory and not taken:
            raise unroutable(message)

    def send(self, message: Message, *, timeout_s: float = 5) -> None:
        self.publish(message, timeout_s=timeout_s)

    def publish_many(self, messages: Sequence[Message], *, timeout_s: float = 10) -> list[str]:
        try:
            self._engine.publish_many(
                [(message.exchange, message.routing_key, message.properties(), message.body) for message in messages])
        except AMQPError as error:
            raise unavailable(error) from error
        return confirmed_ids(messages)

    def declare(self, topology: Topology) -> None:
        with Connection(self.uri) as connection, connection.channel() as channel:
            declare(channel, topology)

    def seen(self, queues: Sequence[str] | None = None) -> dict[str, Seen]:
        try:
            there = self._engine.seen()
        except AMQPError as error:
            raise unavailable(error) from error
        return there if queues is None else {name: there[name] for name in queues if name in there}

    def peek(self, queue: str, limit: int) -> list[Delivery]:
        try:
            return self._engine.peek(queue, limit)
        except NotFound:
            return []
        except AMQPError as error:
            raise unavailable(error) from error

    def is_reachable(self) -> bool:
        try:
            return self._engine.running
        except EdgemereError:
            return False

    def close(self) -> None:
        self._known = None
