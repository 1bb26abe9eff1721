"""For statements that run with every call: made once (by ``functools.cache``), whatever they are asked about.

An ``in_`` of values is made, keyed and expanded anew each time, which takes longer than a small statement itself.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Boolean, Result, Text, bindparam
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

from shared.storage.record import Row


class _Words(TypeDecorator[Sequence[str]]):
    """Several words as one parameter: an array, or its JSON where the database has none."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        return dialect.type_descriptor(ARRAY(Text()) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return list(value) if dialect.name == "postgresql" else orjson.dumps(list(value)).decode()


class _Among(FunctionElement[bool]):
    type = Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:
        # Where a database has no type for truths, SQLAlchemy compares a function that gives one with 1; of what is compared SQLite uses no index.
        return self


@compiles(_Among, "postgresql")
def _array(element: _Among, compiler: Any, **options: Any) -> str:
    column, words = element.clauses
    return f"{compiler.process(column, **options)} = ANY ({compiler.process(words, **options)})"


@compiles(_Among)
def _json(element: _Among, compiler: Any, **options: Any) -> str:
    column, words = element.clauses
    return f"{compiler.process(column, **options)} IN (SELECT value FROM json_each({compiler.process(words, **options)}))"


def among(column: Any, parameter: str) -> _Among:
    """That a column of text is one of the words in the parameter of this name, which is a list or a set."""
    return _Among(column, bindparam(parameter, type_=_Words()))


def rows_in(result: Result[Any]) -> list[Row]:
    """All rows of an answer, by the names of their columns."""
    names = tuple(result.keys())
    return [dict(zip(names, row, strict=True)) for row in result.all()]
