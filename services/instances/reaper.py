"""Room at a target: which copies could go, the least recently used first, and destroying those that are named.

What is a last copy is the catalogue's to say; see ``services/catalog/reaping.py``, which asks here.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.instances import pins, removing, repository
from shared.hosting.uses import Uses
from shared.storage.record import Row

PAGE = 200
MOST_ENTRIES = 5000


def candidates(uses: Uses, target: str, after: Sequence[str] | None = None) -> dict[str, Any]:
    """Ready instances with copies at a target, the least recently used first: ``{"items", "next"}``.

    An item is ``{id, name, request, owner, used_at, version, bytes, pin, entries: [[data, checksum, size, modified_at]]}``; ``bytes`` are
    those of its copies at the target. ``next`` goes on after a page.
    """
    with uses.db.reading() as connection:
        rows = repository.with_copies_at(connection, target, after, PAGE)
        taken, entries = [], 0
        for row in rows:
            if taken and entries + row["copies"] > MOST_ENTRIES:
                break
            taken.append(row)
            entries += row["copies"]
        copies = repository.copies_at(connection, target, [row["id"] for row in taken])
    whole = len(taken) == len(rows) < PAGE
    return {"items": [_item(row, copies[row["id"]]) for row in taken],
            "next": None if whole or not taken else [taken[-1]["last_use"], taken[-1]["id"]]}


def _item(row: Row, copies: Sequence[Row]) -> dict[str, Any]:
    return {
        "id": row["id"], "name": row["name"], "request": {"id": row["request_id"], "name": row["request_name"]}, "owner": row["owner"],
        "used_at": row["last_use"], "version": row["version"], "bytes": int(row["bytes"] or 0),
        "pin": row["pin"] if pins.is_pinned(row) else None,
        "entries": [[one["data_id"], one["checksum"], one["size"], one["modified_at"]] for one in copies],
    }


def reap(uses: Uses, versions: Mapping[str, int], because: str) -> dict[str, Any]:
    """Destroy instances that are still as they were seen: Ready, unpinned, unused since. ``{"reaped": [id]}``.

    Their copies can be brought back within the grace time, as long as there is room again.
    """
    reason = {"code": "reaped", "detail": because}

    def work() -> list[Row]:
        with uses.db.transaction(uses.context) as uow:
            rows = [row for row in repository.by_ids(uow.connection, versions) if row["version"] == versions[row["id"]]
                    and row["state"] == "Ready" and not pins.is_pinned(row)]
            gone = removing.destroy_rows(uow, rows, uses.config.instances.grace_s, {row["id"]: reason for row in rows})
            for request in {row["request_id"] for row in gone}:
                removing.tell_gone(uow, request, [row for row in gone if row["request_id"] == request], "reaped")
        return gone
    gone = uses.db.retrying(work)
    for request in {row["request_id"] for row in gone}:
        removing.clear(uses, request)
    return {"reaped": [row["id"] for row in gone]}
