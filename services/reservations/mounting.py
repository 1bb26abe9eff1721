"""Whether what lies far away can be mounted by FUSE: asked of the service that would mount it, and remembered for a moment."""
from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from services.reservations.policy.records import facts_of
from shared.hosting.uses import Uses
from shared.kernel.errors import DeadlineExceeded, Unavailable
from shared.sources.mounted import FAR, UNKNOWN

REMEMBERED_S = 10.0
# The first who asks waits until something was mounted for a trial.
FIRST_S = 20.0


class NoFuse:
    """Why there is no FUSE, as a sentence; empty where there is."""

    def __init__(self) -> None:
        self._why, self._until = UNKNOWN, 0.0

    def why(self, uses: Uses) -> str:
        if time.monotonic() > self._until:
            try:
                self._why = uses.itself.call("instances", "no_fuse", timeout_s=FIRST_S) or ""
                self._until = time.monotonic() + REMEMBERED_S
            except (Unavailable, DeadlineExceeded):
                self._why, self._until = UNKNOWN, time.monotonic() + 1
        return self._why


def facts(uses: Uses, sources: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What decisions may know of sources, by their ids; their parameters, which may be long, are left out."""
    return {key: facts_of(source) for key, source in with_mounts(uses, sources).items()}


def with_mounts(uses: Uses, sources: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The sources, those that are far away with why they could not be mounted by FUSE (``no_fuse``)."""
    asked = uses.parts.get("no_fuse")
    if asked is None or not any(source.get("adaptor") in FAR for source in sources.values()):
        return dict(sources)
    why = asked.why(uses)
    return {key: {**source, "no_fuse": why} if source.get("adaptor") in FAR else source for key, source in sources.items()}
