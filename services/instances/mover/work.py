"""One job of the mover as its ops see it: open places, results in batches, progress in time, cancellation."""
from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from services.instances.mover.inspecting import is_wanted, together
from services.instances.mover.limits import Gate, gate_of
from shared.hosting.worker_loop import Job, failure
from shared.kernel.errors import Conflict, EdgemereError, Invalid
from shared.sources.beneath import Root
from shared.sources.port import Source, SourcePolicy
from shared.sources.registry import open_source

BATCH = 500
BATCH_S = 0.1
PROGRESS_S = 0.25

_KEY = re.compile(r"^[A-Za-z0-9_.:-]{1,200}$")


class Cancelled(Conflict):
    """The job was cancelled before this item was done."""
    code = "cancelled"

    def __init__(self) -> None:
        super().__init__("cancelled", "The work was cancelled before this item was done.")


class Work:
    """A job, used as a context: places are opened once and closed with it. For several threads."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._policy = SourcePolicy.from_json(job.body.get("policy"))
        self._places = job.body.get("sources") or {}
        self._share = float(job.body.get("share") or 1)
        # Of a job inside that of another item: that work and item, whose places are limited for both.
        self._outer: tuple[Work, Mapping[str, Any]] | None = getattr(job, "outer", None)
        self.limited = self._outer[0].limited if self._outer else any((place.get("parameters") or {}).get("limits") for place in self._places.values())
        self.verifies_device = job.body.get("verify") == "device"
        asked = job.body.get("inspect")
        # What is looked at in the bytes on their way (see ``inspecting``); None where nothing is.
        self.inspect: Mapping[str, Any] | None = asked if is_wanted(asked) else None
        self._inspected: dict[str, Mapping[str, Any]] = {}
        self._open: dict[Any, Source | EdgemereError] = {}
        self._mounts: Root | None = None
        self._lock = threading.RLock()
        self._results: list[dict[str, Any]] = []
        self._due = time.monotonic() + BATCH_S
        self._ok = self._failed = self._bytes = 0
        self._progress_due = time.monotonic() + PROGRESS_S
        self._progress: dict[Any, dict[str, Any]] = {}

    def __enter__(self) -> Work:
        return self

    def __exit__(self, *_: object) -> None:
        for place in self._open.values():
            if not isinstance(place, EdgemereError):
                place.close()
        if self._mounts is not None:
            self._mounts.close()

    @property
    def body(self) -> Mapping[str, Any]:
        """The job's words."""
        return self._job.body

    @property
    def cancelled(self) -> bool:
        return self._job.cancelled

    @property
    def inspects_in_place(self) -> bool:
        """Whether what stays where it is is read and looked at, too."""
        return self.inspect is not None and bool(self.inspect["in_place"])

    def was_inspected(self, item: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        """Note what was found in an item's bytes, or in those of one of its files; its good result says it."""
        with self._lock:
            before = self._inspected.get(item["key"])
            self._inspected[item["key"]] = found if before is None else together((before, found))

    @property
    def mounts(self) -> Root:
        """The folder of links, made when it is first needed. Raises OSError."""
        with self._lock:
            if self._mounts is None:
                folder = self._job.body["mounts"]
                os.makedirs(folder, exist_ok=True)
                self._mounts = Root(folder)
            return self._mounts

    def check(self) -> None:
        """
        Raises:
            Cancelled: the job is.
        """
        if self._job.cancelled:
            raise Cancelled()

    def items(self) -> list[dict[str, Any]]:
        """The job's items. Raises Invalid ``worker.bad_job`` where they cannot be told apart."""
        items = self._job.body.get("items")
        keys = [item.get("key") for item in items] if isinstance(items, list) and all(isinstance(i, dict) for i in items) else None
        if keys is None or not all(isinstance(key, str) and _KEY.match(key) for key in keys) or len(set(keys)) != len(keys):
            raise Invalid("worker.bad_job", "The job's items are not a list of objects with a distinct key each, of A-Z a-z 0-9 _ . : -.")
        return items

    def place(self, item: Mapping[str, Any], role: str) -> Source:
        """The open source that ``item[role]`` names.

        Raises:
            EdgemereError: it cannot be opened; the same for each item that names it.
        """
        given = item.get(role)
        known = self._open.get(given) if isinstance(given, str) else None
        if known is not None and not isinstance(known, EdgemereError):
            return known
        with self._lock:
            described = self._places.get(given) if isinstance(given, str) else given
            if not isinstance(described, Mapping) or "adaptor" not in described:
                raise Invalid("source.bad_parameters", f"The item's {role} {str(given)[:80]!r} is neither an object nor a name in 'sources'.")
            # An inline place is known by its object: those of one job's text live as long as the job.
            name = given if isinstance(given, str) else id(described)
            if name not in self._open:
                try:
                    self._open[name] = open_source(described["adaptor"], described.get("parameters") or {}, self._policy)
                except EdgemereError as error:
                    self._open[name] = error
            found = self._open[name]
        if isinstance(found, EdgemereError):
            raise found
        return found

    def described(self, item: Mapping[str, Any], role: str) -> Mapping[str, Any]:
        """What the job says of the place that ``item[role]`` names; ``place`` has opened it."""
        given = item[role]
        return self._places[given] if isinstance(given, str) else given

    def _gates(self, item: Mapping[str, Any]) -> list[Gate]:
        """The gates of the places that an item passes, always in the same order."""
        found: dict[str, Gate] = {}
        for role in ("source", "target"):
            given = item.get(role)
            described = self._places.get(given) if isinstance(given, str) else None
            gate = gate_of(given, described.get("parameters") or {}, self._share) if described else None
            if gate is not None:
                found[given] = gate
        return [found[name] for name in sorted(found)]

    @contextmanager
    def transfer(self, item: Mapping[str, Any]) -> Iterator[None]:
        """A place among the transfers that the item's source and target allow at a time. Raises Cancelled while it waits."""
        if not self.limited or self._outer:
            yield  # What is inside another transfer has its place.
            return
        with ExitStack() as held:
            for gate in self._gates(item):
                held.enter_context(gate.transfer(self.check))
            yield

    def outermost(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        """The item of which this one is a part: the folder of a file of one; itself where it is none."""
        return self._outer[1] if self._outer else item

    def pace(self, item: Mapping[str, Any], count: int) -> None:
        """Wait until the item's source and target take ``count`` bytes more. Raises Cancelled."""
        if self._outer:
            self._outer[0].pace(self._outer[1], count)
        elif self.limited:
            for gate in self._gates(item):
                gate.pace(count, self.check)

    def ok(self, item: Mapping[str, Any], moved: int = 0, **result: Any) -> None:
        """A good result; ``moved`` bytes count into the total."""
        with self._lock:
            self._ok += 1
            self._bytes += moved
            found = self._inspected.pop(item["key"], None)
            self._result({"key": item["key"], "ok": True, **({"inspected": found} if found else {}), **result})

    def failed(self, item: Mapping[str, Any], error: BaseException) -> None:
        with self._lock:
            self._failed += 1
            self._result({"key": item["key"], "ok": False, "error": failure(error)})

    def attempt(self, item: Mapping[str, Any], do: Callable[[Mapping[str, Any]], None]) -> None:
        """Do one item; what it raises is its result."""
        try:
            self.check()
            do(item)
        except Exception as error:
            self.failed(item, error)

    def _result(self, result: dict[str, Any]) -> None:
        self._results.append(result)
        self._progress.pop(result["key"], None)
        if len(self._results) >= BATCH or time.monotonic() >= self._due:
            self.flush()

    def flush(self) -> None:
        """Send the results that wait."""
        with self._lock:
            results, self._results = self._results, []
            self._due = time.monotonic() + BATCH_S
            for first in range(0, len(results), BATCH):
                self._job.send(results=results[first:first + BATCH])

    def progress(self, key: str | None, done: int, total: int | None, phase: str) -> None:
        """How far an item is (key None: the small ones together); sent four times a second at most."""
        with self._lock:
            self._progress[key] = {"key": key, "bytes_done": done, "bytes_total": total, "phase": phase}
            now = time.monotonic()
            if now >= self._progress_due:
                self._progress_due = now + PROGRESS_S
                self._job.send(progress=list(self._progress.values()))
                self._progress.clear()

    def done(self) -> None:
        """The end of the job."""
        self.flush()
        self._job.send(done={"ok": self._ok, "failed": self._failed, "bytes": self._bytes, "elapsed_s": self._job.elapsed_s,
                             "cancelled": self._job.cancelled})
