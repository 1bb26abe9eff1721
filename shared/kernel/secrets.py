"""What may not be shown: values whose names say that they are secrets."""
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "•••"
_SECRET = re.compile(r"(pass(word|wd|phrase)?|secret|token|api_?key|access_?key|private_?key|credential|authorization)s?$", re.I)
_IN_URL = re.compile(r"(?<=://)([^/@\s:]*):([^/@\s]+)@")


def is_secret_name(name: str) -> bool:
    """Whether a parameter of this name holds a secret."""
    return bool(_SECRET.search(name))


def redacted(value: Any) -> Any:
    """A copy with every secret replaced, however deep; references to secrets (``${NAME}``) stay readable."""
    if isinstance(value, Mapping):
        return {key: _hidden(item) if is_secret_name(str(key)) else redacted(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redacted(item) for item in value]
    if isinstance(value, str) and "://" in value:
        return _IN_URL.sub(rf"\1:{HIDDEN}@", value)
    return value


def _hidden(item: Any) -> Any:
    if isinstance(item, str) and item.startswith("${") and item.endswith("}"):
        return item
    return item if item is None else HIDDEN
