"""A small real HTTP server that answers what a test told it to, and remembers what it was asked."""
from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

TREE = "/edgemere/diml/dml/"


class Told:
    """``answers`` maps ``METHOD words`` (``GET do/datarequest/show``) to what is answered, one after another.

    An answer is ``(status, body)`` or ``(status, body, headers)``; bytes are sent as they are. The last one repeats.
    """

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple]] = {}
        self.asked: list[dict[str, Any]] = []
        self.url = ""
        self.slow_s = 0.0
        """How long each POST is held before it is answered."""

    def tell(self, what: str, *answers: tuple) -> None:
        self.answers[what] = list(answers)

    def next_answer(self, what: str) -> tuple:
        found = self.answers.get(what)
        if not found:
            return 404, {"code": "not_found", "detail": f"nothing is told for {what}"}
        return found.pop(0) if len(found) > 1 else found[0]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    memory = Told()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            words = parts.path.removeprefix(TREE).lstrip("/")
            memory.asked.append({
                "method": self.command, "words": words, "headers": {key.lower(): value for key, value in self.headers.items()},
                "query": {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()},
                "body": json.loads(body) if body else None,
            })
            time.sleep(memory.slow_s if self.command == "POST" else 0)
            status, answer, *headers = memory.next_answer(f"{self.command} {words}")
            content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            for key, value in (headers[0] if headers else {}).items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Tests read what was asked, not a log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    memory.url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("EDGEMERE_URL", memory.url)
    monkeypatch.delenv("NO_COLOR", raising=False)
    yield memory
    server.shutdown()
    server.server_close()
    thread.join()
