"""A collector of OpenTelemetry spans on the loopback interface: takes OTLP over HTTP, keeps what it gets."""
from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Seen:
    """One span as it arrived; times in nanoseconds since the epoch, ids in hexadecimal digits."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    began_ns: int
    ended_ns: int
    attributes: dict[str, Any]
    links: tuple[str, ...]
    failed: bool
    pid: int


class Collector:
    """``with Collector() as collector``: ``collector.endpoint`` is what ``tracing.endpoint`` takes."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        spans = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                spans.extend(_spans(body))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}/v1/traces"

    def __enter__(self) -> Collector:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def trace(self, trace_id: str, until: Callable[[list[Seen]], bool], limit_s: float = 120) -> list[Seen]:
        """The spans of a trace, as soon as ``until`` holds of them, or what there is at the end of the time."""
        end = time.monotonic() + limit_s
        while True:
            found = [span for span in self.spans if span.trace_id == trace_id]
            if until(found) or time.monotonic() > end:
                return found
            time.sleep(0.1)


def _spans(body: bytes) -> list[Seen]:
    found = []
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        told = {item.key: item.value for item in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                found.append(Seen(
                    told["service.name"].string_value, span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(),
                    span.start_time_unix_nano, span.end_time_unix_nano,
                    {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in span.attributes},
                    tuple(link.trace_id.hex() for link in span.links), span.status.code == 2, told["process.pid"].int_value))
    return found
