"""Sort orders in SQL. Entry point: ``order_by``."""
from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, String

from shared.kernel.errors import Malformed
from shared.query.cells import in_code_points
from shared.query.mapping import Plain, Ref, TableMapping
from shared.query.sql import dialect_name


def order_by(order: list[tuple[str, bool]], mapping: TableMapping, dialect: Any) -> list[ColumnElement[Any]]:
    """The order in SQL, nulls last, text by code point, ended by the key so that it is total.

    Raises:
        Malformed: ``query.bad_sort``, a field is in no column of this table.
    """
    name_of_dialect = dialect_name(dialect)
    terms: list[ColumnElement[Any]] = []
    for name, descending in order:
        place = mapping.place(name)
        column = place.column if isinstance(place, Plain) else place.name if isinstance(place, Ref) else None
        if column is None:
            raise Malformed("query.bad_sort", f"Rows cannot be sorted by '{name}'.", next_step="Sort by another field.",
                            errors=[{"pointer": "sort", "detail": f"'{name}' is not a column"}])
        if isinstance(column.type, String):
            column = in_code_points(column, name_of_dialect)
        terms.append((column.desc() if descending else column.asc()).nulls_last())
    return [*terms, mapping.key.asc()]
