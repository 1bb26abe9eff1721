"""The entrypoint for what is done again and again, by one process at a time however many replicas there are."""
from __future__ import annotations

import logging
import time
import uuid
from typing import Any

from nameko.timer import Timer as NamekoTimer

from shared.kernel.errors import EdgemereError
from shared.storage import leases

log = logging.getLogger(__name__)

SHORTEST_S = 8.0


class Timer(NamekoTimer):
    """``@timer(interval=seconds)``: the method runs in the one replica that holds its lease.

    Another takes over within ``lease_s`` when the holder dies, at once when it stops. A run may overlap with that of
    another process all the same (one that was frozen, for example), so what it does has to be repeatable.
    """

    def __init__(self, interval: float, eager: bool = False, **options: Any) -> None:
        super().__init__(interval, eager, **{"expected_exceptions": (EdgemereError,), **options})
        self.lease_s = max(SHORTEST_S, 2.5 * interval)
        self.holder = f"timer-{uuid.uuid4().hex[:16]}"
        self._sure_until = 0.0

    def handle_timer_tick(self) -> None:
        try:
            mine = self._is_mine()
        except EdgemereError as error:
            log.warning("%s waits: %s", self._lease, error.detail)
            mine = False
        except Exception:
            log.exception("%s cannot be had", self._lease)
            mine = False
        if mine:
            super().handle_timer_tick()
        else:
            self.worker_complete.send()

    def stop(self) -> None:
        super().stop()
        try:
            database = self._database
            with database.at_once() as connection:
                leases.give_back(connection, database.metadata.tables["lease"], self._lease, self.holder)
        except Exception as error:
            log.warning("the lease of %s ends by itself: %s", self._lease, error)

    @property
    def _lease(self) -> str:
        return f"timer.{self.method_name}"

    @property
    def _database(self) -> Any:
        return self.container.config["USES"][self.container.service_name].db

    def _is_mine(self) -> bool:
        database = self._database
        # A file belongs to one process.
        if database.is_sqlite:
            return True
        asked = time.monotonic()
        if asked < self._sure_until:
            return True
        with database.at_once() as connection:
            mine = leases.take(connection, database.metadata.tables["lease"], self._lease, self.holder, self.lease_s)
        # Half of its lease nobody takes from it, so nobody need be asked.
        self._sure_until = asked + self.lease_s / 2 if mine else 0.0
        return mine


timer = Timer.decorator
