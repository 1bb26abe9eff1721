"""What is counted at every call looks to Prometheus as its own library would have it."""
from __future__ import annotations

import random

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from shared.kernel.tallies import Tally

BUCKETS = (0.001, 0.01, 0.5, 1, 60)


def figures(registry: CollectorRegistry) -> list[str]:
    # The library says besides when it began to count each.
    return sorted(line for line in generate_latest(registry).decode().splitlines() if "_created" not in line)


def test_a_tally_shows_what_a_counter_and_a_histogram_of_the_library_would_show():
    ours, theirs, dice = CollectorRegistry(), CollectorRegistry(), random.Random(7)
    tally = Tally(ours, ("done", "What was done."), ("done_seconds", "How long it took."), ("service", "outcome"), 1, BUCKETS)
    counter = Counter("done", "What was done.", ("service", "outcome"), registry=theirs)
    histogram = Histogram("done_seconds", "How long it took.", ("service",), buckets=BUCKETS, registry=theirs)
    assert figures(ours) == figures(theirs)
    for seconds in [*BUCKETS, 0.0, 61.0, *(dice.expovariate(10) for _ in range(500))]:
        labels = dice.choice(("requests", 'with "quotes"\n')), dice.choice(("ok", "denied"))
        tally.add(labels, seconds)
        counter.labels(*labels).inc()
        histogram.labels(labels[0]).observe(seconds)
    assert figures(ours) == figures(theirs)
