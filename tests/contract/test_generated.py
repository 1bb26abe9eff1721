"""What is made from the tables and committed is what the tables make now."""
from __future__ import annotations

import pytest

from gateway.clients.generated import FILES, ROOT


@pytest.mark.parametrize("place", FILES)
def test_the_committed_copy_is_what_the_tables_make(place):
    assert (ROOT / place).read_text(encoding="utf-8") == FILES[place](), f"{place} is stale: run .ci/generate"
