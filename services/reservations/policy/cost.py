"""What using data costs: one comparable figure from size, action, prices, expected reads and lifetime.

Prices of a source: ``per_gib_out``, ``per_gib_in``, ``per_gib_month``, ``per_request`` in one currency, ``latency_ms`` and
``mib_per_s``. The figure is money plus the time that reading and copying take, each part weighed by ``weights``. It never
falls when the size, a price, the number of reads or the lifetime rises (but a move costs less where the source charges
for what it keeps, and more speed makes everything cheaper). Described for users in docs/policies.md.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

GIB = 1024**3
MIB = 1024**2
MONTH_S = 30 * 86400
SLOWEST_MIB_PER_S = 1e-9
# In the order in which they are preferred at the same cost: what does less to the data comes first.
ACTIONS = ("leave", "mount", "copy", "move")
PARTS = ("requests", "transfer", "storage", "time")


@dataclass(frozen=True)
class Tariff:
    """What one action costs between one source and one target: ``fixed`` and ``per_byte`` of each part, weighed."""

    fixed: Mapping[str, float]
    per_byte: Mapping[str, float]
    fixed_sum: float
    per_byte_sum: float

    def figure(self, size: int | None) -> float:
        """The cost of data of this size in bytes; an unknown size counts as 0. To compare; ``parts`` is exact."""
        return self.fixed_sum + self.per_byte_sum * (size or 0)

    def parts(self, size: int | None) -> dict[str, float]:
        """The cost by part: ``{requests, transfer, time}``, and ``storage`` where something is stored."""
        parts = self._of_nothing.copy()
        for name, fixed, per_byte in self._by_size:
            parts[name] = round(fixed + per_byte * (size or 0), 9)
        return parts

    @cached_property
    def _of_nothing(self) -> dict[str, float]:
        return {name: round(value, 9) for name, value in self.fixed.items()}

    @cached_property
    def _by_size(self) -> list[tuple[str, float, float]]:
        """The parts that depend on the size: rounding is most of what they cost, and few do."""
        return [(name, self.fixed[name], per_byte) for name, per_byte in self.per_byte.items() if per_byte]


def tariff(action: str, source: Mapping[str, Any], target: Mapping[str, Any] | None, lifetime_s: float | None,
           weights: Mapping[str, float], reads: float = 1) -> Tariff:
    """What ``action`` costs for data of ``source``; prices that are not given count as 0, no lifetime as 30 days."""
    price, there = source.get("cost") or {}, (target or {}).get("cost") or {}
    fixed = {"requests": 0.0, "transfer": 0.0}
    per_byte = {"requests": 0.0, "transfer": 0.0}
    if action in ("leave", "mount"):
        # Each read goes to where the data lies.
        fixed["requests"] = _of(price, "per_request") * reads
        per_byte["transfer"] = _of(price, "per_gib_out") * reads / GIB
        fixed["time"], per_byte["time"] = _latency(price) * reads, _seconds(_of(price, "mib_per_s")) * reads
    else:
        # One read there, one write here, and then each read here; a move deletes in addition.
        fixed["requests"] = (_of(price, "per_request") * (2 if action == "move" else 1)
                             + _of(there, "per_request") * (1 + reads))
        per_byte["transfer"] = (_of(price, "per_gib_out") + _of(there, "per_gib_in") + _of(there, "per_gib_out") * reads) / GIB
        month = _of(there, "per_gib_month")
        if action == "move":
            # It is kept in one place instead of the other.
            month = max(0.0, month - _of(price, "per_gib_month"))
        months = (lifetime_s if lifetime_s is not None else MONTH_S) / MONTH_S
        fixed["storage"], per_byte["storage"] = 0.0, month * months / GIB
        speeds = [speed for speed in (_of(price, "mib_per_s"), _of(there, "mib_per_s")) if speed]
        fixed["time"] = _latency(price) + _latency(there) * (1 + reads)
        per_byte["time"] = _seconds(min(speeds, default=0.0)) + _seconds(_of(there, "mib_per_s")) * reads
    for name in fixed:
        weight = float(weights.get(name, 1))
        fixed[name] *= weight
        per_byte[name] *= weight
    return Tariff(fixed, per_byte, sum(fixed.values()), sum(per_byte.values()))


def cost_of(action: str, size: int | None, source: Mapping[str, Any], target: Mapping[str, Any] | None,
            lifetime_s: float | None, weights: Mapping[str, float], reads: float = 1) -> tuple[float, dict[str, float]]:
    """The figure and its parts, each already weighed."""
    parts = tariff(action, source, target, lifetime_s, weights, reads).parts(size)
    return total(parts), parts


def total(parts: Mapping[str, float]) -> float:
    return round(sum(parts.values()), 9)


def _of(price: Mapping[str, Any], name: str) -> float:
    return float(price.get(name) or 0)


def _latency(price: Mapping[str, Any]) -> float:
    return _of(price, "latency_ms") / 1000


def _seconds(mib_per_s: float) -> float:
    """Seconds for each byte; a speed that is not given is no bound, and none is so low that nobody could count the time."""
    return 1 / max(mib_per_s, SLOWEST_MIB_PER_S) / MIB if mib_per_s else 0.0
