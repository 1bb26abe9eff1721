"""The queries of the service, each with a name and a sentence."""
from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, exists, func, or_, select, text

from services.requests.models import METADATA, REFERENCE, REQUEST, arrival_table, reference_table, request_table
from shared.lists import Lister
from shared.storage.record import Row
from shared.storage.statements import among, rows_in
from shared.storage.unit_of_work import UnitOfWork

requests = Lister(REQUEST, {
    "data_reference": (request_table.c.reference_id, request_table.c.reference_name),
    "parent": (request_table.c.parent_id, request_table.c.parent_name),
})
references = Lister(REFERENCE, {
    "request": (reference_table.c.request_id, reference_table.c.request_name),
})

OPEN = ("Needed", "Selected", "Evaluated")


def count_open(uow: UnitOfWork, owner: str) -> int:
    """How many requests of an owner have not ended; nobody else adds one of his until this transaction is over."""
    if uow.connection.dialect.name == "postgresql":
        uow.connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:owner, 1))"), {"owner": owner})
    return open_of(uow.connection, owner)


def open_of(connection: Connection, owner: str) -> int:
    """How many requests of an owner have not ended."""
    table = request_table
    return connection.execute(select(func.count()).select_from(table).where(
        table.c.owner == owner, table.c.state.in_(("Init", *OPEN, "Satisfied")), table.c.destroyed_at.is_(None))).scalar_one()


def row_of(connection: Connection, request: str) -> Row | None:
    """A request by its id, whatever its state."""
    found = connection.execute(select(request_table).where(request_table.c.id == request)).mappings().first()
    return dict(found) if found else None


def rows_of(connection: Connection, requests_: Sequence[str]) -> dict[str, Row]:
    """Requests by their ids, whatever their state."""
    return {row["id"]: row for row in rows_in(connection.execute(_rows_of(), {"ids": requests_}))}


@functools.cache
def _rows_of() -> Any:
    return select(request_table).where(among(request_table.c.id, "ids"))


def locked(uow: UnitOfWork, requests_: Sequence[str]) -> dict[str, Row]:
    """The same, locked in the order of their ids, so that no two callers wait for each other."""
    return {row["id"]: row for row in rows_in(uow.connection.execute(_locked(), {"ids": set(requests_)}))}


@functools.cache
def _locked() -> Any:
    return _rows_of().order_by(request_table.c.id).with_for_update()


def standing(connection: Connection) -> list[Row]:
    """The requests that stand and are alive: ``id, query``."""
    table = request_table
    return [dict(row) for row in connection.execute(select(table.c.id, table.c.query).where(
        table.c.standing.is_(True), table.c.state.in_((*OPEN, "Satisfied")), table.c.parent_id.is_(None),
        table.c.destroyed_at.is_(None))).mappings()]


def children(connection: Connection, request: str) -> list[str]:
    """The further requests of a standing one that hold anything."""
    table = request_table
    return list(connection.execute(select(table.c.id).where(
        table.c.parent_id == request, table.c.state.in_((*OPEN, "Satisfied")), table.c.destroyed_at.is_(None))
        .order_by(table.c.id)).scalars())


def living_children(connection: Connection, request: str) -> list[Row]:
    """The further requests of a standing one that have not ended, whole."""
    table = request_table
    return [dict(row) for row in connection.execute(select(table).where(
        table.c.parent_id == request, table.c.state.in_(("Init", *OPEN, "Satisfied")), table.c.destroyed_at.is_(None))
        .with_for_update()).mappings()]


def any_open(connection: Connection, requests_: Sequence[str]) -> bool:
    """Whether any of these is under way."""
    table = request_table
    return connection.execute(select(table.c.id).where(
        table.c.id.in_(list(requests_)), table.c.state.in_(OPEN)).limit(1)).first() is not None


def instances_of_family(connection: Connection, request: str) -> int:
    """How many live instances a request and the further ones made for it have."""
    table = request_table
    return connection.execute(select(func.coalesce(func.sum(table.c.instances), 0)).where(
        or_(table.c.id == request, table.c.parent_id == request), table.c.destroyed_at.is_(None))).scalar_one()


def swaps_over(connection: Connection, state: str, now: str) -> list[str]:
    """References whose change of place can be undone no more."""
    return [row.id for row in connection.execute(_swaps()) if row.swap["state"] == state and row.swap["until"] < now]


@functools.cache
def _swaps() -> Any:
    table = reference_table
    return select(table.c.id, table.c.swap).where(table.c.swap.is_not(None), table.c.destroyed_at.is_(None))


@functools.cache
def _arrived() -> Any:
    table = arrival_table
    return select(table.c.request_id).group_by(table.c.request_id).having(
        (func.max(table.c.at) < bindparam("quiet")) | (func.min(table.c.at) < bindparam("latest"))).limit(100)


def arrived(connection: Connection, quiet_since: str, at_latest: str) -> list[str]:
    """The standing requests for which data has come, and none since ``quiet_since``; or the first before ``at_latest``."""
    return list(connection.execute(_arrived(), {"quiet": quiet_since, "latest": at_latest}).scalars())


def next_number(uow: UnitOfWork, owner: str, noun: str) -> int:
    """The next number for an unnamed object; a number is given once."""
    return next_numbers(uow, {owner: 1}, noun)[owner]


def next_numbers(uow: UnitOfWork, wanted: Mapping[str, int], noun: str) -> dict[str, int]:
    """For each owner the first of so many numbers for unnamed objects; in one order everywhere, so that nobody waits in a circle."""
    # The driver's own statement: what SQLAlchemy makes of it takes longer than counting does.
    mark = "%s" if uow.connection.dialect.name == "postgresql" else "?"
    statement = (f"INSERT INTO counter (name, used) VALUES ({mark}, {mark}) "
                 "ON CONFLICT (name) DO UPDATE SET used = counter.used + excluded.used RETURNING used")
    return {owner: uow.connection.exec_driver_sql(statement, (f"{owner}|{noun}", count)).scalar_one() - count + 1
            for owner, count in sorted(wanted.items())}


def name_is_taken(connection: Connection, table: Any, owner: str, name: str) -> bool:
    """Whether a live object of this owner has the name."""
    return connection.execute(
        select(table.c.id).where(table.c.owner == owner, table.c.name == name, table.c.destroyed_at.is_(None))
    ).first() is not None


def live_reference(connection: Connection, owner: str, name: str) -> Row | None:
    """The living reference of this name."""
    found = connection.execute(select(reference_table).where(
        reference_table.c.owner == owner, reference_table.c.name == name,
        reference_table.c.destroyed_at.is_(None))).mappings().first()
    return dict(found) if found else None


def live_instances_of_reference(connection: Connection, reference_id: str) -> int:
    """How many live instances the requests of a reference have."""
    table = request_table
    return connection.execute(select(func.coalesce(func.sum(table.c.instances), 0)).where(
        table.c.reference_id == reference_id, table.c.destroyed_at.is_(None))).scalar_one()


class Due(NamedTuple):
    """Whether there is anything to do for open requests, for standing ones, and for references that changed their place."""

    open: bool
    standing: bool
    swaps: bool


@functools.cache
def _due() -> Any:
    table, now = request_table, bindparam("now")
    open_still = table.c.state.in_(OPEN) & or_(
        table.c.next_retry_at < now, table.c.next_retry_at.is_(None) & (table.c.announced_at < bindparam("quiet_since")),
        table.c.needed_by.is_not(None) & (func.coalesce(table.c.expected_at, table.c.needed_by) < now))
    return select(
        exists().where(table.c.state.in_(("Init", *OPEN)), table.c.destroyed_at.is_(None), or_(table.c.deadline < now, open_still)),
        exists().where(arrival_table.c.at.is_not(None)),
        exists().where(reference_table.c.swap.is_not(None), reference_table.c.destroyed_at.is_(None)))


def due(connection: Connection, now: str, quiet_since: str) -> Due:
    """Whether ``past_deadline``, ``due_again`` or ``overdue`` would find anything, ``arrived`` might, or ``swaps_over``, in one look: almost
    always it is nothing."""
    return Due(*map(bool, connection.execute(_due(), {"now": now, "quiet_since": quiet_since}).one()))


def past_deadline(connection: Connection, now: str, limit: int) -> list[str]:
    """Open requests whose deadline is over."""
    table = request_table
    return list(connection.execute(
        select(table.c.id).where(table.c.state.in_(("Init", *OPEN)), table.c.deadline < now,
                                 table.c.destroyed_at.is_(None)).limit(limit)).scalars())


def due_again(connection: Connection, now: str, quiet_since: str, limit: int) -> dict[str, bool]:
    """Open requests that wait and are due, or of which nothing was heard for too long (True)."""
    table = request_table
    return {row.id: row.next_retry_at is None for row in connection.execute(
        select(table.c.id, table.c.next_retry_at).where(
            table.c.state.in_(OPEN), table.c.destroyed_at.is_(None),
            or_(table.c.next_retry_at < now,
                (table.c.next_retry_at.is_(None)) & (table.c.announced_at < quiet_since)),
        ).limit(limit))}


def waiting(connection: Connection, limit: int, but_not_for: Sequence[str] = ()) -> list[str]:
    """Open requests that wait for something to change, those that came first ahead."""
    table = request_table
    return [row.id for row in connection.execute(
        select(table.c.id, table.c.blocked_by).where(
            table.c.next_retry_at.is_not(None), table.c.state.in_(OPEN), table.c.destroyed_at.is_(None))
        .order_by(table.c.id).limit(limit)) if (row.blocked_by or {}).get("code") not in but_not_for]


def own_by_ids(connection: Connection, owner: str, ids: Sequence[str], limit: int) -> list[Row]:
    """The living requests of an owner among these: ``id, name, state``."""
    table = request_table
    return [dict(row) for row in connection.execute(
        select(table.c.id, table.c.name, table.c.state).where(
            table.c.id.in_(list(ids)), table.c.owner == owner, table.c.destroyed_at.is_(None))
        .order_by(table.c.id).limit(limit)).mappings()]


def names_of_own(connection: Connection, owner: str, ids: Sequence[str]) -> list[dict[str, str]]:
    """The refs of an owner's requests among these, in their order."""
    names = {row["id"]: row["name"] for row in own_by_ids(connection, owner, ids, len(ids))}
    return [{"id": one, "name": names[one]} for one in ids if one in names]


def own_in_state(connection: Connection, owner: str, state: str, but: str, limit: int) -> list[Row]:
    """Requests of an owner in a state, other than ``but``, the oldest first."""
    table = request_table
    return [dict(row) for row in connection.execute(
        select(table.c.id, table.c.name, table.c.state).where(
            table.c.owner == owner, table.c.state == state, table.c.id != but, table.c.destroyed_at.is_(None))
        .order_by(table.c.id).limit(limit)).mappings()]


def overdue(connection: Connection, now: str, limit: int) -> list[Row]:
    """Open requests that are needed at some time and should have been ready by now, as far as was known."""
    table = request_table
    return [dict(row) for row in connection.execute(
        select(table).where(table.c.needed_by.is_not(None), table.c.state.in_(OPEN), table.c.destroyed_at.is_(None),
                            func.coalesce(table.c.expected_at, table.c.needed_by) < now).limit(limit)).mappings()]


def history_of(connection: Connection, object_id: str) -> list[Row]:
    """The moves of one object, oldest first."""
    table = METADATA.tables["history"]
    return [dict(row) for row in connection.execute(
        select(table).where(table.c.object_id == object_id).order_by(table.c.seq)).mappings()]
