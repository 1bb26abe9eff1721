"""A table of things in a real database, with every kind of place that a field can be in."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    Boolean, Column, Connection, Engine, Integer, MetaData, Table, Text, create_engine, insert, select,
)
from sqlalchemy import JSON
from sqlalchemy.dialects.postgresql import JSONB

from shared.query.mapping import Json, Ref, Refs, RefVia, TableMapping, Tags
from shared.query.tag_index import ExactNumber, tag_index_table, tag_rows
from shared.query.values import storable

METADATA = MetaData()
_Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

# A collation in which "a" comes before "B": the language orders by code point whatever a column says.
Cultured = Text().with_variant(Text(collation="und-x-icu"), "postgresql")

THING = Table(
    "thing", METADATA,
    Column("id", Text().with_variant(Text(collation="C"), "postgresql"), primary_key=True),
    Column("name", Cultured), Column("path", Text), Column("size", ExactNumber()), Column("ready", Boolean), Column("at", Text),
    Column("source_id", Text), Column("target_id", Text), Column("target_name", Text),
    Column("labels", _Json), Column("access", _Json), Column("tags", _Json), Column("wire", JSON),
)
SOURCE = Table("source", METADATA, Column("key", Integer, primary_key=True), Column("id", Text), Column("name", Text))
LINK = Table("link", METADATA, Column("thing_id", Text, primary_key=True), Column("n", Integer, primary_key=True),
             Column("id", Text), Column("name", Text))
TAGS = tag_index_table(METADATA, "thing_tag")

MAPPING = TableMapping(
    table=THING, key=THING.c.id,
    fields={
        "id": THING.c.id, "name": THING.c.name, "path": THING.c.path, "size": THING.c.size, "ready": THING.c.ready, "at": THING.c.at,
        "source": RefVia(THING.c.source_id, SOURCE.c.id, SOURCE.c.name),
        "target": Ref(THING.c.target_id, THING.c.target_name),
        "data": Refs(LINK.c.thing_id, THING.c.id, LINK.c.id, LINK.c.name),
        "labels": Json(THING.c.labels), "access": Json(THING.c.access),
    },
    tags=Tags(TAGS, THING.c.id),
    columns=(THING.c.wire,),
    document=lambda row: row["wire"],
)


def make_engine(url: str) -> Engine:
    """An engine with the tables made."""
    engine = create_engine(url)
    METADATA.drop_all(engine)
    METADATA.create_all(engine)
    return engine


def stored(document: dict[str, Any]) -> dict[str, Any]:
    """The document as the databases give it back. A source's name is the same wherever it is referred to."""
    document = storable(document)
    return document


def fill(conn: Connection, documents: list[dict[str, Any]]) -> None:
    """Store the documents, which have an ``id`` each, in place of all that is there."""
    for table in METADATA.tables.values():
        conn.execute(table.delete())
    things, links, tags, sources = [], [], [], {}
    for document in documents:
        source, target = document["source"] or {}, document["target"] or {}
        if source:
            sources[source["id"]] = source["name"]
        things.append({
            **{name: document[name] for name in ("id", "name", "path", "size", "ready", "at", "labels", "access", "tags")},
            "source_id": source.get("id"), "target_id": target.get("id"), "target_name": target.get("name"), "wire": document,
        })
        links += [{"thing_id": document["id"], "n": n, **ref} for n, ref in enumerate(document["data"])]
        tags += tag_rows(document["id"], document["tags"])
    conn.execute(insert(THING), things)
    for table, rows in ((LINK, links), (TAGS, tags)):
        if rows:
            conn.execute(insert(table), rows)
    if sources:
        conn.execute(insert(SOURCE), [{"id": key, "name": name} for key, name in sources.items()])


def ids(conn: Connection, where: Any, values: Mapping[str, Any] | None = None) -> set[str]:
    """The ids of the rows that satisfy ``where``, with these parameters."""
    return set(conn.scalars(select(THING.c.id).where(where), values or {}))
