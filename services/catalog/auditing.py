"""Audits: what the catalogue says of a source against what lies there, both ways; reported, and repaired when that was asked for.

An audit runs like a scan, in its place, batch by batch. What it finds: ``lost`` data (in the catalogue, not at the source), ``dark``
data (the other way round), ``changed`` data, and with ``verify`` ``corrupt`` data (other bytes under the same size and time); at a
target also ``lost_copy``, ``changed_copy`` (of an instance) and ``dark_copy`` (left by nobody that lives).
What seems to be missing is looked for a second time, since the world goes on meanwhile.
A file without the product's mark is never removed, and one with it only where ``repair`` says ``dark``.
"""
from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, select

from services.catalog import intake, naming, passages, repository, scans
from services.catalog.models import SOURCE, data_table, finding_table, ref, render_source
from services.catalog.seen import Seen
from shared.hosting.uses import Uses
from shared.kernel.errors import Conflict
from shared.lists import cursor as cursors
from shared.lists import envelope
from shared.storage.bulk import insert_rows
from shared.storage.record import Row

KINDS = ("lost", "dark", "changed", "corrupt", "lost_copy", "changed_copy", "dark_copy")
# What each word repairs: catalogue takes over what lies there, copies have their instances made good, dark removes what nobody has.
REPAIRS = {"none": (), "catalogue": ("catalogue",), "copies": ("copies",), "dark": ("dark",), "all": ("catalogue", "copies")}
KEPT = 100_000
PAGE = 500
COPIES_PAGE = 2000
# A part that nobody has and that was not written for so long was left by somebody who died.
PART_AGE_S = 3600


def audit(uses: Uses, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Start an audit, or find the one under way that asks for the same.

    Raises:
        NotFound: ``datasource.not_found``.
        Conflict: ``datasource.not_ready``, or ``datasource.busy`` while it is scanned, or audited in another way.
    """
    repair, verify = parameters["repair"], bool(parameters.get("verify"))

    def work() -> tuple[Row, Row | None]:
        with uses.db.transaction(uses.context) as uow:
            found = naming.own_source(uses, uow.connection, parameters["id"])
            source = uow.get(SOURCE, found["id"]) or found
            if source["state"] != "Ready":
                raise Conflict("datasource.not_ready", f"The source '{source['name']}' is {source['state']} and is not audited.",
                               next_step="'datasource resume' takes a suspended source into use again.")
            running = repository.running_scan(uow.connection, source["id"])
            if running and (running["kind"], running["repair"], bool(running["verify"])) == ("audit", repair, verify):
                return source, None
            if running:
                doing = "audited" if running["kind"] == "audit" else "scanned"
                raise Conflict("datasource.busy", f"The source '{source['name']}' is being {doing} right now.",
                               next_step="Try again when that is over: edgemere fmdm datasource show shows how far it is.")
            begun = scans.begun(uses, source["id"], "audit", owner=source["owner"], repair=repair, verify=verify,
                                found=dict.fromkeys([*KINDS, "repaired"], 0))
            uow.connection.execute(delete(finding_table).where(finding_table.c.source_id == source["id"]))
            return scans.write(uow, source, begun), begun
    source, begun = uses.db.retrying(work)
    if begun:
        scans.start(uses, begun)
    return render_source(source)


def findings(uses: Uses, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A page of what the newest audit of a source found, in the order in which it did."""
    kind = parameters.get("kind")
    limit = parameters["limit"]
    with uses.db.reading() as connection:
        source = naming.own_source(uses, connection, parameters["id"])
        where = [finding_table.c.source_id == source["id"], *([finding_table.c.kind == kind] if kind else [])]
        of = cursors.fingerprint("finding", None, {"source": source["id"], "kind": kind})
        after = _position(parameters.get("cursor"), of)
        rows = [dict(row) for row in connection.execute(select(finding_table).where(*where, finding_table.c.seq > after)
                                                        .order_by(finding_table.c.seq).limit(limit + 1)).mappings()]
    counts = source["audit"] or {}
    total = counts.get(kind, 0) if kind else sum(counts.get(one, 0) for one in KINDS)
    following = cursors.write(of, "seq", [rows[limit - 1]["seq"]]) if len(rows) > limit else None
    return envelope([_finding(row) for row in rows[:limit]], following, total)


def _position(cursor: str | None, of: str) -> int:
    if not cursor:
        return 0
    _, after = cursors.read(cursor, of, None)
    if len(after) != 1 or not isinstance(after[0], int):
        raise cursors.not_a_cursor()
    return after[0]


def _finding(row: Row) -> dict[str, Any]:
    return {"kind": row["kind"], "path": row["path"], "data": ref(row["data_id"], row["data_name"]) if row["data_id"] else None,
            "instance": row["instance_id"], "detail": row["detail"], "repaired": row["repaired"]}


class Audit(scans.Run):
    """One audit under way in this process."""

    op = "audit"

    def _begin_again(self) -> None:
        super()._begin_again()
        self.scan["found"] = dict.fromkeys([*KINDS, "repaired"], 0)
        self.copies: set[bytes] = set()
        self._in_transaction(lambda uow, source: uow.connection.execute(
            delete(finding_table).where(finding_table.c.source_id == self.source_id)) and intake.Counts())

    def _repairs(self, what: str) -> bool:
        return what in REPAIRS[self.scan["repair"]]

    def _write(self, rows: Sequence[Mapping[str, Any]], repaired: bool, work: Callable[..., Any] | None = None) -> None:
        """Write findings, and do the repair that belongs to them in the same transaction."""
        if not rows:
            return
        self.scan["found"] = dict(Counter(self.scan["found"]) + Counter(row["kind"] for row in rows)) | {
            "repaired": self.scan["found"]["repaired"] + (len(rows) if repaired else 0)}
        self.scan["found"] = {**dict.fromkeys(KINDS, 0), **self.scan["found"]}
        room = KEPT - sum(self.scan["found"][kind] for kind in KINDS) + len(rows)

        def written(uow: Any, source: Row) -> intake.Counts:
            insert_rows(uow.connection, finding_table, [{
                "scan_id": self.scan["id"], "source_id": self.source_id, "data_id": None, "data_name": None, "instance_id": None,
                **row, "repaired": repaired} for row in rows[:max(0, room)]])
            return work(uow, source) if work else intake.Counts()
        self._in_transaction(written)
        time.sleep(0)

    # --- data

    def _take(self, found: list[Mapping[str, Any]]) -> None:
        entries = {intake.place_of(self.source_id, entry["path"]): entry for entry in found if not intake.usable(entry)}
        self.scan["files"] += len(entries)
        self.scan["bytes"] += sum(entry["size"] or 0 for entry in entries.values())
        for place in entries:
            if self.seen is not None:
                self.seen.add(place)
        with self.uses.db.reading() as connection:
            known = {row["place"]: row for row in repository.data_at_places(connection, list(entries))}
            # Asked after the data: what left in between is known.
            moving = passages.within(connection, entries)
        rows, changes, alike = [], {}, []
        for place, entry in entries.items():
            if place in moving:
                continue
            finding = self._compared(entry, known.get(place))
            if finding:
                rows.append(finding)
                changes[place] = entry
            elif place in known:
                alike.append(known[place])
        self._write(self._corrupt(alike), False)
        take = self._repairs("catalogue")
        self._write(rows, take, (lambda uow, source: intake.take(uow, source, changes)) if take else None)

    def _corrupt(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Findings on data whose bytes are not those of its checksum. Nothing repairs them: which bytes are right, people know."""
        read = self._read({row["path"]: row["checksum"] for row in rows})
        return [{"kind": "corrupt", "path": row["path"], "data_id": row["id"], "data_name": row["name"],
                 "detail": f"The catalogue says {row['checksum']}, what was read has {read[row['path']] or 'no end: it cannot be read'}."}
                for row in rows if row["path"] in read]

    def _read(self, known: Mapping[str, str | None]) -> dict[str, str | None]:
        """Of paths with a checksum those whose bytes have another, with that. Nothing is read where that was not asked for.

        Raises:
            Stopped: the audit was cancelled meanwhile.
        """
        paths = [path for path, checksum in known.items() if str(checksum).startswith("sha256:")] if self.scan["verify"] else []
        other: dict[str, str | None] = {}
        if not paths:
            return other
        handle = self.uses.parts["scanner"].submit({"op": "read", "paths": paths, **self.place})
        try:
            for message in handle:
                other |= {one["path"]: one["checksum"] for one in message.get("read", ()) if one["checksum"] != known[one["path"]]}
                self._say_if_due()
        finally:
            handle.cancel()
        return other

    @staticmethod
    def _compared(entry: Mapping[str, Any], row: Row | None) -> dict[str, Any] | None:
        if row is None:
            return {"kind": "dark", "path": entry["path"], "detail": f"It lies there with {entry['size']} bytes and is not in the catalogue."}
        by_hand = row["fingerprint"] is None
        if row["fingerprint"] == entry["fingerprint"] or by_hand and row["size"] in (None, entry["size"]):
            return None
        said = [f"{name} {row[name]}, there it is {entry[name]}" for name in ("size", "modified_at", "checksum", "type")
                if row[name] is not None and row[name] != entry[name]]
        return {"kind": "changed", "path": entry["path"], "data_id": row["id"], "data_name": row["name"],
                "detail": f"The catalogue says {'; '.join(said)}." if said else "Its metadata differs from what the catalogue says."}

    def _vanish(self) -> None:
        """What the catalogue has and nobody saw: looked for a second time, then lost."""
        after, folders = "", tuple(path for path in self.unseen if path.endswith("/") or not path)
        while True:
            with self.uses.db.reading() as connection:
                page = repository.living_places(connection, self.source_id, after, PAGE)
            if not page:
                return
            after = page[-1]["place"]
            missing = [row for row in page if row["place"] not in (self.seen or ()) and row["path"] not in self.unseen
                       and not row["path"].startswith(folders) and (row["fingerprint"] is not None or self.source["adaptor"] == "file")]
            gone = self._not_there([row["path"] for row in missing])
            lost = [row for row in missing if row["path"] in gone]
            take = self._repairs("catalogue")
            self._write([{"kind": "lost", "path": row["path"], "data_id": row["id"], "data_name": row["name"],
                          "detail": "The catalogue has it and it is not at the source."} for row in lost], take,
                        (lambda uow, source, lost=lost: _removed(uow, source, lost)) if take else None)
            self._say_if_due()

    def _not_there(self, paths: Sequence[str]) -> set[str]:
        """Which of these paths nothing is at; what cannot be told counts as there."""
        if not paths:
            return set()
        return {one["path"] for message in self.uses.parts["scanner"].submit({"op": "look", "paths": list(paths), **self.place})
                for one in message.get("looked", ()) if one["there"] is False}

    # --- copies

    def _own(self, found: list[Mapping[str, Any]]) -> None:
        keys = sorted({one["key"] for one in found if one["key"]})
        states = self.uses.mesh.call("instances", "copies_known", target=self.source_id, keys=keys, timeout_s=30) if keys else {}
        dark = []
        for one in found:
            if one["place"] == "copy" and one["key"]:
                self.copies.add(_digest(one["key"]))
            if _is_dark(one, states.get(one["key"]) or {}):
                dark.append(one)
        spoilt = [{**known, "instance": one["key"].partition(":")[0], "data": one["key"].partition(":")[2]} for one in found
                  if one["place"] == "copy" and (known := states.get(one["key"])) and known["state"] == "ready" and known["size"] != one["size"]]
        self._bad_copies("changed_copy", spoilt, "The copy is not what was verified: its size is another one.")
        whole = {one["path"]: known for one in found if one["place"] == "copy" and (known := states.get(one["key"])) and known["state"] == "ready"
                 and known["path"] == one["path"] and known["size"] == one["size"]}
        read = self._read({path: known["checksum"] for path, known in whole.items()})
        self._bad_copies("changed_copy", [{**states[one["key"]], "instance": one["key"].partition(":")[0], "data": one["key"].partition(":")[2]}
                                          for one in found if one["place"] == "copy" and one["path"] in read],
                         "The copy is not what was verified: its bytes have another checksum.")
        removes = self._repairs("dark") and bool(dark)
        removed = set()
        if removes:
            items = [{"key": one["key"], "path": one["path"]} for one in dark if one["key"]]
            removed = set(self.uses.mesh.call("instances", "remove_dark", target=self.source_id, items=items, timeout_s=120)["removed"])
        for repaired in (False, True):
            self._write([{"kind": "dark_copy", "path": one["path"], "detail": _WORDS[one["place"]]} for one in dark
                         if (one["key"] in removed) is repaired], repaired)

    def _lost_copies(self) -> None:
        for page in self._copies_claimed():
            missing = [row for row in page if _digest(f"{row['instance']}:{row['data']}") not in self.copies]
            gone = self._not_there([row["path"] for row in missing])
            lost = [row for row in missing if row["path"] in gone]
            self._bad_copies("lost_copy", lost, "The copy is no longer at its target.")

    def _bad_copies(self, kind: str, bad: Sequence[Mapping[str, Any]], detail: str) -> None:
        """Report copies ``{instance, data, name, path}``; their instances break when copies are repaired, and are healed."""
        repairs = self._repairs("copies") and bool(bad)
        if repairs:
            self.uses.mesh.call("instances", "copies_lost", target=self.source_id, detail=detail, timeout_s=60,
                                items=[[row["instance"], row["data"]] for row in bad])
        self._write([{"kind": kind, "path": row["path"], "data_id": row["data"], "data_name": row["name"], "instance_id": row["instance"],
                      "detail": detail} for row in bad], repairs)

    def _copies_claimed(self) -> Iterator[list[dict[str, Any]]]:
        after: list[str] | None = None
        while True:
            page = self.uses.mesh.call("instances", "copies_claimed", target=self.source_id, after=after, limit=COPIES_PAGE, timeout_s=30)
            yield page
            if len(page) < COPIES_PAGE:
                return
            after = [page[-1]["instance"], page[-1]["data"]]

    # --- the end

    def _finish(self, done: Mapping[str, Any]) -> None:
        if self.seen is None:
            self.seen = Seen()
        if done.get("problems", 0) <= len(self.unseen) or not self.unseen:
            self._vanish()
        if self.source["writable"]:
            self._lost_copies()
        found = self.scan["found"]
        parts = [f"{found[kind]} {kind.replace('_', ' ')}" for kind in KINDS if found[kind]]
        repaired = f" {found['repaired']} repaired." if found["repaired"] else ""
        text = f"{self.scan['files']} looked at: {', '.join(parts)}.{repaired}" if parts else \
            f"{self.scan['files']} looked at: catalogue and storage agree."

        def work() -> None:
            with self.uses.db.transaction(self.uses.context) as uow:
                scans.end(uow, self._held(uow), self.scan, "done", text)
        self.uses.db.retrying(work)


_WORDS = {"copy": "A copy that no instance has.", "trash": "A removed copy that no destroyed instance can bring back.",
          "part": "The beginning of a copy that nobody makes any more."}
# In which states of its entry a copy, what is in the trash, and an unfinished part are somebody's.
_OWNED = {"copy": ("pending", "ready", "broken", "leaving", "purging"), "trash": ("trashed", "leaving", "purging", "pending"),
          "part": ("pending", "leaving", "purging")}


def _is_dark(one: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    if known.get("state") in _OWNED[one["place"]] and (one["place"] != "copy" or known.get("path") == one["path"]):
        return False
    if known.get("action") == "move" and one["place"] == "copy":
        return False
    return one["place"] != "part" or time.time() - one["modified_ns"] / 1e9 > PART_AGE_S


def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=16).digest()


def _removed(uow: Any, source: Row, rows: Sequence[Row]) -> intake.Counts:
    fresh = uow.rows(select(data_table).where(data_table.c.id.in_([row["id"] for row in rows]), data_table.c.destroyed_at.is_(None)))
    return intake.remove(uow, source["id"], [row for row in fresh if row["source_id"] == source["id"]]) or intake.Counts()


