"""Warns of tags that no Data has, with the nearest that exist. Entry point: ``unknown_tags``."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, func, select

from shared.kernel.errors import nearest
from shared.query.mapping import TableMapping
from shared.query.tag_index import index_key
from shared.query.tree import Query

MOST_KEYS = 5000
NEAREST = 3
# So many near names are looked through for those of rows that are seen.
LOOKED_THROUGH = 30


def unknown_tags(conn: Connection, query: Query, mapping: TableMapping, seen: ColumnElement[bool] | None = None) -> list[dict[str, Any]]:
    """``[{"field", "nearest": [...]}]`` for each tag of the query that no row has; the nearest tags and fields first.

    With ``seen``, a condition on the rows, what only other rows have is nowhere. At most ``MOST_KEYS`` existing names are compared
    with; none are read when every tag exists.
    """
    names = query.tags()
    if not names or mapping.tags is None:
        return []
    there = set(having(conn, mapping, [index_key(name.key) for name in names], seen))
    unknown = [name for name in names if index_key(name.key) not in there]
    if not unknown:
        return []
    known = [*tag_names(conn, mapping), *query.field_set.fields]
    found = []
    for name in unknown:
        near = nearest(name.key, known, NEAREST if seen is None else LOOKED_THROUGH)
        if seen is not None:
            shown = {*having(conn, mapping, near, seen), *query.field_set.fields}
            near = [one for one in near if one in shown][:NEAREST]
        found.append({"field": name.text, "nearest": near})
    return found


def having(conn: Connection, mapping: TableMapping, keys: Sequence[str], seen: ColumnElement[bool] | None) -> list[str]:
    """Those of these keys of tags that a row has (one that is ``seen``)."""
    if not keys or mapping.tags is None:
        return []
    index = mapping.tags.index

    def probe(key: str) -> ColumnElement[bool]:
        rows = select(1).where(index.c.key == key)
        return exists(rows if seen is None else rows.where(mapping.tags.local == index.c.data_id, seen).correlate(None))
    return [key for key, found in zip(keys, conn.execute(select(*map(probe, keys))).one(), strict=True) if found]


def tag_names(conn: Connection, mapping: TableMapping, limit: int = MOST_KEYS) -> list[str]:
    """The names of tags that exist, in the order of their code points, at most ``limit``.

    Steps from name to name through the index, so that it costs the number of names and not that of rows.
    """
    if mapping.tags is None:
        return []
    index = mapping.tags.index
    first = select(func.min(index.c.key).label("key"))
    names = first.cte("names", recursive=True)
    after = select(func.min(index.c.key)).where(index.c.key > names.c.key).correlate(names).scalar_subquery()
    names = names.union_all(select(after).where(names.c.key.is_not(None)))
    return list(conn.scalars(select(names.c.key).where(names.c.key.is_not(None)).limit(limit)))
