"""Where a query loses its data: how many rows are left after each conjunct. Entry point: ``funnel``.

One statement counts every step, so that the counts belong to one moment and add up exactly.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, false, func, literal, not_, select, true, union_all

from shared.query.id_sets import MOST_LISTED, among, intersection, is_set
from shared.query.mapping import TableMapping
from shared.query.matcher import predicate
from shared.query.scan import scan
from shared.query.sql import Compiler, compile_sql, dialect_name, gathered
from shared.query.tree import Query


def funnel(
    conn: Connection,
    query: Query,
    mapping: TableMapping,
    base_where: ColumnElement[bool] | None = None,
    *,
    max_rows: int = 20_000,
    max_seconds: float = 2.0,
    base_rows: int | None = None,
    index_is_base: bool = False,
    but: Select[Any] | None = None,
) -> dict[str, Any]:
    """``{"base", "steps": [{"clause", "json", "remaining"}], "estimate"}``: the rows that remain after each conjunct.

    ``base`` counts the rows of ``base_where`` (or is ``base_rows``, where the caller keeps count); the last step
    counts the matches. The steps are in the query's order. ``index_is_base`` says that the tag index holds rows of the base
    alone, or with ``but`` of the base and of these ids, of which none is in the base. From the first conjunct that SQL cannot say
    onward, at most ``max_rows`` rows are looked at, for ``max_seconds``; when that is not all, these steps are scaled up and
    ``estimate`` is true.
    """
    base = true() if base_where is None else base_where
    clauses = query.clauses
    conditions = list(compile_sql(query, mapping, conn, driver=0).conditions)
    in_sql = next((at for at, condition in enumerate(conditions) if condition is None), len(conditions))
    said = [condition for condition in conditions[:in_sql] if condition is not None]
    counts = _count_sets(conn, query, mapping, base, said, base_rows, but) if index_is_base and base_rows is not None else None
    if counts is None:
        counts = _count(conn, mapping, base, said, base_rows)
    remaining, estimate = counts[1:], False
    if in_sql < len(clauses):
        tests = [predicate(clause.node) for clause in clauses[in_sql:]]
        left = and_(base, *(condition for condition in conditions[:in_sql] if condition is not None))
        more, estimate = _count_here(conn, mapping, left, tests, counts[-1], max_rows, max_seconds)
        remaining = remaining + more
    steps = [
        {"clause": clause.label, "json": clause.json, "remaining": count} for clause, count in zip(clauses, remaining)
    ]
    return {"base": counts[0], "steps": steps, "estimate": estimate}


def _count(conn: Connection, mapping: TableMapping, base: Any, conditions: list[Any], base_rows: int | None) -> list[int]:
    """The rows of ``base``, then those left after each condition; a row is counted where it first fails."""
    total = select(literal(-1).label("step"), func.count().label("rows")).select_from(mapping.table).where(base)
    if not conditions:
        return [base_rows] if base_rows is not None else [conn.execute(total).one().rows]
    fails = [(not_(func.coalesce(condition, false())), step) for step, condition in enumerate(conditions) if step]
    step = case(*fails, else_=len(conditions)) if fails else literal(1)
    failed = select(step.label("step"), mapping.key).where(base, conditions[0]).subquery()
    by_step = select(failed.c.step, func.count()).group_by(failed.c.step)
    counted = conn.execute(by_step if base_rows is not None else union_all(total, by_step))
    found = {at: rows for at, rows in counted}
    passed_first = sum(rows for at, rows in found.items() if at >= 1)
    # Where another statement counted the base, a commit may lie between the two.
    counts = [found.get(-1, 0) if base_rows is None else max(base_rows, passed_first)]
    # A row whose first failure is at step k passed the k conjuncts before it.
    for passed in range(1, len(conditions) + 1):
        counts.append(sum(rows for at, rows in found.items() if at >= passed))
    return counts


def _count_sets(conn: Connection, query: Query, mapping: TableMapping, base: Any, conditions: list[Any], base_rows: int,
                but: Select[Any] | None) -> list[int] | None:
    """As ``_count``, the leading conjuncts from the tag index alone; None where that is not the better way."""
    compiler = Compiler(mapping, dialect_name(conn))
    nodes = [gathered(node) for node in query.conjuncts[:len(conditions)]]
    leading = next((at for at, node in enumerate(nodes) if not is_set(compiler, node)), len(nodes))
    if compiler.dialect != "postgresql" or not leading:
        return None
    sets = [intersection(compiler, nodes[:at + 1]).subquery() for at in range(leading)]
    counted = conn.execute(select(*(_counted(found, but).scalar_subquery() for found in sets))).one()
    counts = [max(base_rows, counted[0]), *counted]
    if leading == len(nodes):
        return counts
    if counts[-1] == 0:
        return counts + [0] * (len(nodes) - leading)
    # The others are asked of the rows that are left.
    left = among(compiler, mapping.key, intersection(compiler, nodes[:leading]), counts[-1] <= MOST_LISTED)
    others = conditions[leading:]
    more = _count(conn, mapping, and_(base, left), others, counts[-1])
    return counts + [min(count, counts[-1]) for count in more[1:]]


def _counted(found: Any, but: Select[Any] | None) -> Select[Any]:
    counted = select(func.count(found.c.id.distinct()))
    if but is None:
        return counted
    left_out = but.subquery()
    return counted.where(not_(select(1).where(left_out.c[0] == found.c.id).exists()))


def _count_here(
    conn: Connection,
    mapping: TableMapping,
    where: Any,
    tests: list[Callable[[Mapping[str, Any]], bool]],
    total: int,
    max_rows: int,
    max_seconds: float,
) -> tuple[list[int], bool]:
    """The same in memory, over the documents of the rows that are left."""
    if mapping.document is None:
        raise ValueError("this mapping makes no documents, which a query with a residual needs")
    passed = [0] * len(tests)

    def count(document: Mapping[str, Any]) -> bool:
        for at, test in enumerate(tests):
            if not test(document):
                return False
            passed[at] += 1
        return True

    statement = select(*mapping.columns).select_from(mapping.table).where(where)
    found = scan(conn, statement, mapping.document, count, want=0, count_all=True, max_rows=max_rows, max_seconds=max_seconds)
    if not found.is_estimate or not found.examined:
        return passed, found.is_estimate
    return [round(count * total / found.examined) for count in passed], True


