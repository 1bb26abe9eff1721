"""One service's database: a SQLite file, or a schema in PostgreSQL. Opens transactions; holds no rows."""
from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import orjson
from sqlalchemy import Connection, Engine, MetaData, create_engine, event
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool

from shared.kernel.context import Context
from shared.kernel.errors import Unavailable, VersionConflict
from shared.storage.patience import at_most
from shared.storage.unit_of_work import UnitOfWork

T = TypeVar("T")
RETRIES = 5
LOOK_S = 3.0
# Class 40 is a lost race (serialization failure, deadlock); 55P03 a lock not available: another attempt helps.
_RACES = ("40001", "40P01", "55P03")
# A connection that answered so recently is not asked whether it is alive before it is used.
FRESH_S = 2.0
# With less on its disk a database in a file cannot be written.
LEAST_FREE_BYTES = 1 << 20
NO_ROOM = "The disk of the database is full: nothing can be written."


def to_json(value: Any) -> str:
    """JSON text, as the databases and messages hold it."""
    return orjson.dumps(value).decode()


def make_engine(url: str, service: str, *, pool_size: int = 25, statement_timeout_s: float = 30) -> Engine:
    """An engine for ``service``: ``sqlite:///file`` or ``postgresql+psycopg2://…``, where it gets a schema of its name.

    What it fails with has no values of what was written or asked for: errors are logged, and become the reasons of dead letters.
    """
    if url.startswith("sqlite"):
        engine = create_engine(url, json_serializer=to_json, json_deserializer=orjson.loads, pool_size=pool_size, hide_parameters=True,
                               max_overflow=0, connect_args={"check_same_thread": False, "timeout": 10})
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    options = f"-csearch_path={service} -cstatement_timeout={int(statement_timeout_s * 1000)} -clock_timeout=10000"
    engine = create_engine(
        url, json_serializer=to_json, json_deserializer=orjson.loads, pool_size=pool_size, max_overflow=5, pool_timeout=5,
        hide_parameters=True,
        # Those used last come first: they are known to be alive, and the others may rest.
        pool_use_lifo=True,
        connect_args={"options": options, "connect_timeout": 5, "keepalives_idle": 10, "tcp_user_timeout": 15000},
    )
    _look_before_use(engine)
    return engine


def _look_before_use(engine: Engine) -> None:
    """Ask a pooled connection whether it is alive, when it was idle for a while; SQLAlchemy's own way asks each time."""
    def came_back(connection: Any, record: Any) -> None:
        record.info["answered"] = time.monotonic()
        if connection is not None and not connection.closed and connection.autocommit:
            connection.autocommit = False

    def goes_out(connection: Any, record: Any, _: Any) -> None:
        if time.monotonic() - record.info.get("answered", time.monotonic()) < FRESH_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            # Those that lay beside it are no better.
            raise InvalidatePoolError() from error

    event.listen(engine, "checkin", came_back)
    event.listen(engine, "checkout", goes_out)


def _set_up_sqlite(connection: Any, _: Any) -> None:
    # The driver's own transaction handling begins too late and deferred; ours is explicit.
    connection.isolation_level = None
    cursor = connection.cursor()
    # NORMAL in WAL mode survives the death of the process at any moment; only a power cut may take the last commits.
    # Each connection of each service has a cache of its own; behind it is the system's, which is one for all.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "cache_size=-8000", "temp_store=MEMORY",
                   "journal_size_limit=67108864",
                   # A checkpoint waits for the disk; one for every 64 MB instead of 4 MB.
                   "wal_autocheckpoint=16000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A write lock taken at the beginning cannot be lost in the middle.
    writes = connection.get_execution_options().get("writes", False)
    statement = "BEGIN IMMEDIATE" if writes else "BEGIN"
    try:
        # Before every transaction and every look: SQLAlchemy's way with a statement costs ten times as much as this one.
        connection.connection.dbapi_connection.execute(statement)
    except sqlite3.Error as error:
        raise OperationalError(statement, None, error) from error


class Database:
    """The database of one service.

    On SQLite one green lock stands before every write: a call that waits for SQLite's own lock would stop the
    whole process, and with it the one who holds the lock. ``on_commit`` is called after each commit that left
    messages in the outbox, to wake the relay.
    """

    def __init__(self, engine: Engine, metadata: MetaData, on_commit: Callable[[], None] | None = None) -> None:
        self.engine = engine
        self.metadata = metadata
        self.on_commit = on_commit
        self.is_sqlite = engine.dialect.name == "sqlite"
        self._writing = threading.Lock()
        self._writer = engine.execution_options(writes=True)

    @contextmanager
    def transaction(self, context: Context | None = None) -> Iterator[UnitOfWork]:
        """A unit of work: committed at the end of the block, rolled back when the block raises.

        Raises:
            VersionConflict: somebody changed a row meanwhile; ``retrying`` runs the whole block again.
            Unavailable: ``database.unavailable``, the database does not answer.
        """
        if self.is_sqlite:
            with self._writing:
                said = yield from self._transaction(context)
        else:
            said = yield from self._transaction(context)
        if said and self.on_commit:
            self.on_commit()

    def _transaction(self, context: Context | None) -> Iterator[UnitOfWork]:
        with self.translating(), self._writer.begin() as connection:
            uow = UnitOfWork(connection, context or Context(), self.metadata.tables)
            yield uow
            uow.flush()
        return uow.said

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for reading. On SQLite one consistent view and no lock; on PostgreSQL a view for each statement."""
        with self.translating(), self.engine.connect() as connection:
            if not self.is_sqlite:
                # A transaction would be two more statements and no better view. The pool takes the mark off again.
                connection.connection.dbapi_connection.autocommit = True
            yield connection

    @contextmanager
    def translating(self) -> Iterator[None]:
        """What the driver raises inside comes out in the words of the product."""
        try:
            yield
        except DBAPIError as error:
            raise _translated(error) from error
        except PoolTimeout as error:
            raise Unavailable("database.unavailable", "Every connection to the database is in use.",
                              next_step="Try again in a moment.") from error

    def look(self) -> str | None:
        """What is wrong with the way to the database, or None; ends within seconds."""
        if self._is_without_room():
            return NO_ROOM
        with at_most(LOOK_S), self.reading() as connection:
            connection.exec_driver_sql("SELECT 1")
        return None

    def is_there_for_others(self) -> bool:
        """Whether a connection that is not one of this process's pool gets an answer, and could write."""
        if self._is_without_room():
            return False
        fresh = create_engine(self.engine.url, poolclass=NullPool, connect_args={"connect_timeout": 5} if not self.is_sqlite else {})
        try:
            with at_most(LOOK_S), fresh.connect() as connection:
                connection.exec_driver_sql("SELECT 1")
            return True
        except DBAPIError:
            return False

    def _is_without_room(self) -> bool:
        # A database on a server says so itself, with the first statement that needs room.
        return self.is_sqlite and shutil.disk_usage(Path(self.engine.url.database).parent).free < LEAST_FREE_BYTES

    def connections_in_use(self) -> int:
        return self.engine.pool.checkedout()  # type: ignore[attr-defined]

    def most_connections(self) -> int:
        pool = self.engine.pool
        return pool.size() + pool._max_overflow  # type: ignore[attr-defined]

    @contextmanager
    def at_once(self) -> Iterator[Connection]:
        """A connection for a statement that is a transaction by itself and says nothing."""
        if self.is_sqlite:
            with self._writing, self.translating(), self._writer.begin() as connection:
                yield connection
        else:
            with self.reading() as connection:
                yield connection

    def retrying(self, work: Callable[[], T]) -> T:
        """``work()``, again when it lost a race for a row; at most five times."""
        for attempt in range(RETRIES):
            try:
                return work()
            except VersionConflict:
                if attempt == RETRIES - 1:
                    raise
        raise AssertionError("unreachable")

    def close(self) -> None:
        self.engine.dispose()


# Refused before there is a state that would say so.
_REFUSED = ("authentication failed", "is not permitted to log in", "no password supplied", "no pg_hba.conf entry")


def _translated(error: DBAPIError) -> Exception:
    state = getattr(error.orig, "pgcode", None)
    if state in _RACES:
        return VersionConflict(detail="Another writer was faster.")
    if state == "53100" or getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return Unavailable("database.full", NO_ROOM, next_step="Make room on that disk, then try again.")
    if state is None and any(words in str(error.orig) for words in _REFUSED):
        return Unavailable("database.unavailable", "The database refuses the login of this service.",
                           next_step="Look at the user and password of the database that it was given, and whether that user may log in.")
    if isinstance(error, OperationalError) and (error.connection_invalidated or state is None or state[:2] in ("08", "53", "57")):
        return Unavailable("database.unavailable", "The database does not answer.",
                           next_step="Try again; /health/ready says when it is back.")
    return error


def sqlite_url(folder: Path, service: str) -> str:
    """The address of a service's database file in a data folder."""
    return f"sqlite:///{folder / (service + '.db')}"
