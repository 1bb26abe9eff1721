"""``edgemere backup`` and ``restore``: the state of a whole mesh in one file, and back into an empty one.

The file is a compressed tar: ``manifest.json`` first, then a member for each database (SQLite) or table (PostgreSQL). It holds what
the databases hold, keys' hashes and audit log included, and is not encrypted. The bytes of sources and targets are not in it. What
lies on a RabbitMQ is not either: who restores begins with an empty one, and sweepers announce again what nobody goes on with.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text

from shared.contracts.table import SERVICES
from shared.hosting import snapshots
from shared.hosting.config import database_url, redacted
from shared.hosting.data_folder import DataFolder
from shared.hosting.refilling import PIECE, quoted, refill
from shared.hosting.sealing import FILE as SECRET
from shared.hosting.settings import Config
from shared.kernel import clock
from shared.kernel.errors import Conflict, Invalid, NotFound
from shared.kernel.version import VERSION
from shared.storage.database import make_engine
from shared.storage.migrate import migrate, revisions

FORMAT = 1
MANIFEST = "manifest.json"
BROKER = "broker"
MARKS = "broker.db.marks"
EMBEDDED, PRODUCTION = "embedded", "production"
# Who holds a lease is nobody any more.
LEFT_OUT = ("lease",)
# So many schemas are filled beside each other; PostgreSQL does the work, in a process for each.
SIDE_BY_SIDE = 3


@dataclass(frozen=True)
class Report:
    """What a backup or restore has done: objects are rows of all tables."""

    path: Path
    kind: str
    rows: int
    bytes: int


def backup(config: Config, path: Path) -> Report:
    """Write the state of the mesh to a new file, while it runs or not.

    Raises:
        Conflict: ``backup.exists``. NotFound: ``backup.nothing``, there is no mesh. Unavailable: ``backup.busy``, ``database.unavailable``.
    """
    if path.exists():
        raise Conflict("backup.exists", f"{path} is there already.", next_step="Name a new file.")
    with tempfile.TemporaryDirectory(dir=path.absolute().parent, prefix=".edgemere-backup-") as scratch:
        folder = Path(scratch)
        kind, services, rows = _of_files(config, folder) if not config.database.url else _of_schemas(config, folder)
        manifest = {
            "format": FORMAT,
            "kind": kind,
            "version": VERSION,
            "made_at": clock.stamp(),
            "services": services,
            "settings": redacted(config),
            "rows": rows,
            "members": {found.name: {"sha256": _digest(found), "bytes": found.stat().st_size} for found in sorted(folder.iterdir())},
        }
        written = folder / "archive"
        with open(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as raw:
            with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1, mtime=0) as packed, tarfile.open(fileobj=packed, mode="w|") as archive:
                told = folder / MANIFEST
                told.write_text(json.dumps(manifest, indent=1, default=str))
                for name in (MANIFEST, *manifest["members"]):
                    archive.add(folder / name, name)
            raw.flush()
            os.fsync(raw.fileno())
        # Under its name it is whole or not there.
        os.link(written, path)
    return Report(path, kind, rows, path.stat().st_size)


def restore(config: Config, path: Path) -> Report:
    """Bring an empty mesh, which must not run, to the state in a file. Nothing is changed before all of it was checked.

    Raises:
        NotFound, Invalid: ``backup.unreadable``, ``backup.damaged``, ``backup.newer``, ``backup.other_kind``.
        Conflict: ``backup.target_not_empty``, ``data_folder.in_use``.
    """
    kind = PRODUCTION if config.database.url else EMBEDDED
    with ExitStack() as held:
        if kind == EMBEDDED:
            held.enter_context(DataFolder.open(config.data_dir))
            around = Path(config.data_dir)
        else:
            around = Path(tempfile.gettempdir())
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(dir=around, prefix=".edgemere-restore-")))
        manifest = _unpacked(path, folder)
        if manifest["kind"] != kind:
            raise Invalid(
                "backup.other_kind",
                f"This is the backup of a mesh of the kind {manifest['kind']}; here one of the kind {kind} is set up.",
                next_step="Set or leave out EDGEMERE_DATABASE_URL and EDGEMERE_AMQP_URI as it was there.",
            )
        (_into_folder if kind == EMBEDDED else _into_schemas)(config, manifest, folder)
        _say_so(config)
        return Report(path, kind, manifest["rows"], path.stat().st_size)


def _say_so(config: Config) -> None:
    """Leave word for ``instances``: what its rows say is mounted is not, where this mesh will run."""
    with _engine("instances", database_url(config, "instances")) as engine:
        migrate("instances", engine)
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO restored (at) VALUES (:at)"), {"at": clock.stamp()})


# --- embedded ------------------------------------------------------------------------------------------------------


def _files(config: Config) -> dict[str, Path]:
    return {name: Path(config.data_dir) / f"{name}.db" for name in (*SERVICES, BROKER)}


def _of_files(config: Config, folder: Path) -> tuple[str, dict[str, Any], int]:
    files = _files(config)
    missing = [name for name, path in files.items() if not path.exists()]
    if missing:
        raise NotFound("backup.nothing", f"{config.data_dir} has no database of {', '.join(missing)}.", next_step="Name the data folder with --data.")
    services, rows = {}, 0
    with snapshots.of_files(files) as views:
        # With the secret that the broker's messages are sealed with.
        for beside in (MARKS, SECRET):
            if (Path(config.data_dir) / beside).exists():
                shutil.copy(Path(config.data_dir) / beside, folder / beside)
        for name, view in views.items():
            with closing(sqlite3.connect(folder / f"{name}.db")) as copy:
                view.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")
                rows += _counted(copy)
                if name in SERVICES:
                    services[name] = {"revision": copy.execute("SELECT version_num FROM alembic_version").fetchone()[0]}
    return EMBEDDED, services, rows


def _counted(database: sqlite3.Connection) -> int:
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")]
    return sum(database.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] for table in tables)


def _into_folder(config: Config, manifest: Mapping[str, Any], folder: Path) -> None:
    there = [path.name for path in _files(config).values() if path.exists()]
    if there:
        raise _not_empty(f"{config.data_dir} has {', '.join(there)}", "Name an empty folder with --data.")
    for name in manifest["members"]:
        with open(folder / name, "rb") as written:
            os.fsync(written.fileno())
    for name in manifest["members"]:
        os.replace(folder / name, Path(config.data_dir) / name)
        if name == SECRET:
            os.chmod(Path(config.data_dir) / name, 0o600)


# --- production ----------------------------------------------------------------------------------------------------


def _urls(config: Config) -> dict[str, str]:
    return {name: database_url(config, name) for name in SERVICES}


def _of_schemas(config: Config, folder: Path) -> tuple[str, dict[str, Any], int]:
    services: dict[str, Any] = {}
    rows = 0
    with snapshots.of_schemas(_urls(config)) as views:
        for name, view in views.items():
            cursor = view.cursor()
            cursor.execute("SELECT version_num FROM alembic_version")
            tables: dict[str, Any] = {}
            services[name] = {"revision": cursor.fetchone()[0], "tables": tables}
            for table in snapshots.tables_of(view, name):
                if table in LEFT_OUT or table == "alembic_version":
                    continue
                cursor.execute(
                    "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s AND is_generated = 'NEVER'"
                    " ORDER BY ordinal_position",
                    (name, table),
                )
                columns = [column for (column,) in cursor.fetchall()]
                with open(folder / f"{name}.{table}.copy", "wb") as out:
                    cursor.copy_expert(f'COPY (SELECT {quoted(columns)} FROM "{table}") TO STDOUT', out, PIECE)
                tables[table] = {"columns": columns, "rows": cursor.rowcount}
                rows += cursor.rowcount
    return PRODUCTION, services, rows


def _into_schemas(config: Config, manifest: Mapping[str, Any], folder: Path) -> None:
    for name, url in _urls(config).items():
        with _engine(name, url) as engine:
            _check_empty(engine, name)
    with ExitStack() as opened:
        engines = {name: opened.enter_context(_engine(name, url)) for name, url in _urls(config).items()}
        for name, engine in engines.items():
            # The tables as they were there; what came later is made of the rows afterwards.
            migrate(name, engine, to=manifest["services"][name]["revision"])
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            for _ in pool.map(lambda name: refill(engines[name], name, manifest["services"][name]["tables"], folder), engines):
                pass
        for name, engine in engines.items():
            migrate(name, engine)


def _check_empty(engine: Any, name: str) -> None:
    with closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        for table in snapshots.tables_of(connection, name):
            if table in (*LEFT_OUT, "alembic_version"):
                continue
            cursor.execute(f'SELECT EXISTS (SELECT 1 FROM "{name}"."{table}")')
            if cursor.fetchone()[0]:
                raise _not_empty(f"the schema '{name}' has rows in '{table}'", "Make a new database, or drop that mesh's schemas.")


@contextmanager
def _engine(name: str, url: str) -> Iterator[Any]:
    engine = make_engine(url, name, pool_size=2, statement_timeout_s=600)
    try:
        yield engine
    finally:
        engine.dispose()


# --- the file ------------------------------------------------------------------------------------------------------


def _unpacked(path: Path, folder: Path) -> dict[str, Any]:
    """The manifest; the members are laid into ``folder``, each as the manifest says it is."""
    if not path.is_file():
        raise NotFound("backup.unreadable", f"There is no file {path}.", next_step="Name the file that 'edgemere backup' made.")
    try:
        with gzip.open(path) as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
            first = archive.next()
            if first is None or first.name != MANIFEST:
                raise _unreadable(path, "its first member is no manifest")
            manifest = json.load(archive.extractfile(first))  # type: ignore[arg-type]
            _check_manifest(path, manifest)
            found = {}
            while (member := archive.next()) is not None:
                wanted = manifest["members"].get(member.name)
                if wanted is None or not member.isfile() or "/" in member.name:
                    raise _unreadable(path, f"it holds '{member.name[:100]}', which its manifest does not name")
                found[member.name] = _laid(archive.extractfile(member), folder / member.name)
    except (OSError, EOFError, tarfile.TarError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error
    for name, wanted in manifest["members"].items():
        if found.get(name) != wanted["sha256"]:
            raise Invalid(
                "backup.damaged",
                f"{path} is damaged: '{name}' is {'missing' if name not in found else 'not what it was'}.",
                next_step="Use another backup.",
            )
    return manifest


def _check_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    if manifest["format"] > FORMAT:
        raise _newer(path, f"format {manifest['format']}")
    for name, about in manifest["services"].items():
        if name not in SERVICES:
            raise _newer(path, f"a service '{name}'")
        if about["revision"] not in revisions(name):
            raise _newer(path, f"the revision '{about['revision']}' of {name}")
    if missing := [name for name in SERVICES if name not in manifest["services"]]:
        raise _unreadable(path, f"it has nothing of {', '.join(missing)}")


def _laid(member: Any, path: Path) -> str:
    digest = hashlib.sha256()
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        while piece := member.read(PIECE):
            digest.update(piece)
            out.write(piece)
    return digest.hexdigest()


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _newer(path: Path, what: str) -> Invalid:
    return Invalid(
        "backup.newer", f"{path} was made by a newer edgemere: it has {what}, which this one does not know.", next_step="Update edgemere first."
    )


def _unreadable(path: Path, why: str) -> Invalid:
    return Invalid("backup.unreadable", f"{path} is no backup that can be read: {why}."[:500], next_step="Name the file that 'edgemere backup' made.")


def _not_empty(what: str, next_step: str) -> Conflict:
    return Conflict("backup.target_not_empty", f"A backup is restored into an empty mesh, and {what}.", next_step=next_step)
