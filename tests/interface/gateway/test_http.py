"""The HTTP server itself: what is no HTTP, too large, too much or too slow gets a problem, and nobody else suffers."""
from __future__ import annotations

import socket
import time

import orjson
import pytest
import requests

from gateway.listening import listen
from gateway.settings import Settings
from shared.contracts.table import ACTIONS
from shared.kernel.errors import Conflict, Denied
from tests.interface.gateway.conftest import World

SHOW = ACTIONS["do.datarequest.show"].address
CREATE = ACTIONS["do.datarequest.create"].address
STREAM = ACTIONS["do.event.stream"].address


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World("alone", tmp_path_factory.mktemp("alone"), max_body_bytes=10_000, max_url_bytes=4096)
    made.do("put", row={"id": "a", "name": "scans", "state": "Needed", "version": 3})
    yield made
    made.stop()


@pytest.fixture
def port(world):
    return world.port


def raw(port: int, data: bytes) -> tuple[int, dict, bytes]:
    """(status, headers, body) of the answer to these bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=120) as sock:
        sock.sendall(data)
        found = b""
        while chunk := sock.recv(65536):
            found += chunk
    head, _, body = found.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body


@pytest.mark.parametrize(("data", "status", "code"), [
    (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, "address_too_long"),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"a" * 9000 + b"\r\n\r\n", 431, "headers_too_large"),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: a\r\n" * 200 + b"\r\n", 431, "headers_too_large"),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400, "bad_http"),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1e3\r\n\r\n", 400, "bad_http"),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "bad_http"),
    (b"nonsense\r\n\r\n", 400, "bad_http"),
    (b"GET / HTTP/9.9\r\n\r\n", 400, "bad_http"),
    (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 403, "host_not_allowed"),
])
def test_what_is_no_request_gets_a_problem(port, data, status, code):
    found, headers, body = raw(port, data)
    assert (found, headers["Content-Type"]) == (status, "application/problem+json")
    assert orjson.loads(body).items() >= {"code": code, "status": status}.items()


def test_a_body_that_is_too_large_is_refused_and_the_connection_lives_on(port):
    with requests.Session() as session:
        answer = session.post(f"http://127.0.0.1:{port}{CREATE}", json={"name": "x" * 20_000})
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert session.post(f"http://127.0.0.1:{port}{CREATE}", json={"query": "a:1"}).status_code == 201


def test_a_body_of_gigabytes_is_refused_unread(port):
    head = (b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9000000000\r\n\r\n"
            % CREATE.encode())
    status, headers, _ = raw(port, head + b"x" * 1000)
    assert (status, headers["Connection"]) == (413, "close")


def test_a_chunked_body_is_read_and_bounded(port):
    head = (b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
            b"Connection: close\r\n\r\n" % CREATE.encode())
    assert raw(port, head + b'd\r\n{"query":"a"}\r\n0\r\n\r\n')[0] == 201
    assert raw(port, head + b"4e20\r\n" + b"x" * 20000 + b"\r\n0\r\n\r\n")[0] == 413
    status, _, body = raw(port, head + b"zz\r\n")
    assert (status, orjson.loads(body)["code"]) == (400, "malformed")


def test_keep_alive_answers_many_requests_on_one_connection(port):
    request = b"GET %s?id=a HTTP/1.1\r\nHost: localhost\r\n\r\n" % SHOW.encode()
    with socket.create_connection(("127.0.0.1", port), timeout=120) as sock:
        for _ in range(5):
            sock.sendall(request)
            assert b'"name":"scans"' in sock.recv(65536)


def test_head_has_the_headers_of_get_and_no_body(port):
    url = f"http://127.0.0.1:{port}{SHOW}?id=a"
    got, head = requests.get(url, timeout=120), requests.head(url, timeout=120)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == got.headers["Content-Length"] and head.headers["ETag"] == '"3"'


def test_a_port_in_use_is_named(port):
    with pytest.raises(Conflict, match=f"Port {port}") as refused:
        listen(Settings(owner="d", port=port))
    assert refused.value.code == "port_in_use" and "--port" in refused.value.next_step


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.org", ""])
def test_no_address_but_the_loopback_is_served_without_authentication(host):
    with pytest.raises(Denied, match="authentication"):
        listen(Settings(owner="d", host=host, port=0))


def test_more_connections_than_the_bound_are_turned_away(serve):
    world = serve(max_connections=3)
    held = [socket.create_connection(("127.0.0.1", world.port)) for _ in range(3)]
    assert raw(world.port, b"")[0] == 503
    for sock in held:
        sock.close()
    end = time.monotonic() + 120
    while (answer := requests.get(f"{world.url}/health/live", timeout=120)).status_code == 503 and time.monotonic() < end:
        time.sleep(0.02)
    assert answer.status_code == 200


def test_a_client_that_says_nothing_is_let_go(serve):
    world = serve(socket_timeout_s=0.3)
    with socket.create_connection(("127.0.0.1", world.port), timeout=120) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        assert sock.recv(1000) == b""


def test_a_stream_sends_each_message_at_once_and_ends_with_the_server(serve):
    world = serve()
    with requests.get(f"{world.url}{STREAM}", stream=True, timeout=120) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        lines = answer.iter_lines(chunk_size=1)
        assert [next(lines) for _ in range(3)] == [b"retry: 2000", b"id: 0", b""]
        world.do("say", event="datarequest.needed", obj={"id": "dreq_1"})
        assert [next(lines) for _ in range(2)] == [b"id: 1", b"event: datarequest.needed"]
        world.do("stop", service="gateway")
        for _ in lines:
            pass


def test_a_client_that_leaves_a_wait_frees_its_greenlet(serve):
    world = serve()
    sock = socket.create_connection(("127.0.0.1", world.port))
    sock.sendall(b"POST %s?query=a HTTP/1.1\r\nHost: localhost\r\nPrefer: wait=200\r\nContent-Length: 0\r\n\r\n" % CREATE.encode())
    end = time.monotonic() + 120
    while not world.do("watching") and time.monotonic() < end:
        time.sleep(0.02)
    assert world.do("watching") == 1
    sock.close()
    while world.do("watching") and time.monotonic() < end:
        time.sleep(0.05)
    assert world.do("watching") == 0


@pytest.mark.parametrize("head", [
    b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n" % CREATE.encode(),
    b"POST %s HTTP/1.1\r\nHost: localhost\r\nX-A: " % CREATE.encode()])
def test_a_request_that_comes_a_byte_at_a_time_is_broken_off(serve, head):
    world = serve(socket_timeout_s=1)
    with socket.create_connection(("127.0.0.1", world.port), timeout=120) as sock:
        sock.sendall(head)
        began = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - began < 60:
                sock.sendall(b"x")
                time.sleep(0.3)
    assert 1.5 < time.monotonic() - began < 60
    assert requests.get(f"{world.url}/health/live", timeout=120).status_code == 200
