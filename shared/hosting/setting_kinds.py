"""Kinds of settings: what a value may look like, in a file and in an environment variable, and what it becomes."""
from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, fields
from marshmallow.validate import OneOf, Range

from shared.kernel.clock import parse_duration


class Words(fields.List):
    """A list of texts, written as a list or, as environment variables must, separated by commas; each one of ``known``, if any."""

    def __init__(self, *known: str) -> None:
        super().__init__(fields.String(validate=OneOf(known) if known else None))

    def _deserialize(self, value: Any, attr: Any, data: Any, **more: Any) -> tuple[str, ...]:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        return tuple(super()._deserialize(value, attr, data, **more))


class Networks(Words):
    """Addresses and networks, such as 10.0.0.0/8."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **more: Any) -> tuple[str, ...]:
        found = super()._deserialize(value, attr, data, **more)
        for text in found:
            try:
                ip_network(text, strict=False)
            except ValueError:
                raise ValidationError(f"'{text}' is no address or network such as 10.0.0.0/8.") from None
        return found


class Rates(Words):
    """How often something may be done: ``100/second``, ``6000/minute``, ``20 per 5 minutes``; none is no bound."""

    _RATE = re.compile(r"[1-9]\d{0,8}\s*(/|per)\s*(\d+\s*)?(second|minute|hour|day)s?", re.IGNORECASE)

    def _deserialize(self, value: Any, attr: Any, data: Any, **more: Any) -> tuple[str, ...]:
        found = super()._deserialize(value, attr, data, **more)
        for text in found:
            if not self._RATE.fullmatch(text.strip()):
                raise ValidationError(f"'{text}' is no rate such as 100/second or 6000/minute.")
        return found


class Seconds(fields.Field):
    """A duration as a number of seconds or as ``90m``; at least ``least``, at most ``most`` seconds."""

    def __init__(self, least: float = 0, most: float | None = None) -> None:
        super().__init__(validate=Range(min=least, max=most))

    def _deserialize(self, value: Any, attr: Any, data: Any, **more: Any) -> float:
        try:
            return parse_duration(float(value) if str(value).replace(".", "", 1).isdigit() else value)
        except (ValueError, TypeError) as error:
            raise ValidationError(str(error)) from error


class Waits(fields.List):
    """The seconds before each further attempt."""

    def __init__(self) -> None:
        super().__init__(Seconds())

    def _deserialize(self, value: Any, attr: Any, data: Any, **more: Any) -> tuple[float, ...]:
        return tuple(super()._deserialize(value.split(",") if isinstance(value, str) else value, attr, data, **more))


class Budgets(fields.Field):
    """Budgets by owner, ``*`` for everybody else: ``{owner: {period, bytes, money}}``; a figure that is not given has no bound.

    Becomes ``{owner: {"period_s", "bytes", "money"}}``. Bytes are a whole number, or a text such as ``10GiB``.
    """

    def _deserialize(self, value: Any, attr: Any, data: Any, **more: Any) -> dict[str, dict[str, Any]]:
        if not isinstance(value or {}, Mapping):
            raise ValidationError("Budgets are a mapping from owners, or '*', to {period, bytes, money}.")
        return {str(owner): self._budget(str(owner), given) for owner, given in (value or {}).items()}

    @staticmethod
    def _budget(owner: str, given: Any) -> dict[str, Any]:
        if not isinstance(given, Mapping):
            raise ValidationError(f"The budget of '{owner}' is a mapping {{period, bytes, money}}.")
        for name in given:
            if name not in ("period", "bytes", "money"):
                raise ValidationError(f"The budget of '{owner}' has no member '{name}'; it has period, bytes and money.")
        try:
            period_s = Seconds(1).deserialize(given.get("period", "30d"))
            size = given.get("bytes")
            size = None if size is None else size_of(size) if isinstance(size, str) else count().deserialize(size)
        except (ValidationError, ValueError) as error:
            said = " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
            raise ValidationError(f"The budget of '{owner}': {said}") from None
        money = given.get("money")
        if money is not None and (isinstance(money, (bool, str)) or not 0 <= money < float("inf")):
            raise ValidationError(f"The budget of '{owner}': money is a number from 0.")
        return {"period_s": period_s, "bytes": size, "money": money}


class Quotas(fields.Field):
    """What owners may have at a time, ``*`` for everybody else: ``{owner: {requests, instances, bytes}}``.

    Bytes are a whole number, or a text such as ``10GiB``. Becomes ``{owner: {name: number}}``; what is not given has no bound.
    """

    def _deserialize(self, value: Any, attr: Any, data: Any, **more: Any) -> dict[str, dict[str, int]]:
        if not isinstance(value or {}, Mapping):
            raise ValidationError("Quotas are a mapping from owners, or '*', to {requests, instances, bytes}.")
        return {str(owner): self._quota(str(owner), given) for owner, given in (value or {}).items()}

    @staticmethod
    def _quota(owner: str, given: Any) -> dict[str, int]:
        if not isinstance(given, Mapping) or not set(given) <= {"requests", "instances", "bytes"}:
            raise ValidationError(f"The quota of '{owner}' is a mapping {{requests, instances, bytes}}.")
        try:
            return {name: size_of(size) if isinstance(size, str) and name == "bytes" else count().deserialize(size)
                    for name, size in given.items() if size is not None}
        except (ValidationError, ValueError) as error:
            said = " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
            raise ValidationError(f"The quota of '{owner}': {said}") from None


def size_of(text: str) -> int:
    """Bytes in a text such as ``10GiB``, ``500MB`` or ``1024``.

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGTP]?)(i?)B?", text.strip(), re.IGNORECASE)
    if not found:
        raise ValueError(f"'{text}' is not a number of bytes such as 10GiB.")
    base = 1024 if found[3] else 1000
    return int(float(found[1]) * base ** " KMGTP".index(found[2].upper() or " "))


class Address(fields.String):
    """A URL with one of the given schemes; its password is never shown. Empty where ``empty`` allows it."""

    def __init__(self, *schemes: str, empty: bool = False) -> None:
        super().__init__()
        self.schemes, self.empty = schemes, empty

    def _deserialize(self, value: Any, attr: Any, data: Any, **more: Any) -> str:
        text = super()._deserialize(value, attr, data, **more).strip()
        if not text and self.empty:
            return text
        if urlsplit(text).scheme not in self.schemes:
            raise ValidationError(f"This is not a URL that begins with {', '.join(f'{s}://' for s in self.schemes)}.")
        return text


def count(least: int = 0, most: int | None = None) -> fields.Integer:
    """A whole number within bounds, both included."""
    return fields.Integer(validate=Range(min=least, max=most))


def key(kind: fields.Field, *, secret: bool = False) -> Any:
    """A setting that is checked as ``kind``; a secret one is never shown."""
    return field(metadata={"kind": kind, "secret": secret}, repr=not (secret or isinstance(kind, Address)))
