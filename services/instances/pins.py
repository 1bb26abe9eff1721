"""Pins: somebody keeps an instance, says why and until when. A pinned one does not expire and is neither reaped nor destroyed."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.instances import lifetime, repository, rules
from services.instances.models import INSTANCE, render
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import Conflict, Invalid, NotFound
from shared.kernel.rights import check_owner
from shared.kernel.typed import typed
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

FREE = {"pinned": False, "pin": None, "pinned_until": None}


def pin(uses: Uses, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Keep an instance; the same owner's pin again takes the place of the one before.

    Raises:
        Conflict: ``datainstance.pinned``, somebody else keeps it; ``datainstance.request_over``, its request ended and it goes.
        Invalid: ``parameter.invalid``, ``until`` is over.
    """
    until = parameters.get("until")
    if until is not None and until <= clock.stamp():
        detail = f"That time, {until}, is over already."
        raise Invalid("parameter.invalid", detail, next_step="Give a later time, or leave 'until' out.",
                      errors=[{"pointer": "/until", "detail": detail}])
    owner = parameters.get("owner") or uses.context.owner
    check_owner(uses.context, owner, "A pin of that name")
    with uses.db.reading() as connection:
        row = repository.instances.named(connection, parameters["id"], uses.context)
    _check_kept(uses, row)

    def work() -> Row:
        with uses.db.transaction(uses.context) as uow:
            row = repository.instances.named(uow.connection, parameters["id"], uses.context)
            if is_pinned(row) and row["pin"]["owner"] != owner:
                raise refusal(row)
            wanted = {"owner": owner, "reason": parameters.get("reason"), "until": until}
            if is_pinned(row) and {name: row["pin"][name] for name in wanted} == wanted:
                return row
            moved, = uow.change(INSTANCE, [row], {"pinned": True, "pin": {**wanted, "at": clock.stamp()}, "pinned_until": until})
        return moved
    return render(uses.db.retrying(work))


def _check_kept(uses: Uses, row: Mapping[str, Any]) -> None:
    """Refuse to pin what is going with its request right now; one that came back after it stays by itself."""
    try:
        request = uses.itself.call("requests", "plain", request=row["request_id"])
    except NotFound:
        return
    if request["state"] in ("Failed", "Completed") and request["attempt"] == row["attempt"] and not row["alone"]:
        raise Conflict("datainstance.request_over", f"Request '{request['name']}' is {request['state']}, and the instance goes with it.",
                       next_step=f"Ask for the data again, or bring it back: {typed('do datainstance undo', id=row['id'])}")


def unpin(uses: Uses, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """No longer keep an instance; where nobody does, nothing changes."""
    def work() -> Row:
        with uses.db.transaction(uses.context) as uow:
            row = repository.instances.named(uow.connection, parameters["id"], uses.context)
            return _freed(uses, uow, [row])[0] if row["pinned"] else row
    return render(uses.db.retrying(work))


def end_over(uses: Uses) -> int:
    """End the pins whose time is over; returns how many."""
    return lifetime.by_request(uses, repository.pins_over, lambda uow, rows: _freed(uses, uow, rows))


def _freed(uses: Uses, uow: UnitOfWork, rows: Sequence[Row]) -> list[Row]:
    """Without the pin; what would have ended meanwhile gets the time of a warning."""
    lead = uses.config.instances.expiring_s
    least = clock.stamp_in(lead)
    return uow.change(INSTANCE, rows, lambda row: {
        **FREE, **(rules.end_at(least, lead) if row["expires_at"] is not None and row["expires_at"] < least else {})})


def is_pinned(row: Mapping[str, Any]) -> bool:
    """Whether somebody keeps it now; a pin whose time is over holds nothing, though nobody has taken it away yet."""
    return bool(row["pinned"]) and (row["pinned_until"] is None or row["pinned_until"] > clock.stamp())


def refusal(row: Mapping[str, Any]) -> Conflict:
    """``datainstance.pinned``, naming the pin."""
    said = row["pin"]
    until = f" until {said['until']}" if said.get("until") else ""
    why = f": {said['reason']}" if said.get("reason") else ""
    return Conflict("datainstance.pinned", f"Instance '{row['name']}' is pinned by {said['owner']}{until}{why}.",
                    next_step=f"Take the pin away first: {typed('do datainstance unpin', id=row['name'])}", pin=said,
                    instance={"id": row["id"], "name": row["name"]})


def refs_of(uses: Uses, request: str) -> list[dict[str, Any]]:
    """The pinned instances of a request, with their pins; at most 200."""
    with uses.db.reading() as connection:
        return [{"id": row["id"], "name": row["name"], "pin": row["pin"]}
                for row in repository.pinned_of_request(connection, request, 200) if is_pinned(row)]
