"""Hands pending entries to the mover and writes down what comes back, until nothing of a request is pending.

One holder at a time works on a request: it has a lease, kept alive while the mover works. Where the holder died,
the sweep finds the pending entries and goes on; the mover resumes what was half copied.
"""
from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import bindparam, update

from services.instances import failover, findings, looking, provisioning, relocating, removing, repository, rules, undoing
from services.instances.leases import end_lease, lease
from services.instances.models import INSTANCE, access_table, shown
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import EdgemereError, Unavailable, VersionConflict, from_payload
from shared.kernel.ids import new_id
from shared.sources.mounted import FAR, UNKNOWN
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

log = logging.getLogger(__name__)

LEASE_S = 20
BATCH = 1000
# A job of which nothing is heard for so long is given up; its items are tried again.
SILENCE_S = 300
PROGRESS_S = 1.0
# So many copies are shared out among the movers.
SHARED_FROM = 200


class Movers:
    """What the instances service has beside its database: the worker pool and the requests under way in this process."""

    def __init__(self, pool: Any, policy: Mapping[str, Any], mounts: str, fuse: Any = None) -> None:
        self.pool = pool
        self.policy = policy
        # The folder of the links of what is mounted, and who keeps the process that serves what is mounted by FUSE.
        self.mounts, self.fuse = mounts, fuse
        self.holder = new_id("operation")
        self.since = clock.stamp()
        self._running: dict[str, Any] = {}
        self._lock = threading.Lock()

    def begin(self, request: str) -> bool:
        with self._lock:
            if request in self._running:
                return False
            self._running[request] = None
            return True

    def end(self, request: str) -> None:
        with self._lock:
            self._running.pop(request, None)

    def working_on(self, request: str, handle: Any) -> None:
        with self._lock:
            if request in self._running:
                self._running[request] = handle

    def cancel(self, request: str) -> None:
        """Stop the mover's work for a request, if it is being done here."""
        with self._lock:
            handle = self._running.get(request)
        if handle is not None:
            handle.cancel()


def start(uses: Uses, request: str, caught: bool = False) -> None:
    """Work on a request's pending entries in a thread of its own, unless it is being done or there are none."""
    with uses.db.reading() as connection:
        if repository.next_retry(connection, request) is None:
            return
    if uses.parts["movers"].begin(request):
        # The thread outlives the message or call that began it, so it has no deadline of theirs.
        free = replace(uses, context=uses.context.having(deadline=None, idempotency_key="", if_match=None),
                       mesh=uses.mesh.having(deadline=None, idempotency_key=""))
        threading.Thread(target=_work, args=(free, request, caught), daemon=True, name=f"moving {request}").start()


def _work(uses: Uses, request: str, caught: bool) -> None:
    movers: Movers = uses.parts["movers"]
    try:
        if not uses.context.correlation_id:
            uses = of_the_call(uses, request)
        while _lease(uses, request):
            uses.caught("moves_resumed", int(caught))
            caught = False
            with uses.db.reading() as connection:
                due = repository.pending(connection, request, clock.stamp(), BATCH)
                later = repository.next_retry(connection, request)
            if not due:
                if later is None:
                    return
                time.sleep(min(2.0, max(0.05, clock.parse_time(later).timestamp() - time.time())) if later else 0.05)
                continue
            _move(uses, request, due)
    except EdgemereError as error:
        # The sweep takes it up again; the entries are as they were.
        log.warning("moving %s stopped: %s", request, error)
    except Exception:
        log.exception("moving %s stopped", request)
    finally:
        movers.end(request)
        _release(uses, request)


def of_the_call(uses: Uses, request: str) -> Uses:
    """The same, belonging to the call that set the request going: a sweep comes from none."""
    call = uses.itself.call("requests", "plain", request=request)["correlation_id"] or ""
    return replace(uses, context=uses.context.having(correlation_id=call), mesh=uses.mesh.having(correlation_id=call))


def _move(uses: Uses, request: str, due: Sequence[Row]) -> None:
    places = sorted({row["source_id"] for row in due} | {row["target_id"] for row in due if row["target_id"]})
    sources = uses.mesh.call("catalog", "sources", ids=places)
    by_key = {rules.key_of(row): row for row in due}
    def write(results: Sequence[Mapping[str, Any]]) -> None:
        _write(uses, request, by_key, results)

    for op, entries in _by_op(due).items():
        if entries:
            run(uses, op, entries, sources, request=request, on_results=write)
    if moved := [row for row in due if row["step"]]:
        relocating.advance(uses, request, moved, sources, write)


def _by_op(due: Sequence[Row]) -> dict[str, list[Row]]:
    """What the mover does with each entry: copies of an instance that is brought back come from the trash."""
    ops: dict[str, list[Row]] = {"verify": [], "mount": [], "restore": [], "copy": []}
    for row in due:
        if not row["step"]:
            op = {"leave": "verify", "mount": "mount"}.get(row["action"], "restore" if row["purge_at"] else "copy")
            ops[op].append(row)
    return ops


def run(uses: Uses, op: str, entries: Sequence[Mapping[str, Any]], sources: Mapping[str, Any], request: str | None = None,
        on_results: Callable[[Sequence[Mapping[str, Any]]], None] | None = None) -> dict[str, Mapping[str, Any]]:
    """Have the mover do one op on entries and wait for its end; results by key (or handed on as they come).

    Raises:
        Unavailable: the mover died, or nothing was heard of it for too long.
    """
    movers: Movers = uses.parts["movers"]
    places = {place: {"adaptor": source["adaptor"], "parameters": _parameters(place, source, entries)}
              for place, source in sources.items()}
    as_item = rules.job_item if op in ("verify", "copy", "mount", "settle") else rules.given_back
    job = {"op": op, "sources": places, "mounts": movers.mounts, "policy": movers.policy, "verify": uses.config.instances.verify,
           "inspect": asdict(uses.config.instances.inspect),
           "share": 1 / uses.config.instances.mover_workers, **_fuse(movers, op, sources)}
    span = uses.tracer.begin(f"mover.{op}", "client", uses.context.traceparent, edgemere_entries=len(entries)) \
        if uses.context.traceparent else None
    if span is not None:
        job["traceparent"] = span.traceparent
    failed = "internal"
    try:
        results = _followed(uses, job, op, entries, as_item, request, on_results)
        failed = ""
        return results
    except EdgemereError as error:
        failed = error.code
        raise
    finally:
        if span is not None:
            span.end(failed)


def _fuse(movers: Movers, op: str, sources: Mapping[str, Any]) -> dict[str, Any]:
    """Where the mover finds what is mounted by FUSE, and why nothing more can be; asked only where something lies far away."""
    if movers.fuse is None or op not in ("mount", "unmount"):
        return {}
    far = op == "mount" and any(source["adaptor"] in FAR for source in sources.values())
    return {"fuse": {"folder": str(movers.fuse.table.folder), "why": movers.fuse.why_not() if far else UNKNOWN}}


def _followed(uses: Uses, job: Mapping[str, Any], op: str, entries: Sequence[Mapping[str, Any]], as_item: Callable[[Any], Any],
              request: str | None, on_results: Callable[[Sequence[Mapping[str, Any]]], None] | None) -> dict[str, Mapping[str, Any]]:
    """The results of a job, shared out among the movers, once all of it has ended; ``run`` says the rest."""
    movers: Movers = uses.parts["movers"]
    heard: queue.Queue = queue.Queue()
    handle = _Jobs([movers.pool.submit({**job, "items": [as_item(entry) for entry in part]}, on_message=heard.put)
                    for part in _parts_of(op, entries, uses.config.instances.mover_workers)])
    if request:
        movers.working_on(request, handle)
    under_way = len(handle.handles)
    results: dict[str, Mapping[str, Any]] = {}
    quiet = 0.0
    seen = _Progress(uses, {rules.key_of(entry): entry for entry in entries})
    while True:
        try:
            message = heard.get(timeout=PROGRESS_S)
            quiet = 0.0
        except queue.Empty:
            quiet += PROGRESS_S
            if quiet > SILENCE_S:
                handle.cancel()
                raise Unavailable("worker.silent", f"Nothing was heard of the mover for {SILENCE_S} s.") from None
            message = {}
        if request and not seen.keep_going(request):
            handle.cancel()
        if "span" in message:
            measured = message["span"]
            uses.tracer.record(f"mover {op}", "server", measured["traceparent"], measured["began_ns"], measured["ended_ns"],
                               (message.get("failed") or {}).get("code", ""), process_pid=measured["pid"])
        if "results" in message:
            _count(uses, op, entries, message["results"])
            if on_results:
                on_results(message["results"])
            else:
                results.update({result["key"]: result for result in message["results"]})
        elif "progress" in message:
            seen.tell(message["progress"])
        elif "done" in message:
            under_way -= 1
            if not under_way:
                return results
        elif "failed" in message:
            handle.cancel()
            raise from_payload(message["failed"])


def _count(uses: Uses, op: str, entries: Sequence[Mapping[str, Any]], results: Sequence[Mapping[str, Any]]) -> None:
    """Tell the figures what the mover has done: how many entries, how they ended, and the bytes that were written."""
    if uses.figures is None:
        return
    good = sum(1 for result in results if result.get("ok"))
    size = sum(result.get("size") or 0 for result in results if result.get("ok")) if op == "copy" else 0
    uses.figures.moved(op, good, len(results) - good, size)
    for result in results:
        for outcome in findings.outcomes(result):
            uses.figures.inspected(outcome)


def _parts_of(op: str, entries: Sequence[Mapping[str, Any]], workers: int) -> list[Sequence[Mapping[str, Any]]]:
    """Many copies go to all movers at once: of small files a process can do no more than its processor."""
    if op != "copy" or len(entries) < SHARED_FROM:
        return [entries]
    # Stretches, not every second one: two movers that make neighbours in one folder at a time wait for each other.
    size = -(-len(entries) // workers)
    return [entries[first:first + size] for first in range(0, len(entries), size)]


class _Jobs:
    """Jobs that are waited for and cancelled together."""

    def __init__(self, handles: Sequence[Any]) -> None:
        self.handles = handles

    def cancel(self) -> None:
        for handle in self.handles:
            handle.cancel()


def _parameters(place: str, source: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """What opens a source. A simulated one is its listing, which can have a million rows: the rows in question will do."""
    if source["adaptor"] != "simulated":
        return source["parameters"]
    rows = [rules.job_item(entry) for entry in entries if entry.get("source_id") == place]
    said = ("size", "checksum", "modified_at")
    return {"listing": {row["path"]: {name: row[name] for name in said if row[name] is not None} for row in rows}}


class _Progress:
    """Keeps the lease alive and the instances' bytes current, at most once a second."""

    def __init__(self, uses: Uses, entries: Mapping[str, Mapping[str, Any]]) -> None:
        self._uses, self._entries = uses, entries
        self._checked = time.monotonic()
        self._told = 0.0
        # Of each instance: when its bytes were first heard of, and how many they were then.
        self._begun: dict[str, tuple[float, int]] = {}

    def _speed(self, row: Row, bytes_done: int) -> dict[str, Any]:
        """How fast its bytes come since they do, and how long the rest takes at that."""
        at, had = self._begun.setdefault(row["id"], (time.monotonic(), bytes_done))
        took = time.monotonic() - at
        if took < PROGRESS_S / 2 or bytes_done <= had:
            return {"bytes_per_s": None, "seconds_left": None}
        speed = (bytes_done - had) / took
        return {"bytes_per_s": round(speed), "seconds_left": round((row["bytes_total"] - bytes_done) / speed, 1)}

    def keep_going(self, request: str) -> bool:
        """Whether the work is still wanted; renews the lease."""
        if time.monotonic() - self._checked < PROGRESS_S:
            return True
        self._checked = time.monotonic()
        if not _lease(self._uses, request):
            return False
        with self._uses.db.reading() as connection:
            return repository.next_retry(connection, request) is not None

    def tell(self, progress: Sequence[Mapping[str, Any]]) -> None:
        if time.monotonic() - self._told < PROGRESS_S:
            return
        self._told = time.monotonic()
        done: dict[str, int] = {}
        phases: dict[str, str] = {}
        for line in progress:
            entry = self._entries.get(line.get("key"))
            if entry is not None:
                done[entry["instance_id"]] = done.get(entry["instance_id"], 0) + int(line["bytes_done"] or 0)
                phases[entry["instance_id"]] = line["phase"]
        if not done:
            return
        try:
            with self._uses.db.transaction(self._uses.context) as uow:
                for row in repository.by_ids(uow.connection, done):
                    ready = sum(entry["size"] or 0 for entry in repository.entries_of(uow.connection, row["id"])
                                if entry["state"] == "ready")
                    bytes_done = min(row["bytes_total"], ready + done[row["id"]])
                    said = {"phase": phases[row["id"]], **self._speed(row, bytes_done)}
                    if row["state"] == "Provisioning" and (bytes_done > row["bytes_done"] or (row.get("progress") or {}).get("phase") != said["phase"]):
                        uow.change(INSTANCE, [row], {"bytes_done": bytes_done, "progress": said})
        except VersionConflict:
            pass  # Progress is shown, not promised: the next line says more.


def _write(uses: Uses, request: str, by_key: Mapping[str, Row], results: Sequence[Mapping[str, Any]]) -> None:
    """Write what the mover says: entries ready, to be tried again, or broken; instances follow their entries."""
    outcomes = [(by_key[result["key"]], result, rules.outcome(by_key[result["key"]], result, uses.config.instances.copy_retries)) for result in results]
    stand_ins = failover.replacements(uses, request, [
        (entry, result["error"]) for entry, result, values in outcomes if values.get("state") == "broken"])

    def work() -> None:
        with uses.db.transaction(uses.context) as uow:
            # One statement for all that changes in the same columns.
            alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
            findings.write_down(uow, [(entry, result) for entry, result, _ in outcomes])
            touched: dict[str, None] = {}
            for entry, result, values in outcomes:
                stand_in = stand_ins.get((entry["instance_id"], entry["data_id"]))
                if stand_in is not None:
                    failover.replace(uow, entry, result["error"], stand_in)
                    continue
                alike.setdefault(tuple(values), []).append(
                    {**values, "of_instance": entry["instance_id"], "of_data": entry["data_id"]})
                touched[entry["instance_id"]] = None
            for names, rows in alike.items():
                uow.connection.execute(update(access_table).where(
                    access_table.c.instance_id == bindparam("of_instance"), access_table.c.data_id == bindparam("of_data"),
                    access_table.c.state == "pending").values({name: bindparam(name) for name in names}), rows)
            _follow(uow, request, list(touched), uses.config.instances)
    uses.db.retrying(work)


def _follow(uow: UnitOfWork, request: str, ids: Sequence[str], settings: Any) -> None:
    """Move instances whose entries have come to an end, and settle the request with the last."""
    ready, broken, lost = [], [], []
    changes: dict[str, dict[str, Any]] = {}
    entries = repository.entries_of_all(uow.connection, ids)
    for row in repository.by_ids(uow.connection, ids):
        if row["state"] != "Provisioning":
            continue
        of = entries[row["id"]]
        states = {entry["state"] for entry in of}
        done = sum(entry["size"] or 0 for entry in of if entry["state"] == "ready" and entry["verified"] != "simulated")
        changes[row["id"]] = {"shown": shown(of), "bytes_done": done, "reason": None, "progress": None}
        if "broken" in states:
            bad = next(entry for entry in of if entry["state"] == "broken")
            changes[row["id"]]["reason"] = {**bad["error"], "data": bad["name"]}
            (lost if row["undone"] else broken).append(row)
        elif "pending" not in states:
            # How large a table is nobody knows before it was exported.
            size = max(row["bytes_total"], sum(entry["size"] or 0 for entry in of))
            changes[row["id"]] |= {**rules.time_begins(row, settings.expiring_s), "undone": False, "bytes_total": size}
            ready.append(row)
    for rows, event in ((ready, "ready"), (broken, "broken")):
        uow.move(INSTANCE, rows, event, changes=lambda row: changes[row["id"]])
    undoing.failed(uow, lost, {row["id"]: changes[row["id"]]["reason"] for row in lost}, settings.grace_s)
    if any(row["undone"] for row in ready):
        removing.tell_counted(uow, request)
    for attempt in {row["attempt"] for row in [*ready, *broken]}:
        provisioning.settle(uow, request, attempt)


def _lease(uses: Uses, request: str) -> bool:
    return lease(uses, f"moving.{request}", uses.parts["movers"].holder, LEASE_S)


def _release(uses: Uses, request: str) -> None:
    end_lease(uses, f"moving.{request}", uses.parts["movers"].holder)


def resume(uses: Uses) -> None:
    """Take up what is pending and in nobody's hands; called when the service starts and by the sweep."""
    with uses.db.reading() as connection:
        waiting = looking.requests_with_pending(connection, 100)
    for request in waiting:
        start(uses, request, caught=True)
