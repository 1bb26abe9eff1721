"""Runs what SQL could not say over the rows that the rest left, bounded in memory and in time.

Entry point: ``scan``. It never claims more than it saw: a search cut short says so.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select

BATCH_ROWS = 500


@dataclass(frozen=True)
class Found:
    """What a scan found. ``rows`` are ``(row, document)`` pairs, at most as many as wanted.

    ``matched`` counts all matches among the ``examined`` rows; ``is_estimate`` when rows were left unexamined,
    so that there may be more.
    """

    rows: list[tuple[Mapping[str, Any], Mapping[str, Any]]]
    matched: int
    examined: int
    is_estimate: bool


def in_transaction(conn: Connection) -> Connection:
    """The connection, made ready for a cursor of the server, which lives in a transaction only."""
    if conn.dialect.name == "postgresql":
        own = conn.connection.dbapi_connection
        if own is not None and own.autocommit:
            own.autocommit = False
    return conn


def scan(
    conn: Connection,
    statement: Select[Any],
    document: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    residual: Callable[[Mapping[str, Any]], bool],
    *,
    want: int | None = None,
    count_all: bool = False,
    max_rows: int = 50_000,
    max_seconds: float = 2.0,
    clock: Callable[[], float] = time.monotonic,
) -> Found:
    """The rows of ``statement``, in its order, whose documents pass ``residual``.

    Stops at ``want`` matches (unless ``count_all``), after ``max_rows`` rows, or after ``max_seconds``. Holds one
    batch of rows and the matches wanted in memory. ``document`` makes the object of a row (a mapping by column).
    """
    kept: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = []
    matched = examined = 0
    ends = clock() + max_seconds
    limited = statement.limit(max_rows + 1)
    cut = False
    with in_transaction(conn).execution_options(stream_results=True).execute(limited) as result:
        # The option is the connection's until told otherwise, and other statements must not inherit a cursor.
        conn.execution_options(stream_results=False)
        for batch in result.mappings().partitions(BATCH_ROWS):
            for row in batch:
                if examined >= max_rows:
                    cut = True
                    break
                examined += 1
                shown = document(row)
                if residual(shown):
                    matched += 1
                    if want is None or len(kept) < want:
                        kept.append((row, shown))
                    if want is not None and not count_all and matched >= want:
                        cut = True
                        break
            if cut or clock() > ends:
                cut = cut or len(batch) == BATCH_ROWS
                break
    return Found(kept, matched, examined, cut)
