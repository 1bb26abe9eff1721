"""Tellers rest beside work that somebody waits for, and no longer than that."""
import threading
import time

from shared.bus.pace import MOST_S, REST_FACTOR, Pace


def rested_s(pace: Pace, worked_s: float) -> float:
    began = time.monotonic()
    pace.rest(worked_s)
    return time.monotonic() - began


def test_a_teller_rests_while_somebody_is_waited_for_and_never_longer_than_a_bound():
    pace = Pace()
    pace.begin()
    assert rested_s(pace, 0.01) >= 0.01 * REST_FACTOR * 0.9
    assert rested_s(pace, 60) < MOST_S * 30


def test_a_teller_goes_on_as_soon_as_nobody_is_waited_for_any_more():
    def while_waited_for() -> float:
        pace = Pace()
        pace.begin()
        pace.begin()
        ends = threading.Timer(0.05, lambda: (pace.end(), pace.end()))
        # From before the timer begins: this thread may be held up between the two.
        began = time.monotonic()
        ends.start()
        pace.rest(60)
        took = time.monotonic() - began
        ends.join()
        return took

    # The quickest of some, for any thread may be held up by what else the machine does.
    assert 0.05 <= min(while_waited_for() for _ in range(3)) < MOST_S
    assert min(rested_s(Pace(), 60) for _ in range(3)) < MOST_S
