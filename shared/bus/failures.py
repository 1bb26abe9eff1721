"""What becomes of a message whose handler failed: another attempt later, or the dead-letter queue. Publishes nothing."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.bus.event import ATTEMPT, ORIGINAL_EXCHANGE, ORIGINAL_KEY, attempt_of, original_key
from shared.bus.message import Delivery, Message
from shared.bus.topology import DEAD_LETTERS, later_name
from shared.kernel.errors import DeadlineExceeded, EdgemereError, Unavailable
from shared.kernel.secrets import without_secrets

ERROR_CHARS = 500
# Somebody else's outage is no fault of the message: it is tried for as long as one may last, at the longest pause.
AWAY = (Unavailable, DeadlineExceeded)
PATIENT_ATTEMPTS = 120


def is_permanent(error: BaseException, retry_on: tuple[type[BaseException], ...] = ()) -> bool:
    """Whether another attempt cannot help; an error that nobody foresaw may pass."""
    return isinstance(error, EdgemereError) and not error.retryable and not isinstance(error, retry_on)


def after_failure(delivery: Delivery, error: BaseException, delays_s: Sequence[float],
                  retry_on: tuple[type[BaseException], ...] = ()) -> Message:
    """The message to publish, before the failed one is acked."""
    attempt = attempt_of(delivery.headers)
    if is_permanent(error, retry_on) or attempt > (PATIENT_ATTEMPTS if isinstance(error, AWAY) else len(delays_s)):
        return dead_letter(delivery, error)
    return later(delivery, error, delays_s[min(attempt, len(delays_s)) - 1])


def later(delivery: Delivery, error: BaseException, delay_s: float) -> Message:
    """The message, to come back to its queue after ``delay_s``."""
    return copy_of(delivery, later_name(delay_s), delivery.queue,
                   **_about(delivery, error), **{ATTEMPT: attempt_of(delivery.headers) + 1})


def dead_letter(delivery: Delivery, error: BaseException) -> Message:
    """The message, for the dead-letter queue, with its reason."""
    return copy_of(delivery, DEAD_LETTERS, delivery.queue,
                   **_about(delivery, error), **{"x-attempts": attempt_of(delivery.headers)})


def copy_of(delivery: Delivery, exchange: str, routing_key: str, **headers: Any) -> Message:
    """The same body and properties at another address, with further headers."""
    properties = delivery.properties
    return Message(
        exchange, routing_key, delivery.body, id=properties.get("message_id"), headers={**delivery.headers, **headers},
        content_type=properties.get("content_type"), content_encoding=properties.get("content_encoding"),
        correlation_id=properties.get("correlation_id"))


def _about(delivery: Delivery, error: BaseException) -> dict[str, Any]:
    headers = delivery.headers
    return {
        # What nobody foresaw may have anything in its text.
        "x-error": without_secrets(f"{type(error).__name__}: {error}")[:ERROR_CHARS].encode("utf-8", "replace").decode(),
        "x-error-code": error.code if isinstance(error, EdgemereError) else "internal",
        "x-queue": delivery.queue,
        ORIGINAL_EXCHANGE: headers.get(ORIGINAL_EXCHANGE, delivery.exchange),
        ORIGINAL_KEY: original_key(delivery),
    }
