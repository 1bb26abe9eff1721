"""How often something happened lately, by name: windows that slide, in memory of a bounded size. Knows no owner and no address."""
from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable
from math import ceil, floor

# Of so many names a window knows how often; of more, those that were not heard of for the longest time are forgotten.
REMEMBERED = 10_000
_RATE = re.compile(r"(\d+)\s*(?:/|per)\s*(\d+)?\s*(second|minute|hour|day)s?", re.IGNORECASE)
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


class _Count:
    __slots__ = ("slot", "now", "before")

    def __init__(self, slot: int) -> None:
        self.slot, self.now, self.before = slot, 0, 0


class Window:
    """At most ``amount`` times in ``seconds``, for each name.

    Time is cut into slots of ``seconds``; what counts is what happened in this slot, and of the one before the part that the window
    still covers, as if it had been spread evenly. So a name costs two numbers, however often it comes.
    """

    def __init__(self, rate: str, clock: Callable[[], float] = time.monotonic) -> None:
        """``rate`` is one such as ``100/second`` or ``20 per 5 minutes``.

        Raises:
            ValueError: it is no rate.
        """
        found = _RATE.fullmatch(rate.strip())
        if found is None:
            raise ValueError(f"'{rate}' is no rate such as 100/second")
        self.amount = int(found[1])
        self.seconds = int(found[2] or 1) * _SECONDS[found[3].lower()]
        self._clock = clock
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def __len__(self) -> int:
        """How many names are remembered."""
        return len(self._counts)

    def hit(self, name: str) -> bool:
        """Count one more, if there is room for it; whether there was."""
        now = self._clock()
        count = self._count(name, now)
        if self._used(count, now) >= self.amount:
            return False
        count.now += 1
        return True

    def has_room(self, name: str) -> bool:
        """Whether one more would be counted."""
        now = self._clock()
        return self._used(self._count(name, now), now) < self.amount

    def remains(self, name: str) -> tuple[int, int]:
        """(how many more there is room for now, in how many whole seconds there will be more)."""
        now = self._clock()
        count = self._count(name, now)
        left = max(0, self.amount - self._used(count, now))
        return left, max(1, ceil(self._until_slot(now) if left else self._until_room(count, now)))

    def _count(self, name: str, now: float) -> _Count:
        slot = int(now // self.seconds)
        count = self._counts.get(name)
        if count is None:
            self._forget(slot)
            count = self._counts[name] = _Count(slot)
            return count
        if count.slot != slot:
            count.before = count.now if count.slot == slot - 1 else 0
            count.slot, count.now = slot, 0
        self._counts.move_to_end(name)
        return count

    def _forget(self, slot: int) -> None:
        """Make room for one more: what the window has left behind goes, and in need the one that was not heard of for the longest time."""
        while self._counts:
            oldest = next(iter(self._counts))
            if self._counts[oldest].slot >= slot - 1 and len(self._counts) < REMEMBERED:
                return
            del self._counts[oldest]

    def _used(self, count: _Count, now: float) -> int:
        return floor(count.before * self._until_slot(now) / self.seconds) + count.now

    def _until_slot(self, now: float) -> float:
        return self.seconds - now % self.seconds

    def _until_room(self, count: _Count, now: float) -> float:
        """Seconds until what counts of the slot before, or of this one when it is over, has become few enough."""
        left = self._until_slot(now)
        if count.now < self.amount:
            return left - (self.amount - count.now) * self.seconds / count.before
        return left + self.seconds - self.amount * self.seconds / count.now
