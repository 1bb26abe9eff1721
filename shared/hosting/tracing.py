"""Spans for OpenTelemetry, sent by OTLP over HTTP. Used when ``tracing.endpoint`` names a collector, and then only imported.

Nothing is instrumented by itself: the places where work crosses a process begin and end spans (gateway, calls, handlers,
mover). One outlet for all services of a process, each with a name of its own.
"""
from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from random import random
from typing import TYPE_CHECKING, Any

from shared.hosting.settings import Config
from shared.kernel.errors import Invalid
from shared.kernel.trace import NO_TRACER, Span, Tracer, traceparent_of
from shared.kernel.version import VERSION

if TYPE_CHECKING:
    from shared.hosting.spans import Ended


class Tracing:
    """The tracers of one process; without an endpoint they collect nothing."""

    def __init__(self, config: Config) -> None:
        """
        Raises:
            Invalid: ``tracing.missing``, the packages of the extra ``tracing`` are not installed.
        """
        self._sample = config.tracing.sample
        self._outlet: Any = _outlet(config) if config.tracing.endpoint else None
        self._tracers: dict[str, Tracer] = {}

    def tracer(self, service: str) -> Tracer:
        """The tracer of a service; what it makes carries ``service.name: edgemere-<service>``."""
        if self._outlet is None:
            return NO_TRACER
        if service not in self._tracers:
            self._tracers[service] = SamplingTracer(f"edgemere-{service}", self._outlet.add, self._sample)
        return self._tracers[service]

    def stop(self) -> None:
        """Send what is left, for a few seconds at most."""
        if self._outlet is not None:
            self._outlet.stop()


def _outlet(config: Config) -> Any:
    try:
        from shared.hosting.spans import Outlet
    except ImportError as error:
        raise Invalid("tracing.missing", f"tracing.endpoint is set, and the packages for it are not installed ({error.name}).",
                      next_step="Install them: .venv/bin/pip install --require-hashes -r requirements-tracing.lock") from error
    return Outlet(config.tracing.endpoint, {"service.namespace": "edgemere", "service.version": VERSION, "process.pid": os.getpid(),
                                            "deployment.environment.name": config.environment})


class SamplingTracer:
    """A ``Tracer`` that gives its spans to ``add`` as they end: all of traces that are kept, and of those that begin here the part ``sample``."""

    def __init__(self, service: str, add: Callable[[Ended], None], sample: float = 1.0) -> None:
        self._service, self._add, self._sample = service, add, sample

    def begin(self, name: str, kind: str, traceparent: str = "", links: Sequence[str] = (), **attributes: Any) -> Span:
        traceparent = traceparent_of(traceparent)
        if traceparent and not _is_kept(traceparent):
            # Whoever began it keeps nothing of it: then nothing need be made either.
            return NO_TRACER.begin(name, kind, traceparent)
        if links:
            links = [link for link in links if traceparent_of(link) and _is_kept(link)]
            if not links:
                return NO_TRACER.begin(name, kind)
        elif not traceparent and random() >= self._sample:  # noqa: S311 (nothing secret hangs on it)
            # What belongs to no trace costs nothing on any further hop.
            return NO_TRACER.begin(name, kind)
        return _Span(self, name, kind, traceparent, links, attributes)

    def record(self, name: str, kind: str, traceparent: str, began_ns: int, ended_ns: int, error: str = "",
               **attributes: Any) -> None:
        if traceparent_of(traceparent) and _is_kept(traceparent):
            self.ended(name, kind, traceparent[3:35], os.urandom(8).hex(), traceparent[36:52], began_ns, ended_ns, attributes, (), error)

    def ended(self, name: str, kind: str, trace_id: str, span_id: str, parent_id: str, began_ns: int, ended_ns: int,
              attributes: dict[str, Any], links: Sequence[str], error: str) -> None:
        """Give a span that is over to whoever sends it."""
        from shared.hosting.spans import Ended

        told = {_dotted(key): value for key, value in attributes.items() if value is not None and value != ""}
        if error:
            told["error.type"] = error
        self._add(Ended(self._service, name, kind, trace_id, span_id, parent_id, began_ns, ended_ns, told, links, error))


class _Span:
    """A ``Span`` of a trace that is kept."""

    __slots__ = ("_attributes", "_began_ns", "_kind", "_links", "_name", "_parent", "_tracer", "traceparent")

    def __init__(self, tracer: SamplingTracer, name: str, kind: str, parent: str, links: Sequence[str], attributes: dict[str, Any]) -> None:
        self._tracer, self._name, self._kind, self._parent, self._links, self._attributes = tracer, name, kind, parent, links, attributes
        if parent:
            self.traceparent = f"{parent[:36]}{os.urandom(8).hex()}{parent[52:]}"
        else:
            made = os.urandom(24).hex()
            self.traceparent = f"00-{made[:32]}-{made[32:]}-01"
        self._began_ns = time.time_ns()

    def end(self, error: str = "", **attributes: Any) -> None:
        self._tracer.ended(self._name, self._kind, self.traceparent[3:35], self.traceparent[36:52], self._parent[36:52], self._began_ns,
                           time.time_ns(), {**self._attributes, **attributes}, self._links, error)


def _is_kept(traceparent: str) -> bool:
    """Whether the last bit of its flags says so."""
    return traceparent[-1] in "13579bdf"


@lru_cache(maxsize=256)
def _dotted(key: str) -> str:
    """``http_route`` as OpenTelemetry writes it: ``http.route``; two underscores stand for one."""
    return key.replace("__", "\0").replace("_", ".").replace("\0", "_")
