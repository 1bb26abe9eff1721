"""What a request would do, said before it is made: the same checks and the same steps as ``create``, with no write at all."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.requests import handlers, hints, locks, quota, references, repository, rules
from services.requests.frame import framed
from services.requests.models import render_request, request_table
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import Malformed, located
from shared.storage.record import Row

CALL_S = 60


def plan(uses: Uses, parameters: dict[str, Any]) -> dict[str, Any]:
    """The frame of ``frame.EMPTY``, of what would be: with what ``plan_part`` of the reservations says.

    ``outcome`` is the state in which the request would end: Satisfied (when its bytes arrive as they should), Needed where it
    would wait, Failed, or Init where it would not be fulfilled.

    Raises:
        as ``create`` does: what cannot be asked is refused, not planned.
    """
    after, limit = _page(parameters)
    row = _row(uses, {name: value for name, value in parameters.items() if name not in ("cursor", "limit")})
    part = uses.mesh.call("reservations", "plan_part", request=handlers.plain_of(row), after=after, limit=limit, timeout_s=CALL_S)
    found, refusal = part.pop("found"), part["refusal"]
    outcome = "Init" if not parameters["fulfill"] else "Satisfied" if refusal is None else \
        "Needed" if row["wait"] and refusal["can_wait"] else "Failed"
    last = after + len(part["items"])
    return framed(
        sentence=sentence(row, part, outcome), outcome=outcome, request=shown(row, parameters.get("name")), funnel=found.get("funnel"),
        members=found.get("members"), hints=hints.with_commands(found, row),
        warnings=[*(found.get("warnings") or []), *(row["warnings"] or [])],
        next=str(last) if last < part["total"] else None, **part)


def _page(parameters: Mapping[str, Any]) -> tuple[int, int]:
    cursor = parameters.get("cursor") or "0"
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 9:
        raise Malformed("cursor.invalid", f"'{cursor}' is no cursor of a plan.", next_step="Take the `next` of the page before.",
                        errors=[{"pointer": "/cursor", "detail": "Not a cursor of this list."}])
    return int(cursor), parameters["limit"]


def _row(uses: Uses, parameters: dict[str, Any]) -> Row:
    """The row that ``create`` would insert."""
    rules.said_twice(parameters)
    locked = locks.read(uses, parameters.get("lock"))
    with uses.db.reading() as connection:
        with located("/data_reference"):
            reference = references.meant(uses, connection, parameters.get("data_reference"))
        row = handlers.request_row(uses, parameters, reference, locked=locked)
        name = parameters.get("name")
        if name and repository.name_is_taken(connection, request_table, row["owner"], name):
            raise handlers.name_taken(name)
        quota.judged(uses, lambda owner: repository.open_of(connection, owner))
    handlers.check_target(uses, row)
    now = clock.stamp()
    return {**{column.name: None for column in request_table.c}, "version": 1, "created_at": now, "updated_at": now, "state": "Needed",
            "name": name or "datarequest", "ename": name or "datarequest", **row}


def shown(row: Row, name: str | None) -> dict[str, Any]:
    """What was asked, with every default filled in; what only a request that exists has is null."""
    made = ("id", "version", "created_at", "updated_at", "reservations", "instances", "message", "reason", "blocked_by", "state", "cost",
            "expires_at", "attempt")
    named = rules.names_of(name, row["reference_name"]) if name else {"name": None, "ename": None}
    return {**{key: None if key in made else value for key, value in render_request(row).items()}, **named}


def sentence(row: Row, part: Mapping[str, Any], outcome: str) -> str:
    """What would happen, in one sentence."""
    refusal, counts = part["refusal"], part["counts"]
    if refusal:
        verb = "wait" if outcome == "Needed" else "fail"
        message = refusal["message"].rstrip(".")
        return f"It would {verb} because {message[:1].lower() + message[1:]}."
    words = {"leave": "left in place", "mount": "mounted", "copy": "copied", "move": "moved"}
    done = ", ".join(f"{count} {words.get(action, action)}" for action, count in sorted(counts["by_action"].items()))
    others = [f"{counts[status]} {text}" for status, text in (
        ("standby", "standing by"), ("rejected", "rejected by policy"), ("left_out", "not taken")) if counts[status]]
    beside = f" ({'; '.join(others)})" if others else ""
    chosen = counts["chosen"]
    return f"{chosen} Data would be used: {done}{beside}; the cost is {part['cost']:g}."
