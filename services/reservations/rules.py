"""Which candidates are reserved, with which rows and claims, and what replaces one that broke. Reads and writes nothing.

What is done with each is decided in ``policy.deciding``.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.reservations.policy.deciding import Decided
from services.reservations.policy.selecting import Refusal
from shared.kernel.ids import derived_id


def reserved(decided: Sequence[Decided], select: Mapping[str, Any], refusal: Refusal | None) -> list[bool]:
    """Which of the decided candidates get a reservation: what is chosen, what stands by, and what the policies refuse.

    A request that takes only some of what matches leaves refused ones out, unless they are why it gets too few.
    """
    chooses = "count" in select or select.get("mode", "all") != "all"
    left = select.get("count", 1) if chooses else len(decided)
    if chooses and not (refusal and refusal.code == "rejected_by_policy"):
        left = 0
    taken = []
    for one in decided:
        keep = one.status in ("chosen", "standby")
        if one.status == "rejected" and left > 0:
            left, keep = left - 1, True
        taken.append(keep)
    return taken


def reservation_id(request: str, attempt: int, data: str, undone: int | None = None) -> str:
    """The id of the reservation that an attempt of a request makes of a data: the same however often the step is repeated.

    ``undone`` is the version in which an instance was destroyed that an undo brings back, for which it is reserved anew.
    """
    return derived_id("datareservation", request, attempt, data, *(() if undone is None else ("undone", undone)))


def parts_of(request: Mapping[str, Any]) -> dict[str | None, Mapping[str, Any]]:
    """The parts of a request that query and select for themselves, by name: each member of a group, else the request, by None.

    What heals takes what replaces the broken ones, and selects nothing anew: it is one part.
    """
    group = request.get("group")
    if not group or request.get("missing"):
        return {None: request}
    found = (request.get("found") or {}).get("members") or {}
    return {name: {**request, "query": member["query"], "select": member.get("select") or request.get("select") or {},
                   "found": found.get(name)} for name, member in group.items()}


def reservation_row(request: Mapping[str, Any], data: Mapping[str, Any], decided: Decided, claim_ends: str | None) -> dict[str, Any]:
    """The row of the reservation that a request's attempt makes of a data; its id is always the same.

    ``claim_ends``: when its claim on the source ends. What stands by, or will be refused, claims nothing.
    """
    return {
        "id": reservation_id(request["id"], request["attempt"], data["id"]),
        "owner": request["owner"], "name": data["name"], "request_id": request["id"], "request_name": request["name"],
        "attempt": request["attempt"], "data_id": data["id"], "source_id": data["source"]["id"],
        "source_name": data["source"]["name"], "cost": decided.cost, "cost_parts": decided.parts,
        "standby": decided.status == "standby", "snapshot": dict(data),
        "expires_at": claim_ends if decided.status == "chosen" else None,
    }


def reader_claims(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The claims of reservations on their sources, of those that have any."""
    return [reader_claim(row["id"], row["source_id"], row["data_id"]) for row in rows if row["expires_at"]]


def reader_claim(reservation: str, source: str, data: str) -> dict[str, Any]:
    """The claim of a reservation on its source: one reader."""
    return {"id": f"{reservation}.r", "source": source, "kind": "readers", "amount": 1, "data": data}


def byte_claim(reservation: str, target: str, data: str, size: int | None) -> dict[str, Any]:
    """The claim of a copy on its target: its bytes."""
    return {"id": f"{reservation}.b", "source": target, "kind": "bytes", "data": data, "amount": size or 0}


def stand_in(missing: Mapping[str, Any], free: Sequence[Mapping[str, Any]], select: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The candidate that takes the place of a data that broke, or None.

    The same data if it is back, else the same bytes elsewhere. A request that takes only some of what matches takes
    the next of it: any match was good enough for it.
    """
    for data in free:
        if data["id"] == missing.get("data"):
            return data
    for data in free:
        if missing.get("checksum") and data.get("checksum") == missing["checksum"]:
            return data
    chooses = "count" in select or select.get("mode", "all") != "all"
    return free[0] if chooses and free else None
