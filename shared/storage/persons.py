"""Where a person's name stands in the tables of a service, and how it is taken out: in stretches, each of which may be done again.

A person is the name that objects have as their owner. What somebody typed himself (names of objects, queries, labels, tags) is no
such place: with the name in its places gone, it is nobody's.
"""
from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, MetaData, Text, cast, delete, func, literal, or_, select, tuple_, update

from shared.kernel.secrets import redacted
from shared.storage.database import Database

NAME, PREFIX, GRANT, WITHIN = "name", "prefix", "grant", "within"
STRETCH = 1000
LOOKED_AT = 5000


@dataclass(frozen=True)
class Place:
    """A column that has names of persons.

    ``form``: the column is the name; it begins with the name and a bar (``prefix``); it is ``owner:`` and the name (``grant``); or it
    is JSON, or a sentence, that may have the name somewhere (``within``). ``gone``: the row goes, instead of being given the pseudonym.
    ``kept``: it stays as it is, until the retention of its table ends.
    """

    table: str
    column: str
    form: str = NAME
    gone: bool = False
    kept: bool = False


def of_service(*places: Place) -> tuple[Place, ...]:
    """The places of a service, with those that every service has."""
    return (*places, Place("idempotency", "key", PREFIX, gone=True), Place("history", "detail", WITHIN))


def held(connection: Connection, metadata: MetaData, places: Sequence[Place], open_ones: Mapping[str, Any], person: str) -> dict[str, dict[str, int]]:
    """What there is of a person: ``{"open": {class: n}, "kept": {table: n}}``; open is what has to be ended before he can be removed."""
    found: dict[str, dict[str, int]] = {"open": {}, "kept": {}}
    for noun, condition in open_ones.items():
        table = metadata.tables[noun]
        if count := connection.execute(select(func.count()).select_from(table).where(table.c.owner == person, condition)).scalar_one():
            found["open"][noun] = count
    for place in places:
        if place.form == NAME:
            column = metadata.tables[place.table].c[place.column]
            if count := connection.execute(select(func.count()).select_from(column.table).where(column == person)).scalar_one():
                found["kept"][place.table] = max(count, found["kept"].get(place.table, 0))
    return found


def forget(db: Database, places: Sequence[Place], person: str, alias: str, at: Sequence[Any] | None, limit_s: float) -> dict[str, Any]:
    """Take a person's name out, for about ``limit_s``: ``{"rows": {table: n}, "at": where to go on, None at the end}``."""
    number, after = at or (0, None)
    rows: dict[str, int] = {}
    until = time.monotonic() + limit_s
    while number < len(places):
        place = places[number]
        if place.kept:
            number += 1
            continue
        if place.form == WITHIN:
            count, after = _within(db, place, person, alias, after)
        else:
            count = _whole(db, place, person, alias)
            after = True if count == STRETCH else None
        if count:
            rows[place.table] = rows.get(place.table, 0) + count
        if after is None:
            number += 1
        if time.monotonic() > until:
            break
        time.sleep(0)
    return {"rows": rows, "at": [number, after] if number < len(places) else None}


def rows_of(connection: Connection, metadata: MetaData, places: Sequence[Place], person: str, at: Sequence[Any] | None, limit: int,
            secret: frozenset[str]) -> dict[str, Any]:
    """A page of what is kept of a person, row by row: ``{"items": [{"table", "row"}], "at": where to go on}``; ``secret`` columns are left out.

    Raises:
        ValueError: ``at`` is no place to go on from.
    """
    tables = list(dict.fromkeys(place.table for place in places if place.form == NAME))
    number, after = at or (0, None)
    if type(number) is not int or not 0 <= number < len(tables) or after is not None and not _is_key(list(metadata.tables[tables[number]].primary_key), after):
        raise ValueError("no place in these tables")
    items: list[dict[str, Any]] = []
    while number < len(tables) and len(items) < limit:
        table = metadata.tables[tables[number]]
        mine = or_(*(table.c[place.column] == person for place in places if place.table == table.name and place.form == NAME))
        keys = list(table.primary_key)
        beyond = [] if after is None else [tuple_(*keys) > tuple_(*map(literal, after))]
        # One more than is wanted, to know whether it is the last.
        wanted = limit - len(items)
        found = connection.execute(select(table).where(mine, *beyond).order_by(*keys).limit(wanted + 1)).mappings().all()
        items += [{"table": table.name, "row": redacted({name: _shown(value) for name, value in row.items() if name not in secret})}
                  for row in found[:wanted]]
        if len(found) > wanted:
            return {"items": items, "at": [number, [found[wanted - 1][key.name] for key in keys]]}
        number, after = number + 1, None
    return {"items": items, "at": [number, None] if number < len(tables) else None}


def _is_key(columns: Sequence[Any], values: Any) -> bool:
    """Whether values that came from outside can be compared with a primary key."""
    return len(values) == len(columns) and all(
        type(value) is column.type.python_type and "\x00" not in str(value) for column, value in zip(columns, values, strict=True))


def _shown(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _whole(db: Database, place: Place, person: str, alias: str) -> int:
    """A stretch of the rows whose column is, or begins with, the name."""
    column = db.metadata.tables[place.table].c[place.column]
    keys = list(column.table.primary_key)
    said, new = {NAME: (column == person, alias), GRANT: (column == f"owner:{person}", f"owner:{alias}"),
                 PREFIX: (func.substr(column, 1, len(person) + 1) == f"{person}|", None)}[place.form]
    mine = tuple_(*keys).in_(select(*keys).where(said).limit(STRETCH))
    with db.transaction() as uow:
        if place.gone:
            return uow.connection.execute(delete(column.table).where(mine)).rowcount
        return uow.connection.execute(update(column.table).where(mine).values({column.name: new})).rowcount


def _within(db: Database, place: Place, person: str, alias: str, after: Any) -> tuple[int, Any]:
    """One look over the next rows for JSON that has the name: how many were changed, and the last key that was looked at."""
    table = db.metadata.tables[place.table]
    key, column = next(iter(table.primary_key)), table.c[place.column]
    beyond = [] if after is None else [key > after]
    window = select(key.label("key"), column.label("value")).where(*beyond).order_by(key).limit(LOOKED_AT).subquery()
    with db.transaction() as uow:
        last = uow.connection.execute(select(func.max(window.c.key))).scalar()
        found = uow.connection.execute(
            select(key, column).where(key.in_(select(window.c.key).where(_mentions(uow.connection, window.c.value, person))))).all()
        count = 0
        for its_key, value in found:
            new = _rewritten(value, person, alias)
            if new != value:
                count += uow.connection.execute(update(table).where(key == its_key).values({column.name: new})).rowcount
    return count, last


def _mentions(connection: Connection, value: Any, person: str) -> ColumnElement[bool]:
    """Whether JSON has the name, in either way of writing it."""
    place = func.strpos if connection.dialect.name == "postgresql" else func.instr
    written: Iterable[str] = {json.dumps(person, ensure_ascii=exact)[1:-1] for exact in (True, False)}
    return or_(*(place(cast(value, Text), one) > 0 for one in sorted(written)))


def _rewritten(value: Any, person: str, alias: str) -> Any:
    """The value of a column: JSON, or a text that is JSON or a sentence."""
    if not isinstance(value, str) or not value.startswith("{"):
        return replaced(value, person, alias)
    given = json.loads(value)
    new = replaced(given, person, alias)
    return value if new == given else json.dumps(new, ensure_ascii=False, separators=(",", ":"))


def replaced(value: Any, person: str, alias: str) -> Any:
    """A copy of JSON with the pseudonym where a text is the name, or has it as a word."""
    if isinstance(value, Mapping):
        return {key: replaced(item, person, alias) for key, item in value.items()}
    if isinstance(value, list):
        return [replaced(item, person, alias) for item in value]
    if isinstance(value, str) and person in value:
        return re.sub(rf"(?<!\w){re.escape(person)}(?!\w)", alias, value)
    return value
