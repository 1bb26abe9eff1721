"""The faces that a story can be told through: REST and the command line. Another face is another class with the same calls."""
from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from marshmallow import fields

from shared.contracts.action import Action, schema_of
from tests.support.commands import Commands

PATIENCE_S = 180.0
EXIT_OF_STATUS = {
    200: 0, 201: 0, 202: 0, 400: 2, 405: 2, 413: 2, 422: 2, 401: 5, 403: 5, 404: 3, 409: 4, 412: 4, 501: 1, 503: 6, 504: 1,
}
_CODE = re.compile(r"^Error: .*\[([a-z0-9_.]+)\]$", re.M)
_POINTER = re.compile(r"^  (?:at (?=/\S*$))?(/\S*?)(?:: |$)", re.M)
# How the command line spells parameters whose names it needs itself.
_RENAMED = {"wait": "may-wait"}


@dataclass(frozen=True)
class Reply:
    """What a face answered. ``status`` is the HTTP status or the exit code, as the face has it."""

    status: int
    body: Any
    code: str = ""
    pointers: list[str] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""


class Rest:
    """Plain HTTP."""

    name = "rest"

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)

    def call(self, row: Action, parameters: Mapping[str, Any], wait_s: float | None = None,
             headers: Mapping[str, str] | None = None) -> Reply:
        sent = dict(headers or {})
        if wait_s is not None:
            sent["Prefer"] = f"wait={wait_s:g}"
        if row.changes:
            return self.request("POST", row.address, json.dumps(parameters), {"Content-Type": "application/json", **sent})
        query = urlencode({key: value if isinstance(value, str) else json.dumps(value) for key, value in parameters.items()})
        return self.request("GET", f"{row.address}?{query}", headers=sent)

    def request(self, method: str, address: str, body: str | None = None, headers: Mapping[str, str] | None = None) -> Reply:
        status, sent_back, content = self._exchange(method, address, body, headers or {})
        text = content.decode("utf-8", "replace")
        assert not text.lstrip().lower().startswith(("<html", "<!doctype")), f"an HTML page instead of JSON:\n{text[:500]}"
        document = json.loads(text) if text.strip() else None
        problem = document if status >= 400 and isinstance(document, dict) else {}
        pointers = [error.get("pointer", "") for error in problem.get("errors") or []]
        return Reply(status, document, problem.get("code", ""), pointers, sent_back, text)

    def content(self, row: Action, parameters: Mapping[str, Any]) -> bytes:
        status, _, content = self._exchange("GET", f"{row.address}?{urlencode(parameters)}", None, {})
        assert status == 200, content[:2000]
        return content

    def fits(self, status: int | list[int], exit_code: int | None, reply: Reply) -> bool:
        """Whether the reply has one of the statuses; what the command line would exit with is not asked here."""
        return reply.status in (status if isinstance(status, list) else [status])

    def close(self) -> None:
        """Nothing stays open."""

    def _exchange(self, method: str, address: str, body: str | None, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self._url.hostname or "", self._url.port, timeout=PATIENCE_S)
        try:
            connection.request(method, address, body.encode() if body is not None else None, dict(headers))
            answer = connection.getresponse()
            return answer.status, {key.lower(): value for key, value in answer.headers.items()}, answer.read()
        finally:
            connection.close()


class Cli:
    """The command line, as a process of its own for each call."""

    name = "cli"

    def __init__(self, url: str) -> None:
        self._url = url
        self._commands = Commands()

    def call(self, row: Action, parameters: Mapping[str, Any], wait_s: float | None = None,
             headers: Mapping[str, str] | None = None) -> Reply:
        words = [*row.words, *_options(row, parameters), "-o", "json"]
        if wait_s is not None and row.wait is not None:
            words.append(f"--wait={wait_s:g}")
        return self.command(words)

    def command(self, words: list[str]) -> Reply:
        done = self._run(words)
        out, said = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
        assert "Traceback" not in said, said
        code = _CODE.search(said)
        try:
            body = json.loads(out) if out.strip() else None
        except ValueError:
            body = None
        return Reply(done.returncode, body, code[1] if code else "", _POINTER.findall(said), {}, out + said)

    def content(self, row: Action, parameters: Mapping[str, Any]) -> bytes:
        done = self._run([*row.words, *_options(row, parameters)])
        assert done.returncode == 0, done.stderr
        return done.stdout

    def fits(self, status: int | list[int], exit_code: int | None, reply: Reply) -> bool:
        """Whether the exit code is the one given, or that of one of the statuses."""
        if exit_code is not None:
            return reply.status == exit_code
        return reply.status in {EXIT_OF_STATUS[one] for one in (status if isinstance(status, list) else [status])}

    def close(self) -> None:
        """End the process that the calls are forked from."""
        self._commands.close()

    def _run(self, words: list[str]) -> subprocess.CompletedProcess[bytes]:
        return self._commands.run(words, PATIENCE_S, EDGEMERE_URL=self._url)


def _options(row: Action, parameters: Mapping[str, Any]) -> list[str]:
    """The parameters as options, spelled by the contract's names."""
    words: list[str] = []
    known = schema_of(row.parameters).fields
    for name, value in parameters.items():
        option = "--" + _RENAMED.get(name, name).replace("_", "-")
        if isinstance(known.get(name), fields.Boolean) and isinstance(value, bool):
            words.append(option if value else option.replace("--", "--no-", 1))
        elif name == "file":
            # A document comes from a file there.
            handle, path = tempfile.mkstemp(suffix=".yaml")
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                out.write(value if isinstance(value, str) else json.dumps(value))
            words += ["--file", path]
        else:
            words += [option, value if isinstance(value, str) else json.dumps(value)]
    return words
