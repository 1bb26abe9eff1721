"""What rules say against each other: a rule that is never reached, and a condition that nothing can meet.

Finds what can be seen without data: equal conditions, conditions that include each other clause by clause, and closed
fields that would have to have two values. That a file has none of these proves no more than that.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from shared.query.tree import And, Clause, Node, Query, to_json, walk

_ABOVE, _BELOW = ("$gt", "$gte"), ("$lt", "$lte")


def contradictions(rules: Sequence[Any]) -> Iterator[tuple[int, str, str]]:
    """Position of the rule, member and sentence of each contradiction. Rules have ``name, query, action, target, enforce``."""
    before: list[tuple[Any, set[str]]] = []
    for rule in rules:
        parts = _parts(rule)
        clash = _cannot_hold(rule.query)
        if clash:
            yield rule.position, "when", f"The rule '{rule.name}' contradicts itself: {clash}; it never applies."
        for earlier, clauses in before:
            if clauses <= parts:
                yield rule.position, "when", _unreached(rule, earlier, clauses == parts)
                break
        if rule.enforce:
            # A rule that is only noted ends nothing.
            before.append((rule, parts))


def _unreached(rule: Any, earlier: Any, same: bool) -> str:
    where = f"rule {earlier.position + 1}, '{earlier.name}'"
    if not earlier.query.conjuncts:
        return f"The rule '{rule.name}' is never reached: {where}, applies to everything and ends the search."
    if same and rule.action != earlier.action:
        return (f"The rule '{rule.name}' contradicts {where}: for the same condition one says {earlier.action}, "
                f"the other {rule.action}; the second is never reached.")
    if same:
        return f"The rule '{rule.name}' is never reached: {where}, has the same condition."
    return f"The rule '{rule.name}' is never reached: whatever meets its condition meets that of {where}, before."


def _parts(rule: Any) -> set[str]:
    """The conjuncts of a rule's condition; one about the target means the target of this rule."""
    return {f"{to_json(node)!r}{rule.target if _asks_for_target(node) else ''}" for node in rule.query.conjuncts}


def _asks_for_target(node: Node) -> bool:
    return any(clause.name.text.split(".", 1)[0] == "target" for clause in walk(node))


def _cannot_hold(query: Query) -> str | None:
    """The closed field of which two conjuncts ask what no value can be, in words, or None."""
    by_name: dict[str, list[Clause]] = {}
    for node in query.conjuncts:
        for clause in _clauses(node):
            # A list or a tag may have several values, one for each clause.
            if not clause.name.is_many and clause.name.kind not in ("ref", "refs", "list", "json"):
                by_name.setdefault(clause.name.text, []).append(clause)
    for name, clauses in by_name.items():
        equal = {repr(clause.value): clause.value for clause in clauses if clause.op == "$eq"}
        if len(equal) > 1:
            first, second = list(equal.values())[:2]
            return f"{name} cannot be both {first!r} and {second!r}"
        low = [clause for clause in clauses if clause.op in _ABOVE]
        high = [clause for clause in clauses if clause.op in _BELOW]
        for one in low:
            for other in high:
                if _is_empty(one, other):
                    return f"{name} cannot be {_words(one)} and {_words(other)}"
    return None


def _clauses(node: Node) -> Iterator[Clause]:
    if isinstance(node, Clause):
        yield node
    elif isinstance(node, And):
        for item in node.items:
            yield from _clauses(item)


def _is_empty(low: Clause, high: Clause) -> bool:
    if type(low.value) is str or type(high.value) is str or isinstance(low.value, bool) or isinstance(high.value, bool):
        return False
    return low.value > high.value or (low.value == high.value and (low.op, high.op) != ("$gte", "$lte"))


def _words(clause: Clause) -> str:
    words = {"$gt": "more than", "$gte": "at least", "$lt": "less than", "$lte": "at most"}
    return f"{words[clause.op]} {clause.value}"
