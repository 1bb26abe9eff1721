"""Writes a tree back as shorthand; what shorthand has no words for stands in it as a JSON object."""
from __future__ import annotations

import json
import re
from typing import Any

from shared.query.fields import Name
from shared.query.shorthand import NUMBER
from shared.query.tree import And, Clause, Node, Not, Or, to_json
from shared.query.values import glob_escape, glob_pieces, instant

_SIGNS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_PLAIN_NAME = re.compile(r"[^\s():=<>~!\"\\{}-][^\s():=<>~!\"\\{}]*")
_SAFE_VALUE = re.compile(r"[^\s()\"\\,*?<>=]+")
_NAMES = {1: "B", 10**3: "KB", 10**6: "MB", 10**9: "GB", 10**12: "TB", 10**15: "PB",
          2**10: "KiB", 2**20: "MiB", 2**30: "GiB", 2**40: "TiB", 2**50: "PiB"}
_LOOKS_TYPED = re.compile(r"true|false|null|" + NUMBER.pattern + r"|-?[0-9]+(?:\.[0-9]+)?[KMGTPkmgtp]?[iI]?[bB]")


def shorthand(node: Node) -> str:
    """One line that parses to ``node`` again."""
    if isinstance(node, And):
        return " ".join(_grouped(item) for item in node.items)
    if isinstance(node, Or):
        return "(" + " OR ".join(shorthand(item) for item in node.items) + ")"
    if isinstance(node, Not):
        inner = shorthand(node.item)
        return "-" + (f"({inner})" if isinstance(node.item, And) else inner)
    return _clause(node)


def _grouped(node: Node) -> str:
    return f"({shorthand(node)})" if isinstance(node, And) else shorthand(node)


def _clause(clause: Clause) -> str:
    name, op, value = _name(clause.name), clause.op, clause.value
    if name is None:
        return _object(clause)
    if op == "$exists":
        return f"{name}:*" if value else f"-{name}:*"
    if op in ("$eq", "$ne"):
        return f"{'-' if op == '$ne' else ''}{name}:{_value(clause.name, value)}"
    if op in ("$in", "$nin") and len(value) > 1:
        return f"{'-' if op == '$nin' else ''}{name}:{','.join(_value(clause.name, item) for item in value)}"
    if op in _SIGNS:
        return f"{name}{_SIGNS[op]}{_value(clause.name, value, order=True)}"
    if op == "$prefix" and value and _SAFE_VALUE.fullmatch(value):
        return f"{name}:{glob_escape(value)}*"
    if op == "$like":
        # In shorthand a % is a character as any other.
        pattern = re.sub(r"\\(.)", lambda found: "%" if found[1] == "%" else found[0], value, flags=re.S)
        if re.fullmatch(r"[^\s()\",<>=\\]+", pattern) and _is_glob(pattern):
            return f"{name}:{pattern}"
    if op == "$regex" and '"' not in value:
        return f'{name}~"{value}"'
    return _object(clause)


def _is_glob(pattern: str) -> bool:
    """Whether shorthand reads the pattern as this ``$like``, and not as a prefix or as a lone star."""
    pieces = glob_pieces(pattern)
    wild = len(pieces) > 1 or None in pieces[0]
    prefix = len(pieces) == 2 and not pieces[1] and None not in pieces[0]
    return wild and not prefix


def _object(clause: Clause) -> str:
    return json.dumps(to_json(clause), ensure_ascii=False)


def _name(name: Name) -> str | None:
    text = name.text
    if text in ("OR", "AND", "NOT"):
        return None
    if _PLAIN_NAME.fullmatch(text):
        return text
    return _quoted(text)


def _quoted(text: str) -> str:
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + text.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r") + '"'


def _value(name: Name, value: Any, order: bool = False) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (int, float)):
        return _size(value) if name.unit == "bytes" else json.dumps(value)
    typed = _LOOKS_TYPED.fullmatch(value)
    if not name.is_open and name.kind in ("text", "ref", "refs"):
        typed = value == "null"
    whole_day = name.kind == "time" and not order and len(value) == 10 and instant(value) is not None
    if typed or whole_day or not _SAFE_VALUE.fullmatch(value):
        return _quoted(value)
    return value


def _size(value: int | float) -> str:
    if isinstance(value, int):
        for unit in sorted(_NAMES, reverse=True):
            if unit > 1 and abs(value) >= unit and value * 10 % unit == 0:
                return f"{value // unit}{_NAMES[unit]}" if value % unit == 0 else f"{value / unit:.1f}{_NAMES[unit]}"
    return json.dumps(value)

