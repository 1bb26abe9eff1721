"""Reads a JSON object strictly: no name twice, no NaN, and every failure with its column."""
from __future__ import annotations

import json
from typing import Any

from shared.kernel.numbers import finite, no_constant
from shared.query.builder import fault


def decode_object(text: str, start: int) -> tuple[Any, int]:
    """The JSON value that begins at ``start``, and where it ends.

    Raises:
        Malformed: ``query.syntax``, ``query.too_deep`` or ``query.bad_operand``, with the column.
    """
    try:
        return _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise fault("syntax", f"column {error.pos + 1}", f"this is not JSON: {error.msg}",
                    "Texts and names stand in double quotes.") from None
    except RecursionError:
        raise fault("too_deep", f"column {start + 1}", "the query is nested too deep") from None
    except ValueError as error:
        raise fault("bad_operand", f"column {start + 1}", f"a number cannot be read: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    if len(body) != len(pairs):
        seen: set[str] = set()
        double = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise fault("syntax", "", f"the name '{double}' stands twice in one object", 'Use {"$and": [...]} for both.')
    return body


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=no_constant, parse_float=finite)
