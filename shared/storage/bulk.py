"""Many rows in one statement: each row its own values, without the cost of a parameter set for each."""
from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import JSON, Boolean, Connection, Float, Integer, Numeric, String, Table, insert
from sqlalchemy.dialects import postgresql

CHUNK = 5000
FEW = 200


def insert_unless_there(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Insert those of ``rows`` whose ``id`` is not there yet, also where another transaction inserts the same at this
    moment; the ids that were inserted."""
    if connection.dialect.name == "sqlite":
        # The write lock is ours: whoever looks first is right until the end of the transaction.
        have = _existing(connection, table, [row["id"] for row in rows])
        fresh = [row for row in rows if row["id"] not in have]
        insert_rows(connection, table, fresh)
        return {row["id"] for row in fresh}
    # In one order everywhere, so that two who insert the same rows wait for each other instead of in a circle.
    ordered = sorted(rows, key=lambda row: row["id"])
    if _is_plain(table, tuple(rows[0])):
        return set(_insert_document(connection, table, ordered, " ON CONFLICT (id) DO NOTHING RETURNING id"))
    statement = postgresql.insert(table).on_conflict_do_nothing(index_elements=["id"]).returning(table.c.id)
    return set(connection.execute(statement, ordered).scalars())


def _existing(connection: Connection, table: Table, wanted: Sequence[str]) -> set[str]:
    # SQLite's words, one text for any number of ids: SQLAlchemy would expand a list of them each time.
    return set(connection.exec_driver_sql(
        f'SELECT id FROM "{table.name}" WHERE id IN (SELECT value FROM json_each(?))', (orjson.dumps(list(wanted)).decode(),)).scalars())


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, new_only: bool = False) -> None:
    """Insert ``rows``, all of which have the same keys; with ``new_only`` those that break a uniqueness are left out.

    On SQLite the driver takes the rows as they are: SQLAlchemy's own processing of many small rows costs more than
    the insertion itself.
    """
    if not rows:
        return
    if connection.dialect.name != "sqlite":
        if new_only:
            _insert_document(connection, table, rows, " ON CONFLICT DO NOTHING")
        elif len(rows) <= FEW and _is_plain(table, tuple(rows[0])):
            _insert_document(connection, table, rows)
        else:
            connection.execute(insert(table), list(rows))
        return
    statement, names, jsons = _insertion_of_each(table, tuple(rows[0]), new_only)
    values = [[row[name] for name in names] for row in rows]
    for at in jsons:
        for row_values in values:
            if row_values[at] is not None:
                row_values[at] = orjson.dumps(row_values[at]).decode()
    connection.exec_driver_sql(statement, list(map(tuple, values)))


@functools.cache
def _insertion_of_each(table: Table, given: tuple[str, ...], new_only: bool) -> tuple[str, tuple[str, ...], tuple[int, ...]]:
    """The insertion of one row in SQLite's words, the columns of it that are ``given``, and at which places of these is JSON."""
    names = tuple(name for name in given if name in table.c)
    columns, marks = ", ".join(f'"{name}"' for name in names), ", ".join("?" * len(names))
    return (f'INSERT {"OR IGNORE " if new_only else ""}INTO "{table.name}" ({columns}) VALUES ({marks})', names,
            tuple(at for at, name in enumerate(names) if _is_json(table, name)))


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], returned: Any, before: str = "") -> list[Any]:
    """As ``insert_rows`` with ``new_only``; the column ``returned`` of the rows that were inserted, where the database tells (else none).

    ``before``: a statement of PostgreSQL that is sent along, and done first.
    """
    if connection.dialect.name == "sqlite":
        insert_rows(connection, table, rows, new_only=True)
        return []
    return _insert_document(connection, table, rows, f" ON CONFLICT DO NOTHING RETURNING {returned.name}", before)


def insert_first(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], returned: Any) -> set[Any]:
    """Insert a few rows but for those of which the key is there; the column ``returned`` of those that were inserted."""
    if not rows:
        return set()
    if connection.dialect.name == "sqlite":
        return set(connection.exec_driver_sql(_first(table, tuple(rows[0]), returned.name), (orjson.dumps(list(rows)).decode(),)).scalars())
    return set(insert_new(connection, table, rows, returned))


@functools.cache
def _first(table: Table, names: tuple[str, ...], returned: str) -> str:
    """The insertion of a document's rows but for those that are there; SQLite's words."""
    columns = ", ".join(f'"{name}"' for name in names)
    values = ", ".join(f"json_extract(value, '$.\"{name}\"')" for name in names)
    # Without a condition SQLite would take "ON" for that of a join.
    return f'INSERT INTO "{table.name}" ({columns}) SELECT {values} FROM json_each(?) WHERE true ON CONFLICT DO NOTHING RETURNING "{returned}"'


def insert_together(connection: Connection, parts: Sequence[tuple[Table, Sequence[Mapping[str, Any]]]]) -> None:
    """Insert rows into several tables: where the database can and they are few, in one statement."""
    parts = [(table, rows) for table, rows in parts if rows]
    if connection.dialect.name == "sqlite" or sum(len(rows) for _, rows in parts) > FEW:
        for table, rows in parts:
            insert_rows(connection, table, rows)
    elif parts:
        inserts = [_insertion(table, tuple(rows[0]), f"rows_{at}") for at, (table, rows) in enumerate(parts)]
        before = ", ".join(f"part_{at} AS ({statement})" for at, statement in enumerate(inserts[:-1]))
        connection.exec_driver_sql(f"WITH {before} {inserts[-1]}" if before else inserts[-1], {
            f"rows_{at}": orjson.dumps(list(rows)).decode() for at, (_, rows) in enumerate(parts)})


def _insert_document(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], more: str = "", before: str = "") -> list[Any]:
    """All rows in one document, in their order, as the driver's own statement: SQLAlchemy would send a statement for each, or build one anew."""
    names = tuple(name for name in rows[0] if name in table.c)
    statement = f"{before}{'; ' if before else ''}{_insertion(table, names, 'document')}{more}"
    told: list[Any] = []
    for start in range(0, len(rows), CHUNK):
        document = [{name: row[name] for name in names} for row in rows[start:start + CHUNK]]
        answer = connection.exec_driver_sql(statement, {"document": orjson.dumps(document).decode()})
        told += answer.scalars() if "RETURNING" in more else ()
    return told


@functools.cache
def _insertion(table: Table, names: tuple[str, ...], parameter: str) -> str:
    """The insertion of a document's rows, in their order; PostgreSQL's words."""
    columns = ", ".join(f'"{name}"' for name in names)
    kinds = ", ".join(f'"{name}" {_kind(table, name)}' for name in names)
    return (f'INSERT INTO "{table.name}" ({columns}) SELECT {columns} '
            f"FROM jsonb_to_recordset(CAST(%({parameter})s AS jsonb)) AS given({kinds})")


@functools.cache
def _is_plain(table: Table, names: tuple[str, ...]) -> bool:
    """Whether a document says these columns as they are, and nothing is left for SQLAlchemy to fill in."""
    return all(name in table.c and isinstance(table.c[name].type, (JSON, Boolean, Integer, Float, String)) for name in names) and all(
        column.default is None or column.name in names for column in table.columns)


def update_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], now: str) -> int:
    """Write ``rows`` (``id``, ``old_version`` and the same columns in each), raising the version of each by one.

    Returns how many rows were at their old version and so were written.
    """
    names = [name for name in rows[0] if name not in ("id", "old_version")]
    constant = [name for name in names if all(row[name] == rows[0][name] for row in rows)]
    varying = [name for name in names if name not in constant]
    statement = _statement(connection.dialect.name, table, tuple(constant), tuple(varying))
    fixed = {f"c_{name}": _bound(table, name, rows[0][name]) for name in constant}
    count = 0
    for start in range(0, len(rows), CHUNK):
        document = [{"id": row["id"], "v": row["old_version"], **{name: row[name] for name in varying}}
                    for row in rows[start:start + CHUNK]]
        given = {"document": orjson.dumps(document).decode(), "now": now, **fixed}
        count += connection.exec_driver_sql(statement, given).rowcount
    return count


def _is_json(table: Table, name: str) -> bool:
    return isinstance(table.c[name].type, JSON)


def _bound(table: Table, name: str, value: Any) -> Any:
    return orjson.dumps(value).decode() if _is_json(table, name) and value is not None else value


@functools.lru_cache(1000)
def _statement(dialect: str, table: Table, constant: tuple[str, ...], varying: tuple[str, ...]) -> str:
    on_postgres = dialect == "postgresql"

    def of_constant(name: str) -> str:
        return f"CAST(%(c_{name})s AS {_kind(table, name)})" if on_postgres else f":c_{name}"

    sets = [f'"{name}" = {of_constant(name)}' for name in constant]
    sets += [f'"{name}" = given."{name}"' for name in varying]
    sets += ["version = given.v + 1", "updated_at = %(now)s" if on_postgres else "updated_at = :now"]
    if on_postgres:
        columns = ", ".join(['id text', 'v integer', *(f'"{name}" {_kind(table, name)}' for name in varying)])
        source = f"jsonb_to_recordset(CAST(%(document)s AS jsonb)) AS given({columns})"
    else:
        columns = ", ".join([
            "json_extract(value, '$.id') AS id", "json_extract(value, '$.v') AS v",
            *(f"json_extract(value, '$.\"{name}\"') AS \"{name}\"" for name in varying)])
        source = f"(SELECT {columns} FROM json_each(:document)) AS given"
    return (f'UPDATE "{table.name}" SET {", ".join(sets)} FROM {source} '
            f'WHERE "{table.name}".id = given.id AND "{table.name}".version = given.v')


def _kind(table: Table, name: str) -> str:
    kind = table.c[name].type
    if isinstance(kind, JSON):
        return "jsonb"
    if isinstance(kind, Boolean):
        return "boolean"
    if isinstance(kind, Integer):
        return "bigint"
    if isinstance(kind, (Float, Numeric)):
        return "double precision"
    return "text"
