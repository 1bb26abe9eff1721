"""Where data that was written down elsewhere is now: itself, the same bytes in another place, or what is nearest to it."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from services.catalog import repository, totals
from services.catalog.access import sight
from services.catalog.models import data_table, identity_table, ref
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.ids import new_id
from shared.storage.record import Row

Item = Mapping[str, Any]
LIKE = 20_000
"""So many Data of the same names are looked at for what is nearest."""


def identity(uses: Uses) -> dict[str, str]:
    """``{"id"}`` of this catalogue: made once, the same for ever, and for every replica."""
    with uses.db.reading() as connection:
        found = connection.execute(select(identity_table.c.id)).scalar()
    if found is None:
        with uses.db.transaction(uses.context) as uow:
            dialect = postgresql if uow.connection.dialect.name == "postgresql" else sqlite
            uow.connection.execute(dialect.insert(identity_table).values(
                one=1, id="catalogue_" + new_id("datasource").partition("_")[2], made_at=clock.stamp()).on_conflict_do_nothing())
            found = uow.connection.execute(select(identity_table.c.id)).scalar_one()
    return {"id": found}


def locate(uses: Uses, items: Sequence[Item]) -> list[dict[str, Any]]:
    """For each item ``{data, name, path, source, size, checksum, modified_at}``, in their order, where its bytes are.

    ``{"data": id, "how": "same" | "same_bytes_elsewhere"}``, or ``{"data": None, "why": "gone" | "changed" | "out_of_use", "nearest":
    {"id", "name", "path", "source", "size", "because"} or None}``. A Data is the same while its checksum is; where either has
    none, while its size and modification time are.
    """
    with uses.db.reading() as connection:
        unused = {row["id"] for row in totals.out_of_use(connection)}
        # What the caller may not see is gone for him, and nothing is near it.
        seen = sight(connection, uses.context).condition
        there = {row["id"]: row for row in repository.data_rows(connection, [item["data"] for item in items], seen)}
        found = [_itself(item, there.get(item["data"]), unused) for item in items]
        lost = [item for item, place in zip(items, found, strict=True) if not place["data"]]
        same = _by_checksum(connection, {item["checksum"] for item in lost if item["checksum"]}, unused, seen)
        like = _by_name(connection, {item["name"] for item in lost if item["checksum"] not in same}, unused, seen)
    answer = []
    for item, place in zip(items, found, strict=True):
        if not place["data"] and item["checksum"] in same:
            place = {"data": same[item["checksum"]], "how": "same_bytes_elsewhere"}
        elif not place["data"]:
            changed = there.get(item["data"]) if place["why"] == "changed" else None
            place = {**place, "nearest": _nearest(item, [*([changed] if changed else []), *like.get(item["name"], ())])}
        answer.append(place)
    return answer


def _itself(item: Item, row: Row | None, unused: set[str]) -> dict[str, Any]:
    if row is None:
        return {"data": None, "why": "gone"}
    if row["source_id"] in unused:
        return {"data": None, "why": "out_of_use"}
    if item["checksum"] and row["checksum"]:
        same = item["checksum"] == row["checksum"]
    else:
        same = (item["size"], item["modified_at"]) == (row["size"], row["modified_at"])
    return {"data": row["id"], "how": "same"} if same else {"data": None, "why": "changed"}


def _by_checksum(connection: Connection, checksums: set[str], unused: set[str], seen: ColumnElement[bool] | None) -> dict[str, str]:
    """A Data in use for each of these checksums that any has; always the same one."""
    table, found = data_table, {}
    for part in repository.parts(sorted(checksums)):
        for row in connection.execute(select(table.c.id, table.c.checksum, table.c.source_id).where(
                table.c.checksum.in_(part), table.c.checksum.is_not(None), table.c.destroyed_at.is_(None), *_if(seen)).order_by(table.c.id)):
            if row.source_id not in unused:
                found.setdefault(row.checksum, row.id)
    return found


def _by_name(connection: Connection, names: set[str], unused: set[str], seen: ColumnElement[bool] | None) -> dict[str, list[Row]]:
    table, found = data_table, {}
    for part in repository.parts(sorted(names)):
        for row in connection.execute(select(table).where(
                table.c.name.in_(part), table.c.destroyed_at.is_(None), *_if(seen)).order_by(table.c.id).limit(LIKE)).mappings():
            if row["source_id"] not in unused:
                found.setdefault(row["name"], []).append(dict(row))
    return found


def _if(condition: ColumnElement[bool] | None) -> list[ColumnElement[bool]]:
    return [] if condition is None else [condition]


def _nearest(item: Item, rows: Sequence[Row]) -> dict[str, Any] | None:
    """The Data that is most like an item: the same place, else the same size, else the nearest size."""
    if not rows:
        return None

    def unlike(row: Row) -> tuple[bool, bool, bool, int]:
        return (row["id"] != item["data"], row["path"] != item["path"], row["size"] != item["size"],
                abs((row["size"] or 0) - (item["size"] or 0)))
    best = min(rows, key=unlike)
    same = [word for word, is_so in (("the same place", best["id"] == item["data"]), ("the same path", best["path"] == item["path"]),
                                     ("the same name", True), ("the same size", best["size"] == item["size"])) if is_so]
    return {"id": best["id"], "name": best["name"], "path": best["path"], "source": ref(best["source_id"], best["source_name"]),
            "size": best["size"], "because": f"{same[0]} with other bytes" if same[0] == "the same place" else " and ".join(same[:2])}
