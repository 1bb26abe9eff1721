"""Waiting for what an action set going: the operation is followed to its end, with progress on a terminal.

Asks the server again and again, gently; changes nothing, and leaves the work running when it is interrupted.
"""
from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from gateway.cli.client import Answer, Server
from gateway.cli.terminal import Terminal
from gateway.cli.text import bytes_text, clean, cut, seconds_text
from shared.contracts import table
from shared.contracts.action import Action
from shared.kernel.ids import noun_of

UNDER_WAY = frozenset({"running", "waiting"})
BAD_ENDS = frozenset({"Failed", "FailedProvision", "Broken", "failed"})
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 1.0
HELD_S = 30.0
"""How long the server holds one call at most before it answers 202."""


@dataclass(frozen=True)
class Waiting:
    """How long to wait: ``limit_s`` is None for as long as it takes; ``wanted`` False sends the call and no more."""

    wanted: bool
    limit_s: float | None = None
    said: bool = False

    def first_wait_s(self, row: Action, terminal: Terminal) -> float | None:
        """What to send as ``Prefer: wait`` with the call itself; None leaves it to the server."""
        if row.wait is None:
            return None
        if not self.wanted:
            return 0 if self.said else None
        held = 1.0 if terminal.talks else HELD_S
        return held if self.limit_s is None else min(held, self.limit_s)


def settle(server: Server, row: Action, answer: Answer, waiting: Waiting, terminal: Terminal, began: float) -> Answer:
    """The answer when the work is over; the one given, where it is over already or nobody waits.

    ``began``: when the call began (``time.monotonic``), which the server held for a part of the time that is waited.

    Raises:
        Failure: the server went away meanwhile.
    """
    operation_id = operation_of(answer)
    if not waiting.wanted or row.wait is None or not operation_id:
        return answer
    deadline = None if waiting.limit_s is None else began + waiting.limit_s
    show = _row("operation", "show")
    progress = Progress(terminal)
    pause = _FIRST_PAUSE_S
    try:
        while True:
            operation = server.call(show, {"id": operation_id}).body
            if operation.get("status") not in UNDER_WAY:
                break
            progress.show(operation)
            if deadline is not None and time.monotonic() + pause > deadline:
                return _again(server, row, answer)
            time.sleep(pause)
            pause = min(_LONGEST_PAUSE_S, pause * 1.3)
    finally:
        progress.clear()
    return _again(server, row, answer)


def operation_of(answer: Answer) -> str:
    """The id of the operation that a 202 names, or an empty text."""
    if answer.status != 202:
        return ""
    named = parse_qs(urlsplit(answer.headers.get("Location") or "").query).get("id")
    return named[0] if named else ""


def outcome_is_bad(row: Action, body: Any) -> bool:
    """Whether what the action set going ended in failure."""
    if row.wait is None or not isinstance(body, Mapping):
        return False
    found: list[Any] = [body.get("state"), (body.get("scan") or {}).get("state")]
    found += [value.get("state") for name, value in body.items() if name in ("reference", "request") and isinstance(value, Mapping)]
    return any(state in BAD_ENDS for state in found)


def _again(server: Server, row: Action, answer: Answer) -> Answer:
    """What the action would answer now: the row's own refresh, or each object of the answer anew."""
    service, method, parameter = row.wait.refresh  # type: ignore[union-attr]
    known = table.BY_RPC.get(f"{service}.{method}")
    if known is not None:
        return server.call(known, {parameter: answer.body["id"]})
    body = dict(answer.body)
    for member, value in answer.body.items():
        noun = noun_of(value.get("id")) if isinstance(value, Mapping) else None
        if noun:
            body[member] = server.call(_row(noun, "show"), {"id": value["id"]}).body
        elif member == "items":
            request = (answer.body.get("request") or {}).get("id")
            body[member] = every_item(server, _row(row.path[0], "list"), {"request": request})
    return Answer(200, answer.headers, "", body)


def every_item(server: Server, row: Action, parameters: Mapping[str, Any]) -> list[Any]:
    """All items of a list, page by page."""
    items: list[Any] = []
    cursor = None
    while True:
        page = server.call(row, {"limit": 1000, **parameters, **({"cursor": cursor} if cursor else {})}).body
        items += page["items"]
        cursor = page.get("next")
        if not cursor:
            return items


def _row(noun: str, verb: str) -> Action:
    return next(row for row in table.ACTIONS.values() if row.path == (noun, verb))


class Progress:
    """One line on stderr that says how far an operation is; in a pipe only a word when it begins to wait."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._begun = time.monotonic()
        self._shown = ""
        self._waited = ""

    def show(self, operation: Mapping[str, Any]) -> None:
        """Say how far the operation is."""
        if self._terminal.talks:
            self._write(progress_text(operation, time.monotonic() - self._begun))
        elif operation.get("status") == "waiting" and operation.get("message") != self._waited:
            self._waited = operation.get("message") or ""
            print(f"Waits: {clean(self._waited)}", file=sys.stderr)

    def bytes(self, done: int, total: int | None) -> None:
        """Say how many bytes are there."""
        if self._terminal.talks:
            self._write(progress_text({"status": "reading", "progress": {"bytes_done": done, "bytes_total": total}},
                                      time.monotonic() - self._begun))

    def clear(self) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = ""

    def _write(self, text: str) -> None:
        room = (self._terminal.columns or 80) - 1
        text = cut(text, room)
        if text != self._shown:
            sys.stderr.write(f"\r{text}\x1b[K")
            sys.stderr.flush()
            self._shown = text


def progress_text(operation: Mapping[str, Any], seconds: float) -> str:
    """``running: 3 of 12 files, 1.2 GiB of 4.0 GiB, about 12 s left`` – what of it is known."""
    progress = operation.get("progress") or {}
    done, total = progress.get("bytes_done"), progress.get("bytes_total")
    parts = []
    for name, value in progress.items():
        if isinstance(value, (int, float)) and not name.startswith(("bytes", "seconds")) and not name.endswith("total"):
            of = progress.get(f"{name.removesuffix('_done')}_total")
            parts.append(f"{value} of {of} {name.removesuffix('_done')}" if of else f"{value} {name}")
    if done is not None:
        parts.append(f"{bytes_text(done)} of {bytes_text(total)}" if total else bytes_text(done))
    left = progress.get("seconds_left")
    if left is None and done and total and total > done and seconds > 1:
        left = seconds * (total - done) / done
    if left:
        parts.append(f"about {seconds_text(left)} left")
    if progress.get("phase") == "verifying":
        parts.append("verifying")
    said = ", ".join(parts) or clean(str(operation.get("message") or "")) or seconds_text(seconds)
    return f"{clean(str(operation.get('status', 'running')))}: {said}"
