"""The server behind one address: calls, bytes and the live stream, over ``requests``. Never repeats what changes something."""
from __future__ import annotations

import json
import math
import os
import threading
import time
from typing import Any
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import requests

from .answers import Page, whole
from .errors import EdgemereError, Unreachable, error_of, told_here

DEFAULT_URL = "http://127.0.0.1:3000"
TIMEOUT_S = 60.0
_QUIET_S = 45.0
_PAUSES_S = (0.1, 0.5, 1.0, 2.0, 5.0)


def _is_near(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


class Server:
    """One server. Safe for several threads: each has a session of its own."""

    def __init__(self, url: "str | None" = None, timeout_s: float = TIMEOUT_S, key: "str | None" = None) -> None:
        self._url = url
        self._key = key
        self._timeout_s = timeout_s
        self._local = threading.local()

    @property
    def url(self) -> str:
        """Its address: the one given, else ``EDGEMERE_URL`` as it is now, else the default."""
        return (self._url or os.environ.get("EDGEMERE_URL") or DEFAULT_URL).rstrip("/")

    def call(self, row: "tuple[str, bool, str, float]", parameters: "Mapping[str, Any]", wait_s: "float | None" = None,
             idempotency_key: "str | None" = None, if_match: "int | None" = None, timeout_s: "float | None" = None) -> Any:
        """One action: ``row`` is its address, whether it changes something, what it answers, and its own wait in seconds.

        Raises:
            EdgemereError: a problem of the server, by its kind; ``Unreachable`` where there is none.
        """
        address, changes, kind, own_wait_s = row
        given = {name: value for name, value in parameters.items() if value is not None}
        headers = {"Accept": "application/json"}
        if wait_s is not None:
            headers["Prefer"] = f"wait={math.ceil(wait_s)}"
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        if if_match is not None:
            headers["If-Match"] = f'"{if_match}"'
        limit_s = timeout_s or self._timeout_s + (own_wait_s if wait_s is None else wait_s)
        response = self._ask("POST", address, limit_s, again=not changes, headers=headers, json=given)
        answer = _read(response)
        if kind == "page" and isinstance(answer, dict) and "items" in answer:
            def turn(cursor: str) -> Page:
                return self.call(row, {**given, "cursor": cursor}, timeout_s=timeout_s)

            page = Page(answer, turn)
            page.about = _about(response)
            return page
        found = whole(answer)
        if isinstance(found, dict):
            found.__dict__["about"] = _about(response)
        return found

    def content(self, address: str, parameters: "Mapping[str, Any]", first: "int | None" = None,
                last: "int | None" = None) -> requests.Response:
        """The open response with the bytes of an instance (``.raw``, ``.iter_content``); close it, or use it with ``with``."""
        headers = {} if first is None else {"Range": f"bytes={first}-{'' if last is None else last}"}
        given = {name: value for name, value in parameters.items() if value is not None}
        response = self._ask("GET", address, self._timeout_s, again=True, headers=headers, params=given, stream=True)
        if response.status_code >= 400:
            _read(response)
        return response

    def events(self, address: str, parameters: "Mapping[str, Any]") -> "Iterator[Any]":
        """The messages, each once and in order, for as long as one asks for them; a lost connection is taken up again.

        Raises:
            EdgemereError: the server refuses what is asked for.
        """
        given = {name: value if isinstance(value, (str, int)) else json.dumps(value) for name, value in parameters.items() if value is not None}
        failures = 0
        while True:
            try:
                response = self._session.get(self.url + address, params=given, headers={"Accept": "text/event-stream"}, stream=True,
                                             timeout=(10, _QUIET_S))
                with response:
                    if response.status_code >= 400:
                        _read(response)
                    for name, text in _frames(response):
                        failures = 0
                        if name == "id":
                            given["after"] = text
                        else:
                            message = json.loads(text)
                            if "sequence" not in message and "code" in message:
                                # The login has ended, and the stream with it.
                                raise error_of(message)
                            yield whole(message)
            except EdgemereError as error:
                if error.status < 500 and error.status != 429:
                    raise
            except requests.RequestException:
                pass
            time.sleep(_PAUSES_S[min(failures, len(_PAUSES_S) - 1)])
            failures += 1

    @property
    def _session(self) -> requests.Session:
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.headers["User-Agent"] = "edgemere-python"
            # As an auth, and not as a header: what the user's .netrc says of the host must not take its place.
            session.auth = self._authorize
            # The server is named by its user; a proxy of the environment would not reach one on this machine.
            session.trust_env = not self.url.startswith(("http://127.", "http://localhost", "http://[::1]"))
        return session

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        key = self._key or os.environ.get("EDGEMERE_KEY") or ""
        if key:
            host = urlsplit(request.url).hostname or ""
            if request.url.startswith("http://") and not _is_near(host) and os.environ.get("EDGEMERE_INSECURE") != "1":
                raise told_here(EdgemereError, "client.insecure", f"The key is not sent to {host}: without TLS everybody on the way could read it.",
                                "Use the server's https address; EDGEMERE_INSECURE=1 insists.")
            request.headers["Authorization"] = f"Bearer {key.strip()}"
        return request

    def _ask(self, method: str, address: str, limit_s: float, again: bool, **more: Any) -> requests.Response:
        for attempt in (1, 2):
            try:
                return self._session.request(method, self.url + address, timeout=(10, limit_s), **more)
            except requests.ConnectionError as error:
                # A kept connection may have been closed by the server meanwhile; only questions are asked again.
                if attempt == 1 and again:
                    continue
                raise self._lost(str(error.__context__ or error)) from None
            except requests.Timeout:
                raise self._lost(f"it did not answer within {limit_s:g} s") from None
            except requests.RequestException as error:
                raise self._lost(str(error)) from None
        raise AssertionError("unreachable")

    def _lost(self, why: str) -> EdgemereError:
        return told_here(Unreachable, "client.unreachable", f"No whole answer came from {self.url}: {why}.",
                         "Start a server with ./edgemere up, or name another with EDGEMERE_URL; look before you try again.")


def _read(response: requests.Response) -> Any:
    try:
        body = response.json() if response.content.strip() else None
    except ValueError:
        raise told_here(EdgemereError, "client.not_json", f"What answers at {response.url} does not speak JSON.",
                        "Look whether the address is that of an edgemere server.") from None
    if response.status_code < 400:
        return body
    problem: "dict[str, Any]" = body if isinstance(body, dict) else {"detail": f"The server answered {response.status_code}."}
    raise error_of({"status": response.status_code, **problem})


def _about(response: requests.Response) -> "dict[str, Any]":
    etag = response.headers.get("ETag", "").removeprefix("W/").strip('"')
    location = response.headers.get("Location")
    return {
        "status": response.status_code, "request_id": response.headers.get("X-Request-Id"), "location": location,
        "version": int(etag) if etag.isdigit() else None,
        "operation": location.rpartition("id=")[2] if response.status_code == 202 and location else None,
    }


def _frames(response: requests.Response) -> "Iterator[tuple[str, str]]":
    """("data", text) of each message, then ("id", position) once it was taken; heartbeats move the position, too."""
    position, data = "", []
    for raw in response.iter_lines(chunk_size=None, delimiter=b"\n"):
        line = raw.decode("utf-8", "replace")
        if line.startswith("id:"):
            position = line[3:].strip()
        elif line.startswith("data:"):
            data.append(line[5:])
        elif not line and position:
            if data:
                yield "data", "\n".join(data)
            yield "id", position
            position, data = "", []
