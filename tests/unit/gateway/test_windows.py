"""How often something happened lately: windows that slide, and that remember a bounded number of names."""
from __future__ import annotations

import pytest

from gateway.callers import windows
from gateway.callers.windows import Window


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_there_is_room_for_as_many_as_the_rate_says_and_again_when_the_window_has_moved():
    time = Time()
    window = Window("10/minute", time)
    time.now = 60 * 20.0
    assert [window.hit("ann") for _ in range(11)] == [True] * 10 + [False]
    assert window.hit("ben"), "each name has a room of its own"
    _, seconds = window.remains("ann")
    time.now += seconds - 1
    assert not window.hit("ann")
    time.now += 2
    assert window.hit("ann")


def test_no_window_of_any_moment_holds_twice_the_rate():
    time = Time()
    window = Window("10 per 2 seconds", time)
    counted = []
    for step in range(400):
        time.now = 2000 + step * 0.05
        if window.hit("ann"):
            counted.append(time.now)
    for end in counted:
        assert sum(end - 2 < at <= end for at in counted) <= 11
    assert len(counted) >= 90, "and over a long time it is the rate that is let through"


def test_what_the_window_has_left_behind_is_forgotten_and_of_too_many_names_the_quietest(monkeypatch):
    monkeypatch.setattr(windows, "REMEMBERED", 100)
    time = Time()
    window = Window("2/second", time)
    for number in range(50):
        window.hit(f"early-{number}")
    time.now += 5
    window.hit("late")
    assert len(window) == 1
    assert window.hit("late") and not window.hit("late")
    for number in range(1000):
        window.hit(f"flood-{number}")
        if number % 50 == 0:
            assert not window.hit("late"), "who goes on asking is not forgotten in a flood of others"
    assert len(window) == 100


@pytest.mark.parametrize("rate", ["100/second", "6000/minute", "20 per 5 minutes", "3 / 2 hours", "1/day"])
def test_every_rate_that_a_setting_may_have_is_read(rate):
    from shared.hosting.setting_kinds import Rates

    assert Rates().deserialize([rate]) == (rate,)
    window = Window(rate, Time())
    assert window.hit("ann") and window.remains("ann")[0] == window.amount - 1


def test_what_is_no_rate_is_refused():
    with pytest.raises(ValueError, match="no rate"):
        Window("often")
