"""Metadata of one item: cleaned so that JSON, SQLite and PostgreSQL can hold it, and bounded.

An item has at most TAG_LIMIT tags (leaves counted, nested ones too) in at most TAG_BYTES bytes of JSON, nested at most
TAG_DEPTH deep. Tags of an item that has more are left out whole, with a problem; the item stays. Reads no file.
"""
from __future__ import annotations

import datetime
import decimal
import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from shared.kernel.clock import stamp
from shared.kernel.errors import did_you_mean

TAG_LIMIT = 10_000
TAG_BYTES = 256 * 1024
TAG_DEPTH = 16
TYPES = ("file", "dir", "object", "table", "stream")
FIELDS = ("type", "media_type", "checksum", "size", "modified_at", "name")

_CHECKSUM = re.compile(r"^sha256:[0-9a-f]{64}$")
_SURROGATE = re.compile("[\ud800-\udfff\0]")


class BadTags(ValueError):
    """Tags that cannot be kept; ``code`` is ``source.bad_tags`` or ``source.too_many_tags``."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


def clean_tags(tags: Mapping[Any, Any]) -> dict[str, Any]:
    """The tags as JSON: keys are texts, dates are stamps or ISO dates, decimals are numbers.

    Raises:
        BadTags: NUL or lone surrogates, NaN or infinity, bytes, or more than the bounds.
    """
    budget = [TAG_LIMIT]
    cleaned = _clean(tags, budget, TAG_DEPTH)
    size = len(orjson.dumps(cleaned))
    if size > TAG_BYTES:
        raise BadTags("source.too_many_tags", f"has {size:,} bytes of tags; at most {TAG_BYTES:,} are kept")
    return cleaned


def _clean(value: Any, budget: list[int], depth: int) -> Any:
    budget[0] -= 1
    if budget[0] < -1:
        raise BadTags("source.too_many_tags", f"has more than {TAG_LIMIT:,} tags")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else _number(float(value) if abs(value) < 10**300 else math.inf)
    if isinstance(value, (float, decimal.Decimal)):
        return _number(float(value))
    if isinstance(value, datetime.datetime):
        return stamp(value)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if depth == 0:
        raise BadTags("source.bad_tags", f"has tags nested deeper than {TAG_DEPTH}")
    if isinstance(value, Mapping):
        return {_key(key): _clean(inner, budget, depth - 1) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_clean(inner, budget, depth - 1) for inner in value]
    raise BadTags("source.bad_tags", f"has a tag of a kind that JSON does not know ({type(value).__name__})")


def _key(key: Any) -> str:
    text = key if isinstance(key, str) else "null" if key is None else str(key).lower() if isinstance(key, bool) else str(key)
    if len(text) > 1024:
        raise BadTags("source.bad_tags", f"has a tag whose name is longer than 1,024 characters ({text[:40]}…)")
    return _text(text)


def _text(text: str) -> str:
    if text.isascii() and "\0" not in text or not _SURROGATE.search(text):
        return text
    raise BadTags("source.bad_tags", f"has a tag with a NUL or half a character in it ({_SURROGATE.sub('?', text)[:40]!r})")


def _number(value: float) -> float:
    if not math.isfinite(value):
        raise BadTags("source.bad_tags", "has a tag that is not a finite number")
    return value


def described(row: Mapping[Any, Any], taken: Iterable[str] = ("type", "media_type", "checksum")) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields and the tags in a description ``{type?, media_type?, checksum?, tags{}?, any further tag}``.

    A key of ``taken`` whose value does not fit the field (``type: scan``) is a tag like any other.

    Raises:
        BadTags: as ``clean_tags``, or ``tags`` is not a mapping.
    """
    fields: dict[str, Any] = {}
    tags: dict[Any, Any] = {}
    for key, value in row.items():
        if key == "tags" and value is not None:
            if not isinstance(value, Mapping):
                raise BadTags("source.bad_tags", f"has 'tags' that are not a mapping but {type(value).__name__}")
            tags.update(value)
        elif key in taken and _fits(key, value):
            fields[key] = stamp(value) if isinstance(value, datetime.datetime) else value
        elif key != "tags":
            tags.setdefault(key, value)
    return fields, clean_tags(tags)


def _fits(field: Any, value: Any) -> bool:
    if field == "type":
        return value in TYPES if isinstance(value, str) else False
    if field == "media_type":
        return isinstance(value, str) and "/" in value and not _SURROGATE.search(value) and len(value) <= 255
    if field == "checksum":
        return isinstance(value, str) and bool(_CHECKSUM.match(value))
    if field == "size":
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62
    if field == "modified_at":
        return isinstance(value, datetime.datetime)
    return isinstance(value, str) and bool(value) and not _SURROGATE.search(value)


def wrong_type(value: Any) -> str:
    """Why ``value`` is no type of an item."""
    return f"has the type {value!r}; the types are {', '.join(TYPES)}.{did_you_mean(str(value), TYPES)}"


def folder_tags(folder: str) -> dict[str, Any]:
    """What the folders of a path say: ``folder`` (the whole parent), ``folders`` (its parts), and each part of the
    form ``key=value`` as a tag of its own (a number when it looks like one). Items at the root have none."""
    if not folder:
        return {}
    parts = folder.split("/")
    tags: dict[str, Any] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if equals and key and value:
            tags[key] = plain_value(value)
    return {**tags, "folder": folder, "folders": parts}


_NUMBER = re.compile(r"^-?(0|[1-9]\d{0,17})(\.\d{1,17})?([eE][-+]?\d{1,2})?$")


def plain_value(text: str) -> Any:
    """A number or a boolean where the text is plainly one, otherwise the text; ``007`` stays a text."""
    if _NUMBER.match(text):
        return int(text) if text.lstrip("-").isdigit() else float(text)
    return {"true": True, "false": False}.get(text.lower(), text)


def fingerprint(*parts: Any) -> str:
    """16 hexadecimal digits that change when any part does; the parts are JSON."""
    return hashlib.blake2b(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()
