"""The queries of the service, each with a name and a sentence."""
from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import BigInteger, Connection, bindparam, cast, delete, func, or_, select, update

from services.reservations.models import METADATA, RESERVATION, charge_table, part_table, reservation_table as table, revision_table
from services.reservations.policy.cost import PARTS
from shared.lists import Lister
from shared.storage.record import Row
from shared.storage.statements import among, rows_in

reservations = Lister(RESERVATION, {
    "request": (table.c.request_id, table.c.request_name),
    "data": (table.c.data_id, table.c.name),
    "source": (table.c.source_id, table.c.source_name),
    "target": (table.c.target_id, table.c.target_name),
})


def undecided(connection: Connection, request: str, attempt: int, after: str, limit: int) -> list[Row]:
    """Reservations of one attempt that are not decided yet, or stand by, after an id."""
    return _page(connection, request, attempt, "Created", after, limit)


def undecided_count(connection: Connection, request: str, attempt: int) -> int:
    """How many reservations of one attempt are neither decided nor standing by."""
    return connection.execute(select(func.count()).select_from(table).where(
        table.c.request_id == request, table.c.attempt == attempt, table.c.state == "Created",
        table.c.standby.is_(False), table.c.destroyed_at.is_(None))).scalar_one()


def states_of(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    """The states of these reservations."""
    if not ids:
        return {}
    return dict(tuple(row) for row in connection.execute(select(table.c.id, table.c.state).where(table.c.id.in_(list(ids)))))


def of_data(connection: Connection, request: str, attempt: int, data: str) -> Row | None:
    """The reservation of one attempt on one data."""
    row = connection.execute(select(table).where(
        table.c.request_id == request, table.c.attempt == attempt, table.c.data_id == data,
        table.c.destroyed_at.is_(None))).mappings().first()
    return dict(row) if row else None


def standing_by(connection: Connection, request: str, attempt: int, replicas: str | None = None, limit: int = 5000) -> list[Row]:
    """Reservations up to an attempt that stand by; with ``replicas`` those of one group of this attempt."""
    statement = select(table).where(
        table.c.request_id == request, table.c.state == "Created", table.c.standby.is_(True), table.c.destroyed_at.is_(None))
    statement = (statement.where(table.c.attempt <= attempt) if replicas is None else
                 statement.where(table.c.attempt == attempt, table.c.replicas == replicas))
    return [dict(row) for row in connection.execute(statement.order_by(table.c.id).limit(limit)).mappings()]


def decided_since(connection: Connection, first: str, before: str, limit: int, owner: str | None) -> list[Row]:
    """Decided reservations from an id on, newest first and before an id, destroyed ones too; what tells about the decision."""
    statement = select(*(table.c[name] for name in (
        "id", "request_id", "request_name", "attempt", "data_id", "name", "source_id", "source_name", "action", "target_name", "cost", "rule",
        "decision", "snapshot"))).where(table.c.id >= first, table.c.action.is_not(None), table.c.decision.is_not(None))
    if before:
        statement = statement.where(table.c.id < before)
    if owner:
        statement = statement.where(table.c.owner == owner)
    return [dict(row) for row in connection.execute(statement.order_by(table.c.id.desc()).limit(limit)).mappings()]


def parts(connection: Connection, ids: Collection[str]) -> dict[str, Any]:
    """The shared parts of decisions by their ids."""
    found: dict[str, Any] = {}
    wanted = list(ids)
    for start in range(0, len(wanted), 5000):
        found.update((row.id, row.body) for row in connection.execute(
            select(part_table.c.id, part_table.c.body).where(part_table.c.id.in_(wanted[start:start + 5000]))))
    return found


def part_used(connection: Connection, ids: Sequence[str], now: str, before: str) -> None:
    """Write down that these parts are used, where the last use is from before ``before``."""
    for start in range(0, len(ids), 5000):
        connection.execute(update(part_table).where(part_table.c.id.in_(ids[start:start + 5000]), part_table.c.at < before).values(at=now))


def parts_before(connection: Connection, moment: str, limit: int) -> list[str]:
    """Parts that were last used before a moment, the oldest first."""
    return list(connection.scalars(select(part_table.c.id).where(part_table.c.at < moment).order_by(part_table.c.at).limit(limit)))


def parts_of_living(connection: Connection, moment: str) -> set[str]:
    """The parts that reservations from before a moment need which live, or were destroyed after it."""
    needed: set[str | None] = set()
    after = ""
    while True:
        rows = connection.execute(select(table.c.id, table.c.decision, table.c.replicas).where(
            table.c.id > after, table.c.created_at < moment, or_(table.c.destroyed_at.is_(None), table.c.destroyed_at >= moment),
        ).order_by(table.c.id).limit(5000)).all()
        for row in rows:
            needed |= {(row.decision or {}).get(name) for name in ("frame", "place", "group")} | {row.replicas}
        if len(rows) < 5000:
            return {one for one in needed if one}
        after = rows[-1].id


def drop_parts(connection: Connection, ids: Sequence[str], before: str) -> int:
    """Delete parts, but for those that were used meanwhile; how many went."""
    return connection.execute(delete(part_table).where(part_table.c.id.in_(ids), part_table.c.at < before)).rowcount if ids else 0


def policy_texts(connection: Connection, revisions: Collection[str]) -> dict[str, str]:
    """The texts of policies by their revisions."""
    return {row.revision: row.text for row in connection.execute(
        select(revision_table.c.revision, revision_table.c.text).where(revision_table.c.revision.in_(list(revisions))))}


def confirmed(connection: Connection, request: str, attempt: int, after: str, limit: int) -> list[Row]:
    """Confirmed reservations of one attempt, after an id."""
    return _page(connection, request, attempt, "Confirmed", after, limit)


def _page(connection: Connection, request: str, attempt: int, state: str, after: str, limit: int) -> list[Row]:
    statement = select(table).where(
        table.c.request_id == request, table.c.attempt == attempt, table.c.state == state,
        table.c.destroyed_at.is_(None), table.c.id > after).order_by(table.c.id).limit(limit)
    return [dict(row) for row in connection.execute(statement).mappings()]


# What instances are made from.
PROVISIONED = ("id", "request_id", "attempt", "data_id", "source_id", "source_name", "target_id", "action", "member", "replicas", "snapshot")


def confirmed_all(connection: Connection, attempts: Sequence[Sequence[Any]], most: int) -> dict[str, list[Row]]:
    """Confirmed reservations of several ``(request, attempt)``, by request, with what instances are made from; those of a request with more
    than ``most`` are left out."""
    found: dict[str, list[Row]] = {request: [] for request, _ in attempts}
    of = dict(tuple(one) for one in attempts)
    limit = most * len(attempts) + 1
    rows = rows_in(connection.execute(_confirmed_all(), {"requests": of, "most": limit}))
    if len(rows) == limit:
        # Somebody has many; who, nobody needs to know here.
        return {}
    for row in rows:
        if row["attempt"] == of[row["request_id"]]:
            found[row["request_id"]].append(row)
    return {request: own for request, own in found.items() if len(own) <= most}


@functools.cache
def _confirmed_all() -> Any:
    return select(*(table.c[name] for name in PROVISIONED)).where(
        among(table.c.request_id, "requests"), table.c.state == "Confirmed", table.c.destroyed_at.is_(None),
    ).order_by(table.c.id).limit(bindparam("most"))


def any_standing_by(connection: Connection, requests: Sequence[str]) -> set[str]:
    """Those of these requests that have reservations which stand by."""
    return set(connection.execute(_any_standing_by(), {"requests": requests}).scalars())


@functools.cache
def _any_standing_by() -> Any:
    return select(table.c.request_id).where(
        among(table.c.request_id, "requests"), table.c.state == "Created", table.c.standby.is_(True),
        table.c.destroyed_at.is_(None)).distinct()


# The states in which something is, or may be, claimed for a reservation.
HELD = ("Init", "Created", "Confirmed")


def of_request(connection: Connection, request: str, limit: int, up_to: int | None = None, after: str = "",
               states: Sequence[str] = HELD) -> list[Row]:
    """Reservations of a request in these states, of any attempt (up to one), after an id."""
    statement = select(table).where(table.c.request_id == request, table.c.state.in_(list(states)),
                                    table.c.destroyed_at.is_(None), table.c.id > after)
    if up_to is not None:
        statement = statement.where(table.c.attempt <= up_to)
    return [dict(row) for row in connection.execute(statement.order_by(table.c.id).limit(limit)).mappings()]


def confirmed_of_all(connection: Connection, requests: Sequence[str]) -> list[Row]:
    """The confirmed reservations of several requests, of any attempt."""
    return [dict(row) for row in connection.execute(select(table).where(
        table.c.request_id.in_(list(requests)), table.c.state == "Confirmed", table.c.destroyed_at.is_(None))
        .order_by(table.c.id)).mappings()]


def members_of(connection: Connection, request: str, data: Sequence[str | None]) -> dict[str, str | None]:
    """The members of a group that data of it was reserved for, by data."""
    wanted = [one for one in data if one]
    return {row.data_id: row.member for row in connection.execute(
        select(table.c.data_id, table.c.member).where(table.c.request_id == request, table.c.data_id.in_(wanted)))}


def locked(connection: Connection, request: str, after: str, limit: int) -> list[Row]:
    """What is confirmed for a request, or was when it completed, after an id."""
    statement = select(table).where(
        table.c.request_id == request, table.c.state.in_(("Confirmed", "Rejected")), table.c.action.in_(("leave", "mount", "copy", "move")),
        table.c.id > after).order_by(table.c.id).limit(limit)
    return [dict(row) for row in connection.execute(statement).mappings()]


def standing(connection: Connection, ids: Sequence[str]) -> list[str]:
    """Which of these reservations hold claims: those that are Created or Confirmed and not standing by."""
    found: list[str] = []
    for start in range(0, len(ids), 5000):
        found += connection.execute(select(table.c.id).where(
            table.c.id.in_(list(ids[start:start + 5000])), table.c.state.in_(("Init", "Created", "Confirmed")),
            table.c.standby.is_(False), table.c.destroyed_at.is_(None))).scalars()
    return found


def on_data(connection: Connection, request: str, attempt: int, data: Sequence[str]) -> list[Row]:
    """All reservations that one attempt of a request made of these data, whatever their state."""
    return [dict(row) for row in connection.execute(select(table).where(
        table.c.request_id == request, table.c.attempt == attempt, table.c.data_id.in_(list(data)),
        table.c.destroyed_at.is_(None))).mappings()]


def alive(connection: Connection, request: str, limit: int) -> list[Row]:
    """Reservations of a request that are not destroyed, whatever their state."""
    return [dict(row) for row in connection.execute(
        select(table).where(table.c.request_id == request, table.c.destroyed_at.is_(None))
        .order_by(table.c.id).limit(limit)).mappings()]


def by_ids(connection: Connection, ids: Sequence[str]) -> list[Row]:
    """Reservations by their ids."""
    return [dict(row) for row in connection.execute(select(table).where(table.c.id.in_(list(ids)))).mappings()]


def refs(connection: Connection, request: str, attempt: int | None) -> list[dict[str, Any]]:
    """The refs of a request's reservations, of its newest attempt unless told otherwise."""
    if attempt is None:
        attempt = connection.execute(select(func.max(table.c.attempt)).where(table.c.request_id == request)).scalar()
    statement = select(table.c.id, table.c.name).where(table.c.request_id == request, table.c.attempt == attempt)
    return [{"id": row.id, "name": row.name} for row in connection.execute(statement.order_by(table.c.id))]


def of_attempt(connection: Connection, request: str, attempt: int, after: str, limit: int, one: str | None = None) -> list[Row]:
    """Reservations of one attempt, destroyed ones too, after an id; or only the ``one`` of this id or name."""
    statement = select(table).where(table.c.request_id == request, table.c.attempt == attempt, table.c.id > after)
    if one is not None:
        statement = statement.where(or_(table.c.id == one, table.c.name == one))
    return [dict(row) for row in connection.execute(statement.order_by(table.c.id).limit(limit)).mappings()]


def newest_of_data(connection: Connection, request: str, attempt: int, data: str) -> Row | None:
    """The reservation on one data in one attempt, or else, where it is still held, in an earlier one."""
    statement = select(table).where(table.c.request_id == request, table.c.data_id == data, or_(
        table.c.attempt == attempt, (table.c.attempt < attempt) & (table.c.state == "Confirmed")))
    row = connection.execute(statement.order_by(table.c.attempt.desc()).limit(1)).mappings().first()
    return dict(row) if row else None


def first_reserved_at(connection: Connection, request: str, attempt: int) -> str | None:
    """When the first reservation of an attempt was made."""
    return connection.execute(select(func.min(table.c.created_at)).where(
        table.c.request_id == request, table.c.attempt == attempt)).scalar()


def by_state(connection: Connection, request: str, attempt: int) -> list[Any]:
    """How many reservations an attempt has in each state, and what they cost."""
    return list(connection.execute(
        select(table.c.state, func.count().label("n"), func.sum(table.c.cost).label("cost"))
        .where(table.c.request_id == request, table.c.attempt == attempt).group_by(table.c.state)))


def freed_by_hand(connection: Connection, request: str, attempt: int) -> int:
    """How many reservations of an attempt were given back by hand."""
    return connection.execute(select(func.count()).select_from(table).where(
        table.c.request_id == request, table.c.attempt == attempt, table.c.state == "Rejected",
        table.c.reason["code"].as_string() == "freed")).scalar_one()


def sums(connection: Connection, request: str, attempt: int) -> list[Any]:
    """How many reservations an attempt has by state, action, rule, standby and the code of their reason; what they cost, by part, and weigh."""
    code = table.c.reason["code"].as_string()
    groups = (table.c.state, table.c.action, table.c.rule, table.c.standby, code)
    size = cast(table.c.snapshot["size"].as_string(), BigInteger)
    parts = (func.sum(table.c.cost_parts[name].as_float()).label(name) for name in PARTS)
    return list(connection.execute(
        select(table.c.state, table.c.action, table.c.rule, table.c.standby, code.label("code"), func.count().label("n"),
               func.sum(table.c.cost).label("cost"), func.sum(size).label("size"), *parts)
        .where(table.c.request_id == request, table.c.attempt == attempt).group_by(*groups)))


def charged(connection: Connection, request: str, attempt: int) -> dict[str, Any] | None:
    """What an attempt has spent of its owner's budget: ``{"bytes", "money"}``; None where nothing was charged."""
    found = connection.execute(select(charge_table.c.bytes, charge_table.c.money).where(
        charge_table.c.request_id == request, charge_table.c.attempt == attempt)).mappings().first()
    return dict(found) if found else None


def timeline(connection: Connection, request: str) -> list[Row]:
    """The moves of a request's reservations, those of one moment as one line."""
    history = METADATA.tables["history"]
    statement = (
        select(history.c.event, history.c.from_state, history.c.to_state, history.c.causation_id,
               func.min(history.c.at).label("at"), func.count().label("n"))
        .join(table, table.c.id == history.c.object_id).where(table.c.request_id == request)
        .group_by(history.c.event, history.c.from_state, history.c.to_state, history.c.causation_id)
        .order_by(func.min(history.c.seq)))
    return [dict(row) for row in connection.execute(statement).mappings()]
