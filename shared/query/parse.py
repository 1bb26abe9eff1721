"""From what people and programs write to a ``Query``: JSON here, the one-line form in ``shorthand``.

Entry points: ``parse(expression, fields) -> Query`` and ``plain_name(text)``. Touches no data: whether a tag
exists is a question for ``unknown_tags``.
"""
from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from shared.kernel.errors import did_you_mean
from shared.query.builder import CONNECTIVES, OPERATORS, Builder, fault, type_word, unknown_operator
from shared.query.fields import FieldSet
from shared.query.json_text import decode_object
from shared.query.limits import DEFAULT_LIMITS, Limits
from shared.query.shorthand import parse_shorthand
from shared.query.tree import Node, Query, conjunction, depth_of, disjunction, negation
from shared.query.values import with_percent_as


def parse(expression: Any, fields: FieldSet, *, limits: Limits = DEFAULT_LIMITS) -> Query:
    """The query that ``expression`` asks for.

    ``expression``: an object, the text of one, a line of shorthand, a ``Query``, or None or an empty text for
    everything. The kinds of refusal: ``query.syntax``, ``query.unknown_operator``, ``query.unknown_field``,
    ``query.bad_operand``, ``query.too_deep``, ``query.too_long``, ``query.bad_regex``,
    ``query.regex_too_costly``; each names the place by JSON pointer or ``column N``.

    Raises:
        Malformed: the expression is not a query over these fields.
    """
    if expression is None:
        return Query(fields, None)
    if isinstance(expression, Query):
        expression = expression.to_json()
    builder = Builder(fields, limits)
    if isinstance(expression, str):
        if len(expression) > limits.length:
            raise _too_long(limits)
        if expression.lstrip()[:1] == "{":
            body, end = decode_object(expression, len(expression) - len(expression.lstrip()))
            if expression[end:].strip():
                return _finished(builder, parse_shorthand(expression, builder, json_node))
            expression = body
        else:
            return _finished(builder, parse_shorthand(expression, builder, json_node))
    elif isinstance(expression, Mapping):
        _check_length(expression, limits)
    else:
        raise fault("syntax", "", f"a query is an object or a text, not a {type_word(expression)}",
                    'Write {"owner": "darren"} or owner:darren.')
    return _finished(builder, json_node(expression, builder, "", 0) if expression else None)


def plain_name(text: str) -> str | None:
    """The text without its outer blanks when it is a plain id or name (no operator in it), else None.

    ``find`` and its kin use it: a plain name that is not there is 404, a query that matches nothing is not.
    """
    text = text.strip()
    if not text or text[0] in "-{(\"'" or any(char in text for char in ":=<>~(){}\"*?"):
        return None
    return None if {"OR", "AND", "NOT"} & set(text.split()) else text


def _finished(builder: Builder, root: Node | None) -> Query:
    # The depth of the tree is what counts: it is the same for every spelling of one query.
    if root is not None and depth_of(root) > builder.limits.depth:
        raise builder.too_deep("")
    return Query(builder.fields, root)


def _too_long(limits: Limits) -> Exception:
    return fault("too_long", "", f"the query has more than {limits.length} characters", "Split it, or use a tag.")


def _check_length(expression: Mapping[str, Any], limits: Limits) -> None:
    try:
        length = len(json.dumps(expression, ensure_ascii=False))
    except RecursionError:
        raise fault("too_deep", "", f"the query is nested more than {limits.depth} deep") from None
    except (TypeError, ValueError) as error:
        raise fault("bad_operand", "", f"the query holds something that is not JSON: {error}") from None
    # The canonical form of a short line is longer than the line.
    if length > 4 * limits.length:
        raise _too_long(limits)


def _step(where: str, key: str) -> str:
    return f"{where}/{key.replace('~', '~0').replace('/', '~1')}"


def json_node(body: Any, builder: Builder, where: str, depth: int) -> Node:
    """The tree of one JSON object; ``where`` is its pointer (or the column of an object within shorthand)."""
    if not isinstance(body, Mapping):
        raise fault("bad_operand", where, f"a condition is an object, not a {type_word(body)}", 'Write {"name": value}.')
    if not body:
        raise fault("bad_operand", where, "a condition inside a query is not empty", "Leave it out.")
    items: list[Node] = []
    for key, value in body.items():
        if not isinstance(key, str):
            raise fault("syntax", where, f"a name is a text, not a {type_word(key)}")
        at = _step(where, key)
        if key.startswith("$"):
            items.append(_connective(key, value, builder, at, depth))
        else:
            items.append(_conditions(key, value, builder, at, depth))
    return conjunction(items)


def _connective(key: str, value: Any, builder: Builder, where: str, depth: int) -> Node:
    if key not in CONNECTIVES:
        if key in OPERATORS:
            raise fault("syntax", where, f"'{key}' compares a field and stands inside one",
                        'Write {"name": {"' + key + '": ...}}.')
        raise unknown_operator(key, where, CONNECTIVES)
    depth = builder.deeper(depth, where)
    if key == "$not":
        return negation(json_node(value, builder, where, depth))
    if not isinstance(value, (list, tuple)) or not value:
        raise fault("bad_operand", where, f"{key} takes a list of at least one condition")
    parts = [json_node(item, builder, f"{where}/{at}", depth) for at, item in enumerate(value)]
    if key == "$and":
        return conjunction(parts)
    return disjunction(parts) if key == "$or" else negation(disjunction(parts))


def _conditions(key: str, value: Any, builder: Builder, where: str, depth: int) -> Node:
    if key == "tags" and builder.fields.open_tags and isinstance(value, Mapping) and not any(
        isinstance(inner, str) and inner.startswith("$") for inner in value
    ):
        inner = next(iter(value), "owner")
        raise fault("bad_operand", where, "tags are named one by one", f"Write '{inner}' or 'tags.{inner}'.")
    name = builder.name(key, where)
    if not isinstance(value, Mapping):
        return builder.clause(name, "$eq", value, where)
    return _operators(name, value, builder, where, depth)


def _operators(name: Any, body: Mapping[str, Any], builder: Builder, where: str, depth: int) -> Node:
    if not body:
        raise fault("bad_operand", where, "an empty object is not something to compare with")
    items: list[Node] = []
    for op, operand in body.items():
        at = _step(where, str(op))
        if not isinstance(op, str) or not op.startswith("$"):
            meant = did_you_mean(f"${op}", OPERATORS)
            raise fault("bad_operand", where, "an object is not something to compare with",
                        f"Name what is inside it: '{name.text}.{op}'.{meant}")
        if op not in OPERATORS:
            raise unknown_operator(op, at, OPERATORS)
        if op == "$not":
            inner = builder.deeper(depth, at)
            if not isinstance(operand, Mapping):
                raise fault("bad_operand", at, "$not takes an object of operators", 'Use {"$ne": value} for one value.')
            items.append(negation(_operators(name, operand, builder, at, inner)))
        else:
            if op == "$like" and isinstance(operand, str):
                # Who knows SQL writes % for any characters.
                operand = with_percent_as(operand, "*")
            items.append(builder.clause(name, op, operand, at))
    return conjunction(items)
