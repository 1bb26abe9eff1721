"""Which row a ref means: an id or a name, with the nearest names when there is none and the candidates when several."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from shared.kernel.errors import Conflict, NotFound, did_you_mean, nearest
from shared.kernel.ids import is_id, noun_of
from shared.query.values import clean, is_clean
from shared.storage.record import Record, Row

CANDIDATES = 20
# Names looked through for a near one: the newest and the oldest, so that a million rows cost as much as a thousand.
LOOKED_THROUGH = 300


def resolve(connection: Connection, record: Record, ref: str, mine: Sequence[ColumnElement[bool]] = (), *,
            destroyed: bool = False, prefers: str = "") -> Row:
    """The row that ``ref`` means, among those that meet the conditions ``mine``: for the caller there are no others.

    Of several of one name it is that of the owner whom the caller ``prefers``. With ``destroyed`` an id may also name a destroyed
    object, and a name that no living one has means the one destroyed last.

    Raises:
        NotFound: ``<noun>.not_found``; ``nearest`` lists names that were probably meant.
        Conflict: ``<noun>.ambiguous``; ``candidates`` lists ``{id, name}`` and what tells them apart.
    """
    table = record.table
    if is_id(ref):
        row = connection.execute(select(table).where(table.c.id == ref, *mine)).mappings().first()
        if row is not None and (destroyed or not row.get("destroyed_at")):
            return dict(row)
        raise not_found(connection, record, ref, mine, gone=row is not None)
    if "name" not in table.c or not is_clean(ref):
        raise not_found(connection, record, clean(ref), mine)
    named = select(table).where(table.c.name == ref, *mine)
    alive = named.where(table.c.destroyed_at.is_(None)) if "destroyed_at" in table.c else named
    rows = [dict(row) for row in connection.execute(alive.order_by(table.c.id).limit(CANDIDATES + 1)).mappings()]
    if not rows and destroyed and alive is not named:
        rows = [dict(row) for row in connection.execute(
            named.order_by(table.c.destroyed_at.desc(), table.c.id.desc()).limit(1)).mappings()]
    if not rows:
        raise not_found(connection, record, ref, mine)
    if len(rows) > 1:
        own = [row for row in rows if row.get("owner") == prefers]
        if len(own) != 1:
            raise ambiguous(record, ref, rows)
        return own[0]
    return rows[0]


def not_found(connection: Connection, record: Record, ref: str, mine: Sequence[ColumnElement[bool]] = (), gone: bool = False) -> NotFound:
    """The error for a ref that means nothing, naming what was probably meant."""
    noun = record.noun
    if gone:
        return NotFound(f"{noun}.not_found", f"The {noun} {ref} was destroyed.",
                        next_step=f"'{noun} list' shows the living ones.", nearest=[])
    other = noun_of(ref)
    if other == noun:
        return NotFound(f"{noun}.not_found", f"There is no {noun} with the id {ref}.",
                        next_step=f"'{noun} list' shows what there is.", nearest=[])
    if other is not None:
        return NotFound(f"{noun}.not_found", f"{ref} is the id of a {other}, not of a {noun}.",
                        next_step=f"'{other} show' shows it.", nearest=[])
    shown = ref if len(ref) <= 200 else ref[:200] + "…"
    names = nearest(shown, known_names(connection, record, mine), 3)
    return NotFound(f"{noun}.not_found", f"There is no {noun} '{shown}'.{did_you_mean(shown, names)}",
                    next_step=f"'{noun} list' shows what there is.", nearest=names)


def ambiguous(record: Record, ref: str, rows: list[Row]) -> Conflict:
    """The error for a name that several living objects have; owner, source and path of each are said where they tell them apart."""
    apart = [(shown, column) for shown, column in (("owner", "owner"), ("source", "source_name"), ("path", "path"))
             if len({row.get(column) for row in rows}) > 1]
    many = f"More than {CANDIDATES}" if len(rows) > CANDIDATES else str(len(rows))
    return Conflict(f"{record.noun}.ambiguous", f"{many} {record.noun} objects are called '{ref}'.",
                    next_step="Name one by its id; `candidates` lists them.",
                    candidates=[{"id": row["id"], "name": row["name"], **{shown: row[column] for shown, column in apart}}
                                for row in rows[:CANDIDATES]])


def known_names(connection: Connection, record: Record, mine: Sequence[ColumnElement[bool]] = ()) -> list[str]:
    """Names of living objects that meet the conditions, the newest and the oldest few hundred, each once."""
    table = record.table
    if "name" not in table.c:
        return []
    found = select(table.c.name).where(table.c.name.is_not(None), *mine)
    if "destroyed_at" in table.c:
        found = found.where(table.c.destroyed_at.is_(None))
    names: dict[str, None] = {}
    orders: tuple[Any, ...] = (table.c.id.desc(), table.c.id.asc())
    for order in orders:
        names.update(dict.fromkeys(connection.execute(found.order_by(order).limit(LOOKED_THROUGH)).scalars()))
    return list(names)
