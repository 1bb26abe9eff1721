"""Another replica in the place of data that cannot be made ready: the entry goes on from another source, in the same instance."""
from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import update

from services.instances import moving, repository, rules
from services.instances.models import INSTANCE, access_table, shown
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import EdgemereError
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

log = logging.getLogger(__name__)
ABOUT_BYTES = ("data.malicious", "data.not_scanned")
# What is wrong with the target or with the decision is no better with another source.
NOT_THE_SOURCE = ("target.", "worker.", "scanner.", "cancelled", "data.in_use", "internal")


def replacements(uses: Uses, request: str, failed: Sequence[tuple[Row, Mapping[str, Any]]]) -> dict[tuple[str, str], Row]:
    """The reservations that stand in for entries that failed for good, ``{(instance, data): reservation}``; their halves are purged."""
    found: dict[tuple[str, str], Row] = {}
    for entry, error in failed:
        if error.get("code", "").startswith(NOT_THE_SOURCE) or entry["step"]:
            continue
        reason = {"code": error.get("code", "provision_failed"), "detail": error.get("detail", "")}
        # Of the same bytes a scanner says the same.
        same = entry["checksum"] or (error.get("extra") or {}).get("checksum")
        unlike = {"unlike": same} if reason["code"] in ABOUT_BYTES and same else {}
        try:
            reservation = uses.mesh.call("reservations", "stand_in", request=request, attempt=_attempt(uses, entry),
                                         data=entry["data_id"], reason=reason, **unlike)
        except EdgemereError as problem:
            if problem.retryable:
                raise
            # Another service of reservations, for example, which knows no replicas: then this entry is broken, as it would be without one.
            log.warning("no replica was found for %s: %s", entry["name"], problem)
            continue
        if reservation is not None:
            found[entry["instance_id"], entry["data_id"]] = reservation
    halves = [entry for entry, _ in failed if (entry["instance_id"], entry["data_id"]) in found and entry["target_id"]]
    if halves:
        try:
            sources = uses.mesh.call("catalog", "sources", ids=sorted({entry["target_id"] for entry in halves}))
            moving.run(uses, "purge", [entry for entry in halves if entry["target_id"] in sources], sources)
        except EdgemereError as error:
            log.warning("what failed copies left could not be removed: %s", error)
    return found


def _attempt(uses: Uses, entry: Row) -> int:
    with uses.db.reading() as connection:
        row, = repository.by_ids(connection, [entry["instance_id"]])
    return row["attempt"]


def replace(uow: UnitOfWork, entry: Row, error: Mapping[str, Any], reservation: Row) -> None:
    """Let an entry of a live instance go on with another replica; what was tried stays in ``attempts``."""
    instance, = repository.by_ids(uow.connection, [entry["instance_id"]])
    fresh = rules.entry_row(instance, entry["position"], reservation)
    tried = [*(entry["attempts"] or []), rules.attempt(entry, error, clock.stamp())]
    there = {row["data_id"] for row in repository.entries_of(uow.connection, instance["id"])}
    if fresh["data_id"] in there:
        return
    done = uow.connection.execute(update(access_table).where(
        access_table.c.instance_id == entry["instance_id"], access_table.c.data_id == entry["data_id"],
        access_table.c.state == "pending").values({**fresh, "attempts": tried})).rowcount
    if not done or instance["state"] != "Provisioning":
        return
    entries = repository.entries_of(uow.connection, instance["id"])
    sources = {row["source_id"] for row in entries}
    one = {"source_id": reservation["source_id"], "source_name": reservation["source_name"]}
    uow.change(INSTANCE, [instance], {"shown": shown(entries), "bytes_total": sum(row["size"] or 0 for row in entries),
                                      **(one if len(sources) == 1 else {"source_id": None, "source_name": None})})
