"""A class of instances in a real database of each kind: sixty rows with ties, gaps and names of several scripts."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import BigInteger, Boolean, Column, Index, MetaData, String, Table, text

from shared.kernel.context import Context
from shared.kernel.ids import new_id
from shared.lists import Lister
from shared.nets import DATAINSTANCE
from shared.storage.database import Database, make_engine
from shared.storage.record import Record
from shared.storage.schema import Id, Json, Stamp, Word, object_columns, service_tables

METADATA = MetaData()
service_tables(METADATA)
TABLE = Table(
    "datainstance", METADATA, *object_columns(),
    # Deliberately in the order of a dictionary: the list has to see to the order itself.
    Column("name", String(200).with_variant(String(200, collation="und-x-icu"), "postgresql"), nullable=False),
    Column("state", Word, nullable=False),
    Column("reference_id", Id), Column("reference_name", Word),
    Column("request_id", Id), Column("request_name", Word),
    Column("at_id", Id), Column("at_name", Word),
    Column("workload", Word), Column("member", Word),
    Column("access", Json),
    Column("bytes_total", BigInteger),
    Column("pinned", Boolean),
    Column("expires_at", Stamp),
    Column("link", Json),
    Index("datainstance_by_name", "name"),
)


def render(row: Any) -> dict[str, Any]:
    return {
        "id": row["id"], "name": row["name"], "version": row["version"], "state": row["state"],
        "reference": {"id": row["reference_id"], "name": row["reference_name"]} if row["reference_id"] else None,
        "request": {"id": row["request_id"], "name": row["request_name"]},
        "source": {"id": row["at_id"], "name": row["at_name"]}, "workload": row["workload"], "member": row["member"], "access": row["access"],
        "bytes_total": row["bytes_total"], "pinned": row["pinned"], "expires_at": row["expires_at"],
        "created_at": row["created_at"], "updated_at": row["updated_at"], "owner": row["owner"], "attempt": 3,
    }


INSTANCE = Record("datainstance", TABLE, render, DATAINSTANCE)
LISTER = Lister(INSTANCE, {"source": (TABLE.c.at_id, TABLE.c.at_name)})
SCRIPTS = ["alpha", "Zeta", "ähre", "Alpha", "zeta", "émile", "\U0001f600", "\uff5e", "_under", "beta"]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    engine = make_engine(database_url, "listed")
    with engine.execution_options(writes=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("CREATE SCHEMA listed"))
        METADATA.create_all(connection)
    database = Database(engine, METADATA)
    yield database
    database.close()


@pytest.fixture
def rows(database: Database) -> list[dict[str, Any]]:
    """Sixty instances of ``ann``, and one of ``bob`` that shares a name with one of hers."""
    sources = [(new_id("datasource"), name) for name in ("lab", "archive", "Lab")]
    request_id, reference_id = new_id("datarequest"), new_id("datareference")
    with database.transaction(Context(owner="ann")) as uow:
        made = uow.create(INSTANCE, [{
            "id": new_id("datainstance"), "owner": "ann", "name": f"{SCRIPTS[at % len(SCRIPTS)]}-{at % 20 if at < 40 else at}",
            "created_at": f"2026-11-24T10:00:0{at % 7}.000000Z",
            "reference_id": reference_id if at % 2 else None, "reference_name": "training" if at % 2 else None,
            "request_id": request_id, "request_name": "scans", "at_id": sources[at % 3][0], "at_name": sources[at % 3][1],
            "workload": None if at % 4 else f"w{at % 5}", "access": [{"path": f"/data/{at}.csv", "size": at}],
            "bytes_total": None if at % 6 == 0 else (at * 7919) % 13 * 2**40, "pinned": at % 5 == 0,
            "expires_at": None, "link": None,
        } for at in range(60)], "create")
        ready = uow.move(INSTANCE, made[:10], "ready")
        uow.create(INSTANCE, [{"id": new_id("datainstance"), "owner": "bob", "name": made[0]["name"], "request_name": "x",
                               "at_name": "lab", "pinned": False}])
    return [*ready, *made[10:]]


def all_pages(database: Database, parameters: dict[str, Any], **more: Any) -> tuple[list[dict[str, Any]], list[int]]:
    """Every row of a list, read page by page, and the totals that the pages said."""
    found, totals, cursor = [], [], None
    while True:
        with database.reading() as connection:
            page, cursor, total = LISTER.page(connection, {**parameters, **({"cursor": cursor} if cursor else {})}, **more)
        found += page
        totals.append(total)
        assert len(totals) < 100
        if cursor is None:
            return found, totals
