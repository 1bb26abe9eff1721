"""How a process is: looked at every second by a thread of its own, told at once to whoever asks.

*Ready* says whether it can work now. *Alive* says whether another process in its place could do better: a broker or a
database that is away for everybody is waited for, one that only this process cannot use is a fault of its own.
"""
from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from shared.kernel import clock
from shared.kernel.errors import EdgemereError

log = logging.getLogger(__name__)

EVERY_S = 1.0
BROKER_EVERY_S = 5.0
# A look that takes so long is told as a fault, and ends some time.
LOOK_S = 5.0


class Part:
    """One thing that a process needs: whether it is there, since when, and what is wrong."""

    def __init__(self, look: Callable[[], str | None], every_s: float = EVERY_S) -> None:
        self.look, self.every_s = look, every_s
        self.fault: str | None = "It was not looked at yet."
        self.since = clock.stamp()
        self.changed = time.monotonic()
        self.due = 0.0

    def see(self) -> None:
        """Look, when it is time to."""
        if time.monotonic() < self.due:
            return
        try:
            fault = self.look()
        except EdgemereError as error:
            fault = error.detail
        except Exception as error:
            fault = f"{type(error).__name__}: {error}"[:300]
        if (fault is None) is not (self.fault is None):
            self.since, self.changed = clock.stamp(), time.monotonic()
        self.fault = fault
        # What is wrong is looked at as often as can be, so that its end is told soon.
        self.due = time.monotonic() + (self.every_s if fault is None else min(self.every_s, EVERY_S))

    def lasts_s(self, fault: bool) -> float:
        """For how long it has been wrong (or right) now; 0 when it is not."""
        return time.monotonic() - self.changed if (self.fault is not None) is fault else 0.0

    def shown(self) -> dict[str, Any]:
        return {"ok": self.fault is None, "since": self.since, **({"detail": self.fault} if self.fault else {})}


class Vitals:
    """The parts of one service or gateway. ``phase`` is what it is doing until it runs."""

    def __init__(self, name: str, stuck_s: float = 30.0) -> None:
        self.name = name
        self.phase: str | None = "It is starting."
        self._stuck_s = stuck_s
        self._parts: dict[str, Part] = {"consumers": Part(self._look_at_consumers)}
        self._apart: dict[str, Callable[[], bool]] = {}
        self._consumers: list[tuple[str, Callable[[], bool]]] = []
        self._cut_off: set[str] = set()
        self._looked = time.monotonic()
        self._over = threading.Event()

    def use(self, name: str, look: Callable[[], str | None], *, apart: Callable[[], bool] | None = None,
            every_s: float = EVERY_S) -> None:
        """Look after a part: ``look`` says what is wrong with it, or None, and ends by itself.

        ``apart`` tells whether it is there for others while it is not for this process.
        """
        self._parts[name] = Part(look, every_s)
        if apart:
            self._apart[name] = apart

    def consumer(self, title: str, is_connected: Callable[[], bool]) -> None:
        """Look after one consumer of messages."""
        self._consumers.append((title, is_connected))

    def start(self) -> None:
        threading.Thread(target=self._run, name=f"vitals of {self.name}", daemon=True).start()

    def begin(self) -> None:
        """The process runs from now on."""
        self._look()
        self.phase = None

    def look_again(self) -> None:
        """Look at what is wrong now, without waiting for its turn."""
        for part in tuple(self._parts.values()):
            if part.fault:
                part.due = 0.0
                part.see()

    def stop(self) -> None:
        self.phase = "It is stopping."
        self._over.set()

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """(ready, {"service", "ok", "parts": {name: {"ok", "since", "detail"?}}, "detail"?})."""
        wrong = [f"{part.fault}" for part in tuple(self._parts.values()) if part.fault]
        late_s = time.monotonic() - self._looked
        if late_s > LOOK_S * 2:
            wrong.append(f"Nothing was looked at for {late_s:.0f} s.")
        if self.phase:
            wrong = [self.phase, *(wrong if wrong and self._parts.keys() - {"consumers"} else ())]
        answer: dict[str, Any] = {"service": self.name, "ok": not wrong,
                                  "parts": {name: part.shown() for name, part in tuple(self._parts.items())}}
        if wrong:
            answer["detail"] = " ".join(dict.fromkeys(wrong))
        return not wrong, answer

    def alive(self) -> tuple[bool, dict[str, Any]]:
        """(alive, {"service", "ok", "detail"?})."""
        fault = self._fault_of_its_own()
        return fault is None, {"service": self.name, "ok": fault is None, **({"detail": fault} if fault else {})}

    def _fault_of_its_own(self) -> str | None:
        if self._over.is_set() or self.phase:
            return None
        late_s = time.monotonic() - self._looked
        if late_s > self._stuck_s + LOOK_S:
            return f"Nothing was looked at for {late_s:.0f} s."
        broker = self._parts.get("broker")
        consumers = self._parts["consumers"]
        if broker is not None and min(consumers.lasts_s(True), broker.lasts_s(False)) > self._stuck_s:
            return f"The broker is there, and yet: {consumers.fault}"
        for name in tuple(self._cut_off):
            return f"For others it is there, and yet: {self._parts[name].fault}"
        return None

    def _look_at_consumers(self) -> str | None:
        away = [title for title, is_connected in self._consumers if not is_connected()]
        return f"Not connected to the broker: {', '.join(away)}." if away else None

    def _run(self) -> None:
        while not self._over.wait(EVERY_S / 2):
            self._look()

    def _look(self) -> None:
        for part in tuple(self._parts.values()):
            part.see()
        # Asked here and not by whoever wants to know: a server that is frozen is slow to be found away.
        self._cut_off = {name for name, is_there in self._apart.items()
                         if self._parts[name].lasts_s(True) > self._stuck_s and is_there()}
        self._looked = time.monotonic()
