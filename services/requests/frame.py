"""The one frame in which a plan says what would be and an explanation what is: the same members, in one order. Pure."""
from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

# What is null, or empty, where it cannot be: of a plan nothing is kept, and nothing has happened.
EMPTY: Mapping[str, Any] = {
    "sentence": "", "outcome": None, "refusal": None, "request": None, "permalink": None, "frozen": False, "attempts": [],
    "funnel": None, "members": None, "hints": [], "warnings": [], "counts": None, "cost": None, "cost_parts": None, "bytes": None,
    "capacity": None, "budget": None, "policy": None, "ready_in_s": None, "items": [], "next": None, "total": 0,
    "reservations": None, "instances": None, "timeline": [], "blocked_by": None}
"""The members of every frame. ``why_not`` is one more where it is asked for."""


def framed(**members: Any) -> dict[str, Any]:
    """A whole frame of what is known; for the rest there is what stands in ``EMPTY``."""
    return {**EMPTY, **members}


def refusal_of(row: Mapping[str, Any], waited_for: Container[str]) -> dict[str, Any] | None:
    """Why a request waits or failed, in the shape in which a plan says why it would; None for any other.

    ``waited_for``: the codes of what can be waited for. Whether one that failed of such could have waited is kept with what it ``found``;
    ``can_wait`` is null where it is not, of requests that failed before it was.
    """
    blocked = row["blocked_by"]
    why = blocked or (row["reason"] if row["state"] == "Failed" else None)
    if not why:
        return None
    can_wait = bool(blocked) or ((row["found"] or {}).get("can_wait") if why.get("code") in waited_for else False)
    waits_for = {"object": blocked["object"], "line": None} if blocked and blocked.get("object") else None
    return {"code": why.get("code"), "message": row["message"] or "", "can_wait": can_wait, "waits_for": waits_for}
