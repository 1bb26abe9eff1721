"""One trace follows one request over HTTP, calls, events and the mover; log lines name it."""
from __future__ import annotations

import json
import logging
import os
import time
import urllib.request
from typing import Any

from shared.hosting.logs import JsonLines, TextLines
from shared.kernel.trace import UNDER_WAY
from tests.support.collector import Collector

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
HOPS = {
    ("edgemere-gateway", "do.datarequest.create"), ("edgemere-gateway", "requests.create"), ("edgemere-requests", "requests.create"),
    ("edgemere-reservations", "reservations.datarequest_needed"), ("edgemere-catalog", "catalog.query_all"),
    ("edgemere-catalog", "catalog.claim_all"), ("edgemere-reservations", "reservations.datarequest_selected"),
    ("edgemere-instances", "instances.datarequest_evaluated"), ("edgemere-instances", "mover.copy"), ("edgemere-instances", "mover copy"),
    ("edgemere-requests", "requests.settled"),
}


def _post(url: str, body: dict[str, Any], **headers: str) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json", "Prefer": "wait=100", **headers})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def _copies(url: str, folder: Any, **headers: str) -> Any:
    """A request whose files are copied, once it has come to its end."""
    (folder / "from").mkdir(parents=True)
    (folder / "to").mkdir()
    for number in range(3):
        (folder / "from" / f"scan{number}.bin").write_bytes(os.urandom(5000))
    base = f"{url}/edgemere/diml/dml"
    _post(f"{base}/fmdm/datasource/create", {"name": "camera", "adaptor": "file", "parameters": {"rootdir": str(folder / "from")}})
    _post(f"{base}/fmdm/datasource/create", {
        "name": "scratch", "adaptor": "file", "parameters": {"rootdir": str(folder / "to"), "writable": True}})
    return _post(f"{base}/do/datarequest/create", {"query": 'source:camera', "target": "scratch", "action": "copy"}, **headers)


def _is_whole(spans: list[Any]) -> bool:
    return {(span.service, span.name) for span in spans} >= HOPS


def _check_trace(spans: list[Any]) -> None:
    by_name = {span.name: span for span in spans}
    assert HOPS - {(span.service, span.name) for span in spans} == set()
    by_id = {span.span_id: span for span in spans}
    for span in spans:
        assert span.parent_id in by_id or span.parent_id == CALLER, f"{span.name} hangs in the air"
        assert span.began_ns <= span.ended_ns
    assert by_name["do.datarequest.create"].parent_id == CALLER
    assert by_name["do.datarequest.create"].attributes["http.route"].endswith("/do/datarequest/create")
    mover = by_name["mover copy"]
    assert by_id[mover.parent_id].name == "mover.copy"
    # Cause comes before effect, across processes of one machine.
    assert all(by_id[span.parent_id].began_ns <= span.began_ns for span in spans if span.parent_id in by_id)
    assert not any(span.failed for span in spans)


def test_one_trace_has_every_hop_of_a_request(edgemere_server, tmp_path):
    with Collector() as collector:
        server = edgemere_server(environment={"EDGEMERE_TRACING": collector.endpoint, "EDGEMERE_TRACING_SAMPLE": "1"})
        done = _copies(server.url, tmp_path, traceparent=f"00-{TRACE}-{CALLER}-01")
        assert done["state"] == "Satisfied"
        spans = collector.trace(TRACE, _is_whole)
        _check_trace(spans)
        logged = next(span for span in collector.spans if span.name == "events.logged" and TRACE in span.links)
        assert logged.service == "edgemere-events" and logged.trace_id != TRACE
        # What a caller without a trace asks for begins one; a caller that wants none gets none.
        assert any(span.name == "fmdm.datasource.create" and not span.parent_id for span in collector.spans)
        _post(f"{server.url}/edgemere/diml/dml/do/datarequest/create", {"query": "source:camera"}, traceparent=f"00-{TRACE[::-1]}-{CALLER}-00")
        assert not [span for span in collector.spans if span.trace_id == TRACE[::-1]]


def test_one_trace_goes_through_every_process_of_a_mesh(production_mesh, tmp_path):
    with Collector() as collector:
        mesh = production_mesh(environment={"EDGEMERE_TRACING": collector.endpoint})
        done = _copies(mesh.url, tmp_path, traceparent=f"00-{TRACE}-{CALLER}-01")
        assert done["state"] == "Satisfied"
        spans = collector.trace(TRACE, _is_whole)
        _check_trace(spans)
        # Each service tells of its own spans: over HTTP, RabbitMQ and the pipe of the mover they are of one trace.
        services = ("gateway", "requests", "reservations", "catalog", "instances")
        assert {(span.service, span.pid) for span in spans} >= {(f"edgemere-{name}", *mesh.pids(name)) for name in services}
        assert len({span.pid for span in spans}) >= len(services)
        logged = next(span for span in collector.spans if span.name == "events.logged" and TRACE in span.links)
        assert [logged.pid] == mesh.pids("events")


def test_without_a_collector_a_trace_is_passed_on_and_logged(edgemere_server, tmp_path):
    server = edgemere_server()
    base = f"{server.url}/edgemere/diml/dml/do"
    # A handled message that nothing can be done with is a dead letter, which is logged with the trace that brought it.
    _post(f"{base}/event/send", {"event": "datarequest.needed", "obj": {"id": "dreq_01ARZ3NDEKTSV4RRFFQ69G5FAV"}},
          traceparent=f"00-{TRACE}-{CALLER}-01")
    assert _headers_of_dead(base) == [f"00-{TRACE}-{CALLER}-01"]
    assert [line["service"] for line in _lines(server, "dead letter")] == ["events"]


def test_log_lines_carry_call_and_trace_and_no_secret():
    record = logging.LogRecord("shared.x", logging.WARNING, "", 0, "no way to %s with %s", (
        "amqp://mesh:hunter2@rabbit/", "Authorization: Bearer abcdefgh.ijkl password=hunter3\x1b[31m\nforged"), None)
    token = UNDER_WAY.set({"service": "requests", "correlation_id": "c1", "trace_id": TRACE})
    try:
        line, text = json.loads(JsonLines().format(record)), TextLines().format(record)
    finally:
        UNDER_WAY.reset(token)
    assert (line["service"], line["correlation_id"], line["trace_id"], line["level"]) == ("requests", "c1", TRACE, "warning")
    for told in (line["message"], text):
        assert "hunter" not in told and "abcdefgh" not in told and "\x1b" not in told
    assert "\n" not in text and text.endswith("[c1]")


def _lines(server: Any, about: str) -> list[dict[str, Any]]:
    return [line for text in server.log_path.read_text().splitlines() if text.startswith("{")
            if about in (line := json.loads(text))["message"]]


def _headers_of_dead(base: str) -> list[str]:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        with urllib.request.urlopen(f"{base}/event/dead/list", timeout=120) as answer:
            found = [item["headers"].get("traceparent") for item in json.load(answer)["items"]]
        if found:
            return found
        time.sleep(0.1)
    return []
