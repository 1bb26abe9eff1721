"""One HTTP answer: made of JSON, of an error or of bytes, and sent with the headers that every answer has."""
from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from gateway.problems import MEDIA_TYPE as PROBLEM_TYPE
from gateway.problems import problem
from gateway.wire import dumps
from shared.kernel.errors import EdgemereError, MethodNotAllowed

GZIP_FROM_BYTES = 1024
UNREAD_BYTES = 64 * 1024
_SECURITY = [
    ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"), ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Opener-Policy", "same-origin"), ("Cross-Origin-Resource-Policy", "same-origin"),
]
_NO_FRAMES = ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
TLS_ALONE = ("Strict-Transport-Security", "max-age=31536000")
"""For clients that came over TLS: they come over TLS again."""
NO_STORE = ("Cache-Control", "no-store")
AS_FILE = ("Content-Disposition", 'attachment; filename="api.json"')
"""On what the API says: a browser that is led to it keeps it as a file, and shows it as no page of this server."""


class Answer:
    """One HTTP answer: a status, headers, and a body that is bytes or an iterable of bytes."""

    __slots__ = ("status", "headers", "body")

    def __init__(self, status: int, headers: list[tuple[str, str]], body: Any = b"") -> None:
        self.status, self.headers, self.body = status, headers, body


def json_answer(status: int, body: Any, headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """A body as JSON, not to be kept by anybody."""
    return Answer(status, [("Content-Type", "application/json"), NO_STORE, *headers], dumps(body))


def refusal(error: EdgemereError, path: str, request_id: str) -> Answer:
    """An error as a problem document, with the headers that its status asks for."""
    instance = quote(path.encode("latin-1", "replace"))[:500]
    headers = [("Content-Type", PROBLEM_TYPE), NO_STORE]
    if error.status in (429, 503):
        headers.append(("Retry-After", str(error.extra.get("retry_after_s", 1))))
    if error.status == 401:
        headers.append(("WWW-Authenticate", _challenge(error)))
    if "allow" in error.extra:
        headers.append(("Allow", ", ".join(error.extra["allow"])))
    if error.status == 416 and "size" in error.extra:
        headers.append(("Content-Range", f"bytes */{error.extra['size']}"))
    return Answer(error.status, headers, dumps(problem(error, instance, request_id)))


def is_said(answer: Answer) -> bool:
    """Whether the body is JSON that this server says, a problem document among it; bytes of data say themselves how a browser takes them."""
    return not any(name == "Content-Disposition" for name, _ in answer.headers) and any(
        name == "Content-Type" and value.partition(";")[0] in ("application/json", PROBLEM_TYPE) for name, value in answer.headers)


def leave_unread(environ: dict[str, Any]) -> None:
    """Close after the answer instead of reading the body of somebody who was not let in, where that is long."""
    length = environ.get("CONTENT_LENGTH") or "0"
    if environ.get("HTTP_TRANSFER_ENCODING") or int(length) > UNREAD_BYTES:
        environ.get("edgemere.close", bool)()


def _challenge(error: EdgemereError) -> str:
    """What RFC 6750 has in WWW-Authenticate; no error where no credential came, and that of RFC 9470 for a login that is too old."""
    if error.code == "unauthenticated":
        return 'Bearer realm="edgemere"'
    if "max_age_s" in error.extra:
        return f'Bearer realm="edgemere", error="insufficient_user_authentication", error_description="{error.code}", max_age="{error.extra["max_age_s"]:.0f}"'
    return f'Bearer realm="edgemere", error="invalid_token", error_description="{error.code}"'


def other_method(method: str, address: str, allowed: tuple[str, ...]) -> Answer:
    """What a method that an address does not answer is told; OPTIONS hears which ones it does.

    Raises:
        MethodNotAllowed: ``method_not_allowed``.
    """
    if method == "OPTIONS":
        return Answer(204, [("Allow", ", ".join((*allowed, "OPTIONS"))), NO_STORE])
    raise MethodNotAllowed(
        "method_not_allowed", f"{address} does not answer {method[:20]}.",
        next_step=f"Use {' or '.join(allowed)}.", allow=list(allowed),
    )


def send(answer: Answer, environ: dict[str, Any], start_response: Callable[..., Any], request_id: str) -> Iterable[bytes]:
    """Give an answer to the web server, with the headers that all of them have; compressed where that is wanted."""
    headers, body = answer.headers, answer.body
    names = {name for name, _ in headers}
    headers += _SECURITY
    headers.append(("X-Request-Id", request_id))
    if "Content-Security-Policy" not in names:
        headers.append(_NO_FRAMES)
    if not isinstance(body, bytes):
        start_response(_STATUS_LINES[answer.status], headers)
        return body
    if answer.status in (204, 304):
        body = b""
    elif "Content-Length" not in names:
        if len(body) > GZIP_FROM_BYTES:
            headers.append(("Vary", "Accept-Encoding"))
            if accepts_gzip(environ.get("HTTP_ACCEPT_ENCODING", "")):
                body = gzip.compress(body, 1, mtime=0)
                headers.append(("Content-Encoding", "gzip"))
        headers.append(("Content-Length", str(len(body))))
    start_response(_STATUS_LINES.get(answer.status) or f"{answer.status} Unknown", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" or not body else [body]


def accepts_gzip(header: str) -> bool:
    """Whether an Accept-Encoding header takes gzip."""
    for part in header.lower().split(","):
        name, _, quality = part.partition(";")
        if name.strip() in ("gzip", "*"):
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
