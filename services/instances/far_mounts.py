"""What is mounted by FUSE, kept true: it is served, what nobody has any more goes, and data that changed under it breaks its instance."""
from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from services.instances import breaking, moving, repository
from services.instances.fuse.table import Table
from services.instances.models import INSTANCE
from shared.hosting.uses import Uses

log = logging.getLogger(__name__)

# So often it is looked for what nobody has any more.
LOOK_S = 60.0
# The states of entries that have no mount.
OVER = ("purged", "ended")


def tend(uses: Uses) -> None:
    """One round; cheap where nothing is mounted."""
    movers = uses.parts["movers"]
    if movers.fuse is None:
        return
    movers.fuse.tend()
    if found := movers.fuse.noticed():
        break_mounts(uses, found)
    if movers.fuse.is_time(LOOK_S):
        forget_orphans(uses, movers.fuse.table)


def break_mounts(uses: Uses, found: Sequence[Mapping[str, Any]]) -> None:
    """Break the instances of what is no longer what was mounted, ``{"key", "error"}`` each; their requests make them good or fail."""
    why = {tuple(one["key"].split(":", 1)): one["error"] for one in found}

    def work() -> None:
        with uses.db.transaction(uses.context) as uow:
            entries = [row for row in repository.entries_by_keys(uow.connection, None, list(why)) if row["action"] == "mount" and row["state"] == "ready"]
            live = {row["id"] for row in repository.by_ids(uow.connection, {entry["instance_id"] for entry in entries})
                    if INSTANCE.net.allows(row["state"], "broken")}
            entries = [entry for entry in entries if entry["instance_id"] in live]
            breaking.break_entries(uow, entries, {entry["data_id"]: _reason(entry, why[entry["instance_id"], entry["data_id"]]) for entry in entries})
    uses.db.retrying(work)


def _reason(entry: dict[str, Any], error: Mapping[str, Any]) -> dict[str, Any]:
    if error["code"] == "source.vanished":
        return {"code": "source.vanished", "detail": f"'{entry['name']}' is no longer at its source."}
    if error["code"] == "source.changed":
        return {"code": "source.changed", "detail": f"'{entry['name']}' changed at its source."}
    return {"code": error["code"], "detail": error.get("detail")}


def forget_orphans(uses: Uses, table: Table) -> None:
    """Remove what is mounted for entries that are over, as when another machine destroyed them, or this one died in the middle of it."""
    shown = {}
    for entry in table.ids():
        read = table.read(entry)
        # What is younger may be about to be written down.
        if read is not None and time.time() - read[1][1] / 1e9 > LOOK_S:
            shown[tuple(read[0]["key"].split(":", 1))] = read[0]["mount_path"]
    if not shown:
        return
    with uses.db.reading() as connection:
        kept = {(row["instance_id"], row["data_id"]) for row in repository.entries_by_keys(connection, None, list(shown)) if row["state"] not in OVER}
    orphans = [{"instance_id": pair[0], "data_id": pair[1], "action": "mount", "target_path": path} for pair, path in shown.items() if pair not in kept]
    if orphans:
        log.warning("%d things were mounted for nobody and are taken away, as '%s'", len(orphans), orphans[0]["target_path"])
        moving.run(uses, "unmount", orphans, {})
