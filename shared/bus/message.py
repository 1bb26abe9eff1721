"""A message as it is published and as it arrives. Knows no broker."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Message:
    """Bytes with an address. ``exchange`` empty means: straight to the queue named by ``routing_key``.

    A ``persistent`` message in a durable queue survives the death of the broker; ``expires_s`` is the time after
    which an unread message is worthless.
    """

    exchange: str
    routing_key: str
    body: bytes
    id: str | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    content_type: str | None = "application/json"
    content_encoding: str | None = "utf-8"
    correlation_id: str | None = None
    reply_to: str | None = None
    persistent: bool = True
    expires_s: float | None = None

    def properties(self) -> dict[str, Any]:
        """The AMQP properties, by their AMQP names; headers are ``application_headers``."""
        found: dict[str, Any] = {
            "application_headers": self.headers, "delivery_mode": 2 if self.persistent else 1, "priority": 0}
        if self.content_type is not None:
            found["content_type"] = self.content_type
        if self.content_encoding is not None:
            found["content_encoding"] = self.content_encoding
        if self.id is not None:
            found["message_id"] = self.id
        if self.correlation_id is not None:
            found["correlation_id"] = self.correlation_id
        if self.reply_to is not None:
            found["reply_to"] = self.reply_to
        if self.expires_s is not None:
            found["expiration"] = str(max(0, int(self.expires_s * 1000)))
        return found


@dataclass(slots=True)
class Delivery:
    """A message as it came from a queue. ``properties`` holds no headers; ``redelivered``: perhaps not the first time."""

    queue: str
    exchange: str
    routing_key: str
    body: bytes
    properties: Mapping[str, Any]
    headers: Mapping[str, Any]
    redelivered: bool = False
