"""How far a request has come, told by the services that took the step. Every step may be told twice."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.requests import attempts, handlers, promises, repository, rules, waiting
from services.requests.models import REFS_KEPT, REQUEST, render_request
from shared.contracts.instances import REFUSED_DATA
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import Conflict
from shared.kernel.typed import typed
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

FAILING = "handler_failing"
Refs = Sequence[Mapping[str, Any]]
# What is said of a request whose instances are gone, and of one that lost some of them, by why they went.
GONE = {"instances_destroyed": "Its last instance was destroyed.", "lifetime_over": "Its lifetime is over.",
        "reaped": "Its last instance was reaped: the room at its target was needed."}
# What an instance broke by, where that is a reason of the request by itself.
FAILED_BY = {"checksum_mismatch": "checksum_mismatch",
             **dict.fromkeys(REFUSED_DATA, "data_refused")}
OTHERS = {"instances_destroyed": "The others were destroyed by their user.", "lifetime_over": "The lifetime of the others is over.",
          "reaped": "The others were reaped: the room at their target was needed."}
# Whose dead letters hold up a request in a state; of another queue it may fail and the request goes on.
TAKEN_BY = {"Needed": ("reservations.datarequest.needed",), "Selected": ("reservations.datarequest.selected",),
            "Evaluated": ("instances.datarequest.evaluated", "requests.instances.settled", "requests.instances.gone")}
AFTER = {"Needed": ("Selected", "Evaluated", "Satisfied"), "Selected": ("Evaluated", "Satisfied"),
         "Evaluated": ("Satisfied",)}


def _step(uses: Uses, request: str, attempt: int, state: str, event: str, changes: Mapping[str, Any],
          ready_in_s: float | None = None) -> dict[str, Any]:
    """Move a request that is in ``state`` of this attempt; unchanged when it is past that already.

    ``ready_in_s`` is about when it will be ready; where that is too late its user is told.

    Raises:
        Conflict: ``datarequest.not_needed``, it ended or began anew meanwhile.
    """
    def work() -> Row:
        with uses.db.transaction(uses.context) as uow:
            row = uow.get(REQUEST, request)
            if row and row["attempt"] == attempt and row["state"] in AFTER[state]:
                return row
            if row is None or row["destroyed_at"] or row["attempt"] != attempt or row["state"] != state:
                now = f"{row['state']}, attempt {row['attempt']}" if row else "gone"
                raise Conflict("datarequest.not_needed", f"Request {request} is no longer {state} in attempt {attempt} ({now}).")
            expected, warn = promises.judged(row, None if ready_in_s is None else clock.stamp_in(ready_in_s))
            moved, = uow.move(REQUEST, [row], event, changes={
                **changes, **expected, "blocked_by": None, "next_retry_at": None, "announced_at": clock.stamp()})
            promises.tell(uow, moved, warn)
        return moved
    return render_request(uses.db.retrying(work))


def selected(uses: Uses, request: str, attempt: int, reservations: int, refs: Refs, found: Mapping[str, Any]) -> dict[str, Any]:
    """The catalogue was asked and the reservations are made."""
    return _step(uses, request, attempt, "Needed", "selected", {
        **selected_columns(reservations, refs, found), "message": f"{reservations} Data reserved."})


def selected_columns(reservations: int, refs: Refs, found: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a request whose reservations are made."""
    return {"reservations": reservations, "reservation_refs": list(refs)[:REFS_KEPT], "found": dict(found)}


def evaluated(uses: Uses, request: str, attempt: int, confirmed: int, rejected: int, cost: float,
              ready_in_s: float | None = None) -> dict[str, Any]:
    """The policies were asked and every reservation is confirmed or rejected."""
    return _step(uses, request, attempt, "Selected", "evaluated", evaluated_columns(confirmed, rejected, cost), ready_in_s)


def evaluated_columns(confirmed: int, rejected: int, cost: float) -> dict[str, Any]:
    """The columns of a request about whose reservations is decided."""
    message = f"{confirmed} Data confirmed" + (f", {rejected} rejected by policy." if rejected else ".")
    return {"cost": cost, "message": message}


def failed(uses: Uses, request: str, attempt: int, reason: Mapping[str, Any], message: str,
           found: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A step cannot be taken and the request may not wait."""
    return handlers.fail(uses, request, reason, message or rules.sentence_of(reason), attempt, found, can_wait=False)


def blocked(uses: Uses, request: str, attempt: int, code: str, message: str, found: Mapping[str, Any] | None = None,
            waits_for: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A step cannot be taken now; the request waits and says for what, or fails when it may not wait.

    ``waits_for`` is ``{"object": {"class", "id", "name", "kind"}, "line": {"position", "ahead": [request], "estimate_s"}}``.
    """
    with uses.db.reading() as connection:
        before = repository.row_of(connection, request)
    may_wait = bool(before and before["wait"])
    why = waiting.described(uses, before, code, waits_for, found) if may_wait else {}

    def work() -> Row:
        with uses.db.transaction(uses.context) as uow:
            row = uow.get(REQUEST, request)
            if row is None or row["attempt"] != attempt or row["state"] not in repository.OPEN:
                return row
            if not row["wait"]:
                member = (waits_for or {}).get("member")
                return handlers.move_to_failed(uow, row, {"code": code, **({"member": member} if member else {})}, message,
                                               found, can_wait=True)
            return _wait(uses, uow, row, code, message, found, why)
    row = uses.db.retrying(work)
    return render_request(row) if row else {}


def _wait(uses: Uses, uow: UnitOfWork, row: Row, code: str, message: str, found: Mapping[str, Any] | None,
          why: Mapping[str, Any]) -> Row:
    before = row["blocked_by"] or {}
    again = before.get("code") == code and waiting.is_same(before.get("object"), why.get("object"))
    retries = before.get("retries", 0) + 1 if again else 0
    # What failed at each of the bus's own attempts is announced again no sooner than what nobody heard.
    due = clock.stamp_in(uses.config.requests.quiet_s if code == FAILING else rules.backoff(retries, uses.config.requests.wait_retry_s))
    # What was expected so far holds as long as the line cannot say it better.
    expected, late = promises.judged(row, why.get("estimate") or row["expected_at"])
    blocked_by = {"code": code, "object": why.get("object"), "since": before["since"] if again else clock.stamp(),
                  "next_retry_at": due, "retries": retries, **why}
    moved, = uow.change(REQUEST, [row], {
        **expected, "blocked_by": blocked_by, "message": message, "next_retry_at": due, **({"found": dict(found)} if found else {})})
    if not again or late:
        uow.announce(REQUEST, moved, "datarequest.waiting")
    return moved


def on_dead_letter(uses: Uses, message: Any) -> None:
    """A step of a request failed at every attempt: where the request is still at it, it waits for that to be mended."""
    fact, letter = message.obj, message.obj["deadletter"]
    with uses.db.reading() as connection:
        before = repository.row_of(connection, fact["request"])
    if before is None or not _is_held_up(before, fact):
        return
    taker = letter["queue"].partition(".")[0]
    why = waiting.described(uses, before, FAILING, {"object": {
        "class": "deadletter", "id": letter["id"], "name": letter["event"], "kind": letter["queue"]}}, None)
    text = (f"The service {taker} failed at each of {letter['attempts']} attempts to handle {letter['event']} ({letter['code']}); it is tried "
            "again by itself, and the dead letter says what went wrong.")

    def work() -> None:
        with uses.db.transaction(uses.context) as uow:
            row = uow.get(REQUEST, fact["request"])
            if uow.first_time("requests.step_died", message.id) and row is not None and _is_held_up(row, fact):
                _wait(uses, uow, row, FAILING, text, None, why)
    uses.db.retrying(work)


def _is_held_up(row: Row, fact: Mapping[str, Any]) -> bool:
    return (not row["destroyed_at"] and fact["deadletter"]["queue"] in TAKEN_BY.get(row["state"], ())
            and fact["attempt"] in (None, row["attempt"]))


def on_settled(uses: Uses, message: Any) -> None:
    """The instances of an attempt are all Ready, or one is Broken. Most requests go together, see ``together.on_settled``.

    What follows ends the attempt, or that it is under way: the second time nothing follows.
    """
    fact = message.obj

    def work() -> None:
        with uses.db.transaction(uses.context) as uow:
            row = uow.get(REQUEST, fact["request"])
            if row is None or row["destroyed_at"] or row["attempt"] != fact["attempt"]:
                return
            if fact["broken"]:
                _broken(uses, uow, row, fact)
            elif row["state"] == "Evaluated":
                _satisfied(uow, row, fact)
    uses.db.retrying(work)


def _satisfied(uow: UnitOfWork, row: Row, fact: Mapping[str, Any]) -> None:
    moved, = uow.move(REQUEST, [row], "satisfied", changes=satisfied_columns(row, fact))
    handlers.settle_reference(uow, moved, "provisioned")


def satisfied_columns(row: Row, fact: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a request whose instances are all Ready."""
    simulated = fact.get("simulated", 0)
    note = f" {simulated} of them simulated: they have no bytes." if simulated else ""
    return {
        "instances": fact["live"], "instance_refs": fact["refs"][:REFS_KEPT], "missing": None, "reason": None,
        "message": f"{rules.ready_sentence(fact['live'])}{note}",
        "expires_at": clock.stamp_in(row["lifetime"]) if row["lifetime"] is not None else None,
        "blocked_by": None, "next_retry_at": None, "warnings": row["warnings"], **promises.at_the_end(row)}


def _broken(uses: Uses, uow: UnitOfWork, row: Row, fact: Mapping[str, Any]) -> None:
    first = fact["broken"][0]
    if row["state"] == "Satisfied":
        uow.move(REQUEST, [row], "degraded", detail=first["reason"], changes={
            "attempt": row["attempt"] + 1, "attempts": attempts.kept(row), "missing": fact["broken"], "announced_at": clock.stamp(),
            "message": f"Instance '{first['instance']}' broke: {first['reason'].get('detail', '')} It is being healed.",
            "deadline": rules.deadline_of(None, row["wait"], uses.config.requests),
            "instances": fact["live"], "instance_refs": fact["refs"][:REFS_KEPT]})
    elif row["state"] == "Evaluated":
        reason = first["reason"]
        code = FAILED_BY.get(reason.get("code"), "provision_failed")
        handlers.move_to_failed(
            uow, row, {"code": code, "instance": first["instance"], "cause": reason},
            f"Instance '{first['instance']}' could not be made: {reason.get('detail') or reason.get('code')} {reason.get('next_step') or ''}".strip())


def on_gone(uses: Uses, message: Any) -> None:
    """Instances were destroyed before the end of their request: with the last one gone it is over, too."""
    fact = message.obj

    def work() -> None:
        with uses.db.transaction(uses.context) as uow:
            if not uow.first_time("requests.gone", message.id):
                return
            row = uow.get(REQUEST, fact["request"])
            if row is None or row["destroyed_at"]:
                return
            if row["state"] == "Satisfied" and fact["live"] == 0:
                handlers.move_to_completed(uow, row, GONE[fact["why"]], {"code": fact["why"]})
            elif row["state"] == "Evaluated" and fact["live"] == 0 and fact.get("attempt") == row["attempt"]:
                # None is left that could become ready: nothing would ever say that it is over.
                handlers.move_to_failed(uow, row, {"code": "cancelled", "why": fact["why"]}, f"{GONE[fact['why']]} None was ready by then; "
                                        f"ask again: {typed('do datarequest retry', id=row['name'])}")
            else:
                _count(uow, row, fact, f"{rules.ready_sentence(fact['ready'], fact['live'] - fact['ready'])} {OTHERS[fact['why']]}")
    uses.db.retrying(work)


def on_counted(uses: Uses, message: Any) -> None:
    """A request has more instances than before, or they live longer."""
    fact = message.obj

    def work() -> None:
        with uses.db.transaction(uses.context) as uow:
            row = uow.get(REQUEST, fact["request"])
            if uow.first_time("requests.counted", message.id) and row is not None and not row["destroyed_at"]:
                _count(uow, row, fact, rules.ready_sentence(fact["ready"], fact["live"] - fact["ready"]))
    uses.db.retrying(work)


def _count(uow: UnitOfWork, row: Row, fact: Mapping[str, Any], message: str) -> None:
    """Write what is told of the instances of a request that is not under way; one that is hears it at its end."""
    if row["state"] == "Satisfied":
        changes = {"expires_at": fact["expires_at"], "message": message}
    elif row["state"] in ("Completed", "Failed"):
        # What outlives its request is still found by it.
        changes = {}
    else:
        return
    changes |= {"instances": fact["live"], "instance_refs": fact["refs"][:REFS_KEPT] or None}
    if all(row[name] == value for name, value in changes.items()):
        return
    moved, = uow.change(REQUEST, [row], changes)
    handlers.settle_reference(uow, moved, "provisioned")


def on_freed(uses: Uses, message: Any) -> None:
    """Room came free: those whose turn it is look again now. Or data appeared: all who wait for some do."""
    fact = message.obj
    if fact.get("why") == "released":
        announce(uses, fact.get("wake") or [])
        return
    with uses.db.reading() as connection:
        ids = repository.waiting(connection, 500, but_not_for=tuple(waiting.KEPT_BY))
    announce(uses, ids)


def announce(uses: Uses, ids: Sequence[str]) -> None:
    """Say the state of open requests once more, so that the step that is due is taken."""
    for request in ids:
        with uses.db.transaction(uses.context) as uow:
            row = uow.get(REQUEST, request)
            if row is None or row["state"] not in repository.OPEN or row["destroyed_at"]:
                continue
            handlers.belong_to(uow, row)
            moved = {**row, "announced_at": clock.stamp()}
            # Neither version nor history: nothing about the request has changed.
            uow.connection.execute(REQUEST.table.update().where(REQUEST.table.c.id == request).values(
                announced_at=moved["announced_at"], next_retry_at=None))
            uow.announce(REQUEST, moved, f"datarequest.{row['state'].lower()}")


def sweep(uses: Uses) -> dict[str, int]:
    """End what is over, look again at what waits, and repeat what was not heard. Returns how many of each."""
    now = clock.stamp()
    quiet = clock.stamp_in(-uses.config.requests.quiet_s)
    with uses.db.reading() as connection:
        late = repository.past_deadline(connection, now, 200)
        due = repository.due_again(connection, now, quiet, 200)
    for request in late:
        try:
            handlers.fail(uses, request, {"code": "deadline_passed"}, "The deadline passed before the data was ready.")
        except Conflict:
            continue
    uses.caught("announced_again", sum(quiet for request, quiet in due.items() if request not in late))
    announce(uses, [request for request in due if request not in late])
    return {"deadlines": len(late), "announced": len(due), "warned": promises.sweep(uses)}


