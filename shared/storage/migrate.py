"""Brings a service's database to the schema that its code expects. The one alembic environment of all services.

The migrations of a service are the files ``services/<name>/migrations/NNNN_what.py``; a revision is called like its
file, so that a start on a current database compares two names and imports nothing of alembic. Never goes backwards.
"""
from __future__ import annotations

import threading
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from shared.kernel.errors import Invalid
from shared.kernel.importing import without
from shared.storage.patience import at_most

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

SERVICES = Path(__file__).resolve().parents[2] / "services"
LONGEST_S = 3600.0
"""How long a migration, or the wait for another process's, may take."""
REVISION_LENGTH = 32
"""The width of alembic's column; a longer file name cannot be stored."""

# Alembic's `op` is one for the whole process, so two services' migrations must not run side by side in it; and a new
# SQLite file cannot be opened twice at the moment in which it becomes a WAL database.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Migrated:
    """What happened to one database: its revision before (None: it was empty) and after."""

    service: str
    before: str | None
    after: str

    @property
    def changed(self) -> bool:
        return self.before != self.after


def services_with_models() -> list[str]:
    """The services that have tables, by their folders."""
    return sorted(path.parent.name for path in SERVICES.glob("*/models.py"))


def migrations_folder(service: str) -> Path:
    return SERVICES / service / "migrations"


def revisions(service: str, folder: Path | None = None) -> list[str]:
    """The revisions that this code knows, oldest first."""
    return sorted(path.stem for path in (folder or migrations_folder(service)).glob("[0-9]*.py"))


def migrate(service: str, engine: Engine, folder: Path | None = None, to: str | None = None) -> Migrated:
    """Bring the database behind ``engine`` to the newest revision, or only ``to`` one, in one transaction.

    Two callers at once are no problem: one waits for the other and finds the work done (on SQLite within one
    process; the data folder's lock keeps other processes away). A failing migration changes
    nothing. ``folder`` stands for the service's own migrations.

    Raises:
        Invalid: ``database.newer`` when the database is at a revision that this code does not know;
            ``database.no_migrations`` when the service has none.
    """
    known = revisions(service, folder)
    if not known:
        raise Invalid(
            "database.no_migrations", f"The service {service} has tables, but no migrations that make them.",
            next_step=f"Run '.ci/new-migration {service} initial'.",
        )
    if to is not None:
        known = known[:known.index(to) + 1]
    with _one_at_a_time, at_most(LONGEST_S):
        with engine.connect() as connection:
            if _is_current(service, _revision(connection), known):
                return Migrated(service, known[-1], known[-1])
        with engine.execution_options(writes=True).begin() as connection:
            _lock(connection, service)
            before = _revision(connection)
            if not _is_current(service, before, known):
                _upgrade(connection, script_directory(folder or migrations_folder(service)), known[-1])
            return Migrated(service, before, known[-1])


def script_directory(folder: Path) -> ScriptDirectory:
    """Alembic's view of one service's migrations."""
    # Its templates, of which nobody here makes one, would bring a highlighter of programs along.
    with without("pygments"):
        from alembic.script import ScriptDirectory

    return ScriptDirectory(str(folder), version_locations=[str(folder)])


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _is_current(service: str, revision: str | None, known: list[str]) -> bool:
    if revision is not None and revision not in known:
        raise Invalid(
            "database.newer",
            f"The database of {service} is at revision '{revision}', which this edgemere does not know; it was "
            f"written by a newer one (the newest known revision is '{known[-1]}').",
            next_step="Update edgemere, or use another data folder or database.",
        )
    return revision == known[-1]


def _lock(connection: Connection, service: str) -> None:
    """Let one migration of this database run at a time; SQLite's write lock is held already."""
    if connection.dialect.name != "postgresql":
        return
    # Waiting for the other one, and a migration itself, may take longer than any statement of a handler.
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": zlib.crc32(f"edgemere.{service}".encode())})
    connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{service}"'))


def _upgrade(connection: Connection, script: ScriptDirectory, to: str) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext

    def steps(revision: str, _: object) -> list:
        return script._upgrade_revs(to, revision)

    with EnvironmentContext(Config(), script, fn=steps) as environment:
        environment.configure(connection=connection, transactional_ddl=True)
        environment.run_migrations()
