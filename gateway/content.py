"""The bytes of an instance, streamed through from the service that has them: ranges, validators, safe names.

Nothing is kept: a chunk read is a chunk written. What comes short breaks the connection instead of ending it well.
"""
from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import quote, urlsplit

from gateway.problems import RangeNotSatisfiable
from shared.kernel.errors import EdgemereError, NotFound, Unavailable, from_payload

CHUNK_BYTES = 256 * 1024
# How long the bytes may flow on after a login is over; and after the service would not give them any more.
GLANCE_S = 1.0
ANEW_S = 5.0
_RANGE = re.compile(r"^\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*$", re.ASCII)
_MEDIA_TYPE = re.compile(r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(;\s*[a-z-]+=[A-Za-z0-9_.-]+)*$")


@dataclass(frozen=True)
class Content:
    """How one content request is answered: status, headers, and the bytes (None for none)."""

    status: int
    headers: list[tuple[str, str]]
    body: Bytes | None


def open_content(place: dict[str, Any], environ: dict[str, Any], timeout_s: float) -> Content:
    """Answer a GET or HEAD for the bytes at ``place`` ({url, size, media_type, name, checksum, etag}).

    Raises:
        RangeNotSatisfiable: the Range begins after the end.
        Unavailable: the service that has the bytes does not answer.
        EdgemereError: what that service said instead.
    """
    size = place.get("size")
    etag = _etag(place)
    headers = [("Content-Type", _media_type(place.get("media_type"))),
               ("Content-Disposition", disposition(place.get("name") or "data")),
               # Whatever the bytes are, a browser never runs them as a page of this server.
               ("Content-Security-Policy", "sandbox; default-src 'none'"), ("Cache-Control", "private, no-cache")]
    if etag:
        headers.append(("ETag", etag))
    if etag and names(environ.get("HTTP_IF_NONE_MATCH", ""), etag):
        return Content(304, headers, None)
    span = None
    if isinstance(size, int):
        headers.append(("Accept-Ranges", "bytes"))
        if environ["REQUEST_METHOD"] != "HEAD" and environ.get("HTTP_IF_RANGE", etag) == etag:
            span = wanted_range(environ.get("HTTP_RANGE", ""), size)
        first, last = span or (0, size - 1)
        headers.append(("Content-Length", str(last - first + 1)))
        if span:
            headers.append(("Content-Range", f"bytes {first}-{last}/{size}"))
    if environ["REQUEST_METHOD"] == "HEAD":
        return Content(200, headers, None)
    expected = None if not isinstance(size, int) else (span[1] - span[0] + 1 if span else size)
    return Content(206 if span else 200, headers, Bytes(place["url"], span, expected, timeout_s))


def wanted_range(header: str, size: int) -> tuple[int, int] | None:
    """(first, last) of a Range header; None for one that is absent, of several ranges, or no range of bytes.

    Raises:
        RangeNotSatisfiable: it begins after the end.
    """
    match = _RANGE.match(header)
    if not match or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first and last and int(last) < int(first):
        return None
    if not first:
        begin, end = max(0, size - int(last)), size - 1
    else:
        begin, end = int(first), min(int(last or size), size - 1)
    if begin >= size or (not first and int(last) == 0):
        raise RangeNotSatisfiable("range_not_satisfiable", f"The content has {size} bytes; the range begins after them.",
                                  next_step="Ask for a range inside.", size=size)
    return begin, end


def names(header: str, etag: str) -> bool:
    """Whether an If-None-Match header names ``etag`` (weakly compared), or anything."""
    if not header:
        return False
    wanted = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in wanted or etag.removeprefix("W/") in wanted


def disposition(name: str) -> str:
    """An RFC 6266 Content-Disposition for a base name: plain ASCII for old clients, UTF-8 for the others."""
    name = name.replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join(char for char in name if char.isprintable() and not 0xD800 <= ord(char) < 0xE000)
    name = name.strip(" .") or "data"
    plain = "".join(char if char.isascii() and char not in '"\\%;' else "_" for char in name)
    if plain == name:
        return f'attachment; filename="{plain}"'
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _etag(place: dict[str, Any]) -> str:
    etag = str(place.get("etag") or place.get("checksum") or "")
    if not etag:
        return ""
    bare = etag.removeprefix("W/").strip('"')
    if not bare.isascii() or not bare.isprintable() or '"' in bare:
        return ""
    return f'W/"{bare}"' if etag.startswith("W/") else f'"{bare}"'


def _media_type(given: Any) -> str:
    return given if isinstance(given, str) and _MEDIA_TYPE.match(given) else "application/octet-stream"


class Bytes:
    """The bytes of one answer, in chunks; asks for them at once, so that a refusal is still a problem document."""

    def __init__(self, url: str, span: tuple[int, int] | None, expected: int | None, timeout_s: float) -> None:
        parts = urlsplit(url)
        self._connection = HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
        headers = {"Range": f"bytes={span[0]}-{span[1]}"} if span else {}
        try:
            self._connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path, headers=headers)
            self._answer = self._connection.getresponse()
            # What the catalogue has no size for, like a folder that is packed on the way, the other side may know one for.
            self._left = self._answer.length if expected is None else expected
        except (OSError, HTTPException) as error:
            self.close()
            raise Unavailable("unavailable", "The service that has the bytes does not answer.",
                              next_step="Try again.") from error
        try:
            self._check(span)
        except BaseException:
            self.close()
            raise

    def _check(self, span: tuple[int, int] | None) -> None:
        status = self._answer.status
        if status in (404, 410):
            raise NotFound("source.vanished", "The data is no longer where it was.", next_step="Ask for the data anew.")
        if status not in (200, 206):
            raise _refusal(self._answer)
        if span and status == 200:
            # The other side does not know ranges: what lies before the range is read and dropped.
            left = span[0]
            while left:
                dropped = len(self._answer.read(min(CHUNK_BYTES, left)))
                if not dropped:
                    raise Unavailable("source.changed", "The data is shorter than the catalogue says.",
                                      next_step="Scan the source.")
                left -= dropped

    def __iter__(self) -> Iterator[bytes]:
        while self._left is None or self._left > 0:
            wanted = CHUNK_BYTES if self._left is None else min(CHUNK_BYTES, self._left)
            chunk = self._answer.read(wanted)
            if not chunk:
                if self._left:
                    raise OSError(f"the bytes ended {self._left} too early")
                return
            if self._left is not None:
                self._left -= len(chunk)
            yield chunk

    def close(self) -> None:
        """Give the connection back, however far the reading came."""
        self._connection.close()


class WhileAllowed:
    """The bytes of one answer, for as long as their reader may have them: ``why_not`` is asked every ``GLANCE_S`` between two chunks.

    What he may not have any more breaks the connection, since the answer said how many bytes it has.
    """

    def __init__(self, body: Bytes, why_not: Callable[[], EdgemereError | None]) -> None:
        self._body, self._why_not = body, why_not

    def __iter__(self) -> Iterator[bytes]:
        due = time.monotonic() + GLANCE_S
        for chunk in self._body:
            if time.monotonic() >= due:
                if (error := self._why_not()) is not None:
                    raise PermissionError(f"the reader may not have the rest: {error.code}")
                due = time.monotonic() + GLANCE_S
            yield chunk

    def close(self) -> None:
        """Give the connection back, however far the reading came."""
        self._body.close()


def _refusal(answer: HTTPResponse) -> EdgemereError:
    try:
        body = json.loads(answer.read(64 * 1024))
        if isinstance(body, dict) and body.get("kind"):
            return from_payload(body)
    except (ValueError, OSError, HTTPException):
        pass
    return Unavailable("unavailable", f"The service that has the bytes answered with status {answer.status}.",
                       next_step="Try again.")
