"""What a scan found against what the catalogue has: added, changed, back again, vanished. One batch, one transaction.

Decides nothing about when to scan, and reads no file.
"""
from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from services.catalog import access, passages, repository, rules, totals
from services.catalog.models import DATA
from shared.kernel.ids import derived_id, new_id
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

Entry = Mapping[str, Any]
# Rows between two breaths.
STRETCH = 100
_COMPARED = ("name", "type", "size", "media_type", "checksum", "modified_at", "tags", "uri", "fingerprint", "access_rule")


@dataclass
class Counts:
    """What one batch did."""

    added: int = 0
    changed: int = 0
    vanished: int = 0
    count: int = 0
    size: int = 0


def place_of(source_id: str, path: str) -> str:
    return derived_id("data", source_id, path)


def usable(entry: Entry) -> str | None:
    """Why an entry cannot be kept, or None."""
    if len(entry["path"]) > rules.PATH_CHARS:
        return f"The path has more than {rules.PATH_CHARS} characters."
    if len(entry["name"].encode("utf-8", "replace")) > rules.NAME_BYTES:
        return f"The name has more than {rules.NAME_BYTES} bytes."
    if entry["size"] is not None and not 0 <= entry["size"] <= rules.LARGEST:
        return "The size is out of bounds."
    return None


def columns_of(source: Row, place: str, entry: Entry) -> Row:
    """The columns that a source's item has."""
    return {
        "owner": source["owner"], "source_id": source["id"], "source_name": source["name"], "location": source["location"],
        "path": entry["path"], "place": place, "name": entry["name"], "type": entry["type"], "size": entry["size"],
        "media_type": entry["media_type"], "checksum": entry["checksum"], "modified_at": entry["modified_at"],
        "tags": entry["tags"] or {}, "uri": entry["uri"] or simulated_uri(source, entry["path"]),
        "fingerprint": entry["fingerprint"],
    }


def simulated_uri(source: Row, path: str) -> str | None:
    """The address of something that has no bytes; it says so itself."""
    return f"simulated://{quote(source['name'], safe='')}/{quote(path)}" if source["adaptor"] == "simulated" else None


def take(uow: UnitOfWork, source: Row, entries: Mapping[str, Entry]) -> Counts:
    """Bring the catalogue up to ``entries`` (by place), but for places that a move is at. The caller holds the row of the source."""
    moving = passages.within(uow.connection, entries)
    entries = {place: entry for place, entry in entries.items() if place not in moving}
    living, rows = repository.at_places(uow, list(entries))
    rule_of = access.sorter(uow.connection, source)
    fresh, back, changed, done = [], [], [], Counts()
    for place, entry in entries.items():
        row = living.get(place)
        new = columns_of(source, place, entry)
        new["access_rule"] = rule_of({**new, "id": place})
        if row is not None:
            if row["fingerprint"] != entry["fingerprint"]:
                changed.append((row, new))
            continue
        old = rows.get(place)
        if old is None:
            fresh.append({**new, "id": place})
        elif old["destroyed_at"]:
            back.append((old, new))
        else:
            # The data that began here was relocated and keeps its id.
            fresh.append({**new, "id": new_id("data")})
    for some in repository.parts(fresh, STRETCH):
        made = uow.create(DATA, some)
        repository.index_tags(uow, made)
        access.count(uow, come=made)
        done.added += len(made)
        done.size += _size(made)
        _let_others()
    for some in repository.parts(back, STRETCH):
        made = _changed(uow.revive, some)
        # A destroyed row has no tags in the index.
        repository.index_tags(uow, made)
        access.count(uow, come=made)
        done.added += len(made)
        done.size += _size(made)
        _let_others()
    for some in repository.parts(changed, STRETCH):
        made = _changed(uow.change, [(row, {name: new[name] for name in _COMPARED}) for row, new in some])
        before = {row["id"]: row for row, _ in some}
        retagged = [row for row in made if row["tags"] != before[row["id"]]["tags"]]
        repository.forget_tags(uow, [row["id"] for row in retagged])
        repository.index_tags(uow, retagged)
        access.count(uow, gone=before.values(), come=made)
        done.changed += len(made)
        done.size += _size(made) - _size(before.values())
        _let_others()
    done.count = done.added
    totals.count_more(uow, source["id"], done.count, done.size)
    return done


def remove(uow: UnitOfWork, source_id: str, rows: Sequence[Row]) -> Counts:
    """Take these data out of the catalogue. The caller holds the row of the source."""
    done = Counts()
    for some in repository.parts(rows, STRETCH):
        gone = uow.destroy(DATA, some)
        access.count(uow, gone=some)
        repository.forget_tags(uow, [row["id"] for row in gone])
        done.vanished += len(gone)
        done.size -= _size(gone)
        _let_others()
    done.count = -done.vanished
    totals.count_more(uow, source_id, done.count, done.size)
    return done


def _size(rows: Iterable[Row]) -> int:
    return sum(row["size"] or 0 for row in rows)


def _let_others() -> None:
    # In the embedded mesh every service waits while one computes; the transaction may well stay open meanwhile.
    time.sleep(0)


def _changed(write: Any, pairs: Sequence[tuple[Row, Row]]) -> list[Row]:
    new = {row["id"]: columns for row, columns in pairs}
    return write(DATA, [row for row, _ in pairs], lambda row: new[row["id"]]) if pairs else []
