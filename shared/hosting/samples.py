"""Figures that have to be looked for (rows that wait, objects by state): looked at now and then, shown as last seen.

By a thread of its own, so that a database that hangs keeps no scrape waiting. What could not be looked at is left out
until it can be again; ages go on growing meanwhile.
"""
from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily

log = logging.getLogger(__name__)

Values = Mapping[tuple[str, ...], float]


@dataclass
class Sample:
    """One look: ``families`` it fills, as {name: (about, labels)}; ``read`` gives {name: {label values: value}}.

    Of the families in ``ages`` the values are moments (seconds since the epoch, 0 for none), shown as how long ago.
    """

    families: Mapping[str, tuple[str, tuple[str, ...]]]
    read: Callable[[], Mapping[str, Values]]
    ages: frozenset[str] = frozenset()
    seen: Mapping[str, Values] = field(default_factory=dict)


class Samples:
    """The looks of the services of one process, as a collector of Prometheus."""

    def __init__(self, registry: CollectorRegistry, every_s: float) -> None:
        self._every_s = every_s
        self._samples: list[Sample] = []
        self._over = threading.Event()
        registry.register(self)

    def add(self, sample: Sample) -> None:
        self._samples.append(sample)

    def start(self) -> None:
        threading.Thread(target=self._run, name="samples", daemon=True).start()

    def stop(self) -> None:
        self._over.set()

    def describe(self) -> Iterable[Any]:
        return ()

    def collect(self) -> Iterable[Any]:
        found: dict[str, GaugeMetricFamily] = {}
        for sample in tuple(self._samples):
            for name, (about, labels) in sample.families.items():
                family = found.setdefault(name, GaugeMetricFamily(name, about, labels=labels))
                for values, value in tuple(sample.seen.get(name, {}).items()):
                    family.add_metric(values, max(0.0, time.time() - value) if name in sample.ages and value else value)
        return found.values()

    def _run(self) -> None:
        while True:
            for sample in tuple(self._samples):
                try:
                    sample.seen = {**sample.seen, **sample.read()}
                except Exception as error:
                    # Readiness says what is away; here it would only be said again each time.
                    log.debug("a figure could not be looked at: %r", error)
                    sample.seen = {name: values for name, values in sample.seen.items() if name in sample.ages}
                if self._over.is_set():
                    return
            if self._over.wait(self._every_s):
                return
