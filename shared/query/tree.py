"""A query as an immutable tree, and its one JSON form. Entry point: ``Query``.

Imports no parser: a tree is made by ``parse``. Nodes are ``And``, ``Or``, ``Not`` and ``Clause``; the canonical form keeps the order of the conjuncts, because
the funnel counts in that order.
"""
from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shared.query.fields import FieldSet, Name


@dataclass(frozen=True)
class Clause:
    """One comparison. ``op`` is an operator with its ``$``; ``value`` a scalar, or a tuple for the list operators."""

    name: Name
    op: str
    value: Any


@dataclass(frozen=True)
class And:
    items: tuple["Node", ...]


@dataclass(frozen=True)
class Or:
    items: tuple["Node", ...]


@dataclass(frozen=True)
class Not:
    item: "Node"


Node = Clause | And | Or | Not
_OPPOSITE = {"$eq": "$ne", "$ne": "$eq", "$in": "$nin", "$nin": "$in"}


def conjunction(items: list[Node]) -> Node:
    """All of ``items``, flat."""
    flat = [part for item in items for part in (item.items if isinstance(item, And) else (item,))]
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def disjunction(items: list[Node]) -> Node:
    """Any of ``items``, flat."""
    flat = [part for item in items for part in (item.items if isinstance(item, Or) else (item,))]
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def negation(item: Node) -> Node:
    """Exactly not ``item``, in its shortest form."""
    if isinstance(item, Not):
        return item.item
    if isinstance(item, Clause):
        if item.op in _OPPOSITE:
            return Clause(item.name, _OPPOSITE[item.op], item.value)
        if item.op == "$exists":
            return Clause(item.name, "$exists", not item.value)
    return Not(item)


def walk(node: Node | None) -> Iterator[Clause]:
    """Every clause below ``node``."""
    if isinstance(node, Clause):
        yield node
    elif isinstance(node, Not):
        yield from walk(node.item)
    elif node is not None:
        for item in node.items:
            yield from walk(item)


def depth_of(node: Node) -> int:
    """How deep connectives are nested in ``node``; a clause alone is 0."""
    if isinstance(node, Clause):
        return 0
    return 1 + max(depth_of(item) for item in (getattr(node, "items", None) or (node.item,)))


def _operand(clause: Clause) -> Any:
    return list(clause.value) if isinstance(clause.value, tuple) else clause.value


def _merged(items: tuple[Node, ...]) -> dict[str, Any] | None:
    """The conjuncts as one object, or None when that would lose their order or one of them."""
    body: dict[str, Any] = {}
    last = None
    for item in items:
        if isinstance(item, Clause):
            key = item.name.text
            if key not in body:
                body[key] = _operand(item) if item.op == "$eq" else {item.op: _operand(item)}
                last = key
                continue
            before = body[key]
            if key != last:
                return None
            if not isinstance(before, dict):
                before = {"$eq": before}
            if item.op in before:
                return None
            body[key] = {**before, item.op: _operand(item)}
        else:
            for key, value in to_json(item).items():
                if key in body:
                    return None
                # Nothing may be merged into a $not that is the value of a name.
                body[key], last = value, None
    return body


def to_json(node: Node | None) -> dict[str, Any]:
    """The canonical JSON form; parsing it gives the same tree."""
    if node is None:
        return {}
    if isinstance(node, Clause):
        return _merged((node,)) or {}
    if isinstance(node, And):
        body = _merged(node.items)
        return body if body is not None else {"$and": [to_json(item) for item in node.items]}
    if isinstance(node, Or):
        return {"$or": [to_json(item) for item in node.items]}
    inner = node.item
    if isinstance(inner, Or):
        return {"$nor": [to_json(item) for item in inner.items]}
    names = {part.name.text if isinstance(part, Clause) else None for part in getattr(inner, "items", (inner,))}
    if len(names) == 1 and None not in names:
        body = _merged(inner.items if isinstance(inner, And) else (inner,))
        if body is not None:
            (key, value), = body.items()
            return {key: {"$not": value if isinstance(value, dict) else {"$eq": value}}}
    return {"$nor": [to_json(inner)]}


@dataclass(frozen=True)
class Conjunct:
    """One of the parts that must all hold: its ``label`` in shorthand (``owner:darren``) and its ``json``."""

    node: Node
    label: str
    json: dict[str, Any]


class Query:
    """An immutable query over one class. Equal when the canonical forms are.

    Made by ``shared.query.parse.parse``; ``a & b`` is both.
    """

    __slots__ = ("field_set", "root", "__dict__")

    def __init__(self, field_set: FieldSet, root: Node | None) -> None:
        self.field_set, self.root = field_set, root

    @property
    def is_empty(self) -> bool:
        """Whether it matches everything because it asks for nothing."""
        return self.root is None

    @property
    def conjuncts(self) -> tuple[Node, ...]:
        """The top-level parts as nodes, in the order written."""
        if self.root is None:
            return ()
        return self.root.items if isinstance(self.root, And) else (self.root,)

    @functools.cached_property
    def clauses(self) -> tuple[Conjunct, ...]:
        """The top-level conjuncts in the order written, each with its label and JSON."""
        from shared.query.render import shorthand

        return tuple(Conjunct(node, shorthand(node), to_json(node)) for node in self.conjuncts)

    def fields(self) -> set[str]:
        """The names it uses, tags included, in their canonical spelling."""
        return {clause.name.text for clause in walk(self.root)}

    def tags(self) -> list[Name]:
        """The tags it uses, each once, in order."""
        return list({clause.name.text: clause.name for clause in walk(self.root) if clause.name.kind == "tag"}.values())

    def to_json(self) -> dict[str, Any]:
        """The canonical JSON form; ``parse(query.to_json(), fields)`` is the same query."""
        return to_json(self.root)

    def to_shorthand(self) -> str:
        """One line for people; parsing it gives the same query."""
        return " ".join(conjunct.label for conjunct in self.clauses)

    @functools.cached_property
    def text(self) -> str:
        """The canonical form as text: a key for caches and comparisons."""
        return json.dumps(self.to_json(), ensure_ascii=False, separators=(",", ":"))

    def __and__(self, other: "Query") -> "Query":
        parts = [root for root in (self.root, other.root) if root is not None]
        return Query(self.field_set, conjunction(parts) if parts else None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Query) and self.field_set.noun == other.field_set.noun and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Query({self.field_set.noun}, {self.text})"
