"""What of the acks is not on disk yet, and when it gets there: with the next publish, or a moment later by itself."""
from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from shared.bus.clock import Clock
from shared.bus.journal import Journal, Row
from shared.kernel.errors import EdgemereError

log = logging.getLogger(__name__)

DELAY_S = 0.02
AT_ONCE = 500
DISK_RETRY_S = 1.0


class Ledger:
    """Writes to the journal, and takes along what waits. Used under the engine's lock."""

    def __init__(self, journal: Journal, clock: Clock, lock: Any) -> None:
        self._journal = journal
        self._clock = clock
        self._lock = lock
        self._gone: dict[int, list[int]] = {}
        self._returned: dict[int, dict[int, int]] = {}
        self._set = False
        self._closed = False

    def write(self, arrived: Mapping[int, list[Row]], gone: Mapping[int, Iterable[int]]) -> None:
        """One transaction with these messages and everything that waited.

        Raises:
            EdgemereError: ``bus.disk``; nothing was written, and what waited goes on waiting.
        """
        every = {number: [*self._gone.get(number, ()), *gone.get(number, ())] for number in {*self._gone, *gone}}
        self._journal.write(arrived, every, self._returned)
        self._gone, self._returned = {}, {}

    def forget(self, number: int, seqs: list[int]) -> None:
        """These messages of a queue are done with."""
        waiting = self._gone.setdefault(number, [])
        waiting.extend(seqs)
        if len(waiting) >= AT_ONCE:
            self._flush()
        else:
            self._soon(DELAY_S)

    def returned(self, number: int, seq: int, count: int) -> None:
        """This message was given back so many times."""
        self._returned.setdefault(number, {})[seq] = count
        self._soon(DELAY_S)

    def drop(self, number: int) -> None:
        """A queue is no more."""
        self._gone.pop(number, None)
        self._returned.pop(number, None)

    def flush(self) -> None:
        """Write what waits, for the last time."""
        self._flush()
        self._closed = True

    def _soon(self, seconds: float) -> None:
        if not self._set:
            self._set = True
            self._clock.after(seconds, self._due)

    def _due(self) -> None:
        with self._lock:
            self._set = False
            if not self._closed:
                self._flush()

    def _flush(self) -> None:
        if self._gone or self._returned:
            try:
                self.write({}, {})
            except EdgemereError as error:
                log.error("acks wait for the disk: %s", error)
                self._soon(DISK_RETRY_S)
