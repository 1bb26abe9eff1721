"""What ``edgemere doctor`` finds, one thing at a time."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing looked at: ``verdict`` is ``ok``, ``warn`` or ``fail``, with a next step for the last two."""

    what: str
    verdict: str
    said: str
    next_step: str = ""
