"""References and requests as rows, and as the objects of the contract."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Boolean, Column, Float, Index, Integer, MetaData, Table, Text

from shared.kernel.secrets import redacted
from shared.nets import DATAREFERENCE, DATAREQUEST
from shared.storage.persons import PREFIX, WITHIN, Place, of_service
from shared.storage.record import Record
from shared.storage.schema import Id, Json, OrderedJson, Stamp, Word, live_name_index, object_columns, service_tables

METADATA = MetaData()
service_tables(METADATA)

reference_table = Table(
    "datareference", METADATA, *object_columns(),
    Column("name", Word, nullable=False),
    Column("short_name", Word),
    Column("state", Word, nullable=False),
    Column("query", OrderedJson),
    Column("query_as_given", Text),
    Column("connection", Json),
    Column("defaults", Json),
    Column("request_id", Id),
    Column("request_name", Word),
    Column("instances", Integer, nullable=False, default=0),
    Column("reason", Json),
    # Whether new matching data is attached as it appears; NULL is no.
    Column("standing", Boolean),
    # A cheaper place for bytes that it has, see `standing`; and the last change of place, see `swapping`.
    Column("better", Json),
    Column("swap", Json),
    live_name_index("datareference"),
    Index("datareference_by_owner", "owner", "id"),
    Index("datareference_by_state", "state", "id"),
)

request_table = Table(
    "datarequest", METADATA, *object_columns(),
    Column("name", Word, nullable=False),
    Column("ename", Word, nullable=False),
    Column("state", Word, nullable=False),
    Column("query", OrderedJson),
    Column("query_as_given", Text),
    Column("message", Text),
    Column("reason", Json),
    Column("blocked_by", Json),
    Column("reference_id", Id),
    Column("reference_name", Word),
    Column("target", Word),
    Column("workload", Word),
    Column("action", Word),
    Column("granularity", Word, nullable=False),
    Column("select", Json),
    Column("wait", Boolean, nullable=False, default=False),
    Column("deadline", Stamp),
    Column("lifetime", Float),
    Column("expires_at", Stamp),
    Column("labels", Json),
    Column("attempt", Integer, nullable=False, default=1),
    Column("cost", Float),
    Column("reservations", Integer, nullable=False, default=0),
    Column("instances", Integer, nullable=False, default=0),
    # The first associations, so that `show` needs no other service for an ordinary request.
    Column("reservation_refs", Json),
    Column("instance_refs", Json),
    # What the catalogue said: {"funnel", "warnings"}.
    Column("found", Json),
    # Of a degraded request: the data that broke, [{"id", "name", "checksum"}].
    Column("missing", Json),
    # How earlier attempts ended, newest last: what `attempts.kept` says.
    Column("attempts", Json),
    Column("next_retry_at", Stamp),
    Column("announced_at", Stamp),
    # When the data must be ready, when it will be as far as anybody can tell, and what the user was warned of.
    Column("needed_by", Stamp),
    Column("expected_at", Stamp),
    Column("warnings", Json),
    # Several queries in one: {member: {"query", "select"}}; all of them or none.
    Column("group", OrderedJson),
    Column("group_as_given", Text),
    Column("standing", Boolean),
    # Of a request made for what came later: the one that stands for it.
    Column("parent_id", Id),
    Column("parent_name", Word),
    # Of a request made from a lock: {"digest", "policy", "checksums": {data id: checksum}}.
    Column("lock", Json),
    # With which rights its owner asked: it is decided with them whoever moves it on.
    Column("owner_roles", Json),
    # Of the call that set it going, so that what a timer or another call's end moves on still belongs to that one.
    Column("correlation_id", Word),
    live_name_index("datarequest"),
    Index("datarequest_by_owner", "owner", "id"),
    Index("datarequest_by_state", "state", "id"),
    Index("datarequest_by_retry", "next_retry_at"),
    Index("datarequest_by_reference", "reference_id"),
    Index("datarequest_by_name", "name"),
    Index("datarequest_by_parent", "parent_id"),
    Index("datarequest_by_need", "needed_by"),
    Index("datarequest_standing", "standing", "state"),
)

# Data that a standing request matches and has not got yet, until a request is made for it.
arrival_table = Table(
    "arrival", METADATA,
    Column("request_id", Id, primary_key=True),
    Column("data_id", Id, primary_key=True),
    Column("at", Stamp, nullable=False),
)

# What a request stood on when its lock was written: the document as it was given away.
lock_table = Table(
    "request_lock", METADATA,
    Column("digest", Word, primary_key=True),
    Column("request_id", Id, nullable=False),
    Column("document", Json, nullable=False),
    Column("made_at", Stamp, nullable=False),
    Index("request_lock_of", "request_id", "made_at"),
)

counter_table = Table(
    "counter", METADATA,
    Column("name", Word, primary_key=True),
    Column("used", Integer, nullable=False),
)

PERSONS = of_service(
    Place("datareference", "owner"), Place("datarequest", "owner"), Place("datarequest", "message", WITHIN),
    Place("datarequest", "reason", WITHIN), Place("datarequest", "blocked_by", WITHIN),
    Place("datarequest", "attempts", WITHIN), Place("request_lock", "document", WITHIN), Place("counter", "name", PREFIX, gone=True))
# What has to be ended before a person is removed.
OPEN = {"datareference": reference_table.c.destroyed_at.is_(None),
        "datarequest": request_table.c.destroyed_at.is_(None) & request_table.c.state.not_in(("Completed", "Failed"))}

REFS_KEPT = 200
_LINK = "/edgemere/diml/dml/do"


def ref(object_id: str | None, name: str | None) -> dict[str, Any] | None:
    """A reference to another object, as the contract writes it."""
    return {"id": object_id, "name": name} if object_id or name else None


def counted(count: int, noun: str, by: str, object_id: str) -> dict[str, Any]:
    """An association with many: how many, and where they are listed."""
    return {"count": count, "link": f"{_LINK}/{noun}/list?{by}={object_id}"}


def render_reference(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"], "name": row["name"], "short_name": row["short_name"], "version": row["version"],
        "state": row["state"], "query": row["query"], "connection": redacted(row["connection"]),
        "defaults": row["defaults"] or {}, "standing": bool(row["standing"]), "better": row["better"], "swap": row["swap"],
        "request": ref(row["request_id"], row["request_name"]),
        "instances": counted(row["instances"], "datainstance", "reference", row["id"]),
        "reason": row["reason"], "owner": row["owner"], "created_at": row["created_at"], "updated_at": row["updated_at"],
        **({"destroyed_at": row["destroyed_at"]} if row.get("destroyed_at") else {}),
    }


def _lock(lock: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What a request says of the lock that it reproduces; the checksums may be a hundred thousand."""
    return {name: lock.get(name) for name in ("digest", "policy", "items")} if lock else None


def render_request(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"], "name": row["name"], "ename": row["ename"], "version": row["version"], "state": row["state"],
        "query": row["query"], "message": row["message"], "reason": row["reason"], "blocked_by": row["blocked_by"],
        "data_reference": ref(row["reference_id"], row["reference_name"]),
        "reservations": counted(row["reservations"], "datareservation", "request", row["id"]),
        "instances": counted(row["instances"], "datainstance", "request", row["id"]),
        "target": row["target"], "workload": row["workload"], "select": row["select"] or {}, "action": row["action"],
        "granularity": row["granularity"], "wait": row["wait"], "deadline": row["deadline"],
        "lifetime": row["lifetime"], "expires_at": row["expires_at"], "labels": row["labels"] or {},
        "needed_by": row["needed_by"], "expected_at": row["expected_at"], "warnings": row["warnings"] or [],
        "group": row["group"], "standing": bool(row["standing"]), "parent": ref(row["parent_id"], row["parent_name"]),
        "lock": _lock(row["lock"]),
        "attempt": row["attempt"], "cost": row["cost"], "owner": row["owner"],
        "created_at": row["created_at"], "updated_at": row["updated_at"],
        **({"destroyed_at": row["destroyed_at"]} if row.get("destroyed_at") else {}),
    }


REFERENCE = Record("datareference", reference_table, render_reference, DATAREFERENCE, shows={
    "request_id": "request", "request_name": "request"})
REQUEST = Record("datarequest", request_table, render_request, DATAREQUEST, shows={
    "reference_id": "data_reference", "reference_name": "data_reference", "parent_id": "parent", "parent_name": "parent",
    "reservation_refs": "reservations",
    "instance_refs": "instances"})
