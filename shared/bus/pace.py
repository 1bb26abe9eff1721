"""Who comes first in a process: work that somebody waits for, before the telling of what has happened.

In an embedded mesh one thread does both. A request for 10,000 Data says 70,000 messages; telling them at full speed
would double the time until its data is ready. So tellers rest after a full batch while somebody is waited for.
"""
from __future__ import annotations

import threading
import time

REST_FACTOR = 12.0
MOST_S = 1.0
GATHER_MOST_S = 0.1


def gathering_s(worked_s: float, least_s: float) -> float:
    """How long to wait for more, after several were taken at once and took ``worked_s``: at least ``least_s``, and where the machine has much to do
    as long as the work took. What is done behind an answer so has half of its time at most, and more of it is done at once."""
    return min(GATHER_MOST_S, max(least_s, worked_s))


class Pace:
    """Counts the workers that somebody waits for; one for all services of a process."""

    def __init__(self) -> None:
        self.busy = 0
        self._quiet = threading.Event()

    def begin(self) -> None:
        self.busy += 1
        self._quiet.clear()

    def end(self) -> None:
        self.busy -= 1
        if self.busy <= 0:
            self._quiet.set()

    def rest(self, worked_s: float) -> None:
        """Called by who tells, after a full batch that took ``worked_s``; ends early where nobody is waited for any more.

        What a step of a request said last is what the next one waits for.
        """
        if self.busy > 0 and worked_s > 0:
            self._quiet.wait(min(MOST_S, worked_s * REST_FACTOR))
        else:
            time.sleep(0)
