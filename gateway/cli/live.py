"""What goes on while one looks: the event stream, and bytes as they come."""
from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gateway.cli.client import Message, Server, request_of
from gateway.cli.columns import plain
from gateway.cli.exits import FAILED, OK, UNREACHABLE, Failure, failure_of, usage
from gateway.cli.follow import Progress
from gateway.cli.terminal import Terminal
from gateway.cli.text import clean, pad
from shared.contracts.action import Action, schema_of

if TYPE_CHECKING:
    from gateway.cli.perform import Options

_RETRY_S = (0.2, 0.5, 1, 2, 4, 8, 8, 8)
_CHUNK = 1024 * 256
NEWEST = 20
"""How many of the past ``--follow`` shows before it follows."""


def stream(row: Action, parameters: Mapping[str, Any], options: Options) -> int:
    """Print messages as they come until interrupted; resumes by itself where the connection broke."""
    form = options.output or ("table" if options.terminal.looks else "jsonl")
    for message in messages(options.server(), row, dict(parameters)):
        print(_line(message, form, options.terminal), flush=True)
    return UNREACHABLE


def messages(server: Server, row: Action, parameters: dict[str, Any], sought: Callable[[], None] | None = None) -> Iterator[Message]:
    """The messages of the stream, over broken connections, without a gap and without doubles.

    ``sought`` is called each time the stream is open. Ends, after a word, when the server stays away.
    """
    last = ""
    attempt = 0
    while True:
        try:
            if sought:
                sought()
            for message in server.stream(row, parameters, after=last):
                last, attempt = message.id or last, 0
                if message.event == "edgemere.dropped" and isinstance(message.data, Mapping):
                    raise failure_of(401, message.data)
                if isinstance(message.data, Mapping) and "event" in message.data:
                    yield message
        except Failure as failure:
            if failure.exit_code != UNREACHABLE or (attempt == 0 and not last):
                raise
        if attempt >= len(_RETRY_S):
            resume = f" Go on later with --after {last}." if last else ""
            raise Failure(UNREACHABLE, {"code": "cli.stream_lost", "detail": f"The stream from {server.url} broke and the server stays away.",
                                        "next_step": f"Look at it with: edgemere doctor.{resume}"})
        time.sleep(_RETRY_S[attempt])
        attempt += 1


def _line(message: Message, form: str, terminal: Terminal) -> str:
    body = message.data
    if form == "json":
        return json.dumps(body, indent=2, ensure_ascii=False)
    if form == "jsonl":
        return json.dumps(body, ensure_ascii=False)
    if form == "yaml":
        import yaml

        return "---\n" + yaml.safe_dump(body, sort_keys=False, allow_unicode=True).rstrip("\n")
    if form == "name":
        return clean(str(body.get("event")))
    obj = body.get("obj") or {}
    state = obj.get("state") if isinstance(obj, Mapping) else None
    cells = [f"{plain(body.get('sequence')):>8}", clean(str(body.get("time", "")))[11:23], pad(plain(body.get("event")), 28), pad(plain(obj), 24)]
    return "  ".join([*cells, terminal.state(str(state)) if state else ""]).rstrip()


def listed(row: Action, lists: Action, parameters: Mapping[str, Any], options: Options) -> int:
    """The newest of what a list has, then whatever comes: ``list --follow``. ``row`` is the stream of the same class."""
    told = {name: value for name, value in parameters.items() if name in schema_of(row.parameters).fields}
    form = options.output or ("table" if options.terminal.looks else "jsonl")
    server = options.server()
    newest = server.call(lists, {"limit": NEWEST, **parameters, "sort": "-sequence"}).body["items"]
    for body in reversed(newest):
        print(_line(Message(str(body["sequence"]), body["event"], body), form, options.terminal))
    sys.stdout.flush()
    after = {"after": newest[0]["sequence"]} if newest else {}
    return stream(row, {**told, **after}, options)


def content(row: Action, parameters: Mapping[str, Any], options: Options) -> int:
    """Write the bytes to stdout, or into the file of ``-O``; a part that is there already is not read again."""
    _, address, _ = request_of(row, parameters)
    if not options.save_to or options.save_to == "-":
        if options.terminal.looks and not options.save_to:
            raise usage("The bytes would go to the terminal.", "Give -O FILE, or send them through a pipe; -O - insists.")
        response, _ = options.server().bytes_of(address)
        _copy(response, sys.stdout.buffer, None, options, 0)
        return OK
    partly = options.save_to + ".part"
    if urlsplit(options.save_to).scheme in ("http", "https"):
        raise usage("-O names a file on this machine.", "Leave out the scheme.")
    try:
        return _save(options, address, partly)
    except OSError as error:
        raise Failure(FAILED, {"code": "cli.file", "detail": f"{options.save_to} cannot be written: {error.strerror}.",
                               "next_step": "Name a file in a folder that can be written."}) from None


def _save(options: Options, address: str, partly: str) -> int:
    start = os.path.getsize(partly) if os.path.exists(partly) else 0
    try:
        response, length = options.server().bytes_of(address, start)
    except Failure as failure:
        if not start or failure.problem.get("status") != 416:
            raise
        start = 0
        response, length = options.server().bytes_of(address)
    # A server that does not know the range sends everything.
    start = start if response.status == 206 else 0
    with open(partly, "ab" if start else "wb") as file:
        total = None if length is None else start + length
        done = _copy(response, file, total, options, start)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and done != total:
        raise Failure(FAILED, {"code": "cli.connection_lost", "detail": f"The bytes ended after {done} of {total}.",
                               "next_step": "Call it again: it goes on where it ended."})
    os.replace(partly, options.save_to)
    print(f"{done} bytes in {clean(options.save_to)}", file=sys.stderr)
    return OK


def _copy(response: Any, out: Any, total: int | None, options: Options, done: int) -> int:
    progress = Progress(options.terminal)
    try:
        with contextlib.suppress(OSError) if total is not None else contextlib.nullcontext():
            while chunk := response.read(_CHUNK):
                out.write(chunk)
                done += len(chunk)
                progress.bytes(done, total)
    finally:
        progress.clear()
    out.flush()
    return done
