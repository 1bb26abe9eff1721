"""The values at a dotted name of a JSON column, as conditions of either database."""
from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, case, cast, exists, false, func, or_, select, true, type_coerce
from sqlalchemy import column as new_column
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH

from shared.query.cells import Cell, NotInSql, PostgresJsonCell, SqliteJsonCell

# Every way to cut a dotted name into keys is asked for; beyond this many parts the matcher does it better.
MOST_SEGMENTS = 3


def json_cost(below: tuple[str, ...], value: Any) -> int:
    """How much a condition weighs in a statement: the ways to cut its name, times the values compared with."""
    return 2 ** max(len(below) - 1, 0) * (len(value) // 16 + 1 if isinstance(value, tuple) else 1)


def json_condition(
    column: ColumnElement[Any], below: tuple[str, ...], refs: bool, op: str, value: Any, dialect: str
) -> ColumnElement[bool]:
    """Whether a value at ``below`` in the JSON ``column`` compares as asked; with ``refs`` also its id or name.

    Raises:
        NotInSql: the name has too many parts, or dates are compared, which in JSON are text of any spelling.
    """
    if len(below) > MOST_SEGMENTS:
        raise NotInSql
    ask = _postgres if dialect == "postgresql" else _sqlite
    if not below and op == "$eq" and value is None:
        return or_(column.is_(None), *(ask(column, below, refs, op, value)))
    return or_(*(condition for keys in _splits(below) for condition in ask(column, keys, refs, op, value)))


def _splits(below: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if not below:
        yield ()
    for count in range(1, len(below) + 1):
        head = ".".join(below[:count])
        if count == len(below):
            yield (head,)
        else:
            for rest in _splits(below[count:]):
                yield (head, *rest)


def _any(cell: Cell, op: str, value: Any) -> ColumnElement[bool]:
    return or_(*cell.conditions(op, value))


# -- SQLite ---------------------------------------------------------------------------------------------------

def _each(document: Any) -> Any:
    return func.json_each(document).table_valued("key", "value", "type", "atom")


def _sqlite(column: Any, keys: tuple[str, ...], refs: bool, op: str, value: Any) -> list[ColumnElement[bool]]:
    raw = type_coerce(column, Text())
    kind, here = func.json_type(raw), raw
    source: Any = None
    where: list[ColumnElement[bool]] = []
    for key in keys:
        # A list stands for its elements; an object is made a list of one, so that both go the same way.
        many = _each(case((kind == "array", here), (kind == "object", func.json_array(func.json(here)))))
        member = _each(case((many.c.type == "object", many.c.value)))
        source = many if source is None else source.join(many, true())
        source = source.join(member, true())
        where.append(member.c.key == key)
        kind, here, atom = member.c.type, member.c.value, member.c.atom
    if not keys:
        atom = func.json_extract(raw, "$")
    test = _sqlite_test(kind, here, atom, refs, op, value)
    return [test if source is None else exists(select(1).select_from(source).where(*where, test))]


def _sqlite_test(kind: Any, here: Any, atom: Any, refs: bool, op: str, value: Any) -> ColumnElement[bool]:
    if op == "$exists":
        return true()
    items = case((kind == "array", here))
    if op == "$size":
        return and_(kind == "array", func.json_array_length(items) == value)
    item = _each(items)
    tests = [_any(SqliteJsonCell(item.c.type, item.c.atom), op, value)]
    whole = [_any(SqliteJsonCell(kind, atom), op, value)]
    if refs:
        for part in ("$.id", "$.name"):
            for from_, found in ((case((item.c.type == "object", item.c.value)), tests), (case((kind == "object", here)), whole)):
                cell = SqliteJsonCell(func.json_type(from_, part), func.json_extract(from_, part))
                found.append(and_(cell.kind != "null", _any(cell, op, value)))
    return or_(*whole, exists(select(1).select_from(item).where(or_(*tests))))


# -- PostgreSQL -----------------------------------------------------------------------------------------------

def _found(column: Any, path: str, test: Callable[[Any], ColumnElement[bool]]) -> ColumnElement[bool]:
    found = func.jsonb_path_query(cast(column, JSONB), cast(path, JSONPATH))
    rows = found.table_valued(new_column("value", JSONB())).render_derived()
    return exists(select(1).select_from(rows).where(test(rows.c.value)))


def _postgres(column: Any, keys: tuple[str, ...], refs: bool, op: str, value: Any) -> list[ColumnElement[bool]]:
    # Lax paths look into a list for the members of its elements, one level deep, as the language does.
    path = "lax $" + "".join(f".{json.dumps(key)}" for key in keys)
    if op == "$exists":
        return [_found(column, path, lambda found: true())]
    if op == "$size":
        def sized(found: Any) -> ColumnElement[bool]:
            return case((func.jsonb_typeof(found) == "array", func.jsonb_array_length(found) == value), else_=false())
        return [_found(column, path, sized)]

    def compares(found: Any) -> ColumnElement[bool]:
        return _any(PostgresJsonCell(found), op, value)

    conditions = [_found(column, f"{path}[*]", compares)]
    if refs:
        for part in ("id", "name"):
            only = f'{path}[*] ? (@.type() == "object")."{part}" ? (@ != null)'
            conditions.append(_found(column, only, compares))
    return conditions
