"""Instances and their access entries as rows, and as the objects of the contract."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, MetaData, Table, false

from shared.nets import DATAINSTANCE
from shared.storage.persons import WITHIN, Place, of_service
from shared.storage.record import Record
from shared.storage.schema import Id, Json, Stamp, Word, live_name_index, object_columns, service_tables

METADATA = MetaData()
service_tables(METADATA)

instance_table = Table(
    "datainstance", METADATA, *object_columns(),
    Column("name", Word, nullable=False),
    Column("state", Word, nullable=False),
    Column("reference_id", Id),
    Column("reference_name", Word),
    Column("request_id", Id, nullable=False),
    Column("request_name", Word, nullable=False),
    Column("source_id", Id),
    Column("source_name", Word),
    Column("attempt", Integer, nullable=False),
    Column("workload", Word),
    # Of a group: the member that it was made for.
    Column("member", Word),
    # The first entries as they are shown; all of them are rows of `access`.
    Column("shown", Json),
    Column("entries", Integer, nullable=False, default=0),
    Column("bytes_total", BigInteger, nullable=False, default=0),
    Column("bytes_done", BigInteger, nullable=False, default=0),
    # While bytes are moved: {"phase", "bytes_per_s", "seconds_left"}.
    Column("progress", Json),
    # Seconds from Ready to its end; null has no end.
    Column("lifetime", Float),
    Column("expires_at", Stamp),
    # When it is to be said that the end is near; null when it was said.
    Column("warn_at", Stamp),
    Column("pinned", Boolean, nullable=False, default=False),
    # Who keeps it: {"owner", "reason", "until", "at"}.
    Column("pin", Json),
    Column("pinned_until", Stamp),
    # When it was last read, renewed or made ready.
    Column("used_at", Stamp),
    # Whether it outlives its request: it was pinned when that ended, or came back later.
    Column("alone", Boolean, nullable=False, default=False, server_default=false()),
    # Whether it was brought back and is not Ready yet since.
    Column("undone", Boolean, nullable=False, default=False, server_default=false()),
    # Until when it can be brought back, once it is destroyed.
    Column("undo_until", Stamp),
    Column("reason", Json),
    live_name_index("datainstance"),
    Index("datainstance_of_request", "request_id", "attempt", "state"),
    Index("datainstance_by_owner", "owner", "id"),
    Index("datainstance_by_state", "state", "id"),
    Index("datainstance_by_reference", "reference_id", "state"),
    Index("datainstance_by_name", "name"),
    Index("datainstance_by_end", "expires_at"),
    Index("datainstance_by_warning", "warn_at"),
    Index("datainstance_by_pin", "pinned_until"),
)

access_table = Table(
    "access", METADATA,
    Column("instance_id", Id, primary_key=True),
    Column("data_id", Id, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("request_id", Id, nullable=False),
    Column("name", Word, nullable=False),
    Column("action", Word, nullable=False),
    # pending (with purge_at: to come back from the trash), ready, broken; of a destroyed instance: ended (left in place),
    # leaving, trashed, purging, purged
    Column("state", Word, nullable=False),
    Column("source_id", Id, nullable=False),
    Column("source_path", Word, nullable=False),
    Column("target_id", Id),
    Column("target_path", Word),
    Column("size", BigInteger),
    Column("checksum", Word),
    Column("media_type", Word),
    Column("modified_at", Stamp),
    Column("uri", Word),
    Column("path", Word),
    Column("verified", Word),
    Column("tries", Integer, nullable=False, default=0),
    Column("retry_at", Stamp),
    Column("purge_at", Stamp),
    Column("error", Json),
    # Of a mount: link, fuse, or read_through where there is no path on this machine.
    Column("via", Word),
    # Of a move: copied, switching, switched; see `relocating`.
    Column("step", Word),
    # Of a move: what its source said when it was copied, and what a scan of the target will say.
    Column("seen", Json),
    # What was tried before with other replicas: [{source, data, error, at}].
    Column("attempts", Json),
    # What was seen in its bytes on their way: {types, scanner, warning}; null where nothing was looked for.
    Column("inspected", Json),
    Index("access_by_data", "data_id", "state"),
    Index("access_by_state", "state", "request_id"),
    Index("access_by_target", "target_id", "state"),
)

# An attempt of a request whose instances are all written: only then can it be told that all of them are ready.
made_table = Table(
    "made", METADATA,
    Column("request_id", Id, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("at", Stamp, nullable=False),
)

# Since when these rows are those of a backup that was brought back, until what is mounted is looked after; see `remounting`.
restored_table = Table(
    "restored", METADATA,
    Column("at", Stamp, primary_key=True),
)

# An instance that is about to be brought back: what is claimed for it is its own, or given back when this is old.
undoing_table = Table(
    "undoing", METADATA,
    Column("instance_id", Id, primary_key=True),
    Column("request_id", Id, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("at", Stamp, nullable=False),
    Index("undoing_by_age", "at"),
)

PERSONS = of_service(Place("datainstance", "owner"), Place("datainstance", "pin", WITHIN), Place("datainstance", "reason", WITHIN))
# What has to be ended before a person is removed.
OPEN = {"datainstance": instance_table.c.destroyed_at.is_(None)}

SHOWN = 100
_LINK = "/edgemere/diml/dml/do/datainstance/show?id="


def entry(row: Mapping[str, Any]) -> dict[str, Any]:
    """One access entry as the contract shows it; ``uri`` or ``path`` is what a program opens once it is ready."""
    return {
        "data": {"id": row["data_id"], "name": row["name"]}, "name": row["name"], "action": row["action"],
        "uri": row["uri"], "path": row["path"], "size": row["size"], "checksum": row["checksum"],
        "media_type": row["media_type"], "state": row["state"], "verified": row["verified"],
        **({"via": row["via"]} if row.get("via") else {}), **({"attempts": row["attempts"]} if row.get("attempts") else {}),
        **({"inspected": row["inspected"]} if row.get("inspected") else {}),
    }


def shown(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The entries that a row of an instance carries itself."""
    return [entry(row) for row in rows[:SHOWN]]


def render(row: Mapping[str, Any]) -> dict[str, Any]:
    access = row["shown"] or []
    if row["state"] == "Destroyed":
        # Copies and links have left their path; what was left in place, or moved, is its source's, and this instance's no more.
        access = [{**item, "state": "ended" if item["action"] in ("leave", "move") else "removed"} for item in access]
    whole = row["entries"] <= len(access)
    return {
        "id": row["id"], "name": row["name"], "version": row["version"], "state": row["state"],
        "reference": {"id": row["reference_id"], "name": row["reference_name"]} if row["reference_id"] else None,
        "request": {"id": row["request_id"], "name": row["request_name"]},
        "source": {"id": row["source_id"], "name": row["source_name"]} if row["source_id"] else None,
        "attempt": row["attempt"], "workload": row["workload"], "member": row["member"],
        "data": [item["data"] for item in access], "access": access,
        **({} if whole else {"entries": {"count": row["entries"], "link": _LINK + row["id"]}}),
        "bytes_total": row["bytes_total"], "bytes_done": row["bytes_done"], "progress": row.get("progress") if row["state"] == "Provisioning" else None,
        "lifetime": row["lifetime"], "expires_at": row["expires_at"], "pinned": row["pinned"], "pin": row["pin"], "alone": row["alone"],
        "used_at": row["used_at"], "undo_until": row["undo_until"], "reason": row["reason"], "owner": row["owner"],
        "created_at": row["created_at"], "updated_at": row["updated_at"],
        **({"destroyed_at": row["destroyed_at"]} if row.get("destroyed_at") else {}),
    }


INSTANCE = Record("datainstance", instance_table, render, DATAINSTANCE, shows={
    "reference_id": "reference", "reference_name": "reference", "request_id": "request", "request_name": "request",
    "source_id": "source", "source_name": "source", "shown": "access", "entries": "access"})
