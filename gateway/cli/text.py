"""Text as a terminal shows it: widths, cuts, safe characters, and figures for people. Knows no object."""
from __future__ import annotations

import json
import re
import unicodedata
from datetime import datetime, timezone
from typing import Any

# Characters that move the cursor, hide text or turn its direction: a name must not be able to do that to a terminal.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def clean(text: str) -> str:
    """The text on one line, with every character that could act on a terminal written as an escape."""
    return _UNSAFE.sub(lambda found: _ESCAPES.get(found[0]) or _escape(ord(found[0])), text)


def _escape(point: int) -> str:
    return f"\\x{point:02x}" if point < 256 else f"\\u{point:04x}"


def width(text: str) -> int:
    """How many columns the text takes: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def cut(text: str, columns: int, middle: bool = False) -> str:
    """The text in at most ``columns`` columns, with an ellipsis where something is missing."""
    if width(text) <= columns:
        return text
    if columns <= 1:
        return "…"[:columns]
    if middle:
        head = _take(text, (columns - 1) // 3)
        tail = _take(text[::-1], columns - 1 - width(head))[::-1]
        return f"{head}…{tail}"
    return _take(text, columns - 1) + "…"


def _take(text: str, columns: int) -> str:
    taken = 0
    for place, char in enumerate(text):
        taken += width(char)
        if taken > columns:
            return text[:place]
    return text


def pad(text: str, columns: int, right: bool = False) -> str:
    """The text filled up with spaces to ``columns`` columns."""
    space = " " * max(0, columns - width(text))
    return space + text if right else text + space


def bytes_text(size: Any) -> str:
    """A number of bytes for people, such as ``1.2 GiB``; a dash when it is not known."""
    if not isinstance(size, (int, float)) or isinstance(size, bool):
        return "-"
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        # What would be written as 1024.0 is one of the next unit.
        if round(abs(value), 1) < 1024 or unit == "PiB":
            return f"{int(value)} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def seconds_text(seconds: float) -> str:
    """A span for people, in its one or two largest units: ``250 ms``, ``42 s``, ``3 min``, ``5 h``, ``12 d``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for limit, unit, name in ((100, 1, "s"), (6000, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86400:.0f} d"


def moment_of(stamp: Any) -> datetime | None:
    """The moment of an RFC 3339 text, or None when it is not one."""
    try:
        moment = datetime.fromisoformat(stamp)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def age_text(stamp: Any) -> str:
    """How long ago a moment was, or in how long it will be; a dash when it is not known."""
    moment = moment_of(stamp)
    if moment is None:
        return "-"
    seconds = (datetime.now(timezone.utc) - moment).total_seconds()
    if -1 <= seconds < 1:
        return "0 s"
    return seconds_text(round(seconds)) if seconds > 0 else f"in {seconds_text(-seconds)}"


def compact(value: Any) -> str:
    """A JSON value on one line; text as it is."""
    return clean(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
