"""The queries of the service, each with a name and a sentence."""
from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, delete, func, literal_column, or_, select, text, update

from services.events.models import DEADLETTER, deadletter_table, event_table
from services.events.rules import is_pattern, patterns
from shared.kernel.ids import is_id
from shared.lists import Estimate, Lister
from shared.query.globs import sql_like, sqlite_glob
from shared.query.values import after_prefix
from shared.storage.bulk import insert_new
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

deadletters = Lister(DEADLETTER)

# Counted up to here; a longer list says that its total is an estimate.
COUNTED = 10_000
_LOG_LOCK = zlib.crc32(b"edgemere event log")


# --- the log -------------------------------------------------------------------------------------------------------

def lock_log(connection: Connection) -> None:
    """Wait for whoever else appends, so that a sequence is never committed after a higher one was seen."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOG_LOCK})


def append(connection: Connection, rows: Sequence[Row]) -> int:
    """Add messages to the log in this order, when nobody else appends; those whose id is there already are left out. Returns the newest sequence.

    On PostgreSQL the lock and the rows go in one piece, which is a transaction also where none was begun.
    """
    lock = f"SELECT pg_advisory_xact_lock({_LOG_LOCK})"
    added = insert_new(connection, event_table, rows, event_table.c.sequence, lock) if rows else []
    return max(added) if added else head(connection)


def dead_by_queue(connection: Connection) -> dict[str, int]:
    """The number of dead letters that were not replayed, by queue; queues that have had some and have none are 0."""
    waiting = func.sum(case((deadletter_table.c.replayed_at.is_(None), 1), else_=0))
    return dict(tuple(row) for row in connection.execute(
        select(deadletter_table.c.queue, waiting).group_by(deadletter_table.c.queue)))


def has_like(connection: Connection, beginning: str) -> bool:
    """Whether the log has a message whose id begins so."""
    column = event_table.c.id
    return connection.execute(
        select(column).where(column >= beginning, column < after_prefix(beginning)).limit(1)).first() is not None


def head(connection: Connection) -> int:
    """The newest sequence, 0 in a log without any."""
    # After each batch: what SQLAlchemy makes of an expression costs more than the look.
    return connection.exec_driver_sql("SELECT max(sequence) FROM event").scalar() or 0


def names_of(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    """The names of the messages with these ids, as far as the log has them."""
    return dict(tuple(row) for row in connection.execute(
        select(event_table.c.id, event_table.c.name).where(event_table.c.id.in_(ids))))


def has_named(connection: Connection, pattern: str) -> bool:
    """Whether the log has a message that this name or pattern covers."""
    return connection.execute(
        select(event_table.c.sequence).where(named_like(connection, pattern)).limit(1)).first() is not None


def named_like(connection: Connection, pattern: str) -> ColumnElement[bool]:
    """The condition for the names that a pattern covers, a star being anything."""
    noun, _, rest = pattern.partition(".")
    if not is_pattern(pattern):
        return and_(event_table.c.noun == noun, event_table.c.name == pattern)
    glob = pattern.replace("#", "*")
    if connection.dialect.name == "postgresql":
        covered = event_table.c.name.like(sql_like(glob), escape="\\")
    else:
        covered = event_table.c.name.op("GLOB")(sqlite_glob(glob))
    if is_pattern(noun):
        return covered
    return event_table.c.noun == noun if rest in ("*", "#") else and_(event_table.c.noun == noun, covered)


def about(ref: str) -> ColumnElement[bool]:
    """The condition for messages about an object, by its id or name."""
    return event_table.c.object_id == ref if is_id(ref) else event_table.c.object_name == ref


def wanted(connection: Connection, parameters: dict[str, Any], since: str | None, owner: str | None) -> list[ColumnElement[bool]]:
    """The conditions of a list over the log."""
    table = event_table
    found: list[ColumnElement[bool]] = []
    if names := patterns(parameters.get("event")):
        found.append(or_(*(named_like(connection, name) for name in names)))
    if parameters.get("object"):
        found.append(about(parameters["object"]))
    if parameters.get("correlation_id"):
        found.append(table.c.correlation_id == parameters["correlation_id"])
    if since is not None:
        found.append(table.c.time >= since)
    if owner is not None:
        # What belongs to nobody, such as data, is everybody's.
        found.append(table.c.owner.in_(("", owner)))
    return found


def stretch(connection: Connection, conditions: Sequence[ColumnElement[bool]], descending: bool, limit: int,
            ) -> list[tuple[int, str, str]]:
    """(sequence, body, owner) of at most ``limit`` messages, in order."""
    column = event_table.c.sequence
    order = column.desc() if descending else column.asc()
    return [tuple(row) for row in connection.execute(
        select(column, event_table.c.body, event_table.c.owner).where(and_(True, *conditions)).order_by(order).limit(limit))]


def count(connection: Connection, conditions: Sequence[ColumnElement[bool]]) -> int:
    """How many messages match; beyond a bound only that there are more."""
    some = select(literal_column("1")).select_from(event_table).where(and_(True, *conditions)).limit(COUNTED + 1).subquery()
    found = connection.execute(select(func.count()).select_from(some)).scalar_one()
    return Estimate(COUNTED) if found > COUNTED else found


def span(connection: Connection, after: int) -> int:
    """How many messages lie after a sequence, as the sequences say; a sequence may have been left out."""
    table = event_table
    # Each is one step along the primary key; asked for together they would be a walk through the table.
    last = head(connection)
    first = connection.execute(select(func.min(table.c.sequence)).where(table.c.sequence > after)).scalar()
    return 0 if first is None else Estimate(last - first + 1)


def forget_before(uow: UnitOfWork, moment: str, most: int) -> int:
    """Drop the oldest messages that are older than ``moment``, never the newest of all; how many went."""
    table = event_table
    newest = head(uow.connection)
    old = list(uow.connection.execute(
        select(table.c.sequence).where(table.c.time < moment, table.c.sequence < newest)
        .order_by(table.c.time).limit(most)).scalars())
    if old:
        uow.connection.execute(delete(table).where(table.c.sequence.in_(old)))
    return len(old)


# --- dead letters --------------------------------------------------------------------------------------------------

def has_death(uow: UnitOfWork, death: str) -> bool:
    """Whether a dead letter that was not replayed is the same in everything."""
    table = deadletter_table
    return uow.connection.execute(select(table.c.id).where(
        table.c.death == death, table.c.replayed_at.is_(None)).limit(1)).first() is not None


def keep_dead(uow: UnitOfWork, rows: Sequence[Row]) -> None:
    """Write dead letters down."""
    uow.connection.execute(deadletter_table.insert(), rows)


def to_replay(connection: Connection, parameters: dict[str, Any], limit: int, owner: str | None) -> list[Row]:
    """The dead letters of an owner (None: of all) that were named: one by its id, also again; otherwise those not replayed yet, oldest first."""
    table = deadletter_table
    conditions = [table.c.id == parameters["id"]] if parameters.get("id") else _not_replayed(parameters)
    return [dict(row) for row in connection.execute(
        select(table).where(*conditions, *deadletters.mine(owner)).order_by(table.c.id).limit(limit)).mappings()]


def left_to_replay(connection: Connection, parameters: dict[str, Any], owner: str | None) -> int:
    """How many of those that were named are still not replayed."""
    return connection.execute(
        select(func.count()).select_from(deadletter_table).where(*_not_replayed(parameters), *deadletters.mine(owner))).scalar_one()


def _not_replayed(parameters: dict[str, Any]) -> list[ColumnElement[bool]]:
    table = deadletter_table
    named = [table.c[name] == parameters[name] for name in ("event", "queue") if parameters.get(name)]
    return [table.c.replayed_at.is_(None), *named]


def replayed(uow: UnitOfWork, ids: Sequence[str], now: str) -> None:
    """Note when dead letters were replayed."""
    table = deadletter_table
    uow.connection.execute(update(table).where(table.c.id.in_(list(ids))).values(replayed_at=now))


def replayed_at(connection: Connection, moment: str, owner: str | None) -> list[Row]:
    """The dead letters of one replay."""
    table = deadletter_table
    return [dict(row) for row in connection.execute(
        select(table).where(table.c.replayed_at == moment, *deadletters.mine(owner)).order_by(table.c.id).limit(1000)).mappings()]


def dead_count(connection: Connection) -> int:
    """How many dead letters wait for somebody."""
    table = deadletter_table
    return connection.execute(select(func.count()).select_from(table).where(table.c.replayed_at.is_(None))).scalar_one()


def forget_dead_before(uow: UnitOfWork, moment: str) -> None:
    """Drop dead letters that were replayed long ago; one that was not is kept."""
    table = deadletter_table
    uow.connection.execute(delete(table).where(table.c.replayed_at < moment))
