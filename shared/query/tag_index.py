"""The inverted index of metadata tags: one row per value, so that a query over tags is answered by a b-tree.

Entry points: ``tag_index_table``, ``tag_rows``. Knows nothing of the table whose tags it holds but the type of its key.

A row is ``(data_id, n, key, kind, text, number, long)``: ``key`` the dotted name, ``kind`` one of the numbers
below, ``text`` the text (cut when long, with the whole in ``long``), ``number`` the number, the truth as 0 or 1,
the instant in microseconds, or the length of a list. A list gives a row for itself and one for each different
element; objects, in lists or not, a row for themselves and the rows of what is inside them.
"""
from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Column, Index, Integer, MetaData, SmallInteger, Table, Text
from sqlalchemy.types import TypeEngine, UserDefinedType

from shared.query.values import clean, instant, storable

NULL, BOOLEAN, NUMBER, TEXT, TIME, LIST, OBJECT = range(1, 8)

# In characters: with four bytes each they stay under the 2,704 bytes of a PostgreSQL index row.
TEXT_BOUND = 256
KEY_BOUND = 160
DEPTH_BOUND = 64

# Sorts after its own prefix and equals no text that was not cut: those are shorter.
_CUT = "\uffff"


class ExactNumber(UserDefinedType[Any]):
    """A number that keeps every bit of a 64-bit integer, and floats as they are written."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "NUMERIC"

    def bind_processor(self, dialect: Any) -> Any:
        if dialect.name != "postgresql":
            return None
        from decimal import Decimal

        # As text with its shortest digits, never as a double that PostgreSQL would round on its own.
        return lambda value: Decimal(repr(value)) if isinstance(value, float) else value

    def literal_processor(self, dialect: Any) -> Any:
        return repr


_CodePoints = Text().with_variant(Text(collation="C"), "postgresql")


def tag_index_table(metadata: MetaData, name: str = "tag_index", owner_type: TypeEngine[Any] | None = None) -> Table:
    """The table and its indexes, in ``metadata``. ``owner_type`` is the type of the key of Data
    (default: text by code point; PostgreSQL wants the collation of both sides to be the same).

    ``(key, text, data_id)`` and ``(key, kind, number, data_id)`` answer comparisons from the index alone;
    the primary key ``(data_id, key, n)`` answers "has this Data such a tag" and deletes all of one Data.
    """
    return Table(
        name, metadata,
        Column("data_id", owner_type or _CodePoints, primary_key=True),
        Column("key", _CodePoints, primary_key=True),
        Column("n", Integer, primary_key=True, autoincrement=False),
        Column("kind", SmallInteger, nullable=False),
        Column("text", _CodePoints),
        Column("number", ExactNumber()),
        Column("long", _CodePoints),
        Index(f"ix_{name}_text", "key", "text", "data_id"),
        Index(f"ix_{name}_number", "key", "kind", "number", "data_id"),
        # The table is its primary key: one b-tree less, and the rows of one Data lie together.
        sqlite_with_rowid=False,
    )


@functools.lru_cache(maxsize=4096)
def index_key(name: str) -> str:
    """The key under which a dotted name is indexed; a very long one is cut and told apart by its digest."""
    if len(name) <= KEY_BOUND:
        return name
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    return f"{name[:KEY_BOUND - 26]}\u2026{digest}"


def cut(text: str) -> str:
    """The text as it is indexed."""
    return text if len(text) <= TEXT_BOUND else text[:TEXT_BOUND] + _CUT


def tag_rows(data_id: Any, tags: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of one Data, ready for a bulk insert. Use ``iter_tag_rows`` where there may be very many."""
    return list(iter_tag_rows(data_id, tags))


def iter_tag_rows(data_id: Any, tags: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """As ``tag_rows``, one at a time. What is nested deeper than ``DEPTH_BOUND`` is not indexed."""
    for n, (key, kind, text, number) in enumerate(_entries(tags)):
        yield {
            "data_id": data_id, "n": n, "key": key, "kind": kind, "text": None if text is None else cut(text),
            "number": number, "long": text if text is not None and len(text) > TEXT_BOUND else None,
        }


_Entry = tuple[str, int, str | None, Any]


def _entries(tags: Mapping[str, Any]) -> Iterator[_Entry]:
    pending: list[tuple[str, Any, int]] = [(clean(str(key)), value, 1) for key, value in reversed(list(tags.items()))]
    while pending:
        name, value, depth = pending.pop()
        if isinstance(value, Mapping):
            yield index_key(name), OBJECT, None, 0
            if depth < DEPTH_BOUND:
                pending.extend((f"{name}.{clean(str(key))}", inner, depth + 1) for key, inner in value.items())
        elif isinstance(value, (list, tuple, set, frozenset)):
            key = index_key(name)
            yield key, LIST, None, len(value)
            seen: set[tuple[Any, ...]] = set()
            for item in value:
                if isinstance(item, Mapping):
                    pending.append((name, item, depth + 1))
                elif not isinstance(item, (list, tuple, set, frozenset)):
                    entry = _scalar(key, item)
                    if entry[1:] not in seen:
                        seen.add(entry[1:])
                        yield entry
        else:
            yield _scalar(index_key(name), value)


def _scalar(key: str, value: Any) -> _Entry:
    value = storable(value)
    if value is None:
        return key, NULL, None, 0
    if isinstance(value, bool):
        return key, BOOLEAN, None, int(value)
    if isinstance(value, (int, float)):
        return key, NUMBER, None, value
    moment = instant(value)
    return (key, TEXT, value, None) if moment is None else (key, TIME, value, moment)
