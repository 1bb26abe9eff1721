"""The plain answer to "why": what the query found, what was decided, and each step with what caused it."""
from __future__ import annotations

from typing import Any

from services.requests import repository, rules
from services.requests.models import render_request
from shared.hosting.uses import Uses
from shared.kernel.errors import EdgemereError
from shared.storage.record import Row


def explain(uses: Uses, parameters: dict[str, Any]) -> dict[str, Any]:
    """The frame of a request: sentence, funnel, decisions, timeline. Complete as far as the services answer."""
    with uses.db.reading() as connection:
        row = repository.requests.resolve(connection, parameters["id"], uses.context.owner, destroyed=True)
        history = repository.history_of(connection, row["id"])
    found = row["found"] or {}
    warnings = list(found.get("warnings") or [])
    reservations = _part(uses, "reservations", row, warnings)
    instances = _part(uses, "instances", row, warnings)
    timeline = [_step(row, step) for step in history]
    timeline += [*reservations.pop("timeline", []), *instances.pop("timeline", [])]
    name_causes(uses, timeline)
    return {
        "request": render_request(row), "sentence": sentence(row, found), "funnel": found.get("funnel"),
        "warnings": warnings, "reservations": reservations, "instances": instances,
        "timeline": sorted(timeline, key=lambda step: step["time"]), "blocked_by": row["blocked_by"],
    }


def _part(uses: Uses, service: str, row: Row, warnings: list[dict[str, Any]]) -> dict[str, Any]:
    try:
        return uses.mesh.call(service, "explain_part", request=row["id"])
    except EdgemereError as error:
        warnings.append({"code": error.code, "detail": f"The service {service} does not answer; its part is missing."})
        return {}


def name_causes(uses: Uses, timeline: list[dict[str, Any]]) -> None:
    """Turn the causes of steps, ids of messages, into refs; a name is null where the log does not tell it (yet)."""
    ids = list({step["cause"] for step in timeline if step["cause"]})
    try:
        names = uses.mesh.call("events", "named", ids=ids) if ids else {}
    except EdgemereError:
        names = {}
    for step in timeline:
        step["cause"] = {"id": step["cause"], "name": names.get(step["cause"])} if step["cause"] else None


def _step(row: Row, step: Row) -> dict[str, Any]:
    return {"time": step["at"], "object": {"id": row["id"], "name": row["name"]}, "class": "datarequest",
            "event": step["event"], "from": step["from_state"], "to": step["to_state"], "detail": step["detail"],
            "count": 1, "cause": step["causation_id"] or None}


def sentence(row: Row, found: dict[str, Any]) -> str:
    """Where the request stands and why, in one sentence."""
    name, state = f"Request '{row['name']}'", row["state"]
    if row["blocked_by"] or state == "Failed":
        verb = "waits" if row["blocked_by"] else "failed"
        code = (row["blocked_by"] or row["reason"] or {}).get("code")
        lost = rules.losing_clause(found.get("funnel")) if code == "no_match" else None
        why = f"nothing matches: the clause {lost} leaves none" if lost else (row["message"] or "").rstrip(".")
        return f"{name} {verb} because {why[:1].lower() + why[1:]}."
    return f"{name} is {state}. {row['message'] or ''}".strip()
