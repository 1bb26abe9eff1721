"""Reservations as rows, and as the objects of the contract."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, MetaData, Table, Text

from shared.nets import DATARESERVATION
from shared.storage.persons import WITHIN, Place, of_service
from shared.storage.record import Record
from shared.storage.schema import Id, Json, Stamp, Word, object_columns, service_tables
from shared.storage.waiting_line import line_table

METADATA = MetaData()
service_tables(METADATA)
# Who waits for budgets.
waiting_table = line_table(METADATA)

reservation_table = Table(
    "datareservation", METADATA, *object_columns(),
    Column("name", Word, nullable=False),
    Column("state", Word, nullable=False),
    Column("request_id", Id, nullable=False),
    Column("request_name", Word, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("data_id", Id, nullable=False),
    Column("source_id", Id, nullable=False),
    Column("source_name", Word, nullable=False),
    Column("action", Word),
    Column("target_id", Id),
    Column("target_name", Word),
    Column("cost", Float),
    Column("cost_parts", Json),
    Column("rule", Word),
    Column("decision", Json),
    Column("standby", Boolean, nullable=False, default=False),
    # The shared part that lists the replicas of what it is a reservation for; one of them is used, the others stand by.
    Column("replicas", Word),
    # Of a group: the member that it was reserved for.
    Column("member", Word),
    Column("reason", Json),
    Column("expires_at", Stamp),
    # The data as the catalogue described it when it was reserved: what is decided and provisioned is this.
    Column("snapshot", Json, nullable=False),
    Index("datareservation_of_request", "request_id", "attempt", "state"),
    Index("datareservation_by_owner", "owner", "id"),
    Index("datareservation_by_state", "state", "id"),
    Index("datareservation_by_data", "data_id"),
    Index("datareservation_by_name", "name"),
)

# What many decisions have in common, each once: `policy.records` says what is in them. A part is called by its content.
part_table = Table(
    "decision_part", METADATA,
    Column("id", Word, primary_key=True),
    Column("body", Json, nullable=False),
    # When it was last used for a decision, to a day.
    Column("at", Stamp, nullable=False),
    Index("decision_part_by_time", "at"),
)
# The texts of policies by which something was decided.
revision_table = Table(
    "policy_revision", METADATA,
    Column("revision", Word, primary_key=True),
    Column("text", Text, nullable=False),
    Column("at", Stamp, nullable=False),
)

# An owner's budget as something to hold while its charges are summed and added to.
budget_table = Table(
    "budget", METADATA,
    Column("owner", Word, primary_key=True),
    # How often what the owner is promised has changed; NULL is never.
    Column("promised", BigInteger),
)

# What an attempt of a request spends of its owner's budget.
charge_table = Table(
    "charge", METADATA,
    Column("request_id", Id, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("owner", Word, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("money", Float, nullable=False),
    Column("at", Stamp, nullable=False),
    Index("charge_of_owner", "owner", "at"),
    Index("charge_by_time", "at"),
)

# What an attempt of a request will make, until its instances are written; of owners with a quota.
promise_table = Table(
    "promise", METADATA,
    Column("request_id", Id, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("owner", Word, nullable=False),
    Column("instances", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Index("promise_of_owner", "owner"),
)

PERSONS = of_service(
    Place("datareservation", "owner"), Place("datareservation", "reason", WITHIN), Place("datareservation", "decision", WITHIN),
    Place("decision_part", "body", WITHIN), Place("budget", "owner", gone=True), Place("charge", "owner"), Place("promise", "owner", gone=True))
# What is open here is open with its request.
OPEN: Mapping[str, Any] = {}


def render(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"], "name": row["name"], "version": row["version"], "state": row["state"],
        "request": {"id": row["request_id"], "name": row["request_name"]}, "attempt": row["attempt"],
        "data": {"id": row["data_id"], "name": row["name"]},
        "source": {"id": row["source_id"], "name": row["source_name"]}, "action": row["action"],
        "target": {"id": row["target_id"], "name": row["target_name"]} if row["target_id"] else None,
        "cost": row["cost"], "cost_parts": row["cost_parts"], "rule": row["rule"], "decision": row["decision"],
        "standby": row["standby"], "member": row["member"], "reason": row["reason"], "expires_at": row["expires_at"], "owner": row["owner"],
        "created_at": row["created_at"], "updated_at": row["updated_at"],
        **({"destroyed_at": row["destroyed_at"]} if row.get("destroyed_at") else {}),
    }


RESERVATION = Record("datareservation", reservation_table, render, DATARESERVATION, shows={
    "request_id": "request", "request_name": "request", "data_id": "data", "source_id": "source", "source_name": "source",
    "target_id": "target", "target_name": "target"})
