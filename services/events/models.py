"""The event log and the dead letters as rows, and as the objects of the contract."""
from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import Column, Index, Integer, LargeBinary, MetaData, String, Table, Text

from shared.bus.encoding import decode
from shared.kernel.secrets import redacted
from shared.query.values import storable
from shared.storage.record import Record
from shared.storage.schema import Id, Json, Serial, Stamp, Word, service_tables

METADATA = MetaData()
service_tables(METADATA)

event_table = Table(
    "event", METADATA,
    Column("sequence", Serial, primary_key=True, autoincrement=True),
    # Wider than an id of ours: messages may come from anybody.
    Column("id", Word, nullable=False, unique=True),
    Column("name", Word, nullable=False),
    Column("noun", Word, nullable=False),
    Column("object_id", Word),
    Column("object_name", Word),
    Column("owner", Word, nullable=False),
    Column("correlation_id", Word),
    Column("causation_id", Word),
    Column("time", Stamp, nullable=False),
    # As it is shown, but for the sequence; kept as text, so that a burst is not encoded twice.
    Column("body", Text, nullable=False),
    # A pattern is a noun and a star almost always; the name behind it saves the way to the row.
    Index("event_by_noun", "noun", "sequence", "name"),
    Index("event_by_object", "object_id", "sequence"),
    Index("event_by_object_name", "object_name", "sequence"),
    Index("event_by_correlation", "correlation_id", "sequence"),
    Index("event_by_time", "time"),
    sqlite_autoincrement=True,
)

deadletter_table = Table(
    "deadletter", METADATA,
    Column("id", Id, primary_key=True),
    # What died, in short: tells one that the broker hands out again from another.
    Column("death", String(64), nullable=False),
    Column("event", Word, nullable=False),
    Column("queue", Word, nullable=False),
    Column("reason", Text, nullable=False),
    Column("code", Word, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("time", Stamp, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("headers", Json, nullable=False),
    # {message_id, correlation_id, content_type, content_encoding}
    Column("properties", Json, nullable=False),
    Column("exchange", Word, nullable=False),
    Column("replayed_at", Stamp),
    Index("deadletter_by_event", "event", "id"),
    Index("deadletter_by_queue", "queue", "id"),
    Index("deadletter_by_death", "death"),
    Index("deadletter_by_replay", "replayed_at"),
)

SHOWN_BYTES = 64 * 1024


def render_event(sequence: int, body: str) -> dict[str, Any]:
    """A message with its place in the log."""
    return {"sequence": sequence, **orjson.loads(body)}


def render_deadletter(row: Mapping[str, Any]) -> dict[str, Any]:
    body, encoding = shown_body(row["body"])
    return {
        "id": row["id"], "event": row["event"], "queue": row["queue"], "reason": row["reason"], "code": row["code"],
        "attempts": row["attempts"], "time": row["time"], "body": body, "encoding": encoding,
        "headers": redacted(row["headers"]), "replayed_at": row["replayed_at"],
    }


def shown_body(body: bytes) -> tuple[Any, str]:
    """A body of any kind as JSON, and what was done to it: ``json``, ``text``, ``base64``, or ``cut`` when it is long."""
    if len(body) > SHOWN_BYTES:
        return body[:SHOWN_BYTES].decode("utf-8", "replace"), "cut"
    try:
        return redacted(storable(decode(body))), "json"
    except (ValueError, RecursionError):
        pass
    try:
        return body.decode("utf-8"), "text"
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), "base64"


DEADLETTER = Record("deadletter", deadletter_table, render_deadletter)
