"""What timers look for again and again, and almost never find: each statement is built once."""
from __future__ import annotations

import functools
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, exists, or_, select

from services.instances.models import access_table as access, instance_table as table, restored_table, undoing_table
from services.instances.repository import living
from shared.storage.record import Row


@functools.cache
def _any_due() -> Any:
    now = bindparam("now")
    # One look for each time: SQLite goes through the whole table for an "or" of them.
    return select(or_(*(exists().where(living(), time <= now) for time in (table.c.expires_at, table.c.warn_at, table.c.pinned_until))))


def any_due(connection: Connection, now: str) -> bool:
    """Whether time has brought anything at all: the end of a pin or an instance, or the moment to warn of one."""
    return bool(connection.execute(_any_due(), {"now": now}).scalar_one())


class Begun(NamedTuple):
    """Whether there is anything to go on with, by what it is."""

    restored: bool
    pending: bool
    leaving: bool
    trash: bool
    undos: bool


@functools.cache
def _begun() -> Any:
    def of_state(state: str) -> Any:
        return exists().where(access.c.state == state)
    due = exists().where(access.c.state == "trashed", access.c.purge_at <= bindparam("now"))
    return select(exists().where(restored_table.c.at.is_not(None)), of_state("pending"), of_state("leaving"), or_(of_state("purging"), due),
                  exists().where(undoing_table.c.at < bindparam("died")))


def begun(connection: Connection, now: str, died: str) -> Begun:
    """What a sweep would find, in one look: almost always it is nothing. ``died``: as for ``undos_before``."""
    return Begun(*map(bool, connection.execute(_begun(), {"now": now, "died": died}).one()))


def requests_with_pending(connection: Connection, limit: int) -> list[str]:
    """The requests that wait for bytes."""
    return _requests_in(connection, "pending", limit)


@functools.cache
def _restored() -> Any:
    return select(restored_table.c.at).limit(1)


def is_restored(connection: Connection) -> bool:
    """Whether a backup was brought back, and not all that it has mounted was looked at since."""
    return connection.execute(_restored()).first() is not None


@functools.cache
def _of_state() -> Any:
    return select(access.c.request_id).where(access.c.state == bindparam("state")).distinct().limit(bindparam("most"))


def _requests_in(connection: Connection, state: str, limit: int) -> list[str]:
    return list(connection.execute(_of_state(), {"state": state, "most": limit}).scalars())


def requests_leaving(connection: Connection, limit: int) -> list[str]:
    """The requests with copies that must leave their path."""
    return _requests_in(connection, "leaving", limit)


def purging(connection: Connection, limit: int) -> list[Row]:
    """Copies that are being removed for good."""
    return [dict(row) for row in connection.execute(_purging(), {"most": limit}).mappings()]


@functools.cache
def _purging() -> Any:
    return select(access).where(access.c.state == "purging").limit(bindparam("most"))


def to_purge(connection: Connection, now: str, limit: int) -> list[Row]:
    """Trashed copies whose grace time is over."""
    return [dict(row) for row in connection.execute(_to_purge(), {"now": now, "most": limit}).mappings()]


@functools.cache
def _to_purge() -> Any:
    return select(access).where(access.c.state == "trashed", access.c.purge_at <= bindparam("now")).limit(bindparam("most"))


def undos_before(connection: Connection, stamp: str, limit: int) -> list[Row]:
    """The undos that began before this time and came to no end."""
    return [dict(row) for row in connection.execute(_undos_before(), {"at": stamp, "most": limit}).mappings()]


@functools.cache
def _undos_before() -> Any:
    return select(undoing_table).where(undoing_table.c.at < bindparam("at")).limit(bindparam("most"))
