"""What a query means, written as plainly as possible and with nothing of ``shared.query``: the oracle of its tests.

A document is first made a list of values under each dotted name; then each operator is a sentence about them.
"""
from __future__ import annotations

import re
from datetime import datetime, timezone
from fractions import Fraction
from typing import Any


def holds(query: dict, document: dict, kinds: dict[str, str]) -> bool:
    """Whether the JSON ``query`` holds for ``document``; ``kinds`` are the closed fields, other names are tags."""
    for key, condition in query.items():
        if key == "$and":
            ok = all(holds(part, document, kinds) for part in condition)
        elif key == "$or":
            ok = any(holds(part, document, kinds) for part in condition)
        elif key == "$nor":
            ok = not any(holds(part, document, kinds) for part in condition)
        elif key == "$not":
            ok = not holds(condition, document, kinds)
        else:
            ok = _field(key, condition, document, kinds)
        if not ok:
            return False
    return True


def _field(key: str, condition: Any, document: dict, kinds: dict[str, str]) -> bool:
    if not isinstance(condition, dict):
        condition = {"$eq": condition}
    for op, operand in condition.items():
        if op == "$not":
            ok = not _field(key, operand, document, kinds)
        elif op == "$ne":
            ok = not _field(key, {"$eq": operand}, document, kinds)
        elif op == "$nin":
            ok = not _field(key, {"$in": operand}, document, kinds)
        elif op == "$in":
            ok = any(_field(key, {"$eq": one}, document, kinds) for one in operand)
        elif op == "$all":
            ok = all(_field(key, {"$eq": one}, document, kinds) for one in operand)
        else:
            ok = _one(key, op, operand, document, kinds)
        if not ok:
            return False
    return True


def _one(key: str, op: str, operand: Any, document: dict, kinds: dict[str, str]) -> bool:
    head, _, below = key.partition(".")
    if key in kinds:
        value = document.get(head)
        if op == "$exists":
            return (value is not None) == operand
        kind = kinds[head]
        if op == "$size":
            return isinstance(value, list) and len(value) == operand
        values = value if isinstance(value, list) else [value]
        if kind in ("ref", "refs", "list"):
            values = [part for one in values for part in _ref_parts(one)]
        dates = kind not in ("text", "ref", "refs")
        return any(_compare(op, one, operand, dates) for one in values)
    if head in kinds:
        entries = _flat(document.get(head), below)
    elif head == "tags":
        entries = _flat(document.get("tags"), below)
    else:
        entries = _flat(document.get("tags"), key)
    if op == "$exists":
        return bool(entries) == operand
    if op == "$size":
        return any(isinstance(value, list) and len(value) == operand for value in entries)
    values = [one for value in entries for one in (value if isinstance(value, list) else [value])]
    return any(_compare(op, one, operand, True) for one in values)


def _ref_parts(value: Any) -> list[Any]:
    return [part for part in (value.get("id"), value.get("name")) if part is not None] if isinstance(value, dict) else [value]


def _flat(holder: Any, name: str) -> list[Any]:
    """All values in ``holder`` whose keys, joined with dots, are ``name``; lists of objects are looked into."""
    found: list[Any] = []

    def visit(value: Any, path: str | None) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                here = key if path is None else f"{path}.{key}"
                if here == name:
                    found.append(inner)
                visit(inner, here)
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, dict):
                    visit(item, path)

    visit(holder, None)
    return found


def _compare(op: str, value: Any, operand: Any, dates: bool) -> bool:
    if op in ("$prefix", "$like", "$regex"):
        if not isinstance(value, str):
            return False
        if op == "$prefix":
            return value[:len(operand)] == operand
        if op == "$like":
            return _glob(operand, value)
        return re.search(operand, value) is not None
    if isinstance(operand, str) and dates and _date(operand) is not None:
        left, right = (_date(value) if isinstance(value, str) else None), _date(operand)
        if left is None:
            return False
    elif _type(value) != _type(operand) or _type(value) == "other":
        return False
    elif _type(value) == "number":
        left, right = Fraction(value), Fraction(operand)
    else:
        left, right = value, operand
    if op == "$eq":
        return left == right
    return {"$gt": lambda: left > right, "$gte": lambda: left >= right,
            "$lt": lambda: left < right, "$lte": lambda: left <= right}[op]()


def _type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "text" if isinstance(value, str) else "other"


def _date(text: str) -> datetime | None:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?", text):
        return None
    text = re.sub(r"(\.[0-9]{1,6})[0-9]*", r"\1", text)
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=timezone.utc) if found.tzinfo is None else found.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


def _glob(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] in "*%":
        return _glob(pattern[1:], text) or (text != "" and _glob(pattern, text[1:]))
    if text == "":
        return False
    if pattern[0] == "\\" and len(pattern) > 1:
        return text[0] == pattern[1] and _glob(pattern[2:], text[1:])
    return (pattern[0] == "?" or text[0] == pattern[0]) and _glob(pattern[1:], text[1:])
