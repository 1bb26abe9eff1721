"""Giving reservations back: each is rejected with its reason and its claims are released. May be repeated."""
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from services.reservations import repository, rules
from services.reservations.models import RESERVATION
from shared.hosting.uses import Uses
from shared.storage.record import Row

CHUNK = 2000


def free_all(uses: Uses, request: str, reason: Mapping[str, Any], up_to: int | None = None) -> int:
    """Reject what a request still holds (of attempts up to ``up_to``) and release its claims; returns how many."""
    freed = 0
    while True:
        def work() -> list[Row]:
            with uses.db.transaction(uses.context) as uow:
                rows = repository.held(uow.connection, request, CHUNK, up_to)
                return uow.move(RESERVATION, rows, "free", changes={"reason": dict(reason)})
        moved = uses.db.retrying(work)
        freed += len(moved)
        if up_to is not None:
            release(uses, moved)
        if len(moved) < CHUNK:
            break
        time.sleep(0)
    if up_to is None:
        uses.mesh.call("catalog", "release", holder=request)
    return freed


def free_data(uses: Uses, request: str, data: Sequence[str | None], attempt: int) -> None:
    """Reject what earlier attempts of a request hold on these data."""
    gone = set(data)

    def work() -> list[Row]:
        with uses.db.transaction(uses.context) as uow:
            rows = [row for row in repository.held(uow.connection, request, 1_000_000, attempt - 1) if row["data_id"] in gone]
            return uow.move(RESERVATION, rows, "free", changes={"reason": {"code": "source_unavailable"}})
    release(uses, uses.db.retrying(work))


def on_gone(uses: Uses, message: Any) -> None:
    """``instances.gone``: what was reserved for instances that are destroyed, and were not taken back, is given back."""
    fact = message.obj
    gone = {one["id"]: one["version"] for one in fact["gone"]}
    after: list[str] = []
    while True:
        page = uses.mesh.call("instances", "gone_data", gone=gone, after=after, limit=CHUNK)
        free_reservations(uses, [rules.reservation_id(fact["request"], row["attempt"], row["data_id"]) for row in page])
        if len(page) < CHUNK:
            return
        after = [page[-1]["instance_id"], page[-1]["data_id"]]


def free_reservations(uses: Uses, ids: Sequence[str]) -> None:
    """Reject those of these reservations that are held, and release the claims of all of them: the first run may have died between."""
    def work() -> list[Row]:
        with uses.db.transaction(uses.context) as uow:
            rows = repository.by_ids(uow.connection, ids)
            uow.move(RESERVATION, [row for row in rows if row["state"] in repository.HELD], "free",
                     changes={"reason": {"code": "instance_destroyed"}})
        return rows
    release(uses, uses.db.retrying(work))


def release(uses: Uses, rows: Sequence[Row]) -> None:
    """Release the claims of these reservations."""
    if rows:
        uses.mesh.call("catalog", "release", ids=[f"{row['id']}.{kind}" for row in rows for kind in "rb"])


def destroy_all(uses: Uses, request: str) -> None:
    """Destroy the reservations of a destroyed request, each with its message."""
    while True:
        with uses.db.transaction(uses.context) as uow:
            rows = repository.alive(uow.connection, request, CHUNK)
            uow.destroy(RESERVATION, rows)
        if len(rows) < CHUNK:
            return
        time.sleep(0)
