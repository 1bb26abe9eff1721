"""What of a query its statements depend on: all of it but the values that are handed over when they run.

To make a statement, and to know it again, takes SQLAlchemy longer than a small question takes the database; so queries of one shape share theirs.
Handed over are the texts that a tag must equal, unless they are dates, which are compared as instants, or longer than what the index
holds: on anything else about such a text no statement depends. Every other value is part of the shape.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.query.tree import Clause, Node, Not, walk
from shared.query.tag_index import cut
from shared.query.values import instant

# Of so many shapes of queries the statements are kept.
SHAPES = 200
# A longer query has statements of its own: what is kept of so many shapes stays small.
MOST_TEXT = 500


@dataclass(frozen=True)
class Later:
    """Stands in a tree for a text that is handed over as the parameter ``name``."""

    name: str


class Shape:
    """The conjuncts of a query, with ``Later`` for what is handed over. Two are equal when each statement of the one is that of the other."""

    __slots__ = ("nodes", "_key")

    def __init__(self, nodes: tuple[Node, ...]) -> None:
        self.nodes = nodes
        # To Python 1, 1.0 and True are one value, to a query they are not.
        self._key = nodes, tuple(repr(clause.value) for node in nodes for clause in walk(node))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shape) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


def shape_of(nodes: Sequence[Node], prefix: str = "") -> tuple[Shape, dict[str, Any]]:
    """The shape of these conjuncts, and what is handed over, by the names of the parameters, which begin with ``prefix``."""
    values: dict[str, Any] = {}

    def shaped(node: Node) -> Node:
        if isinstance(node, Clause):
            if node.name.kind != "tag" or node.op != "$eq" or not isinstance(node.value, str) or not _is_plain(node.value):
                return node
            name = f"{prefix}value_{len(values)}"
            values[name] = node.value
            return Clause(node.name, node.op, Later(name))
        if isinstance(node, Not):
            return Not(shaped(node.item))
        return type(node)(tuple(shaped(item) for item in node.items))

    return Shape(tuple(shaped(node) for node in nodes)), values


def _is_plain(text: str) -> bool:
    return instant(text) is None and cut(text) == text
