"""Empty tables of PostgreSQL filled from the files of a backup: rows in one stream each, their indexes built when all of them are there.

One transaction for a schema: it is filled as a whole, with all its indexes, or as it was.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

PIECE = 1 << 20
# What an index is sorted in before it has to go to the disk; for a few connections, and only while a backup is brought back.
_SORT_IN = "128MB"
# Those that hold a promise (a key, a uniqueness that the schema names) stay: each row is checked against them as it comes.
_INDEXES = """
    SELECT format('%%I.%%I', space.nspname, name.relname), pg_get_indexdef(made.indexrelid)
    FROM pg_index made JOIN pg_class name ON name.oid = made.indexrelid JOIN pg_class of ON of.oid = made.indrelid
    JOIN pg_namespace space ON space.oid = of.relnamespace
    WHERE space.nspname = %s AND of.relname = ANY(%s) AND NOT made.indisunique
      AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = made.indexrelid)
    ORDER BY 1
"""


def refill(engine: Any, schema: str, tables: Mapping[str, Mapping[str, Any]], folder: Path) -> None:
    """Fill ``tables`` ({name: {columns}}) of a schema from ``folder``'s files ``<schema>.<table>.copy``."""
    with closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(f"SET LOCAL maintenance_work_mem = '{_SORT_IN}'")
        with _without_indexes(cursor, schema, list(tables)):
            for table, told in tables.items():
                with open(folder / f"{schema}.{table}.copy", "rb") as rows:
                    cursor.copy_expert(f'COPY "{schema}"."{table}" ({quoted(told["columns"])}) FROM STDIN', rows, PIECE)
                _go_on_counting(cursor, schema, table, told["columns"])
        for table in tables:
            # Otherwise the first questions would be planned as if the tables were empty.
            cursor.execute(f'ANALYZE "{schema}"."{table}"')
        connection.commit()


def quoted(columns: Sequence[str]) -> str:
    """Columns as SQL names them."""
    return ", ".join(f'"{column}"' for column in columns)


@contextmanager
def _without_indexes(cursor: Any, schema: str, tables: Sequence[str]) -> Iterator[None]:
    cursor.execute(_INDEXES, (schema, tables))
    indexes = cursor.fetchall()
    for name, _ in indexes:
        cursor.execute(f"DROP INDEX {name}")
    yield
    for _, definition in indexes:
        cursor.execute(definition)


def _go_on_counting(cursor: Any, schema: str, table: str, columns: Sequence[str]) -> None:
    """New rows are numbered after the restored ones."""
    for column in columns:
        cursor.execute("SELECT pg_get_serial_sequence(%s, %s)", (f'"{schema}"."{table}"', column))
        sequence = cursor.fetchone()[0]
        if sequence:
            cursor.execute(f'SELECT setval(%s, greatest(max("{column}"), 1), max("{column}") IS NOT NULL) FROM "{schema}"."{table}"', (sequence,))
