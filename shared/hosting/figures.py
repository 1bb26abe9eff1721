"""What a process counts of its work, in the format of Prometheus. Names follow Prometheus' conventions; docs/operating.md lists them."""
from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from shared.hosting.samples import Samples
from shared.kernel.tallies import ReadCounter, Tally
from shared.kernel.version import VERSION

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1, 2, 5, 10, 30, 60)
# An object may be in one state for days.
_LASTS = (0.01, 0.05, 0.25, 1, 5, 15, 60, 300, 1800, 7200, 86400, 604800)


class Figures:
    """The figures of the services of one process. ``samples`` are looked at every ``every_s`` seconds once they are started."""

    def __init__(self, every_s: float = 5.0) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        Gauge("edgemere_build_info", "The release of this process; always 1.", ("version",), registry=self.registry).labels(VERSION).set(1)
        self.samples = Samples(self.registry, every_s)
        self._handled = Tally(self.registry, ("edgemere_handled", "Calls, messages and timers handled, by how they ended."),
                              ("edgemere_handled_seconds", "How long handling took."), ("service", "method", "kind", "outcome"), 2, _BUCKETS)
        self._caught = Counter("edgemere_sweeper_caught", "What was quiet for too long, or left by a crash, and taken up again.",
                               ("service", "what"), registry=self.registry)
        self._retries = Counter("edgemere_message_retries", "Messages that are tried again later, because their handler failed.",
                                ("service", "queue"), registry=self.registry)
        self._dead = Counter("edgemere_messages_dead", "Messages that were put aside as dead letters.", ("service", "queue", "code"),
                             registry=self.registry)
        self._moved = Counter("edgemere_mover_entries", "Entries that the mover has dealt with, by how they ended.", ("op", "outcome"),
                              registry=self.registry)
        self._moved_bytes = Counter("edgemere_mover_bytes", "Bytes that the mover has copied and verified.", registry=self.registry)
        self._inspected = Counter("edgemere_inspections", "Data that was inspected on its way, by what was found.", ("outcome",), registry=self.registry)
        self._lasted = Histogram("edgemere_state_seconds", "How long objects were in a state before they left it.", ("class", "state"),
                                 buckets=_LASTS, registry=self.registry)
        # With every state that an object of the mesh leaves: finding it by its labels takes longer than counting.
        self._lasting: dict[tuple[str, str], Histogram] = {}
        self._gauges: dict[str, Gauge] = {}
        self._counters: dict[str, ReadCounter] = {}

    def handled(self, service: str, method: str, kind: str, outcome: str, seconds: float) -> None:
        """One piece of work is done. ``outcome`` is ``ok`` or the stable code of an error."""
        self._handled.add((service, method, kind, outcome), seconds)

    def caught(self, service: str, what: str, count: int) -> None:
        """A sweeper, which is a safety net, found work that its mechanism had not done."""
        self._caught.labels(service, what).inc(count)

    def put_aside(self, service: str, queue: str, dead: str | None) -> None:
        """A message's handler failed: it comes again, or is a dead letter with the code ``dead``."""
        if dead is None:
            self._retries.labels(service, queue).inc()
        else:
            self._dead.labels(service, queue, dead).inc()

    def moved(self, op: str, good: int, bad: int, size: int) -> None:
        """The mover has dealt with entries, and written ``size`` bytes for them."""
        self._moved.labels(op, "ok").inc(good)
        self._moved.labels(op, "failed").inc(bad)
        self._moved_bytes.inc(size)

    def inspected(self, outcome: str) -> None:
        """Data was inspected: ``clean``, ``too_large``, ``unlike`` (a warning), or the code of what was found or wanting."""
        self._inspected.labels(outcome).inc()

    def lasted(self, noun: str, state: str, seconds: float) -> None:
        """An object has left a state."""
        child = self._lasting.get((noun, state))
        if child is None:
            child = self._lasting[noun, state] = self._lasted.labels(noun, state)
        child.observe(seconds)

    def gauge(self, name: str, about: str, service: str, read: Callable[[], float]) -> None:
        """A figure of a service that is asked for when it is shown; it has to answer at once."""
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = self._gauges[name] = Gauge(name, about, ("service",), registry=self.registry)
        gauge.labels(service).set_function(read)

    def counter(self, name: str, about: str, service: str, read: Callable[[], float]) -> None:
        """The same of what only grows; ``name`` is without ``_total``."""
        if name not in self._counters:
            self._counters[name] = ReadCounter(self.registry, name, about, ("service",))
        self._counters[name].add((service,), read)

    def text(self) -> bytes:
        """All figures."""
        return generate_latest(self.registry)
