"""Compiles a query to SQL for SQLite and PostgreSQL, with the meaning that the matcher has.

Entry points: ``compile_sql`` (no database needed), ``Compiled``. ``shared.query.planning`` asks which conjunct is the rarest.

What SQL cannot say with the same meaning is left over as ``residual``, a predicate over documents, to be run over
what the other conjuncts leave; ``scan`` does that within bounds. It is left over conjunct by conjunct: one that
holds a ``$regex``, a date compared inside a JSON column, or a field that the mapping does not place.
"""
from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ColumnElement, Text, and_, any_, cast, exists, false, func, not_, or_, select, true, type_coerce, union_all,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.query.cells import ColumnCell, NotInSql, TagCell
from shared.query.json_values import json_condition, json_cost
from shared.query.mapping import Json, Place, Plain, Refs, RefVia, TableMapping
from shared.query.matcher import predicate
from shared.query.shapes import SHAPES, Shape
from shared.query.tag_index import index_key
from shared.query.tree import And, Clause, Node, Not, Or, Query, conjunction, disjunction

# What a statement may hold before the databases' own limits (terms, variables, length) come near.
MOST_DRIVING_TERMS = 400
MOST_JSON_COST = 100
_RANK = {"$eq": 0, "$all": 0, "$in": 1, "$prefix": 2, "$like": 3, "$gt": 4, "$gte": 4, "$lt": 4, "$lte": 4, "$size": 5, "$exists": 6}


@dataclass(frozen=True)
class Compiled:
    """``where`` selects a superset of the matches, exactly the matches when ``residual`` is None.

    ``residual`` takes a document as on the wire. ``conditions`` are the conjuncts in the query's order, None for
    those in ``residual``. ``values`` are the parameters that the statement runs with. ``lasts`` says that ``where`` is one object
    for all queries of this shape, by which statements can be kept.
    """

    where: ColumnElement[bool]
    residual: Callable[[Mapping[str, Any]], bool] | None
    conditions: tuple[ColumnElement[bool] | None, ...]
    values: Mapping[str, Any] = field(default_factory=dict)
    lasts: bool = False


def dialect_name(dialect: Any) -> str:
    """``sqlite`` or ``postgresql``, of a name, a dialect, an engine or a connection."""
    name = dialect if isinstance(dialect, str) else getattr(dialect, "name", None) or dialect.dialect.name
    if name not in ("sqlite", "postgresql"):
        raise ValueError(f"queries are compiled for sqlite and postgresql, not for '{name}'")
    return name


def compile_sql(
    query: Query, mapping: TableMapping, dialect: Any, *, driver: int | None = None, few: bool = False
) -> Compiled:
    """``query`` as a condition on ``mapping.table``.

    ``driver``: the conjunct by which rows are found through the tag index, while the others are asked about each
    row found; without one the first of the most selective kind, with -1 none. ``few`` says that it was counted
    and selects few rows. ``planning.plan`` finds out both.
    """
    nodes = conjuncts(query)
    where, conditions = _said(nodes, mapping, dialect_name(dialect), driver, few)
    return Compiled(where, _left(nodes, conditions), conditions)


Conditions = tuple[ColumnElement[bool] | None, ...]


def _said(nodes: Sequence[Node], mapping: TableMapping, dialect: str, driver: int | None, few: bool) -> tuple[ColumnElement[bool], Conditions]:
    """What SQL can say of these conjuncts, and each of them alone."""
    compiler = Compiler(mapping, dialect)
    if driver is None:
        ranked = [(rank, at) for at, node in enumerate(nodes) if (rank := compiler.rank(node)) is not None]
        driver = min(ranked)[1] if ranked else None
    conditions: list[ColumnElement[bool] | None] = []
    for at, node in enumerate(nodes):
        try:
            conditions.append(compiler.driving(node, few) if at == driver else compiler.condition(node))
        except NotInSql:
            conditions.append(None)
    return and_(true(), *(condition for condition in conditions if condition is not None)), tuple(conditions)


@functools.lru_cache(SHAPES)
def _said_of(shape: Shape, mapping: TableMapping, dialect: str, driver: int | None, few: bool) -> tuple[ColumnElement[bool], Conditions]:
    return _said(shape.nodes, mapping, dialect, driver, few)


def _left(nodes: Sequence[Node], conditions: Conditions) -> Callable[[Mapping[str, Any]], bool] | None:
    """What SQL could not say."""
    left = [node for node, condition in zip(nodes, conditions) if condition is None]
    return predicate(conjunction(left)) if left else None


def conjuncts(query: Query) -> list[Node]:
    """What must all hold, each ``gathered``."""
    return [gathered(node) for node in query.conjuncts]


def compile_shape(nodes: Sequence[Node], shape: Shape, mapping: TableMapping, dialect: str, driver: int | None, few: bool) -> Compiled:
    """As ``compile_sql``, of conjuncts (``gathered``) and their shape: ``where`` is one object for all queries of this shape."""
    where, conditions = _said_of(shape, mapping, dialect, driver, few)
    return Compiled(where, _left(nodes, conditions), conditions, lasts=True)


def conditions_of(query: Query, mapping: TableMapping, dialect: Any) -> list[ColumnElement[bool] | None]:
    """Each conjunct as a condition about one row, none of them driving; None where SQL cannot say it."""
    return list(compile_sql(query, mapping, dialect, driver=-1).conditions)


class Compiler:
    def __init__(self, mapping: TableMapping, dialect: str) -> None:
        self.mapping, self.dialect = mapping, dialect
        self._json_cost = 0
        self._aliases = itertools.count()

    # A conjunct can drive when every row it selects is named by rows of the tag index.

    def rank(self, node: Node) -> int | None:
        """How selective conjuncts of this form usually are (less is better); None when it cannot drive."""
        if isinstance(node, Or):
            ranks = [self.rank(item) for item in node.items]
            terms = sum(5 if isinstance(item, Clause) and item.op == "$in" else 1 for item in node.items)
            return None if None in ranks or terms > MOST_DRIVING_TERMS else max(rank for rank in ranks if rank is not None) + 1
        if not isinstance(node, Clause) or node.name.kind != "tag" or self.mapping.tags is None or node.name.base:
            return None
        if node.op == "$exists" and not node.value:
            return None
        return _RANK.get(node.op)

    def owners(self, node: Node) -> Any:
        """A select of the keys of the rows that satisfy ``node``, which ``rank`` approved of."""
        if isinstance(node, Or):
            selects = [select_ for item in node.items for select_ in self._owner_selects(item)]
        else:
            selects = self._owner_selects(node)
        return selects[0] if len(selects) == 1 else union_all(*selects)

    def _owner_selects(self, node: Clause) -> list[Any]:
        index = self._tag_index()
        base = select(index.c.data_id).where(index.c.key == index_key(node.name.key))
        if node.op == "$exists":
            return [base]
        op, value = ("$eq", node.value[0]) if node.op == "$all" else (node.op, node.value)
        return [base.where(condition) for condition in TagCell(index, self.dialect, aside=False).conditions(op, value)]

    def driving(self, node: Node, few: bool) -> ColumnElement[bool]:
        if self.rank(node) is None:
            return self.condition(node)
        local = self.mapping.tags.local
        if few and self.dialect == "postgresql":
            # Its statistics know nothing of numbers under one key, and as a join it may read the whole table.
            found = local == any_(func.array(self.owners(node).scalar_subquery()))
        else:
            found = local.in_(self.owners(node))
        # The index found only the first of the values; all of them are asked about.
        return and_(found, self.condition(node)) if isinstance(node, Clause) and node.op == "$all" else found

    def condition(self, node: Node) -> ColumnElement[bool]:
        if isinstance(node, And):
            return and_(*(self.condition(item) for item in node.items))
        if isinstance(node, Or):
            return or_(*(self.condition(item) for item in node.items))
        if isinstance(node, Not):
            return _refuted(self.condition(node.item))
        if node.op == "$ne":
            return _refuted(self.condition(Clause(node.name, "$eq", node.value)))
        if node.op == "$nin":
            return _refuted(self.condition(Clause(node.name, "$in", node.value)))
        if node.op == "$all":
            return and_(*(self.condition(Clause(node.name, "$eq", value)) for value in node.value))
        if node.op == "$exists" and not node.value:
            return _refuted(self.condition(Clause(node.name, "$exists", True)))
        return self._clause(node)

    def _clause(self, clause: Clause) -> ColumnElement[bool]:
        name = clause.name
        if name.base:
            raise NotInSql
        if name.kind == "tag":
            return self._tag(clause)
        place = self.mapping.place(name.head)
        if place is None:
            raise NotInSql
        if isinstance(place, Json):
            return self._json(place, clause)
        return self._columns(place, clause)

    def _tag(self, clause: Clause) -> ColumnElement[bool]:
        if self.mapping.tags is None:
            raise NotInSql
        index = self._tag_index()
        here = [index.c.data_id == self.mapping.tags.local, index.c.key == index_key(clause.name.key)]
        if clause.op == "$exists":
            return exists(select(1).select_from(index).where(*here))
        # An equality is answered by the index of values, anything wider by the rows of the one Data.
        cell = TagCell(index, self.dialect, aside=clause.op != "$eq")
        return exists(select(1).select_from(index).where(*here, or_(*cell.conditions(clause.op, clause.value))))

    def _tag_index(self) -> Any:
        """The tag index under a name that this compiler has not used yet."""
        assert self.mapping.tags is not None
        return _alias(self.mapping.tags.index, next(self._aliases))

    def _json(self, place: Json, clause: Clause) -> ColumnElement[bool]:
        name = clause.name
        if clause.op == "$exists" and not name.below:
            return self._has_value(place)
        self._json_cost += json_cost(name.below, clause.value)
        if self._json_cost > MOST_JSON_COST:
            raise NotInSql
        refs = name.kind in ("ref", "refs", "list") and not name.below
        return json_condition(place.column, name.below, refs, clause.op, clause.value, self.dialect)

    def _has_value(self, place: Json) -> ColumnElement[bool]:
        if self.dialect == "postgresql":
            kind = func.jsonb_typeof(cast(place.column, JSONB))
        else:
            kind = func.json_type(type_coerce(place.column, Text()))
        return and_(place.column.is_not(None), kind != "null")

    def _columns(self, place: Place, clause: Clause) -> ColumnElement[bool]:
        name, op, value = clause.name, clause.op, clause.value
        only = name.below[0] if name.below else None
        kind = "text" if name.kind in ("ref", "refs") else name.kind

        def test(column: Any) -> ColumnElement[bool]:
            return or_(*ColumnCell(column, kind, self.dialect).conditions(op, value))

        if isinstance(place, Plain):
            if only:
                raise NotInSql
            return place.column.is_not(None) if op == "$exists" else test(place.column)
        local = place.local if isinstance(place, (RefVia, Refs)) else place.id
        nothing = value is None and op == "$eq" or op == "$in" and None in value
        if isinstance(place, Refs):
            linked = select(1).where(place.owner == local)
            if op == "$size":
                return select(func.count()).where(place.owner == local).scalar_subquery() == value
            if op == "$exists":
                return exists(linked) if only else true()
            parts = [column for key, column in (("id", place.id), ("name", place.name)) if column is not None and only in (None, key)]
            present = [and_(column.is_not(None), test(column)) for column in parts]
            return exists(linked.where(or_(false(), *present)))
        if only is None and op == "$exists":
            return local.is_not(None)
        if only is not None and nothing or op in ("$exists", "$size"):
            raise NotInSql
        conditions = [test(local)] if only in (None, "id") else []
        if isinstance(place, RefVia):
            if only in (None, "name"):
                narrowed = [] if place.where is None else [place.where]
                conditions.append(local.in_(select(place.id).where(place.name.is_not(None), test(place.name), *narrowed)))
        elif place.name is not None and only in (None, "name"):
            conditions.append(and_(place.name.is_not(None), test(place.name)))
        if not conditions:
            raise NotInSql
        return or_(*conditions)


@functools.cache
def _alias(table: Any, number: int) -> Any:
    # Its columns are made when it is first used, which costs more than all else about a clause.
    return table.alias()


def gathered(node: Node) -> Node:
    """The same condition with the equalities of an $or on one name asked as one $in, which is one look-up."""
    if not isinstance(node, Or):
        return node
    equal: dict[str, list[Clause]] = {}
    others: list[Node] = []
    for item in node.items:
        if isinstance(item, Clause) and item.op in ("$eq", "$in"):
            equal.setdefault(item.name.text, []).append(item)
        else:
            others.append(item)
    for clauses in equal.values():
        values = [value for clause in clauses for value in (clause.value if clause.op == "$in" else (clause.value,))]
        others.append(clauses[0] if len(clauses) == 1 else Clause(clauses[0].name, "$in", tuple(values)))
    return disjunction(others)


def _refuted(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    # NULL counts as false, so that its negation is true.
    return not_(func.coalesce(condition, false()))
