"""An event as its handler sees it, made from whatever arrived: ours, a Nameko publisher's, or a plain AMQP client's."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kombu.message import Message as KombuMessage

from shared.bus.encoding import Undecodable, decode_as
from shared.bus.message import Delivery
from shared.kernel.errors import Malformed

ATTEMPT = "x-attempt"
ORIGINAL_EXCHANGE = "x-exchange"
ORIGINAL_KEY = "x-routing-key"


@dataclass(slots=True, eq=False)
class EventMessage:
    """One event.

    ``name`` is the routing key that it was published with, ``id`` the AMQP message id (None when the publisher gave
    none), ``obj`` the object (or its id or name) that it is about, ``time`` a stamp or None. ``attempt`` counts from 1.
    ``redelivered``: perhaps another consumer has begun with it. ``context``: of one among several that are handled at once, what its
    work belongs to, by the names of ``Context``.
    """

    name: str
    id: str | None
    body: dict[str, Any]
    obj: Any
    headers: Mapping[str, Any]
    correlation_id: str
    causation_id: str
    time: str | None
    attempt: int
    redelivered: bool
    context: Mapping[str, str] = field(default_factory=dict)


def delivery_of(queue: str, message: KombuMessage) -> Delivery:
    """A kombu message, undecoded. What was compressed is not any more, unless that failed."""
    info = message.delivery_info
    body, headers = message.body, message.headers
    if not message.errors and "compression" in headers:
        headers = {name: value for name, value in headers.items() if name != "compression"}
    return Delivery(
        queue, info.get("exchange") or "", info.get("routing_key") or "",
        body.encode(message.content_encoding or "utf-8", "surrogatepass") if isinstance(body, str) else bytes(body or b""),
        message.properties, headers, bool(info.get("redelivered")))


def event_of(delivery: Delivery) -> EventMessage:
    """The event in a delivery.

    Raises:
        Malformed: ``message.undecodable`` or ``message.malformed``; no attempt will make it better.
    """
    headers, properties = delivery.headers, delivery.properties
    try:
        if headers.get("compression"):
            raise Undecodable(f"it is not compressed with {headers['compression']}, as it says")
        body = decode_as(delivery.body, properties.get("content_type"), properties.get("content_encoding"))
    except Undecodable as error:
        raise Malformed("message.undecodable", f"A message for {delivery.queue} cannot be read: {error}.",
                        next_step="Publish JSON with the content type application/json.") from error
    if not isinstance(body, dict) or "obj" not in body:
        raise Malformed("message.malformed", f"A message for {delivery.queue} has no 'obj'.",
                        next_step='Publish {"obj": the object, its id or its name}.')
    return EventMessage(
        name=original_key(delivery), id=_text(properties.get("message_id")) or None, body=body, obj=body["obj"],
        headers=headers,
        correlation_id=_text(headers.get("nameko.correlation_id") or body.get("correlation_id")
                             or properties.get("correlation_id")),
        causation_id=_text(headers.get("nameko.causation_id") or body.get("causation_id")),
        time=_text(body.get("time") or headers.get("cloudEvents_time")) or None,
        attempt=attempt_of(headers), redelivered=delivery.redelivered)


def named_in(event: EventMessage) -> Mapping[str, Any] | str:
    """The object, id or name that a handled message is about.

    Raises:
        Malformed: ``message.malformed``, it is about nothing of the kind.
    """
    obj = event.obj
    named = obj.get("id") if isinstance(obj, Mapping) else obj
    if isinstance(obj, Mapping) and named is None or isinstance(named, str) and named.strip():
        return obj
    raise Malformed("message.malformed", f"The 'obj' of a message {event.name} is no object, id or name.",
                    next_step='Publish {"obj": the object, its id or its name}.')


def original_key(delivery: Delivery) -> str:
    """The routing key that the message was first published with."""
    return _text(delivery.headers.get(ORIGINAL_KEY)) or delivery.routing_key


def attempt_of(headers: Mapping[str, Any]) -> int:
    """Which attempt this is, from 1; a header that is no number counts as the first."""
    value = headers.get(ATTEMPT)
    return value if isinstance(value, int) and value > 0 else 1


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
