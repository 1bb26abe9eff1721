"""Where the checker of promises looks: the databases of an embedded mesh, or those of a mesh on PostgreSQL, and what was heard.

Independent of the product: the standard library and the PostgreSQL driver. Read only; decides nothing.
"""
from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

Row = Mapping[str, Any]


class Databases(Protocol):
    """The database of each service by its name."""

    def rows(self, service: str, statement: str) -> Sequence[Row]:
        """What a statement finds; rows are read by the names of their columns."""


@dataclass(frozen=True)
class SqliteFolder:
    """The files of a data folder."""

    data: Path

    def rows(self, service: str, statement: str) -> list[Row]:
        with closing(sqlite3.connect(f"file:{self.data / (service + '.db')}?mode=ro", uri=True, timeout=120)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(statement).fetchall()


@dataclass(frozen=True)
class PostgresSchemas:
    """The schemas of one PostgreSQL database."""

    url: str

    def rows(self, service: str, statement: str) -> list[Row]:
        import psycopg2
        from psycopg2.extras import RealDictCursor

        with closing(psycopg2.connect(self.url.replace("+psycopg2", ""), connect_timeout=60,
                                      options=f"-csearch_path={service} -cstatement_timeout=30000")) as connection:
            connection.set_session(readonly=True)
            with connection.cursor(cursor_factory=RealDictCursor) as cursor:
                cursor.execute(statement)
                return cursor.fetchall()


@dataclass(frozen=True)
class Evidence:
    """Everything that is known of a mesh at rest.

    ``touched`` are files of sources that somebody changed behind the product's back, ``sent`` the ids of messages that
    did not come from a change of state. ``heard`` are the messages that a foreign durable subscriber of everything got,
    as (name, body) in their order; None where there is none. ``accepted`` are the ids of requests that somebody was told
    are taken. ``depths`` are the messages left in the queues of the broker.
    """

    databases: Databases
    touched: Collection[Path] = ()
    sent: Collection[str] = ()
    heard: Sequence[tuple[str, Mapping[str, Any]]] | None = None
    accepted: Collection[str] = ()
    depths: Mapping[str, int] = field(default_factory=dict)

    def rows(self, service: str, statement: str) -> Sequence[Row]:
        return self.databases.rows(service, statement)

    @cached_property
    def outliving(self) -> set[tuple[str, str, int]]:
        """What instances hold that outlive their request, being pinned or brought back: (request, data, attempt)."""
        return {(row["request_id"], row["data_id"], row["attempt"]) for row in self.rows("instances", """SELECT a.request_id, a.data_id,
                i.attempt FROM access a JOIN datainstance i ON i.id = a.instance_id WHERE i.alone AND i.state != 'Destroyed'""")}


def value(cell: Any) -> Any:
    """A JSON cell as what it says: PostgreSQL's driver has decoded it already, SQLite holds text."""
    return json.loads(cell) if isinstance(cell, (str, bytes)) else cell


UNDER_WAY = {
    "requests on their way": ("requests", """SELECT count(*) AS n FROM datarequest WHERE destroyed_at IS NULL AND blocked_by IS NULL
                              AND state IN ('Needed', 'Selected', 'Evaluated')"""),
    "entries to move or to remove": ("instances", "SELECT count(*) AS n FROM access WHERE state IN ('pending', 'leaving', 'purging')"),
    "scans": ("catalog", "SELECT count(*) AS n FROM scan WHERE state = 'running'"),
    **{f"messages to send of {service}": (service, "SELECT count(*) AS n FROM outbox")
       for service in ("requests", "reservations", "instances", "catalog", "events")},
}


def under_way(databases: Databases) -> dict[str, int]:
    """How much of each kind of work is not done yet."""
    return {what: databases.rows(service, statement)[0]["n"] for what, (service, statement) in UNDER_WAY.items()}
