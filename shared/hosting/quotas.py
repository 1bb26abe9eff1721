"""Quotas of owners, as the services that make objects judge them: what there may be, what there is, what remains."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.kernel.amounts import bytes_said
from shared.kernel.errors import TooMany

KINDS = {"requests": "requests that have not ended", "instances": "instances", "bytes": "in copies"}
WAY_OUT = "End or destroy some (edgemere do datarequest list), or ask an Administrator for more."


def quota_of(config: Any, owner: str) -> Mapping[str, int]:
    """What an owner may have: ``{requests, instances, bytes}``, as far as it is bounded."""
    return config.quotas.get(owner) or config.quotas.get("*") or {}


def standing(quota: Mapping[str, int], used: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """``{kind: {limit, used, remaining}}`` of what is bounded and known."""
    return {kind: {"limit": limit, "used": used[kind], "remaining": max(0, limit - used[kind])}
            for kind, limit in quota.items() if kind in used}


def lacking(quota: Mapping[str, int], used: Mapping[str, int], more: Mapping[str, int]) -> str | None:
    """The sentence on the first bound that ``more`` would break, or None."""
    for kind, limit in quota.items():
        if more.get(kind) and used.get(kind, 0) + more[kind] > limit:
            would, most, there = (bytes_said(number) if kind == "bytes" else str(number)
                                  for number in (used.get(kind, 0) + more[kind], limit, used.get(kind, 0)))
            return f"It would be {would} {KINDS[kind]}, of {most} that its owner may have; there are {there}."
    return None


def check(quota: Mapping[str, int], used: Mapping[str, int], more: Mapping[str, int]) -> None:
    """Refuse what would be more than the owner may have.

    Raises:
        TooMany: ``quota.exceeded``; ``quota`` says what there may be, and what remains.
    """
    sentence = lacking(quota, used, more)
    if sentence:
        raise TooMany("quota.exceeded", sentence, next_step=WAY_OUT,
                      quota=standing(quota, used))
