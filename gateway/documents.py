"""The documents that the gateway serves about itself: /docs, OpenAPI, AsyncAPI, the page for trying, the JavaScript client.

Each is made when it is first asked for, and kept. Needs nothing of the mesh.
"""
from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

from gateway import asyncapi, openapi, pages
from gateway.answers import NO_STORE, Answer, accepts_gzip
from gateway.clients import js
from gateway.rest import json_of
from gateway.web import lines
from gateway.wire import dumps


class Documents:
    """``pages`` maps each address to what answers a request for it."""

    def __init__(self, version: str, max_body_bytes: int) -> None:
        self._version, self._max_body_bytes = version, max_body_bytes
        self._made: dict[str, bytes] = {}
        self.pages: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "/docs": self._docs, "/openapi.json": self._openapi, "/docs/try": self._try, "/docs/start.js": self._started,
            "/docs/swagger-ui-bundle.js": self._swagger, "/docs/swagger-ui.css": self._swagger, "/asyncapi": self._messages,
            "/asyncapi.json": self._asyncapi, "/edgemere.js": self._module, "/edgemere.d.ts": self._types,
            lines.ADDRESS: self._lines,
        }

    def _docs(self, environ: dict[str, Any]) -> Answer:
        return self._html("/docs", pages.docs)

    def _messages(self, environ: dict[str, Any]) -> Answer:
        return self._html("/asyncapi", pages.messages)

    def _try(self, environ: dict[str, Any]) -> Answer:
        return self._html("/docs/try", pages.trial, pages.TRY_POLICY)

    def _started(self, environ: dict[str, Any]) -> Answer:
        return Answer(200, [("Content-Type", "text/javascript; charset=utf-8"), ("Cache-Control", "no-cache")], pages.START)

    def _swagger(self, environ: dict[str, Any]) -> Answer:
        name = environ["PATH_INFO"].rpartition("/")[2]
        headers = [("Content-Type", "text/css" if name.endswith(".css") else "text/javascript; charset=utf-8"),
                   ("Cache-Control", "max-age=86400"), ("Vary", "Accept-Encoding")]
        packed = (pages.SWAGGER / f"{name}.gz").read_bytes()
        if accepts_gzip(environ.get("HTTP_ACCEPT_ENCODING", "")):
            return Answer(200, [*headers, ("Content-Encoding", "gzip"), ("Content-Length", str(len(packed)))], packed)
        plain = gzip.decompress(packed)
        return Answer(200, [*headers, ("Content-Length", str(len(plain)))], plain)

    def _html(self, path: str, make: Callable[[str], bytes], policy: str = pages.POLICY) -> Answer:
        if path not in self._made:
            self._made[path] = make(self._version)
        headers = [("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-cache"), ("Content-Security-Policy", policy)]
        return Answer(200, headers, self._made[path])

    def _asyncapi(self, environ: dict[str, Any]) -> Answer:
        if "asyncapi" not in self._made:
            self._made["asyncapi"] = dumps(asyncapi.document(self._version))
        return Answer(200, [("Content-Type", "application/json"), ("Cache-Control", "no-cache")], self._made["asyncapi"])

    def _openapi(self, environ: dict[str, Any]) -> Answer:
        if "openapi" not in self._made:
            self._made["openapi"] = dumps(openapi.document(self._version))
        return Answer(200, [("Content-Type", "application/json"), ("Cache-Control", "no-cache")], self._made["openapi"])

    def _lines(self, environ: dict[str, Any]) -> Answer:
        # Whether a cookie came is looked at where a login is needed, and only there.
        found = lines.document(json_of(environ, self._max_body_bytes), logged_in="edgemere.cookie" in environ)
        return Answer(200, [("Content-Type", "application/json"), NO_STORE], found)

    def _module(self, environ: dict[str, Any]) -> Answer:
        return self._text("/edgemere.js", "text/javascript; charset=utf-8", js.module)

    def _types(self, environ: dict[str, Any]) -> Answer:
        return self._text("/edgemere.d.ts", "text/plain; charset=utf-8", js.types)

    def _text(self, path: str, media_type: str, make: Callable[[], str]) -> Answer:
        if path not in self._made:
            self._made[path] = make().encode()
        return Answer(200, [("Content-Type", media_type), ("Cache-Control", "no-cache")], self._made[path])
