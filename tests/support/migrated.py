"""Databases of a service at the current schema, for tests that are about something else.

The migrations run once for each kind of database in a test process; the next databases get what they made: a copy of the
file, or the statements alone. What migrations do is asked in ``tests/migration``.
"""
from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, inspect

from shared.storage.database import make_engine
from shared.storage.migrate import migrate
from tests.support.reaper import reaper

_files: dict[str, Path] = {}
_statements: dict[str, str] = {}


def migrated(url: str, service: str) -> Engine:
    """An engine for ``service`` on the database at ``url``, which is at the current schema, however it was before."""
    engine = make_engine(url, service)
    if engine.dialect.name == "sqlite":
        _copy(service, Path(engine.url.database or ""))
    else:
        _repeat(service, engine)
    # Nothing to do for a database that was empty; says so in a few milliseconds.
    migrate(service, engine)
    return engine


def _copy(service: str, path: Path) -> None:
    if path.exists():
        return
    if service not in _files:
        folder = Path(tempfile.mkdtemp(prefix="edgemere-migrated-"))
        reaper.watch_folder(folder)
        engine = make_engine(f"sqlite:///{folder / service}.db", service)
        migrate(service, engine)
        # The last connection that closes leaves all in the one file.
        engine.dispose()
        _files[service] = folder / f"{service}.db"
    shutil.copyfile(_files[service], path)


def _repeat(service: str, engine: Engine) -> None:
    with engine.connect() as connection:
        if inspect(connection).has_table("alembic_version"):
            return
    if service in _statements:
        with engine.begin() as connection:
            # As it is: what looks like a parameter is none.
            connection.connection.cursor().execute(_statements[service])
        return
    said: list[str] = []

    def note(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
        if not statement.lstrip().startswith("SELECT"):
            said.append(cursor.mogrify(statement, parameters).decode())

    event.listen(engine, "before_cursor_execute", note)
    try:
        migrate(service, engine)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    _statements[service] = ";\n".join(said)
