"""Giving reservations back: each is rejected with its reason and its claims are released. May be repeated."""
from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from services.reservations import repository, rules
from services.reservations.models import RESERVATION
from shared.hosting.uses import Uses
from shared.storage.record import Row

CHUNK = 2000
Held = tuple[int, str]


def free_all(uses: Uses, request: str, reason: Mapping[str, Any], up_to: int | None = None, keep: Collection[Held] = ()) -> int:
    """Reject what a request still holds and release its claims; returns how many.

    ``up_to`` leaves later attempts alone, ``keep`` (attempt and data) what instances hold that outlive the request.
    """
    freed = 0
    for rows in _pages(uses, request, up_to, repository.HELD):
        def work(rows: list[Row] = rows) -> list[Row]:
            with uses.db.transaction(uses.context) as uow:
                held = [row for row in repository.by_ids(uow.connection, [row["id"] for row in rows])
                        if row["state"] in repository.HELD and (row["attempt"], row["data_id"]) not in keep]
                return uow.move(RESERVATION, held, "free", changes={"reason": dict(reason)})
        freed += len(uses.db.retrying(work))
    if up_to is None and not keep:
        uses.mesh.call("catalog", "release", holder=request)
        return freed
    # Of those that were rejected before, too: an earlier run may have died between the two.
    for rows in _pages(uses, request, up_to, ("Rejected",)):
        release(uses, rows)
    return freed


def _pages(uses: Uses, request: str, up_to: int | None, states: Sequence[str]) -> Iterator[list[Row]]:
    """The reservations of a request in these states (of attempts up to one), a stretch at a time."""
    after = ""
    while True:
        with uses.db.reading() as connection:
            rows = repository.of_request(connection, request, CHUNK, up_to, after, states)
        if rows:
            yield rows
        if len(rows) < CHUNK:
            return
        after = rows[-1]["id"]
        time.sleep(0)


def free_data(uses: Uses, request: str, data: Sequence[str | None], attempt: int) -> None:
    """Reject what earlier attempts of a request hold on these data."""
    gone = set(data)

    def work() -> list[Row]:
        with uses.db.transaction(uses.context) as uow:
            rows = [row for row in repository.of_request(uow.connection, request, 1_000_000, attempt - 1) if row["data_id"] in gone]
            return uow.move(RESERVATION, rows, "free", changes={"reason": {"code": "source_unavailable"}})
    release(uses, uses.db.retrying(work))


def on_gone(uses: Uses, message: Any) -> None:
    """``instances.gone``: what was reserved for instances that are destroyed is given back, but for what an undo took since."""
    fact = message.obj
    gone = {one["id"]: one["version"] for one in fact["gone"]}
    after: list[str] = []
    while True:
        page = uses.mesh.call("instances", "gone_data", gone=gone, after=after, limit=CHUNK)
        alike: dict[tuple[int, int], list[str]] = {}
        for row in page:
            alike.setdefault((row["attempt"], row["version"]), []).append(row["data_id"])
        for (attempt, version), data in alike.items():
            free_held(uses, fact["request"], attempt, data, version)
        if len(page) < CHUNK:
            return
        after = [page[-1]["instance_id"], page[-1]["data_id"]]


def free_held(uses: Uses, request: str, attempt: int, data: Sequence[str], version: int) -> None:
    """Free what an attempt holds on data of an instance that was destroyed in this version; its undo's own stay."""
    for start in range(0, len(data), CHUNK):
        part = data[start:start + CHUNK]
        own = {rules.reservation_id(request, attempt, one, version) for one in part}
        free_rows(uses, lambda connection, part=part, own=own: [
            row for row in repository.on_data(connection, request, attempt, part) if row["id"] not in own])


def free_rows(uses: Uses, find: Callable[[Connection], list[Row]]) -> None:
    """Reject those of the rows found that are held, and release the claims of all of them: an earlier run may have died between."""
    def work() -> list[Row]:
        with uses.db.transaction(uses.context) as uow:
            rows = find(uow.connection)
            uow.move(RESERVATION, [row for row in rows if row["state"] in repository.HELD and not row["standby"]], "free",
                     changes={"reason": {"code": "instance_destroyed"}})
        return rows
    release(uses, uses.db.retrying(work))


def release(uses: Uses, rows: Sequence[Mapping[str, Any]]) -> None:
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
