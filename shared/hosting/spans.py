"""Spans that have ended, on their way to a collector: as OTLP over HTTP, in batches, by a thread of their own.

Written here and not taken from OpenTelemetry's SDK because a span is made at every call (docs/decisions/0004-spans-are-made-here.md);
the messages are those of its package ``opentelemetry-proto``. A collector that is away keeps nobody waiting: what it would get is
kept up to ``HELD`` spans, of more the oldest go.
"""
from __future__ import annotations

import logging
import os
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

log = logging.getLogger(__name__)

SCOPE = "edgemere"
EVERY_S, BATCH, HELD = 1.0, 1024, 8192
TIMEOUT_S = 5
SAID_EVERY_S = 60.0
_KINDS = {"internal": Span.SPAN_KIND_INTERNAL, "server": Span.SPAN_KIND_SERVER, "client": Span.SPAN_KIND_CLIENT,
          "consumer": Span.SPAN_KIND_CONSUMER}
# What a collector may refuse for the moment: https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
_LATER = frozenset({429, 502, 503, 504})


class Ended(NamedTuple):
    """A span that is over. Ids are hexadecimal digits, times nanoseconds since the epoch; ``links`` are traceparents."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    began_ns: int
    ended_ns: int
    attributes: Mapping[str, Any]
    links: Sequence[str]
    error: str


class Outlet:
    """Sends the spans of one process. ``resource`` are the attributes of all of them, beside the name of the service."""

    def __init__(self, endpoint: str, resource: Mapping[str, Any]) -> None:
        self._endpoint, self._resource = endpoint, resource
        self._spans: deque[Ended] = deque(maxlen=HELD)
        self._closing = threading.Event()
        self._said = float("-inf")
        self._headers = {"Content-Type": "application/x-protobuf", "User-Agent": SCOPE, **_headers_of_the_environment()}
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def add(self, span: Ended) -> None:
        """One more; returns at once."""
        self._spans.append(span)

    def stop(self, limit_s: float = 2.0) -> None:
        """Send what is left, for a moment; then end."""
        self._closing.set()
        self._thread.join(limit_s)

    def _run(self) -> None:
        while not self._closing.wait(EVERY_S):
            self._send()
        self._send()

    def _send(self) -> None:
        while self._spans:
            batch = [self._spans.popleft() for _ in range(min(BATCH, len(self._spans)))]
            try:
                self._post(encoded(batch, self._resource))
            except urllib.error.HTTPError as error:
                error.close()
                self._say(f"it answered {error.code}")
                if error.code not in _LATER:
                    continue
            except (OSError, ValueError) as error:
                self._say(str(error))
            else:
                continue
            # Those that came meanwhile are newer, and stay.
            room = HELD - len(self._spans)
            self._spans.extendleft(reversed(batch[-room:] if room else ()))
            return

    def _post(self, body: bytes) -> None:
        asked = urllib.request.Request(self._endpoint, body, self._headers)  # noqa: S310 (an address of the settings)
        with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:  # noqa: S310
            answer.read()

    def _say(self, why: str) -> None:
        if time.monotonic() - self._said > SAID_EVERY_S:
            self._said = time.monotonic()
            log.warning("the collector of traces takes no spans: %s", why)


def encoded(spans: Sequence[Ended], resource: Mapping[str, Any]) -> bytes:
    """Spans as the body of an OTLP request."""
    by_service: dict[str, list[Span]] = {}
    for span in spans:
        by_service.setdefault(span.service, []).append(_message(span))
    return ExportTraceServiceRequest(resource_spans=[
        ResourceSpans(resource=Resource(attributes=_attributes({"service.name": service, **resource})),
                      scope_spans=[ScopeSpans(scope=InstrumentationScope(name=SCOPE), spans=messages)])
        for service, messages in by_service.items()]).SerializeToString()


def _message(span: Ended) -> Span:
    message = Span(
        trace_id=bytes.fromhex(span.trace_id), span_id=bytes.fromhex(span.span_id), parent_span_id=bytes.fromhex(span.parent_id), name=span.name,
        kind=_KINDS[span.kind], start_time_unix_nano=span.began_ns, end_time_unix_nano=span.ended_ns, attributes=_attributes(span.attributes),
        # Sampled; it is known whether the parent is of another process, and each is taken as one.
        flags=0x301 if span.parent_id else 0x101)
    if span.links:
        message.links.extend(Span.Link(trace_id=bytes.fromhex(link[3:35]), span_id=bytes.fromhex(link[36:52]), flags=0x301) for link in span.links)
    if span.error:
        message.status.code, message.status.message = Status.STATUS_CODE_ERROR, span.error
    return message


def _attributes(given: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in given.items()]


def _value(value: Any) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    return AnyValue(double_value=value) if isinstance(value, float) else AnyValue(string_value=str(value))


def _headers_of_the_environment() -> dict[str, str]:
    """What a collector wants to be sent along (a token of its own), as every program with OpenTelemetry takes it."""
    given = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_HEADERS") or os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", "")
    parts = (part.partition("=") for part in given.split(",") if "=" in part)
    return {name.strip(): unquote(value.strip()) for name, _, value in parts}
