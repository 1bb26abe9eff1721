"""Matches documents in memory: a query is compiled once to closures. Entry point: ``matches(query)``.

Documents are shaped as objects are on the wire: ``{name, size, tags: {...}, source: {id, name}, ...}``. Never
raises on a document, whatever is in it.
"""
from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from shared.query.builder import compiled_regex
from shared.query.fields import Name
from shared.query.globs import glob_test
from shared.query.tree import And, Clause, Node, Not, Query
from shared.query.values import instant, number

Test = Callable[[Any], bool]
_ORDER = {"$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le}
_MISSING: Any = object()


def matches(query: Query) -> Callable[[Mapping[str, Any]], bool]:
    """A predicate over documents: whether ``query`` holds. Compile it once and call it for each."""
    return predicate(query.root)


def predicate(node: Node | None) -> Callable[[Mapping[str, Any]], bool]:
    """As ``matches``, for a part of a query."""
    if node is None:
        return lambda document: True
    if isinstance(node, Clause):
        return _clause(node)
    if isinstance(node, Not):
        inner = predicate(node.item)
        return lambda document: not inner(document)
    tests = [predicate(item) for item in node.items]
    if isinstance(node, And):
        def every(document: Any) -> bool:
            for test in tests:
                if not test(document):
                    return False
            return True
        return every

    def some(document: Any) -> bool:
        for test in tests:
            if test(document):
                return True
        return False
    return some


def value_of(name: Name, document: Any) -> Any:
    """What ``document`` has at a name: its value, a list of several, or None."""
    value = _holder(name)(document)
    if not name.below:
        return None if value is _MISSING else value
    found = _collect(value, name.below)
    return found[0] if len(found) == 1 else found or None


def _clause(clause: Clause) -> Callable[[Any], bool]:
    if clause.op in ("$ne", "$nin"):
        inner = _clause(Clause(clause.name, "$eq" if clause.op == "$ne" else "$in", clause.value))
        return lambda document: not inner(document)
    if clause.op == "$all":
        tests = [_clause(Clause(clause.name, "$eq", value)) for value in clause.value]
        return lambda document: all(test(document) for test in tests)
    name = clause.name
    closed = not name.is_open and name.kind != "refs"
    if clause.op == "$exists":
        return _exists(name, clause.value)
    if clause.op == "$size":
        size = clause.value
        return _over(name, lambda value: False, lambda value: len(value) == size)
    test = _test(clause, as_text=closed and name.kind in ("text", "ref"), as_time=closed and name.kind == "time")
    return _over(name, test)


def _test(clause: Clause, as_text: bool, as_time: bool) -> Test:
    """The test of one scalar value."""
    op, operand = clause.op, clause.value
    if op == "$eq":
        return _equal(operand, as_text)
    if op == "$in":
        return _among(operand, as_text)
    if op in _ORDER:
        return _ordered(_ORDER[op], operand, as_text, as_time)
    if op == "$prefix":
        return lambda value: type(value) is str and value.startswith(operand)
    if op == "$like":
        matched = glob_test(operand)
        return lambda value: type(value) is str and matched(value)
    search = compiled_regex(operand).search

    def found(value: Any) -> bool:
        if type(value) is not str:
            return False
        try:
            return search(value) is not None
        except UnicodeEncodeError:
            return False
    return found


def _equal(operand: Any, as_text: bool) -> Test:
    if operand is None:
        return lambda value: value is None
    if isinstance(operand, bool):
        return lambda value: value is operand
    if isinstance(operand, (int, float)):
        return _numeric(operator.eq, operand)
    moment = None if as_text else instant(operand)
    if moment is None:
        return lambda value: value == operand and type(value) is str
    return lambda value: type(value) is str and (value == operand or instant(value) == moment)


def _numeric(compare: Callable[[Any, Any], bool], operand: int | float) -> Test:
    if abs(operand) >= 2**63:
        # Out there whole numbers are the nearest float in both databases.
        return lambda value: (type(value) is int or type(value) is float) and compare(number(value), operand)
    return lambda value: (type(value) is int or type(value) is float) and compare(value, operand)


def _among(operands: tuple[Any, ...], as_text: bool) -> Test:
    # True == 1 in Python, so each type has its own set.
    texts = {value for value in operands if isinstance(value, str)}
    moments = set() if as_text else {instant(value) for value in texts} - {None}
    numbers = {value for value in operands if isinstance(value, (int, float)) and not isinstance(value, bool)}
    others = {value for value in operands if value is None or isinstance(value, bool)}

    def among(value: Any) -> bool:
        kind = type(value)
        if kind is str:
            return value in texts or (bool(moments) and instant(value) in moments)
        if kind is int or kind is float:
            return number(value) in numbers if value == value and numbers else False
        return (value is None or kind is bool) and value in others
    return among


def _ordered(compare: Callable[[Any, Any], bool], operand: Any, as_text: bool, as_time: bool) -> Test:
    if not isinstance(operand, str):
        return _numeric(compare, operand)
    moment = None if as_text else instant(operand)
    if moment is None:
        return lambda value: type(value) is str and compare(value, operand)

    def later(value: Any) -> bool:
        if type(value) is not str:
            return False
        found = instant(value)
        return found is not None and compare(found, moment)
    return later


def _holder(name: Name) -> Callable[[Any], Any]:
    """Where the values of ``name`` hang: the value of its head, or ``_MISSING``."""
    head, base = name.head, name.base
    if not base:
        def direct(document: Any) -> Any:
            try:
                return document[head]
            except (KeyError, TypeError, IndexError):
                return _MISSING
        return direct

    def nested(document: Any) -> Any:
        try:
            for key in base:
                document = document[key]
            return document[head]
        except (KeyError, TypeError, IndexError):
            return _MISSING
    return nested


def _over(name: Name, test: Test, of_list: Test | None = None) -> Callable[[Any], bool]:
    """Whether any value of ``name`` passes ``test``; ``of_list`` is asked about lists as a whole instead."""
    holder = _holder(name)
    refs = name.kind in ("ref", "refs", "list")

    def passes(value: Any) -> bool:
        kind = type(value)
        if kind is list or kind is tuple:
            if of_list is not None:
                return of_list(value)
            for item in value:
                if refs and not below and type(item) is dict:
                    if of_ref(item):
                        return True
                elif test(item):
                    return True
            return False
        if refs and not below and isinstance(value, Mapping):
            return of_ref(value)
        return test(value)

    def of_ref(ref: Any) -> bool:
        # A ref without a name is no null.
        return any(part is not None and test(part) for part in (ref.get("id"), ref.get("name")))

    below = name.below
    if not below:
        def closed(document: Any) -> bool:
            value = holder(document)
            return passes(None if value is _MISSING else value)
        return closed
    if len(below) == 1 and name.kind in ("tag", "json"):
        key, base, head = below[0], name.base, name.head

        def one(document: Any) -> bool:
            try:
                for step in base:
                    document = document[step]
                value = document[head][key]
            except (KeyError, TypeError, IndexError):
                # A list in its place is looked into element by element, which is rare.
                return any(passes(value) for value in _collect(holder(document), below))
            kind = type(value)
            if kind is str or kind is int:
                return of_list is None and test(value)
            return passes(value)
        return one
    return lambda document: any(passes(value) for value in _collect(holder(document), below))


def _exists(name: Name, wanted: bool) -> Callable[[Any], bool]:
    holder = _holder(name)
    if not name.below:
        # A closed field is always there; what is asked is whether it has a value.
        def has(document: Any) -> bool:
            value = holder(document)
            return (value is not _MISSING and value is not None) is wanted
        return has
    return lambda document: bool(_collect(holder(document), name.below)) is wanted


def _collect(value: Any, segments: tuple[str, ...]) -> list[Any]:
    """The values at a dotted name: keys may hold dots themselves, and lists of objects are looked into."""
    found: list[Any] = []
    pending = [(value, segments)]
    while pending:
        value, rest = pending.pop()
        if isinstance(value, (list, tuple)):
            pending.extend((item, rest) for item in value if isinstance(item, Mapping))
        elif isinstance(value, Mapping):
            if len(rest) == 1:
                if rest[0] in value:
                    found.append(value[rest[0]])
                continue
            for count in range(1, len(rest) + 1):
                key = ".".join(rest[:count])
                if key in value:
                    if count == len(rest):
                        found.append(value[key])
                    else:
                        pending.append((value[key], rest[count:]))
    return found
