"""The right to do something that one at a time may do, for a while: rows of the table ``lease``.

Whether a lease is over is judged by the clock of the database, which is one for all replicas: a process whose own
clock is wrong neither loses its leases nor keeps others from theirs. An embedded mesh is one process with one clock.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, String, Table, delete, literal, literal_column
from sqlalchemy.dialects import postgresql, sqlite

from shared.kernel import clock

_NOW = """to_char(clock_timestamp() AT TIME ZONE 'UTC' {more}, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


def take(connection: Connection, table: Table, name: str, holder: str, ttl_s: float) -> bool:
    """Take a lease that is free or over, or keep one's own, for ``ttl_s`` from now; whether it is the holder's."""
    now, until = moment(connection), moment(connection, ttl_s)
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(name=name, holder=holder, until=until)
    statement = statement.on_conflict_do_update(
        index_elements=["name"], set_={"holder": holder, "until": until},
        where=(table.c.holder == holder) | (table.c.until < now))
    return connection.execute(statement).rowcount == 1


def take_all(connection: Connection, table: Table, names: Sequence[str], holder: str, ttl_s: float) -> set[str]:
    """As ``take``, of several in one statement; those that are the holder's now. ``names`` in one order everywhere."""
    now, until = moment(connection), moment(connection, ttl_s)
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values([{"name": name, "holder": holder, "until": until} for name in names])
    statement = statement.on_conflict_do_update(
        index_elements=["name"], set_={"holder": holder, "until": until},
        where=(table.c.holder == holder) | (table.c.until < now)).returning(table.c.name)
    return set(connection.execute(statement).scalars())


def give_back(connection: Connection, table: Table, name: str, holder: str) -> None:
    """Let others have it at once; nothing happens when it is somebody else's by now."""
    give_back_all(connection, table, [name], holder)


def give_back_all(connection: Connection, table: Table, names: Sequence[str], holder: str) -> None:
    """As ``give_back``, several in one statement."""
    connection.execute(delete(table).where(table.c.name.in_(names), table.c.holder == holder))


def moment(connection: Connection, in_s: float = 0.0) -> Any:
    """The moment ``in_s`` seconds from now by the database's clock: a stamp as an expression, to compare with and to write."""
    if connection.dialect.name != "postgresql":
        return literal(clock.stamp_in(in_s))
    return literal_column(_NOW.format(more=f"+ interval '{float(in_s)} seconds'" if in_s else ""), String)
