"""The plain answer to "why": what the query found, what was decided, and each step with what caused it.

An answer is a frame that can be kept: it names its version, and ``at`` gives the same frame again whatever comes later.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.requests import attempts, hints, repository, rules, turns, waiting
from services.requests.frame import framed, refusal_of
from services.requests.models import render_request
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import EdgemereError, Unavailable
from shared.storage.record import Row

ADDRESS = "/edgemere/diml/dml/do/datarequest/explain"
# A service that stands still leaves its part out, so that the rest is told soon.
PART_S = 3.0


def explain(uses: Uses, parameters: dict[str, Any]) -> dict[str, Any]:
    """The frame of a request, with the members of ``frame.EMPTY``. Complete as far as the services answer; what is missing is a warning.

    Raises:
        NotFound: ``datarequest.not_found``; ``explanation.not_found``, no such version; of ``reservation`` or ``why_not``, it is not there.
    """
    with uses.db.reading() as connection:
        newest = repository.requests.named(connection, parameters["id"], uses.context, destroyed=True)
        history = repository.history_of(connection, newest["id"])
    row, until, ended = attempts.as_of(newest, history, parameters.get("at"), parameters.get("attempt"))
    if until is None:
        row = waiting.as_it_waits(uses, row)
    blocked, found = row["blocked_by"], row["found"] or {}
    warnings = [*(found.get("warnings") or []), *(row["warnings"] or [])]
    asked = {"attempt": row["attempt"], "reservation": parameters.get("reservation"), "after": parameters.get("cursor") or "",
             "limit": parameters["limit"], "owner": row["owner"]}
    reservations = _part(uses, "reservations", row, warnings, **asked)
    instances = _part(uses, "instances", row, warnings)
    timeline = [_step(row, step) for step in history]
    timeline += [*reservations.pop("timeline", []), *instances.pop("timeline", [])]
    timeline = [step for step in timeline if until is None or step["time"] < until]
    name_causes(uses, timeline)
    # Instances that are gone since are none of an earlier version's.
    instances = instances if until is None else {}
    decided = reservations.pop("frame", {})
    # What is left, and how long it still takes, is true for the moment: a frame that stays has neither.
    decided |= {"budget": None, "ready_in_s": None} if ended else {"ready_in_s": _ready_in_s(row)}
    return framed(
        sentence=sentence(row, found), outcome=row["state"], refusal=refusal_of(row, waiting.WAYS), request=render_request(row),
        permalink=f"{ADDRESS}?id={row['id']}&at={row['version']}", frozen=ended, attempts=_attempts(newest), funnel=found.get("funnel"),
        # Of a group what the query of each member found; `funnel` is that of the one that failed.
        members=found.get("members"), hints=hints.with_commands(found, row), warnings=warnings,
        **decided, reservations=reservations, instances=instances,
        timeline=sorted(timeline, key=lambda step: step["time"]), blocked_by=blocked,
        **({"why_not": _why_not(uses, row, parameters["why_not"])} if parameters.get("why_not") else {}))


def _ready_in_s(row: Row) -> float | None:
    """About how long it still takes until a request that is under way is ready; None where nobody can tell, as when that time is over."""
    if row["state"] not in repository.OPEN or not row["expected_at"]:
        return None
    left = round((clock.parse_time(row["expected_at"]) - clock.utc_now()).total_seconds(), 3)
    return left if left > 0 else None


def _why_not(uses: Uses, row: Row, data: str) -> dict[str, Any]:
    return uses.mesh.call("reservations", "why_not", request=row["id"], data=data, query=row["query"], attempt=row["attempt"])


def _attempts(row: Row) -> list[dict[str, Any]]:
    """Every attempt with how it stands or ended, and where its frame is."""
    return [{"attempt": one["attempt"], "state": one["state"], "reason": one["reason"], "version": one["version"],
             "permalink": f"{ADDRESS}?id={row['id']}&at={one['version']}"} for one in (*(row["attempts"] or []), row)]


def _part(uses: Uses, service: str, row: Row, warnings: list[dict[str, Any]], **asked: Any) -> dict[str, Any]:
    try:
        if turns.waits_for(row, service):
            raise Unavailable(turns.AWAY, row["message"])
        return uses.mesh.call(service, "explain_part", timeout_s=PART_S, request=row["id"], **asked)
    except EdgemereError as error:
        if error.status == 404 and asked.get("reservation"):
            raise
        warnings.append({"code": error.code, "detail": f"The service {service} does not answer; its part is missing."})
        return {}


def name_causes(uses: Uses, timeline: list[dict[str, Any]]) -> None:
    """Turn the causes of steps, ids of messages, into refs; a name is null where the log does not tell it (yet)."""
    ids = list({step["cause"] for step in timeline if step["cause"]})
    try:
        names = uses.mesh.call("events", "named", timeout_s=PART_S, ids=ids) if ids else {}
    except EdgemereError:
        names = {}
    for step in timeline:
        step["cause"] = {"id": step["cause"], "name": names.get(step["cause"])} if step["cause"] else None


def _step(row: Row, step: Row) -> dict[str, Any]:
    return {"time": step["at"], "object": {"id": row["id"], "name": row["name"]}, "class": "datarequest",
            "event": step["event"], "from": step["from_state"], "to": step["to_state"], "detail": step["detail"],
            "count": 1, "cause": step["causation_id"] or None}


def sentence(row: Row, found: Mapping[str, Any]) -> str:
    """Where the request stands and why, in one sentence."""
    name, state = f"Request '{row['name']}'", row["state"]
    if row["blocked_by"] or state == "Failed":
        verb = "waits" if row["blocked_by"] else "failed"
        reason = row["blocked_by"] or row["reason"] or {}
        lost = rules.losing_clause(found.get("funnel")) if reason.get("code") == "no_match" else None
        member = f" for member '{reason['member']}'" if reason.get("member") else ""
        why = f"nothing matches{member}: the clause {lost} leaves none" if lost else (row["message"] or "").rstrip(".")
        return f"{name} {verb} because {why[:1].lower() + why[1:]}." if why else f"{name} {verb}."
    return f"{name} is {state}. {row['message'] or ''}".strip()
