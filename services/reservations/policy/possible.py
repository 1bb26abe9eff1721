"""Which of leave, mount, copy and move can be done with data, from the facts of its source and of the target.

Facts are those of the catalogue's plain source: ``adaptor, state, writable, deletable, capacity, used``. Reads nothing.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.kernel.amounts import bytes_said
from shared.sources.mounted import UNKNOWN, via

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class WhyNot:
    """Why an action cannot be done: the code for the request's reason, a sentence, and whether waiting can help."""

    code: str
    detail: str
    can_wait: bool = False


def mounted_by(source: Facts, data: Facts) -> dict[str, str]:
    """How data of a source is mounted: ``{"via": link | fuse | read_through}``, and of the last ``via_why``, why there is no path."""
    # Of a source that was looked at before FUSE was asked about nothing is known of it.
    how, why = via(source.get("adaptor"), data.get("size"), source.get("no_fuse", UNKNOWN) or None)
    return {"via": how, **({"via_why": why} if why else {})}


def why_not(action: str, source: Facts, target: Facts | None, wanted: str | None) -> WhyNot | None:
    """Why ``action`` cannot be done with any data of ``source``, or None. ``wanted`` is the name of the target asked for."""
    if action == "leave":
        return None
    if source.get("adaptor") == "simulated":
        return WhyNot("action_impossible", f"A simulated source has no bytes to {action}.")
    if action == "mount":
        return None
    if not wanted:
        return WhyNot("target_unusable", f"A {action} needs a target, and neither the rule nor the request names one.")
    if target is None:
        return WhyNot("target_unusable", f"There is no source '{wanted}' to {action} to.")
    if is_same(source, wanted) or source.get("id") == target.get("id"):
        within = "; a move inside one source moves nothing" if action == "move" else ""
        return WhyNot("target_unusable", f"The data is in '{target.get('name') or wanted}' already{within}.")
    if not target.get("writable"):
        return WhyNot("target_unusable", f"The source '{target['name']}' does not take copies.")
    if target.get("state") not in (None, "Ready"):
        return WhyNot("source_unavailable", f"The target '{target['name']}' is {target['state']}.", can_wait=True)
    # Until a source says that a move may delete there, it may not.
    if action == "move" and not source.get("deletable", False):
        return WhyNot("action_impossible", f"Nothing may be deleted at '{source.get('name')}', so its data cannot be moved.")
    return None


def why_not_this(action: str, data: Mapping[str, Any], free_bytes: int | None) -> str | None:
    """Why ``action`` cannot be done with this data although its source allows it; ``free_bytes`` are those of the target."""
    if action == "leave":
        return None
    kind = data.get("type")
    if kind == "stream":
        return f"A stream has no end: a {action} of it would have none either."
    if action == "mount":
        return None
    if free_bytes is not None and (data.get("size") or 0) > free_bytes:
        return f"The target has {bytes_said(free_bytes)} free; {bytes_said(data['size'])} {'is' if data['size'] == 1 else 'are'} needed."
    return None


def free_bytes(target: Facts | None) -> int | None:
    """How many bytes the target can still take; None is no bound."""
    most = ((target or {}).get("capacity") or {}).get("bytes")
    return None if most is None else max(0, most - (((target or {}).get("used") or {}).get("bytes") or 0))


def is_same(source: Facts, name: str | None) -> bool:
    """Whether ``name`` (or id) means ``source``."""
    return name is not None and name in (source.get("id"), source.get("name"))
