"""Steps of several requests in one transaction: what most requests do, told of many at once.

Whatever is out of the ordinary with one of them is left to ``steps``, one at a time; so is everything where a transaction fails.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.requests import handlers, promises, repository, steps
from services.requests.models import REQUEST
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import Conflict
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

PAST = ("Evaluated", "Satisfied")
EVENTS = {"Needed": ("selected", "evaluated"), "Selected": ("evaluated",)}


def advance(uses: Uses, told: Sequence[Mapping[str, Any]], show: bool = False) -> list[dict[str, Any] | None]:
    """Take requests to Evaluated whose reservations are made and decided; both messages of each are said.

    ``told``: for each ``{"request", "attempt", "reservations", "refs", "found", "confirmed", "cost", "ready_in_s", "cause":
    {"correlation_id", "causation_id", "traceparent"}}``. Answers None for each that is Evaluated, or past it, now; for another, which ended or
    began anew meanwhile, the error ``datarequest.not_needed``. With ``show`` the answer for each is ``{"refusal": that, "shown": the
    request as ``show`` has it, or None}``.
    """
    def work() -> list[dict[str, Any] | None]:
        with uses.db.transaction(uses.context) as uow:
            rows = repository.locked(uow, [step["request"] for step in told])
            answers, due = [], {}
            for step in told:
                row = rows.get(step["request"])
                refusal = _refusal(step, row)
                answers.append(refusal and refusal.payload())
                if refusal is None and row["state"] not in PAST:
                    due[row["id"]] = step
                    uow.causes[row["id"]] = uses.context.having(**step["cause"])
            for state, events in EVENTS.items():
                moved = _evaluated(uow, [row for row in rows.values() if row["id"] in due and row["state"] == state], events, due)
                rows |= {row["id"]: row for row in moved}
        now.update(rows)
        return answers
    now: dict[str, Row] = {}
    answers = uses.db.retrying(work)
    if not show:
        return answers
    return [{"refusal": refusal, "shown": handlers.shown(uses, now[step["request"]]) if refusal is None else None}
            for step, refusal in zip(told, answers, strict=True)]


def refused(uses: Uses, told: Sequence[Mapping[str, Any]]) -> None:
    """Fail requests of which a step cannot be taken and that may not wait.

    ``told``: for each ``{"request", "attempt", "code", "message", "found", "cause", "can_wait"}``. Of one that ended or began anew meanwhile, or may
    wait after all, nothing happens.
    """
    by_id = {one["request"]: {**one, "can_wait": one.get("can_wait")} for one in told}

    def work() -> None:
        with uses.db.transaction(uses.context) as uow:
            due: dict[str, list[Row]] = {}
            for row in repository.locked(uow, list(by_id)).values():
                one = by_id[row["id"]]
                if row["attempt"] == one["attempt"] and row["state"] in repository.OPEN and not row["destroyed_at"] and not row["wait"]:
                    due.setdefault(one["code"], []).append(row)
                    uow.causes[row["id"]] = uses.context.having(**one["cause"])
            for code, rows in due.items():
                handlers.move_all_to_failed(uow, rows, {"code": code}, by_id)
    uses.db.retrying(work)


def _refusal(step: Mapping[str, Any], row: Row | None) -> Conflict | None:
    if row and row["attempt"] == step["attempt"] and not row["destroyed_at"] and row["state"] in (*EVENTS, *PAST):
        return None
    now = f"{row['state']}, attempt {row['attempt']}" if row else "gone"
    return Conflict("datarequest.not_needed", f"Request {step['request']} is no longer Needed in attempt {step['attempt']} ({now}).")


def _evaluated(uow: UnitOfWork, rows: Sequence[Row], events: Sequence[str], told: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    changes, warned = {}, set()
    for row in rows:
        step = told[row["id"]]
        expected, warn = promises.judged(row, clock.stamp_in(step["ready_in_s"]))
        changes[row["id"]] = {
            **steps.selected_columns(step["reservations"], step["refs"], step["found"]),
            **steps.evaluated_columns(step["confirmed"], 0, step["cost"]), "warnings": row["warnings"], **expected,
            "blocked_by": None, "next_retry_at": None, "announced_at": clock.stamp()}
        warned |= {row["id"]} if warn else set()
    moved = uow.move(REQUEST, rows, *events, changes=lambda row: changes[row["id"]])
    for row in moved:
        promises.tell(uow, row, row["id"] in warned)
    return moved


def on_settled(uses: Uses, messages: Sequence[Any]) -> list[Any]:
    """``instances.settled``, several at once: the requests whose instances are all Ready become Satisfied; the others are given back."""
    if len(messages) == 1:
        steps.on_settled(uses.caused_by(messages[0]), messages[0])
        return []
    facts = {message.obj["request"]: message for message in messages}

    def work() -> set[str]:
        with uses.db.transaction(uses.context) as uow:
            rows = repository.locked(uow, list(facts))
            ready = [row for row in rows.values() if _is_ready(row, facts[row["id"]])]
            for row in ready:
                uow.causes[row["id"]] = uses.context.having(**facts[row["id"]].context)
            uow.move(REQUEST, ready, "satisfied", changes=lambda row: steps.satisfied_columns(row, facts[row["id"]].obj))
            return {facts[row["id"]].id for row in ready}
    done = uses.db.retrying(work)
    return [message for message in messages if message.id not in done]


def _is_ready(row: Row, message: Any) -> bool:
    """Whether a message says of a request what it says of most, and nothing else follows from it. The second time nothing does: an attempt
    is Evaluated once."""
    fact = message.obj
    return (row["state"] == "Evaluated" and row["attempt"] == fact["attempt"] and not row["destroyed_at"] and not fact["broken"]
            and not row["reference_id"] and bool(message.id))
