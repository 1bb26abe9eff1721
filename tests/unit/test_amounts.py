"""Amounts in sentences: in units, and never so rounded that two that differ read the same."""
from __future__ import annotations

import pytest

from shared.kernel.amounts import bytes_said


@pytest.mark.parametrize(("size", "said"), [
    (0, "0 bytes"), (1, "1 byte"), (1023, "1023 bytes"), (1024, "1 KiB"), (4000, "3.9 KiB (4000 bytes)"), (2**30, "1 GiB"),
    (2**30 + 1, "1.0 GiB (1073741825 bytes)"), (2**30 - 1, "1.0 GiB (1073741823 bytes)"), (5 * 2**50, "5 PiB"), (2**60, "1024 PiB")])
def test_bytes_are_said_in_the_unit_that_fits_and_exactly_where_that_rounds(size, said):
    assert bytes_said(size) == said
