"""The one-line form: ``owner:darren -package:SML size>1GB name:*.csv (a:1 OR b:2)``, read into the same tree.

The grammar is in docs/query.md; ``render`` writes the form back. Errors name the column, counted from 1.
"""
from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from shared.kernel.errors import nearest
from shared.query.builder import Builder, fault
from shared.query.fields import Name
from shared.query.json_text import decode_object
from shared.query.tree import Node, conjunction, disjunction, negation
from shared.query.values import glob_escape, number, with_percent_as

UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15,
         "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40, "PIB": 2**50}
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_SIZE = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?)([KMGTPkmgtp]?[iI]?[bB])")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# Longest first: ">=" is not ">" and then "=".
OPERATORS = {">=": "$gte", "<=": "$lte", "!=": "$ne", ":": "$eq", "=": "$eq", ">": "$gt", "<": "$lt", "~": "$regex"}
_NAME_ENDS = set(" \t\r\n():=<>~!\"\\{}")
_WORDS = {"OR", "AND", "NOT"}


def parse_shorthand(text: str, builder: Builder, json_node: Callable[..., Node]) -> Node | None:
    """The tree of a line, or None for a blank one. ``json_node`` reads a JSON object that stands in the line."""
    reader = _Reader(text, builder, json_node)
    if reader.at_end():
        return None
    node = reader.any_of(0)
    if not reader.at_end():
        raise reader.fault("a parenthesis closes that was never opened")
    return node


class _Reader:
    def __init__(self, text: str, builder: Builder, json_node: Callable[..., Node]) -> None:
        self.text, self.builder, self.json_node, self.at = text, builder, json_node, 0

    def where(self, at: int | None = None) -> str:
        return f"column {(self.at if at is None else at) + 1}"

    def fault(self, detail: str, next_step: str = "", at: int | None = None) -> Exception:
        return fault("syntax", self.where(at), detail, next_step)

    def at_end(self) -> bool:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.at >= len(self.text)

    def keyword(self, word: str) -> bool:
        """Steps over ``word`` when it stands here alone."""
        if self.at_end() or not self.text.startswith(word, self.at):
            return False
        after = self.text[self.at + len(word):self.at + len(word) + 1]
        if after and not after.isspace() and after not in "()":
            return False
        self.at += len(word)
        return True

    def any_of(self, depth: int) -> Node:
        parts = [self.all_of(depth)]
        while self.keyword("OR"):
            parts.append(self.all_of(depth))
        return disjunction(parts)

    def all_of(self, depth: int) -> Node:
        parts: list[Node] = []
        while not self.at_end() and self.text[self.at] != ")":
            before = self.at
            if self.keyword("OR"):
                self.at = before
                break
            if self.keyword("AND"):
                if not parts or self.at_end() or self.text[self.at] == ")":
                    raise self.fault("AND stands between two conditions", at=before)
            parts.append(self.one(depth))
        if not parts:
            raise self.fault("a condition is missing", "Write name:value.")
        return conjunction(parts)

    def one(self, depth: int) -> Node:
        start = self.at
        if self.text[self.at] == "-" and self.text[self.at + 1:self.at + 2].strip():
            self.at += 1
            return negation(self.one(self.builder.deeper(depth, self.where(start))))
        if self.keyword("NOT"):
            if self.at_end():
                raise self.fault("NOT stands before a condition", at=start)
            return negation(self.one(self.builder.deeper(depth, self.where(start))))
        if self.text[self.at] == "(":
            self.at += 1
            node = self.any_of(self.builder.deeper(depth, self.where(start)))
            if self.at_end():
                raise self.fault("this parenthesis is never closed", at=start)
            self.at += 1
            return node
        if self.text[self.at] == "{":
            return self._object(depth)
        return self._condition()

    def _object(self, depth: int) -> Node:
        start = self.at
        body, self.at = decode_object(self.text, start)
        return self.json_node(body, self.builder, self.where(start), depth)

    def _condition(self) -> Node:
        start = self.at
        text, plain = self._word(_NAME_ENDS)
        op = next((op for op in OPERATORS if self.text.startswith(op, self.at)), None)
        if op is None:
            if self.at < len(self.text) and not self.text[self.at].isspace() and self.text[self.at] not in "()":
                raise self.fault(f"'{self.text[self.at]}' is not expected here", "Put it into double quotes.")
            return self._bare(text, plain, start)
        if self.at == start:
            raise self.fault(f"a name is missing before '{op}'", "Write name:value.")
        name = self.builder.name(text, self.where(start))
        self.at += len(op)
        operator = OPERATORS[op]
        if operator == "$eq":
            # size:>1GB is what other search boxes accept.
            more = next((more for more in (">=", "<=", ">", "<") if self.text.startswith(more, self.at)), None)
            if more:
                self.at += len(more)
                operator = OPERATORS[more]
        return self._values(name, operator, start)

    def _values(self, name: Name, op: str, start: int) -> Node:
        where = self.where(start)
        first = self._value(name, op)
        values = [first]
        while op in ("$eq", "$ne") and self.text[self.at:self.at + 1] == ",":
            self.at += 1
            values.append(self._value(name, op))
        if op == "$regex":
            return self.builder.clause(name, op, first[1], where)
        if op in ("$gt", "$gte", "$lt", "$lte"):
            return self.builder.clause(name, op, first[1], where)
        if len(values) == 1:
            node = self._equal(name, first, where)
        elif all(kind in ("value", "quoted") for kind, _ in values):
            node = self.builder.clause(name, "$in", [value for _, value in values], where)
        else:
            node = disjunction([self._equal(name, value, where) for value in values])
        return negation(node) if op == "$ne" else node

    def _equal(self, name: Name, value: tuple[str, Any], where: str) -> Node:
        kind, operand = value
        if kind == "any":
            return self.builder.clause(name, "$exists", True, where)
        if kind == "glob":
            # One star at the end is a prefix, which an index answers.
            head = operand[:-1]
            if operand.endswith("*") and not re.search(r"(?:^|[^\\])(?:\\\\)*[*?]", head):
                return self.builder.clause(name, "$prefix", re.sub(r"\\(.)", r"\1", head, flags=re.S), where)
            return self.builder.clause(name, "$like", with_percent_as(operand, "\\%"), where)
        if kind == "day":
            first = self.builder.clause(name, "$gte", operand, where)
            try:
                after = (datetime.date.fromisoformat(operand) + datetime.timedelta(days=1)).isoformat()
            except OverflowError:
                return first
            return conjunction([first, self.builder.clause(name, "$lt", after, where)])
        return self.builder.clause(name, "$eq", operand, where)

    def _value(self, name: Name, op: str) -> tuple[str, Any]:
        """One value and what it is: ``value`` (typed), ``quoted``, ``glob``, ``any`` (a lone star), or ``day``:
        a date alone after the colon of a time field, which means all of that day."""
        start = self.at
        if self.text[self.at:self.at + 1] == '"':
            return "quoted", self._quoted(raw=op == "$regex")
        if self.text[self.at:self.at + 1] == "(" and op != "$regex":
            raise self.fault(f"a parenthesis stands where a value of '{name.text}' is expected",
                             f'Write {name.text}:a,b for one of several values, and "(" for the character.')
        text, plain = self._word(None, commas=op in ("$eq", "$ne"))
        if self.at == start:
            raise self.fault(f"a value is missing after '{name.text}'", 'Write name:value; an empty text is "".')
        if op == "$regex":
            return "value", self.text[start:self.at]
        if op in ("$eq", "$ne"):
            if plain == "*":
                return "any", None
            if re.search(r"(?:^|[^\\])(?:\\\\)*[*?]", plain):
                return "glob", plain
            if name.kind == "time" and not name.below and _DAY.fullmatch(text):
                return "day", text
        return "value", text if plain != text else self._typed(name, text, op, start)

    def _typed(self, name: Name, text: str, op: str, start: int) -> Any:
        """What an unquoted value is: by the kind of a closed field, else by its form."""
        if text == "null":
            return None
        if not name.is_open and name.kind in ("text", "ref", "refs", "time"):
            return text
        if text in ("true", "false"):
            return text == "true"
        size = _SIZE.fullmatch(text)
        if size and (name.kind == "number" or op not in ("$eq", "$ne")):
            if len(text) > 40:
                raise fault("bad_operand", self.where(start), "the number has too many digits")
            return number(float(bytes_)) if (bytes_ := Decimal(size.group(1)) * UNITS[size.group(2).upper()]) % 1 else int(bytes_)
        if NUMBER.fullmatch(text):
            return self._number(text, start)
        if name.kind == "number" and not name.below:
            near = nearest(re.sub(r"[^A-Za-z]", "", text), UNITS)
            raise fault("bad_operand", self.where(start), f"'{name.text}' is a number, and '{text}' is not one",
                        f"Write a number, or a size such as 10{near[0] if near else 'MB'}." if name.unit else "Write a number.")
        return text

    def _number(self, text: str, start: int) -> int | float:
        if len(text) > 400:
            raise fault("bad_operand", self.where(start), "the number has too many digits")
        return int(text) if text.lstrip("-").isdecimal() else float(text)

    def _bare(self, text: str, plain: str, start: int) -> Node:
        if text in _WORDS and self.text[start] != '"':
            raise self.fault(f"{text} stands between two conditions", "As a word to look for it needs quotes.", at=start)
        search = self.builder.fields.search
        if not search:
            raise self.fault(f"'{text}' stands alone", "Say in which field: name:" + (text or "value") + ".", at=start)
        pattern = plain if re.search(r"(?:^|[^\\])(?:\\\\)*[*?]", plain) else f"*{glob_escape(text)}*"
        where = self.where(start)
        return disjunction([
            self.builder.clause(self.builder.name(field, where), "$like", with_percent_as(pattern, "\\%"), where)
            for field in search
        ])

    def _quoted(self, raw: bool = False) -> str:
        """What stands between quotes. ``raw`` keeps each backslash but one before a quote: so for expressions."""
        start, out = self.at, []
        self.at += 1
        while self.at < len(self.text):
            char = self.text[self.at]
            self.at += 1
            if char == '"':
                return "".join(out)
            if char == "\\" and self.at < len(self.text):
                char = self.text[self.at]
                self.at += 1
                if raw:
                    out.append(char if char == '"' else "\\" + char)
                    continue
                char = {"n": "\n", "t": "\t", "r": "\r"}.get(char, char)
            out.append(char)
        raise self.fault("this quote is never closed", at=start)

    def _word(self, ends: set[str] | None, commas: bool = False) -> tuple[str, str]:
        """A word as it reads, and as a pattern in which what was escaped or quoted still is.

        ``ends``: where a name ends; None reads a value, in which parentheses may be balanced.
        """
        out, pattern, opened = [], [], 0
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == '"' and not out and ends is not None:
                quoted = self._quoted()
                return quoted, glob_escape(quoted)
            if char == "\\" and self.at + 1 < len(self.text):
                self.at += 1
                out.append(self.text[self.at])
                pattern.append("\\" + self.text[self.at])
            elif char.isspace() or (commas and char == ",") or (ends is not None and char in ends):
                break
            elif char == "\\":
                raise self.fault("a backslash at the end takes nothing", "Write it twice.")
            else:
                if ends is None and char == "(":
                    opened += 1
                if ends is None and char == ")":
                    if not opened:
                        break
                    opened -= 1
                out.append(char)
                pattern.append(char)
            self.at += 1
        return "".join(out), "".join(pattern)
