"""What a question that is being typed may go on with: names of fields and tags, and the values that they have.

Steps from value to value through an index, so that it costs what is shown and not what there is. Reads only.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, select

from services.catalog.access import sight
from services.catalog.models import PLACES, data_table, source_table, tag_table
from shared.hosting.uses import Uses
from shared.kernel.errors import Invalid, nearest
from shared.query.fields import DATA_FIELDS
from shared.query.tag_index import TEXT, index_key
from shared.query.unknown_tags import having

MOST = 20
COUNTED = 1000
SEEN = 5000
# So many values are looked through for those of data that the caller sees.
LOOKED_THROUGH = 200
_LAST = "\U0010ffff"
_TYPES = ("file", "dir", "object", "table", "stream")
_OF_SOURCES = {"source": source_table.c.name, "location": source_table.c.location}
_INDEXED = {"name": data_table.c.name}


def completions(uses: Uses, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """``[{"text", "count"}]`` for ``{"field": begun}`` or ``{"value": begun, "of": field}``, at most ``MOST``.

    ``count`` is how many Data have the value, ``COUNTED`` standing for so many or more; None where it was not counted.

    Raises:
        Invalid: ``parameter.invalid``, it asks for neither.
    """
    begun = asked.get("field", asked.get("value"))
    of = asked.get("of")
    if not isinstance(begun, str) or ("value" in asked) != isinstance(of, str) or set(asked) - {"field", "value", "of"}:
        raise Invalid("parameter.invalid", "complete is {\"field\": begun} or {\"value\": begun, \"of\": field}.",
                      next_step="Give the beginning of a field, or of a value and the field that it is of.",
                      errors=[{"pointer": "/complete", "detail": "A beginning is needed here, and for a value the field."}])
    with uses.db.reading() as connection:
        seen = sight(connection, uses.context).condition
        return _fields(connection, begun, seen) if of is None else _values(connection, of.removeprefix("tags."), begun, seen)


def _fields(connection: Connection, begun: str, seen: ColumnElement[bool] | None) -> list[dict[str, Any]]:
    own = [name for name in DATA_FIELDS.fields if name.startswith(begun)]
    tags = _stepped(connection, tag_table.c.key, begun, [], MOST if seen is None else LOOKED_THROUGH)
    if seen is not None:
        tags = having(connection, PLACES, tags, seen)[:MOST]
    if not own and not tags and len(begun) > 2:
        own = nearest(begun, [*DATA_FIELDS.fields, *_stepped(connection, tag_table.c.key, "", [], SEEN)], 3 if seen is None else MOST)
        if seen is not None:
            shown = {*DATA_FIELDS.fields, *having(connection, PLACES, own, seen)}
            own = [name for name in own if name in shown][:3]
    return [{"text": name, "count": None} for name in dict.fromkeys([*own, *tags])][:MOST]


def _values(connection: Connection, of: str, begun: str, seen: ColumnElement[bool] | None) -> list[dict[str, Any]]:
    alive = data_table.c.destroyed_at.is_(None) if seen is None else and_(data_table.c.destroyed_at.is_(None), seen)
    if of == "type":
        return [{"text": name, "count": None} for name in _TYPES if name.startswith(begun)]
    if of in _OF_SOURCES:
        column = _OF_SOURCES[of]
        found = select(column).where(source_table.c.destroyed_at.is_(None), *_between(column, begun)).distinct().order_by(column).limit(MOST)
        return [{"text": name, "count": None} for name in connection.scalars(found)]
    if of == "media_type":
        # Few kinds and no index: those of the first Data stand for all.
        some = select(data_table.c.media_type).where(alive).limit(SEEN).subquery()
        kinds = select(some.c.media_type).where(*_between(some.c.media_type, begun)).distinct().order_by(some.c.media_type).limit(MOST)
        return [{"text": kind, "count": None} for kind in connection.scalars(kinds)]
    if of in _INDEXED:
        column = _INDEXED[of]
        return _counted(connection, column, _stepped(connection, column, begun, [alive]), [alive])
    if of in DATA_FIELDS.fields:
        return []
    here = [tag_table.c.key == index_key(of), tag_table.c.kind == TEXT]
    if seen is not None:
        here.append(exists(select(1).where(data_table.c.id == tag_table.c.data_id, seen)))
    return _counted(connection, tag_table.c.text, _stepped(connection, tag_table.c.text, begun, here), here)


def _between(column: ColumnElement[Any], begun: str) -> list[ColumnElement[bool]]:
    return [column.is_not(None), column >= begun, column < begun + _LAST] if begun else [column.is_not(None)]


def _stepped(connection: Connection, column: ColumnElement[Any], begun: str, where: Sequence[ColumnElement[bool]],
             most: int = MOST) -> list[str]:
    """The different values of an indexed column that begin so, in order."""
    within = and_(*_between(column, begun), *where)
    first = select(func.min(column).label("value")).where(within)
    steps = first.cte("steps", recursive=True)
    after = select(func.min(column)).where(within, column > steps.c.value).correlate(steps).scalar_subquery()
    steps = steps.union_all(select(after).where(steps.c.value.is_not(None)))
    return list(connection.scalars(select(steps.c.value).where(steps.c.value.is_not(None)).limit(most)))


def _counted(connection: Connection, column: ColumnElement[Any], values: Sequence[str],
             where: Sequence[ColumnElement[bool]]) -> list[dict[str, Any]]:
    if not values:
        return []

    def how_many(value: str) -> Select[Any]:
        some = select(column).where(column == value, *where).limit(COUNTED).subquery()
        return select(func.count()).select_from(some)
    counts = connection.execute(select(*(how_many(value).scalar_subquery() for value in values))).one()
    return [{"text": value, "count": count} for value, count in zip(values, counts)]
