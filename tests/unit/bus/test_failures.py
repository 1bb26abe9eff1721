"""What becomes of a message whose handler failed."""
from __future__ import annotations

import pytest

from shared.bus.failures import PATIENT_ATTEMPTS, after_failure
from shared.bus.message import Delivery
from shared.bus.topology import DEAD_LETTERS, later_name
from shared.kernel.errors import DeadlineExceeded, Invalid, Unavailable, VersionConflict

DELAYS_S = (0.2, 1.0, 5.0)


def goes_to(attempt: int, error: BaseException) -> str:
    delivery = Delivery("consumer.event", "edgemere.events", "event", b"{}", {"message_id": "m"}, {"x-attempt": attempt})
    return after_failure(delivery, error, DELAYS_S).exchange


@pytest.mark.parametrize("error", [RuntimeError("boom"), VersionConflict("x.version_conflict", "Lost a race.")])
def test_a_handler_that_goes_on_failing_has_each_pause_once_and_then_the_dead_letters(error):
    assert [goes_to(attempt, error) for attempt in (1, 2, 3, 4)] == [*map(later_name, DELAYS_S), DEAD_LETTERS]


def test_what_no_attempt_mends_is_a_dead_letter_at_once():
    assert goes_to(1, Invalid("x.invalid", "No.")) == DEAD_LETTERS


@pytest.mark.parametrize("error", [Unavailable("database.unavailable", "Away."), DeadlineExceeded("rpc.deadline_exceeded", "Late.")])
def test_while_something_that_is_needed_is_away_the_last_pause_repeats(error):
    assert goes_to(1, error) == later_name(0.2)
    assert {goes_to(attempt, error) for attempt in (3, 4, 50, PATIENT_ATTEMPTS)} == {later_name(5.0)}
    assert goes_to(PATIENT_ATTEMPTS + 1, error) == DEAD_LETTERS
