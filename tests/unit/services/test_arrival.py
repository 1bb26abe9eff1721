"""How long it takes until data is there, as far as sizes and speeds tell."""
from __future__ import annotations

from services.reservations.arrival import MARGIN, MIB, seconds_until_ready

SOURCES = {"fast": {"cost": {"mib_per_s": 100, "latency_ms": 500}}, "slow": {"cost": {"mib_per_s": 10}}, "desk": {}, "spared": {"limits": {"mib_per_s": 5}}}


def seconds(*decided: tuple) -> float:
    return seconds_until_ready(decided, SOURCES, 50) / MARGIN


def test_the_slower_end_counts_and_one_place_does_one_thing_after_the_other():
    assert seconds(("copy", 100 * MIB, "slow", "desk")) == 10
    assert seconds(("copy", 100 * MIB, "slow", "desk"), ("move", 100 * MIB, "slow", "desk")) == 20


def test_a_place_without_a_speed_has_the_assumed_one():
    assert seconds(("copy", 100 * MIB, "fast", "desk")) == 2.5


def test_no_place_is_faster_than_it_may_be_read():
    assert seconds(("copy", 100 * MIB, "spared", "desk")) == 20
    assert seconds(("copy", 100 * MIB, "desk", "spared")) == 20


def test_what_stays_where_it_is_costs_its_latency_alone():
    assert seconds(("leave", 100 * MIB, "fast", None)) == 0.5 and seconds() == 0
