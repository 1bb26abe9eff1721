"""The bytes of instances over HTTP, on an internal port, against a signed ticket. A plain WSGI application.

The gateway is its only client: it asks the service for a ticket and streams what the ticket opens. A ticket names one
file of one source for a short time; the key that signs it lives as long as the process.
"""
from __future__ import annotations

import base64
import hashlib
import hmac
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import orjson
from werkzeug.http import parse_range_header
from werkzeug.wrappers import Request, Response

from services.instances.far import NEAR, FarItem
from shared.kernel.errors import Denied, EdgemereError
from shared.sources import folder_archive
from shared.sources.folder_archive import FolderArchive
from shared.sources.folders import MEDIA_TYPE as FOLDER
from shared.sources.port import SourcePolicy
from shared.sources.registry import open_source

# The gateway opens it at once.
TICKET_S = 10
CHUNK = 256 * 1024


class ByteServer:
    """Makes tickets and serves what they name. ``address`` is set when the port is known."""

    def __init__(self, policy: SourcePolicy, movers: Any) -> None:
        self.address = ""
        self._policy, self._movers = policy, movers
        self._key = os.urandom(32)

    def ticket(self, source: Mapping[str, Any], path: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Where to read one file: ``{url, size, media_type, name, checksum, etag}``; of a folder that is one Data, its archive."""
        packed = entry["media_type"] == FOLDER and source["adaptor"] in ("file", "fsspec")
        claim = orjson.dumps({"a": source["adaptor"], "p": source["parameters"], "f": path, "d": packed, "t": int(time.time()) + TICKET_S})
        token = base64.urlsafe_b64encode(self._sign(claim) + claim).decode()
        seen = [entry.get("checksum"), entry.get("size"), entry.get("modified_at"), entry["instance_id"], entry["data_id"]]
        # Size and checksum of a folder are those of its files, not of the archive.
        described = {"size": None, "media_type": folder_archive.MEDIA_TYPE, "name": entry["name"] + folder_archive.SUFFIX, "checksum": None} \
            if packed else {name: entry[name] for name in ("size", "media_type", "name", "checksum")}
        return {"url": f"{self.address}/content?ticket={token}", **described,
                "etag": hashlib.sha256(orjson.dumps(seen)).hexdigest()[:32]}

    def _sign(self, claim: bytes) -> bytes:
        return hmac.new(self._key, claim, hashlib.sha256).digest()

    def _opened(self, token: str) -> dict[str, Any]:
        try:
            raw = base64.urlsafe_b64decode(token.encode())
            signature, claim = raw[:32], raw[32:]
        except ValueError:
            signature, claim = b"", b""
        if not hmac.compare_digest(signature, self._sign(claim)):
            raise Denied("denied", "The ticket is not one of this server's.")
        body = orjson.loads(claim)
        if body["t"] < time.time():
            raise Denied("denied", "The ticket is too old.")
        return body

    def __call__(self, environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            response = self._answer(Request(dict(environ)))
        except EdgemereError as error:
            response = Response(orjson.dumps(error.payload()), status=error.status, mimetype="application/json")
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        wanted = self._opened(request.args.get("ticket", ""))
        opened = self._item(wanted)
        try:
            size = opened.size
            span = parse_range_header(request.headers.get("Range")) if size is not None else None
            first, last, status = 0, size, 200
            if span is not None and len(span.ranges) == 1:
                reach = span.range_for_length(size)
                if reach is None:
                    opened.close()
                    return Response(status=416, headers={"Content-Range": f"bytes */{size}"})
                (first, last), status = reach, 206
            chunks = opened.chunks(first, None if last is None else last - first)
        except BaseException:
            opened.close()
            raise
        headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        if last is not None:
            headers["Content-Length"] = str(last - first)
        if status == 206:
            headers["Content-Range"] = f"bytes {first}-{last - 1}/{size}"
        return Response(chunks, status=status, headers=headers, direct_passthrough=True)

    def _item(self, wanted: Mapping[str, Any]) -> _NearItem | FarItem:
        if wanted["a"] in NEAR:
            source = open_source(wanted["a"], wanted["p"], self._policy)
            return (_PackedFolder if wanted["d"] else _NearItem)(source, wanted["f"])
        return FarItem(self._movers, {"adaptor": wanted["a"], "parameters": wanted["p"]}, wanted["f"], self._policy.as_json(),
                       packed=wanted["d"])


class _NearItem:
    """An item that this process opens itself."""

    def __init__(self, source: Any, path: str) -> None:
        self._source, self._path = source, path
        try:
            self.size: int | None = source.stat(path).size
        except BaseException:
            source.close()
            raise

    def close(self) -> None:
        self._source.close()

    def chunks(self, first: int, count: int | None) -> Iterator[bytes]:
        """The bytes from ``first`` on, ``count`` of them or all. Raises at once where it cannot be opened."""
        return _chunks(self._source, self._source.open(self._path, first), count)


class _PackedFolder:
    """The archive of a folder, made in this process."""

    def __init__(self, source: Any, path: str) -> None:
        self._source = source
        try:
            self._archive = FolderArchive(source, path)
        except BaseException:
            source.close()
            raise
        self.size = self._archive.size

    def close(self) -> None:
        self._source.close()

    def chunks(self, first: int, count: int | None) -> Iterator[bytes]:
        """As of ``_NearItem``."""
        self._archive.seek(first)
        return _chunks(self._source, self._archive, count)


def _chunks(source: Any, stream: Any, count: int | None) -> Iterator[bytes]:
    try:
        with stream:
            while count is None or count > 0:
                piece = stream.read(CHUNK if count is None else min(CHUNK, count))
                if not piece:
                    return
                if count is not None:
                    count -= len(piece)
                yield piece
                # Another reader gets its turn between two pieces.
                time.sleep(0)
    finally:
        source.close()
