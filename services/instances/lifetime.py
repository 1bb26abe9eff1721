"""How long instances live: the end that a lifetime sets, the warning before it, renewal, and what happens at the end.

An instance's time begins when it is Ready. A pinned one does not end, however late it is.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import update

from services.instances import looking, moving, pins, removing, repository, rules
from services.instances.models import INSTANCE, instance_table, render
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import Conflict, Invalid, NotFound
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

CHUNK = 2000
# A use is written down this often at most: many reads of one instance are one use.
USE_EVERY_S = 60


def renew(uses: Uses, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Set the end of an instance later: by its lifetime from now, or ``for`` so long, or ``until`` a time.

    Raises:
        Conflict: ``datainstance.no_end``, it has none that could be later; ``datainstance.not_ready``, its time has not begun.
        Invalid: ``parameter.invalid``, the new end is over or earlier than the one it has.
    """
    def work() -> Row:
        with uses.db.transaction(uses.context) as uow:
            row = repository.instances.named(uow.connection, parameters["id"], uses.context)
            end = _later(row, parameters)
            moved, = uow.change(INSTANCE, [row], {
                **rules.end_at(end, uses.config.instances.expiring_s), "used_at": clock.stamp()})
            removing.tell_counted(uow, row["request_id"])
        return moved
    return render(uses.db.retrying(work))


def _later(row: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    if row["lifetime"] is None and row["expires_at"] is None:
        raise Conflict("datainstance.no_end", f"Instance '{row['name']}' lives until it is destroyed; there is no end to set later.",
                       next_step="Nothing need be done: it stays.")
    if row["expires_at"] is None:
        raise Conflict("datainstance.not_ready", f"Instance '{row['name']}' is {row['state']}; its time begins when it is Ready.",
                       next_step="Renew it then.", state=row["state"])
    now, given = clock.stamp(), parameters.get("until")
    if given is None:
        span = parameters.get("for")
        end = clock.stamp_in(row["lifetime"] if span is None else span)
        # What was renewed for longer before keeps that.
        return max(end, row["expires_at"]) if span is None else _checked(row, end, "/for", now)
    if parameters.get("for") is not None:
        raise _refused("/until", "Either 'for' or 'until' says how long, not both.")
    return _checked(row, given, "/until", now)


def _checked(row: Mapping[str, Any], end: str, pointer: str, now: str) -> str:
    if end <= now:
        raise _refused(pointer, f"That time, {end}, is over already.")
    if end < row["expires_at"]:
        raise _refused(pointer, f"Instance '{row['name']}' lives until {row['expires_at']} already, which is later than {end}.",
                       "Destroy it when it should end sooner.")
    return end


def _refused(pointer: str, detail: str, next_step: str = "Give a time, or a span, that ends later.") -> Invalid:
    return Invalid("parameter.invalid", detail, next_step=next_step, errors=[{"pointer": pointer, "detail": detail}])


def used(uses: Uses, row: Mapping[str, Any]) -> None:
    """Write down that an instance was used just now; nobody is told, and its version stays."""
    if row["used_at"] is None or row["used_at"] < clock.stamp_in(-USE_EVERY_S):
        with uses.db.transaction() as uow:
            uow.connection.execute(update(instance_table).where(instance_table.c.id == row["id"]).values(used_at=clock.stamp()))


# --- what time brings ------------------------------------------------------------------------------------------------

def sweep(uses: Uses) -> dict[str, int]:
    """End the pins and instances whose time is over, and warn of those that end soon. Returns how many of each."""
    with uses.db.reading() as connection:
        if not looking.any_due(connection, clock.stamp()):
            return {"unpinned": 0, "expired": 0, "warned": 0}
    return {"unpinned": pins.end_over(uses), "expired": _end_over(uses), "warned": _warn(uses)}


def _warn(uses: Uses) -> int:
    """Say ``datainstance.expiring`` once of each instance whose end is near."""
    def say(uow: UnitOfWork, rows: Sequence[Row]) -> None:
        for row in uow.change(INSTANCE, rows, {"warn_at": None}):
            uow.announce(INSTANCE, row, "datainstance.expiring")
    return by_request(uses, repository.to_warn, say)


def _end_over(uses: Uses) -> int:
    """Destroy the instances whose lifetime is over; with the last one gone the request is Completed."""
    def end(uow: UnitOfWork, rows: Sequence[Row]) -> None:
        gone = removing.destroy_rows(uow, rows, uses.config.instances.grace_s)
        removing.tell_gone(uow, rows[0]["request_id"], gone, "lifetime_over")
    return by_request(uses, repository.expired, end)


def by_request(uses: Uses, due: Callable[..., list[Row]], work: Callable[[UnitOfWork, Sequence[Row]], None]) -> int:
    """Do ``work`` on the instances that are ``due``, those of one request in one transaction; returns how many.

    What a timer does belongs to the call that set the request going.
    """
    with uses.db.reading() as connection:
        found = due(connection, clock.stamp(), CHUNK)
    requests: dict[str, list[str]] = {}
    for row in found:
        requests.setdefault(row["request_id"], []).append(row["id"])
    for request, ids in requests.items():
        try:
            of = moving.of_the_call(uses, request)
        except NotFound:
            of = uses

        def once(ids: list[str] = ids, of: Uses = of) -> None:
            with uses.db.transaction(of.context) as uow:
                rows = due(uow.connection, clock.stamp(), CHUNK, ids)
                if rows:
                    work(uow, rows)
        uses.db.retrying(once)
    return len(found)
