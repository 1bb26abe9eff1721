"""Forgets what only repetitions and explanations need: inbox, keys of repeated calls, history of what is gone.

Each service's timer calls ``Retention.sweep``. Every call does a bounded stretch in a few statements, so that a database
that was never swept is no pause; what is still needed is looked at once a round, not once a call.
"""
from __future__ import annotations

import time
from typing import Any

from sqlalchemy import delete, exists, func, select

from shared.kernel import clock
from shared.storage.database import Database

STRETCH = 5000
"""So many rows of a table are looked at in one call."""
EVERY_S = 30
"""A service looks again after so long, or at its next timer while it has found a full stretch."""


class Retention:
    """The sweep of one service's database. ``settings`` has ``inbox_s``, ``idempotency_s`` and ``history_s``, in seconds."""

    def __init__(self, db: Database, settings: Any) -> None:
        self._db, self._settings = db, settings
        self._due = 0.0
        self._seen = 0

    def sweep(self) -> dict[str, int]:
        """Forget a stretch of what is old; how many rows of which table, empty while nothing is due."""
        if time.monotonic() < self._due:
            return {}
        self._due = time.monotonic() + EVERY_S
        gone = {"inbox": self._old("inbox", self._settings.inbox_s),
                "idempotency": self._old("idempotency", self._settings.idempotency_s)}
        gone["history"], more = self._history()
        if more or max(gone.values()) >= STRETCH:
            self._due = 0.0
        return {name: count for name, count in gone.items() if count}

    def _old(self, name: str, age_s: float) -> int:
        at = self._db.metadata.tables[name].c.at
        stretch = select(at).where(at < clock.stamp_in(-age_s)).order_by(at).limit(STRETCH).subquery()
        with self._db.reading() as connection:
            newest = connection.execute(select(func.max(stretch.c.at))).scalar()
        if newest is None:
            return 0
        with self._db.transaction() as uow:
            return uow.connection.execute(delete(at.table).where(at <= newest)).rowcount

    def _history(self) -> tuple[int, bool]:
        """Old moves of objects that are destroyed; the moves of a living object are kept as long as it lives."""
        tables = self._db.metadata.tables
        history = tables["history"]
        with self._db.reading() as connection:
            stretch = connection.execute(
                select(history.c.seq, history.c.at, history.c.noun).where(history.c.seq > self._seen)
                .order_by(history.c.seq).limit(STRETCH)).all()
        old = [row for row in stretch if row.at < clock.stamp_in(-self._settings.history_s)]
        more = len(old) == STRETCH
        first, self._seen = self._seen, old[-1].seq if more else 0
        if not old:
            return 0, False
        count = 0
        with self._db.transaction() as uow:
            for noun in sorted({row.noun for row in old} & set(tables)):
                objects = tables[noun]
                living = exists(select(objects.c.id).where(objects.c.id == history.c.object_id, objects.c.destroyed_at.is_(None)))
                count += uow.connection.execute(delete(history).where(
                    history.c.seq > first, history.c.seq <= old[-1].seq, history.c.noun == noun,
                    history.c.at < clock.stamp_in(-self._settings.history_s), ~living)).rowcount
        return count, more

