"""Spans on their way to a collector: a real one on this machine, that is there, is away, or does not take them."""
from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from shared.hosting import spans
from shared.hosting.spans import Ended, Outlet
from tests.support.ports import free_port
from tests.support.awaiting import until


def span(number: int, service: str = "edgemere-a", **more: object) -> Ended:
    given = {"service": service, "name": f"call {number}", "kind": "server", "trace_id": f"{number + 1:032x}", "span_id": f"{number + 1:016x}",
             "parent_id": "", "began_ns": 10, "ended_ns": 20, "attributes": {}, "links": (), "error": "", **more}
    return Ended(**given)  # type: ignore[arg-type]


class Taker:
    """A collector at ``port`` that answers with ``status`` and keeps what it took with 200."""

    def __init__(self, port: int, status: int = 200) -> None:
        self.status, self.asked, self.taken, self.headers = status, 0, [], {}
        taker = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802
                body = self.rfile.read(int(self.headers["Content-Length"]))
                taker.asked += 1
                taker.headers = {name.casefold(): value for name, value in self.headers.items()}
                if taker.status == 200:
                    taker.taken.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(taker.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """The test's output stays quiet."""

        self.server = HTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def names(self) -> list[str]:
        return [one.name for taken in self.taken for resource in taken.resource_spans for scope in resource.scope_spans for one in scope.spans]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(spans, "EVERY_S", 0.05)


def test_a_batch_has_the_spans_of_each_service_with_all_that_is_known_of_them(quick, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20abc, x-tenant=lab")
    taker = Taker(free_port())
    outlet = Outlet(f"http://127.0.0.1:{taker.server.server_port}/v1/traces", {"process.pid": 7, "service.version": "1"})
    link = f"00-{'c' * 32}-{'d' * 16}-01"
    outlet.add(span(1, parent_id="b" * 16, kind="client", attributes={"http.route": "/x", "edgemere.entries": 3, "part": 0.5, "good": True},
                    links=[link], error="x.gone"))
    outlet.add(span(2, "edgemere-b"))
    outlet.stop(20)
    taker.close()
    first, second = taker.taken[0].resource_spans
    told = {item.key: item.value for item in first.resource.attributes}
    assert (told["service.name"].string_value, told["process.pid"].int_value) == ("edgemere-a", 7)
    one, = first.scope_spans[0].spans
    assert (one.trace_id.hex(), one.span_id.hex(), one.parent_span_id.hex()) == (f"{2:032x}", f"{2:016x}", "b" * 16)
    assert (one.kind, one.start_time_unix_nano, one.end_time_unix_nano, one.status.code, one.status.message) == (3, 10, 20, 2, "x.gone")
    values = {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in one.attributes}
    assert values == {"http.route": "/x", "edgemere.entries": 3, "part": 0.5, "good": True}
    assert [(item.trace_id.hex(), item.span_id.hex()) for item in one.links] == [("c" * 32, "d" * 16)]
    assert second.scope_spans[0].spans[0].parent_span_id == b"" and second.scope_spans[0].spans[0].status.code == 0
    assert (taker.headers["authorization"], taker.headers["x-tenant"]) == ("Basic abc", "lab")


def test_what_a_collector_that_is_away_or_busy_does_not_take_comes_later_in_order_and_bounded(quick, monkeypatch):
    monkeypatch.setattr(spans, "BATCH", 10)
    port = free_port()
    outlet = Outlet(f"http://127.0.0.1:{port}/v1/traces", {})
    for number in range(25):
        outlet.add(span(number))
    time.sleep(0.3)
    busy = Taker(port, 503)
    until(lambda: busy.asked >= 2)
    busy.status = 200
    until(lambda: len(busy.names()) == 25)
    outlet.stop(20)
    busy.close()
    assert busy.names() == [f"call {number}" for number in range(25)]


def test_while_a_collector_is_away_the_newest_are_held(quick, monkeypatch):
    monkeypatch.setattr(spans, "HELD", 30)
    monkeypatch.setattr(spans, "BATCH", 10)
    port = free_port()
    outlet = Outlet(f"http://127.0.0.1:{port}/v1/traces", {})
    for number in range(100):
        outlet.add(span(number))
    time.sleep(0.5)
    taker = Taker(port)
    until(lambda: len(taker.names()) >= 30)
    outlet.stop(20)
    taker.close()
    assert taker.names() == [f"call {number}" for number in range(70, 100)]


def test_what_a_collector_refuses_for_good_is_not_sent_again(quick, caplog):
    taker = Taker(free_port(), 400)
    outlet = Outlet(f"http://127.0.0.1:{taker.server.server_port}/v1/traces", {})
    outlet.add(span(1))
    until(lambda: taker.asked == 1)
    taker.status = 200
    outlet.add(span(2))
    until(lambda: taker.names() == ["call 2"])
    outlet.stop(20)
    taker.close()
    assert "takes no spans: it answered 400" in caplog.text
