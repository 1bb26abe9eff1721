"""The order of a list and the condition that continues it: keyset paging with missing values last.

A page is found by comparing with the keys of the last row seen, never by counting rows over; so a page costs the
same wherever it lies, and rows that come or go do not shift it.
"""
from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Dialect, Select, Table, and_, false, literal, or_, select

from shared.kernel.errors import Invalid, Malformed
from shared.lists import cursor
from shared.lists.columns import Columns, by_code_point, may_be_null
from shared.query.fields import FieldSet
from shared.query.sort import parse_sort


@dataclass(frozen=True)
class Key:
    """One sort key: the expression, its kind, its direction, and whether it may be missing."""

    expression: ColumnElement[Any]
    kind: str
    descending: bool
    nullable: bool

    @property
    def ordering(self) -> ColumnElement[Any]:
        ordered = self.expression.desc() if self.descending else self.expression.asc()
        # Said only where it matters: an index serves the plain order.
        return ordered.nulls_last() if self.nullable else ordered

    def same(self, value: Any) -> ColumnElement[bool]:
        return self.expression.is_(None) if value is None else self.expression == value

    def later(self, value: Any) -> ColumnElement[bool]:
        if value is None:
            return false()
        # As a parameter: SQLAlchemy has no order for the constants true and false.
        bound = literal(value)
        beyond = self.expression < bound if self.descending else self.expression > bound
        return or_(beyond, self.expression.is_(None)) if self.nullable else beyond

    def not_before(self, value: Any) -> ColumnElement[bool]:
        return self.expression <= literal(value) if self.descending else self.expression >= literal(value)


@dataclass(frozen=True)
class Order:
    """A complete order of a table: ``text`` is its one spelling, ``keys`` end with the id."""

    text: str
    keys: tuple[Key, ...]
    table: Table

    @functools.cached_property
    def rows(self) -> Select[Any]:
        """All rows in this order, each with its sort keys behind its columns."""
        keys = (key.expression.label(f"sort_key_{at}") for at, key in enumerate(self.keys))
        return select(self.table, *keys).order_by(*(key.ordering for key in self.keys))

    def after(self, values: Sequence[Any]) -> ColumnElement[bool]:
        """The condition for rows behind the one with these keys.

        Raises:
            Malformed: ``cursor.invalid``, the values are not keys of this order.
        """
        if len(values) != len(self.keys) or not all(cursor.fits(value, key.kind) for value, key in zip(values, self.keys)):
            raise cursor.not_a_cursor()
        first = self.keys[0]
        ways: list[ColumnElement[bool]] = []
        same: list[ColumnElement[bool]] = []
        for key, value in zip(self.keys, values):
            ways.append(and_(*same, key.later(value)))
            same.append(key.same(value))
        if first.nullable or len(self.keys) == 1:
            return or_(*ways)
        # An index serves a bound on the first key; it would not see one through the alternatives.
        return and_(first.not_before(values[0]), or_(*ways))


def make_order(text: str, fields: FieldSet, columns: Columns, dialect: Dialect) -> Order:
    """The order that ``-created_at,name`` asks for.

    Raises:
        Invalid: ``sort.invalid``, with the nearest field.
    """
    places = {name: columns.sorted_by(name) for name in fields.fields}
    sortable = FieldSet(fields.noun, {name: field for name, field in fields.fields.items() if places[name] is not None})
    try:
        wanted = parse_sort(text, sortable)
    except Malformed as error:
        errors = [{"pointer": "/sort", "detail": item["detail"]} for item in error.errors]
        raise Invalid("sort.invalid", error.detail, next_step=error.next_step, errors=errors, **error.extra) from None
    if "id" not in [name for name, _ in wanted]:
        # Ties follow the direction of what they tie in: the newest first stays so to the end.
        wanted.append(("id", bool(wanted) and wanted[-1][1]))
    keys = []
    for name, descending in wanted:
        kind, place = sortable.fields[name].kind, places[name]
        expression = place if kind in ("number", "boolean") else by_code_point(place, dialect)
        keys.append(Key(expression, kind, descending, may_be_null(place)))
    return Order(",".join(("-" if descending else "") + name for name, descending in wanted), tuple(keys), columns.table)
