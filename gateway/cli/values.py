"""What is typed after an option, as the value that is sent: JSON inline, ``@file``, ``-`` for stdin, the shorthand.

Which of these a parameter takes follows from its kind in the schema; meaning is checked by the schema alone.
"""
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from marshmallow import fields

from gateway.cli.exits import usage
from shared.contracts.fields import Expression, JsonObject, RefOrInline, TextOrObject

STRUCTURED = (Expression, JsonObject, RefOrInline, TextOrObject, fields.Raw)
"""Kinds whose value may be JSON, and may come from a file or from stdin."""


def value_of(field: fields.Field, option: str, typed: Any) -> Any:
    """The value to send for what was typed after ``option``.

    Raises:
        Failure: usage: the file cannot be read, or is not text.
    """
    if not isinstance(typed, str) or not isinstance(field, STRUCTURED):
        return typed
    if typed == "-":
        text = _stdin(option)
    elif typed.startswith("@"):
        text = text_of_file(typed[1:], option)
    else:
        return _inline(typed)
    if isinstance(field, TextOrObject):
        return text
    return _document(text)


def text_of_file(path: str, option: str) -> str:
    """The text of a file named on the command line; ``-`` is stdin."""
    if path == "-":
        return _stdin(option)
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise usage(f"{option}: {path}: {error.strerror}.", "Name a file that can be read, or - for stdin.",
                    code="cli.file") from None
    except (UnicodeDecodeError, ValueError):
        raise usage(f"{option}: {path!r} is not a text in UTF-8.", "Name a JSON or YAML file.", code="cli.file") from None


def _stdin(option: str) -> str:
    if sys.stdin is None or sys.stdin.isatty():
        print(f"{option}: reading from the keyboard until Ctrl-D.", file=sys.stderr)
    return sys.stdin.read() if sys.stdin is not None else ""


def _inline(text: str) -> Any:
    """The JSON in the text when it is some; else the text, which the schema or the server judges."""
    if text.lstrip()[:1] in ("{", "[", '"'):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def _document(text: str) -> Any:
    """The value of a JSON or YAML text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    import yaml

    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        return text.strip()
    return found if isinstance(found, (dict, list)) else text.strip()
