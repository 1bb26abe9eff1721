"""The health and the figures of one process over plain HTTP, for its supervisor, an orchestrator of containers, and Prometheus.

It answers from the same green hub as the work does: what hangs there hangs here, and is found.
"""
from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import eventlet
import eventlet.wsgi
import orjson

from shared.hosting.figures import MEDIA_TYPE, Figures
from shared.hosting.vitals import Vitals

PAGES = ("/health/live", "/health/ready", "/metrics")


class VitalsPage:
    """A WSGI application that tells of the ``vitals`` of a process; ``serve`` puts it on a port."""

    def __init__(self, vitals: Sequence[Vitals], figures: Figures) -> None:
        self._vitals, self._figures = vitals, figures
        self._thread: Any = None
        self._socket: Any = None

    def serve(self, host: str, port: int) -> str:
        """Listen; the address, such as ``http://127.0.0.1:40123``."""
        self._socket = eventlet.listen((host, port))
        self._thread = eventlet.spawn(eventlet.wsgi.server, self._socket, self, log=logging.getLogger("edgemere.vitals"),
                                      log_output=False, socket_timeout=30, debug=False)
        bound = self._socket.getsockname()
        shown = "127.0.0.1" if bound[0] in ("0.0.0.0", "::") else bound[0]  # noqa: S104
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{bound[1]}"

    def close(self) -> None:
        if self._thread is not None:
            self._thread.kill()
            self._socket.close()

    def __call__(self, environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return _answer(start_response, "200 OK", self._figures.text(), MEDIA_TYPE)
        if path not in PAGES:
            body = {"code": "not_found", "detail": f"There is nothing here but {', '.join(PAGES)}."}
            return _answer(start_response, "404 Not Found", orjson.dumps(body))
        told = [one.alive() if path == "/health/live" else one.ready() for one in self._vitals]
        good = all(ok for ok, _ in told)
        if len(told) == 1:
            body = told[0][1]
        else:
            body = {"ok": good, "services": {answer["service"]: answer for _, answer in told}}
        return _answer(start_response, "200 OK" if good else "503 Service Unavailable", orjson.dumps(body))


def _answer(start_response: Callable[..., Any], status: str, body: bytes, kind: str = "application/json") -> list[bytes]:
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")])
    return [body]
