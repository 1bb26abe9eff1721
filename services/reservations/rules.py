"""Which candidates are reserved, and what is done with each. Decides; reads and writes nothing."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.reservations.policy.cost import cost_of
from services.reservations.policy.rules_file import Policies
from shared.kernel.ids import derived_id


@dataclass(frozen=True)
class Decision:
    """What is done with one reserved data. ``action`` is ``leave``, ``copy`` or ``reject``; ``target`` a source name."""

    action: str
    target: str | None
    rule: str
    because: str


def choose(candidates: Sequence[Mapping[str, Any]], select: Mapping[str, Any], sources: Mapping[str, Any],
           weights: Mapping[str, float]) -> list[Mapping[str, Any]]:
    """The candidates that a request takes: all, the first, or the cheapest ``count`` (ties by id)."""
    mode = select.get("mode", "all")
    if mode == "all" and "count" not in select:
        return list(candidates)
    if mode == "best":
        def figure(data: Mapping[str, Any]) -> tuple[float, str]:
            source = sources.get(data["source"]["id"], {})
            return cost_of("leave", data.get("size"), source, None, None, weights)[0], data["id"]
        candidates = sorted(candidates, key=figure)
    return list(candidates[:select.get("count", 1 if mode in ("first", "best") else len(candidates))])


def reservation_id(request: str, attempt: int, data: str) -> str:
    """The id of the reservation that an attempt of a request makes of a data: the same however often the step is repeated."""
    return derived_id("datareservation", request, attempt, data)


def reservation_row(request: Mapping[str, Any], data: Mapping[str, Any], source: Mapping[str, Any],
                    weights: Mapping[str, float]) -> dict[str, Any]:
    """The row of the reservation that a request's attempt makes of a data; its id is always the same."""
    cost, parts = cost_of("leave", data.get("size"), source, None, request.get("lifetime"), weights)
    return {
        "id": reservation_id(request["id"], request["attempt"], data["id"]),
        "owner": request["owner"], "name": data["name"], "request_id": request["id"], "request_name": request["name"],
        "attempt": request["attempt"], "data_id": data["id"], "source_id": data["source"]["id"],
        "source_name": data["source"]["name"], "cost": cost, "cost_parts": parts, "standby": False, "snapshot": dict(data),
    }


def reader_claims(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The claims of reservations on their sources: one reader each."""
    return [{"id": f"{row['id']}.r", "source": row["source_id"], "kind": "readers", "amount": 1, "data": row["data_id"]}
            for row in rows]


def byte_claim(row: Mapping[str, Any], target_id: str) -> dict[str, Any]:
    """The claim of a copy on its target: its bytes."""
    return {"id": f"{row['id']}.b", "source": target_id, "kind": "bytes", "data": row["data_id"],
            "amount": row["snapshot"].get("size") or 0}


def decide(policies: Policies, request: Mapping[str, Any], data: Mapping[str, Any], source: Mapping[str, Any],
           target: Mapping[str, Any] | None, default_target: str | None) -> Decision:
    """The first rule that applies decides; else the requester's wish; else the data is left where it is."""
    view = {
        # A rule may say data.owner for the tag as well as data.tags.owner.
        "data": {**(data.get("tags") or {}), **data}, "source": source, "target": target or {}, "request": request,
    }
    for rule in policies.rules:
        if rule.applies(view):
            where = rule.target or request.get("target") or default_target
            return _in_place(Decision(rule.action, where if rule.action == "copy" else None, rule.name, rule.because), source)
    wish = request.get("action")
    if wish == "copy":
        return _in_place(Decision("copy", request.get("target") or default_target, "request", "The request asks for a copy."), source)
    return Decision("leave", None, "request" if wish else "default",
                    "The request asks for it." if wish else "No rule applies, and data is left where it is by default.")


def _in_place(decision: Decision, source: Mapping[str, Any]) -> Decision:
    if decision.action == "copy" and decision.target in (source.get("id"), source.get("name")):
        return Decision("leave", None, decision.rule, "The data is at the target already.")
    return decision


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
