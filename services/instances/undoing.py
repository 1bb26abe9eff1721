"""Undo: a destroyed instance comes back within its grace time, claims its data again and is verified before it is Ready.

What is about to be taken back is written down first (``undoing``), so that claims made for an undo which died half way are
given back by the sweep. An undo that cannot be made good leaves the instance destroyed, and says why.
"""
from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import case, delete, insert, update
from sqlalchemy.exc import IntegrityError

from services.instances import looking, moving, removing, repository
from services.instances.models import INSTANCE, access_table, render, shown, undoing_table
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import Conflict, DeadlineExceeded, EdgemereError, NotFound, Unavailable
from shared.kernel.typed import typed
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

log = logging.getLogger(__name__)

# An undo of which nothing was heard for so long has died.
DEAD_S = 120
# How long an undo waits for copies that are just leaving their paths.
LEAVING_S = 8.0


def undo(uses: Uses, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Destroyed → Provisioning: its copies come back from the trash, what was left in place is looked at again.

    Raises:
        Conflict: ``datainstance.illegal_move``, it is not destroyed; ``datainstance.grace_over``; ``datainstance.name_taken``;
            ``datainstance.request_over``, its request failed or is gone; ``datainstance.in_progress``.
        NoCapacity: ``source.no_capacity``, the room that it held is taken by now.
        TooMany: ``quota.exceeded``, its owner has as much as he may have.
    """
    with uses.db.reading() as connection:
        row = repository.instances.named(connection, parameters["id"], uses.context, destroyed=True)
    INSTANCE.net.move(row["state"], "undo", INSTANCE.handle(row))
    _check_grace(row)
    request = _request_of(uses, row)
    _left_their_paths(uses, row)
    _begin(uses, row)
    try:
        back = _come_back(uses, row, request["state"] == "Completed")
    except (Unavailable, DeadlineExceeded):
        # Whether it was claimed is not known: the sweep gives back whatever was.
        raise
    except EdgemereError:
        try:
            _give_up(uses, row)
        except EdgemereError as error:
            log.warning("what the undo of %s claimed is given back later: %s", row["id"], error)
        raise
    moving.start(uses, row["request_id"])
    return render(back)


def _check_grace(row: Mapping[str, Any]) -> None:
    if row["undo_until"] is None or row["undo_until"] <= clock.stamp():
        ended = f"its grace time ended at {row['undo_until']}" if row["undo_until"] else "it had no grace time"
        raise Conflict("datainstance.grace_over", f"Instance '{row['name']}' was destroyed at {row['destroyed_at']}, and {ended}.",
                       next_step=f"Ask for its data again; its request says what that was: {typed('do datarequest show', id=row['request_id'])}",
                       undo_until=row["undo_until"])


def _request_of(uses: Uses, row: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        request = uses.itself.call("requests", "plain", request=row["request_id"])
    except NotFound:
        raise _over(row, "was destroyed", f"Ask for its data again. Instance '{row['name']}' cannot come back without its request.") from None
    if request["state"] == "Failed":
        raise _over(row, "has failed", f"Start a new attempt: {typed('do datarequest retry', id=request['name'])}")
    return request


def _over(row: Mapping[str, Any], what: str, next_step: str) -> Conflict:
    return Conflict("datainstance.request_over", f"The request '{row['request_name']}' of instance '{row['name']}' {what}.",
                    next_step=next_step, request={"id": row["request_id"], "name": row["request_name"]})


def _left_their_paths(uses: Uses, row: Mapping[str, Any]) -> None:
    """Wait until the copies of an instance are where they come back from."""
    until = time.monotonic() + LEAVING_S
    while True:
        with uses.db.reading() as connection:
            if not repository.is_leaving(connection, row["id"]):
                return
        removing.clear(uses, row["request_id"])
        if time.monotonic() > until:
            raise Conflict("datainstance.in_progress", f"The copies of instance '{row['name']}' are still being removed.",
                           next_step="Try again in a moment.")
        time.sleep(0.05)


def _begin(uses: Uses, row: Mapping[str, Any]) -> None:
    """Write down that the instance is to come back; refused while somebody else is at it."""
    try:
        with uses.db.transaction() as uow:
            uow.connection.execute(insert(undoing_table).values(
                instance_id=row["id"], request_id=row["request_id"], attempt=row["attempt"], version=row["version"], at=clock.stamp()))
    except IntegrityError:
        raise Conflict("datainstance.in_progress", f"Instance '{row['name']}' is being brought back right now.",
                       next_step="Look at it in a moment.") from None


def _come_back(uses: Uses, row: Row, request_over: bool) -> Row:
    with uses.db.reading() as connection:
        _check_name(connection, row)
        data = repository.data_of(connection, row["id"])
    uses.mesh.call("reservations", "take_back", request=row["request_id"], attempt=row["attempt"], data=data,
                   version=row["version"], instance=row["id"], timeout_s=30)

    def work() -> Row:
        with uses.db.transaction(uses.context) as uow:
            now = uow.get(INSTANCE, row["id"]) or row
            if not _end(uow, row) or now["version"] != row["version"]:
                raise Conflict("datainstance.in_progress", f"Instance '{row['name']}' was changed while it was being brought back.",
                               next_step="Look at it, and decide again.")
            _check_name(uow.connection, row)
            _pending(uow, row["id"])
            moved, = uow.move(INSTANCE, [now], "undo", changes={
                "destroyed_at": None, "undo_until": None, "reason": None, "bytes_done": 0, "undone": True, "alone": request_over,
                "shown": shown(repository.entries_of(uow.connection, row["id"]))})
            removing.tell_counted(uow, row["request_id"])
        return moved
    try:
        return uses.db.retrying(work)
    except IntegrityError:
        raise _name_taken(row) from None


def _check_name(connection: Any, row: Mapping[str, Any]) -> None:
    if repository.name_is_taken(connection, row["owner"], row["name"]):
        raise _name_taken(row)


def _name_taken(row: Mapping[str, Any]) -> Conflict:
    return Conflict("datainstance.name_taken", f"Another instance is called '{row['name']}' by now.",
                    next_step=f"Destroy that one first, if this one should have the name: {typed('do datainstance destroy', attr1=row['name'])}; "
                    f"then undo this one by its id: {typed('do datainstance undo', id=row['id'])}")


def _pending(uow: UnitOfWork, instance: str) -> None:
    """What is in the trash comes back from there (it keeps ``purge_at``); the rest is verified, or copied or mounted anew.

    What was moved lies at its target now, and is left in place there.
    """
    table, mine = access_table, access_table.c.instance_id == instance
    moved = (table.c.action == "move") & (table.c.state == "ended")
    uow.connection.execute(update(table).where(mine, moved).values(
        action="leave", source_id=table.c.target_id, source_path=table.c.target_path, target_id=None, target_path=None, modified_at=None))
    trashed = table.c.state == "trashed"
    uow.connection.execute(update(table).where(mine).values(
        state="pending", tries=0, retry_at=None, error=None, step=None, seen=None, via=None,
        purge_at=case((trashed, table.c.purge_at), else_=None)))


def _end(uow: UnitOfWork, row: Mapping[str, Any]) -> bool:
    """Take the note away; False when it is not there any more."""
    return uow.connection.execute(delete(undoing_table).where(
        undoing_table.c.instance_id == row["id"], undoing_table.c.version == row["version"])).rowcount == 1


def _give_up(uses: Uses, row: Mapping[str, Any]) -> None:
    """Give back what an undo claimed, then take its note away."""
    with uses.db.reading() as connection:
        data = repository.data_of(connection, row["id"])
    uses.mesh.call("reservations", "give_back", request=row["request_id"], attempt=row["attempt"], data=data, version=row["version"],
                   instance=row["id"])
    with uses.db.transaction() as uow:
        _end(uow, row)


def died_before(uses: Uses) -> str:
    """Until when an undo has begun that came to no end."""
    # An embedded mesh is one process: what began before it has died with the one before.
    return max(clock.stamp_in(-DEAD_S), uses.parts["movers"].since if uses.db.is_sqlite else "")


def sweep(uses: Uses) -> int:
    """Give up the undos that died half way; returns how many."""
    with uses.db.reading() as connection:
        dead = looking.undos_before(connection, died_before(uses), 100)
    uses.caught("undos_given_up", len(dead))
    for note in dead:
        log.warning("the undo of %s died half way; what it claimed is given back", note["instance_id"])
        _give_up(uses, {**note, "id": note["instance_id"]})
    return len(dead)


def failed(uow: UnitOfWork, rows: Sequence[Row], reasons: Mapping[str, Mapping[str, Any]], grace_s: float) -> None:
    """Instances that could not be made good are destroyed again inside a transaction, each with its reason."""
    by_request: dict[str, list[Row]] = {}
    for row in removing.destroy_rows(uow, rows, grace_s, reasons):
        by_request.setdefault(row["request_id"], []).append(row)
    for request, gone in by_request.items():
        removing.tell_gone(uow, request, gone)
