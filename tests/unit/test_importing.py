"""Leaving out what a library would take along, and only while it is imported."""
import sys

import pytest

from shared.kernel.importing import without


def test_what_is_left_out_is_as_if_it_were_not_installed_until_the_block_ends():
    sys.modules.pop("this", None)
    with pytest.raises(ModuleNotFoundError), without("this"):
        import this  # noqa: F401
    assert "this" not in sys.modules


def test_what_is_loaded_already_stays_as_it_is():
    before = sys.modules["pytest"]
    with without("pytest"):
        import pytest as again
    assert again is before is sys.modules["pytest"]
