"""What a dead letter says about itself, and how it goes back to the queue that it came from. Stores nothing."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.bus.event import ATTEMPT, ORIGINAL_EXCHANGE, ORIGINAL_KEY, attempt_of
from shared.bus.failures import copy_of
from shared.bus.message import Delivery, Message
from shared.bus.port import Broker
from shared.bus.topology import DEAD_QUEUE, REPLAY, RETRY

REASONS = {
    "rejected": ("message.rejected", "Its consumer refused it."),
    "expired": ("message.expired", "Nobody read it in time."),
    "delivery_limit": ("message.delivery_limit", "The process that handled it ended too often meanwhile."),
    "maxlen": ("message.queue_full", "Its queue was full."),
}
_OURS = ("x-error", "x-error-code", "x-queue", "x-attempts", ATTEMPT, "x-delivery-count")


@dataclass(frozen=True)
class DeadLetter:
    """A message that could not be handled.

    ``queue`` is where it was read, ``event`` its name, ``exchange`` where it was published first; ``code`` and
    ``reason`` say why it is here, after how many ``attempts``. ``body`` and ``headers`` are as they came.
    """

    id: str | None
    queue: str
    event: str
    exchange: str
    code: str
    reason: str
    attempts: int
    body: bytes
    headers: Mapping[str, Any]
    properties: Mapping[str, Any]


def dead_letter_of(delivery: Delivery) -> DeadLetter:
    """What a message of the dead-letter queue says: our handlers' reason, else the broker's."""
    headers = delivery.headers
    deaths = headers.get("x-death")
    # Having waited for another attempt is no death.
    death = next((death for death in (deaths if isinstance(deaths, list) else ()) if isinstance(death, Mapping)
                  and not _text(death.get("queue")).startswith(RETRY)), {})
    keys = death.get("routing-keys")
    # A reason of ours that a broker's came after belongs to an attempt before.
    ours = isinstance(headers.get("x-error-code"), str) and "x-attempts" in headers
    broker_code, broker_reason = REASONS.get(str(death.get("reason")), ("message.dead", "The broker gave no reason."))
    return DeadLetter(
        id=delivery.properties.get("message_id"),
        queue=_text(headers.get("x-queue")) or _text(death.get("queue")) or delivery.routing_key,
        event=_text(headers.get(ORIGINAL_KEY)) or (keys[0] if isinstance(keys, list) and keys else delivery.routing_key),
        exchange=_text(headers.get(ORIGINAL_EXCHANGE)) or _text(death.get("exchange")),
        code=headers["x-error-code"] if ours else broker_code,
        reason=_text(headers.get("x-error")) if ours else broker_reason,
        attempts=headers.get("x-attempts") if isinstance(headers.get("x-attempts"), int) else attempt_of(headers),
        body=delivery.body, headers=headers, properties=delivery.properties)


def replayed(letter: DeadLetter) -> Message:
    """The message to publish so that the handler gets it again, as at the first attempt."""
    headers = {name: value for name, value in letter.headers.items()
               if name not in _OURS and not name.startswith(("x-death", "x-first-death", "x-last-death"))}
    headers |= {ORIGINAL_EXCHANGE: letter.exchange, ORIGINAL_KEY: letter.event}
    delivery = Delivery(letter.queue, REPLAY, letter.queue, letter.body, letter.properties, headers)
    return copy_of(delivery, REPLAY, letter.queue)


def replay(broker: Broker, letter: DeadLetter) -> None:
    """Hand a dead letter to its handler again.

    Raises:
        Unavailable: the broker is away (``bus.unavailable``), or the queue does not exist any more
            (``bus.unroutable``); the letter is where it was.
    """
    broker.publish(replayed(letter), mandatory=True)


def waiting(broker: Broker, limit: int = 100) -> list[DeadLetter]:
    """The dead letters that nobody has taken from their queue yet."""
    return [dead_letter_of(delivery) for delivery in broker.peek(DEAD_QUEUE, limit)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
