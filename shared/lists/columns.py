"""Where the attributes of a class lie in its table, and how the database orders and compares them."""
from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Dialect, Table, collate

from shared.contracts.objects import OBJECTS
from shared.query.fields import DATA_FIELDS, FieldSet

Place = ColumnElement[Any] | tuple[ColumnElement[Any], ColumnElement[Any]]


@functools.cache
def fieldset(noun: str) -> FieldSet:
    """What a query over the class may name; Data has open tags besides."""
    return DATA_FIELDS if noun == "data" else FieldSet.of_kinds(noun, OBJECTS[noun].fields)


class Columns:
    """The place of each attribute: a column or expression, or for a ref the pair ``(id, name)``.

    Without a word in ``mapping`` an attribute lies in the column of its name, a ref in ``<name>_id`` and
    ``<name>_name``. Attributes that lie nowhere can still be asked for in queries: the rendered object is then
    looked at in memory.

    Raises:
        ValueError: an attribute that lists can be filtered by lies nowhere.
    """

    def __init__(self, noun: str, table: Table, mapping: Mapping[str, Place] | None = None) -> None:
        self.table = table
        self.kinds = OBJECTS[noun].fields
        self.places: dict[str, Place] = {}
        mapping = mapping or {}
        for name, kind in self.kinds.items():
            if name in mapping:
                self.places[name] = mapping[name]
            elif kind == "ref" and f"{name}_id" in table.c and f"{name}_name" in table.c:
                self.places[name] = (table.c[f"{name}_id"], table.c[f"{name}_name"])
            elif kind != "ref" and name in table.c:
                self.places[name] = table.c[name]
        missing = [attribute.name for attribute in OBJECTS[noun].filters if attribute.name not in self.places]
        if missing:
            raise ValueError(f"{noun}: no column is known for the filter(s) {', '.join(missing)}")

    def plain(self, name: str) -> ColumnElement[Any]:
        """The expression that stands for an attribute in orders: of a ref, its name."""
        place = self.places[name]
        return place[1] if isinstance(place, tuple) else place


def by_code_point(expression: ColumnElement[Any], dialect: Dialect) -> ColumnElement[Any]:
    """The text expression compared by code point, as the query language does; SQLite does so anyway."""
    if dialect.name != "postgresql":
        return expression
    kind = expression.type.dialect_impl(dialect)
    return expression if getattr(kind, "collation", None) == "C" else collate(expression, "C")


def may_be_null(expression: ColumnElement[Any]) -> bool:
    """Whether the expression can be NULL, as far as is known."""
    return bool(getattr(expression, "nullable", True)) and not getattr(expression, "primary_key", False)
