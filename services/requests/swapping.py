"""A reference changes place: its data is provisioned anew where it is better, and the reference turns to it in one step.

While the new request is under way, readers of the reference have the old instances, whole; from the moment in which all new
ones are Ready, the new ones. The old stay for ``requests.swap_grace_s``, in which the change can be undone.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.requests import handlers, repository
from services.requests.models import REFERENCE, REQUEST, ref
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import Conflict
from shared.kernel.typed import typed
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

UNDER_WAY, DONE, FAILED, UNDONE, KEPT = "under_way", "done", "failed", "undone", "kept"


def begin(uses: Uses, uow: UnitOfWork, reference: Row) -> Row:
    """Start the request that will take the place of the reference's present one.

    Raises:
        Conflict: ``datareference.nothing_to_swap``, it has no Satisfied request; ``datareference.swap_under_way``.
    """
    swap = reference["swap"] or {}
    if swap.get("state") in (UNDER_WAY, DONE):
        how = "is changing place already" if swap["state"] == UNDER_WAY else f"has changed place, and can be turned back until {swap['until']}"
        raise Conflict("datareference.swap_under_way", f"Reference '{reference['name']}' {how}.",
                       next_step=f"Wait until that is over, or undo it: {typed('do datareference provision', id=reference['name'])} --undo",
                       swap=swap)
    present = uow.get(REQUEST, reference["request_id"]) if reference["request_id"] else None
    if reference["state"] != "Provisioned" or present is None or present["state"] != "Satisfied":
        raise Conflict("datareference.nothing_to_swap", f"Reference '{reference['name']}' has no Ready data that could change place.",
                       next_step=f"Provision it: {typed('do datareference provision', id=reference['name'])}", state=reference["state"])
    row = handlers.request_row(uses, {}, reference, granularity="source")
    handlers.name_request(uow, row, None, reference)
    request, = uow.create(REQUEST, [row], "fulfill")
    moved, = uow.change(REFERENCE, [reference], {"swap": {
        "state": UNDER_WAY, "request": ref(request["id"], request["name"]), "previous": ref(present["id"], present["name"]),
        "at": clock.stamp(), "until": None, "grace_s": uses.config.requests.swap_grace_s}})
    return moved


def settle(uow: UnitOfWork, reference: Row, request: Row, event: str, reason: Mapping[str, Any] | None) -> bool:
    """Let a reference follow the request that is to take the place of its present one; whether this was such a request."""
    swap = reference["swap"] or {}
    if swap.get("state") != UNDER_WAY or swap["request"]["id"] != request["id"]:
        return False
    if event == "failed":
        uow.change(REFERENCE, [reference], {"swap": {**swap, "state": FAILED, "reason": dict(reason or {}), "at": clock.stamp()}})
    elif request["state"] == "Satisfied":
        uow.change(REFERENCE, [reference], {
            "request_id": request["id"], "request_name": request["name"], "better": None,
            "instances": repository.instances_of_family(uow.connection, request["id"]),
            "swap": {**swap, "state": DONE, "at": clock.stamp(), "until": clock.stamp_in(swap["grace_s"])}})
    return True


def undo(uow: UnitOfWork, reference: Row) -> Row:
    """Turn the reference back to what it had before; the newer request ends.

    Raises:
        Conflict: ``datareference.nothing_to_undo``.
    """
    swap = reference["swap"] or {}
    newer = uow.get(REQUEST, swap["request"]["id"]) if swap.get("state") in (UNDER_WAY, DONE) else None
    previous = uow.get(REQUEST, swap["previous"]["id"]) if newer else None
    if newer is None or previous is None or previous["state"] != "Satisfied":
        raise Conflict("datareference.nothing_to_undo", f"Reference '{reference['name']}' has nothing to turn back to.",
                       next_step=f"Look at its swap: {typed('do datareference show', id=reference['name'])}", swap=swap or None)
    moved, = uow.change(REFERENCE, [reference], {
        "request_id": previous["id"], "request_name": previous["name"],
        "instances": repository.instances_of_family(uow.connection, previous["id"]),
        "swap": {**swap, "state": UNDONE, "at": clock.stamp(), "until": None}})
    if newer["state"] == "Satisfied":
        handlers.move_to_completed(uow, newer, "The change of place was undone.")
    elif REQUEST.net.allows(newer["state"], "failed"):
        handlers.move_to_failed(uow, newer, {"code": "cancelled"}, "The change of place was undone.")
    return moved


def sweep(uses: Uses) -> int:
    """Let go of former places whose time for undoing is over; returns how many."""
    with uses.db.reading() as connection:
        over = repository.swaps_over(connection, DONE, clock.stamp())
    for reference_id in over:
        def work(reference_id: str = reference_id) -> None:
            with uses.db.transaction(uses.context) as uow:
                reference = uow.get(REFERENCE, reference_id)
                swap = (reference or {}).get("swap") or {}
                if swap.get("state") != DONE:
                    return
                uow.change(REFERENCE, [reference], {"swap": {**swap, "state": KEPT}})
                previous = uow.get(REQUEST, swap["previous"]["id"])
                if previous and previous["state"] == "Satisfied":
                    handlers.belong_to(uow, previous)
                    handlers.move_to_completed(uow, previous, "Its reference has its data elsewhere now.")
        uses.db.retrying(work)
    return len(over)
