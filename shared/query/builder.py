"""Makes clauses for both notations: looks names up, checks operands by type, and counts against the limits."""
from __future__ import annotations

import math
import re
from typing import Any

import re2

from shared.kernel.errors import Malformed, did_you_mean
from shared.query.fields import FieldSet, Name
from shared.query.limits import Limits
from shared.query.tree import Clause, Node
from shared.query.values import INT64_MAX, INT64_MIN, instant, is_clean, number

ORDER = ("$gt", "$gte", "$lt", "$lte")
LISTS = ("$in", "$nin", "$all")
TEXTS = ("$prefix", "$like", "$regex")
OPERATORS = ("$eq", "$ne", *ORDER, "$in", "$nin", "$exists", "$all", "$size", *TEXTS, "$not")
CONNECTIVES = ("$and", "$or", "$nor", "$not")
_TYPES = {str: "text", bool: "boolean", int: "number", float: "number", type(None): "null", list: "list", dict: "object"}


def type_word(value: Any) -> str:
    """What a person calls the type of a JSON value."""
    return _TYPES.get(type(value), type(value).__name__)


def fault(code: str, where: str, detail: str, next_step: str = "", **extra: Any) -> Malformed:
    """A refusal that says where: ``where`` is a JSON pointer or ``column N``."""
    place = f" (at {where})" if where else ""
    detail = detail[:1].upper() + detail[1:]
    return Malformed(
        f"query.{code}", f"{detail}{place}.", next_step=next_step, errors=[{"pointer": where, "detail": detail}], **extra
    )


def compiled_regex(pattern: str) -> Any:
    """The RE2 program; searches anywhere in the text, upper and lower case differ unless ``(?i)`` is in it."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 8 << 20
    return re2.compile(pattern, options=options)


class Builder:
    """One per parsed query: it holds the counts."""

    def __init__(self, fields: FieldSet, limits: Limits) -> None:
        self.fields, self.limits = fields, limits
        self._clauses = self._values = self._regexes = 0

    def too_deep(self, where: str) -> Malformed:
        return fault("too_deep", where, f"the query is nested more than {self.limits.depth} deep",
                     "Write it with fewer levels of $and, $or, $nor and $not.")

    def deeper(self, depth: int, where: str) -> int:
        """``depth`` + 1 while reading. Levels that the tree does not keep are let through, within reason."""
        if depth >= 4 * self.limits.depth:
            raise self.too_deep(where)
        return depth + 1

    def name(self, text: str, where: str) -> Name:
        """The field or tag that ``text`` names."""
        if len(text) > self.limits.name_length:
            raise fault("too_long", where, f"a name has {len(text)} characters, more than {self.limits.name_length}")
        if text.count(".") >= self.limits.name_segments:
            raise fault("too_deep", where, f"a name has more than {self.limits.name_segments} parts")
        if not is_clean(text):
            raise fault("bad_operand", where, "a name holds a NUL or half of a surrogate pair")
        return self.fields.resolve(text, where)

    def clause(self, name: Name, op: str, value: Any, where: str) -> Node:
        """A checked clause; ``op`` is known to be one of ``OPERATORS`` other than ``$not``."""
        self._clauses += 1
        if self._clauses > self.limits.clauses:
            raise fault("too_long", where, f"the query has more than {self.limits.clauses} clauses")
        if op == "$exists":
            if not isinstance(value, bool):
                raise fault("bad_operand", where, f"$exists takes true or false, not a {type_word(value)}")
            return Clause(name, op, value)
        if op == "$size":
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= INT64_MAX:
                raise fault("bad_operand", where, "$size takes a whole number from 0")
            if not name.is_many:
                raise fault("bad_operand", where, f"'{name.text}' is a {name.kind} and has no $size")
            return Clause(name, op, value)
        if op in LISTS:
            return Clause(name, op, self._list(name, op, value, where))
        if op in TEXTS:
            return Clause(name, op, self._pattern(name, op, value, where))
        checked = self._scalar(name, value, where)
        if op in ORDER:
            if checked is None or isinstance(checked, bool):
                raise fault("bad_operand", where, f"{op} compares numbers, texts and times; {type_word(value)} has no order")
            if name.kind == "boolean" and not name.below:
                raise fault("bad_operand", where, f"'{name.text}' is true or false and has no order")
        return Clause(name, op, checked)

    def _list(self, name: Name, op: str, values: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(values, (list, tuple)):
            raise fault("bad_operand", where, f"{op} takes a list, not a {type_word(values)}",
                        "Write {\"" + op + "\": [...]}.")
        self._values += len(values)
        if self._values > self.limits.values:
            raise fault("too_long", where, f"the lists of the query hold more than {self.limits.values} values")
        if op == "$all" and not values:
            raise fault("bad_operand", where, "$all takes at least one value")
        return tuple(self._scalar(name, value, f"{where}/{at}" if where.startswith("/") else where)
                     for at, value in enumerate(values))

    def _pattern(self, name: Name, op: str, value: Any, where: str) -> str:
        if not isinstance(value, str):
            raise fault("bad_operand", where, f"{op} takes a text, not a {type_word(value)}")
        if name.kind in ("number", "boolean", "time") and not name.below:
            raise fault("bad_operand", where, f"'{name.text}' is a {name.kind}; {op} works on text")
        self._text(value, where)
        if op == "$like" and len(value) > self.limits.pattern_length:
            raise fault("too_long", where, f"the pattern has more than {self.limits.pattern_length} characters")
        if op == "$regex":
            self._check_regex(value, where)
        return value

    def _check_regex(self, pattern: str, where: str) -> None:
        self._regexes += 1
        if self._regexes > self.limits.regexes:
            raise fault("regex_too_costly", where, f"the query has more than {self.limits.regexes} regular expressions")
        if len(pattern) > self.limits.regex_length:
            raise fault("regex_too_costly", where,
                        f"the regular expression has more than {self.limits.regex_length} characters")
        try:
            program = compiled_regex(pattern)
        except re2.error as error:
            reason = error.args[0] if error.args else "it cannot be compiled"
            reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
            code = "regex_too_costly" if re.search("too large|too complex|repetition size", reason) else "bad_regex"
            raise fault(code, where, f"the regular expression is refused: {reason}",
                        "RE2 syntax has no look-around and no back-references.") from None
        if program.programsize > self.limits.regex_program:
            raise fault("regex_too_costly", where,
                        f"the regular expression compiles to {program.programsize} instructions,"
                        f" more than {self.limits.regex_program}", "Use smaller repetitions.")

    def _text(self, value: str, where: str) -> str:
        if not is_clean(value):
            raise fault("bad_operand", where, "a text holds a NUL or half of a surrogate pair, which no stored text has")
        return value

    def _scalar(self, name: Name, value: Any, where: str) -> Any:
        """The operand in its one form, checked against the kind of the field."""
        if value is None:
            return None
        if isinstance(value, dict):
            inner = next(iter(value), "name")
            raise fault("bad_operand", where, "an object is not something to compare with",
                        f"Name what is inside it: '{name.text}.{inner}'.")
        if isinstance(value, (list, tuple)):
            raise fault("bad_operand", where, "a list is not something to compare with", "Use $in (any of) or $all (all of).")
        if isinstance(value, bool):
            word = "boolean"
        elif isinstance(value, (int, float)):
            word = "number"
            if isinstance(value, float) and not math.isfinite(value):
                raise fault("bad_operand", where, "NaN and Infinity are not numbers that data can have")
            if isinstance(value, int) and not INT64_MIN <= value <= INT64_MAX:
                raise fault("bad_operand", where, "a whole number needs more than 64 bits")
            value = number(value)
        elif isinstance(value, str):
            word = "text"
            self._text(value, where)
        else:
            raise fault("bad_operand", where, f"a {type(value).__name__} is not a JSON value")
        wanted = "any" if name.is_open else {"ref": "text", "refs": "text"}.get(name.kind, name.kind)
        if wanted == "time":
            if word != "text" or instant(value) is None:
                raise fault("bad_operand", where, f"'{name.text}' is a time; {value!r} is not a date such as"
                            " 2020-07-01 or 2020-07-01T12:00:00Z")
        elif wanted not in ("any", word):
            hint = " In JSON sizes are plain numbers of bytes." if name.unit == "bytes" and word == "text" else ""
            raise fault("bad_operand", where, f"'{name.text}' is a {wanted}, and a {word} never equals one",
                        f"Write a {wanted}.{hint}")
        return value


def unknown_operator(op: str, where: str, known: tuple[str, ...]) -> Malformed:
    """The refusal of an operator that does not exist, with the nearest one."""
    return fault("unknown_operator", where, f"'{op}' is not an operator.{did_you_mean(op, known)}".rstrip("."),
                 f"Operators: {' '.join(known)}.")


