"""The values that a query compares: numbers, texts, instants, and which JSON can be stored and found again."""
from __future__ import annotations

import datetime
import functools
import math
import re
from typing import Any

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

_ISO = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?"
    r"(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_DAY = 86_400_000_000
_EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()
_FIRST = (1 - _EPOCH_DAY) * _DAY
_LAST = (datetime.date.max.toordinal() + 1 - _EPOCH_DAY) * _DAY - 1
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@functools.lru_cache(maxsize=4096)
def instant(text: str) -> int | None:
    """Microseconds since 1970 in UTC of an ISO 8601 date or date and time; None when the text is neither.

    ``2020-07-01``, ``2020-07-01T10:30``, ``2020-07-01 10:30:00.25+02:00``; without a zone it is UTC. Further
    digits of a second than six are cut. Times outside the years 1 to 9999 (in UTC) are plain text.
    """
    # The cheap refusal first: most texts are not dates, and this runs for each of them.
    if len(text) < 10 or text[4] != "-":
        return None
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        days = datetime.date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    hours, minutes, seconds = int(hour or 0), int(minute or 0), int(second or 0)
    if hours > 23 or minutes > 59 or seconds > 59:
        return None
    micros = int((fraction or "0")[:6].ljust(6, "0"))
    total = days * _DAY + ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros
    if zone and zone != "Z":
        zone_hours, zone_minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
        if zone_hours > 23 or zone_minutes > 59:
            return None
        shift = (zone_hours * 60 + zone_minutes) * 60_000_000
        total -= shift if zone[0] == "+" else -shift
    return total if _FIRST <= total <= _LAST else None


def stamp_of(micros: int) -> str:
    """The fixed-width stamp of ``shared.kernel.clock`` for an instant, which is how time columns hold it."""
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=micros)
    return moment.isoformat(timespec="microseconds") + "Z"


def number(value: int | float) -> int | float:
    """The one form of a number: whole ones within 64 bits as int, all others as float.

    With it, integers keep each of their 64 bits and equal neither neighbour, and ``2.0`` is ``2``.
    """
    if isinstance(value, int):
        if INT64_MIN <= value <= INT64_MAX:
            return value
        try:
            return float(value)
        except OverflowError:
            return math.copysign(1.7976931348623157e308, value)
    if value.is_integer() and INT64_MIN <= value <= INT64_MAX:
        return int(value)
    return value


def is_clean(text: str) -> bool:
    """Whether both databases can hold the text: it has no NUL and no lone surrogate."""
    return _UNSTORABLE.search(text) is None


def clean(text: str) -> str:
    """The text with each NUL and lone surrogate replaced by U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


def storable(value: Any) -> Any:
    """``value`` as JSON that comes back from either database as it went in, so that every engine sees the same.

    NUL and lone surrogates become U+FFFD, NaN and the infinities null, numbers their one form; tuples and sets
    become lists, dates their ISO form, and anything else its text. The catalogue applies it before it stores tags.
    """
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, (int, float)):
        return None if isinstance(value, float) and not math.isfinite(value) else number(value)
    if isinstance(value, dict):
        return {clean(key if isinstance(key, str) else str(key)): storable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [storable(item) for item in value]
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    return clean(str(value))


def glob_pieces(pattern: str) -> list[list[str | None]]:
    """The pattern cut at its ``*``: each piece is a list of characters, None standing for ``?``.

    A backslash takes the next character literally; a last one alone is itself.
    """
    pieces: list[list[str | None]] = [[]]
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\" and at + 1 < len(pattern):
            at += 1
            pieces[-1].append(pattern[at])
        elif char == "*":
            pieces.append([])
        else:
            pieces[-1].append(None if char == "?" else char)
        at += 1
    return pieces


def with_percent_as(pattern: str, meaning: str) -> str:
    """The pattern with each ``%`` that no backslash takes literally written as ``meaning``.

    A tree holds ``*`` where SQL would have ``%``, and a literal ``%`` as ``\\%``: so it reads the same in JSON.
    """
    return re.sub(r"\\.|%", lambda found: meaning if found[0] == "%" else found[0], pattern, flags=re.S)


def glob_escape(text: str) -> str:
    """The pattern that matches exactly ``text``."""
    return re.sub(r"([\\*?])", r"\\\1", text)


def after_prefix(prefix: str) -> str | None:
    """The least text that sorts after every text with this prefix, or None when there is none."""
    for at in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[at])
        if code < 0x10FFFF:
            return prefix[:at] + chr(0xE000 if code == 0xD7FF else code + 1)
    return None
