"""What is counted at the price of an addition, how often and how long, by labels: for every call. Rendered when somebody looks."""
from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.utils import floatToGoString


class Tally:
    """A counter with all of its labels, and beside it how long that took, by the first few of them.

    Several threads of one process may add; a scrape sees each addition whole or not at all, and the counter and its durations
    from about the same moment.
    """

    def __init__(self, registry: CollectorRegistry, counted: tuple[str, str], took: tuple[str, str], labels: Sequence[str], of_time: int,
                 buckets: Sequence[float]) -> None:
        """``counted`` and ``took`` are names (the first without ``_total``) with a sentence; ``took`` has the first ``of_time`` of ``labels``."""
        self._counted, self._took, self._labels, self._of_time = counted, took, tuple(labels), of_time
        self._bounds = tuple(buckets)
        self._counts: dict[tuple[str, ...], int] = {}
        # For each: the sum of seconds, and how many were in each bucket, the last of which has no bound.
        self._times: dict[tuple[str, ...], list[float]] = {}
        registry.register(self)

    def add(self, values: tuple[str, ...], seconds: float) -> None:
        """One more with these values of the labels."""
        self._counts[values] = self._counts.get(values, 0) + 1
        kind = values[:self._of_time]
        times = self._times.get(kind)
        if times is None:
            times = self._times[kind] = [0.0] * (len(self._bounds) + 2)
        times[0] += seconds
        times[1 + bisect_left(self._bounds, seconds)] += 1

    def describe(self) -> Iterable[CounterMetricFamily | HistogramMetricFamily]:
        return self._families()

    def collect(self) -> Iterable[CounterMetricFamily | HistogramMetricFamily]:
        counted, took = self._families()
        for values, count in tuple(self._counts.items()):
            counted.add_metric(values, count)
        for values, (total, *each) in tuple(self._times.items()):
            below, buckets = 0.0, []
            for bound, count in zip((*self._bounds, float("inf")), each, strict=True):
                below += count
                buckets.append((floatToGoString(bound), below))
            took.add_metric(values, buckets, total)
        return counted, took

    def _families(self) -> tuple[CounterMetricFamily, HistogramMetricFamily]:
        return (CounterMetricFamily(*self._counted, labels=self._labels),
                HistogramMetricFamily(*self._took, labels=self._labels[:self._of_time]))


class ReadCounter:
    """A counter that somebody else keeps: each of its values is asked for when somebody looks, and only grows."""

    def __init__(self, registry: CollectorRegistry, name: str, about: str, labels: Sequence[str] = ()) -> None:
        """``name`` is without ``_total``."""
        self._name, self._about, self._labels = name, about, tuple(labels)
        self._reads: dict[tuple[str, ...], Callable[[], float]] = {}
        registry.register(self)

    def add(self, values: tuple[str, ...], read: Callable[[], float]) -> None:
        """One more value, of these labels."""
        self._reads[values] = read

    def describe(self) -> Iterable[CounterMetricFamily]:
        return (CounterMetricFamily(self._name, self._about, labels=self._labels),)

    def collect(self) -> Iterable[CounterMetricFamily]:
        family = CounterMetricFamily(self._name, self._about, labels=self._labels)
        for values, read in tuple(self._reads.items()):
            family.add_metric(values, read())
        return (family,)
