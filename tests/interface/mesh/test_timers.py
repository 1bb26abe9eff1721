"""A timer runs in the replica that holds its lease, which asks for it again only after half of it."""
from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from sqlalchemy import event

from services.requests.models import METADATA
from shared.hosting import timers
from shared.hosting.timers import Timer
from shared.storage.database import Database
from tests.support.migrated import migrated


def test_a_lease_is_asked_for_again_after_half_of_it_and_then_it_may_be_anothers(fresh_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    engine = migrated(fresh_database().replace("postgresql://", "postgresql+psycopg2://"), "requests")
    db, now, asked = Database(engine, METADATA), [1000.0], []
    monkeypatch.setattr(timers, "time", SimpleNamespace(monotonic=lambda: now[0]))
    event.listen(engine, "before_cursor_execute", lambda *said: asked.append(said[2]))
    ours, other = Timer(interval=1), Timer(interval=1)
    for timer in (ours, other):
        timer.method_name = "sweep"
        timer.container = SimpleNamespace(config={"USES": {"requests": SimpleNamespace(db=db)}}, service_name="requests")
    try:
        assert ours._is_mine() and not other._is_mine() and not other._is_mine() and len(asked) == 3
        now[0] += ours.lease_s / 2 - 0.1
        assert ours._is_mine() and len(asked) == 3, "it is sure until half of it is over"
        now[0] += 0.2
        assert ours._is_mine() and len(asked) == 4
        with db.transaction() as uow:
            uow.connection.exec_driver_sql("UPDATE lease SET until = '2020'")
        assert other._is_mine()
        now[0] += ours.lease_s
        assert not ours._is_mine()
    finally:
        db.close()
