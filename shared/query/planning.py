"""Which conjunct of a query drives: the one that selects the fewest rows of the tag index, counted before the query is compiled.

Entry points: ``plan``, and ``Probes`` for what a statement before it can ask in its place. Which conjunct drives is decided here alone.
"""
from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, Connection, Engine, Select, func, select

from shared.query.mapping import TableMapping
from shared.query.shapes import MOST_TEXT, SHAPES, Shape, shape_of
from shared.query.sql import Compiled, Compiler, compile_shape, compile_sql, conjuncts, dialect_name
from shared.query.tree import Node, Query

PROBE_ROWS = 1000
# How many rows the conjuncts of a query select is remembered for so long, of so many queries of a database.
REMEMBERED_S = 5.0
REMEMBERED = 500
# So many queries are counted in one statement.
MOST_PROBES = 20
_remembered: WeakKeyDictionary[Engine, dict[tuple[str, str], tuple[float, list[int | None]]]] = WeakKeyDictionary()


def plan(conn: Connection, query: Query, mapping: TableMapping) -> Compiled:
    """As ``compile_sql``, driven by the conjunct with the fewest index rows. One small statement at most, and none where the same was asked
    a moment ago, as by ``Probes`` or for the next page: which conjunct drives changes what a query costs, never what it finds."""
    counts = _known(conn, query, mapping)
    if counts is None:
        counts = selectivities(conn, query, mapping)
        _remember(conn.engine, query, mapping, counts)
    known = [(count, at) for at, count in enumerate(counts) if count is not None]
    best = min(known)[1] if known and min(known)[0] < PROBE_ROWS else None
    if len(query.text) > MOST_TEXT:
        return compile_sql(query, mapping, conn, driver=best, few=best is not None)
    nodes = conjuncts(query)
    shape, values = shape_of(nodes)
    return replace(compile_shape(nodes, shape, mapping, dialect_name(conn), best, best is not None), values=values)


def selectivities(conn: Connection, query: Query, mapping: TableMapping, bound: int = PROBE_ROWS) -> list[int | None]:
    """For each conjunct how many index rows it selects, counted up to ``bound``; None where no index drives it.

    A lone candidate drives anyway: where the count decides nothing else (SQLite) it is given as 0.
    """
    nodes = conjuncts(query)
    if len(query.text) > MOST_TEXT:
        counting, values = _counting(nodes, mapping, dialect_name(conn), bound), {}
    else:
        shape, values = shape_of(nodes)
        counting = _counting_of(shape, mapping, dialect_name(conn), bound)
    return counting.counts(conn.execute(counting.statement, values).one() if counting.columns else ())


class Probes:
    """Columns of any statement that ask before ``plan`` what it would ask: it remembers what they are ``told``. ``values`` are the parameters
    that the statement runs with. The same columns for queries of the same shapes.
    """

    def __init__(self, conn: Connection, queries: Sequence[Query], mapping: TableMapping) -> None:
        self._engine, self._mapping = conn.engine, mapping
        self._asked: list[tuple[Query, _Counting]] = []
        self.values: dict[str, Any] = {}
        for query in dict.fromkeys(queries):
            if len(self._asked) == MOST_PROBES or len(query.text) > MOST_TEXT or _known(conn, query, mapping) is not None:
                continue
            shape, values = shape_of(conjuncts(query), f"q{len(self._asked)}_")
            counting = _counting_of(shape, mapping, dialect_name(conn), PROBE_ROWS)
            if counting.columns:
                self._asked.append((query, counting))
                self.values.update(values)

    @property
    def columns(self) -> tuple[ColumnElement[int], ...]:
        return tuple(column for _, counting in self._asked for column in counting.columns)

    def told(self, answer: Sequence[int]) -> None:
        """Remember what the columns counted."""
        for query, counting in self._asked:
            _remember(self._engine, query, self._mapping, counting.counts(answer[:len(counting.columns)]))
            answer = answer[len(counting.columns):]


def _known(conn: Connection, query: Query, mapping: TableMapping) -> list[int | None] | None:
    until, counts = _remembered.get(conn.engine, {}).get((mapping.table.name, query.text), (0.0, []))
    return counts if until >= time.monotonic() and len(counts) == len(query.conjuncts) else None


def _remember(engine: Engine, query: Query, mapping: TableMapping, counts: list[int | None]) -> None:
    remembered = _remembered.setdefault(engine, {})
    while len(remembered) >= REMEMBERED:
        # Another thread may be as far.
        remembered.pop(next(iter(remembered)), None)
    remembered[mapping.table.name, query.text] = (time.monotonic() + REMEMBERED_S, counts)


class _Counting:
    """The columns that count which index rows each conjunct selects, and which conjunct each is about."""

    def __init__(self, probes: Mapping[int, Any], conjuncts: int, needless: bool, bound: int) -> None:
        self._drivers, self._conjuncts = tuple(probes), conjuncts
        self.columns = () if needless else tuple(
            select(func.count()).select_from(probe.limit(bound).subquery()).scalar_subquery() for probe in probes.values())

    @functools.cached_property
    def statement(self) -> Select[Any]:
        return select(*self.columns)

    def counts(self, answer: Sequence[int]) -> list[int | None]:
        """For each conjunct what was counted, of the answer to the columns."""
        counts: list[int | None] = [None] * self._conjuncts
        for at, count in zip(self._drivers, answer if self.columns else [0] * len(self._drivers)):
            counts[at] = count
        return counts


def _counting(nodes: Sequence[Node], mapping: TableMapping, dialect: str, bound: int) -> _Counting:
    compiler = Compiler(mapping, dialect)
    probes = {at: compiler.owners(node) for at, node in enumerate(nodes) if compiler.rank(node) is not None}
    return _Counting(probes, len(nodes), not probes or len(probes) == 1 and dialect == "sqlite", bound)


@functools.lru_cache(SHAPES)
def _counting_of(shape: Shape, mapping: TableMapping, dialect: str, bound: int) -> _Counting:
    return _counting(shape.nodes, mapping, dialect, bound)
