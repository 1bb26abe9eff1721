"""Comparisons of one value in SQL, for each form in which a value is kept: a column, an index row, a JSON value."""
from __future__ import annotations

from typing import Any

from sqlalchemy import ARRAY, Boolean, ColumnElement, String, Text, and_, bindparam, case, cast, false, func, literal, or_
from sqlalchemy.sql import operators
from sqlalchemy.sql.expression import UnaryExpression

from shared.query import tag_index as tags
from shared.query.globs import glob_prefix, sql_like, sqlite_glob
from shared.query.shapes import Later
from shared.query.tag_index import ExactNumber, cut
from shared.query.values import after_prefix, instant, stamp_of

SQL_ORDER = {"$eq": operators.eq, "$gt": operators.gt, "$gte": operators.ge, "$lt": operators.lt, "$lte": operators.le}


class NotInSql(Exception):
    """SQL cannot say this with the same meaning; it is left to the matcher."""


def exact(value: int | float) -> ColumnElement[Any]:
    """A number as a parameter."""
    return literal(value, ExactNumber())


def in_code_points(column: ColumnElement[Any], dialect: str) -> ColumnElement[Any]:
    """The text, to be ordered by code point."""
    return column.collate("C") if dialect == "postgresql" else column


def like(column: ColumnElement[Any], pattern: str, dialect: str) -> ColumnElement[bool]:
    """``column`` matches the glob; upper and lower case differ in both databases."""
    if dialect == "postgresql":
        return column.like(sql_like(pattern), escape="\\")
    return column.op("GLOB", return_type=Boolean())(sqlite_glob(pattern))


def prefix(column: ColumnElement[Any], text: str, dialect: str) -> ColumnElement[bool]:
    """``column`` begins with ``text``, written as a range that an index answers."""
    column = in_code_points(column, dialect)
    end = after_prefix(text)
    return and_(column >= text, column < end) if end is not None else column >= text


class Cell:
    """One value. Each method is a condition that is true, false or NULL (which counts as false)."""

    def null(self) -> ColumnElement[bool]:
        raise NotInSql

    def boolean(self, value: bool) -> ColumnElement[bool]:
        raise NotInSql

    def number(self, op: str, value: Any) -> ColumnElement[bool]:
        raise NotInSql

    def numbers(self, values: list[Any]) -> ColumnElement[bool]:
        raise NotInSql

    def text(self, op: str, value: str) -> ColumnElement[bool]:
        """A text that is no date."""
        raise NotInSql

    def texts(self, values: list[str]) -> ColumnElement[bool]:
        raise NotInSql

    def time(self, op: str, value: str) -> ColumnElement[bool]:
        """A date as text, to be compared as an instant."""
        raise NotInSql

    def times(self, values: list[str]) -> ColumnElement[bool]:
        raise NotInSql

    def prefix(self, value: str) -> ColumnElement[bool]:
        raise NotInSql

    def like(self, value: str) -> ColumnElement[bool]:
        raise NotInSql

    def size(self, value: int) -> ColumnElement[bool]:
        raise NotInSql

    def later(self, value: Later) -> ColumnElement[bool]:
        """Equal to a text that is handed over when the statement runs."""
        raise NotInSql

    def conditions(self, op: str, value: Any) -> list[ColumnElement[bool]]:
        """The alternatives of which one must hold; each is answered by one index where there is one."""
        if op == "$in":
            return self._among(value)
        if op == "$prefix":
            return [self.prefix(value)]
        if op == "$like":
            return [self.like(value)]
        if op == "$size":
            return [self.size(value)]
        if op not in SQL_ORDER:
            raise NotInSql
        if isinstance(value, Later):
            return [self.later(value)]
        if value is None:
            return [self.null()]
        if isinstance(value, bool):
            return [self.boolean(value)]
        if isinstance(value, (int, float)):
            return [self.number(op, value)]
        return [self.time(op, value) if self.is_date(value) else self.text(op, value)]

    def is_date(self, value: str) -> bool:
        return instant(value) is not None

    def _among(self, values: tuple[Any, ...]) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        texts = [value for value in values if isinstance(value, str) and not self.is_date(value)]
        dates = [value for value in values if isinstance(value, str) and self.is_date(value)]
        numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
        if texts:
            found.append(self.texts(texts))
        if numbers:
            found.append(self.numbers(numbers))
        if dates:
            found.append(self.times(dates))
        found.extend(self.boolean(value) for value in {value for value in values if isinstance(value, bool)})
        if any(value is None for value in values):
            found.append(self.null())
        return found or [false()]


class ColumnCell(Cell):
    """A column of a closed kind; what its kind can never equal was refused when the query was parsed."""

    def __init__(self, column: ColumnElement[Any], kind: str, dialect: str) -> None:
        self.column, self.kind, self.dialect = column, kind, dialect

    def null(self) -> ColumnElement[bool]:
        return self.column.is_(None)

    def boolean(self, value: bool) -> ColumnElement[bool]:
        return self.column.is_(value)

    def number(self, op: str, value: Any) -> ColumnElement[bool]:
        return SQL_ORDER[op](self.column, exact(value))

    def numbers(self, values: list[Any]) -> ColumnElement[bool]:
        return self.column.in_([exact(value) for value in values])

    def text(self, op: str, value: str) -> ColumnElement[bool]:
        # Equality is the same in every collation, and an ordinary index answers it.
        column = self.column if op == "$eq" else in_code_points(self.column, self.dialect)
        return SQL_ORDER[op](column, value)

    def texts(self, values: list[str]) -> ColumnElement[bool]:
        return self.column.in_(values)

    def time(self, op: str, value: str) -> ColumnElement[bool]:
        return self.text(op, stamp_of(instant(value) or 0))

    def times(self, values: list[str]) -> ColumnElement[bool]:
        return self.column.in_([stamp_of(instant(value) or 0) for value in values])

    def prefix(self, value: str) -> ColumnElement[bool]:
        return prefix(self.column, value, self.dialect)

    def like(self, value: str) -> ColumnElement[bool]:
        return like(self.column, value, self.dialect)

    def is_date(self, value: str) -> bool:
        return self.kind == "time"


class TagCell(Cell):
    """A row of the tag index. ``aside`` keeps SQLite from walking the whole range when one Data is asked about."""

    def __init__(self, index: Any, dialect: str, aside: bool) -> None:
        self.index, self.dialect = index, dialect
        hide = aside and dialect == "sqlite"
        self._text = _hidden(index.c.text) if hide else index.c.text
        self._number = _hidden(index.c.number) if hide else index.c.number
        self._kind = _hidden(index.c.kind) if hide else index.c.kind

    def _is(self, kind: int) -> ColumnElement[bool]:
        return self._kind == kind

    def null(self) -> ColumnElement[bool]:
        return self._is(tags.NULL)

    def boolean(self, value: bool) -> ColumnElement[bool]:
        return and_(self._is(tags.BOOLEAN), self._number == exact(int(value)))

    def number(self, op: str, value: Any) -> ColumnElement[bool]:
        return and_(self._is(tags.NUMBER), SQL_ORDER[op](self._number, exact(value)))

    def numbers(self, values: list[Any]) -> ColumnElement[bool]:
        return and_(self._is(tags.NUMBER), self._number.in_([exact(value) for value in values]))

    def text(self, op: str, value: str) -> ColumnElement[bool]:
        at = cut(value)
        if at == value:
            return SQL_ORDER[op](self._text, value)
        # The indexed part decides unless it is the same; then the whole text does.
        same = and_(self._text == at, SQL_ORDER[op](self.index.c.long, value))
        if op == "$eq":
            return same
        strict = SQL_ORDER["$gt" if op in ("$gt", "$gte") else "$lt"]
        return or_(strict(self._text, at), same)

    def later(self, value: Later) -> ColumnElement[bool]:
        return self._text == bindparam(value.name)

    def texts(self, values: list[str]) -> ColumnElement[bool]:
        short = [value for value in values if cut(value) == value]
        long = [value for value in values if cut(value) != value]
        if not long:
            return self._text.in_(short)
        found = and_(self._text.in_([cut(value) for value in long]), self.index.c.long.in_(long))
        return or_(self._text.in_(short), found) if short else found

    def time(self, op: str, value: str) -> ColumnElement[bool]:
        return and_(self._is(tags.TIME), SQL_ORDER[op](self._number, exact(instant(value) or 0)))

    def times(self, values: list[str]) -> ColumnElement[bool]:
        return and_(self._is(tags.TIME), self._number.in_([exact(instant(value) or 0) for value in values]))

    def prefix(self, value: str) -> ColumnElement[bool]:
        if len(value) <= tags.TEXT_BOUND:
            end = after_prefix(value)
            return and_(self._text >= value, self._text < end) if end is not None else self._text >= value
        return and_(self._text == cut(value), func.substr(self.index.c.long, 1, len(value)) == value)

    def like(self, value: str) -> ColumnElement[bool]:
        whole = func.coalesce(self.index.c.long, self.index.c.text, type_=String())
        matched = like(whole, value, self.dialect)
        head = glob_prefix(value)[:tags.TEXT_BOUND]
        return and_(self.prefix(head), matched) if head else and_(self._text.is_not(None), matched)

    def size(self, value: int) -> ColumnElement[bool]:
        return and_(self._is(tags.LIST), self._number == exact(value))


def _hidden(column: ColumnElement[Any]) -> ColumnElement[Any]:
    # A unary plus means "no index on this" to SQLite.
    return UnaryExpression(column, operator=operators.custom_op("+"), type_=column.type)


class SqliteJsonCell(Cell):
    """A value that json_each gave: its type, and the value where it is a scalar."""

    def __init__(self, kind: ColumnElement[Any], atom: ColumnElement[Any]) -> None:
        self.kind, self.atom = kind, atom

    def null(self) -> ColumnElement[bool]:
        return self.kind == "null"

    def boolean(self, value: bool) -> ColumnElement[bool]:
        return self.kind == ("true" if value else "false")

    def number(self, op: str, value: Any) -> ColumnElement[bool]:
        return and_(self.kind.in_(["integer", "real"]), SQL_ORDER[op](self.atom, exact(value)))

    def numbers(self, values: list[Any]) -> ColumnElement[bool]:
        return and_(self.kind.in_(["integer", "real"]), self.atom.in_([exact(value) for value in values]))

    def text(self, op: str, value: str) -> ColumnElement[bool]:
        return and_(self.kind == "text", SQL_ORDER[op](self.atom, literal(value, String())))

    def texts(self, values: list[str]) -> ColumnElement[bool]:
        return and_(self.kind == "text", self.atom.in_([literal(value, String()) for value in values]))

    def prefix(self, value: str) -> ColumnElement[bool]:
        return and_(self.kind == "text", prefix(self.atom, value, "sqlite"))

    def like(self, value: str) -> ColumnElement[bool]:
        return and_(self.kind == "text", like(self.atom, value, "sqlite"))


class PostgresJsonCell(Cell):
    """A jsonb value. CASE keeps a cast from meeting a value of another type."""

    def __init__(self, value: ColumnElement[Any]) -> None:
        self.value = value
        self.kind = func.jsonb_typeof(value)
        # Without a path it is the value itself, unquoted.
        self._plain = value.op("#>>", return_type=String())(cast(literal("{}", String()), ARRAY(Text())))

    def _when(self, kind: str, condition: ColumnElement[bool]) -> ColumnElement[bool]:
        return case((self.kind == kind, condition), else_=false())

    def null(self) -> ColumnElement[bool]:
        return self.kind == "null"

    def boolean(self, value: bool) -> ColumnElement[bool]:
        return and_(self.kind == "boolean", self._plain == ("true" if value else "false"))

    def number(self, op: str, value: Any) -> ColumnElement[bool]:
        return self._when("number", SQL_ORDER[op](cast(self._plain, ExactNumber()), exact(value)))

    def numbers(self, values: list[Any]) -> ColumnElement[bool]:
        return self._when("number", cast(self._plain, ExactNumber()).in_([exact(value) for value in values]))

    def text(self, op: str, value: str) -> ColumnElement[bool]:
        return and_(self.kind == "string", SQL_ORDER[op](in_code_points(self._plain, "postgresql"), value))

    def texts(self, values: list[str]) -> ColumnElement[bool]:
        return and_(self.kind == "string", self._plain.in_(values))

    def prefix(self, value: str) -> ColumnElement[bool]:
        return and_(self.kind == "string", prefix(self._plain, value, "postgresql"))

    def like(self, value: str) -> ColumnElement[bool]:
        return and_(self.kind == "string", like(self._plain, value, "postgresql"))
