"""A foreign AMQP client: a durable subscriber of every message, and a publisher of whatever a test wants. Knows no Nameko."""
from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

import amqp
from kombu import Connection

EXCHANGE = "edgemere.events"
QUEUE = "foreign.witness"


class Witness:
    """``heard`` has (name, body) of every message since it was bound, in their order; filled by ``collect``."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.raw: list[tuple[str, bytes, dict[str, Any]]] = []

    def bind(self) -> None:
        """Make the queue; what is said from here on is heard."""
        with Connection(self._uri, connect_timeout=60) as connection:
            channel = connection.channel()
            channel.exchange_declare(EXCHANGE, "topic", durable=True, auto_delete=False)
            channel.queue_declare(QUEUE, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
            channel.queue_bind(QUEUE, EXCHANGE, "#")

    def collect(self) -> Witness:
        """Take what waits, until nothing does."""
        with Connection(self._uri, connect_timeout=60) as connection:
            channel = connection.channel()
            while (message := channel.basic_get(QUEUE)) is not None:
                self._note(message)
                channel.basic_ack(message.delivery_tag)
        return self

    def _note(self, message: Any) -> None:
        body = message.body if isinstance(message.body, bytes) else str(message.body).encode()
        self.raw.append((message.delivery_info["routing_key"], body, dict(message.properties)))
        try:
            content = json.loads(body)
        except ValueError:
            return
        if isinstance(content, dict) and isinstance(content.get("id"), str):
            self.heard.append((message.delivery_info["routing_key"], content))

    def publish(self, key: str, body: bytes, **properties: Any) -> None:
        """Publish bytes as they are, with no header of anybody's, and wait until the broker has them."""
        with Connection(self._uri, connect_timeout=60, transport_options={"confirm_publish": True}) as connection:
            connection.channel().basic_publish(amqp.Message(body, **properties), exchange=EXCHANGE, routing_key=key)

    def depths(self, names: Iterable[str]) -> dict[str, int]:
        """How many messages wait in queues; one that is not there holds none."""
        found: dict[str, int] = {}
        with Connection(self._uri, connect_timeout=60) as connection:
            for name in names:
                channel = connection.channel()
                try:
                    found[name] = channel.queue_declare(queue=name, passive=True).message_count
                    channel.close()
                except amqp.exceptions.NotFound:
                    found[name] = 0
        return found

    def readers(self, name: str) -> int:
        """How many consumers a queue has."""
        with Connection(self._uri, connect_timeout=60) as connection:
            return connection.channel().queue_declare(queue=name, passive=True).consumer_count


def again(witness: Witness, place: int) -> None:
    """Publish once more what was heard at this place, exactly as it came."""
    key, body, properties = witness.raw[place]
    kept = {name: value for name, value in properties.items() if name in (
        "message_id", "content_type", "content_encoding", "correlation_id", "application_headers", "delivery_mode")}
    witness.publish(key, body, **kept)


def until_steady(look: Any, quiet_s: float, limit_s: float) -> Mapping[str, Any] | Any:
    """What ``look`` gives when it has not changed for ``quiet_s``; at the latest after ``limit_s``."""
    deadline, last, since = time.monotonic() + limit_s, None, time.monotonic()
    while time.monotonic() < deadline:
        now = look()
        if now != last:
            last, since = now, time.monotonic()
        elif time.monotonic() - since > quiet_s:
            break
        time.sleep(0.1)
    return last
