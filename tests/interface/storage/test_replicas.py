"""Several replicas on one database: leases, objects that two make at once, and connections that died while they were idle."""
from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from services.reservations.models import METADATA, RESERVATION
from shared.kernel import clock
from shared.storage import database as storage
from shared.storage import leases
from shared.storage.database import Database, make_engine
from tests.interface.storage.test_door import reservations
from tests.support.migrated import migrated

LEASE = METADATA.tables["lease"]


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    engine = migrated(database_url.replace("postgresql://", "postgresql+psycopg2://"), "reservations")
    database = Database(engine, METADATA)
    yield database
    database.close()


def take(db: Database, holder: str, ttl_s: float = 60) -> bool:
    with db.at_once() as connection:
        return leases.take(connection, LEASE, "shard", holder, ttl_s)


def test_a_lease_has_one_holder_until_it_is_over_or_given_back(db):
    assert take(db, "one") and take(db, "one") and not take(db, "two")
    with db.at_once() as connection:
        leases.give_back(connection, LEASE, "shard", "two")
    assert not take(db, "two")
    with db.at_once() as connection:
        leases.give_back(connection, LEASE, "shard", "one")
    assert take(db, "two", ttl_s=0.05)
    time.sleep(0.1)
    assert take(db, "one")


def test_a_replica_whose_clock_is_wrong_neither_steals_leases_nor_keeps_them_for_long(db, monkeypatch):
    if db.is_sqlite:
        # One process, one clock: there is nobody to be ahead of.
        return
    now = clock.utc_now
    assert take(db, "sound")
    monkeypatch.setattr(clock, "utc_now", lambda: now() + timedelta(hours=1))
    assert not take(db, "ahead")
    monkeypatch.setattr(clock, "utc_now", lambda: now() - timedelta(hours=1))
    with db.at_once() as connection:
        leases.give_back(connection, LEASE, "shard", "sound")
    assert take(db, "behind", ttl_s=60)
    monkeypatch.undo()
    assert not take(db, "sound")


def test_two_that_make_the_same_objects_at_once_make_and_announce_them_once(db):
    rows = reservations(20)
    made: list[int] = []
    together = threading.Barrier(2)

    def make() -> None:
        together.wait(120)
        with db.transaction() as uow:
            made.append(len(uow.create(RESERVATION, rows, "create", ignore_existing=True)))

    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(made) == [0, 20], made
    with db.reading() as connection:
        said = connection.execute(select(METADATA.tables["outbox"].c.object_id).where(
            METADATA.tables["outbox"].c.name == "datareservation.create")).scalars().all()
    assert sorted(said) == sorted(row["id"] for row in rows)


def test_a_connection_that_died_while_it_was_idle_is_not_given_to_anybody(db, monkeypatch):
    if db.is_sqlite:
        return
    with db.reading() as connection:
        connection.execute(text("SELECT 1"))
    with make_engine(db.engine.url.render_as_string(hide_password=False), "reservations").connect() as other:
        other.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                           "WHERE datname = current_database() AND pid != pg_backend_pid()"))
    monkeypatch.setattr(storage, "FRESH_S", 0)
    with db.reading() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    with db.transaction() as uow:
        assert uow.rows(text("SELECT 2 AS n")) == [{"n": 2}]
