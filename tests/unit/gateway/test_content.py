"""Ranges, validators and names of content."""
from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.http import parse_options_header

from gateway.content import disposition, names, open_content, wanted_range
from gateway.problems import RangeNotSatisfiable
from shared.kernel.errors import Unavailable

DATA = bytes(range(256)) * 40


@pytest.mark.parametrize(("header", "expected"), [
    ("bytes=0-9", (0, 9)), ("bytes=90-", (90, 99)), ("bytes=-10", (90, 99)), ("bytes=-500", (0, 99)), ("bytes=50-500", (50, 99)),
    ("", None), ("bytes=5-2", None), ("bytes=0-1,5-6", None), ("items=0-1", None), ("bytes=-", None), ("bytes=a-b", None),
])
def test_a_range_is_read_as_http_means_it(header, expected):
    assert wanted_range(header, 100) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=500-600", "bytes=-0"])
def test_a_range_outside_is_not_satisfiable(header):
    with pytest.raises(RangeNotSatisfiable) as refused:
        wanted_range(header, 100)
    assert refused.value.extra["size"] == 100


@given(st.text(max_size=60))
def test_a_disposition_is_one_header_line_and_keeps_no_path(name):
    header = disposition(name)
    assert header.isascii() and header.isprintable()
    kind, options = parse_options_header(header)
    assert kind == "attachment" and "/" not in options["filename"] and options["filename"]


def test_a_disposition_keeps_the_name():
    assert parse_options_header(disposition('Ergebnisse "2026" über.csv'))[1]["filename"] == 'Ergebnisse "2026" über.csv'


def test_an_etag_list_is_compared_weakly():
    assert names('"a", W/"3"', '"3"') and names("*", '"3"') and not names('"33"', '"3"') and not names("", '"3"')


class Bytes(BaseHTTPRequestHandler):
    """Knows no ranges; ``/short`` says more than it sends."""

    def do_GET(self):
        if self.path == "/gone":
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        sent = DATA[:100] if self.path == "/short" else DATA
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_):
        """The test's output stays quiet."""


@pytest.fixture(scope="module")
def origin():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bytes)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def place(origin, path="/all"):
    return {"url": origin + path, "size": len(DATA), "media_type": "text/csv", "name": "a.csv", "etag": "v1"}


def get(place, method="GET", **headers):
    return open_content(place, {"REQUEST_METHOD": method, **{f"HTTP_{name.upper()}": value for name, value in headers.items()}}, 5)


def test_all_bytes_come_through(origin):
    found = get(place(origin))
    assert (found.status, b"".join(found.body)) == (200, DATA)
    assert dict(found.headers)["ETag"] == '"v1"' and dict(found.headers)["Content-Type"] == "text/csv"


@pytest.mark.parametrize(("name", "kind"), [("a.svg", "image/svg+xml"), ("a.html", "text/html"), ("a.xhtml", "application/xhtml+xml"),
                                            ("a.js", "text/javascript"), ("a.xml", "application/xml")])
def test_what_a_browser_could_run_is_a_download_in_a_sandbox(origin, name, kind):
    for method in ("GET", "HEAD"):
        headers = dict(get({**place(origin), "name": name, "media_type": kind}, method).headers)
        assert headers["Content-Disposition"] == f'attachment; filename="{name}"'
        assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert dict(get({**place(origin), "name": name, "media_type": kind}, range="bytes=0-9").headers)["Content-Security-Policy"].startswith("sandbox")


def test_a_range_comes_from_a_server_without_ranges(origin):
    found = get(place(origin), range="bytes=300-399")
    assert (found.status, b"".join(found.body)) == (206, DATA[300:400])
    assert dict(found.headers)["Content-Range"] == f"bytes 300-399/{len(DATA)}"


def test_if_range_of_another_version_gives_everything(origin):
    assert get(place(origin), range="bytes=0-1", if_range='"old"').status == 200
    assert get(place(origin), range="bytes=0-1", if_range='"v1"').status == 206


def test_head_and_known_versions_have_no_body(origin):
    head = get(place(origin), method="HEAD", range="bytes=0-1")
    assert (head.status, head.body, dict(head.headers)["Content-Length"]) == (200, None, str(len(DATA)))
    assert get(place(origin), if_none_match='"v1"').status == 304


def test_bytes_that_end_early_break_the_answer(origin):
    with pytest.raises(OSError, match="too early"):
        list(get(place(origin, "/short")).body)


def test_data_that_is_gone_is_not_found(origin):
    with pytest.raises(Exception, match="source.vanished"):
        get(place(origin, "/gone"))


def test_a_media_type_that_is_none_becomes_plain_bytes(origin):
    assert dict(get({**place(origin), "media_type": "text/html\r\nX: y"}).headers)["Content-Type"] == "application/octet-stream"


def test_a_service_that_is_away_is_unavailable():
    with pytest.raises(Unavailable):
        get(place("http://127.0.0.1:9"))
