"""Conjuncts as sets of ids that the tag index alone gives, and their intersection: no row of the objects is looked at.

What PostgreSQL does with them it does in the order of the index, which for a hundred thousand ids is many times cheaper
than to visit a row for each.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, any_, func, select

from shared.query.sql import Compiler
from shared.query.tree import Clause, Node

# Beyond as many ids a list of them is worse than a join.
MOST_LISTED = 150_000


def is_set(compiler: Compiler, node: Node) -> bool:
    """Whether the tag index alone says which rows satisfy the conjunct."""
    return compiler.rank(node) is not None and not (isinstance(node, Clause) and node.op == "$all" and len(set(node.value)) > 1)


Those = Callable[[ColumnElement[Any]], ColumnElement[bool]]
"""Which ids are looked at, as a condition about the column that holds them."""


def ids(compiler: Compiler, node: Node, those: Those | None = None) -> Select[Any]:
    """The ids of the rows that satisfy a conjunct of which ``is_set`` holds, some perhaps twice; with ``those`` only such."""
    found = compiler.owners(node).subquery().c[0]
    return select(found.label("id")).where(*([those(found)] if those else ()))


def intersection(compiler: Compiler, nodes: Sequence[Node], those: Those | None = None) -> Select[Any]:
    """The ids of the rows that satisfy all of ``nodes``, of each of which ``is_set`` holds; some perhaps twice; with ``those`` only such."""
    # Said of each: that what is in two sets is like both the planner does not conclude.
    first = ids(compiler, nodes[0], those).subquery()
    return select(first.c.id).where(*(first.c.id.in_(ids(compiler, node, those)) for node in nodes[1:]))


def among(compiler: Compiler, key: ColumnElement[Any], found: Select[Any], listed: bool) -> ColumnElement[bool]:
    """``key`` is one of ``found``; ``listed`` has PostgreSQL find them first and then look each up by its key."""
    if listed and compiler.dialect == "postgresql":
        # Its statistics know nothing of values under one key, and as a join it may read the whole table.
        return key == any_(func.array(found.scalar_subquery()))
    return key.in_(found)
