"""Whose turn it is with a request that is under way and waits for nothing else: a service that is away, or not well, is named.

Asked only about what takes long, and about each service once a second, so that a request that goes on costs nothing.
"""
from __future__ import annotations

import time
from typing import Any

from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import EdgemereError
from shared.storage.record import Row

AWAY = "service_unavailable"
# Who takes the step that is due, and whom that one asks. Of the first of them that is away a request says that it waits for it.
TAKERS = {"Needed": ("reservations", "catalog"), "Selected": ("reservations", "catalog"), "Evaluated": ("instances", "catalog")}
# A step that takes no longer is not asked about.
PATIENCE_S = 1.5
ASK_S = 1.0
KEPT_S = 1.0


class Health:
    """What is wrong with a service, as it answers itself; each answer holds for a moment. For several threads."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, str | None]] = {}

    def fault(self, uses: Uses, service: str) -> str | None:
        """Why it cannot take a step, in a sentence; None where it can. Told within ``ASK_S``."""
        until, fault = self._seen.get(service, (0.0, None))
        if time.monotonic() >= until:
            fault = _asked(uses, service)
            self._seen[service] = (time.monotonic() + KEPT_S, fault)
        return fault


def _asked(uses: Uses, service: str) -> str | None:
    try:
        health = uses.itself.call(service, "health", timeout_s=ASK_S)
    except EdgemereError as error:
        return f"The service '{service}' does not answer." if error.status == 504 else error.detail
    return None if health["ok"] else f"The service '{service}' is not well: {health.get('detail')}"


def held_up(uses: Uses, row: Row) -> tuple[str, str] | None:
    """``(service, why)`` of the service that keeps an open request from its next step; None while all that it needs are there."""
    takers = TAKERS.get(row["state"], ())
    if not takers or row["destroyed_at"] or row["updated_at"] > clock.stamp_in(-PATIENCE_S):
        return None
    health: Any = uses.parts["health"]
    return next(((service, fault) for service in takers if (fault := health.fault(uses, service))), None)


def waits_for(row: Row, service: str) -> bool:
    """Whether a request as ``waiting.as_it_waits`` has it waits for this service to come back."""
    blocked = row["blocked_by"] or {}
    return blocked.get("code") == AWAY and blocked["object"]["name"] == service
