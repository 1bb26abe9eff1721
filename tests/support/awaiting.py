"""Waiting in tests: for a condition, with a limit that only a failure reaches."""
from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

LIMIT_S = 120.0


def until(condition: Callable[[], Any], limit_s: float = LIMIT_S, pause_s: float = 0.02, what: str = "it did not come about in time") -> Any:
    """The first true value of ``condition``, asked again and again.

    Raises:
        AssertionError: saying ``what``, when there is none after ``limit_s`` seconds.
    """
    deadline = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(pause_s)
    return found
