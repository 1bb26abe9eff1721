"""What a dead letter says of a request: that a step of it was tried and cannot be taken. Decides; touches no database."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.events import rules
from shared.bus.message import Delivery
from shared.bus.seal import Seal
from shared.contracts.event import EVENTS
from shared.kernel.ids import is_id

KEPT = "deadletter.kept"


def held_up(message: Delivery, row: Mapping[str, Any], seal: Seal) -> dict[str, Any] | None:
    """The body of ``deadletter.kept`` for a dead letter, ``row``: ``{"request", "attempt", "deadletter": {…}}``.

    None for one that is about no request, and for one that the mesh did not say: a stranger's message holds nobody up. Nor does
    ``deadletter.kept`` itself, or one that always fails would go round for ever.
    """
    event = EVENTS.get(row["event"])
    if event is None or event.noun != "datarequest" or event.name == KEPT or not seal.is_on(message):
        return None
    obj = rules.body_of(message).get("obj")
    if not isinstance(obj, Mapping):
        return None
    # A message about a request has the request; a fact among the services names it.
    request = obj.get("request") or obj.get("id")
    if not is_id(request, "datarequest"):
        return None
    return {"request": request, "attempt": obj.get("attempt"),
            "deadletter": {name: row[name] for name in ("id", "event", "queue", "code", "attempts")}}
