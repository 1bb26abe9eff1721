"""Warns of tags that no Data has, with the nearest that exist. Entry point: ``unknown_tags``."""
from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, exists, func, select

from shared.kernel.errors import nearest
from shared.query.mapping import TableMapping
from shared.query.tag_index import index_key
from shared.query.tree import Query

MOST_KEYS = 5000
NEAREST = 3


def unknown_tags(conn: Connection, query: Query, mapping: TableMapping) -> list[dict[str, Any]]:
    """``[{"field", "nearest": [...]}]`` for each tag of the query that no row has; the nearest tags and fields first.

    At most ``MOST_KEYS`` existing names are compared with; none are read when every tag exists.
    """
    names = query.tags()
    if not names or mapping.tags is None:
        return []
    index = mapping.tags.index
    probes = [exists(select(1).where(index.c.key == index_key(name.key))) for name in names]
    there = conn.execute(select(*probes)).one()
    unknown = [name for name, found in zip(names, there) if not found]
    if not unknown:
        return []
    known = [*tag_names(conn, mapping), *query.field_set.fields]
    return [{"field": name.text, "nearest": nearest(name.key, known, NEAREST)} for name in unknown]


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
