"""What instances have at a target, for an audit of it: whose a file is, which copies should be there, and what becomes of the others."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.instances import breaking, moving, repository
from services.instances.models import INSTANCE
from shared.hosting.uses import Uses



def copies_known(uses: Uses, target: str, keys: Sequence[str]) -> dict[str, Any]:
    """Of keys of files at a target those that are an entry's: ``{key: {state, path, action, size, name, checksum}}``."""
    with uses.db.reading() as connection:
        rows = repository.entries_by_keys(connection, target, [key.split(":", 1) for key in keys if key.count(":") == 1])
    return {f"{row['instance_id']}:{row['data_id']}": {
        "state": row["state"], "path": row["target_path"], "action": row["action"], "size": row["size"], "name": row["name"],
        "checksum": row["checksum"]} for row in rows}


def copies_claimed(uses: Uses, target: str, after: Sequence[str] | None, limit: int) -> list[dict[str, Any]]:
    """The copies that Ready instances have at a target, after an ``(instance, data)``."""
    with uses.db.reading() as connection:
        return [{"instance": row["instance_id"], "data": row["data_id"], "name": row["name"], "path": row["target_path"], "size": row["size"]}
                for row in repository.copies_page(connection, target, after, limit)]


def copies_lost(uses: Uses, target: str, items: Sequence[Sequence[str]], detail: str) -> dict[str, int]:
    """Break the instances whose copies are gone or spoilt, so that their requests make them good or fail. ``{"broken": n}``."""
    def work() -> int:
        with uses.db.transaction(uses.context) as uow:
            entries = [row for row in repository.entries_by_keys(uow.connection, target, items) if row["state"] == "ready"]
            live = {row["id"] for row in repository.by_ids(uow.connection, {entry["instance_id"] for entry in entries})
                    if INSTANCE.net.allows(row["state"], "broken")}
            entries = [entry for entry in entries if entry["instance_id"] in live]
            breaking.break_entries(uow, entries, {entry["data_id"]: {"code": "target.lost", "detail": detail} for entry in entries})
        return len(live)
    return {"broken": uses.db.retrying(work)}


def remove_dark(uses: Uses, target: str, items: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """Remove files with the product's mark at a target that no entry has any more. ``{"removed": [key]}``."""
    known = copies_known(uses, target, [item["key"] for item in items])
    dark = [item for item in items if known.get(item["key"], {}).get("state") in (None, "purged", "ended")]
    rows = [{"instance_id": item["key"].partition(":")[0], "data_id": item["key"].partition(":")[2], "action": "copy", "target_id": target,
             "target_path": item["path"], "checksum": None} for item in dark if item["key"].count(":") == 1]
    if not rows:
        return {"removed": []}
    results = moving.run(uses, "purge", rows, uses.mesh.call("catalog", "sources", ids=[target]))
    return {"removed": [key for key, result in results.items() if result["ok"] and result.get("purged")]}
