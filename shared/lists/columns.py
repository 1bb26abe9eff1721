"""Where the attributes of a class lie in its table, for filters, queries and orders alike."""
from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from sqlalchemy import JSON, ColumnElement, Dialect, collate, select

from shared.contracts.objects import OBJECTS
from shared.kernel.ids import is_id
from shared.query.fields import DATA_FIELDS, FieldSet
from shared.query.mapping import Json, Place, Plain, Ref, Refs, RefVia, TableMapping, Tags
from shared.storage.record import Record

Given = Place | ColumnElement[Any] | tuple[ColumnElement[Any], ColumnElement[Any]]

# Their columns hold what the rendered object does not: a query must not be able to guess it.
_KEEPS_SECRETS = ("connection", "parameters", "access")
_WHOLE = ("json", "list", "refs")


@functools.cache
def fieldset(noun: str) -> FieldSet:
    """What a query over the class may name; Data has open tags besides."""
    return DATA_FIELDS if noun == "data" else FieldSet.of_kinds(noun, OBJECTS[noun].fields)


class Columns:
    """The place of each attribute of a class.

    ``mapping`` gives a column or expression, for a ref the pair ``(id, name)``, or any place of
    ``shared.query.mapping``. Without a word in it an attribute lies in the column of its name, a ref in
    ``<name>_id`` and ``<name>_name``. Attributes that lie nowhere can still be asked for in queries: the rendered
    object is then looked at in memory.

    Raises:
        ValueError: an attribute that lists can be filtered by lies nowhere.
    """

    def __init__(self, record: Record, mapping: Mapping[str, Given] | None = None, tags: Tags | None = None) -> None:
        self.record = record
        self.table = record.table
        # None for a class whose objects are not destroyed but deleted.
        self.alive = self.table.c.destroyed_at.is_(None) if "destroyed_at" in self.table.c else None
        self._counts = [name for name, kind in OBJECTS[record.noun].fields.items() if kind == "count"]
        self.places: dict[str, Place] = {}
        for name, kind in OBJECTS[record.noun].fields.items():
            place = self._place(name, kind, (mapping or {}).get(name))
            if place is not None:
                self.places[name] = place
        missing = [attribute.name for attribute in OBJECTS[record.noun].filters if attribute.name not in self.places]
        if missing:
            raise ValueError(f"{record.noun}: no column is known for the filter(s) {', '.join(missing)}")
        self.mapping = TableMapping(self.table, self.table.c.id, self.places, tags)

    def _place(self, name: str, kind: str, given: Given | None) -> Place | None:
        columns = self.table.c
        if isinstance(given, tuple):
            return Ref(*given)
        if isinstance(given, (Plain, Ref, RefVia, Refs, Json)):
            return given
        if given is None and kind == "ref":
            paired = f"{name}_id" in columns and f"{name}_name" in columns
            return Ref(columns[f"{name}_id"], columns[f"{name}_name"]) if paired else None
        if given is None and (name not in columns or name in _KEEPS_SECRETS):
            return None
        column = columns[name] if given is None else given
        if kind in _WHOLE:
            return Json(column) if isinstance(column.type, JSON) else None
        return Plain(column)

    def document(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The object of a row as a query sees it: counts are numbers."""
        rendered = self.record.render(row)
        for name in self._counts:
            if isinstance(rendered.get(name), Mapping):
                rendered[name] = rendered[name].get("count")
        return rendered

    def sorted_by(self, name: str) -> ColumnElement[Any] | None:
        """The expression that an attribute is sorted by (of a ref its name), or None when there is none."""
        place = self.places.get(name)
        if isinstance(place, Plain):
            return place.column
        if isinstance(place, Ref):
            return place.name
        if isinstance(place, RefVia):
            return select(place.name).where(place.id == place.local).scalar_subquery()
        return None

    def equals(self, name: str, value: str) -> ColumnElement[bool]:
        """The condition of a filter: a ref equals its id or its name."""
        place = self.places[name]
        if isinstance(place, Plain):
            return place.column == value
        # A name may not look like an id, so only one of the two can be meant.
        if isinstance(place, Ref):
            return place.id == value if is_id(value) or place.name is None else place.name == value
        if isinstance(place, RefVia):
            named = select(place.id).where(place.name == value, *([] if place.where is None else [place.where]))
            return place.local == value if is_id(value) else place.local.in_(named)
        raise ValueError(f"{self.record.noun}: '{name}' is no single value to filter by")


def by_code_point(expression: ColumnElement[Any], dialect: Dialect) -> ColumnElement[Any]:
    """The text expression compared by code point, as the query language does; SQLite does so anyway."""
    if dialect.name != "postgresql":
        return expression
    kind = expression.type.dialect_impl(dialect)
    return expression if getattr(kind, "collation", None) == "C" else collate(expression, "C")


def may_be_null(expression: ColumnElement[Any]) -> bool:
    """Whether the expression can be NULL, as far as is known."""
    return bool(getattr(expression, "nullable", True)) and not getattr(expression, "primary_key", False)
