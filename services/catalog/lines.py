"""The lines at full sources: who gets room next, where a holder stands, about when it is served. Runs in the caller's transaction.

A line for each kind of room at a source, see ``shared.storage.waiting_line``. Whoever writes in a line of a source holds
the source's row.
"""
from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Select, func, or_, select

from services.catalog import rules
from services.catalog.models import KINDS, claim_table, ref, waiting_table
from shared.kernel import clock
from shared.kernel.errors import NoCapacity
from shared.storage import waiting_line
from shared.storage.record import Row
from shared.storage.statements import among
from shared.storage.unit_of_work import UnitOfWork

NAMED = 20
"""So many of those ahead are named to one who waits."""
NEWEST_COUNTS = 0.25
"""How much the newest holding time counts in the mean."""


def judge(uow: UnitOfWork, held: Mapping[str, Row], wanted: Mapping[str, Mapping[str, int]], holder: str, patience_s: float,
          wait: bool) -> NoCapacity | None:
    """The refusal when a holder may not take what it wants of these sources now, or None.

    With ``wait`` it stands in line from now on wherever it was refused, unless a source could never hold so much.
    """
    refusals = refused(uow.connection, held, wanted, holder, patience_s)
    first = next(iter(refusals.values()), None)
    if first is None or first.extra.get("never"):
        return first
    if wait:
        waiting_line.enter(uow.connection, waiting_table, holder, {
            _key(source, kind): {kind: wanted[source][kind]} for source, kind in refusals})
        source, kind = next(iter(refusals))
        first.extra["line"] = place(uow.connection, held[source], _key(source, kind), holder)
    return first


def refused(connection: Connection, held: Mapping[str, Row], wanted: Mapping[str, Mapping[str, int]], holder: str,
            patience_s: float) -> dict[tuple[str, str], NoCapacity]:
    """Why a holder may not take what it wants now, by source and kind; alone where a source could never hold so much."""
    queued = waiting_line.lines(connection, waiting_table, [_key(source, kind) for source, kinds in wanted.items() for kind in kinds])
    refusals = {}
    for source_id, kinds in wanted.items():
        for kind, amount in kinds.items():
            source = held[source_id]
            line = queued.get(_key(source_id, kind), [])
            if waiting_line.may_take(line, holder, {kind: amount}, {kind: _free(source, kind)}, patience_s):
                continue
            refusal = rules.no_room(source, {kind: amount}) or rules.kept_for_others(source, kind, amount)
            if refusal.extra.get("never"):
                return {(source_id, kind): refusal}
            refusals[source_id, kind] = refusal
    return refusals


def place(connection: Connection, source: Row, key: str, holder: str) -> dict[str, Any] | None:
    """Where a holder stands in a line: ``{"position", "ahead": [holder], "estimate_s"}``; None when it does not.

    ``ahead`` has the first of them; the estimate is None while nobody knows how long claims are held here.
    """
    line = waiting_line.lines(connection, waiting_table, [key]).get(key, [])
    mine = next((waiter for waiter in line if waiter.holder == holder), None)
    if mine is None:
        return None
    ahead = waiting_line.ahead_of(line, holder)
    kind = key.partition(".")[2]
    wanted = [waiter.wanted.get(kind, 0) for waiter in (*ahead, mine)]
    return {"position": len(ahead) + 1, "ahead": [waiter.holder for waiter in ahead[:NAMED]],
            "estimate_s": _estimate(connection, source, kind, wanted)}


def places(connection: Connection, holder: str) -> list[tuple[str, str]]:
    """``(source id, kind)`` of each line in which a holder stands."""
    return [(key.partition(".")[0], key.partition(".")[2]) for key in waiting_line.objects_of(connection, waiting_table, holder)]


def waits(connection: Connection, holder: str) -> bool:
    """Whether a holder stands in any line."""
    return bool(waiting_line.objects_of(connection, waiting_table, holder))


def any_waits(connection: Connection, sources: Iterable[str], holders: Iterable[str]) -> bool:
    """Whether anybody stands in a line at these sources, or one of these holders in any."""
    keys = [_key(source, kind) for source in sources for kind in KINDS]
    return connection.execute(_any_waits(), {"keys": keys, "holders": list(holders)}).first() is not None


@functools.cache
def _any_waits() -> Select[Any]:
    table = waiting_table
    return select(table.c.holder).where(or_(
        among(table.c.object_id, "keys"), among(table.c.holder, "holders"))).limit(1)


def leave(uow: UnitOfWork, holder: str) -> set[str]:
    """Leave every line; answers the sources that they were at."""
    return {key.partition(".")[0] for key in waiting_line.leave(uow.connection, waiting_table, holder)}


def stale(connection: Connection) -> bool:
    """Whether somebody stands in a line who has not been seen for too long."""
    return waiting_line.has_stale(connection, waiting_table)


def forget(uow: UnitOfWork) -> None:
    """Take those out."""
    waiting_line.forget(uow.connection, waiting_table)


def served(uow: UnitOfWork, sources: Mapping[str, Row], holder: str, patience_s: float) -> None:
    """A holder has got all that it wanted: it leaves its lines, and those behind it may be next."""
    left = leave(uow, holder) & set(sources)
    if left:
        announce(uow, {source_id: sources[source_id] for source_id in left}, patience_s, only_waiters=True)


def announce(uow: UnitOfWork, sources: Mapping[str, Row], patience_s: float, *, only_waiters: bool = False) -> None:
    """Say ``capacity.freed`` for each source that has a bound, with the holders whose turn it is."""
    queued = waiting_line.lines(uow.connection, waiting_table, [_key(source, kind) for source in sources for kind in KINDS])
    for source_id, source in sources.items():
        wake: dict[str, None] = {}
        for kind in KINDS:
            line = queued.get(_key(source_id, kind), [])
            next_ones, _, _ = waiting_line.served_next(line, {kind: _free(source, kind)}, patience_s)
            wake.update(dict.fromkeys(next_ones))
        bounded = any(room is not None for room in (source["capacity"] or {}).values())
        if wake or bounded and not only_waiters:
            uow.tell("capacity.freed", source_id, {
                "source": ref(source_id, source["name"]), "why": "released", "wake": list(wake)})


def held_for(claims: Iterable[Row]) -> dict[str, float]:
    """How long claims that end now were held, in seconds, by source: of each holder the longest, of those the mean."""
    began: dict[tuple[str, str], str] = {}
    for one in claims:
        key = one["source_id"], one["holder"]
        began[key] = min(began.get(key, one["created_at"]), one["created_at"])
    times: dict[str, list[float]] = {}
    for (source_id, _), at in began.items():
        times.setdefault(source_id, []).append(_since(at))
    return {source_id: sum(found) / len(found) for source_id, found in times.items()}


def mean_after(mean: float | None, newest: float | None) -> float | None:
    """The mean holding time when one more is known."""
    if mean is None or newest is None:
        return newest if mean is None else mean
    return mean + (newest - mean) * NEWEST_COUNTS


def _estimate(connection: Connection, source: Row, kind: str, wanted: list[float]) -> float | None:
    mean, free = source["holding_s"], _free(source, kind)
    if mean is None or free is None:
        return 0.0 if free is None else None
    table = claim_table
    held = connection.execute(
        select(func.min(table.c.created_at), func.sum(table.c.amount))
        .where(table.c.source_id == source["id"], table.c.kind == kind).group_by(table.c.holder)
        .order_by(func.min(table.c.created_at)).limit(waiting_line.LOOKED_AT)).all()
    # One who has held longer than the mean is as likely to be done as not: half of it again.
    returns = [(mean - past if (past := _since(at)) < mean else mean / 2, int(amount)) for at, amount in held]
    return waiting_line.estimate_s(wanted, free, returns, mean)


def _free(source: Mapping[str, Any], kind: str) -> int | None:
    capacity = (source["capacity"] or {}).get(kind)
    return None if capacity is None else capacity - source["used"][kind]


def _since(at: str) -> float:
    return max(0.0, (clock.utc_now() - clock.parse_time(at)).total_seconds())


def _key(source_id: str, kind: str) -> str:
    return f"{source_id}.{kind}"
