"""Frees a target: the copies that were used least recently go until there is room, and never the last copy of something.

A last copy is one whose content no Ready source has by now: its data vanished or changed, or its source is out of use, and no
other data has its checksum. Without ``apply`` nothing is written; what is said then is what would go.
"""
from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.catalog import naming, repository, rules
from services.catalog.models import ref
from shared.hosting.uses import Uses
from shared.kernel.errors import Conflict, EdgemereError, Invalid
from shared.kernel.ids import new_id
from shared.kernel.typed import typed
from shared.storage import leases
from shared.storage.record import Row

log = logging.getLogger(__name__)

# One call takes at most so many instances; the next one goes on.
MOST = 1000
SHOWN_KEPT = 100


@dataclass
class _Found:
    """What would go, and what is kept and why."""

    going: list[dict[str, Any]] = field(default_factory=list)
    kept: list[dict[str, Any]] = field(default_factory=list)
    more: bool = False


def reap(uses: Uses, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What goes, or would go, from a target until no more is used than its low mark, or ``bytes`` are free.

    Raises:
        NotFound: ``datasource.not_found``.
        Conflict: ``datasource.not_writable``, no copies go there.
        Invalid: ``datasource.unbounded``, it has no bound and no ``bytes`` are asked for.
    """
    with uses.db.reading() as connection:
        source = naming.own_source(uses, connection, parameters["id"])
    if not source["writable"]:
        raise Conflict("datasource.not_writable", f"The source '{source['name']}' does not take copies, so there is nothing to reap.",
                       next_step="Name a source that has parameters.writable: true.")
    return _reaped(uses, source, parameters.get("bytes"), parameters["apply"])


def _reaped(uses: Uses, source: Row, asked: int | None, apply: bool) -> dict[str, Any]:
    high, low = rules.marks(source, uses.config.reaping)
    capacity, used = (source["capacity"] or {}).get("bytes"), (source["used"] or {}).get("bytes") or 0
    if asked is None and capacity is None:
        raise Invalid("datasource.unbounded", f"The source '{source['name']}' has no capacity.bytes, so no mark says how much must go.",
                      next_step=f"Say how much: {typed('fmdm datasource reap', id=source['name'], bytes='1000000000')}",
                      errors=[{"pointer": "/bytes", "detail": "This is required for a source without a bound."}])
    wanted = max(0, used - int(low * capacity)) if asked is None else asked
    found = _chosen(uses, source, wanted)
    reaped = _destroyed(uses, source, found.going) if apply else set()
    going = [one for one in found.going if not apply or one["id"] in reaped]
    return {
        "source": ref(source["id"], source["name"]), "applied": apply, "capacity": capacity, "used": used, "high": high, "low": low,
        "above_high": capacity is not None and used > high * capacity, "wanted": wanted, "freed": sum(one["bytes"] for one in going),
        "more": found.more, "items": [{key: value for key, value in one.items() if key not in ("entries", "version", "pin")} for one in going],
        "kept": found.kept[:SHOWN_KEPT], "kept_count": len(found.kept), "total": len(going), "next": None,
    }


def _chosen(uses: Uses, source: Row, wanted: int) -> _Found:
    found, freed = _Found(), 0
    for page in _pages(uses, source["id"]):
        elsewhere = _elsewhere(uses, [entry for one in page for entry in one["entries"]])
        for one in page:
            if freed >= wanted:
                return found
            why = "pinned" if one["pin"] else "last_copy" if any(tuple(entry) not in elsewhere for entry in one["entries"]) else None
            if why:
                found.kept.append({"id": one["id"], "name": one["name"], "bytes": one["bytes"], "why": why, "pin": one["pin"]})
            elif len(found.going) == MOST:
                found.more = True
                return found
            else:
                found.going.append({**one, "why": "least_recently_used"})
                freed += one["bytes"]
    return found


def _pages(uses: Uses, target: str) -> Iterator[list[dict[str, Any]]]:
    after = None
    while True:
        page = uses.mesh.call("instances", "reapable", target=target, after=after, timeout_s=30)
        yield page["items"]
        after = page["next"]
        if after is None:
            return


def _elsewhere(uses: Uses, entries: Sequence[Sequence[Any]]) -> set[tuple[Any, ...]]:
    """Those of the entries ``(data, checksum, size, modified_at)`` whose content a Ready source has."""
    with uses.db.reading() as connection:
        data = {row["id"]: row for row in repository.data_at_ready_sources(connection, sorted({entry[0] for entry in entries}))}
        safe = {tuple(entry) for entry in entries if entry[0] in data and _same(data[entry[0]], entry)}
        left = [tuple(entry) for entry in entries if tuple(entry) not in safe and entry[1]]
        known = repository.checksums_at_ready_sources(connection, sorted({entry[1] for entry in left}))
    return safe | {entry for entry in left if entry[1] in known}


def _same(row: Mapping[str, Any], entry: Sequence[Any]) -> bool:
    """Whether the catalogue still describes what was copied."""
    _, checksum, size, modified_at = entry
    if row["checksum"] and checksum:
        return row["checksum"] == checksum
    return row["size"] == size and modified_at is not None and row["modified_at"] == modified_at


def _destroyed(uses: Uses, source: Row, going: Sequence[Mapping[str, Any]]) -> set[str]:
    reaped: set[str] = set()
    for start in range(0, len(going), 200):
        part = going[start:start + 200]
        answer = uses.mesh.call("instances", "reap", versions={one["id"]: one["version"] for one in part}, timeout_s=60,
                                because=f"Its room at '{source['name']}' was needed, and it was used least recently.")
        reaped.update(answer["reaped"])
    return reaped


def sweep(uses: Uses) -> int:
    """Free the targets that are above their high mark, where the settings ask for it; returns how many instances went."""
    every_s = uses.config.reaping.every_s
    if not every_s or not _its_time(uses, every_s):
        return 0
    with uses.db.reading() as connection:
        full = [row for row in repository.bounded_targets(connection) if _is_full(uses, row)]
    count = 0
    for source in full:
        try:
            count += _reaped(uses, source, None, True)["total"]
        except EdgemereError as error:
            log.warning("'%s' could not be freed: %s", source["name"], error)
    return count


def _its_time(uses: Uses, every_s: float) -> bool:
    """Whether the last look is so long ago; one replica gets the answer True."""
    with uses.db.transaction() as uow:
        return leases.take(uow.connection, uses.db.metadata.tables["lease"], "reaping", new_id("operation"), every_s)


def _is_full(uses: Uses, source: Row) -> bool:
    high, _ = rules.marks(source, uses.config.reaping)
    return ((source["used"] or {}).get("bytes") or 0) > high * source["capacity"]["bytes"]
