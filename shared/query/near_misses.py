"""What misses a query by few of its conjuncts: counted by which, with the values that it misses by. One statement.

The rows of the rarest conjunct are asked about all the others; what is not among them misses that one, and must satisfy
the others but for ``depth`` - 1: so on, a conjunct at a time. Nothing else can miss by ``depth`` conjuncts at most, so a
query over a million rows looks at those of its rare conjuncts. Entry points: ``near_misses``, ``NearMisses``.
"""
from __future__ import annotations

import functools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger, ColumnElement, Connection, Select, Text, and_, case, cast, false, func, literal, not_, null, select, true, union_all,
)

from shared.kernel.ids import ALPHABET
from shared.query.cells import NotInSql
from shared.query.id_sets import Those, among, ids, intersection, is_set
from shared.query.loosening import Loosening
from shared.query.mapping import Plain, Ref, TableMapping
from shared.query.matcher import predicate
from shared.query.scan import scan
from shared.query.sql import Compiler, dialect_name, gathered
from shared.query.tag_index import ExactNumber
from shared.query.tree import Clause, Node, Query, conjunction
from shared.query.values import number

# As many conjuncts are told apart; further ones must hold.
MOST_CONJUNCTS = 20
# As many rows are asked about conjunct by conjunct; where the rarest conjunct has more, everything is counted in a sample of all rows.
MOST_ROWS = 20_000
_WORK_MEM = "64MB"


@dataclass(frozen=True)
class NearMisses:
    """``counts`` by the positions of the conjuncts missed (none: the matches); ``values`` by the position of a conjunct:
    ``{branch: [(text, number, rows)]}``, what its loosening asked for, of the rows that miss by it alone.

    ``estimated``: the positions of the conjuncts whose near misses were counted in a sample; None stands for the matches.
    """

    counts: Mapping[frozenset[int], int]
    values: Mapping[int, Mapping[str, list[tuple[Any, Any, int]]]]
    estimated: frozenset[int | None]


def near_misses(
    conn: Connection, query: Query, mapping: TableMapping, base: ColumnElement[bool], loosenings: Mapping[int, Loosening],
    depth: int, *, index_is_base: bool, base_rows: int | None, max_rows: int, max_seconds: float,
) -> NearMisses:
    """Count what misses ``query`` by at most ``depth`` conjuncts among the rows of ``base``.

    ``index_is_base`` says that the tag index holds rows of ``base`` alone, which saves looking at the rows. Where a
    conjunct is beyond SQL, at most ``max_rows`` rows are looked at, for ``max_seconds``, and no values are asked for.
    """
    asking = _Asking(conn, query, mapping, base, loosenings, index_is_base)
    if asking.beyond_sql:
        return _here(conn, mapping, asking, depth, max_rows, max_seconds)
    if len(asking.nodes) == 1 and asking.is_answered_by_index(loosenings):
        return asking.of_one(loosenings, base_rows)
    if asking.compiler.dialect == "postgresql":
        conn.exec_driver_sql(f"SET LOCAL work_mem = '{_WORK_MEM}'")
    found = asking.of_all(loosenings, depth)
    if asking.endings and not any(found.counts):
        # What is rare may not be in a sample.
        asking.endings = ()
        found = asking.of_all(loosenings, depth)
    return found


@functools.cache
def _endings() -> list[str]:
    """All endings of an id, mixed: ids that are made one after the other count up, and so do names and values, often."""
    found = [first + second for first in ALPHABET for second in ALPHABET]
    random.Random(0).shuffle(found)  # noqa: S311 - the same in every process, so that the same question has the same answer
    return found


def _up_to(probes: Sequence[Any]) -> list[Any]:
    """Count the rows of each, up to one more than are asked about one by one."""
    return [select(func.count()).select_from(probe.limit(MOST_ROWS + 1).subquery()).scalar_subquery() for probe in probes]


def _least(probes: Sequence[Any]) -> list[Any]:
    """Count the rows of the first, and of the others until they are more than those."""
    first = select(func.count().label("rows")).select_from(probes[0].subquery()).cte()
    more = select(first.c.rows + 1).scalar_subquery()
    return [select(first.c.rows).scalar_subquery(), *(
        select(func.count()).select_from(probe.limit(more).subquery()).scalar_subquery() for probe in probes[1:])]


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return number(int(value) if value == value.to_integral_value() else float(value))
    return value


class _Asking:
    """The conjuncts as conditions and as sets of ids, and the parts of the statement as they are found."""

    def __init__(self, conn: Connection, query: Query, mapping: TableMapping, base: ColumnElement[bool],
                 loosenings: Mapping[int, Loosening], index_is_base: bool) -> None:
        self.conn, self.mapping, self.base, self.index_is_base = conn, mapping, base, index_is_base
        self.compiler = Compiler(mapping, dialect_name(conn))
        self.nodes = [gathered(node) for node in query.conjuncts]
        self.told = min(len(self.nodes), MOST_CONJUNCTS)
        self.columns = {at: one.column for at, one in loosenings.items() if one.column is not None}
        self.conditions = [self._condition(node) for node in self.nodes]
        self.beyond_sql = any(condition is None for condition in self.conditions)
        self.parts: list[Select[Any]] = []
        self.counts = [] if self.beyond_sql else self._counted()
        self.endings = self._sample()

    def _sample(self) -> Sequence[str]:
        """The last two characters of the ids that are looked at; none where all are."""
        rarest = min((count for count in self.counts if count is not None), default=0)
        return _endings()[:max(1, len(_endings()) * MOST_ROWS // rarest)] if rarest > MOST_ROWS else ()

    def _in_sample(self, key: ColumnElement[Any]) -> ColumnElement[bool]:
        last = func.right(key, 2) if self.compiler.dialect == "postgresql" else func.substr(key, -2)
        return last.in_(self.endings)

    @property
    def _those(self) -> Those | None:
        return self._in_sample if self.endings else None

    def _condition(self, node: Node) -> ColumnElement[bool] | None:
        try:
            return self.compiler.condition(node)
        except NotInSql:
            return None

    def _counted(self) -> list[int | None]:
        """For each conjunct that an index answers how many rows it selects, exactly for the rarest; None for the others."""
        probes = {at: self._ids(at) for at in range(self.told) if self._is_indexed(at)}
        counts: list[int | None] = [None] * len(self.nodes)
        for bound in (_up_to, _least):
            # Only where all are many it matters how many.
            if probes and all(counts[at] is None or counts[at] > MOST_ROWS for at in probes):
                for at, count in zip(probes, self.conn.execute(select(*bound(list(probes.values())))).one()):
                    counts[at] = count
        return counts

    def _is_indexed(self, at: int) -> bool:
        node = self.nodes[at]
        if self._is_a_set(at):
            return True
        if not isinstance(node, Clause) or node.op not in ("$eq", "$in", "$gt", "$gte", "$lt", "$lte", "$prefix"):
            return False
        place = self.mapping.place(node.name.head)
        column = place.column if isinstance(place, Plain) else place.id if isinstance(place, Ref) else None
        return any(column is first for index in getattr(self.mapping.table, "indexes", ()) for first in list(index.columns)[:1])

    def _ids(self, at: int) -> Any:
        """The ids of the rows that satisfy a conjunct, some perhaps twice."""
        if self._is_a_set(at):
            return ids(self.compiler, self.nodes[at])
        return select(self.mapping.key.label("id")).where(self.base, self.conditions[at])

    def _is_a_set(self, at: int) -> bool:
        return is_set(self.compiler, self.nodes[at])

    def of_all(self, loosenings: Mapping[int, Loosening], depth: int) -> NearMisses:
        """What misses by at most ``depth`` conjuncts, in the sample if there is one."""
        self.parts = []
        self._find(list(range(self.told)), (), depth)
        near = union_all(*self.parts).cte("near").prefix_with("MATERIALIZED")
        selects = [select(literal(-1).label("at"), literal("count").label("branch"), cast(null(), Text).label("text"),
                          cast(near.c.pattern, ExactNumber()).label("number"), func.count().label("rows")).group_by(near.c.pattern)]
        for at, one in loosenings.items():
            value = near.c[f"v{at}"] if one.column is not None else None
            for branch, found in one.branches(near, value, lambda _, at=at: near.c.pattern == (1 << at), self.compiler.dialect):
                selects.append(select(literal(at), literal(branch), found.c.text, found.c.number, found.c.rows))
        return self._scaled(*self._read(selects))

    def _find(self, left: list[int], failed: tuple[int, ...], depth: int) -> None:
        """Add the parts for the rows that miss ``failed`` and at most ``depth`` of the conjuncts that are ``left``."""
        rest = list(range(self.told, len(self.nodes)))
        if depth == 0 or not left:
            self.parts.append(self._selected(left + rest, failed))
            return
        rarest = min(left, key=lambda at: (self.counts[at] is None, self.counts[at] or 0, at))
        self.parts.append(self._asked(rarest, [at for at in left if at != rarest], failed, rest, depth))
        self._find([at for at in left if at != rarest], (*failed, rarest), depth - 1)

    def _selected(self, held: Sequence[int], failed: Sequence[int]) -> Select[Any]:
        """The rows that satisfy all of ``held`` and miss each of ``failed``; from the tag index alone where that is enough."""
        sets = sorted((at for at in held if self._is_a_set(at)), key=lambda at: (self.counts[at] is None, self.counts[at] or 0))
        if self.endings:
            # The few of one that are in the sample are sooner asked about the others than found in each of them, which is to go through all.
            sets = sets[:1]
        pattern = sum(1 << at for at in failed)
        # What the tag index does not say, and the values of columns, are in the rows.
        need_rows = not self.index_is_base or len(sets) < len(held) or not sets or any(
            at in self.columns or not self._is_a_set(at) for at in failed)
        key = self.mapping.key
        if need_rows:
            found = [among(self.compiler, key, intersection(self.compiler, [self.nodes[at] for at in sets], self._those), True)] if sets else (
                [self._in_sample(key)] if self.endings else [])
            wheres = [self.base, *found, *(self.conditions[at] for at in held if at not in sets), *(self._misses(at, key) for at in failed)]
            return select(key.label("id"), self._pattern(pattern), *self._values(failed)).where(and_(true(), *wheres))
        first = intersection(self.compiler, [self.nodes[at] for at in sets], self._those).subquery()
        return select(first.c.id, self._pattern(pattern), *self._values(())).where(
            and_(true(), *(self._misses(at, first.c.id) for at in failed))).distinct()

    def _asked(self, drive: int, others: Sequence[int], failed: Sequence[int], rest: Sequence[int], depth: int) -> Select[Any]:
        """The rows of one conjunct, each asked about the ``others``, that miss at most ``depth`` of them and all of ``failed``."""
        if self._is_a_set(drive):
            driving = [among(self.compiler, self.mapping.key, ids(self.compiler, self.nodes[drive], self._those), True)]
        else:
            driving = [self.conditions[drive], *([self._in_sample(self.mapping.key)] if self.endings else ())]
        wheres = [self.base, *driving, *(self.conditions[at] for at in rest), *(self._misses(at, self.mapping.key) for at in failed)]
        bits = [case((self.conditions[at], 0), else_=1).label(f"b{at}") for at in others]
        asked = select(self.mapping.key.label("id"), *bits, *self._values((*others, drive))).where(and_(true(), *wheres))
        # Without the fence the planner asks each conjunct again wherever its bit is used.
        inner = (asked.limit(-1) if self.compiler.dialect == "sqlite" else asked.offset(literal(0))).subquery()
        missed = {at: inner.c[f"b{at}"] for at in others}
        pattern = sum((cast(bit, BigInteger) * (1 << at) for at, bit in missed.items()),
                      cast(literal(sum(1 << at for at in failed)), BigInteger))
        few = sum(missed.values(), literal(0)) <= depth
        return select(inner.c.id, pattern.label("pattern"), *(inner.c[f"v{at}"] for at in self.columns)).where(few)

    def is_answered_by_index(self, loosenings: Mapping[int, Loosening]) -> bool:
        """Whether all values that the only conjunct misses by are those under its name in the tag index."""
        return self.index_is_base and 0 in loosenings and self._is_a_set(0)

    def of_one(self, loosenings: Mapping[int, Loosening], base_rows: int | None) -> NearMisses:
        """A lone conjunct: everything else misses by it, so that only the values are asked for."""
        there = self._ids(0).subquery()
        counted = self.conn.execute(select(func.count(there.c.id.distinct()))).scalar_one()
        if base_rows is None:
            base_rows = self.conn.execute(select(func.count()).select_from(self.mapping.table).where(self.base)).scalar_one()
        selects = [select(literal(0), literal(branch), found.c.text, found.c.number, found.c.rows) for branch, found in
                   loosenings[0].branches(None, None, lambda key: self._misses(0, key) if counted else true(), self.compiler.dialect)]
        _, values = self._read(selects)
        return NearMisses({frozenset(): counted, frozenset({0}): max(base_rows - counted, 0)}, values, frozenset())

    def _read(self, selects: Sequence[Any]) -> tuple[dict[frozenset[int], int], dict[int, Any]]:
        """Run the statement: counts from its rows before the first conjunct, values from the others."""
        counts: dict[frozenset[int], int] = {}
        values: dict[int, dict[str, list[tuple[Any, Any, int]]]] = {}
        for at, branch, text, figure, rows in self.conn.execute(union_all(*selects)):
            if at < 0:
                counts[frozenset(bit for bit in range(self.told) if int(figure) >> bit & 1)] = rows
            else:
                values.setdefault(at, {}).setdefault(branch, []).append((text, _plain(figure), rows))
        return counts, values

    def _pattern(self, pattern: int) -> Any:
        return cast(literal(pattern), BigInteger).label("pattern")

    def _values(self, wanted: Sequence[int]) -> list[Any]:
        return [(column if at in wanted else cast(null(), column.type)).label(f"v{at}") for at, column in self.columns.items()]

    def _misses(self, at: int, key: Any) -> ColumnElement[bool]:
        if self._is_a_set(at):
            if self.counts[at] == 0:
                return true()
            there = self._ids(at).subquery()
            return not_(select(1).where(there.c.id == key).exists())
        return not_(func.coalesce(self.conditions[at], false()))

    def _scaled(self, counts: dict[frozenset[int], int], values: dict[int, Any]) -> NearMisses:
        """What was counted, scaled up where it was in a sample."""
        if not self.endings:
            return NearMisses(counts, values, frozenset())
        factor = len(_endings()) / len(self.endings)
        return NearMisses(
            {missed: round(rows * factor) for missed, rows in counts.items()},
            {at: {branch: [(text, figure, round(rows * factor)) for text, figure, rows in found] for branch, found in branches.items()}
             for at, branches in values.items()},
            frozenset({None, *range(self.told)}))


def _here(conn: Connection, mapping: TableMapping, asking: _Asking, depth: int, max_rows: int, max_seconds: float) -> NearMisses:
    """The same over the documents of the rows that SQL leaves: those that miss by at most ``depth`` of what it can say."""
    if mapping.document is None:
        raise ValueError("this mapping makes no documents, which a conjunct beyond SQL needs")
    tests = [predicate(node) for node in asking.nodes[:asking.told]]
    rest = predicate(conjunction(asking.nodes[asking.told:])) if asking.nodes[asking.told:] else None
    known = [case((condition, 0), else_=1) for condition in asking.conditions if condition is not None]
    where = and_(asking.base, sum(known[1:], known[0]) <= depth) if known else asking.base
    counts: dict[frozenset[int], int] = {}

    def look(document: Mapping[str, Any]) -> bool:
        missed = frozenset(at for at, test in enumerate(tests) if not test(document))
        if len(missed) <= depth and (rest is None or rest(document)):
            counts[missed] = counts.get(missed, 0) + 1
        return False

    statement = select(*mapping.columns).select_from(mapping.table).where(where)
    found = scan(conn, statement, mapping.document, look, want=0, count_all=True, max_rows=max_rows, max_seconds=max_seconds)
    if not found.is_estimate or not found.examined:
        return NearMisses(counts, {}, frozenset())
    total = conn.execute(select(func.count()).select_from(mapping.table).where(where)).scalar_one()
    counts = {missed: round(rows * total / found.examined) for missed, rows in counts.items()}
    return NearMisses(counts, {}, frozenset({None, *range(asking.told)}))
