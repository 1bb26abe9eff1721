"""Facts that break instances: data that vanished from its source, or is no longer what was verified."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import update

from services.instances import provisioning, repository
from services.instances.models import INSTANCE, access_table, shown
from shared.hosting.uses import Uses

CONTENT = {"size", "modified_at", "checksum"}


def on_data(uses: Uses, messages: Sequence[Any]) -> None:
    """``data.destroy`` and ``data.updated``, many at a time: live instances that read such data in place break."""
    why: dict[str, Mapping[str, Any]] = {}
    for message in messages:
        data = message.obj
        if message.name == "data.destroy":
            why[data["id"]] = {"code": "source.vanished", "detail": f"'{data['name']}' is no longer at its source."}
        elif message.name == "data.updated" and CONTENT & set(message.body.get("changed") or ()):
            why[data["id"]] = {"code": "source.changed", "detail": f"'{data['name']}' changed at its source."}
    ids = list(why)
    for start in range(0, len(ids), 5000):
        part = ids[start:start + 5000]
        uses.db.retrying(lambda part=part: _break(uses, part, why))


def _break(uses: Uses, data: Sequence[str], why: Mapping[str, Mapping[str, Any]]) -> None:
    with uses.db.transaction(uses.context) as uow:
        entries = repository.left_on(uow.connection, data)
        if not entries:
            return
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
