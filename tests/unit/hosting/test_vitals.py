"""What a process says of itself: ready is one thing, alive another."""
from __future__ import annotations

import time
from typing import Any

import pytest

from shared.hosting.vitals import Vitals
from shared.kernel.errors import Unavailable

STUCK_S = 1.5


def begun(**parts: Any) -> Vitals:
    """Looked after by the test, at once, and by no thread."""
    vitals = Vitals("requests", stuck_s=STUCK_S)
    for name, (look, apart) in parts.items():
        vitals.use(name, look, apart=apart, every_s=0)
    vitals.begin()
    return vitals


def look_again(vitals: Vitals) -> None:
    for part in vitals._parts.values():
        part.due = 0.0
    vitals._look()


def away() -> str | None:
    raise Unavailable("database.unavailable", "The database does not answer.")


def test_what_is_wrong_is_said_with_its_part():
    vitals = begun(database=(away, None), broker=(lambda: None, None))
    ready, answer = vitals.ready()
    assert not ready and answer["detail"] == "The database does not answer."
    assert not answer["parts"]["database"]["ok"] and answer["parts"]["broker"]["ok"]


@pytest.mark.parametrize(("for_others", "alive"), [(True, False), (False, True)])
def test_a_database_that_is_away_for_everybody_is_no_reason_to_start_again(for_others, alive):
    vitals = begun(database=(away, lambda: for_others))
    assert vitals.alive()[0], "not at once"
    time.sleep(STUCK_S)
    look_again(vitals)
    assert vitals.alive()[0] is alive


@pytest.mark.parametrize(("broker", "alive"), [(lambda: None, False), (lambda: "It is away.", True)])
def test_a_consumer_that_does_not_find_a_broker_that_is_there_is_a_fault_of_its_own(broker, alive):
    vitals = begun(broker=(broker, None))
    vitals.consumer("calls", lambda: False)
    look_again(vitals)
    assert not vitals.ready()[0] and vitals.alive()[0]
    time.sleep(STUCK_S)
    look_again(vitals)
    assert vitals.alive()[0] is alive


def test_while_it_starts_it_says_so_and_is_alive():
    vitals = Vitals("requests")
    assert vitals.ready()[1]["detail"] == "It is starting." and vitals.alive()[0]
