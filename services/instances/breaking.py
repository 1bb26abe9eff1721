"""Facts that break instances: data that vanished from its source, or is no longer what was verified."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import update

from services.instances import provisioning, repository
from services.instances.models import INSTANCE, access_table, shown
from shared.hosting.uses import Uses
from shared.kernel.context import Context
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

CONTENT = {"size", "modified_at", "checksum"}


def on_data(uses: Uses, messages: Sequence[Any]) -> None:
    """``data.destroy`` and ``data.updated``, many at a time: live instances that read such data in place break."""
    why: dict[str, Mapping[str, Any]] = {}
    told: dict[str, Any] = {}
    for message in messages:
        data = message.obj
        if message.name == "data.destroy":
            why[data["id"]] = {"code": "source.vanished", "detail": f"'{data['name']}' is no longer at its source."}
        elif message.name == "data.updated" and CONTENT & set(message.body.get("changed") or ()):
            why[data["id"]] = {"code": "source.changed", "detail": f"'{data['name']}' changed at its source."}
        else:
            continue
        told[data["id"]] = message
    # What breaks belongs to the call that changed the data.
    calls: dict[str, list[str]] = {}
    for data_id, message in told.items():
        calls.setdefault(message.correlation_id, []).append(data_id)
    for call, ids in calls.items():
        for start in range(0, len(ids), 5000):
            part = ids[start:start + 5000]
            context = uses.context.having(correlation_id=call)
            uses.db.retrying(lambda part=part, context=context: _break(uses, context, part, why, told))


def _break(uses: Uses, context: Context, data: Sequence[str], why: Mapping[str, Mapping[str, Any]],
           told: Mapping[str, Any]) -> None:
    with uses.db.transaction(context) as uow:
        entries = repository.left_on(uow.connection, data)
        if not entries:
            return
        uow.context = context.having(causation_id=told[entries[0]["data_id"]].id or "")
        break_entries(uow, entries, why)


def break_entries(uow: UnitOfWork, entries: Sequence[Row], why: Mapping[str, Mapping[str, Any]]) -> None:
    """Break the instances of these entries inside a transaction; ``why`` is told by data. Their requests hear of it."""
    if entries:
        reasons: dict[str, dict[str, Any]] = {}
        for entry in entries:
            reason = why[entry["data_id"]]
            uow.connection.execute(update(access_table).where(
                access_table.c.instance_id == entry["instance_id"], access_table.c.data_id == entry["data_id"],
            ).values(state="broken", error=dict(reason)))
            reasons.setdefault(entry["instance_id"], {**reason, "data": entry["name"]})
        rows = repository.by_ids(uow.connection, reasons)
        now = repository.entries_of_all(uow.connection, list(reasons))
        uow.move(INSTANCE, rows, "broken", changes=lambda row: {"reason": reasons[row["id"]], "shown": shown(now[row["id"]])})
        for request, attempt in {(row["request_id"], row["attempt"]) for row in rows}:
            provisioning.tell_broken(uow, request, attempt)
