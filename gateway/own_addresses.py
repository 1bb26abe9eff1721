"""The gateway's own addresses over HTTP: the web page, the documents, health and figures, and who may see them without a login."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from gateway import content, pages
from gateway.answers import NO_STORE, Answer, accepts_gzip, json_answer, other_method
from gateway.callers.doorkeeper import Doorkeeper
from gateway.documents import Documents
from gateway.health import Health
from gateway.metrics import MEDIA_TYPE as METRICS_TYPE
from gateway.metrics import Metrics
from gateway.settings import Settings
from gateway.web import assets, lines, table
from shared.contracts.table import BY_ADDRESS
from shared.kernel.errors import NotFound, Unauthenticated, did_you_mean

# What is answered without a login: whether it lives, and the page with its login.
_OPEN = frozenset({"/health/live", "/health/ready", "/edgemere.js", "/edgemere.d.ts"})


class OwnAddresses:
    """Answers whatever is no action, no login and no WebSocket."""

    def __init__(self, settings: Settings, doorkeeper: Doorkeeper, health: Health, metrics: Metrics) -> None:
        self._settings, self._doorkeeper, self._health, self._metrics = settings, doorkeeper, health, metrics
        self._pages: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "/": self._start, "/metrics": self._figures, "/health/live": self._alive, "/health/ready": self._ready,
            **Documents(settings.version, settings.max_body_bytes).pages,
        }
        self._assets = assets.Assets({"/web/table.json": lambda: table.document(settings.version)})

    def __contains__(self, path: str) -> bool:
        """Whether this is the address of one page, and not of many."""
        return path in self._pages

    def answer(self, path: str, method: str, environ: dict[str, Any], request_id: str) -> Answer:
        """The page at an address.

        Raises:
            NotFound: ``not_found``.
            MethodNotAllowed: it does not answer this method.
            Unauthenticated: a login is needed for it, as ``Doorkeeper.greet`` says.
        """
        page = self._pages.get(path)
        if page is None and (path == assets.ROOT or path.startswith(f"{assets.ROOT}/")):
            page = self._web
        if page is None:
            shown = path.encode("latin-1", "replace").decode("utf-8", "replace")[:200]
            raise NotFound(
                "not_found", f"There is nothing at {shown!r}.{did_you_mean(path[:200], (*BY_ADDRESS, *self._pages))}",
                next_step="All addresses are at /docs and /openapi.json.",
            )
        # What it asks about may be longer than any address.
        allowed = ("POST",) if path == lines.ADDRESS else ("GET", "HEAD")
        if method not in allowed:
            return other_method(method, path, allowed)
        if self._doorkeeper.required and page != self._web and path not in _OPEN:
            try:
                self._doorkeeper.greet(environ, request_id)
            except Unauthenticated:
                if "text/html" not in environ.get("HTTP_ACCEPT", ""):
                    raise
                # A person in a browser: the page asks for the login, and leads back.
                return Answer(303, [("Location", f"/web?next={quote(path, safe='/')}"), NO_STORE])
        return page(environ)

    def _start(self, environ: dict[str, Any]) -> Answer:
        if "text/html" in environ.get("HTTP_ACCEPT", ""):
            return Answer(303, [("Location", "/web"), NO_STORE])
        return json_answer(200, pages.start(self._settings.version))

    def _web(self, environ: dict[str, Any]) -> Answer:
        path = environ["PATH_INFO"]
        file = self._assets.at(path)
        if file is None:
            raise NotFound("not_found", f"The page has no file at {path[:200]!r}.", next_step="Open /web.")
        headers = [("Content-Type", file.kind), ("Cache-Control", "no-cache"), ("ETag", file.etag),
                   ("Content-Security-Policy", assets.POLICY), ("Vary", "Accept-Encoding")]
        if content.names(environ.get("HTTP_IF_NONE_MATCH", ""), file.etag):
            return Answer(304, headers)
        if not accepts_gzip(environ.get("HTTP_ACCEPT_ENCODING", "")):
            return Answer(200, [*headers, ("Content-Length", str(len(file.plain)))], file.plain)
        return Answer(200, [*headers, ("Content-Encoding", "gzip"), ("Content-Length", str(len(file.packed)))], file.packed)

    def _figures(self, environ: dict[str, Any]) -> Answer:
        return Answer(200, [("Content-Type", METRICS_TYPE), NO_STORE], self._metrics.text())

    def _alive(self, environ: dict[str, Any]) -> Answer:
        return json_answer(200, {"ok": True, "version": self._settings.version})

    def _ready(self, environ: dict[str, Any]) -> Answer:
        ready, found = self._health.ready()
        return json_answer(200 if ready else 503, found)
