"""HTTP requests to judged addresses: connections are kept per thread for heads, redirects judged again, no proxies, no credentials passed on.

Answers come as streams. Knows nothing of listings and items.
"""
from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from shared.kernel.errors import Denied, EdgemereError, Invalid, NotFound, Unavailable
from shared.sources.addresses import connect, literal_allowed, not_allowed, unreachable
from shared.sources.port import SourcePolicy

TIMEOUT_S = 20.0
REDIRECTS = 5
_AGENT = "edgemere-data-orchestrator/1"


class _Plain(http.client.HTTPConnection):
    policy: SourcePolicy

    def connect(self) -> None:
        self.sock = connect(self.host, self.port, self.policy, TIMEOUT_S)


class _Secure(_Plain):
    default_port = http.client.HTTPS_PORT

    def connect(self) -> None:
        super().connect()
        self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)


class Client:
    """Requests under one policy. For several threads."""

    def __init__(self, policy: SourcePolicy, headers: Mapping[str, str] | None = None) -> None:
        self._policy, self._headers = policy, dict(headers or {})
        self._local = threading.local()
        self._all: list[_Plain] = []

    def request(self, method: str, url: str, headers: Mapping[str, str] | None = None) -> http.client.HTTPResponse:
        """The final answer with a status below 400, after redirects; its body is not read.

        Raises:
            EdgemereError: ``source.vanished`` (404, 410), ``source.unreadable`` (401, 403 and the other refusals; retryable
                for 408, 429 and 5xx), ``source.unreachable``, ``source.address_not_allowed``, ``source.bad_parameters``.
        """
        first = urlsplit(url).netloc
        for _ in range(REDIRECTS + 1):
            split = judged(url, self._policy)
            own = self._headers if split.netloc == first else {}
            response = self._ask(method, split, {**own, **(headers or {})})
            location = response.headers.get("Location")
            if response.status not in (301, 302, 303, 307, 308) or not location:
                if response.status >= 400:
                    response.read(65536)
                    raise refused(url, response.status)
                return response
            response.read(65536)
            url = urljoin(url, location)
        raise Unavailable("source.unreadable", f"'{url}' is redirected more than {REDIRECTS} times.")

    def _ask(self, method: str, split: SplitResult, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        target = (split.path or "/") + (f"?{split.query}" if split.query else "")
        headers = {"User-Agent": _AGENT, "Accept-Encoding": "identity", **headers}
        # Only connections whose answers have no body are kept: what is left unread of a body would be the next answer.
        kept = self._kept(split) if method == "HEAD" else None
        if kept is not None:
            try:
                kept.request(method, target, headers=headers)
                return kept.getresponse()
            except (OSError, http.client.HTTPException):
                kept.close()  # The server closed it in the meantime; a fresh one decides.
        connection = self._fresh(split)
        try:
            connection.request(method, target, headers={**headers, "Connection": "close"})
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise unreachable(str(split.hostname), error) from None

    def _fresh(self, split: SplitResult) -> _Plain:
        kind = _Secure if split.scheme == "https" else _Plain
        connection = kind(str(split.hostname), split.port, timeout=TIMEOUT_S)
        connection.policy = self._policy
        return connection

    def _kept(self, split: SplitResult) -> _Plain:
        kept: dict[tuple[str, str], _Plain] = self._local.__dict__.setdefault("kept", {})
        name = (split.scheme, split.netloc)
        if name not in kept:
            kept[name] = self._fresh(split)
            self._all.append(kept[name])
        return kept[name]

    def close(self) -> None:
        for connection in self._all:
            connection.close()


def judged(url: str, policy: SourcePolicy) -> SplitResult:
    """The parts of a URL that the policy allows.

    Raises:
        Invalid: ``source.bad_parameters``: no URL, a scheme that is not allowed, or credentials in it.
        Denied: ``source.address_not_allowed``: an internal address, written out.
    """
    why = None
    try:
        split = urlsplit(url)
        port = split.port or (443 if split.scheme == "https" else 80)
        if split.scheme not in policy.allowed_schemes or split.scheme not in ("http", "https"):
            why = f"has a scheme that is not one of {', '.join(policy.allowed_schemes)}"
        elif not split.hostname:
            why = "names no server"
        elif "@" in split.netloc:
            why = "holds credentials; they do not belong in a URL"
        elif any(ord(c) <= 32 or ord(c) == 127 for c in url) or not url.isascii():
            why = "holds characters that must be percent-encoded"
    except ValueError:
        why = "is not a URL"
    if why:
        raise Invalid("source.bad_parameters", f"The address '{_shown(url)}' {why}.", errors=[{"pointer": "/parameters", "detail": why}])
    if not literal_allowed(str(split.hostname), port, policy):
        raise not_allowed(str(split.hostname))
    return split


def refused(url: str, status: int) -> EdgemereError:
    """What a status of 400 or more means."""
    shown = _shown(url)
    if status in (404, 410):
        return NotFound("source.vanished", f"'{shown}' is no longer there ({status}).", next_step="Scan the source again.")
    kind: Any = Unavailable if status in (408, 429) or status >= 500 else Denied
    return kind("source.unreadable", f"The server answers {status} for '{shown}'.", next_step="Look at the server's rules, then retry.")


def _shown(url: str) -> str:
    """Without a query or credentials, which may be secret."""
    return url.partition("?")[0].partition("#")[0].split("@")[-1][:300].encode("utf-8", "backslashreplace").decode()
