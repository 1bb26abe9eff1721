"""What was decided about a request, in the members in which a plan says what would be. Pure."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.reservations.policy.cost import PARTS
from shared.storage.record import Row

STATUSES = ("chosen", "standby", "rejected", "left_out")
# What became of a reservation that is Rejected, by the code of its reason; any other was chosen, used and given back.
_STATUS_OF = {"rejected_by_policy": "rejected", "not_selected": "left_out", "not_needed": "standby"}


def empty_counts() -> dict[str, Any]:
    """How many candidates there are, by what is decided about them."""
    return {"candidates": 0, **dict.fromkeys(STATUSES, 0), "by_action": {}, "by_rule": {}}


def was_decided(sums: Sequence[Any], budget: Mapping[str, Any] | None, page: Sequence[tuple[Row, Mapping[str, Any]]]) -> dict[str, Any]:
    """``{"counts", "cost", "cost_parts", "bytes", "capacity", "budget", "policy", "items"}`` of one attempt.

    ``sums``: as ``repository.sums``. ``budget``: as ``budget.look``, and what was ``wanted``. ``page``: reservations, each as a row
    and as an object with its whole decision. ``capacity`` is null: what was free at that moment is kept nowhere.
    """
    counts, cost, parts, size, moved = empty_counts(), 0.0, dict.fromkeys(PARTS, 0.0), 0, 0
    for one in sums:
        status = status_of(one.standby, one.code)
        counts["candidates"] += one.n
        counts[status] += one.n
        add(counts["by_rule"], one.rule, one.n)
        if status != "chosen":
            continue
        add(counts["by_action"], one.action, one.n)
        cost, size = cost + (one.cost or 0.0), size + int(one.size or 0)
        moved += int(one.size or 0) if one.action in ("copy", "move") else 0
        for name in PARTS:
            parts[name] += getattr(one, name) or 0.0
    return {
        "counts": counts, "cost": round(cost, 9), "cost_parts": {name: round(value, 9) for name, value in parts.items()},
        "bytes": {"used": size, "moved": moved}, "capacity": None, "budget": budget,
        "policy": next(((row["decision"] or {}).get("policy") for row, _ in page if row["decision"]), None),
        "items": [_item(row, shown) for row, shown in page]}


def add(sums: dict[str, int], name: str | None, count: int) -> None:
    sums[name or "undecided"] = sums.get(name or "undecided", 0) + count


def status_of(standby: bool, code: str | None) -> str:
    """What was decided about a reservation, in the words of a plan."""
    return "standby" if standby else _STATUS_OF.get(code or "", "chosen")


def _item(row: Row, shown: Mapping[str, Any]) -> dict[str, Any]:
    reason, snapshot = row["reason"] or {}, row["snapshot"]
    return {
        "data": shown["data"], "path": snapshot.get("path"), "size": snapshot.get("size"), "source": shown["source"],
        "status": status_of(row["standby"], reason.get("code")), "action": row["action"], "target": shown["target"], "cost": row["cost"],
        "cost_parts": row["cost_parts"], "rule": row["rule"],
        "because": reason.get("because") or (shown["decision"] or {}).get("because") or "", "decision": shown["decision"],
        "reservation": {"id": row["id"], "name": row["name"], "state": row["state"]}}
