"""Who read metadata of Data that the rules of a source restrict: written into the audit log, once a minute for each key and source.

Only that it was read, never what it says. What cannot be written down is not given out.
"""
from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence

from shared.hosting.uses import Uses
from shared.storage.record import Row

EVERY_S = 60.0
KEPT = 5000


class Readers:
    """Whose reading of which source was written down by this process within the last minute."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def due(self, credential: str, sources: Iterable[str]) -> list[str]:
        """Those of these sources whose reading by this credential is to be written now."""
        now = time.monotonic()
        with self._lock:
            return [source for source in sources if self._until.get((credential, source), 0.0) <= now]

    def written(self, credential: str, sources: Iterable[str]) -> None:
        """Their reading was written: it need not be again for a minute."""
        until = time.monotonic() + EVERY_S
        with self._lock:
            if len(self._until) >= KEPT:
                # Those whose minute is not over have another line then: rather one too many.
                self._until.clear()
            self._until.update(((credential, source), until) for source in sources)


def note(uses: Uses, rows: Sequence[Row], action: str) -> None:
    """Write down that the caller is about to be answered with these rows of Data, by this action of the table.

    Nothing is written where nobody has to log in, nor for the mesh's own work.

    Raises:
        Unavailable: the database cannot write it down.
    """
    context = uses.context
    restricted = [row["source_id"] for row in rows if row["access_rule"]]
    if not restricted or not context.credential or context.mesh:
        return
    readers: Readers = uses.parts["readers"]
    sources = readers.due(context.credential, sorted(set(restricted)))
    if not sources:
        return
    with uses.db.transaction(context) as uow:
        uow.was_read(action, sources, len(restricted))
    readers.written(context.credential, sources)
