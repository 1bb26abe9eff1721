"""Who waits for one object, in which order, who is served next, and about when. A line is rows of the caller's database.

The longest-waiting is served first. Who comes later goes before it only where that takes nothing from it: what comes
free is kept for everybody ahead whom it would do for, and a holder whose wish is larger than what is free lets smaller
ones pass (back-fill) only until it has waited ``patience_s``; then everything that comes free is kept for it. So a
small wish never waits behind an idle object for no reason, and a large one is never passed for ever.

A holder brings the moment at which it began to wait into every line that it enters, and leaves them all at once: who
waits longest is ahead in each of its lines, and two holders never wait for one another. A holder that does not come
back until the end of its stay blocks nobody.
"""
from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Column, Connection, Index, MetaData, String, Table, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from shared.kernel import clock
from shared.storage.schema import Json, Stamp

STAY_S = 300
"""How long a holder keeps its place without being seen; it looks again more often than this."""
LOOKED_AT = 1000
"""So many of a line are looked at for an order or an estimate; those behind wait for one of these anyway."""


@dataclass(frozen=True)
class Waiter:
    """One who waits: for ``wanted`` of each kind, since ``ticket``."""

    holder: str
    ticket: str
    wanted: Mapping[str, float]


def line_table(metadata: MetaData) -> Table:
    """Add the table of a service's lines to its metadata."""
    return Table(
        "waiting_line", metadata,
        Column("object_id", String(64), primary_key=True),
        Column("holder", String(128), primary_key=True),
        Column("ticket", Stamp, nullable=False),
        Column("wanted", Json, nullable=False),
        Column("until", Stamp, nullable=False),
        Index("waiting_line_in_order", "object_id", "ticket"),
        Index("waiting_line_by_holder", "holder"),
        Index("waiting_line_by_end", "until"),
    )


# --- rows ------------------------------------------------------------------------------------------------------------

def enter(connection: Connection, table: Table, holder: str, wanted: Mapping[str, Mapping[str, float]]) -> None:
    """Stand in the lines of these objects, ``{object: {kind: amount}}``; who stands in one already keeps its place."""
    now = clock.stamp()
    since = connection.execute(select(func.min(table.c.ticket)).where(
        table.c.holder == holder, table.c.until > now)).scalar() or now
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    for object_id, amounts in wanted.items():
        row = {"ticket": since, "wanted": dict(amounts), "until": clock.stamp_in(STAY_S)}
        connection.execute(dialect.insert(table).values(object_id=object_id, holder=holder, **row)
                           .on_conflict_do_update(index_elements=["object_id", "holder"], set_=row))


def leave(connection: Connection, table: Table, holder: str) -> list[str]:
    """Leave every line; answers which objects they were for."""
    left = list(connection.execute(select(table.c.object_id).where(table.c.holder == holder)).scalars())
    if left:
        connection.execute(delete(table).where(table.c.holder == holder))
    return left


def lines(connection: Connection, table: Table, objects: Iterable[str]) -> dict[str, list[Waiter]]:
    """The lines of these objects, longest-waiting first; objects without one are left out."""
    found: dict[str, list[Waiter]] = {}
    for row in connection.execute(
            select(table.c.object_id, table.c.holder, table.c.ticket, table.c.wanted)
            .where(table.c.object_id.in_(list(objects)), table.c.until > clock.stamp())
            .order_by(table.c.object_id, table.c.ticket, table.c.holder)):
        line = found.setdefault(row.object_id, [])
        if len(line) < LOOKED_AT:
            line.append(Waiter(row.holder, row.ticket, row.wanted))
    return found


def objects_of(connection: Connection, table: Table, holder: str) -> list[str]:
    """The objects that a holder waits for."""
    return list(connection.execute(select(table.c.object_id).where(
        table.c.holder == holder, table.c.until > clock.stamp()).order_by(table.c.object_id)).scalars())


def has_stale(connection: Connection, table: Table) -> bool:
    """Whether anybody's stay is over."""
    return connection.execute(select(table.c.holder).where(table.c.until <= clock.stamp()).limit(1)).first() is not None


def forget(connection: Connection, table: Table) -> int:
    """Take out who has not been seen until the end of its stay; returns how many."""
    return connection.execute(delete(table).where(table.c.until <= clock.stamp())).rowcount


# --- rules -----------------------------------------------------------------------------------------------------------

def ahead_of(line: Sequence[Waiter], holder: str) -> list[Waiter]:
    """Those who are served before ``holder``; all of them when it does not wait yet."""
    for place, waiter in enumerate(line):
        if waiter.holder == holder:
            return list(line[:place])
    return list(line)


def served_next(line: Sequence[Waiter], free: Mapping[str, float | None], patience_s: float) -> tuple[list[str], dict[str, float | None], bool]:
    """Who of a line can be served from what is ``free`` (None: without bound), what that leaves, and whether the line ends there.

    The third is True when somebody has lost patience: nobody behind may take what is left.
    """
    left, served = dict(free), []
    lost = clock.stamp(clock.utc_now() - timedelta(seconds=patience_s))
    for waiter in line:
        if fits(waiter.wanted, left):
            served.append(waiter.holder)
            left = {kind: None if room is None else room - waiter.wanted.get(kind, 0) for kind, room in left.items()}
        elif waiter.ticket <= lost:
            return served, left, True
    return served, left, False


def may_take(line: Sequence[Waiter], holder: str, wanted: Mapping[str, float], free: Mapping[str, float | None],
             patience_s: float) -> bool:
    """Whether ``holder`` may take what it wants now, without taking it from somebody who came before."""
    _, left, closed = served_next(ahead_of(line, holder), free, patience_s)
    return not closed and fits(wanted, left)


def fits(wanted: Mapping[str, float], free: Mapping[str, float | None]) -> bool:
    """Whether all that is wanted is free."""
    return all(free.get(kind) is None or amount <= free[kind] for kind, amount in wanted.items())


def estimate_s(wanted: Sequence[float], free: float, returns: Sequence[tuple[float, float]], holding_s: float) -> float | None:
    """About how many seconds until the last of ``wanted`` (amounts, in the order of the line) is served.

    ``returns`` says when what is held now comes back: ``(seconds from now, amount)``; who is served holds it for
    ``holding_s`` in turn. None when it never comes to that.
    """
    coming, now = list(returns), 0.0
    heapq.heapify(coming)
    for amount in wanted:
        while free < amount:
            if not coming:
                return None
            at, back = heapq.heappop(coming)
            now, free = max(now, at), free + back
        free -= amount
        heapq.heappush(coming, (now + holding_s, amount))
    return round(now, 1)
