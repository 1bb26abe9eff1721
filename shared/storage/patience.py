"""How long a stretch of code waits for the database, where that is not as long as everybody."""
from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_here = threading.local()


@contextmanager
def at_most(seconds: float | None) -> Iterator[None]:
    """Within the block each statement of this thread may take so long; None: as long as it takes."""
    before = getattr(_here, "limits", ())
    _here.limits = (seconds, *before)
    try:
        yield
    finally:
        _here.limits = before


def limit_s(usual_s: float | None) -> float | None:
    """The limit of this thread now."""
    limits = getattr(_here, "limits", ())
    return limits[0] if limits else usual_s
