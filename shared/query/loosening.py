"""How one comparison can be loosened so that it holds for what misses it narrowly: which values to ask for, and what to make of them.

An order's bound moves to the nearest value that exists, an equality takes in the nearest one, a prefix is shortened, a
pattern loses an end. Knows the forms of a clause; counts nothing itself. Entry points: ``loosening_of``, ``Loosening``.
"""
from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, String, Text, case, cast, distinct, func, literal, null, select, true

from shared.query import tag_index as tags
from shared.query.cells import in_code_points, like
from shared.query.mapping import Plain, Ref, TableMapping, Tags
from shared.query.tag_index import ExactNumber, index_key
from shared.query.tree import Clause, Node
from shared.query.values import glob_pieces, instant, stamp_of

# How far values are looked at: steps of an order, different texts, neighbours of a text, operands of a list, lengths of a prefix.
STEPS, TEXTS, NEIGHBOURS, OPERANDS, LENGTHS = 200, 200, 20, 4, 40
# A text less alike than this is not what was meant.
ALIKE = 0.5

_Found = Mapping[str, Sequence[tuple[Any, Any, int]]]


@dataclass(frozen=True)
class Loosened:
    """The comparison that takes the place of the old one, how many more rows it holds for, and whether nearer values may
    exist beyond those looked at."""

    clause: Clause
    rows: int
    bounded: bool = False


@dataclass(frozen=True)
class Loosening:
    """One clause and where its values are: ``column`` of the row itself, or the tag index."""

    clause: Clause
    kind: str
    column: ColumnElement[Any] | None
    tags: Tags | None

    def branches(self, near: Any, value: ColumnElement[Any] | None, here: Callable[[Any], ColumnElement[bool]],
                 dialect: str) -> Iterator[tuple[str, Any]]:
        """``(name, subquery of text, number, rows)`` over the rows of ``near`` that are ``here``; ``value`` is their column.

        Without ``near`` it is all that the tag index holds under the name. ``here`` takes the column with the ids.
        """
        source, key, value, wheres = self._values(near, value, here, dialect)
        op, operand = self.clause.op, self.clause.value
        if op in ("$gt", "$gte", "$lt", "$lte"):
            falls = op in ("$gt", "$gte")
            each = select(key, (func.max(value) if falls else func.min(value)).label("best")).select_from(source).where(
                *wheres).group_by(key).subquery()
            best = in_code_points(each.c.best, dialect) if self._is_text else each.c.best
            yield "order", self._shape(each.c.best, func.count()).where(each.c.best.is_not(None)).group_by(each.c.best).order_by(
                best.desc() if falls else best.asc()).limit(STEPS).subquery()
        elif op == "$prefix":
            least = max(1, len(operand) - LENGTHS)
            alike = case(*((func.substr(value, 1, length) == operand[:length], length)
                           for length in range(len(operand) - 1, least - 1, -1)), else_=0)
            each = select(key, func.max(alike).label("best")).select_from(source).where(*wheres).group_by(key).subquery()
            grouped = select(cast(null(), Text).label("text"), cast(each.c.best, ExactNumber()).label("number"), func.count().label("rows"))
            yield "length", grouped.where(each.c.best > 0).group_by(each.c.best).order_by(each.c.best.desc()).limit(STEPS).subquery()
        elif op == "$like":
            for place, pattern in enumerate(wider_patterns(operand)):
                yield f"like{place}", select(
                    cast(null(), Text).label("text"), cast(literal(place), ExactNumber()).label("number"),
                    func.count(distinct(key)).label("rows")).select_from(source).where(*wheres, like(value, pattern, dialect)).subquery()
        else:
            yield from self._around(key, source, value, wheres, dialect)

    def _around(self, key: Any, source: Any, value: Any, wheres: list[Any], dialect: str) -> Iterator[tuple[str, Any]]:
        # Once for each row and value, in the order of the index; a distinct count would sort them all.
        once = select(value.label("best"), key).select_from(source).where(*wheres).group_by(value, key).subquery()
        each = select(once.c.best, func.count().label("rows")).group_by(once.c.best).cte().prefix_with("MATERIALIZED")
        best = in_code_points(each.c.best, dialect) if self._is_text else each.c.best
        limit = NEIGHBOURS if self.kind == "text" else 1
        if self.kind == "text":
            yield "often", self._listed(each, best, true(), (each.c.rows.desc(), best.asc()), TEXTS + 1)
        for place, operand in enumerate(self._operands()):
            edge = self._edge(operand)
            yield f"below{place}", self._listed(each, best, best < edge, (best.desc(),), limit)
            yield f"above{place}", self._listed(each, best, best > edge, (best.asc(),), limit)

    def _listed(self, each: Any, best: Any, where: Any, order: tuple[Any, ...], limit: int) -> Any:
        return self._shape(each.c.best, each.c.rows).select_from(each).where(where).order_by(*order).limit(limit).subquery()

    def _shape(self, value: Any, rows: Any) -> Any:
        text, number = (value, cast(null(), ExactNumber())) if self._is_text else (cast(null(), Text), value)
        return select(cast(text, Text).label("text"), cast(number, ExactNumber()).label("number"), rows.label("rows"))

    @property
    def _is_text(self) -> bool:
        """Whether the value is held as text: times are, in columns."""
        return self.kind == "text" or self.kind == "time" and self.tags is None

    def _values(self, near: Any, value: Any, here: Any, dialect: str) -> tuple[Any, Any, Any, list[Any]]:
        if self.tags is None:
            return near, near.c.id, in_code_points(value, dialect) if self._is_text else value, [here(near.c.id), value.is_not(None)]
        index = self.tags.index.alias()
        key = index.c.data_id if near is None else near.c.id
        source = index if near is None else near.join(index, index.c.data_id == near.c.id)
        wheres = [here(key), index.c.key == index_key(self.clause.name.key)]
        if self.kind == "text":
            # Dates are among them, told apart where a value is chosen: the kind is not in the index of texts.
            wheres.append(index.c.text.is_not(None))
            # A long text is whole in the row alone; cut, it is in order all the same, and the index answers.
            text = func.coalesce(index.c.long, index.c.text, type_=String()) if self.clause.op == "$like" else index.c.text
            return source, key, text, wheres
        wheres.append(index.c.kind == (tags.NUMBER if self.kind == "number" else tags.TIME))
        return source, key, index.c.number, wheres

    def _operands(self) -> list[Any]:
        values = self.clause.value if self.clause.op == "$in" else (self.clause.value,)
        return [value for value in values if _kind(self.clause, value) == self.kind][:OPERANDS]

    def _edge(self, operand: Any) -> Any:
        if self.kind == "time":
            moment = instant(operand) or 0
            return stamp_of(moment) if self.tags is None else literal(moment, ExactNumber())
        return literal(operand, ExactNumber()) if self.kind == "number" else literal(operand, String())

    # -- what to make of the values -------------------------------------------------------------------------------

    def choose(self, found: _Found, matches: int, wanted: int) -> Loosened | None:
        """The least change with which at least one more row, and where the values reach so far ``wanted``, would match."""
        op = self.clause.op
        if op in ("$gt", "$gte", "$lt", "$lte"):
            return self._moved(found.get("order", ()), matches, wanted)
        if op == "$prefix":
            return self._shortened(found.get("length", ()), matches, wanted)
        if op == "$like":
            counted = [(rows, place) for place, pattern in enumerate(wider_patterns(self.clause.value))
                       for _, _, rows in found.get(f"like{place}", ()) if rows]
            if not counted:
                return None
            # The narrower pattern of the two changes less.
            rows, place = min(counted)
            return Loosened(_pattern(self.clause, wider_patterns(self.clause.value)[place]), rows)
        return self._taken_in(found, matches)

    def _moved(self, steps: Sequence[tuple[Any, Any, int]], matches: int, wanted: int) -> Loosened | None:
        rows, value = 0, None
        for text, number, count in steps:
            rows, value = rows + count, self._operand(text, number)
            if matches + rows >= wanted:
                break
        if value is None or self._cannot_be_written(value):
            return None
        return Loosened(Clause(self.clause.name, "$gte" if self.clause.op in ("$gt", "$gte") else "$lte", value), rows,
                        matches + rows < wanted and len(steps) == STEPS)

    def _shortened(self, steps: Sequence[tuple[Any, Any, int]], matches: int, wanted: int) -> Loosened | None:
        rows, length = 0, 0
        for _, number, count in steps:
            rows, length = rows + count, int(number)
            if matches + rows >= wanted:
                break
        return Loosened(Clause(self.clause.name, "$prefix", self.clause.value[:length]), rows) if length else None

    def _taken_in(self, found: _Found, matches: int) -> Loosened | None:
        known = {value: rows for steps in found.values() for text, number, rows in steps
                 if not self._cannot_be_written(value := self._operand(text, number))}
        operands = self._operands()
        best = None
        for value, rows in known.items():
            distance = min((self._distance(value, operand) for operand in operands), default=None)
            if distance is not None and (best is None or (distance, -rows, value) < best):
                best = (distance, -rows, value)
        if best is None or self.kind == "text" and best[0] > 1 - ALIKE:
            return None
        bounded = len(found.get("often", ())) > TEXTS
        old = self.clause.value if self.clause.op == "$in" else (self.clause.value,)
        # What nothing is equal to may as well be left out.
        clause = Clause(self.clause.name, "$eq", best[2]) if not matches else Clause(self.clause.name, "$in", (*old, best[2]))
        return Loosened(clause, -best[1], bounded)

    def _operand(self, text: Any, number: Any) -> Any:
        if self.kind == "time":
            return time_text((instant(text) or 0) if self.tags is None else int(number))
        return text if self.kind == "text" else number

    def _distance(self, value: Any, operand: Any) -> float:
        if self.kind == "number":
            return abs(value - operand)
        if self.kind == "time":
            return abs((instant(value) or 0) - (instant(operand) or 0))
        return 1 - difflib.SequenceMatcher(None, operand.casefold(), value.casefold(), False).ratio()

    def _cannot_be_written(self, value: Any) -> bool:
        """A text that would be read as a date, or of which only the beginning is known."""
        return self.kind == "text" and self.clause.name.is_open and (instant(value) is not None or len(value) > tags.TEXT_BOUND)


def loosening_of(node: Node, mapping: TableMapping) -> Loosening | None:
    """How a conjunct can be loosened; None where it can only be left out."""
    if not isinstance(node, Clause) or node.name.base:
        return None
    if node.op not in ("$eq", "$in", "$gt", "$gte", "$lt", "$lte", "$prefix", "$like"):
        return None
    if node.op == "$prefix" and not 1 < len(node.value) <= tags.TEXT_BOUND or node.op == "$like" and not wider_patterns(node.value):
        return None
    kinds = {_kind(node, value) for value in (node.value if node.op == "$in" else (node.value,))} - {None}
    if len(kinds) != 1:
        return None
    kind, = kinds
    if node.name.kind == "tag":
        return Loosening(node, kind, None, mapping.tags) if mapping.tags is not None else None
    place = mapping.place(node.name.head)
    if node.name.below:
        return None
    if isinstance(place, Plain):
        return Loosening(node, kind, place.column, None)
    if isinstance(place, Ref) and place.name is not None:
        return Loosening(node, kind, place.name, None)
    return None


def _kind(clause: Clause, value: Any) -> str | None:
    """``number``, ``time`` or ``text``: as what an operand is compared; None where it has no neighbours."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        return "number"
    if clause.op in ("$prefix", "$like"):
        return "text"
    name = clause.name
    as_time = name.kind == "time" if not name.is_open else instant(value) is not None
    return "time" if as_time else "text"


def time_text(moment: int) -> str:
    """An instant as people write it: the date alone at midnight, no zeros after the seconds."""
    stamp = stamp_of(moment)
    if stamp.endswith("T00:00:00.000000Z"):
        return stamp[:10]
    return stamp.replace(".000000Z", "Z")


def wider_patterns(pattern: str) -> list[str]:
    """The pattern without its last literal end, and without its first one; none where nothing literal would be left."""
    pieces = glob_pieces(pattern)
    if len(pieces) == 1:
        return [_written([pieces[0], []])] if pieces[0] else []
    found = []
    for cut in ([*pieces[:-1], []], [[], *pieces[1:]]):
        if cut != pieces and any(cut):
            found.append(_written(cut))
    return found


def _written(pieces: Sequence[Sequence[str | None]]) -> str:
    return "*".join("".join("?" if char is None else f"\\{char}" if char in "\\*?%" else char for char in piece) for piece in pieces)


def _pattern(clause: Clause, pattern: str) -> Clause:
    pieces = glob_pieces(pattern)
    if len(pieces) == 2 and not pieces[1] and None not in pieces[0]:
        return Clause(clause.name, "$prefix", "".join(char for char in pieces[0] if char is not None))
    return Clause(clause.name, "$like", pattern)
