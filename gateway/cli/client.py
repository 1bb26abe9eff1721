"""The server as the command line sees it: one HTTP connection, answers, problems, and the live stream.

Uses the standard library's client, which costs no import time. Never repeats a call that changes something.
"""
from __future__ import annotations

import http.client
import ipaddress
import json
import math
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from gateway.cli.exits import FAILED, UNREACHABLE, Failure, failure_of, usage
from shared.contracts.action import Action

DEFAULT_URL = "http://127.0.0.1:3000"
TIMEOUT_S = 60.0
# Longer than this, a question's parameters go into a body instead of the address.
LONG_ADDRESS = 8000


@dataclass(frozen=True)
class Answer:
    """What came back: ``text`` as it was sent, and the JSON value in it."""

    status: int
    headers: Mapping[str, str]
    text: str
    body: Any


@dataclass(frozen=True)
class Message:
    """One frame of the live stream; ``id`` is the sequence to resume from."""

    id: str
    event: str
    data: Any


class Server:
    """The server at one address. Not safe for several threads; open one for each.

    ``told`` is called with a line for each exchange, for ``-v``. ``credential`` is a key or token; it is sent over TLS or to
    this very machine, and never told.
    """

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S, told: Callable[[str], None] | None = None, credential: str = "") -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise usage(f"'{url}' is not the address of a server.", "Give one such as http://127.0.0.1:3000.")
        try:
            self._port = parts.port
        except ValueError:
            raise usage(f"'{url}' has no valid port.", "Give an address such as http://127.0.0.1:3000.") from None
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._parts = parts
        self._timeout_s = timeout_s
        self._told = told or (lambda line: None)
        self._credential = credential
        if credential and parts.scheme == "http" and not is_near(parts.hostname) and os.environ.get("EDGEMERE_INSECURE") != "1":
            raise usage(f"The key is not sent to {self.url}: without TLS everybody on the way could read it.",
                        "Use its https address; inside a network of your own, EDGEMERE_INSECURE=1 insists.", "cli.insecure")
        self._connection: http.client.HTTPConnection | None = None

    def call(self, row: Action, parameters: Mapping[str, Any], wait_s: float | None = None) -> Answer:
        """Ask for one action; ``wait_s`` is sent as ``Prefer: wait``.

        Raises:
            Failure: a problem document, with the exit code of its status; or the server cannot be reached.
        """
        headers = {} if wait_s is None else {"Prefer": prefer(wait_s)}
        return self.ask(*request_of(row, parameters), headers=headers, patience_s=wait_s or 0)

    def ask(
        self, method: str, address: str, body: bytes | None = None, headers: Mapping[str, str] | None = None,
        patience_s: float = 0,
    ) -> Answer:
        """One exchange, read to its end; the server has ``patience_s`` more than the usual time."""
        begun = time.monotonic()
        response = self._open(method, address, body, headers or {}, self._timeout_s + patience_s)
        try:
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._lost(error, method) from None
        self._told(f"{method} {self.url}{address} → {response.status} in {(time.monotonic() - begun) * 1000:.0f} ms"
                   f" ({response.headers.get('X-Request-Id', 'no request id')})")
        return _answer(response, content)

    def bytes_of(self, address: str, start: int = 0) -> tuple[http.client.HTTPResponse, int | None]:
        """The open answer with the bytes from ``start`` on, and their number in all where it is known."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        response = self._open("GET", address, None, headers, self._timeout_s)
        self._told(f"GET {self.url}{address} → {response.status}")
        if response.status >= 400:
            _answer(response, response.read())
        length = response.headers.get("Content-Length")
        return response, int(length) if length and length.isdigit() else None

    def stream(self, row: Action, parameters: Mapping[str, Any], after: str = "", quiet_s: float = 60) -> Iterator[Message]:
        """The live messages, until the connection ends; ``quiet_s`` without even a heartbeat ends it, too."""
        headers = {"Accept": "text/event-stream"}
        if after:
            headers["Last-Event-ID"] = after
        _, address, _ = request_of(row, parameters)
        response = self._open("GET", address, None, headers, quiet_s)
        self._told(f"GET {self.url}{address} → {response.status}, open")
        if response.status >= 400:
            _answer(response, response.read())
        try:
            yield from frames(iter(response.readline, b""))
        except (OSError, http.client.HTTPException):
            return
        finally:
            self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(
        self, method: str, address: str, body: bytes | None, headers: Mapping[str, str], timeout_s: float,
    ) -> http.client.HTTPResponse:
        sent = {"Accept": "application/json", "User-Agent": "edgemere-cli", **headers}
        if self._credential:
            sent["Authorization"] = f"Bearer {self._credential}"
        if body is not None:
            sent["Content-Type"] = "application/json"
        for attempt in (1, 2):
            fresh = self._connection is None
            try:
                connection = self._connection or self._connect(timeout_s)
                self._connection = connection
                if connection.sock is not None:
                    connection.sock.settimeout(timeout_s)
                connection.request(method, self._parts.path.rstrip("/") + address, body, sent)
                return connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                self.close()
                # A kept connection may have been closed by the server meanwhile; only questions are asked again.
                if attempt == 2 or fresh or method != "GET" or isinstance(error, TimeoutError):
                    raise self._lost(error, method) from None
        raise AssertionError("unreachable")

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._parts.hostname or "", self._port, timeout=min(timeout_s, 10))
        connection.connect()
        # Small requests answered at once: waiting to fill a packet would only cost time.
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _lost(self, error: Exception, method: str) -> Failure:
        if isinstance(error, TimeoutError):
            return Failure(FAILED, {
                "code": "cli.timeout", "detail": f"{self.url} did not answer within {self._timeout_s:g} s.",
                "next_step": "Whether it was done is not known: look before you try again, or give it longer with --timeout."
                if method != "GET" else "Give it longer with --timeout, or look at it with: edgemere doctor",
            })
        if isinstance(error, http.client.HTTPException) or isinstance(error, ConnectionResetError):
            return Failure(UNREACHABLE, {
                "code": "cli.connection_lost", "detail": f"The connection to {self.url} ended before the answer was whole.",
                "next_step": "Whether it was done is not known: look before you try again.",
            })
        if isinstance(error, ssl.SSLCertVerificationError):
            return Failure(UNREACHABLE, {
                "code": "cli.untrusted", "detail": f"The certificate of {self.url} is not trusted: {error.verify_message}",
                "next_step": "Renew it, or have its authority trusted here (SSL_CERT_FILE).",
            })
        if isinstance(error, ssl.SSLError):
            return Failure(UNREACHABLE, {
                "code": "cli.no_tls", "detail": f"What answers at {self.url} does not speak TLS as it should ({error.reason or error}).",
                "next_step": "Look at its listener, or try the address with http:// if it is inside a network of your own.",
            })
        return Failure(UNREACHABLE, {
            "code": "cli.unreachable", "detail": f"No server answers at {self.url} ({error.strerror or error}).",
            "next_step": "Start one with: ./edgemere up – or name another with --url or EDGEMERE_URL.",
        })


def is_near(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def prefer(wait_s: float) -> str:
    """The header's value for a wait; RFC 7240 knows whole seconds only."""
    return f"wait={math.ceil(wait_s)}"


def request_of(row: Action, parameters: Mapping[str, Any]) -> tuple[str, str, bytes | None]:
    """Method, address and body that ask for an action with these parameters."""
    if not row.changes:
        query = urlencode({name: _as_text(value) for name, value in parameters.items()}, errors="surrogateescape")
        if len(query) <= LONG_ADDRESS or row.answer in ("stream", "content"):
            return "GET", f"{row.address}?{query}" if query else row.address, None
    return "POST", row.address, json.dumps(parameters).encode()


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _answer(response: http.client.HTTPResponse, content: bytes) -> Answer:
    text = content.decode("utf-8", "replace")
    try:
        body = json.loads(text) if text.strip() else None
    except (ValueError, RecursionError):
        raise Failure(FAILED, {
            "code": "cli.not_json", "detail": f"What answers there (status {response.status}) does not speak JSON.",
            "next_step": "Look whether the address is that of an edgemere server.",
        }) from None
    if response.status >= 400:
        problem = body if isinstance(body, dict) else {"detail": f"The server answered {response.status}."}
        raise failure_of(response.status, problem)
    return Answer(response.status, response.headers, text, body)


def frames(lines: Iterator[bytes]) -> Iterator[Message]:
    """The messages of an event stream (server-sent events); comments are heartbeats and say nothing."""
    last_id, event, data = "", "message", []
    for raw in lines:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            if data:
                text = "\n".join(data)
                try:
                    yield Message(last_id, event, json.loads(text))
                except ValueError:
                    yield Message(last_id, event, text)
            event, data = "message", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            event = value
        elif name == "id":
            last_id = value
