"""Tables of a real PostgreSQL and SQLite: one state of the database, and changes that are noticed."""
from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pyarrow.parquet
import pytest
from sqlalchemy import create_engine, text

from shared.kernel.errors import EdgemereError
from shared.sources.port import SourcePolicy
from shared.sources.registry import check_parameters, open_source
from tests.interface.mover.conftest import Bench, bench  # noqa: F401  (the fixture)

POLICY = SourcePolicy(allowed_hosts=["127.0.0.1", "localhost"])


@pytest.fixture
def lab(fresh_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, dict[str, Any]]:
    """An engine that writes, and the parameters of a source that reads the same database."""
    url = fresh_database()
    split = urlsplit(url)
    monkeypatch.setenv("EDGEMERE_SECRET_LAB_DB", split.password or "")
    engine = create_engine(url.replace(split.scheme, "postgresql+psycopg2", 1))
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA side; CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT, born DATE, weight NUMERIC);"
                                "CREATE TABLE side.visit (at TIMESTAMPTZ); INSERT INTO person SELECT n, 'p' || n, '1970-01-01', n / 3.0"
                                " FROM generate_series(1, 50000) AS n"))
    user = f"{split.username}@" if split.username else ""
    plain = urlunsplit(("postgresql", f"{user}{split.hostname}:{split.port or 5432}", split.path, "", ""))
    return engine, {"url": plain, **({"password": {"secret": "LAB_DB"}} if split.password else {})}


def opened(parameters: dict[str, Any]) -> Any:
    return open_source("sql", check_parameters("sql", parameters, POLICY), POLICY)


def test_a_table_is_exported_whole_in_the_order_of_its_key(lab: tuple[Any, dict[str, Any]]) -> None:
    source = opened({**lab[1], "tables": ["person", "side.visit"]})
    assert sorted(entry.path for entry in source.scan()) == ["person.parquet", "side.visit.parquet"]
    with source.open("person.parquet") as stream:
        rows = pyarrow.parquet.read_table(io.BytesIO(stream.read())).to_pylist()
    assert [row["id"] for row in rows] == list(range(1, 50_001)) and rows[0]["name"] == "p1"
    with source.open("side.visit.parquet") as stream:
        assert pyarrow.parquet.read_table(io.BytesIO(stream.read())).column_names == ["at"]
    source.close()


def test_an_update_that_changes_no_count_is_noticed(lab: tuple[Any, dict[str, Any]]) -> None:
    source = opened(lab[1])
    before = source.stat("person.parquet")
    assert source.stat("person.parquet") == before
    with lab[0].begin() as connection:
        connection.execute(text("UPDATE person SET name = 'x' WHERE id = 7"))
    assert source.stat("person.parquet") != before
    source.close()


def test_a_source_writes_nothing(lab: tuple[Any, dict[str, Any]]) -> None:
    source = opened({**lab[1], "queries": {"sly": "WITH gone AS (DELETE FROM person RETURNING id) SELECT * FROM gone"}})
    with pytest.raises(EdgemereError):
        source.open("sly.parquet")
    with lab[0].connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM person")).scalar() == 50_000
    source.close()


def test_a_database_that_denies_or_is_not_there_is_named_without_the_password(lab: tuple[Any, dict[str, Any]], monkeypatch: Any) -> None:
    monkeypatch.setenv("EDGEMERE_SECRET_WRONG", "hidden-password")
    split = urlsplit(lab[1]["url"])
    for port, path in ((split.port, "/no_such_database"), (1, split.path)):
        source = opened({"url": f"postgresql://nobody@127.0.0.1:{port}{path}", "password": {"secret": "WRONG"}})
        with pytest.raises(EdgemereError) as refused:
            list(source.scan())
        assert refused.value.code in ("source.access_denied", "source.unreadable", "source.vanished")
        assert "hidden-password" not in str(refused.value)


def test_a_table_that_changes_while_it_is_exported_is_noticed_and_nothing_stays(bench: Bench, tmp_path: Path) -> None:  # noqa: F811
    """The copy is slowed down by a limit, so that it can be met half-way."""
    database = tmp_path / "lab.db"
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE wide (id INTEGER PRIMARY KEY, body TEXT)")
    connection.executemany("INSERT INTO wide VALUES (?, hex(randomblob(1000)))", ((n,) for n in range(3000)))
    connection.commit()
    bench.sources["d"] = {"adaptor": "sql", "parameters": {"url": f"sqlite:///{database}", "format": "csv", "limits": {"mib_per_s": 3}}}
    handle = bench.submit("copy", {"key": "k", "source": "d", "path": "wide.csv", "target": "t", "target_path": "wide.csv"})
    bench.stop_halfway()
    connection.execute("UPDATE wide SET body = 'x' WHERE id = 5")
    connection.commit()
    connection.close()
    import os
    import signal

    os.kill(bench.pool.pids()[0], signal.SIGCONT)
    results = [result for message in handle for result in message.get("results", ())]
    assert results[0]["error"]["code"] == "source.changed_during_copy" and bench.left() == []
