"""Data that a move is taking from one place to another: a scan leaves both places as they are until the move is over.

A scan sees a place at one moment and writes of it at a later one. In between a move may have taken the data away, or brought it: what
the scan saw is then no news. Nor can it know a file that is still to be deleted, or a copy that has its move's mark. So both places are
written down in the transaction that switches the record, and struck out when the move says that nothing is left to do, or, where a
scan is under way then, when that scan ends. No clock is compared. Opens no file.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, delete, select, update

from services.catalog import repository
from services.catalog.models import passage_table
from shared.hosting.uses import Uses
from shared.storage.bulk import insert_rows
from shared.storage.unit_of_work import UnitOfWork


def begin(uow: UnitOfWork, moved: Mapping[str, Iterable[tuple[str, str]]]) -> None:
    """Write that data is on its way, ``{data: [(source, place)]}``. The caller holds the rows of the sources."""
    # A move whose end was never told may have been there before.
    for part in repository.parts([place for ends in moved.values() for _, place in ends]):
        uow.connection.execute(delete(passage_table).where(passage_table.c.place.in_(part), passage_table.c.data_id.in_(list(moved))))
    insert_rows(uow.connection, passage_table, [
        {"data_id": data, "place": place, "source_id": source, "scan_id": None} for data, ends in moved.items() for source, place in ends])


def within(connection: Connection, places: Iterable[str]) -> set[str]:
    """Those of the places that scans leave as they are."""
    return {place for part in repository.parts(list(places)) for place in connection.execute(
        select(passage_table.c.place).where(passage_table.c.place.in_(part))).scalars()}


def end(uses: Uses, data: Sequence[str]) -> None:
    """The moves of these data have nothing left to do at either end. Repeating the call changes nothing."""
    def work() -> None:
        with uses.db.transaction(uses.context) as uow:
            mine = passage_table.c.data_id
            sources = {source for part in repository.parts(list(data)) for source in uow.connection.execute(
                select(passage_table.c.source_id).where(mine.in_(part)).distinct()).scalars()}
            repository.locked_sources(uow, sources)
            for source in sources:
                scan = repository.running_scan(uow.connection, source)
                for part in repository.parts(list(data)) if scan else ():
                    uow.connection.execute(update(passage_table).where(
                        mine.in_(part), passage_table.c.source_id == source, passage_table.c.scan_id.is_(None)).values(scan_id=scan["id"]))
            for part in repository.parts(list(data)):
                uow.connection.execute(delete(passage_table).where(mine.in_(part), passage_table.c.scan_id.is_(None)))
    if data:
        uses.db.retrying(work)


def scan_ended(uow: UnitOfWork, scan_id: str) -> None:
    """A scan writes no more: what it alone did not know may be forgotten. The caller holds the row of its source."""
    _strike(uow, passage_table.c.scan_id, [scan_id])


def source_left(uow: UnitOfWork, source_id: str) -> None:
    """A source is destroyed and is never scanned again."""
    _strike(uow, passage_table.c.source_id, [source_id])


def _strike(uow: UnitOfWork, column: object, values: Sequence[str]) -> None:
    for part in repository.parts(list(values)):
        uow.connection.execute(delete(passage_table).where(column.in_(part)))
