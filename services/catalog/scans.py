"""Scans: one at a time per source, run beside the calls, taken up again after a crash.

A scan is a row with a lease. Its holder hands the source to the scan worker, takes what that finds batch by batch
into the catalogue (``intake``), and says how far it is at most twice a second. Opens no file of a source.
"""
from __future__ import annotations

import functools
import logging
import os
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
from sqlalchemy import update

from services.catalog import intake, passages, repository
from services.catalog.models import SOURCE, ref, scan_table
from services.catalog.seen import Seen
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.context import Context
from shared.kernel.errors import EdgemereError
from shared.kernel.ids import new_id
from shared.storage import leases
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

LEASE_S = 20.0
SAID_EVERY_S = 0.5
KEPT_PROBLEMS = 100
SHOWN_PROBLEMS = 20
VANISH_PAGE = 500
ATTEMPTS = 3
# What cannot be read may still be there.
_UNSEEN = ("source.unreadable", "source.unreachable")
_log = logging.getLogger(__name__)


@functools.cache
def this_process() -> str:
    """What this process is called as the holder of scans; another one never has the name."""
    return f"{socket.gethostname()[:30]}:{os.getpid()}:{new_id('scan')[-12:]}"


class Stopped(Exception):
    """The scan is no longer ours to run: it was cancelled, or its source left."""


def shown(scan: Mapping[str, Any]) -> dict[str, Any]:
    """The column of its source in which a scan, or an audit, is shown."""
    return {scan["kind"]: summary(scan)}


def summary(scan: Mapping[str, Any]) -> dict[str, Any]:
    """A scan, or an audit, as the source shows it."""
    if scan["kind"] == "audit":
        return {
            "id": scan["id"], "state": scan["state"], "repair": scan["repair"], "verify": scan["verify"], "files": scan["files"], "bytes": scan["bytes"],
            **(scan["found"] or {}), "problem_count": scan["problem_count"], "message": scan["message"],
            "started_at": scan["started_at"], "ended_at": scan["ended_at"]}
    return {
        "id": scan["id"], "state": scan["state"],
        **{name: scan[name] for name in ("files", "bytes", "added", "changed", "vanished")},
        "problems": (scan["problems"] or [])[:SHOWN_PROBLEMS], "problem_count": scan["problem_count"],
        "message": scan["message"], "started_at": scan["started_at"], "ended_at": scan["ended_at"],
    }


def begun(uses: Uses, source_id: str, kind: str = "scan", *, owner: str = "", **more: Any) -> Row:
    """The row of a new scan (or audit) of a source of ``owner`` (the caller's own, unless told), held by this process."""
    return {
        "id": new_id("scan"), "source_id": source_id, "state": "running", "files": 0, "bytes": 0, "added": 0, "changed": 0,
        "vanished": 0, "problems": [], "problem_count": 0, "message": "The scan is under way.",
        "started_at": clock.stamp(), "ended_at": None, "holder": this_process(),
        "owner": owner or uses.context.owner, "correlation_id": uses.context.correlation_id or None,
        "kind": kind, "repair": None, "verify": False, "found": None, **more,
    }


def begin(uses: Uses, uow: UnitOfWork, source: Row) -> tuple[Row, Row | None]:
    """Write a scan in the caller's transaction, who holds the row of the source: the source, and the scan to start.

    The scan is None where one is under way.
    """
    if repository.running_scan(uow.connection, source["id"]):
        return source, None
    scan = begun(uses, source["id"], owner=source["owner"])
    return write(uow, source, scan), scan


def write(uow: UnitOfWork, source: Row, scan: Row) -> Row:
    """Write that a scan or audit has begun, and show it."""
    insert(uow, scan)
    moved, = uow.change(SOURCE, [source], shown(scan))
    return moved


def insert(uow: UnitOfWork, scan: Row) -> None:
    """Write the row of a scan that begins, held by this process until its lease is over by the database's clock."""
    uow.connection.execute(scan_table.insert().values(**scan, until=leases.moment(uow.connection, LEASE_S)))


def start(uses: Uses, scan: Row) -> threading.Thread:
    """Run a scan beside the caller, after the commit that wrote it."""
    thread = threading.Thread(target=run, args=(uses, scan), name=f"scan {scan['id']}", daemon=True)
    thread.start()
    return thread


def run(uses: Uses, scan: Row) -> None:
    """Run a scan to its end. Never raises: what goes wrong is the scan's end, or leaves it for the next holder."""
    from services.catalog import auditing

    context = Context(owner=scan["owner"], correlation_id=scan["correlation_id"] or "")
    kind = auditing.Audit if scan["kind"] == "audit" else Run
    over = threading.Event()
    threading.Thread(target=_keep, args=(uses, scan["id"], over), name=f"lease of {scan['id']}", daemon=True).start()
    try:
        kind(replace(uses, context=context), scan).to_the_end()
    except Stopped:
        pass
    except Exception:
        # The lease runs out and the scan begins again.
        _log.exception("scan %s of %s broke off", scan["id"], scan["source_id"])
    finally:
        over.set()


def _keep(uses: Uses, scan_id: str, over: threading.Event) -> None:
    """Keep the lease of a scan that runs here, also while its source is slow to say anything."""
    mine = (scan_table.c.id == scan_id) & (scan_table.c.state == "running") & (scan_table.c.holder == this_process())
    while not over.wait(LEASE_S / 4):
        try:
            with uses.db.at_once() as connection:
                connection.execute(update(scan_table).where(mine).values(until=leases.moment(connection, LEASE_S)))
        except EdgemereError as error:
            _log.warning("the lease of scan %s was not kept: %s", scan_id, error)


def cancel(uses: Uses, scan_id: str) -> dict[str, Any]:
    """Stop a scan; what it found so far stays. Answers its summary, also when it was over already; None is unknown."""
    def work() -> dict[str, Any] | None:
        with uses.db.transaction(uses.context) as uow:
            scan = repository.scan_row(uow.connection, scan_id)
            if scan is None:
                return None
            source = uow.get(SOURCE, scan["source_id"])
            scan = repository.scan_row(uow.connection, scan_id)
            return summary(end(uow, source, scan, "cancelled", "The scan was cancelled; what it found so far stays."))
    return {"scan": uses.db.retrying(work)}


def end(uow: UnitOfWork, source: Row, scan: Row, state: str, message: str) -> Row:
    """Write the end of a running scan, on its row and on the source, whose row the caller holds."""
    if scan["state"] != "running":
        return scan
    ended = {**scan, "state": state, "message": message, "ended_at": clock.stamp(), "holder": None}
    uow.connection.execute(update(scan_table).where(scan_table.c.id == scan["id"]).values(**_kept(ended), until=None))
    passages.scan_ended(uow, scan["id"])
    if source and not source["destroyed_at"]:
        uow.change(SOURCE, [source], shown(ended))
    return ended


def resume(uses: Uses) -> list[threading.Thread]:
    """Take up the scans whose holder is gone."""
    with uses.db.reading() as connection:
        deserted = repository.deserted_scans(connection, this_process(), alone=uses.db.is_sqlite)
    started = []
    for scan in deserted:
        with uses.db.transaction() as uow:
            taken = repository.take_scan(uow, scan, this_process(), LEASE_S)
        if taken:
            uses.caught("scans_resumed")
            started.append(start(uses, scan))
    return started


def _kept(scan: Row) -> Row:
    return {name: scan[name] for name in ("state", "files", "bytes", "added", "changed", "vanished", "problems",
                                          "problem_count", "message", "ended_at", "holder", "found")}


class Run:
    """One scan under way in this process."""

    op = "scan"

    def __init__(self, uses: Uses, scan: Row) -> None:
        self.uses = uses
        self.scan: Row = dict(scan)
        self.source_id = scan["source_id"]
        self.seen: Seen | None = None
        self.unseen: set[str] = set()
        self._said = time.monotonic()

    def to_the_end(self) -> None:
        with self.uses.db.reading() as connection:
            source = repository.sources_by_ids(connection, [self.source_id])[0]
            parameters = dict(source["parameters"] or {})
            listing = repository.listing_of(connection, self.source_id)
            if listing is not None:
                parameters["listing"] = orjson.loads(listing)
        self.source = source
        self.place = {"adaptor": source["adaptor"], "parameters": parameters, "policy": self.uses.parts["policy"].as_json()}
        job = {"op": self.op, **self.place}
        for attempt in range(1, ATTEMPTS + 1):
            self._begin_again()
            # A source that had nothing can have lost nothing.
            self.seen = Seen() if source["data_count"] or attempt > 1 else None
            try:
                done = self._follow(job)
                break
            except EdgemereError as error:
                if error.code == "worker.stopped":
                    # The process is ending; the scan goes on with its next start.
                    raise Stopped from None
                if error.code != "worker.died" or attempt == ATTEMPTS:
                    self._fail(error)
                    return
        if done.get("cancelled"):
            raise Stopped
        self._finish(done)

    def _begin_again(self) -> None:
        """Count from nothing; what was done to the catalogue stays counted."""
        self.scan = {**self.scan, "files": 0, "bytes": 0, "problems": [], "problem_count": 0}
        self.unseen = set()

    def _follow(self, job: Mapping[str, Any]) -> Mapping[str, Any]:
        handle = self.uses.parts["scanner"].submit(job)
        try:
            for message in handle:
                if "entries" in message:
                    self._take(message["entries"])
                elif "own" in message:
                    self._own(message["own"])
                elif "problems" in message:
                    self._note(message["problems"])
                elif "done" in message:
                    return message["done"]
                self._say_if_due()
        finally:
            handle.cancel()
        raise Stopped

    def _take(self, found: list[Mapping[str, Any]]) -> None:
        entries: dict[str, Mapping[str, Any]] = {}
        for entry in found:
            why = intake.usable(entry)
            if why:
                self._note([{"path": entry["path"][:500], "code": "source.bad_row", "detail": why}])
                continue
            place = intake.place_of(self.source_id, entry["path"])
            entries[place] = entry
            if self.seen is not None:
                self.seen.add(place)
            self.scan["files"] += 1
            self.scan["bytes"] += entry["size"] or 0
        if not entries:
            return
        if self.seen is not None:
            with self.uses.db.reading() as connection:
                known = repository.fingerprints(connection, list(entries))
            entries = {place: entry for place, entry in entries.items() if known.get(place) != entry["fingerprint"]}
        if entries:
            self._in_transaction(lambda uow, source: intake.take(uow, source, entries))
        time.sleep(0)

    def _own(self, found: list[Mapping[str, Any]]) -> None:
        """What is the product's own; only an audit is told of it."""

    def _note(self, problems: list[Mapping[str, Any]]) -> None:
        self.scan["problem_count"] += len(problems)
        room = KEPT_PROBLEMS - len(self.scan["problems"])
        self.scan["problems"] = [*self.scan["problems"], *problems[:max(0, room)]]
        self.unseen.update(problem["path"] for problem in problems if problem["code"] in _UNSEEN)

    def _say_if_due(self) -> None:
        if time.monotonic() - self._said >= SAID_EVERY_S:
            self._in_transaction(lambda uow, source: intake.Counts())

    def _in_transaction(self, work: Any) -> None:
        """Do ``work(uow, source)`` with the source held and the scan still ours; count it, and say it when it is due."""
        def attempt() -> Row:
            with self.uses.db.transaction(self.uses.context) as uow:
                source = self._held(uow)
                done = work(uow, source)
                scan = {**self.scan, "holder": this_process()}
                for name in ("added", "changed", "vanished"):
                    scan[name] += getattr(done, name)
                uow.connection.execute(update(scan_table).where(scan_table.c.id == scan["id"]).values(
                    **_kept(scan), until=leases.moment(uow.connection, LEASE_S)))
                if time.monotonic() - self._said >= SAID_EVERY_S:
                    # Counted in this transaction, so read again for the message.
                    uow.change(SOURCE, [uow.get(SOURCE, self.source_id) or source], shown(scan))
                    self._said = time.monotonic()
                return scan
        self.scan = self.uses.db.retrying(attempt)

    def _held(self, uow: UnitOfWork) -> Row:
        source = uow.get(SOURCE, self.source_id)
        now = repository.scan_row(uow.connection, self.scan["id"])
        if now is None or now["state"] != "running" or now["holder"] != this_process():
            raise Stopped
        if source is None or source["destroyed_at"] or source["state"] == "Shutdown":
            raise Stopped
        return source

    def _finish(self, done: Mapping[str, Any]) -> None:
        message = ""
        self.scan["problem_count"] = max(self.scan["problem_count"], done.get("problems", 0))
        unknown = sum(count for code, count in (done.get("problem_codes") or {}).items() if code in _UNSEEN)
        if self.seen is not None:
            if unknown > len(self.unseen):
                message = " More could not be read than is listed, so nothing was declared vanished."
            else:
                self._vanish()
        scan = self.scan
        if scan["problem_count"]:
            message = f" {scan['problem_count']} could not be used; `problems` names them.{message}"
        text = (f"{scan['files']} found: {scan['added']} added, {scan['changed']} changed, "
                f"{scan['vanished']} vanished.{message}")

        def work() -> None:
            with self.uses.db.transaction(self.uses.context) as uow:
                source = self._held(uow)
                end(uow, source, self.scan, "done", text)
                if self.scan["added"] and source["state"] == "Ready":
                    uow.tell("capacity.freed", source["id"], {"source": ref(source["id"], source["name"]), "why": "data added"})
        self.uses.db.retrying(work)

    def _vanish(self) -> None:
        """Destroy what is known and was not seen, page by page along the places."""
        after = ""
        folders = tuple(path for path in self.unseen if path.endswith("/") or not path)
        while True:
            with self.uses.db.reading() as connection:
                page = repository.known_places(connection, self.source_id, after, VANISH_PAGE)
            if not page:
                return
            after = page[-1][0]
            gone = [place for place, path in page if place not in self.seen and path not in self.unseen
                    and not path.startswith(folders)]
            if gone:
                self._in_transaction(functools.partial(_remove, places=gone))
            self._say_if_due()
            time.sleep(0)

    def _fail(self, error: EdgemereError) -> None:
        problem = {"path": "", "code": error.code, "detail": error.detail}

        def work() -> None:
            with self.uses.db.transaction(self.uses.context) as uow:
                source = self._held(uow)
                self.scan["problems"] = [problem, *self.scan["problems"]][:KEPT_PROBLEMS]
                self.scan["problem_count"] += 1
                end(uow, source, self.scan, "failed", f"{error.detail} {error.next_step}".strip())
        self.uses.db.retrying(work)


def _remove(uow: UnitOfWork, source: Row, places: list[str]) -> intake.Counts:
    living, _ = repository.at_places(uow, places)
    moving = passages.within(uow.connection, places)
    return intake.remove(uow, source["id"], [
        row for place, row in living.items()
        if place not in moving and row["source_id"] == source["id"] and row["fingerprint"] is not None])
