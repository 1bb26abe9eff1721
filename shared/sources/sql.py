"""The adaptor ``sql``: tables and queries of a database as Data, delivered as Parquet or CSV.

Parameters
- ``url``: a SQLAlchemy URL without a password, ``postgresql://user@host/database`` or ``sqlite:////absolute/path.db``;
  ``password``: by reference, ``{"secret": "NAME"}`` or ``"${NAME}"``.
- ``tables``: their names (``schema.table`` or ``table``; default: every table of the default schema); ``queries``: ``{name: SELECT …}``.
- ``format``: ``parquet`` (default) or ``csv``.

An item is named ``<table>.<format>`` and has the type ``table``. It is exported in one transaction that sees one state of the database,
in the order of its primary key. What changed while it was exported is noticed by a mark of the table: on PostgreSQL its row versions,
on SQLite the commits of others, elsewhere its number of rows. The size of an item is known when it was exported. Reads only.
Imports SQLAlchemy and pyarrow when it is opened, in worker processes only.
"""
from __future__ import annotations

import hashlib
import io
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit, urlunsplit

from shared.kernel.errors import Denied, EdgemereError, Invalid, NotFound, Unavailable
from shared.sources.addresses import check_reachable, literal_allowed, not_allowed
from shared.sources.paths import to_bytes
from shared.sources.port import Entry, Problem, SourcePolicy, Stat
from shared.sources.registry import bad_parameters, optional, texts
from shared.sources.roots import allowed_root
from shared.sources.tags import fingerprint
from shared.sources.vault import resolved

PARAMETERS = ("url", "password", "tables", "queries", "format")
FORMATS = {"parquet": "application/vnd.apache.parquet", "csv": "text/csv"}
DRIVERS = {"postgresql": "postgresql+psycopg2", "postgres": "postgresql+psycopg2", "postgresql+psycopg2": "postgresql+psycopg2",
           "sqlite": "sqlite", "mysql": "mysql", "mariadb": "mariadb", "mssql": "mssql", "oracle": "oracle"}
PORTS = {**dict.fromkeys(("postgresql", "postgres", "postgresql+psycopg2"), 5432), "mysql": 3306, "mariadb": 3306, "mssql": 1433, "oracle": 1521}
ROWS = 20_000
TIMEOUT_S = 600
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)?")
_QUERY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,100}")
_SELECT = re.compile(r"\s*(SELECT|WITH|TABLE|VALUES)\b", re.I)


def check(parameters: Mapping[str, Any], policy: SourcePolicy) -> dict[str, Any]:
    """The parameters with defaults; connects to nothing. Raises as ``registry.check_parameters``."""
    url = optional(parameters, "url", str, "")
    split = urlsplit(url)
    if split.scheme not in DRIVERS:
        raise bad_parameters("url", f"does not begin with one of {', '.join(sorted(DRIVERS))}" if url else "is missing",
                             'For example {"url": "postgresql://user@host/database", "password": {"secret": "NAME"}}.')
    if split.password:
        raise bad_parameters("url", "holds a password", 'Leave it out and write "password": {"secret": "NAME"}.')
    if split.query or split.fragment:
        raise bad_parameters("url", "holds options; leave them out")
    if split.scheme == "sqlite":
        if split.netloc or not split.path.startswith("//"):
            raise bad_parameters("url", "is not sqlite:////absolute/path")
        url = "sqlite:///" + allowed_root(split.path[1:], policy, "url")
    elif not split.hostname:
        raise bad_parameters("url", "names no server")
    elif not literal_allowed(split.hostname, split.port or PORTS[split.scheme], policy):
        refused = not_allowed(split.hostname)
        refused.errors = [{"pointer": "/parameters/url", "detail": refused.detail}]
        raise refused
    password = optional(parameters, "password", (str, dict), None)
    tables, queries = texts(parameters, "tables"), optional(parameters, "queries", dict, {})
    for name in tables:
        if not _NAME.fullmatch(name):
            raise bad_parameters("tables", f"holds '{name[:60]}', which is no name of a table")
    for name, query in queries.items():
        if not _QUERY_NAME.fullmatch(name):
            raise bad_parameters(f"queries/{name[:60]}", "has a name that is not made of letters, digits, '_', '.' and '-'")
        if not isinstance(query, str) or not _SELECT.match(query) or ";" in query.rstrip().rstrip(";"):
            raise bad_parameters(f"queries/{name}", "is not one SELECT statement")
    kind = optional(parameters, "format", str, "parquet")
    if kind not in FORMATS:
        raise bad_parameters("format", f"is none of {', '.join(FORMATS)}")
    return {"url": url, **({"password": password} if password is not None else {}), "tables": tables, "queries": queries, "format": kind}


def open_source(parameters: Mapping[str, Any], policy: SourcePolicy) -> SqlSource:
    kept = check(parameters, policy)
    split = urlsplit(kept["url"])
    address = check_reachable(split.hostname, split.port or PORTS[split.scheme], policy) if split.hostname else None
    return SqlSource(kept, resolved(kept.get("password"), policy), address)


class SqlSource:
    """The tables of one database. For several threads."""

    has_bytes = True
    writable = deletable = False
    # What is opened is a file made for it, whose size is known then.
    exports = True

    def __init__(self, parameters: Mapping[str, Any], password: str | None, address: str | None = None) -> None:
        """``address`` is the one that was judged: the driver connects there, whatever the name becomes in the meantime."""
        self.parameters, self._password, self._address = parameters, password, address
        self._made: Any = None

    def close(self) -> None:
        if self._made is not None:
            self._made.dispose()

    @property
    def _engine(self) -> Any:
        if self._made is None:
            from sqlalchemy import create_engine, make_url

            scheme = urlsplit(self.parameters["url"]).scheme
            url = make_url(self.parameters["url"]).set(drivername=DRIVERS[scheme])
            if self._password is not None:
                url = url.set(password=self._password)
            options: dict[str, Any] = {}
            if scheme.startswith("postgres"):
                # The name stays for what a certificate says.
                options = {"connect_timeout": 10, **({"hostaddr": self._address} if self._address else {})}
            elif self._address:
                url = url.set(host=self._address)
            if scheme == "sqlite":
                url = url.set(database=f"file:{quote(url.database)}", query={"mode": "ro", "uri": "true"})
                options = {"timeout": 10, "check_same_thread": False}
            try:
                self._made = create_engine(url, connect_args=options, pool_size=4, pool_pre_ping=True, hide_parameters=True)
            except ImportError as error:
                raise Invalid("source.driver_missing", f"A package for this kind of database is not installed: {error}.",
                              next_step="Install it into the environment of the server.") from None
        return self._made

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        """A connection in one transaction that sees one state of the database and writes nothing."""
        from sqlalchemy import text
        from sqlalchemy.exc import DBAPIError

        try:
            with self._engine.connect() as connection:
                if self._engine.dialect.name == "postgresql":
                    connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                    connection.execute(text(f"SET LOCAL statement_timeout = {TIMEOUT_S * 1000}"))
                elif self._engine.dialect.name == "sqlite":
                    connection.exec_driver_sql("BEGIN")
                yield connection
        except DBAPIError as error:
            raise _meant(error) from None

    def _statement(self, path: str) -> Any:
        """The SELECT behind a path, in the order of the primary key where there is one. Raises ``source.vanished``."""
        from sqlalchemy import MetaData, Table, select, text
        from sqlalchemy.exc import NoSuchTableError

        to_bytes(path)
        name, _, kind = path.rpartition(".")
        query = self.parameters["queries"].get(name)
        if kind != self.parameters["format"]:
            raise _gone(path)
        if query is not None:
            return text(query.rstrip().rstrip(";")), None
        if self.parameters["tables"] and name not in self.parameters["tables"]:
            raise _gone(path)
        schema, _, bare = name.rpartition(".")
        try:
            with self._reading() as connection:
                table = Table(bare, MetaData(), schema=schema or None, autoload_with=connection, resolve_fks=False)
        except NoSuchTableError:
            raise _gone(path) from None
        return select(table).order_by(*table.primary_key.columns), table

    def _mark(self, connection: Any, statement: Any, table: Any) -> int:
        """A number that is another one when the rows changed."""
        from sqlalchemy import func, select, text

        dialect = self._engine.dialect.name
        if table is None:
            said: Any = connection.execute(text(f"SELECT count(*) FROM ({statement.text}) AS counted")).scalar()
        elif dialect == "postgresql":
            quoted = self._engine.dialect.identifier_preparer.format_table(table)
            said = tuple(connection.execute(text(
                f"SELECT count(*), coalesce(sum(hashtextextended(xmin::text || ctid::text, 0)), 0)::text FROM {quoted}")).one())
        else:
            said = connection.execute(select(func.count()).select_from(table)).scalar()
        if dialect == "sqlite":
            said = (said, _file_state(self._engine.url.database))
        return int.from_bytes(hashlib.blake2b(repr(said).encode(), digest_size=7).digest(), "big")

    def stat(self, path: str) -> Stat:
        statement, table = self._statement(path)
        with self._reading() as connection:
            return Stat(None, modified_ns=self._mark(connection, statement, table))

    reachable = stat

    def open(self, path: str, offset: int = 0) -> BinaryIO:
        statement, table = self._statement(path)
        file = tempfile.TemporaryFile(prefix="edgemere-table-")
        try:
            with self._reading() as connection:
                mark = self._mark(connection, statement, table)
                write = _write_parquet if self.parameters["format"] == "parquet" else _write_csv
                write(connection.execution_options(stream_results=True, max_row_buffer=ROWS).execute(statement), file, table)
            file.flush()
            size = file.tell()
            file.seek(offset)
        except BaseException as error:
            file.close()
            raise error if isinstance(error, (EdgemereError, OSError)) else _meant(error) from None
        return Exported(file, Stat(None, modified_ns=mark), size)  # type: ignore[return-value]

    def locate(self, path: str) -> dict[str, str | None]:
        split = urlsplit(self.parameters["url"])
        return {"uri": urlunsplit(split) + "#" + quote(path), "path": None}

    def scan(self) -> Iterator[Entry | Problem]:
        from sqlalchemy import inspect

        names = list(self.parameters["tables"])
        if not names and not self.parameters["queries"]:
            with self._reading() as connection:
                names = sorted(inspect(connection).get_table_names())
        for name in [*names, *self.parameters["queries"]]:
            path = f"{name}.{self.parameters['format']}"
            try:
                yield self._entry(path, name)
            except EdgemereError as error:
                yield Problem(path, "source.vanished" if error.code == "source.vanished" else "source.unreadable", error.detail)

    def _entry(self, path: str, name: str) -> Entry:
        from sqlalchemy import func, select, text

        statement, table = self._statement(path)
        with self._reading() as connection:
            if table is None:
                tags: dict[str, Any] = {"query": statement.text[:2000]}
                tags["columns"] = list(connection.execute(text(f"SELECT * FROM ({statement.text}) AS looked LIMIT 0")).keys())
                tags["rows"] = connection.execute(text(f"SELECT count(*) FROM ({statement.text}) AS counted")).scalar()
            else:
                tags = {"table": name, "columns": [column.name for column in table.columns]}
                tags["rows"] = connection.execute(select(func.count()).select_from(table)).scalar()
            mark = self._mark(connection, statement, table)
        media = FORMATS[self.parameters["format"]]
        return Entry(path, path, "table", None, media, None, None, tags, self.locate(path)["uri"], fingerprint("table", mark, media, tags))


class Exported(io.RawIOBase):
    """The file that a table was exported to; ``stat`` is that of the table then, without a size for it has none itself."""

    def __init__(self, file: Any, stat: Stat, size: int) -> None:
        self.stat, self.size, self._file = stat, size, file

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _write_parquet(result: Any, file: Any, table: Any) -> None:
    import pyarrow
    import pyarrow.parquet

    names = list(result.keys())
    types = {column.name: _arrow_type(column.type) for column in table.columns} if table is not None else {}
    writer = None
    try:
        for rows in _some(result):
            columns = dict(zip(names, zip(*rows, strict=True) if rows else [()] * len(names), strict=True))
            if writer is None:
                # The columns of a query say nothing of their types: its first rows do.
                types = {name: types.get(name) or _seen_type(columns[name]) for name in names}
                writer = pyarrow.parquet.ParquetWriter(file, pyarrow.schema(list(types.items())))
            writer.write_table(pyarrow.table({name: _column(columns[name], types[name]) for name in names}))
    except (pyarrow.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise Invalid("source.unreadable", f"A value does not fit the type of its column: {str(error)[:200]}.",
                      next_step="Write a query that casts the column, or use format: csv.") from None
    finally:
        if writer is not None:
            writer.close()


def _arrow_type(kind: Any) -> Any:
    """The Arrow type of a column; what Arrow has no type for is text. A number without a precision is a double."""
    import pyarrow
    from sqlalchemy import types

    if isinstance(kind, types.Numeric) and not isinstance(kind, types.Float):
        exact = kind.precision and kind.precision <= 38
        return pyarrow.decimal128(kind.precision, kind.scale or 0) if exact else pyarrow.float64()
    for known, arrow in ((types.Boolean, pyarrow.bool_()), (types.Integer, pyarrow.int64()), (types.Float, pyarrow.float64()),
                         (types.LargeBinary, pyarrow.binary()), (types.Date, pyarrow.date32()), (types.Time, pyarrow.time64("us"))):
        if isinstance(kind, known):
            return arrow
    if isinstance(kind, types.DateTime):
        return pyarrow.timestamp("us", tz="UTC" if kind.timezone else None)
    return pyarrow.string()


def _seen_type(values: Any) -> Any:
    import decimal

    import pyarrow

    seen = [value for value in values if value is not None]
    if any(isinstance(value, decimal.Decimal) for value in seen):
        return pyarrow.float64()
    try:
        found = pyarrow.array(seen).type
    except pyarrow.ArrowException:
        return pyarrow.string()
    return pyarrow.string() if pyarrow.types.is_null(found) else found


def _column(values: Any, kind: Any) -> Any:
    import json

    import pyarrow

    if pyarrow.types.is_floating(kind):
        values = [None if value is None else float(value) for value in values]
    elif pyarrow.types.is_string(kind):
        values = [value if value is None or isinstance(value, str) else
                  json.dumps(value, default=str) if isinstance(value, (dict, list)) else str(value) for value in values]
    return pyarrow.array(values, type=kind)


def _write_csv(result: Any, file: Any, table: Any) -> None:
    import csv

    text = io.TextIOWrapper(file, "utf-8", newline="")
    writer = csv.writer(text)
    writer.writerow(result.keys())
    for rows in _some(result):
        writer.writerows(rows)
    text.flush()
    text.detach()


def _some(result: Any) -> Iterator[list[Any]]:
    """Rows in stretches, at least one (maybe empty), so that an empty table has its columns."""
    rows = result.fetchmany(ROWS)
    yield rows
    while rows and (rows := result.fetchmany(ROWS)):
        yield rows


def _file_state(database: str) -> tuple[Any, ...]:
    """Of a SQLite file and its log: another one after each commit, which does not change the number of rows."""
    path = database.removeprefix("file:")
    found = []
    for suffix in ("", "-wal"):
        try:
            seen = os.stat(path + suffix)
            found.append((seen.st_size, seen.st_mtime_ns))
        except OSError:
            found.append((0, 0))
    return tuple(found)


def _gone(path: str) -> NotFound:
    return NotFound("source.vanished", f"There is no table or query behind '{path}'.", next_step="Scan the source again.")


def _meant(error: BaseException) -> EdgemereError:
    """What an error of a database means; nothing of its text but the first line, for it may hold the statement."""
    first = str(getattr(error, "orig", None) or error).strip().splitlines()
    said = (first[0] if first else type(error).__name__)[:200]
    if "password" in said or "authentication" in said or "permission denied" in said:
        return Denied("source.access_denied", f"The database denies access: {said}.", next_step="Look at the user and the password of the source.")
    if "does not exist" in said or "no such table" in said or "no such column" in said:
        return NotFound("source.vanished", f"The database says: {said}.", next_step="Scan the source again.")
    return Unavailable("source.unreadable", f"The database cannot be read: {said}.", next_step="Look at the database, then retry.")
