"""The event log, the dead letters, keys and the audit log as rows, and as the objects of the contract."""
from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import Column, Index, Integer, LargeBinary, MetaData, String, Table, Text, text

from shared.bus.encoding import decode
from shared.kernel import clock
from shared.kernel.secrets import redacted
from shared.query.values import storable
from shared.storage.persons import WITHIN, Place, of_service
from shared.storage.record import Record
from shared.storage.schema import Id, Json, Serial, Stamp, Word, object_columns, service_tables

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
    Index("event_by_owner", "owner", "sequence"),
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
    Column("owner", Word, nullable=False, server_default=""),
    Index("deadletter_by_event", "event", "id"),
    Index("deadletter_by_queue", "queue", "id"),
    Index("deadletter_by_death", "death"),
    Index("deadletter_by_replay", "replayed_at"),
)

_ACTIVE = text("state = 'Active'")

apikey_table = Table(
    "apikey", METADATA, *object_columns(),
    Column("name", Word, nullable=False),
    # key, or session
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("roles", Json, nullable=False),
    # Of the secret, digested twice: see keyring.kept.
    Column("digest", String(64), nullable=False),
    Column("old_digest", String(64)),
    Column("overlap_until", Stamp),
    Column("expires_at", Stamp),
    Column("last_used_at", Stamp),
    Column("revoked_at", Stamp),
    Column("made_by", Word, nullable=False),
    # The key that a session was opened with; with it the session ends.
    Column("parent_id", Id),
    Index("apikey_active_name", "owner", "name", unique=True, sqlite_where=_ACTIVE, postgresql_where=_ACTIVE),
    Index("apikey_by_owner", "owner", "id"),
    Index("apikey_by_parent", "parent_id"),
    Index("apikey_by_end", "state", "expires_at"),
)

notice_table = Table(
    "notice", METADATA,
    Column("id", Serial, primary_key=True, autoincrement=True),
    # Who is told.
    Column("owner", Word, nullable=False),
    Column("time", Stamp, nullable=False),
    # made, rotated, revoked, or login
    Column("what", String(16), nullable=False),
    Column("key_id", Id, nullable=False),
    Column("key_name", Word, nullable=False),
    # Who did it, with which credential, from where.
    Column("by", Word, nullable=False),
    Column("credential", Word, nullable=False),
    Column("address", Word, nullable=False),
    Column("seen_at", Stamp),
    Index("notice_by_owner", "owner", "seen_at", "id"),
    Index("notice_by_time", "time"),
    sqlite_autoincrement=True,
)

audit_table = Table(
    "audit", METADATA,
    # Given out by the service under a lock, without a gap: a gap is a line that was taken out.
    Column("sequence", Serial, primary_key=True, autoincrement=False),
    Column("id", Id, nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("time", Stamp, nullable=False),
    Column("owner", Word, nullable=False),
    Column("credential", Word, nullable=False),
    Column("address", Word, nullable=False),
    Column("action", Word, nullable=False),
    Column("outcome", Word, nullable=False),
    Column("status", Integer),
    Column("objects", Json, nullable=False),
    Column("count", Integer, nullable=False),
    Column("correlation_id", Word, nullable=False),
    Column("hash", String(64), nullable=False),
    Index("audit_by_owner", "owner", "sequence"),
    Index("audit_by_action", "action", "sequence"),
    Index("audit_by_correlation", "correlation_id", "sequence"),
    Index("audit_by_time", "time"),
)

audit_floor_table = Table(
    "audit_floor", METADATA,
    # Up to here, and no further, triggers let lines be forgotten; the hash is that of the last one that went.
    Column("sequence", Serial, primary_key=True, autoincrement=False),
    Column("hash", String(64), nullable=False),
    Column("at", Stamp, nullable=False),
)

# Who is being removed, under which pseudonym; at the end the name goes from here, too.
removal_table = Table(
    "removal", METADATA,
    Column("alias", Word, primary_key=True),
    Column("person", Word),
    Column("began_at", Stamp, nullable=False),
    Column("ended_at", Stamp),
    Index("removal_by_end", "ended_at"),
)

PERSONS = of_service(
    Place("apikey", "owner", gone=True), Place("apikey", "made_by"), Place("notice", "owner", gone=True), Place("notice", "by"),
    Place("event", "owner"), Place("event", "body", WITHIN), Place("deadletter", "owner", gone=True), Place("audit", "owner", kept=True))
# Keys end with the removal itself.
OPEN: Mapping[str, Any] = {}

SHOWN_BYTES = 64 * 1024


def render_event(sequence: int, body: str) -> dict[str, Any]:
    """A message with its place in the log."""
    return {"sequence": sequence, **orjson.loads(body)}


def render_deadletter(row: Mapping[str, Any]) -> dict[str, Any]:
    body, encoding = shown_body(row["body"])
    return {
        "id": row["id"], "event": row["event"], "queue": row["queue"], "reason": row["reason"], "code": row["code"],
        "attempts": row["attempts"], "time": row["time"], "body": body, "encoding": encoding,
        "headers": redacted(row["headers"]), "replayed_at": row["replayed_at"], "owner": row["owner"],
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


def render_apikey(row: Mapping[str, Any]) -> dict[str, Any]:
    """A key without what is kept of its secret; one whose time is over says so before anybody has noticed."""
    state, end = row["state"], row["expires_at"]
    shown = {name: row[name] for name in (
        "id", "name", "version", "created_at", "updated_at", "kind", "roles", "expires_at", "last_used_at", "overlap_until",
        "revoked_at", "made_by", "owner")}
    return {**shown, "state": "Expired" if state == "Active" and end and end <= clock.stamp() else state, "key": None}


def render_notice(row: Mapping[str, Any]) -> dict[str, Any]:
    """What happened to a credential, as its owner is told it."""
    return {"id": row["id"], "time": row["time"], "what": row["what"], "key": {"id": row["key_id"], "name": row["key_name"]},
            "by": row["by"], "credential": row["credential"] or None, "address": row["address"] or None}


AUDITED = ("sequence", "id", "kind", "time", "owner", "credential", "address", "action", "outcome", "status", "objects", "count",
           "correlation_id", "hash")


def render_audit(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in AUDITED}


APIKEY = Record("apikey", apikey_table, render_apikey)
AUDIT = Record("auditentry", audit_table, render_audit)
DEADLETTER = Record("deadletter", deadletter_table, render_deadletter)
