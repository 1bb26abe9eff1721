"""The adaptor ``http`` and copies from it, against a real server on the loopback interface that can misbehave."""
from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shared.kernel.errors import Denied, EdgemereError, Invalid, Unavailable
from shared.sources.port import Entry, Problem, SourcePolicy
from shared.sources.registry import check_parameters, open_source
from tests.interface.mover.conftest import Bench, bench, item, results_of  # noqa: F401  (the fixture)

OPEN = SourcePolicy(allowed_hosts=["127.0.0.1"])


class Site:
    """A web server of a few bodies, with ranges, ETags, a place to stall, and a record of what was asked."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        self.stall_after: int | None = None
        self.etags = self.heads = True
        self.go_on = threading.Event()
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                site._answer(self, "HEAD")

            def do_GET(self) -> None:
                site._answer(self, "GET")

            def log_message(self, *_: Any) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _answer(self, handler: BaseHTTPRequestHandler, method: str) -> None:
        asked = handler.headers.get("Range")
        self.asked.append((method, handler.path, asked))
        if handler.path in self.redirects:
            handler.send_response(302)
            handler.send_header("Location", self.redirects[handler.path])
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        body = self.bodies.get(handler.path)
        if body is None or (method == "HEAD" and not self.heads):
            handler.send_error(404 if body is None else 405)
            return
        first = int(asked[6:].split("-")[0]) if asked else 0
        last = int(asked[6:].split("-")[1] or len(body) - 1) if asked else len(body) - 1
        part = body[first:last + 1]
        handler.send_response(206 if asked else 200)
        if asked:
            handler.send_header("Content-Range", f"bytes {first}-{last}/{len(body)}")
        handler.send_header("Content-Length", str(len(part)))
        handler.send_header("Content-Type", "text/x-served; charset=utf-8")
        handler.send_header("Last-Modified", "Wed, 01 Jul 2020 12:00:00 GMT")
        if self.etags:
            handler.send_header("ETag", f'"{hash(body)}"')
        handler.end_headers()
        if method == "GET":
            self._send(handler, part)

    def _send(self, handler: BaseHTTPRequestHandler, part: bytes) -> None:
        try:
            if self.stall_after is not None and len(part) > self.stall_after:
                handler.wfile.write(part[:self.stall_after])
                self.go_on.wait(120)
                handler.close_connection = True
            else:
                handler.wfile.write(part)
        except OSError:
            handler.close_connection = True


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.go_on.set()
    site.server.shutdown()
    site.server.server_close()


def opened(listing: Any, policy: SourcePolicy = OPEN, **more: Any) -> Any:
    return open_source("http", check_parameters("http", {"listing": listing, **more}, policy), policy)


def test_a_scan_asks_for_heads_and_reads_no_body(site: Site) -> None:
    site.bodies = {f"/d/{n}.csv": b"x" * n for n in range(40)}
    entries = {item.path: item for item in opened([f"d/{n}.csv" for n in range(40)], base_url=site.url).scan()}
    assert len(entries) == 40 and {method for method, _, _ in site.asked} == {"HEAD"}
    entry = entries["d/7.csv"]
    assert (entry.name, entry.size, entry.media_type, entry.modified_at) == ("7.csv", 7, "text/x-served", "2020-07-01T12:00:00.000000Z")
    assert entry.uri == site.url + "d/7.csv" and entry.tags == {"folder": "d", "folders": ["d"]}


def test_what_a_row_says_becomes_tags_and_what_does_not_answer_is_named(site: Site) -> None:
    site.bodies["/a%20b.csv"] = b"12"
    items = list(opened([{"url": site.url + "a%20b.csv", "path": "my/a.csv", "owner": "darren"}, site.url + "none", 5]).scan())
    entry, = [item for item in items if isinstance(item, Entry)]
    assert entry.path == "my/a.csv" and entry.tags["owner"] == "darren"
    assert {problem.code for problem in items if isinstance(problem, Problem)} == {"source.vanished", "source.bad_row"}


def test_a_server_without_head_is_asked_for_one_byte(site: Site) -> None:
    site.bodies["/a"] = b"12345"
    site.heads = False
    entry, = opened([site.url + "a"]).scan()
    assert entry.size == 5


@pytest.mark.parametrize(("name", "text"), [("l.json", '["a", {"url": "b", "n": 1}]'), ("l.yaml", "- a\n- {url: b, n: 1}\n"),
                                            ("l.csv", "url,n\na,\nb,1\n"), ("l.txt", "a\nb\n")])
def test_a_listing_can_be_on_the_web_itself(site: Site, name: str, text: str) -> None:
    site.bodies = {"/d/a": b"1", "/d/b": b"22", f"/d/{name}": text.encode()}
    kept = check_parameters("http", {"listing_url": site.url + "d/" + name, "base_url": site.url + "d/"}, OPEN)
    assert {entry.path: entry.size for entry in open_source("http", kept, OPEN).scan()} == {"a": 1, "b": 2}


def test_reads_start_where_they_are_asked_to(site: Site) -> None:
    site.bodies["/a"] = bytes(range(256))
    source = opened([site.url + "a"], base_url=site.url)
    with source.open("a", 250) as stream:
        assert stream.read() == bytes(range(250, 256)) and stream.stat.size == 256
    with pytest.raises(EdgemereError):
        source.open("b")
    with pytest.raises(Invalid):
        source.open("../a")


def test_an_internal_address_is_refused_before_any_connection(site: Site) -> None:
    site.bodies["/a"] = b"secret"
    closed = SourcePolicy()
    with pytest.raises((Invalid, Denied)):
        opened([site.url + "a"], closed)
    name = site.url.replace("127.0.0.1", "127.1")
    assert [item.code for item in opened([name + "a"], closed).scan()] == ["source.unreachable"]
    assert site.asked == []


def test_a_redirect_to_an_internal_address_is_refused(site: Site) -> None:
    other = Site()
    other.bodies["/secret"] = b"secret"
    site.redirects["/a"] = other.url.replace("127.0.0.1", "127.0.0.2") + "secret"
    site.bodies["/ok"] = b"fine"
    site.redirects["/b"] = "/ok"
    policy = SourcePolicy(allowed_hosts=["127.0.0.1"])
    items = {item.path: item for item in opened([site.url + "a", site.url + "b"], policy, base_url=site.url).scan()}
    assert isinstance(items["a"], Problem) and isinstance(items["b"], Entry)
    assert other.asked == []
    other.server.server_close()


def test_redirects_without_end_are_an_error(site: Site) -> None:
    site.redirects["/a"] = "/a"
    with pytest.raises(Unavailable):
        opened([site.url + "a"], base_url=site.url).stat("a")


@pytest.mark.parametrize("size", [0, 1000, (9 << 20) + 5])
def test_a_copy_from_the_web_is_verified_like_any_other(site: Site, bench: Bench, size: int) -> None:  # noqa: F811
    site.bodies["/a.bin"] = os.urandom(size)
    from_web(bench, site)
    result = bench.one("copy", item("k", "a.bin", size=size, modified_at="2020-07-01T12:00:00.000000Z"))
    assert result["ok"], result
    assert Path(result["path"]).read_bytes() == site.bodies["/a.bin"]
    verified = bench.one("verify", item("k", "a.bin", size=size))
    assert (verified["uri"], verified["path"], verified["verified"]) == (site.url + "a.bin", None, "size_mtime")


def from_web(bench: Bench, site: Site) -> None:  # noqa: F811
    bench.policy = OPEN.as_json()
    bench.sources["s"] = {"adaptor": "http", "parameters": {"listing": [site.url + "a.bin"], "base_url": site.url}}


def test_a_connection_that_breaks_is_taken_up_where_it_broke(site: Site, bench: Bench) -> None:  # noqa: F811
    body = os.urandom(12 << 20)
    site.bodies["/a.bin"] = body
    site.stall_after = 5 << 20
    site.go_on.set()
    from_web(bench, site)
    result = bench.one("copy", item("k", "a.bin"))
    assert result["ok"], result
    assert Path(result["path"]).read_bytes() == body
    assert [asked for method, _, asked in site.asked if method == "GET" and asked] == [f"bytes={5 << 20}-", f"bytes={10 << 20}-"]


@pytest.mark.parametrize("etags", [True, False])
def test_after_a_crash_a_copy_goes_on_by_range_if_the_server_can_say_that_nothing_changed(site: Site, bench: Bench, etags: bool) -> None:  # noqa: F811
    body = os.urandom(40 << 20)
    site.bodies["/a.bin"] = body
    site.etags, site.stall_after = etags, 33 << 20
    from_web(bench, site)
    handle = bench.submit("copy", item("k", "a.bin"))
    until = time.monotonic() + 120
    while not any(path.stat().st_size >= 32 << 20 for path in bench.target.rglob("*.part")) or (etags and not list(bench.target.rglob("*.state"))):
        assert time.monotonic() < until
        time.sleep(0.01)
    os.kill(bench.pool.pids()[0], signal.SIGKILL)
    with pytest.raises(Unavailable):
        list(handle)
    site.stall_after = None
    site.asked.clear()
    result = results_of(bench.submit("copy", item("k", "a.bin")), 1)["k"]
    assert result["ok"] and (result["resumed_bytes"] > 0) is etags
    assert Path(result["path"]).read_bytes() == body
    assert bench.left() == ["i/a.bin"]


def test_a_body_that_changed_since_the_crash_is_copied_anew(site: Site, bench: Bench) -> None:  # noqa: F811
    site.bodies["/a.bin"] = b"a" * (20 << 20)
    site.stall_after = 17 << 20
    from_web(bench, site)
    handle = bench.submit("copy", item("k", "a.bin"))
    while not list(bench.target.rglob("*.state")):
        time.sleep(0.01)
    os.kill(bench.pool.pids()[0], signal.SIGKILL)
    with pytest.raises(Unavailable):
        list(handle)
    site.stall_after = None
    site.bodies["/a.bin"] = b"b" * (20 << 20)
    assert bench.one("copy", item("k", "a.bin"))["resumed_bytes"] == 0
    assert (bench.target / "i/a.bin").read_bytes() == site.bodies["/a.bin"]
