"""The alarms of the embedded broker: one thread that sleeps until the next is due. Costs nothing while none is set."""
from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)


class Clock:
    """Calls functions at their time, each in the clock's own thread (a green one where threads are green)."""

    def __init__(self, name: str) -> None:
        self._alarms: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._lock = threading.Lock()
        self._earlier = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call ``call`` once, ``seconds`` from now."""
        alarm = (time.monotonic() + seconds, next(self._count), call)
        with self._lock:
            heapq.heappush(self._alarms, alarm)
            is_next = self._alarms[0] is alarm
        if is_next:
            self._earlier.set()

    def stop(self) -> None:
        self._stopped = True
        self._earlier.set()

    def _run(self) -> None:
        while not self._stopped:
            with self._lock:
                now = time.monotonic()
                due = []
                while self._alarms and self._alarms[0][0] <= now:
                    due.append(heapq.heappop(self._alarms)[2])
                sleep_s = self._alarms[0][0] - now if self._alarms else None
            for call in due:
                try:
                    call()
                except Exception:
                    log.exception("an alarm of the broker failed")
            if not due:
                self._earlier.wait(sleep_s)
                self._earlier.clear()


class Bell:
    """One thread waits, any other rings; a ring before the wait is not lost."""

    __slots__ = ("_lock", "_rung")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self._rung = False

    def ring(self) -> None:
        if not self._rung:
            self._rung = True
            self._lock.release()

    def wait(self, seconds: float | None) -> bool:
        """Whether it rang within this time (None: however long it takes)."""
        if not self._lock.acquire(timeout=-1 if seconds is None else max(0.0, seconds)):
            return False
        self._rung = False
        return True
