"""What the gateway counts: rate, errors and duration per action, streams and waits. Shown at ``/metrics``."""
from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from shared.kernel.tallies import ReadCounter, Tally

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300)
_WORDS = {status: str(status) for status in (200, 201, 202, 204, 304, 400, 401, 403, 404, 409, 422, 429, 503)}


class Metrics:
    """The figures of one gateway, in a registry of its own unless one is given."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._requests = Tally(self.registry, ("edgemere_http_requests", "Requests by action and status."),
                               ("edgemere_http_request_seconds", "Seconds until the answer was ready."), ("action", "status"), 1, _BUCKETS)
        self._errors = Counter("edgemere_action_errors", "Answers that are problems, by action and stable code.", ("action", "code"),
                               registry=self.registry)
        self._dropped = Counter("edgemere_sockets_dropped", "WebSockets that the gateway has let go, by why.", ("reason",), registry=self.registry)

    def may_drop(self, reasons: Iterable[str]) -> None:
        """For these reasons sockets may be let go; until one is, its figure is 0."""
        for reason in reasons:
            self._dropped.labels(reason)

    def dropped(self, reason: str) -> None:
        """One socket was let go."""
        self._dropped.labels(reason).inc()

    def count(self, action: str, status: int, seconds: float, code: str = "") -> None:
        """One answered request; ``code`` is that of its problem. ``action`` comes from the table or a closed list, never from the request."""
        self._requests.add((action, _WORDS.get(status) or str(status)), seconds)
        if code:
            self._errors.labels(action, code).inc()

    def gauge(self, name: str, about: str, read: Callable[[], float]) -> None:
        """A figure that is asked for when it is shown."""
        Gauge(name, about, registry=self.registry).set_function(read)

    def counter(self, name: str, about: str, read: Callable[[], float]) -> None:
        """The same of what only grows; ``name`` is without ``_total``."""
        ReadCounter(self.registry, name, about).add((), read)

    def text(self) -> bytes:
        """All figures of the registry in the format of Prometheus."""
        return generate_latest(self.registry)
