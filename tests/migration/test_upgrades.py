"""An upgrade beside the release before: its statements go on working on the new schema, because migrations only add.

``released/<version>.json`` is what the tables of a release had, written down when it was released; a new release adds its own.
"""
from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine, inspect

from shared.storage.database import make_engine
from shared.storage.migrate import migrate, migrations_folder, revisions

RELEASED = {path.stem: json.loads(path.read_text()) for path in sorted(Path(__file__).with_name("released").glob("*.json"))}
NEWEST = RELEASED[max(RELEASED)]
# The last migration of each release, by service.
ENDS = {"0.1": "0001_initial"}
KINDS: dict[str, tuple[Any, Any, Any]] = {
    "varchar": (sa.String(), "x", "y"), "text": (sa.Text(), "x", "y"), "integer": (sa.Integer(), 1, 2), "smallint": (sa.Integer(), 1, 2),
    "bigint": (sa.BigInteger(), 1, 2),
    "float": (sa.Float(), 1.5, 2.5), "numeric": (sa.Float(), 1.5, 2.5),
    "boolean": (sa.Boolean(), True, False), "json": (sa.JSON(), {"a": 1}, {"a": 2}),
    "blob": (sa.LargeBinary(), b"x", b"y"),
}
ADDING = {"create_table", "create_index", "add_column", "f", "get_bind"}
TRIGGER = re.compile(r"CREATE TRIGGER \w+ BEFORE [A-Z ]+ ON (\w+) ")
STATEMENT = re.compile(r"(CREATE|INSERT|UPDATE|DELETE|ALTER|DROP|TRUNCATE) ")
FILLING = re.compile(r"INSERT INTO (\w+) ")


def kind_of(column: str) -> tuple[Any, Any, Any]:
    return KINDS[column.split()[0].partition("(")[0]]


@pytest.fixture
def engine(database_url: str, request: pytest.FixtureRequest) -> Iterator[Engine]:
    engine = make_engine(database_url, request.node.callspec.params["service"])
    yield engine
    engine.dispose()


@pytest.mark.parametrize("service", NEWEST)
def test_the_statements_of_the_release_before_work_on_the_new_schema(service, engine):
    migrate(service, engine)
    with engine.execution_options(writes=True).begin() as connection:
        for name, columns in NEWEST[service].items():
            table = sa.table(name, *(sa.column(column, kind_of(kind)[0]) for column, kind in columns.items()))
            counted = [column for column, kind in columns.items() if kind.startswith("integer key")]
            given = {column: kind_of(kind)[1] for column, kind in columns.items() if column not in counted}
            connection.execute(table.insert().values(**given))
            changed = {column: kind_of(kind)[2] for column, kind in columns.items() if column not in counted}
            connection.execute(table.update().values(**changed))
            row = connection.execute(sa.select(table)).mappings().one()
            assert {column: row[column] for column in changed} == changed, name
            # What may be left out, the release before leaves out.
            needed = {column: kind_of(kind)[1] for column, kind in columns.items()
                      if column not in counted and "not null" in kind and "default" not in kind}
            connection.execute(table.delete())
            connection.execute(table.insert().values(**needed))
            connection.execute(table.delete())


@pytest.mark.parametrize(("version", "service"), [(version, service) for version in RELEASED for service in RELEASED[version]])
def test_what_a_released_migration_makes_is_never_changed(version, service, tmp_path):
    last = ENDS[version]
    (tmp_path / "migrations").mkdir()
    for revision in revisions(service):
        if revision <= last:
            shutil.copy(migrations_folder(service) / f"{revision}.py", tmp_path / "migrations")
    engine = make_engine(f"sqlite:///{tmp_path / 'database.sqlite'}", service)
    migrate(service, engine, tmp_path / "migrations")
    looked = inspect(engine)
    made = {name: {column["name"] for column in looked.get_columns(name)} for name in looked.get_table_names() if name != "alembic_version"}
    assert made == {name: set(columns) for name, columns in RELEASED[version][service].items()}
    engine.dispose()


LATER = [(service, revision) for service in NEWEST for revision in revisions(service) if revision > ENDS[max(RELEASED)]]


@pytest.mark.parametrize(("service", "revision"), LATER, ids=[f"{service}-{revision}" for service, revision in LATER])
def test_a_later_migration_only_adds_what_the_release_before_need_not_know(service, revision):
    tree = ast.parse((migrations_folder(service) / f"{revision}.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
             and isinstance(node.func.value, ast.Name) and node.func.value.id == "op"]
    made = {_text(call.args[0]) for call in calls if call.func.attr == "create_table"}
    wrong = []
    for call in calls:
        words = {keyword.arg: keyword.value for keyword in call.keywords}
        if call.func.attr == "execute":
            # Statements are constants of the module: triggers, and what they call, on tables that the migration makes, and rows of these.
            said = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and STATEMENT.match(str(node.value))]
            wrong += [f"a statement touches what is there: {text}" for text in said if not text.startswith("CREATE FUNCTION")
                      and not ((found := TRIGGER.match(text) or FILLING.match(text)) and found[1] in made)]
        elif call.func.attr not in ADDING:
            wrong.append(f"line {call.lineno}: op.{call.func.attr} changes what is there")
        elif call.func.attr == "add_column":
            column = {keyword.arg: keyword.value for keyword in call.args[1].keywords}
            nullable = getattr(column.get("nullable"), "value", True)
            if not nullable and "server_default" not in column:
                wrong.append(f"line {call.lineno}: the release before cannot fill a column that must not be empty")
        elif call.func.attr == "create_index" and getattr(words.get("unique"), "value", False) and _text(call.args[1]) not in made:
            wrong.append(f"line {call.lineno}: a uniqueness that the release before does not keep")
    assert wrong == []


def _text(node: ast.expr) -> Any:
    return node.value if isinstance(node, ast.Constant) else None
