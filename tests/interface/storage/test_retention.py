"""What is only needed for repetitions and explanations is forgotten after its time, in bounded stretches."""
from __future__ import annotations

from types import SimpleNamespace

import pytest
from sqlalchemy import func, select, update

from services.requests.models import METADATA, REQUEST
from shared.kernel import clock
from shared.kernel.context import Context
from shared.kernel.ids import new_id
from shared.storage import retention
from shared.storage.database import Database
from shared.storage.retention import Retention
from tests.support.migrated import migrated

SETTINGS = SimpleNamespace(inbox_s=100, idempotency_s=100, history_s=100)


@pytest.fixture
def db(database_url):
    engine = migrated(database_url, "requests")
    made = Database(engine, METADATA)
    yield made
    made.close()


def kept(db: Database) -> dict[str, int]:
    with db.reading() as connection:
        return {name: connection.execute(select(func.count()).select_from(METADATA.tables[name])).scalar_one()
                for name in ("inbox", "idempotency", "history")}


def make(db: Database, name: str, destroyed: bool) -> None:
    context = Context(owner="ada", idempotency_key=f"key-{name}")
    with db.transaction(context) as uow:
        row, = uow.create(REQUEST, [{"id": new_id("datarequest"), "owner": "ada", "name": name, "ename": name, "granularity": "data",
                                     "wait": False, "attempt": 1, "reservations": 0, "instances": 0}], "fulfill")
        uow.first_time("somebody", f"message-{name}")
    if destroyed:
        with db.transaction() as uow:
            uow.destroy(REQUEST, [uow.get(REQUEST, row["id"])])


def age(db: Database, seconds: float) -> None:
    with db.transaction() as uow:
        for name in ("inbox", "idempotency", "history"):
            uow.connection.execute(update(METADATA.tables[name]).values(at=clock.stamp_in(-seconds)))


def test_the_old_is_forgotten_and_the_steps_of_what_lives_are_kept(db: Database) -> None:
    make(db, "living", destroyed=False)
    make(db, "gone", destroyed=True)
    before = kept(db)
    assert Retention(db, SETTINGS).sweep() == {} and kept(db) == before
    age(db, 200)
    make(db, "new", destroyed=True)
    assert Retention(db, SETTINGS).sweep() == {"inbox": 2, "idempotency": 2, "history": 2}
    assert kept(db) == {"inbox": 1, "idempotency": 1, "history": 3}


def test_a_long_past_is_forgotten_a_stretch_at_a_time(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "STRETCH", 3)
    make(db, "living", destroyed=False)
    for number in range(4):
        make(db, f"gone-{number}", destroyed=True)
    age(db, 200)
    sweeper = Retention(db, SETTINGS)
    rounds = [sweeper.sweep() for _ in range(6)]
    assert kept(db) == {"inbox": 0, "idempotency": 0, "history": 1}
    assert all(round_.get("history", 0) <= 3 for round_ in rounds)
    assert sweeper.sweep() == {}, "it rests when it is through"
