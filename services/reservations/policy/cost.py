"""What using data costs: one comparable figure from size, action and the prices of source and target.

Prices of a source: ``per_gib_out``, ``per_gib_in``, ``per_gib_month``, ``per_request`` in one currency, ``latency_ms`` and
``mib_per_s``. The figure is money plus the time until the data is usable, weighed by ``weights``.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

GIB = 1024**3
MIB = 1024**2
MONTH_S = 30 * 86400


def cost_of(action: str, size: int | None, source: Mapping[str, Any], target: Mapping[str, Any] | None,
            lifetime_s: float | None, weights: Mapping[str, float]) -> tuple[float, dict[str, float]]:
    """The figure and its parts ``{transfer, storage, requests, time}`` (each already weighed).

    ``size`` is in bytes; unknown counts as 0. Prices that are not given count as 0.
    """
    price = source.get("cost") or {}
    there = (target or {}).get("cost") or {}
    gib = (size or 0) / GIB
    moved = action in ("copy", "move")
    parts = {"requests": float(price.get("per_request") or 0)}
    # Data left in place is read from there, once.
    parts["transfer"] = gib * float(price.get("per_gib_out") or 0)
    speed = float(price.get("mib_per_s") or 0)
    seconds = float(price.get("latency_ms") or 0) / 1000 + ((size or 0) / MIB / speed if speed else 0)
    if moved:
        parts["transfer"] += gib * float(there.get("per_gib_in") or 0)
        months = (lifetime_s if lifetime_s is not None else MONTH_S) / MONTH_S
        parts["storage"] = gib * float(there.get("per_gib_month") or 0) * months
        seconds += float(there.get("latency_ms") or 0) / 1000
    parts["time"] = seconds
    weighed = {name: round(value * float(weights.get(name, 1)), 9) for name, value in parts.items()}
    return round(sum(weighed.values()), 9), weighed
