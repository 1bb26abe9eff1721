"""A context in other words is what a new one of those words would be."""
from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from shared.kernel.context import Context


def test_having_changes_the_words_that_are_given_and_no_others() -> None:
    first = Context(owner="ada", roles=("Administrator",), deadline=1.0)
    changed = first.having(owner="ben", mesh=True)
    assert changed == replace(first, owner="ben", mesh=True) == Context(**{**asdict(first), "owner": "ben", "mesh": True})
    assert hash(changed) == hash(replace(changed)) and first == first.having() == Context(owner="ada", roles=("Administrator",), deadline=1.0)


def test_a_word_that_no_context_has_is_refused() -> None:
    with pytest.raises(TypeError, match="ownr"):
        Context().having(ownr="ada")
