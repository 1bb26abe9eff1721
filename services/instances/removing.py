"""The end of instances: a destroyed copy leaves its path at once, and is purged when its grace time is over."""
from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import update

from services.instances import far_mounts, looking, moving, pins, relocating, remounting, repository, undoing
from services.instances.leases import end_lease, lease
from services.instances.models import INSTANCE, access_table
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import EdgemereError
from shared.kernel.ids import new_id
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

log = logging.getLogger(__name__)
CHUNK = 2000
# How long one holder may take to remove a stretch of copies, and how long a second one waits for it.
CLEAR_LEASE_S, CLEAR_WAIT_S = 120, 5.0
# The reasons of a request that was completed because its instances were gone.
BY_ITS_INSTANCES = ("instances_destroyed", "lifetime_over", "reaped")
# How many refs of its instances a request is told.
REFS = 200


def on_ended(uses: Uses, message: Any) -> None:
    """``datarequest.failed`` and ``.completed``: the instances of that attempt and of earlier ones go, but for pinned ones."""
    obj = message.obj
    uses.parts["movers"].cancel(obj["id"])
    if (obj.get("reason") or {}).get("code") in BY_ITS_INSTANCES:
        stand_alone(uses, obj["id"])
        return
    grace = 0.0 if obj["state"] == "Failed" else uses.config.instances.grace_s
    # From here on nobody makes instances of this attempt any more; who is just doing it is waited for.
    with uses.db.transaction(uses.context) as uow:
        repository.claim_making(uow.connection, [(obj["id"], obj["attempt"])])
    remove_attempt(uses, obj["id"], obj["attempt"], grace)


def remove_attempt(uses: Uses, request: str, attempt: int, grace_s: float) -> None:
    """Destroy the live instances of a request, of this attempt and of earlier ones; pinned ones stand alone from now on."""
    def work() -> int:
        with uses.db.transaction(uses.context) as uow:
            rows = repository.live_of_request(uow.connection, request, CHUNK, attempt)
            kept = [row for row in rows if pins.is_pinned(row)]
            uow.change(INSTANCE, kept, {"alone": True})
            destroy_rows(uow, [row for row in rows if not pins.is_pinned(row)], grace_s)
            if kept:
                tell_counted(uow, request)
            return len(rows)
    while True:
        found = uses.db.retrying(work)
        clear(uses, request)
        if found < CHUNK:
            return
        time.sleep(0)


def stand_alone(uses: Uses, request: str) -> None:
    """A request ended because its instances were gone: one that is here came back since, and outlives it."""
    def work() -> None:
        with uses.db.transaction(uses.context) as uow:
            rows = repository.live_of_request(uow.connection, request, CHUNK, repository.ANY_ATTEMPT)
            if rows:
                uow.change(INSTANCE, rows, {"alone": True})
                tell_counted(uow, request)
    uses.db.retrying(work)


def remove_broken(uses: Uses, request: str, data: Sequence[str | None]) -> None:
    """Destroy the broken instances that a new attempt replaces."""
    def work() -> None:
        with uses.db.transaction(uses.context) as uow:
            ids = {row["instance_id"] for row in repository.broken_of_request(uow.connection, request) if row["data_id"] in data}
            destroy_rows(uow, repository.by_ids(uow.connection, ids), 0)
    uses.db.retrying(work)
    clear(uses, request)


def destroy_rows(uow: UnitOfWork, rows: Sequence[Row], grace_s: float,
                 reasons: Mapping[str, Mapping[str, Any]] | None = None) -> list[Row]:
    """Destroy instances inside a transaction, with a reason for some; their copies are marked to leave."""
    if not rows:
        return []
    undo_until = clock.stamp_in(grace_s) if grace_s else None
    gone = uow.destroy(INSTANCE, rows, changes=lambda row: {
        **pins.FREE, "reason": (reasons or {}).get(row["id"]), "alone": False, "undone": False, "warn_at": None, "undo_until": undo_until})
    ids = [row["id"] for row in rows]
    for start in range(0, len(ids), 5000):
        mine = access_table.c.instance_id.in_(ids[start:start + 5000])
        # A copy and a link leave their path; a move that is not over is finished or taken back.
        leaves = access_table.c.action.in_(("copy", "mount")) | ((access_table.c.action == "move") & (access_table.c.state != "ready"))
        uow.connection.execute(update(access_table).where(mine, leaves).values(
            state="leaving", purge_at=clock.stamp_in(grace_s)))
        uow.connection.execute(update(access_table).where(mine, access_table.c.state != "leaving").values(state="ended"))
    return gone


def tell_gone(uow: UnitOfWork, request: str, gone: Sequence[Row], why: str = "instances_destroyed") -> None:
    """Tell that instances of a request went before its end: what was claimed for them is given back, and with the last
    one gone the request is over. ``gone`` names them with the version in which they were destroyed."""
    uow.tell("instances.gone", request, {
        "request": request, "gone": [{"id": row["id"], "version": row["version"]} for row in gone], "why": why,
        "attempt": max((row["attempt"] for row in gone), default=0),
        **_counted(uow, request)})


def tell_counted(uow: UnitOfWork, request: str) -> None:
    """Tell a request how many instances it has, which, and how long they live."""
    uow.tell("instances.counted", request, {"request": request, **_counted(uow, request)})


def _counted(uow: UnitOfWork, request: str) -> dict[str, Any]:
    return {"live": repository.live_count(uow.connection, request), "refs": repository.refs(uow.connection, REFS, request=request),
            "ready": repository.ready_count(uow.connection, request), "expires_at": repository.latest_end(uow.connection, request)}


def clear(uses: Uses, request: str, caught: bool = False) -> None:
    """Take the copies of a request's destroyed instances from their paths; those without grace for good.

    One at a time does it for a request, so that nothing is still on its way to the trash when an undo takes it from there;
    whoever comes second waits for the first.
    """
    until = time.monotonic() + CLEAR_WAIT_S
    while True:
        with uses.db.reading() as connection:
            rows = repository.leaving(connection, CHUNK, request)
        if not rows:
            return
        holder = new_id("operation")
        if not lease(uses, f"removing.{request}", holder, CLEAR_LEASE_S):
            if time.monotonic() > until:
                return
            time.sleep(0.02)
            continue
        uses.caught("removals_finished", int(caught))
        try:
            done = _take_off(uses, rows)
        finally:
            end_lease(uses, f"removing.{request}", holder)
        if len(rows) < CHUNK or not done:
            return


def _take_off(uses: Uses, rows: Sequence[Row]) -> int:
    now = clock.stamp()
    copies = [row for row in rows if row["action"] == "copy"]
    done = _do(uses, "purge", [row for row in copies if row["purge_at"] <= now], {"state": "purged"}, "leaving")
    done += _do(uses, "discard", [row for row in copies if row["purge_at"] > now], {"state": "trashed"}, "leaving")
    done += _do(uses, "unmount", [row for row in rows if row["action"] == "mount"], {"state": "purged"}, "leaving")
    if moves := [row for row in rows if row["action"] == "move"]:
        sources = uses.mesh.call("catalog", "sources", ids=sorted({row[end] for row in moves for end in ("source_id", "target_id")}))
        relocating.abandon(uses, moves, sources)
    return done


def clear_all(uses: Uses) -> None:
    """Take from their paths what whoever destroyed it could not."""
    with uses.db.reading() as connection:
        requests = looking.requests_leaving(connection, 100)
    for request in requests:
        clear(uses, request, caught=True)


def purge_due(uses: Uses) -> int:
    """Remove for good what lies in the trash since longer than its grace time. What is being purged cannot come back."""
    with uses.db.reading() as connection:
        due = looking.to_purge(connection, clock.stamp(), CHUNK)
    with uses.db.transaction() as uow:
        repository.mark(uow.connection, [(row["instance_id"], row["data_id"]) for row in due], {"state": "purging"}, "trashed")
    with uses.db.reading() as connection:
        rows = looking.purging(connection, CHUNK)
    _do(uses, "purge", rows, {"state": "purged"}, "purging")
    return len(rows)


def _do(uses: Uses, op: str, rows: Sequence[Row], done: Mapping[str, Any], was: str) -> int:
    """Have the mover do ``op`` on copies and write down what is done; returns how many are."""
    if not rows:
        return 0
    targets = sorted({row["target_id"] for row in rows if row["target_id"]})
    sources = uses.mesh.call("catalog", "sources", ids=targets) if targets else {}
    known = [row for row in rows if row["target_id"] is None or row["target_id"] in sources]
    results = moving.run(uses, op, known, sources) if known else {}
    keys = []
    for row in rows:
        result = results.get(f"{row['instance_id']}:{row['data_id']}")
        # Where the target itself is gone from the catalogue there is nothing left to do.
        if row not in known or (result is not None and result["ok"]):
            keys.append((row["instance_id"], row["data_id"]))
        elif result is not None:
            log.warning("%s of %s failed: %s", op, row["target_path"], result["error"])
    with uses.db.transaction() as uow:
        repository.mark(uow.connection, keys, done, was)
    return len(keys)


def sweep(uses: Uses) -> None:
    """Finish what was begun: pending bytes, copies that must leave, trash that is due, and what is mounted by FUSE."""
    for work in (*_begun(uses), far_mounts.tend):
        try:
            work(uses)
        except EdgemereError as error:
            log.warning("the sweep of %s failed: %s", work.__name__, error)


def _begun(uses: Uses) -> list[Callable[[Uses], Any]]:
    """What there is to go on with."""
    try:
        with uses.db.reading() as connection:
            begun = looking.begun(connection, clock.stamp(), undoing.died_before(uses))
    except EdgemereError as error:
        log.warning("the sweep does not see what was begun: %s", error)
        return []
    works = ((begun.restored, remounting.after_restore), (begun.pending, moving.resume), (begun.leaving, clear_all), (begun.trash, purge_due),
             (begun.undos, undoing.sweep))
    return [work for is_there, work in works if is_there]
