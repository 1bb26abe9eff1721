"""The sources that mounted data comes from, opened when they are first read: threads for each, its limits, and whether it answers.

Everything goes through the product's own adaptors, so that address rules, secrets by name and marks of what changed hold here as everywhere.
One source that is silent keeps no thread of another.
"""
from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import orjson

from services.instances.fuse.blocks import meant
from services.instances.fuse.table import Description
from services.instances.mover.limits import Gate, gate_of
from shared.kernel.errors import Conflict, EdgemereError
from shared.sources.folders import FolderFile
from shared.sources.port import SourcePolicy, Stat
from shared.sources.registry import open_source

FETCHES = 8
PIECE = 1 << 20
# A source that did not answer is not asked again for so long.
AWAY_S = 3.0
AWAY = ("source.timeout", "source.unreachable", "source.throttled")
OPEN = 128


class Places:
    """The sources by what opens them; at most ``OPEN`` are open at a time. For several threads."""

    def __init__(self, policy: SourcePolicy, share: float) -> None:
        self._policy, self._share = policy, share
        self._open: OrderedDict[bytes, Place] = OrderedDict()
        self._pools: dict[str, Executor] = {}
        self._lock = threading.Lock()

    def place(self, described: Description) -> Place:
        """The source of a description. Opens nothing yet."""
        key = orjson.dumps([described["source"], described["adaptor"], described["parameters"]])
        with self._lock:
            place = self._open.get(key)
            if place is None:
                name = described["source"]
                pool = self._pools.setdefault(name, ThreadPoolExecutor(FETCHES, thread_name_prefix="fetch"))
                gate = gate_of(name, described["parameters"], self._share)
                place = self._open[key] = Place(described, self._policy, pool, gate)
                while len(self._open) > OPEN:
                    # What still reads from it has it until its end.
                    self._open.popitem(last=False)
            self._open.move_to_end(key)
            return place


class Place:
    """One source, opened when it is first asked."""

    def __init__(self, described: Description, policy: SourcePolicy, pool: Executor, gate: Gate | None) -> None:
        self.pool = pool
        self._described, self._policy, self._gate = described, policy, gate
        self._source: Any = None
        self._lock = threading.Lock()
        self._away: tuple[float, EdgemereError] | None = None

    def _opened(self) -> Any:
        with self._lock:
            if self._source is None:
                self._source = open_source(self._described["adaptor"], self._described["parameters"], self._policy)
            return self._source

    def check(self) -> None:
        """Raises what was said of the source a moment ago, where it did not answer."""
        away = self._away
        if away is not None and away[0] > time.monotonic():
            raise away[1]

    def is_silent(self, error: EdgemereError) -> None:
        """Somebody has waited for it in vain; the threads that ask it may do so still."""
        if self._away is None or self._away[1] is not error:
            self._away = (time.monotonic() + AWAY_S, error)

    def _guarded(self, ask: Any) -> Any:
        self.check()
        try:
            return ask(self._opened())
        except Exception as raised:
            raise self._failed(raised) from None

    def _failed(self, raised: BaseException) -> EdgemereError:
        error = meant(raised)
        if error.code == "source.access_denied":
            # The secret of this name may be another by now: it is looked up again.
            self._source = None
        self._away = (time.monotonic() + AWAY_S, error) if error.code in AWAY else None
        return error

    def look(self, path: str, seen: Stat) -> None:
        """Raises ``source.changed``, ``source.vanished``: at this path there is not what was ``seen`` any more."""
        now = self._guarded(lambda source: source.stat(path))
        if not now.is_still(seen):
            raise Conflict("source.changed", f"'{path}' changed at its source.", next_step="Scan the source again.")

    def files(self, path: str) -> list[FolderFile]:
        """The files of a folder that is one Data."""
        return self._guarded(lambda source: source.folder_files(path))

    def fetch(self, path: str, seen: Stat, start: int, count: int) -> Iterator[bytes]:
        """The bytes of what was ``seen`` at a path, within the limits of the source."""
        if self._gate is None:
            yield from self._pieces(path, seen, start, count)
            return
        with self._gate.transfer(_nothing):
            for piece in self._pieces(path, seen, start, count):
                self._gate.pace(len(piece), _nothing)
                yield piece

    def _pieces(self, path: str, seen: Stat, start: int, count: int) -> Iterator[bytes]:
        stream = self._guarded(lambda source: source.part(path, start, count, seen))
        with stream:
            while True:
                try:
                    piece = stream.read(PIECE)
                except Exception as raised:
                    raise self._failed(raised) from None
                if not piece:
                    return
                yield piece


def _nothing() -> None:
    return None
