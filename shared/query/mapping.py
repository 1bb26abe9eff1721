"""What a table looks like to a query: which column each field is, where refs, lists and tags are found.

Entry points: ``TableMapping`` and the kinds of place ``Plain``, ``Ref``, ``RefVia``, ``Refs``, ``Json``, ``Tags``.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Table


@dataclass(frozen=True)
class Plain:
    """A column with the value itself: text, a number, a boolean, or a stamp as text for a time."""

    column: ColumnElement[Any]


@dataclass(frozen=True)
class Ref:
    """A ref whose id and name are columns of the same row (or scalar subqueries)."""

    id: ColumnElement[Any]
    name: ColumnElement[Any] | None = None


@dataclass(frozen=True)
class RefVia:
    """A ref whose name is in another table: ``local`` here is ``id`` there. ``where`` narrows the other table."""

    local: ColumnElement[Any]
    id: ColumnElement[Any]
    name: ColumnElement[Any]
    where: ColumnElement[bool] | None = None


@dataclass(frozen=True)
class Refs:
    """Many refs, one row each in a table of links: ``owner`` there is ``local`` here."""

    owner: ColumnElement[Any]
    local: ColumnElement[Any]
    id: ColumnElement[Any]
    name: ColumnElement[Any] | None = None


@dataclass(frozen=True)
class Json:
    """A JSON (or JSONB) column."""

    column: ColumnElement[Any]


@dataclass(frozen=True)
class Tags:
    """The tag index (``tag_index_table``) and the column here that its ``data_id`` names."""

    index: Table
    local: ColumnElement[Any]


Place = Plain | Ref | RefVia | Refs | Json


@dataclass(frozen=True, eq=False)
class TableMapping:
    """One class of objects in one table. It is itself alone, so that statements can be kept by it.

    ``fields``: name to place; a bare column stands for ``Plain``. ``tags``: where open tags are found.
    ``columns`` and ``document`` make a document of a row for what SQL cannot decide: the columns to select, and
    a function from the row (a mapping by column key) to the object as on the wire. ``key``: the primary key, by
    which rows are counted and paged.
    """

    table: FromClause
    key: ColumnElement[Any]
    fields: Mapping[str, Place | ColumnElement[Any]] = field(default_factory=dict)
    tags: Tags | None = None
    columns: Sequence[ColumnElement[Any]] = ()
    document: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None

    def place(self, name: str) -> Place | None:
        """Where the field is, or None when this table does not tell."""
        found = self.fields.get(name)
        return found if found is None or isinstance(found, (Plain, Ref, RefVia, Refs, Json)) else Plain(found)
