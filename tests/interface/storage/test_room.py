"""A database whose disk is full says so, in its own words, and works again when there is room."""
from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.reservations.models import METADATA
from shared.kernel.errors import Unavailable
from shared.storage import database
from shared.storage.database import Database, make_engine, sqlite_url
from shared.storage.migrate import migrate


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    engine = make_engine(sqlite_url(tmp_path, "reservations"), "reservations", pool_size=1)
    migrate("reservations", engine)
    made = Database(engine, METADATA)
    with made.transaction() as uow:
        uow.connection.exec_driver_sql("CREATE TABLE filler (body BLOB)")
    yield made
    made.close()


def write_a_mebibyte(db: Database) -> None:
    with db.transaction() as uow:
        uow.connection.exec_driver_sql(f"INSERT INTO filler VALUES (zeroblob({1 << 20}))")


def leave_pages(db: Database, pages: int) -> None:
    with db.reading() as connection:
        used = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {used + pages}")


def test_a_write_that_finds_no_room_says_so_and_later_ones_find_it(db: Database) -> None:
    leave_pages(db, 5)
    with pytest.raises(Unavailable) as full:
        write_a_mebibyte(db)
    assert full.value.code == "database.full" and "full" in full.value.detail and "room" in full.value.next_step
    leave_pages(db, 5000)
    write_a_mebibyte(db)


def test_a_full_disk_is_seen_by_whoever_looks_after_the_database(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert db.look() is None and db.is_there_for_others()
    monkeypatch.setattr(database, "LEAST_FREE_BYTES", 1 << 60)
    assert "full" in db.look() and not db.is_there_for_others()


def test_a_database_that_another_process_keeps_locked_does_not_answer(db: Database, tmp_path: Path) -> None:
    with db.reading() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(tmp_path / "reservations.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for way in (db.transaction, db.at_once):
        with pytest.raises(Unavailable, match="does not answer") as away, way():
            pass
        assert away.value.code == "database.unavailable"
    other.close()
    write_a_mebibyte(db)
