"""What the gateway has to say for the audit log: answers to changing calls, what nobody had a right to, bytes that were given out, and
logins, those that were refused and those that were not; sent on in batches, beside.

A call never waits for it. What a gateway holds when it is killed is lost: the answers of the last ``EVERY_S`` and how often a credential
came since its last line, never a change, which is written with the change itself. While the service ``events`` is away up to ``HELD`` lines wait; of more,
the oldest go, and are counted.
"""
from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Any

from shared.kernel import clock
from shared.kernel.context import Context
from shared.kernel.errors import EdgemereError
from shared.kernel.ids import new_id

log = logging.getLogger(__name__)

EVERY_S = 0.25
HELD = 20_000
BATCH = 500
REFUSALS_EVERY_S = 60.0
REFUSALS_KEPT = 2000
LOGINS_EVERY_S = 3600.0
LOGINS_KEPT = 5000
READ_EVERY_S = 60.0
READERS_KEPT = 5000
_PAUSES_S = (0.5, 1, 2, 5, 10)


class _Login:
    """How often one credential came from one address since its last line in the log."""

    __slots__ = ("context", "request_id", "count", "since", "due")

    def __init__(self, context: Context, request_id: str, due: float) -> None:
        self.context, self.request_id, self.count, self.since, self.due = context, request_id, 1, clock.stamp(), due


class Record:
    """The lines of one gateway. Starts its thread with the first line."""

    def __init__(self, mesh: Any, timeout_s: float = 10) -> None:
        self._mesh, self._timeout_s = mesh, timeout_s
        self._lines: deque[dict[str, Any]] = deque()
        self._refused: dict[tuple[str, str], dict[str, Any]] = {}
        self._due: dict[tuple[str, str], float] = {}
        self._read: dict[tuple[str, ...], float] = {}
        self._logins: OrderedDict[tuple[str, str], _Login] = OrderedDict()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self.lost = 0

    @property
    def waiting(self) -> int:
        """How many lines wait to be written."""
        return len(self._lines) + len(self._refused)

    def answered(self, context: Context, status: int, outcome: str, objects: Sequence[str] = ()) -> None:
        """A call was answered: ``outcome`` is ok, or the code of the error; ``objects`` is what of."""
        self._add({"kind": "answered", "id": new_id("auditentry"), "time": clock.stamp(), "owner": context.owner,
                   "credential": context.credential, "address": context.address, "action": context.action, "outcome": outcome,
                   "status": status, "correlation_id": context.correlation_id, "objects": list(objects)})

    def read(self, context: Context, status: int, objects: Sequence[str]) -> None:
        """Bytes of ``objects`` were given to a caller. Who reads them in many parts has one line a minute."""
        place, now = (context.credential or context.owner, *objects), time.monotonic()
        with self._lock:
            if self._read.get(place, 0.0) > now:
                return
            if len(self._read) >= READERS_KEPT:
                # Those whose minute is not over have another line then: rather one too many.
                self._read.clear()
            self._read[place] = now + READ_EVERY_S
        self.answered(context, status, "ok", objects)

    def refused(self, address: str, code: str, request_id: str, key_id: str = "") -> None:
        """A credential was refused. Those of one minute, one address and one reason are one line, that says how many."""
        now = time.monotonic()
        with self._lock:
            line = self._refused.get((address, code))
            if line is not None:
                line["count"] += 1
                return
            if len(self._refused) >= REFUSALS_KEPT:
                self.lost += 1
                return
            # The first one is written at once, those that follow it once a minute.
            self._due[address, code] = max(now + 1, self._due.get((address, code), 0.0) + REFUSALS_EVERY_S)
            self._refused[address, code] = {
                "kind": "refused", "id": new_id("auditentry"), "time": clock.stamp(), "credential": key_id, "address": address,
                "action": "login", "outcome": code, "status": 401, "count": 1, "correlation_id": request_id}
        self._start()

    def came(self, context: Context, request_id: str) -> None:
        """A credential was believed. The first time from an address is written at once, then once an hour how often it was since."""
        place = (context.credential, context.address)
        with self._lock:
            login = self._logins.get(place)
            if login is not None:
                login.count += 1
                login.since = login.since or clock.stamp()
                return
            if len(self._logins) >= LOGINS_KEPT:
                self._say_login(self._logins.popitem(last=False)[1])
            login = self._logins[place] = _Login(context, request_id, time.monotonic() + LOGINS_EVERY_S)
            self._say_login(login)
        self._start()

    def close(self) -> None:
        """Write what is there, for a moment; then end."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(2)

    def _say_login(self, login: _Login) -> None:
        """Write down what was counted of one, and begin anew."""
        if login.count:
            self._keep({"kind": "login", "id": new_id("auditentry"), "time": login.since, "owner": login.context.owner,
                        "credential": login.context.credential, "address": login.context.address, "action": "login", "outcome": "ok",
                        "status": 200, "count": login.count, "correlation_id": login.request_id})
        login.count, login.since, login.request_id = 0, "", ""

    def _look_at_logins(self, now: float) -> None:
        """Write down what was counted in an hour that is over; who did not come in it is forgotten."""
        with self._lock:
            while self._logins:
                place, login = next(iter(self._logins.items()))
                if login.due > now:
                    return
                if not login.count:
                    del self._logins[place]
                    continue
                self._say_login(login)
                login.due = now + LOGINS_EVERY_S
                self._logins.move_to_end(place)

    def _add(self, line: dict[str, Any]) -> None:
        self._keep(line)
        self._start()

    def _keep(self, line: dict[str, Any]) -> None:
        self._lines.append(line)
        if len(self._lines) > HELD:
            self._lines.popleft()
            self.lost += 1

    def _start(self) -> None:
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="audit-record", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        failures = 0
        while not self._closing.wait(EVERY_S if not failures else _PAUSES_S[min(failures, len(_PAUSES_S)) - 1]):
            failures = 0 if self._send() else failures + 1
        self._due.clear()
        self._look_at_logins(float("inf"))
        self._send()

    def _send(self) -> bool:
        now = time.monotonic()
        self._look_at_logins(now)
        with self._lock:
            for place in [place for place in self._refused if self._due.get(place, 0.0) <= now]:
                self._keep(self._refused.pop(place))
            if len(self._due) > REFUSALS_KEPT:
                self._due = {place: due for place, due in self._due.items() if place in self._refused or due > now - REFUSALS_EVERY_S}
        while self._lines:
            batch = [self._lines.popleft() for _ in range(min(BATCH, len(self._lines)))]
            try:
                self._mesh.call("events", "audit_told", timeout_s=self._timeout_s, context=Context(), entries=batch)
            except EdgemereError as error:
                log.warning("%d lines of the audit log wait: %s", len(batch), error)
                self._lines.extendleft(reversed(batch))
                return False
        return True
