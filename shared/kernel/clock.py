"""Time, in one form: RFC 3339 in UTC with six digits, so that the order of the text is the order in time."""
from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

_DURATION = re.compile(
    r"^P(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?$"
)
_SHORT = re.compile(r"^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)$")
_CALENDAR = re.compile(r"^P\d+[YM]")
_LONGEST_DAYS = 36_525
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class UnusableDuration(ValueError):
    """What is a duration, and has no length that can be used."""


def utc_now() -> datetime:
    """The present moment, with its zone."""
    return datetime.now(timezone.utc)


def stamp(moment: datetime | None = None) -> str:
    """``moment`` (default: now) as ``2026-11-24T18:33:14.123456Z``; a naive one is taken as UTC."""
    moment = utc_now() if moment is None else moment
    if moment.tzinfo is not None and moment.tzinfo is not timezone.utc:
        moment = moment.astimezone(timezone.utc)
    return moment.isoformat(timespec="microseconds")[:26] + "Z"


def stamp_in(seconds: float) -> str:
    """The stamp of the moment ``seconds`` from now; one that no calendar has becomes the last that it has."""
    try:
        return stamp(utc_now() + timedelta(seconds=seconds))
    except OverflowError:
        if seconds < 0:
            raise
        return stamp(datetime.max)


def parse_time(text: str) -> datetime:
    """A date or a date and time in ISO 8601; without a zone it is UTC.

    Raises:
        ValueError: the text is neither.
    """
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)


def from_epoch(seconds: float) -> datetime:
    """The moment so many seconds after 1970-01-01; one that no calendar has becomes the last that it has."""
    try:
        return datetime.fromtimestamp(seconds, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return datetime.max.replace(tzinfo=timezone.utc)


def parse_duration(text: str | int | float) -> float:
    """Seconds in an ISO 8601 duration (``PT1H30M``), a short form (``90m``, ``1.5h``) or a bare number of seconds.

    Raises:
        ValueError: the text is none of these, or negative; ``UnusableDuration``: longer than a hundred years, or in years or months.
    """
    seconds = _seconds(text)
    if not seconds <= _LONGEST_DAYS * 86400:
        raise UnusableDuration(f"'{str(text)[:40]}' is longer than a hundred years")
    return seconds


def _seconds(text: str | int | float) -> float:
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        if text < 0:
            raise ValueError("a duration cannot be negative")
        return float(min(text, 1e300))
    text = str(text).strip()
    short = _SHORT.match(text)
    if short:
        return float(short.group(1)) * _UNITS[short.group(2)]
    long = _DURATION.match(text)
    if long and any(long.groupdict().values()):
        lengths = {"weeks": 604800, "days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}
        return sum(float(value or 0) * lengths[name] for name, value in long.groupdict().items())
    if _CALENDAR.match(text):
        raise UnusableDuration(f"'{text[:40]}' counts in years or months, which have no one length; write days, such as P30D")
    raise ValueError(f"'{text}' is not a duration such as PT1H30M or 90m")


def parse_when(text: str | int | float) -> str:
    """The stamp of a time, or of the moment that lies a duration from now.

    Raises:
        ValueError: the text is neither a time nor a duration.
    """
    if isinstance(text, str):
        try:
            return stamp(parse_time(text))
        except ValueError:
            pass
    try:
        return stamp_in(parse_duration(text))
    except UnusableDuration:
        raise
    except (ValueError, OverflowError):
        raise ValueError(f"'{text}' is neither a time (2026-07-01T12:00:00Z) nor a duration (PT1H30M, 90m)") from None
