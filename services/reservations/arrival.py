"""About how long it takes until everything that was decided is there. Pure; an estimate, and called one."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

MIB = 1024**2
MARGIN = 1.2
"""Bytes are read back after they were written, and nothing goes at full speed all the time."""


def seconds_until_ready(decided: Iterable[tuple[str, int | None, str, str | None]], sources: Mapping[str, Mapping[str, Any]],
                        assumed_mib_per_s: float) -> float:
    """Seconds for decisions ``(action, size, source id, target id)``; ``sources`` are facts of sources and targets by id.

    The slower of source and target counts; what goes through one place goes one after the other, different places work
    side by side. A place that names no speed has the assumed one, and none is faster than the mover may be there. What is left or
    mounted costs its latency alone.
    """
    busy: dict[str, float] = {}
    ways: dict[tuple[str, str | None], tuple[list[str], float, float]] = {}
    for action, size, source_id, target_id in decided:
        way = ways.get((source_id, target_id))
        if way is None:
            way = ways[source_id, target_id] = _way([one for one in (source_id, target_id) if one], sources, assumed_mib_per_s)
        if action in ("copy", "move"):
            ends, speed, _ = way
            for one in ends:
                busy[one] = busy.get(one, 0.0) + (size or 0) / MIB / speed
    latency = max((latency for _, _, latency in ways.values()), default=0.0)
    return round((max(busy.values(), default=0.0) + latency) * MARGIN, 3)


def _way(ends: list[str], sources: Mapping[str, Mapping[str, Any]], assumed_mib_per_s: float) -> tuple[list[str], float, float]:
    """The places of a way, its speed, and the seconds until its first byte."""
    places = [sources.get(one) or {} for one in ends]
    speed = min(_mib_per_s(place, assumed_mib_per_s) for place in places)
    return ends, speed, sum(float((place.get("cost") or {}).get("latency_ms") or 0) for place in places) / 1000


def _mib_per_s(place: Mapping[str, Any], assumed: float) -> float:
    named, allowed = (place.get("cost") or {}).get("mib_per_s"), (place.get("limits") or {}).get("mib_per_s")
    return min(float(named or assumed), float(allowed or "inf"))
