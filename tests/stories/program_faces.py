"""The faces that programs use: the WebSocket, the JavaScript module in Node, and the Python client."""
from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
from collections.abc import Mapping
from typing import Any

import socketio

from gateway.clients.generated import ROOT
from gateway.clients.python import argument, attribute
from shared.contracts.action import Action
from tests.stories.faces import PATIENCE_S, Reply
from tests.support.node import node
from tests.support.python_client import client
from tests.support.reaper import reaper


class _Program:
    """A face whose replies have HTTP's statuses, problems and, of the headers, ``Location`` and ``ETag``."""

    name = ""

    def fits(self, status: int | list[int], exit_code: int | None, reply: Reply) -> bool:
        """Whether the reply has one of the statuses; what the command line would exit with is not asked here."""
        return reply.status in (status if isinstance(status, list) else [status])

    def close(self) -> None:
        """End what the face has open."""


def _reply(body: Any, problem: Mapping[str, Any] | None, about: Mapping[str, Any]) -> Reply:
    headers = {"location": about["location"]} if about.get("location") else {}
    if isinstance(about.get("version"), int):
        headers["etag"] = f'"{about["version"]}"'
    if problem is not None:
        pointers = [error.get("pointer", "") for error in problem.get("errors") or []]
        return Reply(problem.get("status") or about.get("status") or 0, problem, problem.get("code", ""), pointers, {}, json.dumps(problem))
    return Reply(about.get("status", 200), body, "", [], headers, json.dumps(body, default=str))


def _options(headers: Mapping[str, str] | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in (headers or {}).items():
        if name == "Idempotency-Key":
            found["idempotency_key"] = value
        elif name == "If-Match":
            found["if_match"] = int(value.strip('"'))
        else:
            raise AssertionError(f"a story sends the header {name}, which this face does not know")
    return found


class Socket(_Program):
    """socket.io, with a client library that is not ours."""

    name = "websocket"

    def __init__(self, url: str) -> None:
        self._client = socketio.Client(reconnection=False)
        self._client.connect(url, socketio_path="/web/socket.io", transports=["websocket"])

    def call(self, row: Action, parameters: Mapping[str, Any], wait_s: float | None = None,
             headers: Mapping[str, str] | None = None) -> Reply:
        options = _options(headers) | ({} if wait_s is None else {"wait": wait_s})
        body, problem, about = self._client.call(row.name, (dict(parameters), options), timeout=PATIENCE_S)
        return _reply(body, problem, about)

    def content(self, row: Action, parameters: Mapping[str, Any]) -> bytes:
        """All bytes, in ranges of what one message holds."""
        found, size = b"", 1
        while len(found) < size:
            span = [len(found), len(found) + 1_000_000 - 1]
            part, problem, about = self._client.call(row.name, (dict(parameters), {"range": span}), timeout=PATIENCE_S)
            if problem and problem["code"] == "range_not_satisfiable" and problem.get("size") == 0:
                return b""
            assert problem is None, problem
            found, size = found + part, about["size"]
        return found

    def close(self) -> None:
        self._client.disconnect()


_JS = """
import { createInterface } from "node:readline";
const { connect, about } = await import(process.argv[1]);
const edgemere = connect(process.argv[2]);
for await (const line of createInterface({ input: process.stdin })) {
  const { path, parameters, options } = JSON.parse(line);
  let call = edgemere.diml.dml;
  for (const word of path) call = call[word];
  let reply;
  try {
    const answer = await call(parameters, options);
    if (answer instanceof Response) reply = { base64: Buffer.from(await answer.arrayBuffer()).toString("base64") };
    else reply = { body: answer, about: about(answer) ?? {} };
  } catch (error) {
    reply = { problem: error.problem ?? { status: 0, code: "js.threw", detail: String(error.stack) } };
  }
  process.stdout.write(JSON.stringify(reply) + "\\n");
}
"""


class Js(_Program):
    """The JavaScript module in one Node process, which takes a call a line."""

    name = "js"

    def __init__(self, url: str) -> None:
        module = (ROOT / "gateway/clients/js/edgemere.js").as_uri()
        self._process = subprocess.Popen([*node(), "--input-type=module", "--eval", _JS, "--", module, url],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, env=dict(os.environ))
        reaper.watch_group(self._process.pid)
        self._lock = threading.Lock()

    def call(self, row: Action, parameters: Mapping[str, Any], wait_s: float | None = None,
             headers: Mapping[str, str] | None = None) -> Reply:
        given = _options(headers)
        options = {"idempotencyKey": given.get("idempotency_key"), "ifMatch": given.get("if_match"), "wait": wait_s}
        said = self._ask(row, parameters, {name: value for name, value in options.items() if value is not None})
        return _reply(said.get("body"), said.get("problem"), said.get("about", {}))

    def content(self, row: Action, parameters: Mapping[str, Any]) -> bytes:
        return base64.b64decode(self._ask(row, parameters, {})["base64"])

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(120)
        self._process.stdout.close()
        reaper.forget_group(self._process.pid)

    def _ask(self, row: Action, parameters: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            line = json.dumps({"path": [row.tree, *row.path], "parameters": dict(parameters), "options": dict(options)})
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
            said = self._process.stdout.readline()
        assert said, "node has ended"
        return json.loads(said)


class Python(_Program):
    """The Python client, in this process."""

    name = "python"

    def __init__(self, url: str) -> None:
        self._edgemere = client()
        self._trees = self._edgemere.connect(url)

    def call(self, row: Action, parameters: Mapping[str, Any], wait_s: float | None = None,
             headers: Mapping[str, str] | None = None) -> Reply:
        method: Any = getattr(self._trees, row.tree)
        for word in row.path:
            method = getattr(method, attribute(word))
        options = _options(headers) | ({"wait_s": wait_s} if wait_s is not None and row.wait else {})
        try:
            answer = method(**{argument(name): value for name, value in parameters.items()}, **options)
        except self._edgemere.EdgemereError as error:
            return _reply(None, error.problem, {})
        except TypeError as error:
            # What is missing Python itself refuses, before anything is asked.
            names = [word.strip("',") for word in str(error).partition("argument")[2].split() if word.startswith("'")]
            assert names, error
            return _reply(None, {"status": 422, "code": "parameter.missing", "errors": [{"pointer": f"/{name}"} for name in names]}, {})
        return _reply(getattr(answer, "raw", answer), None, answer.about)

    def content(self, row: Action, parameters: Mapping[str, Any]) -> bytes:
        with self._trees.do.datainstance.content(**parameters) as response:
            return response.content


PROGRAM_FACES = {face.name: face for face in (Socket, Js, Python)}
