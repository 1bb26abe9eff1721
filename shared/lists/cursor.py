"""Cursors: where a list goes on, as an opaque text that belongs to one list and one order.

Holds a position only: no rights, no secrets. The sum in it finds accidents, not attackers; so what comes out of a
cursor is checked like any other input.
"""
from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any

import orjson

from shared.kernel.errors import Invalid, Malformed

LENGTH = 8192
_NEXT_STEP = "Use the `next` of the page before as it is, with the same filters, or leave the cursor out."


def fingerprint(*parts: Any) -> str:
    """A short text that is the same for the same list: class, owner and filters."""
    # The standard library's JSON also takes the odd texts that are refused only later.
    return _digest(json.dumps(parts, sort_keys=True, default=str).encode())


def write(of: str, sort: str, after: Sequence[Any]) -> str:
    """The cursor behind the row whose sort keys are ``after``."""
    body = {"of": of, "sort": sort, "after": [_plain(key) for key in after]}
    body["sum"] = _digest(orjson.dumps(body))
    return base64.urlsafe_b64encode(orjson.dumps(body)).decode().rstrip("=")


def read(text: str, of: str, sort: str | None) -> tuple[str, list[Any]]:
    """The sort order and the keys in a cursor; without ``sort`` any order will do.

    Raises:
        Malformed: ``cursor.invalid``, it is no cursor, or was changed.
        Invalid: ``cursor.invalid``, it belongs to another list or order.
    """
    body = _decoded(text)
    if body["of"] != of or (sort is not None and body["sort"] != sort):
        raise _refusal(Invalid, "The cursor belongs to another list, or to another order of it.")
    return body["sort"], body["after"]


def fits(value: Any, kind: str) -> bool:
    """Whether a key out of a cursor can be compared with an attribute of this kind."""
    if value is None:
        return True
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in ("number", "count"):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return math.isfinite(value) and -2**63 <= value < 2**63 if isinstance(value, int) else math.isfinite(value)
    return isinstance(value, str) and "\x00" not in value


def not_a_cursor() -> Malformed:
    """The refusal of something that is no cursor of this product."""
    return _refusal(Malformed, "The cursor cannot be read.")


def _decoded(text: str) -> dict[str, Any]:
    if len(text) > LENGTH:
        raise not_a_cursor()
    try:
        body = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise not_a_cursor() from None
    if not isinstance(body, dict) or set(body) != {"of", "sort", "after", "sum"}:
        raise not_a_cursor()
    total = body.pop("sum")
    if total != _digest(orjson.dumps(body)) or not isinstance(body["after"], list) or not isinstance(body["sort"], str):
        raise not_a_cursor()
    return body


def _refusal(kind: type, detail: str) -> Any:
    return kind("cursor.invalid", detail, next_step=_NEXT_STEP, errors=[{"pointer": "/cursor", "detail": detail}])


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def _plain(key: Any) -> Any:
    if key is None or isinstance(key, (str, bool, int, float)):
        return key
    # Sums come as decimals from PostgreSQL.
    return int(key) if key == int(key) else float(key)
