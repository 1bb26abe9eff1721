"""What a restored backup says is mounted is mounted again, or broken with its reason: a backup has neither links nor a FUSE.

The path may be another one by then (another data folder), and what was mounted by FUSE may be read through this server where there is none.
"""
from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import and_, delete, update

from services.instances import far_mounts, looking, moving, repository, rules
from services.instances.models import INSTANCE, access_table, restored_table, shown
from shared.hosting.uses import Uses
from shared.storage.record import Row

log = logging.getLogger(__name__)

PAGE = 500
PLACE = ("uri", "path", "via")


def after_restore(uses: Uses) -> None:
    """Mount everything once more where a backup was brought back. What fails for now is tried at the next call; cheap where there was none.

    Raises:
        EdgemereError: a service or the mover does not answer.
    """
    with uses.db.reading() as connection:
        if not looking.is_restored(connection):
            return
    after: Sequence[str] | None = None
    again = broken = 0
    while True:
        with uses.db.reading() as connection:
            page = repository.mounts_page(connection, after, PAGE)
        if not page:
            break
        after = (page[-1]["instance_id"], page[-1]["data_id"])
        sources = uses.mesh.call("catalog", "sources", ids=sorted({row["source_id"] for row in page}))
        results = moving.run(uses, "mount", page, sources)
        failed = {key: result["error"] for key, result in results.items() if not result["ok"]}
        for_good = [{"key": key, "error": error} for key, error in failed.items() if not error.get("retryable")]
        _write(uses, page, {key: result for key, result in results.items() if result["ok"]})
        far_mounts.break_mounts(uses, for_good)
        again += len(failed) - len(for_good) + len(page) - len(results)
        broken += len(for_good)
    if again:
        log.warning("%d things that were mounted before the restore cannot be mounted now; they are tried again", again)
        return
    with uses.db.transaction(uses.context) as uow:
        uow.connection.execute(delete(restored_table))
    log.warning("what was mounted before the restore is mounted again, but for %d things, which broke", broken)


def _write(uses: Uses, page: Sequence[Row], good: Mapping[str, Mapping[str, Any]]) -> None:
    """Write down what has another place now."""
    found = {(row["instance_id"], row["data_id"]): rules.mounted_values(row, good[rules.key_of(row)]) for row in page if rules.key_of(row) in good}
    moved = {pair: {name: found[pair][name] for name in PLACE} for row in page if (pair := (row["instance_id"], row["data_id"])) in found
             and any(row[name] != found[pair][name] for name in PLACE)}
    if not moved:
        return

    def work() -> None:
        with uses.db.transaction(uses.context) as uow:
            for (instance, data), values in moved.items():
                uow.connection.execute(update(access_table).where(and_(
                    access_table.c.instance_id == instance, access_table.c.data_id == data, access_table.c.state == "ready")).values(values))
            ids = list(dict.fromkeys(instance for instance, _ in moved))
            entries = repository.entries_of_all(uow.connection, ids)
            rows = [row for row in repository.by_ids(uow.connection, ids) if row["state"] == "Ready"]
            for row in rows:
                uow.change(INSTANCE, [row], {"shown": shown(entries[row["id"]])})
    uses.db.retrying(work)
