"""JSON as it travels: fast for what is usual, and right for what is not. Knows plain JSON only, no dates, no classes."""
from __future__ import annotations

import json
from typing import Any

import kombu.serialization
import orjson

from shared.kernel.numbers import finite, no_constant

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
_USUAL = "application/json"
_UTF8 = (None, "", "utf-8", "utf8", "binary")


class Undecodable(ValueError):
    """The body of a message is not the JSON that it should be."""


def encode(value: Any) -> bytes:
    """JSON in UTF-8.

    Raises:
        TypeError, ValueError: the value is not plain JSON.
    """
    try:
        return orjson.dumps(value, option=_OPTIONS)
    except TypeError:
        # Integers beyond 64 bits and lone surrogates: the standard library can.
        return json.dumps(value, allow_nan=False).encode()


def decode(body: bytes | str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError, RecursionError: it is none.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # A lone surrogate is no reason to lose a message.
        return json.loads(bytes(body) if isinstance(body, memoryview) else body, parse_constant=no_constant, parse_float=finite)


def decode_as(body: bytes | str, content_type: str | None, content_encoding: str | None) -> Any:
    """The value of a message body, where its content type says that it is JSON or says nothing.

    Raises:
        Undecodable: another content type, an unknown charset, or broken JSON.
    """
    charset = content_encoding
    if content_type != _USUAL:
        kind, _, parameters = (content_type or _USUAL).partition(";")
        kind = kind.strip().lower()
        if kind != _USUAL and not kind.endswith("+json"):
            raise Undecodable(f"the content type is {content_type}, not application/json")
        for parameter in parameters.split(";"):
            name, _, value = parameter.strip().partition("=")
            if name.lower() == "charset":
                charset = value.strip("\"' ")
    try:
        if isinstance(body, (bytes, memoryview)) and (charset or "").lower() not in _UTF8:
            body = bytes(body).decode(charset)
        return decode(body)
    except (ValueError, LookupError, RecursionError) as error:
        raise Undecodable(f"the body is not JSON: {error}") from error


def register_json() -> None:
    """Make this kombu's serializer for ``application/json``."""
    kombu.serialization.register("json", encode, decode, content_type="application/json", content_encoding="utf-8")
