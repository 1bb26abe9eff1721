"""Scans as the service ``events`` shows them among the operations: one, or a page, the newest first."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from services.catalog import scans
from services.catalog.models import ref, scan_table, source_table
from shared.hosting.uses import Uses
from shared.kernel.errors import NotFound
from shared.kernel.rights import visible_to


def _selected() -> Any:
    return select(scan_table, source_table.c.name.label("source_name")).join(
        source_table, source_table.c.id == scan_table.c.source_id)


def _view(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**scans.summary(row), "kind": row["kind"], "source": ref(row["source_id"], row["source_name"])}


def _mine(uses: Uses) -> list[ColumnElement[bool]]:
    """Of whose sources scans are there for this caller."""
    owner = visible_to(uses.context)
    return [] if owner is None else [source_table.c.owner == owner]


def _one(uses: Uses, connection: Connection, scan_id: str) -> Mapping[str, Any]:
    row = connection.execute(_selected().where(scan_table.c.id == scan_id, *_mine(uses))).mappings().first()
    if row is None:
        raise NotFound("scan.not_found", f"There is no scan {scan_id}.", next_step="'operation list' shows the scans.")
    return row


def show(uses: Uses, scan_id: str) -> dict[str, Any]:
    """One scan: its summary with ``source`` {id, name}. Raises NotFound ``scan.not_found``."""
    with uses.db.reading() as connection:
        return _view(_one(uses, connection, scan_id))


def page(uses: Uses, limit: int, cursor: str | None = None) -> dict[str, Any]:
    """``{"items", "next", "total"}``; the cursor is the id of the last scan of the page before."""
    with uses.db.reading() as connection:
        statement = _selected().where(*_mine(uses)).order_by(scan_table.c.id.desc()).limit(limit + 1)
        if cursor:
            statement = statement.where(scan_table.c.id < cursor)
        rows = connection.execute(statement).mappings().all()
        total = connection.execute(select(func.count()).select_from(_selected().where(*_mine(uses)).subquery())).scalar_one()
    more = len(rows) > limit
    return {"items": [_view(row) for row in rows[:limit]], "next": rows[limit - 1]["id"] if more else None, "total": total}


def cancel(uses: Uses, scan_id: str) -> dict[str, Any]:
    """Stop a scan and answer it; one that is over is answered as it is."""
    show(uses, scan_id)
    scans.cancel(uses, scan_id)
    return show(uses, scan_id)
