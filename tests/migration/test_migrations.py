"""Each service's migrations make exactly what its models say, on both databases, from nothing and from each step."""
from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, MetaData, event, inspect, text

from shared.kernel.errors import Invalid
from shared.storage.database import make_engine
from shared.storage.migrate import (
    REVISION_LENGTH, migrate, migrations_folder, revisions, script_directory, services_with_models,
)
from tests.support.servers import project_environment

SERVICES = services_with_models()
MIGRATED = [service for service in SERVICES if revisions(service)]


def models(service: str) -> MetaData:
    return importlib.import_module(f"services.{service}.models").METADATA


def differences(engine: Engine, metadata: MetaData) -> list:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with engine.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)


def server_side(engine: Engine) -> dict[str, object]:
    """What a comparison of names and types does not see: collations, counters, uniqueness, partial indexes."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"))
            indexes = {name: " ".join(sql.split()) for name, sql in rows}
            counters = connection.execute(text("SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'"))
            return {**indexes, "counters": sorted(name for name, in counters)}
        indexes = connection.execute(text("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()"))
        columns = connection.execute(text(
            "SELECT table_name || '.' || column_name, collation_name, column_default, is_identity, data_type "
            "FROM information_schema.columns WHERE table_schema = current_schema()"
        ))
        return {name: rest for name, *rest in [*indexes, *columns] if "alembic_version" not in name}


@pytest.fixture
def engine(database_url: str, request: pytest.FixtureRequest) -> Iterator[Engine]:
    engine = make_engine(database_url, request.node.callspec.params.get("service", "requests"))
    yield engine
    engine.dispose()


def test_every_service_with_tables_has_migrations():
    assert [service for service in SERVICES if not revisions(service)] == []


@pytest.mark.parametrize("service", MIGRATED)
def test_revisions_are_called_like_their_files_and_follow_each_other(service):
    script = script_directory(migrations_folder(service))
    chain = [revision.revision for revision in script.walk_revisions()][::-1]
    assert chain == revisions(service)
    assert max(map(len, chain), default=0) <= REVISION_LENGTH


@pytest.mark.parametrize("service", MIGRATED)
def test_an_empty_database_becomes_what_the_models_say(service, engine):
    done = migrate(service, engine)
    assert (done.before, done.after) == (None, revisions(service)[-1])
    assert differences(engine, models(service)) == []


@pytest.mark.parametrize("service", MIGRATED)
def test_the_migrations_leave_the_same_database_as_the_models_do(service, engine, tmp_path, request):
    migrate(service, engine)
    migrated = server_side(engine)
    if engine.dialect.name == "sqlite":
        other = make_engine(f"sqlite:///{tmp_path}/models.sqlite", service)
    else:
        other = make_engine(request.getfixturevalue("fresh_database")(), service)
        with other.begin() as connection:
            connection.execute(text(f'CREATE SCHEMA "{service}"'))
    models(service).create_all(other)
    assert migrated == server_side(other)
    other.dispose()


@pytest.mark.parametrize("service", MIGRATED[:1])
def test_a_current_database_is_left_alone_with_no_more_than_a_look(service, engine):
    migrate(service, engine)
    said: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *call: said.append(call[2]))
    assert not migrate(service, engine).changed
    assert [statement for statement in said if not statement.upper().startswith(("SELECT", "BEGIN", "PRAGMA"))] == []


@pytest.mark.parametrize("service", MIGRATED[:1])
def test_a_database_of_a_newer_program_is_refused_and_left_as_it_is(service, engine):
    migrate(service, engine)
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999_of_the_future'"))
    with pytest.raises(Invalid, match="9999_of_the_future") as refused:
        migrate(service, engine)
    assert refused.value.code == "database.newer"


@pytest.mark.parametrize("service", MIGRATED[:1])
def test_two_threads_that_migrate_at_once_do_it_once(service, engine, database_url):
    engines = [engine, make_engine(database_url, service)]
    with ThreadPoolExecutor() as pool:
        done = [migrated.changed for migrated in pool.map(lambda mine: migrate(service, mine), engines)]
    engines[1].dispose()
    assert sorted(done) == [False, True]


@pytest.mark.parametrize("service", MIGRATED[:1])
def test_two_processes_that_migrate_one_postgresql_at_once_do_it_once(service, fresh_database):
    program = (
        "import sys; from shared.storage.database import make_engine as engine; from shared.storage.migrate import "
        "migrate; print(migrate(sys.argv[1], engine(sys.argv[2], sys.argv[1])).changed)"
    )
    url = fresh_database()
    running = [
        subprocess.Popen([sys.executable, "-c", program, service, url], env=project_environment(),
                         stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert sorted(process.communicate(timeout=120)[0].strip() for process in running) == ["False", "False", "True"]


def _write(folder, name, down, body):
    (folder / f"{name}.py").write_text(
        f"from alembic import op\n\nrevision = '{name}'\ndown_revision = {down!r}\n\n\ndef upgrade():\n    {body}\n"
    )


def test_a_migration_that_fails_changes_nothing(engine, tmp_path):
    folder = tmp_path / "migrations"
    folder.mkdir()
    _write(folder, "0001_one", None, "op.execute('CREATE TABLE one (a INTEGER)')")
    migrate("requests", engine, folder)
    _write(folder, "0002_two", "0001_one", "op.execute('CREATE TABLE two (a INTEGER)'); op.execute('NONSENSE')")
    with pytest.raises(Exception, match="NONSENSE"):
        migrate("requests", engine, folder)
    assert inspect(engine).has_table("one") and not inspect(engine).has_table("two")
    _write(folder, "0002_two", "0001_one", "op.execute('CREATE TABLE two (a INTEGER)')")
    assert migrate("requests", engine, folder).before == "0001_one"
    assert inspect(engine).has_table("two")


def test_a_service_without_migrations_is_refused_with_the_way_to_make_them(engine, tmp_path):
    with pytest.raises(Invalid, match="new-migration requests initial"):
        migrate("requests", engine, tmp_path)
