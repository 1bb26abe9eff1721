"""What timers look for every second finds its rows by their times, however many instances live."""
from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, text

from services.instances import looking, repository
from services.instances.models import access_table, instance_table, restored_table, undoing_table
from tests.support.migrated import migrated

NOW, LATER = "2026-11-26T12:00:00Z", "2027-11-26T12:00:00Z"


def living(number: int) -> dict[str, Any]:
    return {"id": f"dins_{number:06}", "version": 1, "created_at": NOW, "updated_at": NOW, "owner": "ada", "name": f"n{number}",
            "state": "Ready", "request_id": "dreq_1", "request_name": "r", "attempt": 1, "expires_at": LATER, "warn_at": LATER}


def steps_of(connection: Connection, look: Any) -> str:
    """How the database goes about the statement that ``look`` executes."""
    said: list[tuple[str, Any]] = []

    def hear(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        said.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", hear)
    look()
    event.remove(connection, "before_cursor_execute", hear)
    explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
    return "\n".join(str(row[-1]) for row in connection.exec_driver_sql(explain + said[0][0], said[0][1]))


def test_what_is_due_is_found_by_its_time(database_url: str) -> None:
    engine = migrated(database_url, "instances")
    with engine.begin() as connection:
        connection.execute(insert(instance_table), [living(number) for number in range(5_000)])
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("ANALYZE datainstance"))
        assert not looking.any_due(connection, NOW) and looking.any_due(connection, LATER)
        assert looking.begun(connection, LATER, LATER) == (False,) * 5
        asked = {
            "anything": (lambda: looking.any_due(connection, NOW), {"datainstance_by_end", "datainstance_by_warning", "datainstance_by_pin"}),
            "ends": (lambda: repository.expired(connection, NOW, 100), {"datainstance_by_end"}),
            "warnings": (lambda: repository.to_warn(connection, NOW, 100), {"datainstance_by_warning"}),
            "pins": (lambda: repository.pins_over(connection, NOW, 100), {"datainstance_by_pin"}),
        }
        for name, (look, indexes) in asked.items():
            steps = steps_of(connection, look)
            assert all(index in steps for index in indexes) and "datainstance_by_state" not in steps, (name, steps)


def entry(number: int, state: str, **more: Any) -> dict[str, Any]:
    return {"instance_id": f"dins_{number:06}", "data_id": "data_1", "position": 0, "request_id": "dreq_1", "name": "a", "action": "copy",
            "state": state, "source_id": "dsrc_1", "source_path": "a", "tries": 0, **more}


@pytest.mark.parametrize(("rows", "found"), [
    ({restored_table: [{"at": NOW}]}, "restored"), ({access_table: [entry(1, "pending"), entry(2, "ready")]}, "pending"),
    ({access_table: [entry(1, "leaving")]}, "leaving"), ({access_table: [entry(1, "trashed", purge_at=NOW)]}, "trash"),
    ({access_table: [entry(1, "trashed", purge_at=LATER)]}, ""), ({access_table: [entry(1, "purging")]}, "trash"),
    ({undoing_table: [{"instance_id": "dins_1", "request_id": "dreq_1", "attempt": 1, "version": 1, "at": NOW}]}, "undos")], ids=str)
def test_one_look_says_what_was_begun(database_url: str, rows: Any, found: str) -> None:
    engine = migrated(database_url, "instances")
    with engine.begin() as connection:
        for table, values in rows.items():
            connection.execute(insert(table), values)
        begun = looking.begun(connection, "2026-12-01T00:00:00Z", "2026-12-01T00:00:00Z")
    assert [name for name, is_there in begun._asdict().items() if is_there] == ([found] if found else [])
