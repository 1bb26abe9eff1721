"""Imports that leave out what a library would take along although nobody here uses it."""
from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Import something in the block as on a machine that has no modules of these ``names``, but for those that are loaded already.

    For libraries that look what there is and load all of it. Afterwards the modules can be imported as ever.
    """
    hidden = [name for name in names if name not in sys.modules]
    # What is None there raises ModuleNotFoundError, as one that is not installed does.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
