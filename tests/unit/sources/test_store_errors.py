"""What is said of a store that refuses names the place that is meant, and promises nothing that is not done."""
from __future__ import annotations

import pytest

from shared.sources.object_errors import object_error


@pytest.mark.parametrize("role", ["source", "target"])
def test_a_store_that_denies_is_looked_at_where_it_is(role: str) -> None:
    error = object_error(PermissionError("no"), "a.csv", role)
    assert (error.code, error.next_step) == (f"{role}.access_denied", f"Look at the credentials of the {role} and at what they allow.")


@pytest.mark.parametrize("role", ["source", "target"])
def test_a_store_that_throttles_is_not_said_to_be_tried_again_when_that_is_over(role: str) -> None:
    error = object_error(OSError(16, "busy"), "a.csv", role)
    assert error.retryable and (error.code, error.next_step) == (
        f"{role}.throttled", f"Try again later; if it stays so, give the {role} lower limits.")
