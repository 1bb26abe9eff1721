"""One moment of all databases of a mesh at once, while it runs: writers wait for some milliseconds, then the copying begins.

For that moment every database is closed to writers, one after the other, and a view is opened in each; then all go on. No commit
lies between two of the views, so what one service has heard of another, that other has said: a message that is gone from an
outbox is in the broker's file or was handled, and a handled one is in its inbox. Opens no file of its own and knows no archive.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from shared.kernel.errors import Unavailable

# How long writers may keep us waiting, each time; and how often a lost race is tried again.
WAIT_S = 10
ATTEMPTS = 5


@contextmanager
def of_files(files: Mapping[str, Path]) -> Iterator[Mapping[str, sqlite3.Connection]]:
    """A connection to each SQLite file, all with a view of the same moment.

    Raises:
        Unavailable: ``backup.busy``, a writer did not end in time.
    """
    with ExitStack() as open_ones:
        views = {name: open_ones.enter_context(closing(sqlite3.connect(path, isolation_level=None, timeout=WAIT_S))) for name, path in files.items()}
        with ExitStack() as locks:
            for path in files.values():
                lock = locks.enter_context(closing(sqlite3.connect(path, isolation_level=None, timeout=WAIT_S)))
                try:
                    lock.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError as error:
                    raise _busy(path.name, error) from error
            for view in views.values():
                view.execute("BEGIN")
                view.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield views


@contextmanager
def of_schemas(urls: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    """A psycopg2 connection to the schema of each service, all in a transaction that sees the same moment.

    Raises:
        Unavailable: ``backup.busy``; ``database.unavailable``.
    """
    import psycopg2

    for attempt in range(1, ATTEMPTS + 1):
        with ExitStack() as open_ones:
            try:
                views = {name: open_ones.enter_context(closing(_connected(name, url))) for name, url in urls.items()}
                with ExitStack() as locks:
                    for name, url in urls.items():
                        lock = locks.enter_context(closing(_connected(name, url)))
                        tables = ", ".join(f'"{name}"."{table}"' for table in tables_of(lock, name))
                        # Writers wait; readers do not.
                        lock.cursor().execute(f"LOCK TABLE {tables} IN SHARE MODE")
                    for view in views.values():
                        view.set_session(isolation_level="REPEATABLE READ", readonly=True)
                        view.cursor().execute("SELECT count(*) FROM alembic_version")
            except psycopg2.OperationalError as error:
                # A deadlock with a writer, which is tried again there, or a lock that was not to be had.
                if getattr(error, "pgcode", None) not in ("40P01", "55P03"):
                    raise Unavailable("database.unavailable", f"The database does not answer: {error}"[:300]) from error
                if attempt == ATTEMPTS:
                    raise _busy("the database", error) from error
                time.sleep(0.2 * attempt)
                continue
            yield views
            return


def tables_of(connection: Any, schema: str) -> list[str]:
    """The tables of a schema, by name."""
    cursor = connection.cursor()
    cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = %s AND table_type = 'BASE TABLE' ORDER BY 1", (schema,))
    return [name for (name,) in cursor.fetchall()]


def _connected(schema: str, url: str) -> Any:
    import psycopg2

    # A copy may take longer than any statement of a handler.
    return psycopg2.connect(
        url.replace("+psycopg2", ""), connect_timeout=WAIT_S, options=f"-csearch_path={schema} -clock_timeout={WAIT_S * 1000} -cstatement_timeout=0"
    )


def _busy(what: str, error: BaseException) -> Unavailable:
    return Unavailable("backup.busy", f"A writer of {what} did not end within {WAIT_S} s ({error}).", next_step="Try again; nothing was changed.")
