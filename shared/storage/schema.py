"""The tables that every service has beside its own: outbox, inbox, history, idempotency keys, leases."""
from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON, BigInteger, Column, Index, Integer, MetaData, String, Table, Text, case, cast, text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator

AS_GIVEN = "_as_given"


class _ReadAsGiven(TypeDecorator[Any]):
    """JSONB, which sorts the keys of its objects, read with the keys in the order of the text beside it, while that says the same."""

    impl = JSONB(none_as_null=True)
    cache_ok = True

    def column_expression(self, column: Any) -> Any:
        given = column.table.c[column.name + AS_GIVEN]
        return case((cast(given, JSONB) == cast(column, JSONB), cast(given, JSON)), else_=cast(column, JSON))


# JSON is JSONB where the database has it, text elsewhere; None is NULL, never the JSON literal null.
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
# The same, for what people wrote in an order that means something to them: a column NAME of it has a column NAME_as_given (Text) beside it.
OrderedJson = JSON(none_as_null=True).with_variant(_ReadAsGiven(), "postgresql")
# SQLite counts up only an INTEGER PRIMARY KEY.
Serial = BigInteger().with_variant(Integer, "sqlite")
# Text that sorts by code point on both databases, as the query language compares it.
Word = Text().with_variant(Text(collation="C"), "postgresql")
Id = String(31).with_variant(String(31, collation="C"), "postgresql")
Stamp = String(27).with_variant(String(27, collation="C"), "postgresql")

# Messages of one object are in one shard, in their order. The last two are for those among the services: each moves a
# request on, and does not queue behind thousands of public facts. Nobody needs an order between the two kinds.
SHARDS = 16
INTERNAL_SHARDS = 2


def service_tables(metadata: MetaData) -> None:
    """Add the tables that every service has to its metadata."""
    Table(
        "outbox", metadata,
        Column("seq", Serial, primary_key=True, autoincrement=True),
        Column("id", Id, nullable=False),
        Column("shard", Integer, nullable=False),
        Column("exchange", String(16), nullable=False),
        Column("name", String(64), nullable=False),
        Column("object_id", String(64), nullable=False),
        Column("headers", Text, nullable=False),
        Column("body", Text, nullable=False),
        Index("outbox_by_shard", "shard", "seq"),
        sqlite_autoincrement=True,
    )
    Table(
        "lease", metadata,
        Column("name", String(64), primary_key=True),
        Column("holder", String(64), nullable=False),
        Column("until", Stamp, nullable=False),
    )
    Table(
        "inbox", metadata,
        Column("consumer", String(100), primary_key=True),
        Column("message_id", String(128), primary_key=True),
        Column("at", Stamp, nullable=False),
        Index("inbox_by_time", "at"),
    )
    Table(
        "idempotency", metadata,
        Column("key", String(512), primary_key=True),
        Column("fingerprint", String(64), nullable=False),
        Column("noun", String(32), nullable=False),
        Column("object_id", String(64), nullable=False),
        Column("at", Stamp, nullable=False),
        Index("idempotency_by_time", "at"),
    )
    Table(
        "history", metadata,
        Column("seq", Serial, primary_key=True, autoincrement=True),
        Column("object_id", Id, nullable=False),
        Column("noun", String(32), nullable=False),
        Column("event", String(32), nullable=False),
        Column("from_state", String(32), nullable=False),
        Column("to_state", String(32), nullable=False),
        Column("version", Integer, nullable=False),
        Column("at", Stamp, nullable=False),
        Column("causation_id", String(64), nullable=False, server_default=text("''")),
        Column("detail", Json),
        Index("history_by_object", "object_id", "seq"),
        sqlite_autoincrement=True,
    )


def object_columns() -> list[Column]:
    """The columns that every class of objects begins with."""
    return [
        Column("id", Id, primary_key=True),
        Column("version", Integer, nullable=False),
        Column("created_at", Stamp, nullable=False),
        Column("updated_at", Stamp, nullable=False),
        Column("destroyed_at", Stamp),
        Column("owner", Word, nullable=False),
    ]


def live_name_index(table: str) -> Index:
    """A name is taken once per owner while its object lives; destroyed ones free their names."""
    alive = text("destroyed_at IS NULL")
    return Index(f"{table}_live_name", "owner", "name", unique=True, sqlite_where=alive, postgresql_where=alive)
