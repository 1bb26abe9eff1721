"""What timers look for again and again, and almost never find: each statement is built once."""
from __future__ import annotations

import functools
from typing import Any

from sqlalchemy import Connection, bindparam, or_, select

from services.instances.models import access_table as access, instance_table as table, undoing_table
from services.instances.repository import LIVE
from shared.storage.record import Row


@functools.cache
def _any_due() -> Any:
    now = bindparam("now")
    return select(table.c.id).where(table.c.state.in_(LIVE), or_(
        table.c.expires_at <= now, table.c.warn_at <= now, table.c.pinned_until <= now)).limit(1)


def any_due(connection: Connection, now: str) -> bool:
    """Whether time has brought anything at all: the end of a pin or an instance, or the moment to warn of one."""
    return connection.execute(_any_due(), {"now": now}).first() is not None


def requests_with_pending(connection: Connection, limit: int) -> list[str]:
    """The requests that wait for bytes."""
    return _requests_in(connection, "pending", limit)


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
