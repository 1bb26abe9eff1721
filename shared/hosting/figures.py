"""What a process counts of its work, in the format of Prometheus. Asked for when shown, so that it costs nothing between."""
from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1, 2, 5, 10, 30, 60)


class Figures:
    """The figures of the services of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._handled = Counter("edgemere_handled", "Calls, messages and timers handled, by how they ended.",
                                ("service", "method", "kind", "outcome"), registry=self.registry)
        self._seconds = Histogram("edgemere_handled_seconds", "How long handling took.", ("service", "method"),
                                  buckets=_BUCKETS, registry=self.registry)
        self._caught = Counter("edgemere_sweeper_caught", "What was quiet for too long, or left by a crash, and taken up again.",
                               ("service", "what"), registry=self.registry)
        self._gauges: dict[str, Gauge] = {}

    def handled(self, service: str, method: str, kind: str, outcome: str, seconds: float) -> None:
        """One piece of work is done. ``outcome`` is ``ok`` or the stable code of an error."""
        self._handled.labels(service, method, kind, outcome).inc()
        self._seconds.labels(service, method).observe(seconds)

    def caught(self, service: str, what: str, count: int) -> None:
        """A sweeper, which is a safety net, found work that its mechanism had not done."""
        self._caught.labels(service, what).inc(count)

    def gauge(self, name: str, about: str, service: str, read: Callable[[], float]) -> None:
        """A figure of a service that is asked for when it is shown."""
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = self._gauges[name] = Gauge(name, about, ("service",), registry=self.registry)
        gauge.labels(service).set_function(read)

    def text(self) -> bytes:
        """All figures."""
        return generate_latest(self.registry)
