"""Spans for OpenTelemetry, sent by OTLP over HTTP. Used when ``tracing.endpoint`` names a collector, and then only imported.

Nothing is instrumented by itself: the places where work crosses a process begin and end spans (gateway, calls, handlers,
mover). One exporter for all services of a process, each with a name of its own.
"""
from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from random import random
from typing import Any

from shared.hosting.settings import Config
from shared.kernel.errors import Invalid
from shared.kernel.trace import NO_TRACER, Span, Tracer, traceparent_of
from shared.kernel.version import VERSION

log = logging.getLogger(__name__)
SCOPE = "edgemere"
UNSAMPLED = "-00"


class Tracing:
    """The tracers of one process; without an endpoint they collect nothing."""

    def __init__(self, config: Config) -> None:
        """
        Raises:
            Invalid: ``tracing.missing``, the packages of the extra ``tracing`` are not installed.
        """
        self._config = config
        self._processor: Any = None
        self._tracers: dict[str, Tracer] = {}
        if config.tracing.endpoint:
            self._processor = _processor(config)

    def tracer(self, service: str) -> Tracer:
        """The tracer of a service; what it makes carries ``service.name: edgemere-<service>``."""
        if self._processor is None:
            return NO_TRACER
        if service not in self._tracers:
            self._tracers[service] = self._made(service)
        return self._tracers[service]

    def _made(self, service: str) -> Tracer:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

        provider = TracerProvider(
            # Which of the traces that begin here are kept is decided before anything is made for them.
            sampler=ParentBased(ALWAYS_ON), shutdown_on_exit=False,
            resource=Resource({"service.name": f"edgemere-{service}", "service.namespace": "edgemere",
                               "service.version": VERSION, "process.pid": os.getpid(),
                               "deployment.environment.name": self._config.environment}))
        provider.add_span_processor(self._processor)
        return OpenTelemetryTracer(provider.get_tracer(SCOPE), self._config.tracing.sample)

    def stop(self) -> None:
        """Send what is left, for a few seconds at most."""
        if self._processor is not None:
            self._processor.force_flush(2000)
            self._processor.shutdown()


def _processor(config: Config) -> Any:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise Invalid("tracing.missing", f"tracing.endpoint is set, and the packages for it are not installed ({error.name}).",
                      next_step="Install them: .venv/bin/pip install --require-hashes -r requirements-tracing.lock") from error
    # A collector that is away is told of once in a while, not with a traceback for each batch.
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    exporter = OTLPSpanExporter(endpoint=config.tracing.endpoint, timeout=5)
    return BatchSpanProcessor(exporter, max_queue_size=8192, schedule_delay_millis=1000, max_export_batch_size=1024)


class OpenTelemetryTracer:
    """A ``Tracer`` on an OpenTelemetry one, which keeps the part ``sample`` of the traces that begin with it."""

    def __init__(self, tracer: Any, sample: float = 1.0) -> None:
        from opentelemetry import trace

        self._tracer, self._trace, self._sample = tracer, trace, sample
        kinds = trace.SpanKind
        self._kinds = {"server": kinds.SERVER, "client": kinds.CLIENT, "consumer": kinds.CONSUMER, "internal": kinds.INTERNAL}

    def begin(self, name: str, kind: str, traceparent: str = "", links: Sequence[str] = (), **attributes: Any) -> Span:
        if traceparent.endswith(UNSAMPLED) and traceparent_of(traceparent):
            # Whoever began it keeps nothing of it: then nothing need be made either.
            return NO_TRACER.begin(name, kind, traceparent)
        if links:
            links = [link for link in links if not link.endswith(UNSAMPLED)]
            if not links:
                return NO_TRACER.begin(name, kind)
        elif not traceparent and random() >= self._sample:  # noqa: S311 (nothing secret hangs on it)
            # What belongs to no trace costs nothing on any further hop.
            return NO_TRACER.begin(name, kind)
        return _Span(self._start(name, kind, traceparent, links, attributes, None), self._trace)

    def record(self, name: str, kind: str, traceparent: str, began_ns: int, ended_ns: int, error: str = "",
               **attributes: Any) -> None:
        if not traceparent or traceparent.endswith(UNSAMPLED):
            return
        span = _Span(self._start(name, kind, traceparent, (), attributes, began_ns), self._trace)
        span.end(error, ended_ns=ended_ns)

    def _start(self, name: str, kind: str, traceparent: str, links: Sequence[str], attributes: dict[str, Any], began_ns: int | None) -> Any:
        from opentelemetry.context import Context

        parent = self._remote(traceparent)
        around = Context() if parent is None else self._trace.set_span_in_context(self._trace.NonRecordingSpan(parent), Context())
        linked = [self._trace.Link(found) for link in links if (found := self._remote(link)) is not None]
        return self._tracer.start_span(name, context=around, kind=self._kinds[kind], links=linked, start_time=began_ns,
                                       attributes={_dotted(key): value for key, value in attributes.items() if value not in (None, "")})

    def _remote(self, traceparent: str) -> Any:
        if not traceparent_of(traceparent):
            return None
        _, trace_id, span_id, flags = traceparent.split("-")
        return self._trace.SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True,
                                       trace_flags=self._trace.TraceFlags(int(flags, 16)))


class _Span:
    """A ``Span`` on an OpenTelemetry one."""

    __slots__ = ("_span", "_trace", "traceparent")

    def __init__(self, span: Any, trace: Any) -> None:
        self._span, self._trace = span, trace
        found = span.get_span_context()
        self.traceparent = f"00-{found.trace_id:032x}-{found.span_id:016x}-{int(found.trace_flags):02x}"

    def end(self, error: str = "", ended_ns: int | None = None, **attributes: Any) -> None:
        if self._span.is_recording():
            for key, value in attributes.items():
                self._span.set_attribute(_dotted(key), value)
            if error:
                self._span.set_attribute("error.type", error)
                self._span.set_status(self._trace.StatusCode.ERROR, error)
        self._span.end(ended_ns)


def _dotted(key: str) -> str:
    """``http_route`` as OpenTelemetry writes it: ``http.route``; two underscores stand for one."""
    return key.replace("__", "\0").replace("_", ".").replace("\0", "_")
