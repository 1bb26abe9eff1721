"""How much a source takes at a time: transfers side by side, and bytes a second. One gate per source in this process."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

SLICE_S = 0.2


class Gate:
    """The limits of one source, shared by all jobs of this process. ``transfers`` and ``bytes_per_s`` may be None: no bound."""

    def __init__(self, transfers: int | None, bytes_per_s: float | None) -> None:
        self._places = threading.Semaphore(transfers) if transfers else None
        self._rate = bytes_per_s
        self._lock = threading.Lock()
        self._free_at = 0.0

    @contextmanager
    def transfer(self, check: Callable[[], None]) -> Iterator[None]:
        """A place among the transfers; waits for one. Raises what ``check`` does meanwhile."""
        if self._places is None:
            yield
            return
        while not self._places.acquire(timeout=SLICE_S):
            check()
        try:
            yield
        finally:
            self._places.release()

    def pace(self, count: int, check: Callable[[], None]) -> None:
        """Wait until ``count`` bytes more fit the rate. Raises what ``check`` does meanwhile."""
        if not self._rate:
            return
        with self._lock:
            now = time.monotonic()
            # What was not used for up to a slice may be used at once.
            self._free_at = max(self._free_at, now - SLICE_S) + count / self._rate
            until = self._free_at
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, SLICE_S))
            check()


_gates: dict[tuple[str, str], Gate] = {}
_lock = threading.Lock()


def gate_of(name: str, parameters: Mapping[str, Any], share: float) -> Gate | None:
    """The gate of a source with limits; ``share`` is the part of them that this process has."""
    limits = parameters.get("limits")
    if not limits:
        return None
    transfers, speed = limits.get("transfers"), limits.get("mib_per_s")
    with _lock:
        key = (name, repr(sorted(limits.items())))
        if key not in _gates:
            _gates[key] = Gate(max(1, int(transfers * share)) if transfers else None, speed * share * (1 << 20) if speed else None)
        return _gates[key]
