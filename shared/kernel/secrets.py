"""What may not be shown: values whose names say that they are secrets, and what looks like one in a text that nobody chose."""
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

HIDDEN = "•••"
_SECRET = re.compile(r"(pass(word|wd|phrase)?|secret|token|api_?key|access_?key|account_?key|private_?key|credential|authorization)s?$", re.I)
_IN_TEXT = re.compile(
    r"(?P<url>(?<=://)[^/@\s:]*:)[^/@\s]+(?=@)"
    r"|(?P<bearer>\b(?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{8,}"
    r"|(?P<named>(?:password|passwd|secret|token|api_?key|access_?key)[\"']?\s*[=:]\s*[\"']?)(?!\$\{)[^\s\"',;&}]+", re.IGNORECASE)
_IN_URL = re.compile(r"(?<=://)([^/@\s:]*):([^/@\s]+)@")


def is_secret_name(name: str) -> bool:
    """Whether a parameter of this name holds a secret."""
    return bool(_SECRET.search(name))


def is_reference(value: Any) -> bool:
    """Whether a value names a secret and is none: ``${NAME}`` or ``{"secret": NAME}``; nothing is none, too."""
    if value is None:
        return True
    if isinstance(value, str):
        return value.startswith("${") and value.endswith("}")
    return isinstance(value, Mapping) and set(value) == {"secret"} and isinstance(value["secret"], str)


def written_out(given: Any, pointer: str = "") -> Iterator[str]:
    """The JSON pointers below which a secret stands itself, and not a reference to one."""
    pairs = given.items() if isinstance(given, Mapping) else enumerate(given) if isinstance(given, (list, tuple)) else ()
    for name, value in pairs:
        where = f"{pointer}/{name}"
        if isinstance(name, str) and is_secret_name(name):
            if not is_reference(value):
                yield where
        elif isinstance(value, str) and any(not found[1].startswith("${") for found in _IN_URL.findall(value)):
            yield where
        elif not (isinstance(value, Mapping) and is_reference(value)):
            yield from written_out(value, where)


def redacted(value: Any) -> Any:
    """A copy with every secret replaced, however deep; references to secrets (``${NAME}``) stay readable."""
    if isinstance(value, Mapping):
        return {key: _hidden(item) if is_secret_name(str(key)) else redacted(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redacted(item) for item in value]
    if isinstance(value, str) and "://" in value:
        return _IN_URL.sub(rf"\1:{HIDDEN}@", value)
    return value


def without_secrets(text: str) -> str:
    """A text of an error or a log line with what looks like a secret in it replaced: passwords in addresses, bearer tokens, named values."""
    return _IN_TEXT.sub(lambda found: (found["url"] or found["bearer"] or found["named"]) + HIDDEN, text)


def _hidden(item: Any) -> Any:
    if isinstance(item, str) and item.startswith("${") and item.endswith("}"):
        return item
    return item if item is None else HIDDEN
