"""JSON as bytes, fast, for whatever the services answer."""
from __future__ import annotations

import json
from typing import Any

import orjson


def dumps(value: Any) -> bytes:
    """The JSON text of a value in UTF-8.

    orjson refuses whole numbers beyond 64 bits and half characters (which file names bring along); for those the
    standard library's slower encoder takes over, with escapes.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        return json.dumps(value, default=str, separators=(",", ":")).encode()
