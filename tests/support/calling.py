"""A client of a running server, in a few lines of the standard library, that takes no 5xx for an answer; and when it is at rest."""
from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.support.evidence import Evidence, SqliteFolder, under_way
from tests.support.invariants import promises_broken_by

DO, FMDM = "/edgemere/diml/dml/do/", "/edgemere/diml/dml/fmdm/"
QUIET_S = 0.3


class Answer(dict):
    """The body of an answer, with its status."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(body)
        self.status = status


class Caller:
    """Calls by the words of the command line: ``call("datarequest create", query=…)``; one connection, kept open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def close(self) -> None:
        self._connection.close()

    def call(self, words: str, *, patience_s: float = 0, **parameters: Any) -> Answer:
        """POST an action and give what it answers, whatever its status below 500."""
        return self._send("POST", self._path(words), json.dumps(parameters), {"Prefer": f"wait={patience_s}"})

    def ask(self, words: str, **parameters: Any) -> Answer:
        """GET a query."""
        return self._send("GET", f"{self._path(words)}?{urlencode(parameters)}", None, {})

    def pages(self, words: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Every item of a list, page by page."""
        cursor: dict[str, Any] = {}
        while True:
            page = self.ask(words, **parameters, **cursor)
            assert page.status == 200, page
            yield from page["items"]
            if not page["next"]:
                return
            cursor = {"cursor": page["next"]}

    @staticmethod
    def _path(words: str) -> str:
        tree, _, rest = words.partition(" ")
        return (FMDM if tree == "fmdm" else DO) + (rest if tree == "fmdm" else words).replace(" ", "/")

    def _send(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Answer:
        for last in (False, True):
            try:
                self._connection.request(method, path, body, {"Content-Type": "application/json", **headers})
                answer = self._connection.getresponse()
                status, said = answer.status, answer.read()
                break
            except (http.client.HTTPException, OSError):
                # A server closes connections that were long idle.
                self._connection.close()
                if last:
                    raise
        assert status < 500, f"{method} {path} {body}: {status} {said.decode()}"
        return Answer(status, json.loads(said))


def at_rest(caller: Caller, data: Path, limit_s: float = 120, **lenient: Any) -> list[str]:
    """Wait until nothing is under way and every promise is kept; else, after ``limit_s``, what is still broken.

    ``lenient`` goes to ``Evidence``.
    """
    return evidence_at_rest(caller, lambda: Evidence(SqliteFolder(data), **lenient), limit_s)


def evidence_at_rest(caller: Caller, look: Callable[[], Evidence], limit_s: float) -> list[str]:
    """The same for whatever kind of mesh; ``look`` collects what is known of it."""
    databases = look().databases
    deadline = time.monotonic() + limit_s
    seen: Any = None
    since = time.monotonic()
    while True:
        now = (caller.ask("event list", sort="-sequence", limit=1)["items"][:1], under_way(databases))
        if now != seen:
            seen, since = now, time.monotonic()
        late = time.monotonic() > deadline
        if late or (not any(seen[1].values()) and time.monotonic() - since > QUIET_S):
            found = promises_broken_by(look())
            # What is quiet may only be slow, so that there is a second look.
            if late or not found:
                return [*(f"{count} {what}" for what, count in seen[1].items() if count), *found]
        time.sleep(0.05)

