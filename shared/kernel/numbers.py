"""Which numbers JSON has, for Python's reader, which also takes NaN and Infinity and makes 1e400 an infinity. Reads nothing itself."""
from __future__ import annotations

import math
from typing import Any


def no_constant(word: str) -> Any:
    """What ``parse_constant`` is for NaN, Infinity and -Infinity.

    Raises:
        ValueError: always; they are no JSON.
    """
    raise ValueError(f"{word} is not a JSON value")


def finite(text: str) -> float:
    """What ``parse_float`` is: the number.

    Raises:
        ValueError: it is too large for any number that can be kept. As an infinity it would be written as null, and mean something else.
    """
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:40]} is larger than any number that can be kept")
    return value
