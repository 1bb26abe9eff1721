"""How many Data there are, of each source and of all: kept by the transactions that add and remove them, so that nobody counts everything.

The number of all is the sum of a few rows that are only added, so that those who write to different sources never wait for
each other; ``settle`` makes them one again. What is out of use is taken off where it is asked for, so that no change of a source's
state has to be counted: a question costs what is out of use, not how many sources there are.
"""
from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, delete, exists, func, insert, select, update

from services.catalog.models import OUT_OF_USE, rule_table, source_table, tally_table
from services.catalog.repository import parts
from shared.query.planning import Probes
from shared.storage.database import Database
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

_UNUSED = ("id", "name", "state", "destroyed_at", "data_count")
# So many statements are kept, one for each set of probes.
BASES = 100
# With more rows than this they are made one.
MOST_ROWS = 100


def count_more(uow: UnitOfWork, source_id: str, count: int, size: int) -> None:
    """Count data that came or, negative, went. The numbers take no version: a scan says them at its own pace."""
    _count(uow, source_id, count, size)
    if count:
        uow.connection.execute(insert(tally_table).values(added=count))


def moved(uow: UnitOfWork, from_id: str, to_id: str, size: int) -> None:
    """Count one Data at another source: of all there are as many as before."""
    _count(uow, from_id, -1, -size)
    _count(uow, to_id, 1, size)


def nothing_left(uow: UnitOfWork, source_id: str) -> None:
    """Write that a destroyed source, whose row the caller holds, has no data any more."""
    here = source_table.c.id == source_id
    uow.connection.execute(insert(tally_table).from_select(["added"], select(-source_table.c.data_count).where(here, source_table.c.data_count != 0)))
    uow.connection.execute(update(source_table).where(here).values(data_count=0, data_bytes=0))


def _count(uow: UnitOfWork, source_id: str, count: int, size: int) -> None:
    table = source_table
    if count or size:
        uow.connection.execute(update(table).where(table.c.id == source_id).values(
            data_count=table.c.data_count + count, data_bytes=table.c.data_bytes + size))


@dataclass(frozen=True)
class Basis:
    """What every query stands on, at one moment: the sources that are out of use (as ``out_of_use`` has them), how many Data can match at
    all, and whether any source has a rule of who may see its Data.
    """

    unused: list[Row]
    count: int
    any_rule: bool


def basis(connection: Connection, probes: Probes | None = None) -> Basis:
    """The basis of queries, in one statement, which asks for their ``probes`` as well."""
    columns = () if probes is None else probes.columns
    rows = connection.execute(_basis(*columns), {} if probes is None else probes.values).all()
    tallied, any_rule, *counted = rows[0][len(_UNUSED):]
    if probes is not None:
        probes.told(counted)
    unused = [dict(zip(_UNUSED, row)) for row in rows if row[0] is not None]
    return Basis(unused, int(tallied) - sum(row["data_count"] for row in unused), bool(any_rule))


@functools.lru_cache(BASES)
def _basis(*more: Any) -> Select[Any]:
    # One statement is one moment: what goes out of use meanwhile is in both sums or in neither.
    one = select(_tallied().label("tallied"), exists(select(rule_table.c.id)).label("any_rule"),
                 *(column.label(f"more_{at}") for at, column in enumerate(more))).subquery()
    return select(*(source_table.c[name] for name in _UNUSED), *one.c).select_from(one.outerjoin(source_table, OUT_OF_USE))


def out_of_use(connection: Connection) -> list[Row]:
    """The sources whose data is in the catalogue but does not match queries: ``id, name, state, destroyed_at, data_count``."""
    return [dict(row) for row in connection.execute(_out_of_use()).mappings()]


@functools.cache
def _out_of_use() -> Select[Any]:
    return select(*(source_table.c[name] for name in _UNUSED)).where(OUT_OF_USE)


def settle(db: Database) -> None:
    """Make the rows of the sum one where they have become many, and right where somebody changed a source without them.

    That is what a replica of a release before this does. Whoever does both leaves the difference as it is, so it is added
    once, whatever is written meanwhile.
    """
    table = tally_table
    wrong = _sum(source_table.c.data_count) - _tallied()
    with db.reading() as connection:
        off, rows = connection.execute(select(wrong, select(func.count()).select_from(table).scalar_subquery())).one()
    if not off and rows <= MOST_ROWS:
        return
    with db.transaction() as uow:
        # The oldest row stays for ever, and whoever settles holds it.
        first = uow.row(select(table.c.seq).order_by(table.c.seq).limit(1).with_for_update())
        if first is None:
            uow.connection.execute(insert(table).values(added=0))
            return
        here = table.c.seq == first["seq"]
        uow.connection.execute(update(table).where(here).values(added=table.c.added + wrong))
        others = uow.rows(select(table).where(~here))
        # Each by its number: between two statements others may be added.
        for some in parts(others):
            uow.connection.execute(delete(table).where(table.c.seq.in_([one["seq"] for one in some])))
        uow.connection.execute(update(table).where(here).values(added=table.c.added + sum(one["added"] for one in others)))


def _tallied() -> Any:
    return _sum(tally_table.c.added)


def _sum(column: Any) -> Any:
    return func.coalesce(select(func.sum(column)).scalar_subquery(), 0)
