"""The queries of the catalogue, each with a name and a sentence."""
from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from services.catalog.models import (
    DATA, METADATA, SOURCE, claim_table, data_table, listing_table, scan_table, source_table, tag_table,
)
from shared.kernel import clock
from shared.lists import Lister
from shared.query.mapping import Tags
from shared.query.tag_index import iter_tag_rows
from shared.storage import leases
from shared.storage.bulk import insert_rows
from shared.storage.record import Row
from shared.storage.statements import among, rows_in
from shared.storage.unit_of_work import UnitOfWork

sources = Lister(SOURCE)
data = Lister(DATA, tags=Tags(tag_table, data_table.c.id))

PART = 5000
_TAG_PART = 10_000
_JUDGED = ("id", "name", "state", "destroyed_at", "adaptor", "parameters", "location", "tags", "cost", "capacity", "used", "writable")


def parts(items: Sequence[Any], size: int = PART) -> Iterator[Sequence[Any]]:
    """``items`` in stretches that one statement takes."""
    for start in range(0, len(items), size):
        yield items[start:start + size]


# --- sources ---------------------------------------------------------------------------------------------------------

def name_is_taken(connection: Connection, owner: str, name: str) -> bool:
    """Whether a living source of this owner has the name."""
    return connection.execute(select(source_table.c.id).where(
        source_table.c.owner == owner, source_table.c.name == name, source_table.c.destroyed_at.is_(None))).first() is not None


def locked_sources(uow: UnitOfWork, ids: Iterable[str]) -> dict[str, Row]:
    """The rows of these sources, locked in the order of their ids, so that no two callers wait for each other."""
    wanted = sorted(set(ids))
    rows = [row for part in parts(wanted) for row in uow.rows(_locked_sources(), {"ids": part})]
    return {row["id"]: row for row in rows}


@functools.cache
def _locked_sources() -> Any:
    return _sources_by_ids().order_by(source_table.c.id).with_for_update()


def sources_by_ids(connection: Connection, ids: Sequence[str]) -> list[Row]:
    """The rows of these sources, destroyed ones too."""
    return [row for part in parts(list(ids)) for row in rows_in(connection.execute(_sources_by_ids(), {"ids": part}))]


@functools.cache
def _sources_by_ids() -> Any:
    return select(source_table).where(among(source_table.c.id, "ids"))


def sources_to_judge(connection: Connection, ids: Sequence[str]) -> list[Row]:
    """Of these sources, destroyed ones too, what ``search.plain_source`` shows of them."""
    return [row for part in parts(list(ids)) for row in rows_in(connection.execute(_sources_to_judge(), {"ids": part}))]


@functools.cache
def _sources_to_judge() -> Any:
    return select(*(source_table.c[name] for name in _JUDGED)).where(among(source_table.c.id, "ids"))


def ready_to_scan(connection: Connection, since: str) -> list[str]:
    """Ready sources that can have changed while nobody looked: those of which no scan has begun since ``since``."""
    scanned = select(scan_table.c.id).where(
        scan_table.c.source_id == source_table.c.id, scan_table.c.kind == "scan", scan_table.c.started_at >= since).exists()
    return list(connection.execute(select(source_table.c.id).where(
        source_table.c.state == "Ready", source_table.c.destroyed_at.is_(None), source_table.c.adaptor != "simulated",
        ~scanned).order_by(source_table.c.id)).scalars())


def listing_of(connection: Connection, source_id: str) -> str | None:
    """The listing that was written out in the parameters of a source, as JSON."""
    return connection.execute(select(listing_table.c.body).where(listing_table.c.source_id == source_id)).scalar()


# --- data ------------------------------------------------------------------------------------------------------------

def fingerprints(connection: Connection, places: Sequence[str]) -> dict[str, str | None]:
    """What is known of the living data at these places."""
    table = data_table
    return dict(connection.execute(select(table.c.place, table.c.fingerprint).where(
        table.c.place.in_(list(places)), table.c.destroyed_at.is_(None))).all())


def at_places(uow: UnitOfWork, places: Sequence[str]) -> tuple[dict[str, Row], dict[str, Row]]:
    """The rows at these places: the living by place, and the destroyed that may come back by id."""
    table = data_table
    rows = uow.rows(select(table).where(or_(table.c.place.in_(list(places)), table.c.id.in_(list(places)))))
    living = {row["place"]: row for row in rows if row["destroyed_at"] is None}
    return living, {row["id"]: row for row in rows}


def known_places(connection: Connection, source_id: str, after: str, limit: int) -> list[Any]:
    """``(place, path)`` of living data that a scan found, in the order of the places."""
    table = data_table
    return list(connection.execute(
        select(table.c.place, table.c.path).where(
            table.c.source_id == source_id, table.c.destroyed_at.is_(None), table.c.fingerprint.is_not(None),
            table.c.place > after).order_by(table.c.place).limit(limit)))


def living(uow: UnitOfWork, source_id: str, limit: int) -> list[Row]:
    """Some of the living data of a source."""
    return uow.rows(select(data_table).where(
        data_table.c.source_id == source_id, data_table.c.destroyed_at.is_(None)).order_by(data_table.c.place).limit(limit))


def at_path(connection: Connection, path: str, limit: int = 20, seen: ColumnElement[bool] | None = None) -> list[Row]:
    """The living data at a path (that meets ``seen``), in any source; the path may begin with the name of the source and a slash."""
    table = data_table
    source, _, rest = path.partition("/")
    where = or_(table.c.path == path, and_(table.c.source_name == source, table.c.path == rest)) if rest else table.c.path == path
    # A path ends in the name, which has an index.
    named = table.c.name == path.rsplit("/", 1)[-1]
    return [dict(row) for row in connection.execute(
        select(table).where(named, where, table.c.destroyed_at.is_(None), *([] if seen is None else [seen])).order_by(table.c.id).limit(limit)).mappings()]


def named_so(connection: Connection, name: str, limit: int = 20, seen: ColumnElement[bool] | None = None) -> list[Row]:
    """The living data of a name (that meets ``seen``), in any source."""
    table = data_table
    wanted = [table.c.name == name, table.c.destroyed_at.is_(None), *([] if seen is None else [seen])]
    return [dict(row) for row in connection.execute(select(table).where(*wanted).order_by(table.c.id).limit(limit)).mappings()]


def data_rows(connection: Connection, ids: Sequence[str], seen: ColumnElement[bool] | None = None) -> list[Row]:
    """Living data by id; only what meets the condition ``seen``, where one is given."""
    more = [] if seen is None else [seen]
    return [dict(row) for part in parts(list(ids)) for row in connection.execute(
        select(data_table).where(data_table.c.id.in_(part), data_table.c.destroyed_at.is_(None), *more)).mappings()]


def data_at_places(connection: Connection, places: Sequence[str]) -> list[Row]:
    """The living data at these places."""
    return [dict(row) for part in parts(list(places)) for row in connection.execute(
        select(data_table).where(data_table.c.place.in_(part), data_table.c.destroyed_at.is_(None))).mappings()]


def living_places(connection: Connection, source_id: str, after: str, limit: int) -> list[Row]:
    """``place, path, id, name, fingerprint`` of a source's living data, in the order of the places."""
    table = data_table
    return [dict(row) for row in connection.execute(
        select(table.c.place, table.c.path, table.c.id, table.c.name, table.c.fingerprint).where(
            table.c.source_id == source_id, table.c.destroyed_at.is_(None), table.c.place > after,
        ).order_by(table.c.place).limit(limit)).mappings()]


def data_at_ready_sources(connection: Connection, ids: Sequence[str]) -> list[Row]:
    """Living data by id that lie at Ready sources."""
    return [dict(row) for part in parts(list(ids)) for row in connection.execute(
        select(data_table.c.id, data_table.c.checksum, data_table.c.size, data_table.c.modified_at)
        .join(source_table, source_table.c.id == data_table.c.source_id)
        .where(data_table.c.id.in_(part), data_table.c.destroyed_at.is_(None), source_table.c.state == "Ready")).mappings()]


def checksums_at_ready_sources(connection: Connection, checksums: Sequence[str]) -> set[str]:
    """Which of these checksums living data at Ready sources have."""
    return {checksum for part in parts(list(checksums)) for checksum in connection.execute(
        select(data_table.c.checksum).distinct().join(source_table, source_table.c.id == data_table.c.source_id)
        .where(data_table.c.checksum.in_(part), data_table.c.destroyed_at.is_(None), source_table.c.state == "Ready")).scalars()}


def bounded_targets(connection: Connection) -> list[Row]:
    """Ready sources that take copies and have a bound of bytes."""
    rows = connection.execute(select(source_table).where(
        source_table.c.state == "Ready", source_table.c.writable.is_(True), source_table.c.destroyed_at.is_(None))).mappings()
    return [dict(row) for row in rows if (row["capacity"] or {}).get("bytes") is not None]


def index_tags(uow: UnitOfWork, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the tag index of data that have none in it."""
    pending: list[dict[str, Any]] = []
    for row in rows:
        for entry in iter_tag_rows(row["id"], row["tags"] or {}):
            pending.append(entry)
            if len(pending) >= _TAG_PART:
                insert_rows(uow.connection, tag_table, pending)
                pending = []
    insert_rows(uow.connection, tag_table, pending)


def forget_tags(uow: UnitOfWork, ids: Sequence[str]) -> None:
    """Take data out of the tag index."""
    for part in parts(list(ids)):
        uow.connection.execute(delete(tag_table).where(tag_table.c.data_id.in_(part)))


# --- scans -----------------------------------------------------------------------------------------------------------

def running_scan(connection: Connection, source_id: str) -> Row | None:
    """The scan of a source that is under way."""
    found = connection.execute(select(scan_table).where(
        scan_table.c.source_id == source_id, scan_table.c.state == "running")).mappings().first()
    return dict(found) if found else None


def scan_row(connection: Connection, scan_id: str) -> Row | None:
    """One scan."""
    found = connection.execute(select(scan_table).where(scan_table.c.id == scan_id)).mappings().first()
    return dict(found) if found else None


def scans_under_way(connection: Connection) -> int:
    """How many scans run now."""
    return connection.execute(select(func.count()).select_from(scan_table).where(scan_table.c.state == "running")).scalar_one()


def deserted_scans(connection: Connection, holder: str, alone: bool) -> list[Row]:
    """Scans under way whose holder is gone: its lease is over or, where this process is ``alone``, it is another one."""
    table = scan_table
    gone: ColumnElement[bool] = or_(table.c.until.is_(None), table.c.until < leases.moment(connection))
    if alone:
        gone = or_(gone, table.c.holder != holder)
    return [dict(row) for row in connection.execute(
        select(table).where(table.c.state == "running", gone).order_by(table.c.id)).mappings()]


def take_scan(uow: UnitOfWork, scan: Row, holder: str, ttl_s: float) -> bool:
    """Become the holder of a deserted scan for ``ttl_s``, unless somebody else was faster."""
    table = scan_table
    same = table.c.holder.is_(None) if scan["holder"] is None else table.c.holder == scan["holder"]
    lease = table.c.until.is_(None) if scan["until"] is None else table.c.until == scan["until"]
    return uow.connection.execute(update(table).where(
        table.c.id == scan["id"], table.c.state == "running", same, lease).values(
            holder=holder, until=leases.moment(uow.connection, ttl_s))).rowcount == 1


def watching_since(connection: Connection, lasts_s: float) -> Row | None:
    """Who watches over the sources, until when he is believed to be alive, whether he ``is_alive`` and still ``lasts`` so long."""
    table = METADATA.tables["lease"]
    found = connection.execute(select(
        table, (table.c.until > leases.moment(connection)).label("is_alive"), (table.c.until > leases.moment(connection, lasts_s)).label("lasts"),
    ).where(table.c.name == "sources")).mappings().first()
    return dict(found) if found else None


def watch(uow: UnitOfWork, before: Row | None, holder: str, ttl_s: float) -> bool:
    """Watch over the sources for ``ttl_s``, unless somebody else began to since ``before`` was read."""
    table, until = METADATA.tables["lease"], leases.moment(uow.connection, ttl_s)
    if before is None:
        dialect = postgresql if uow.connection.dialect.name == "postgresql" else sqlite
        return uow.connection.execute(dialect.insert(table).values(name="sources", holder=holder, until=until)
                                      .on_conflict_do_nothing()).rowcount == 1
    return uow.connection.execute(update(table).where(
        table.c.name == "sources", table.c.holder == before["holder"], table.c.until == before["until"],
    ).values(holder=holder, until=until)).rowcount == 1


# --- claims ----------------------------------------------------------------------------------------------------------

def claims_by_ids(connection: Connection, ids: Sequence[str]) -> dict[str, Row]:
    """Claims by their ids."""
    return {row["id"]: row for part in parts(list(ids)) for row in rows_in(connection.execute(_claims_by_ids(), {"ids": part}))}


@functools.cache
def _claims_by_ids() -> Any:
    return select(claim_table).where(among(claim_table.c.id, "ids"))


def claims_of(connection: Connection, holder: str, prefix: str = "") -> list[str]:
    """The ids of the claims of a holder, those that begin with ``prefix``."""
    table = claim_table
    mine = and_(table.c.holder == holder, table.c.id.startswith(prefix, autoescape=True)) if prefix else table.c.holder == holder
    return list(connection.execute(select(table.c.id).where(mine).order_by(table.c.id)).scalars())


def expired_claims(connection: Connection, limit: int, source_ids: Sequence[str] | None = None) -> list[str]:
    """Claims whose time is over, of these sources or of all."""
    table = claim_table
    statement = select(table.c.id).where(table.c.expires_at < clock.stamp())
    if source_ids is not None:
        statement = statement.where(table.c.source_id.in_(list(source_ids)))
    return list(connection.execute(statement.limit(limit)).scalars())


def claims_of_others(connection: Connection, data: Sequence[str], holder: str) -> dict[str, list[str]]:
    """Who else stands on these data, at most a few for each."""
    table, found = claim_table, {}
    alive = or_(table.c.expires_at.is_(None), table.c.expires_at >= clock.stamp())
    for part in parts(list(data)):
        for row in connection.execute(select(table.c.data_id, table.c.holder).where(
                table.c.data_id.in_(part), table.c.holder != holder, alive).distinct().order_by(table.c.holder)):
            found.setdefault(row.data_id, []).append(row.holder)
    return {data_id: names[:20] for data_id, names in found.items()}


def reader_claims_elsewhere(connection: Connection, holder: str, data: Sequence[str]) -> list[str]:
    """The holder's claims on readers of these data at sources where they are not any more."""
    table = claim_table
    return [claim for part in parts(list(data)) for claim in connection.execute(
        select(table.c.id).join(data_table, data_table.c.id == table.c.data_id).where(
            table.c.holder == holder, table.c.kind == "readers", table.c.data_id.in_(part),
            table.c.source_id != data_table.c.source_id)).scalars()]


def holders(connection: Connection, where: ColumnElement[bool], limit: int = 20) -> list[dict[str, Any]]:
    """Who holds claims that are not over, ``[{"id", "claims"}]``."""
    table = claim_table
    alive = or_(table.c.expires_at.is_(None), table.c.expires_at >= clock.stamp())
    return [{"id": holder, "claims": count} for holder, count in connection.execute(
        select(table.c.holder, func.count()).where(where, alive).group_by(table.c.holder)
        .order_by(table.c.holder).limit(limit))]
