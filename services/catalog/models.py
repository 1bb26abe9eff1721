"""Sources, data, scans and claims as rows, and as the objects of the contract."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, MetaData, Table, Text, text

from shared.kernel.secrets import redacted
from shared.nets import DATASOURCE
from shared.query.mapping import Ref, TableMapping, Tags
from shared.query.tag_index import tag_index_table
from shared.storage.persons import GRANT, WITHIN, Place, of_service
from shared.storage.record import Record
from shared.storage.schema import Id, Json, Serial, Stamp, Word, live_name_index, object_columns, service_tables
from shared.storage.waiting_line import line_table

METADATA = MetaData()
service_tables(METADATA)
# Who waits for room at a source, a line for each kind of room: `<source>.readers`.
waiting_table = line_table(METADATA)

_ALIVE = text("destroyed_at IS NULL")
_RESTRICTED = text("destroyed_at IS NULL AND access_rule IS NOT NULL")
_KNOWN = text("destroyed_at IS NULL AND checksum IS NOT NULL")
# Sources whose data does not match queries. Both databases find them by an index of these alone where it is asked in the same words.
OUT_OF_USE = text("data_count > 0 AND (state <> 'Ready' OR destroyed_at IS NOT NULL)")

source_table = Table(
    "datasource", METADATA, *object_columns(),
    Column("name", Word, nullable=False),
    Column("state", Word, nullable=False),
    Column("adaptor", Word, nullable=False),
    Column("parameters", Json),
    Column("writable", Boolean, nullable=False, default=False),
    # {"bytes", "readers"}. A claim is judged and written on one version of the row, locked where the database can,
    # so that no two claims are granted the same room: the version is the source's generation.
    Column("capacity", Json),
    Column("used", Json),
    Column("cost", Json),
    Column("tags", Json),
    Column("location", Word),
    # Who may see which of its Data: [{"when", "owners", "roles"}]; NULL is everybody everything.
    Column("access", Json),
    # How long claims were held here, in seconds: a mean in which the newest count most. NULL until one came back.
    Column("holding_s", Float),
    # Counted in the transactions that add and remove data, so that no query has to count everything.
    Column("data_count", BigInteger, nullable=False, default=0),
    Column("data_bytes", BigInteger, nullable=False, default=0),
    # The newest scan, and the newest audit, as the contract shows them.
    Column("scan", Json),
    Column("audit", Json),
    live_name_index("datasource"),
    Index("datasource_by_name", "name"),
    Index("datasource_by_state", "state", "id"),
    Index("datasource_out_of_use", "id", sqlite_where=OUT_OF_USE, postgresql_where=OUT_OF_USE),
)

# What came to and went from the number of all Data: the sum is that of `data_count`. See totals.py.
tally_table = Table(
    "tally", METADATA,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("added", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

# Which catalogue this is, for ever: what is written down elsewhere says whose ids it has.
identity_table = Table(
    "identity", METADATA,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("id", Word, nullable=False),
    Column("made_at", Stamp, nullable=False),
)

# The listing that was written out in a source's parameters. It can have a million rows, and parameters are in messages.
listing_table = Table(
    "listing", METADATA,
    Column("source_id", Id, primary_key=True),
    Column("body", Text, nullable=False),
)

# Only those who hold the row of the source write its data; so a place is not taken twice.
data_table = Table(
    "data", METADATA, *object_columns(),
    Column("source_id", Id, nullable=False),
    # A source keeps its name and its place for life, so each Data can carry them.
    Column("source_name", Word, nullable=False),
    Column("location", Word),
    Column("path", Word, nullable=False),
    # Made of source and path, and of one length: what a scan looks up. The id of a Data that was never relocated.
    Column("place", Id, nullable=False),
    Column("name", Word, nullable=False),
    Column("type", Word, nullable=False),
    Column("size", BigInteger),
    Column("media_type", Word),
    Column("checksum", Word),
    Column("modified_at", Stamp),
    Column("tags", Json),
    Column("uri", Word),
    # What a scan compares; NULL for what was registered by hand, which no scan declares vanished.
    Column("fingerprint", Word),
    # The rule of its source that says who may see it; NULL is everybody.
    Column("access_rule", Id),
    Index("data_by_place", "place"),
    Index("data_by_access", "access_rule", sqlite_where=_RESTRICTED, postgresql_where=_RESTRICTED),
    # Which of many Data are hidden is answered without a look at their rows.
    Index("data_under_rules", "id", "access_rule", sqlite_where=_RESTRICTED, postgresql_where=_RESTRICTED),
    Index("data_by_source", "source_id", "place", sqlite_where=_ALIVE, postgresql_where=_ALIVE),
    Index("data_by_name", "name", "id", sqlite_where=_ALIVE, postgresql_where=_ALIVE),
    Index("data_by_size", "size", "id", sqlite_where=_ALIVE, postgresql_where=_ALIVE),
    # Few data has one until it was copied once; so it costs a scan nothing.
    Index("data_by_checksum", "checksum", "id", sqlite_where=_KNOWN, postgresql_where=_KNOWN),
)

# The rules of sources, in their order, and whom each lets see: `*`, `owner:NAME`, `role:NAME`.
rule_table = Table(
    "access_rule", METADATA,
    Column("id", Id, primary_key=True),
    Column("source_id", Id, nullable=False),
    Column("position", Integer, nullable=False),
    Column("when", Json, nullable=False),
    # How many living Data are under it, counted by those who write them; NULL until somebody has counted.
    Column("data_count", BigInteger),
    Index("access_rule_of", "source_id", "position"),
)
grant_table = Table(
    "access_grant", METADATA,
    Column("who", Word, primary_key=True),
    Column("rule_id", Id, primary_key=True),
    Index("access_grant_of", "rule_id"),
)

tag_table = tag_index_table(METADATA, "tag", Id)

scan_table = Table(
    "scan", METADATA,
    Column("id", Id, primary_key=True),
    Column("source_id", Id, nullable=False),
    Column("state", Word, nullable=False),
    Column("files", BigInteger, nullable=False, default=0),
    Column("bytes", BigInteger, nullable=False, default=0),
    Column("added", BigInteger, nullable=False, default=0),
    Column("changed", BigInteger, nullable=False, default=0),
    Column("vanished", BigInteger, nullable=False, default=0),
    Column("problems", Json),
    Column("problem_count", BigInteger, nullable=False, default=0),
    Column("message", Text),
    # scan, or audit: that compares instead of taking over; then what it repairs, whether it reads all bytes, and how much it found of each kind.
    Column("kind", Word, nullable=False, default="scan", server_default="scan"),
    Column("repair", Word),
    Column("verify", Boolean, nullable=False, default=False, server_default=text("false")),
    Column("found", Json),
    Column("started_at", Stamp, nullable=False),
    Column("ended_at", Stamp),
    # Who runs it, on whose behalf, and until when he is believed to be alive.
    Column("holder", Word),
    Column("until", Stamp),
    Column("owner", Word, nullable=False),
    Column("correlation_id", Word),
    Index("scan_by_source", "source_id", "id"),
    # One at a time.
    Index("scan_running", "source_id", unique=True, sqlite_where=text("state = 'running'"),
          postgresql_where=text("state = 'running'")),
    Index("scan_by_state", "state", "until"),
)

# What the newest audit of a source found, each thing once.
finding_table = Table(
    "finding", METADATA,
    Column("seq", Serial, primary_key=True),
    Column("scan_id", Id, nullable=False),
    Column("source_id", Id, nullable=False),
    Column("kind", Word, nullable=False),
    Column("path", Word, nullable=False),
    Column("data_id", Id),
    Column("data_name", Word),
    Column("instance_id", Id),
    Column("detail", Text, nullable=False),
    Column("repaired", Boolean, nullable=False, default=False),
    Index("finding_of_source", "source_id", "kind", "seq"),
    Index("finding_of_scan", "scan_id"),
)

# Both places of data that a move is bringing from one to the other: see passages.py. `scan_id` is the scan that was under way
# when the move was over, and NULL until it is.
passage_table = Table(
    "passage", METADATA,
    Column("data_id", Id, primary_key=True),
    Column("place", Id, primary_key=True),
    Column("source_id", Id, nullable=False),
    Column("scan_id", Id),
    Index("passage_by_place", "place"),
    Index("passage_by_source", "source_id"),
    Index("passage_by_scan", "scan_id"),
)

claim_table = Table(
    "claim", METADATA,
    Column("id", Word, primary_key=True),
    Column("source_id", Id, nullable=False),
    Column("kind", Word, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("holder", Word, nullable=False),
    Column("data_id", Id),
    Column("expires_at", Stamp),
    Column("created_at", Stamp, nullable=False),
    Index("claim_by_holder", "holder", "id"),
    Index("claim_by_source", "source_id", "holder"),
    Index("claim_by_data", "data_id"),
    Index("claim_by_expiry", "expires_at"),
)

PERSONS = of_service(
    Place("datasource", "owner"), Place("datasource", "access", WITHIN), Place("data", "owner"), Place("access_grant", "who", GRANT, gone=True),
    Place("scan", "owner"))
# What has to be ended before a person is removed. Sources stay: other people's data is in them.
OPEN = {"scan": scan_table.c.state == "running"}

READERS, BYTES = "readers", "bytes"
KINDS = (BYTES, READERS)


def ref(object_id: str, name: str) -> dict[str, str]:
    """A reference to another object, as the contract writes it."""
    return {"id": object_id, "name": name}


def render_source(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"], "name": row["name"], "version": row["version"], "state": row["state"],
        "adaptor": row["adaptor"], "parameters": redacted(row["parameters"] or {}), "capacity": row["capacity"],
        "used": row["used"], "cost": row["cost"] or {}, "tags": row["tags"] or {}, "location": row["location"],
        "data_count": row["data_count"], "data_bytes": row["data_bytes"], "scan": row["scan"], "audit": row["audit"],
        # Not everybody's to know, and so in no list and no message; `show` tells it to those who may.
        "access": None,
        "owner": row["owner"], "created_at": row["created_at"], "updated_at": row["updated_at"],
        **({"destroyed_at": row["destroyed_at"]} if row.get("destroyed_at") else {}),
    }


def render_data(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"], "name": row["name"], "version": row["version"], "path": row["path"], "type": row["type"],
        "size": row["size"], "media_type": row["media_type"], "checksum": row["checksum"],
        "modified_at": row["modified_at"], "tags": row["tags"] or {}, "source": ref(row["source_id"], row["source_name"]),
        "location": row["location"], "uri": row["uri"], "created_at": row["created_at"], "updated_at": row["updated_at"],
        **({"destroyed_at": row["destroyed_at"]} if row.get("destroyed_at") else {}),
    }


SOURCE = Record("datasource", source_table, render_source, DATASOURCE)
# What is said of Data everybody may hear, but for Data under a rule: that only the source's owner hears.
DATA = Record("data", data_table, render_data, shows={"source_id": "source", "source_name": "source"},
              whose=lambda row: row["owner"] if row["access_rule"] else "")

# How the query language finds its way in these tables.
PLACES = TableMapping(
    table=data_table, key=data_table.c.id,
    fields={
        **{name: data_table.c[name] for name in (
            "id", "name", "path", "type", "size", "media_type", "modified_at", "checksum", "location", "uri")},
        "source": Ref(data_table.c.source_id, data_table.c.source_name),
    },
    tags=Tags(tag_table, data_table.c.id), columns=tuple(data_table.c), document=render_data,
)
