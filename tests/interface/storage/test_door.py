"""The one door for changes keeps row, history and messages together, on SQLite as on PostgreSQL."""
from __future__ import annotations

import threading
from collections.abc import Iterator

import orjson
import pytest
from sqlalchemy import select, text

from services.reservations.models import METADATA, RESERVATION, reservation_table
from shared.kernel.context import Context
from shared.kernel.errors import Conflict, PreconditionFailed, VersionConflict
from shared.kernel.ids import derived_id, new_id
from shared.storage.database import Database
from shared.storage.outbox import Outbox
from tests.support.migrated import migrated

OUTBOX = METADATA.tables["outbox"]
HISTORY = METADATA.tables["history"]


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    engine = migrated(database_url.replace("postgresql://", "postgresql+psycopg2://"), "reservations")
    database = Database(engine, METADATA)
    yield database
    database.close()


def reservations(count: int) -> list[dict]:
    request = new_id("datarequest")
    return [{
        "id": derived_id("datareservation", request, 1, number), "owner": "darren", "name": f"scan-{number}.nii",
        "request_id": request, "request_name": "scans", "attempt": 1, "data_id": new_id("data"),
        "source_id": new_id("datasource"), "source_name": "lab", "standby": False, "snapshot": {"size": number},
    } for number in range(count)]


def messages(db: Database) -> list[tuple[str, dict]]:
    with db.reading() as connection:
        return [(row.name, orjson.loads(row.body)) for row in connection.execute(select(OUTBOX).order_by(OUTBOX.c.seq))]


def test_a_new_object_is_announced_once_as_created_and_once_per_state_it_enters(db):
    with db.transaction(Context(correlation_id="call-1", causation_id="evnt_before")) as uow:
        made, = uow.create(RESERVATION, reservations(1), "create")
    assert [name for name, _ in messages(db)] == ["datareservation.create", "datareservation.created"]
    assert messages(db)[0][1]["obj"]["state"] == "Init", "each message has the object as it was then"
    body = messages(db)[1][1]
    assert body["obj"]["state"] == "Created" and body["obj"]["version"] == 1 == made["version"]
    assert (body["correlation_id"], body["causation_id"]) == ("call-1", "evnt_before")


def test_a_move_is_told_after_its_state_as_one_update_that_names_what_changed(db):
    with db.transaction() as uow:
        made = uow.create(RESERVATION, reservations(1), "create")
    with db.transaction() as uow:
        uow.move(RESERVATION, made, "confirm", changes={"action": "leave", "cost": 0.5})
    assert [name for name, _ in messages(db)][2:] == ["datareservation.confirmed", "datareservation.updated"]
    assert set(messages(db)[-1][1]["changed"]) == {"state", "action", "cost"}


def test_two_changes_in_one_transaction_give_one_update_with_the_last_version(db):
    with db.transaction() as uow:
        made = uow.create(RESERVATION, reservations(1), "create")
    with db.transaction() as uow:
        once = uow.change(RESERVATION, made, {"cost": 1.0})
        uow.change(RESERVATION, once, {"rule": "default"})
    updates = [body for name, body in messages(db) if name == "datareservation.updated"]
    assert len(updates) == 1
    assert updates[0]["obj"]["version"] == 3 and set(updates[0]["changed"]) == {"cost", "rule"}


def test_an_illegal_move_names_the_legal_ones_and_leaves_no_trace(db):
    with db.transaction() as uow:
        made = uow.create(RESERVATION, reservations(1), "create", "free")
    before = messages(db)
    with pytest.raises(Conflict) as refused, db.transaction() as uow:
        uow.move(RESERVATION, made, "confirm")
    assert refused.value.code == "datareservation.illegal_move"
    assert refused.value.extra["legal"] == [] and refused.value.extra["state"] == "Rejected"
    assert messages(db) == before


def test_a_block_that_raises_leaves_neither_row_nor_history_nor_message(db):
    with pytest.raises(RuntimeError), db.transaction() as uow:
        uow.create(RESERVATION, reservations(3), "create")
        raise RuntimeError("in the middle")
    with db.reading() as connection:
        counts = [connection.execute(text(f"SELECT count(*) FROM {name}")).scalar() for name in ("datareservation", "history", "outbox")]
    assert counts == [0, 0, 0]


def test_a_row_that_somebody_else_changed_is_not_overwritten(db):
    with db.transaction() as uow:
        made = uow.create(RESERVATION, reservations(2), "create")
    with db.transaction() as uow:
        uow.change(RESERVATION, made[:1], {"cost": 1.0})
    for stale in (made[:1], made):
        with pytest.raises(VersionConflict), db.transaction() as uow:
            uow.move(RESERVATION, stale, "confirm")
    with db.reading() as connection:
        assert set(connection.execute(select(reservation_table.c.state)).scalars()) == {"Created"}


def test_many_rows_move_at_once_each_with_its_own_values_types_and_version(db):
    with db.transaction() as uow:
        made = uow.create(RESERVATION, reservations(500), "create")
    with db.transaction() as uow:
        uow.move(RESERVATION, made, "confirm", changes=lambda row: {
            "cost": row["snapshot"]["size"] / 4, "cost_parts": {"time": row["snapshot"]["size"]}, "rule": "it's \"quoted\"",
            "standby": row["snapshot"]["size"] % 2 == 0, "target_name": None if row["snapshot"]["size"] % 3 else "späth"})
    with db.reading() as connection:
        rows = [dict(row) for row in connection.execute(select(reservation_table)).mappings()]
    assert {row["version"] for row in rows} == {2} and {row["state"] for row in rows} == {"Confirmed"}
    for row in rows:
        size = row["snapshot"]["size"]
        assert row["cost"] == size / 4 and row["cost_parts"] == {"time": size} and row["rule"] == "it's \"quoted\""
        assert row["standby"] is (size % 2 == 0) and row["target_name"] == (None if size % 3 else "späth")


def test_work_that_is_repeated_finds_its_rows_and_announces_nothing(db):
    rows = reservations(50)
    with db.transaction() as uow:
        uow.create(RESERVATION, rows[:30], "create")
    with db.transaction() as uow:
        made = uow.create(RESERVATION, rows, "create", ignore_existing=True)
    assert len(made) == 20
    assert sum(name == "datareservation.create" for name, _ in messages(db)) == 50


def test_a_message_is_new_to_each_consumer_once_and_only_when_its_work_was_committed(db):
    with pytest.raises(RuntimeError), db.transaction() as uow:
        assert uow.first_time("reservations", "evnt_1")
        raise RuntimeError
    with db.transaction() as uow:
        assert uow.first_time("reservations", "evnt_1") and uow.first_time("other", "evnt_1")
    with db.transaction() as uow:
        assert not uow.first_time("reservations", "evnt_1")


def test_if_match_lets_only_the_version_that_was_seen_be_changed(db):
    with db.transaction() as uow:
        made = uow.create(RESERVATION, reservations(1), "create")
    with pytest.raises(PreconditionFailed), db.transaction(Context(if_match=7)) as uow:
        uow.change(RESERVATION, made, {"cost": 1.0})
    with db.transaction(Context(if_match=1)) as uow:
        uow.change(RESERVATION, made, {"cost": 1.0})


def test_the_history_has_each_step_with_its_version(db):
    with db.transaction() as uow:
        made = uow.create(RESERVATION, reservations(1), "create", "confirm")
    with db.transaction() as uow:
        uow.move(RESERVATION, made, "free")
    with db.reading() as connection:
        steps = [(row.event, row.from_state, row.to_state, row.version)
                 for row in connection.execute(select(HISTORY).order_by(HISTORY.c.seq))]
    assert steps == [("create", "Init", "Created", 1), ("confirm", "Created", "Confirmed", 1), ("free", "Confirmed", "Rejected", 2)]


def test_of_two_writers_at_once_one_wins_and_retrying_makes_both_count(db):
    with db.transaction() as uow:
        made, = uow.create(RESERVATION, [{**reservations(1)[0], "cost": 0.0}], "create")

    def add() -> None:
        def work() -> None:
            with db.transaction() as uow:
                row = uow.row(select(reservation_table).where(reservation_table.c.id == made["id"]))
                uow.change(RESERVATION, [row], {"cost": row["cost"] + 1})
        for _ in range(5):
            while True:
                try:
                    db.retrying(work)
                    break
                except VersionConflict:
                    continue
    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    with db.reading() as connection:
        assert connection.execute(select(reservation_table.c.cost)).scalar() == 20


def test_one_holder_at_a_time_has_a_shard(db):
    outbox = Outbox(METADATA)
    with db.transaction() as uow:
        assert outbox.lease(uow.connection, [3], "a", 60) == {3} == outbox.lease(uow.connection, [3], "a", 60)
        assert outbox.lease(uow.connection, [3, 4], "b", 60) == {4}
        outbox.release(uow.connection, [3], "a")
        assert outbox.lease(uow.connection, [3], "b", 0)
    with db.transaction() as uow:
        assert outbox.lease(uow.connection, [3], "a", 60), "a lease that is over can be taken"


def test_messages_of_one_object_are_in_one_shard_in_the_order_of_the_changes(db):
    with db.transaction() as uow:
        made = uow.create(RESERVATION, reservations(40), "create")
    with db.transaction() as uow:
        made = uow.move(RESERVATION, made, "confirm")
    with db.transaction() as uow:
        uow.move(RESERVATION, made, "free")
    outbox = Outbox(METADATA)
    seen: dict[str, list[str]] = {}
    with db.reading() as connection:
        for shard in outbox.busy_shards(connection):
            for row in outbox.pending(connection, shard, 1000):
                seen.setdefault(row.object_id, []).append(row.name.split(".")[1])
        assert outbox.depth(connection) == 40 * 6
    assert set(map(tuple, seen.values())) == {("create", "created", "confirmed", "updated", "rejected", "updated")}
