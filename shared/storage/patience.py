"""How long a stretch of code waits for the database, where that is not as long as everybody."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# Of each thread, green or not, its own. Looked at with every statement, which a ``threading.local`` of green threads makes dear.
_limits: ContextVar[tuple[float | None, ...]] = ContextVar("limits", default=())


@contextmanager
def at_most(seconds: float | None) -> Iterator[None]:
    """Within the block each statement of this thread may take so long; None: as long as it takes."""
    before = _limits.get()
    _limits.set((seconds, *before))
    try:
        yield
    finally:
        _limits.set(before)


def limit_s(usual_s: float | None) -> float | None:
    """The limit of this thread now."""
    limits = _limits.get()
    return limits[0] if limits else usual_s
