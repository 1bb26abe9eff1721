"""A web server for tests of what is read from one: with or without ranges, with ETags; what it serves can change, and it can fall silent."""
from __future__ import annotations

import hashlib
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Web(ThreadingHTTPServer):
    """``files`` by name, ``ranges`` or not; ``silent`` holds every answer but that for ``quick``; ``asked`` is what was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ranges, self.silent = True, threading.Event()
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    server: Web

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        while self.server.silent.is_set() and self.path != "/quick":
            time.sleep(0.1)
        body = self.server.files[self.path[1:]]
        whole, status = len(body), 200
        self.server.asked.append(f"{self.command} {self.headers.get('Range')}")
        if self.server.ranges and (given := re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")):
            first, last = int(given[1]), int(given[2] or whole - 1)
            body, status = body[first:last + 1], 206
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.md5(self.server.files[self.path[1:]]).hexdigest()}"')  # noqa: S324
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{first + len(body) - 1}/{whole}")
        self.end_headers()
        try:
            if self.command == "GET":
                self.wfile.write(body)
        except OSError:
            pass
