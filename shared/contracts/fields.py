"""Kinds of value that parameters and objects are made of, over marshmallow's.

A parameter may come from a query string, a form, a JSON body or an RPC, with one meaning; so each kind takes
its JSON form and the text of it.
"""
from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, validate

from shared.kernel import clock, ids
from shared.kernel.errors import did_you_mean

NAME_LENGTH = 200


def json_value(text: str) -> Any:
    """The value of a JSON text; a ValidationError that says where it breaks."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValidationError(f"Not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise ValidationError("Not valid JSON: nested too deeply.") from None


def check_name(value: str) -> str:
    """A name of an object: 1 to 200 printable characters that do not look like an id."""
    if not value.strip():
        raise ValidationError("A name cannot be empty.")
    if len(value) > NAME_LENGTH:
        raise ValidationError(f"A name has at most {NAME_LENGTH} characters, this one has {len(value)}.")
    if any(ord(char) < 32 or ord(char) == 127 or 0xD800 <= ord(char) < 0xE000 for char in value):
        raise ValidationError("A name cannot hold control characters such as a newline, a tab or NUL.")
    if value != value.strip():
        raise ValidationError("A name cannot begin or end with a space.")
    if ids.is_id(value):
        raise ValidationError(f"A name may not look like an id ('{value}').")
    return value


class Name(fields.String):
    """The name of an object: 1 to 200 characters, no control characters, not shaped like an id."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        return check_name(super()._deserialize(value, attr, data, **kwargs))


class Ref(fields.Field):
    """An id, a name, or an object with one of them; becomes the id or name as text."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        if isinstance(value, Mapping):
            value = value.get("id") or value.get("name")
        if not isinstance(value, str) or not value.strip():
            raise ValidationError("An id or a name is needed here.")
        if "\x00" in value:
            raise ValidationError("An id or a name cannot hold a NUL byte.")
        return value


class RefOrInline(fields.Field):
    """An id, a name, or a whole object given inline (an object, or its JSON text); becomes text or a dict."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str | dict[str, Any]:
        if isinstance(value, str):
            text = value.strip()
            if text.startswith("{"):
                value = json_value(text)
            elif text.startswith('"'):
                value = json_value(text)
        if isinstance(value, Mapping):
            if not value:
                raise ValidationError("The object is empty.")
            if set(value) <= {"id", "name"} and isinstance(value.get("id"), str):
                return value["id"]
            return dict(value)
        if not isinstance(value, str) or not value.strip() or "\x00" in value:
            raise ValidationError("An id, a name or an object is needed here.")
        return value


class Expression(fields.Field):
    """A query: an object, its JSON text, or the one-line shorthand. Parsed by the service that runs it."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        if value is None or isinstance(value, (str, Mapping)):
            return value
        raise ValidationError("A query is an object, its JSON text, or a line such as owner:darren size>1GB.")


class JsonObject(fields.Field):
    """An object, or its JSON text; becomes a dict."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> dict[str, Any]:
        if isinstance(value, str):
            value = json_value(value)
        if not isinstance(value, Mapping):
            raise ValidationError("An object is needed here, such as {\"key\": \"value\"}.")
        return dict(value)


class JsonList(fields.Field):
    """A list, or its JSON text."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> list[Any]:
        if isinstance(value, str):
            value = json_value(value)
        if not isinstance(value, list):
            raise ValidationError("A list is needed here, such as [].")
        return value


class TextOrObject(fields.Field):
    """An object, or a text that the service reads (YAML)."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, (str, Mapping)) and value:
            return value
        raise ValidationError("An object, or its YAML text, is needed here.")


class Duration(fields.Field):
    """A duration (``PT1H``, ``90m``, seconds); becomes seconds as a float."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> float:
        try:
            return clock.parse_duration(value)
        except (ValueError, OverflowError) as error:
            raise ValidationError(f"{error}.") from None


class When(fields.Field):
    """A time, or a duration from now; becomes a stamp."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        try:
            return clock.parse_when(value)
        except (ValueError, OverflowError, TypeError) as error:
            raise ValidationError(f"{error}.") from None


class Since(fields.Field):
    """A time, or a duration back from now; becomes a stamp."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        try:
            return clock.stamp_in(-clock.parse_duration(value))
        except (ValueError, OverflowError):
            pass
        try:
            return clock.stamp(clock.parse_time(str(value)))
        except (ValueError, OverflowError, TypeError):
            raise ValidationError(f"'{value}' is neither a duration (30d, PT1H) nor a time (2026-07-01T12:00:00Z).") from None


class Labels(JsonObject):
    """Up to 100 labels: short text keys with text, number or boolean values."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> dict[str, Any]:
        labels = super()._deserialize(value, attr, data, **kwargs)
        if len(labels) > 100:
            raise ValidationError(f"At most 100 labels, these are {len(labels)}.")
        for key, item in labels.items():
            if not isinstance(item, (str, int, float, bool)) or len(str(item)) > 500 or len(key) > 100:
                raise ValidationError(f"Label '{key[:40]}' needs a text, number or boolean of at most 500 characters.")
        return labels


class _OneOf(validate.OneOf):
    """Names the words, and the one that was probably meant."""

    def _format_error(self, value: Any) -> str:
        return f"'{str(value)[:100]}' is none of {self.choices_text}.{did_you_mean(str(value)[:100], self.choices)}"


def one_of(*values: str) -> validate.OneOf:
    """Exactly one of these words."""
    return _OneOf(values)


def between(least: int, most: int) -> validate.Range:
    """A number from ``least`` to ``most``, both included."""
    return validate.Range(least, most, error=f"A number from {least} to {most} is needed here.")
