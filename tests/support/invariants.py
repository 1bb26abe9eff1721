"""Looks at a data folder after everything has come to rest and says what is wrong with it.

Independent of the product: reads the databases (SQLite files or PostgreSQL schemas, see ``evidence``), what a foreign
subscriber heard, the queues' depths and the files themselves. Run it by hand with ``python -m tests.support.invariants``
and a data folder or a database URL.
"""
from __future__ import annotations

import hashlib
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from tests.support.evidence import Evidence, PostgresSchemas, Row, SqliteFolder, value
from tests.support.nets_of_contract import NETS

ENDS = ("Satisfied", "Failed", "Completed")
# The sweeper says these once more of a request of which nothing was heard for long; that is no move.
SAID_AGAIN = ("datarequest.needed", "datarequest.selected", "datarequest.evaluated")
CLASSES = {"requests": ("datarequest", "datareference"), "reservations": ("datareservation",),
           "instances": ("datainstance",), "catalog": ("datasource",)}


def broken_promises(data: Path, touched: Collection[Path] = (), sent: Collection[str] = ()) -> list[str]:
    """Every promise that the folder breaks, as a sentence; an empty list is what is wanted.

    ``touched`` are files of sources that somebody changed behind the product's back, ``sent`` the ids of messages that
    did not come from a change of state.
    """
    return promises_broken_by(Evidence(SqliteFolder(data), touched, sent))


def promises_broken_by(folder: Evidence) -> list[str]:
    """The same, of whatever kind of mesh."""
    checks = (_requests, _instances, _files, _claims, _outboxes, _moves, _log, _witness, _dead_letters)
    return [sentence for check in checks for sentence in check(folder)]


def _requests(folder: Evidence) -> Iterator[str]:
    """Every request that was accepted is there, and has ended; a failed one says why and holds nothing."""
    there = {row["id"] for row in folder.rows("requests", "SELECT id FROM datarequest")}
    for request in sorted(set(folder.accepted) - there):
        yield f"request {request} was accepted and is lost"
    held = Counter()
    for row in folder.rows("reservations", "SELECT request_id, state FROM datareservation WHERE destroyed_at IS NULL"):
        held[row["request_id"], row["state"]] += 1
    for row in folder.rows("requests", "SELECT * FROM datarequest WHERE destroyed_at IS NULL"):
        name = row["name"]
        if row["state"] not in ("Init", *ENDS) and not row["blocked_by"]:
            yield f"request {name} has not ended: {row['state']}"
        if row["state"] == "Failed" and not (value(row["reason"]) or {}).get("code"):
            yield f"request {name} failed without a reason"
        open_ones = held[row["id"], "Created"] + held[row["id"], "Confirmed"] + held[row["id"], "Init"]
        outliving = sum(1 for request, _, _ in folder.outliving if request == row["id"])
        if row["state"] in ("Failed", "Completed") and open_ones != outliving:
            yield f"request {name} is {row['state']} and still has {open_ones} reservations for {outliving} entries that outlive it"
        if row["state"] == "Satisfied" and held[row["id"], "Created"]:
            yield f"request {name} is Satisfied with undecided reservations"


def _instances(folder: Evidence) -> Iterator[str]:
    """No instance is lost or doubled: each confirmed reservation is in exactly one live instance, and nothing else is."""
    confirmed: dict[str, Counter] = defaultdict(Counter)
    for row in folder.rows("reservations", "SELECT request_id, data_id, attempt FROM datareservation WHERE state = 'Confirmed'"):
        confirmed[row["request_id"]][row["data_id"], row["attempt"]] += 1
    live: dict[str, Counter] = defaultdict(Counter)
    for row in folder.rows("instances", """SELECT a.request_id, a.data_id, a.state, i.state AS instance, i.name, i.attempt FROM access a
                           JOIN datainstance i ON i.id = a.instance_id"""):
        if row["instance"] == "Destroyed":
            continue
        live[row["request_id"]][row["data_id"], row["attempt"]] += 1
        if row["instance"] == "Ready" and row["state"] != "ready":
            yield f"instance {row['name']} is Ready with an entry that is {row['state']}"
    states = {row["id"]: row["state"] for row in folder.rows("requests", "SELECT id, state FROM datarequest")}
    for request in set(confirmed) | set(live):
        if states.get(request) == "Satisfied":
            missing = confirmed[request] - live[request]
            if missing:
                yield f"request {request} is Satisfied and has no live instance of what is confirmed: {dict(missing)}"
            doubled = live[request] - confirmed[request]
            if doubled:
                yield f"request {request} has live entries that nothing confirms: {dict(doubled)}"
            of_data = Counter(data for data, _ in live[request].elements())
            if of_data and max(of_data.values()) > 1:
                yield f"request {request} has several live entries of one data: {dict(of_data)}"
        beyond = live[request] - Counter((data, attempt) for of, data, attempt in folder.outliving if of == request)
        if states.get(request) in ("Failed", "Completed", None) and beyond:
            yield f"request {request} is {states.get(request)} and has {sum(beyond.values())} live entries"
    for row in folder.rows("instances", """SELECT name, count(*) AS n FROM datainstance WHERE destroyed_at IS NULL
                           GROUP BY owner, name HAVING count(*) > 1"""):
        yield f"{row['n']} live instances are named {row['name']}"


def _files(folder: Evidence) -> Iterator[str]:
    """Every ready byte can be read and is right; no target holds anything else."""
    sources = {row["id"]: (value(row["parameters"]) or {}).get("rootdir")
               for row in folder.rows("catalog", "SELECT id, parameters FROM datasource")}
    kept: dict[str, set[Path]] = defaultdict(set)
    for row in folder.rows("instances", """SELECT a.*, i.name AS instance FROM access a
                           JOIN datainstance i ON i.id = a.instance_id WHERE i.state = 'Ready'"""):
        if row["verified"] == "simulated":
            continue
        path = Path(row["path"])
        if row["action"] != "copy" and path in folder.touched:
            continue
        if not path.is_file():
            yield f"instance {row['instance']}: {path} is not there"
            continue
        content = path.read_bytes()
        if len(content) != row["size"]:
            yield f"instance {row['instance']}: {path} has {len(content)} bytes, not {row['size']}"
        if row["action"] == "copy":
            kept[row["target_id"]].add(path)
            of = Path(sources[row["source_id"]]) / row["source_path"]
            if of not in folder.touched and content != of.read_bytes():
                yield f"instance {row['instance']}: {path} is not what its source has"
            if row["checksum"] != "sha256:" + hashlib.sha256(content).hexdigest():
                yield f"instance {row['instance']}: {path} does not have its checksum"
    for row in folder.rows("catalog", "SELECT id, name, writable FROM datasource WHERE writable"):
        for path in Path(sources[row["id"]]).rglob("*"):
            inside = path.relative_to(sources[row["id"]]).parts
            if path.is_file() and inside[0] != ".edgemere-trash" and path not in kept[row["id"]]:
                yield f"target {row['name']} holds {path}, which no instance has"


def _claims(folder: Evidence) -> Iterator[str]:
    """What is used is what is claimed, never more than there is; nothing is claimed for what has ended, and all that is confirmed is."""
    claimed: dict[str, Counter] = defaultdict(Counter)
    reservations = {row["id"]: row for row in folder.rows("reservations", "SELECT id, name, state, action FROM datareservation")}
    claims = {row["id"] for row in folder.rows("catalog", "SELECT id FROM claim")}
    states = {row["id"]: row["state"] for row in folder.rows("requests", "SELECT id, state FROM datarequest")}
    for row in folder.rows("catalog", "SELECT source_id, kind, amount, holder FROM claim"):
        claimed[row["source_id"]][row["kind"]] += row["amount"]
        if states.get(row["holder"]) in ("Failed", "Completed") and not any(of == row["holder"] for of, _, _ in folder.outliving):
            yield f"a claim is left of request {row['holder']}, which is {states[row['holder']]}"
    for claim in claims:
        of = reservations.get(claim.rpartition(".")[0])
        if of is None or of["state"] == "Rejected":
            yield f"the claim {claim} is left of a reservation that is {of and of['state']}"
    for row in reservations.values():
        wanted = {"leave": "r", "copy": "rb"}.get(row["action"] or "", "") if row["state"] == "Confirmed" else ""
        for kind in wanted:
            if f"{row['id']}.{kind}" not in claims:
                yield f"the reservation {row['id']} of {row['name']} is Confirmed and claims no {kind}"
    for row in folder.rows("catalog", "SELECT id, name, used, capacity FROM datasource"):
        used, capacity = (value(row["used"]) or {}), (value(row["capacity"]) or {})
        for kind in ("bytes", "readers"):
            if (used.get(kind) or 0) != claimed[row["id"]][kind]:
                yield f"source {row['name']}: used {kind} {used.get(kind)}, claimed {claimed[row['id']][kind]}"
            if capacity.get(kind) is not None and (used.get(kind) or 0) > capacity[kind]:
                yield f"source {row['name']}: {used[kind]} {kind} of {capacity[kind]}"


def _outboxes(folder: Evidence) -> Iterator[str]:
    """Nothing is left to be said, and no undo is half way."""
    for row in folder.rows("instances", "SELECT instance_id FROM undoing"):
        yield f"the undo of {row['instance_id']} came to no end"
    for service in ("requests", "reservations", "instances", "catalog", "events"):
        waiting = folder.rows(service, "SELECT count(*) AS n FROM outbox")[0]["n"]
        if waiting:
            yield f"{waiting} messages of {service} were never published"


def _moves(folder: Evidence) -> Iterator[str]:
    """Every object went along its net, from the beginning to the state in which it is, without a gap."""
    for service, nouns in CLASSES.items():
        went: dict[str, list[Row]] = defaultdict(list)
        for row in folder.rows(service, "SELECT * FROM history ORDER BY seq"):
            went[row["object_id"]].append(row)
        for noun in nouns:
            for row in folder.rows(service, f"SELECT id, state, destroyed_at FROM {noun}"):  # noqa: S608
                at = "Init"
                for move in went[row["id"]]:
                    if noun != "datainstance" and move["event"] == "destroy":
                        continue
                    if move["from_state"] not in (at, None) or NETS[noun][at].get(move["event"]) != move["to_state"]:
                        yield f"{noun} {row['id']} went from {at} by {move['event']} to {move['to_state']}"
                    at = move["to_state"]
                if at != row["state"]:
                    yield f"{noun} {row['id']} is {row['state']} and its history ends with {at}"


def _log(folder: Evidence) -> Iterator[str]:
    """Every committed move is in the event log, once, and those of one object in their order, from create to destroy."""
    said: dict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    for row in folder.rows("events", "SELECT id, name, object_id, body FROM event ORDER BY sequence"):
        if row["id"] not in folder.sent:
            said[row["object_id"]].append((row["name"], value(row["body"])))
    for object_id, messages in said.items():
        versions = [body["obj"].get("version") for _, body in messages if isinstance(body.get("obj"), dict)]
        if versions != sorted(versions):
            yield f"the messages of {object_id} are out of order: {versions}"
        if len({body["id"] for _, body in messages}) != len(messages):
            yield f"a message of {object_id} is in the log twice"
    for service in ("requests", "reservations", "instances", "catalog"):
        for row in folder.rows(service, "SELECT object_id, noun, to_state, event, version FROM history"):
            name = f"{row['noun']}.destroy" if row["event"] == "destroy" else f"{row['noun']}.{row['to_state'].lower()}"
            found = [body for said_name, body in said[row["object_id"]]
                     if said_name == name and body["obj"]["version"] == row["version"]]
            if not found or len(found) > 1 and name not in SAID_AGAIN:
                yield f"{name} of {row['object_id']} version {row['version']} was said {len(found)} times"
        for noun in CLASSES[service]:
            for row in folder.rows(service, f"SELECT id, name, version, destroyed_at FROM {noun}"):  # noqa: S608
                names = [name for name, _ in said[row["id"]]]
                versions = {body["obj"]["version"] for _, body in said[row["id"]]}
                if names[:1] != [f"{noun}.create"] or names.count(f"{noun}.create") != 1:
                    yield f"the messages of {noun} {row['name']} begin with {names[:3]}"
                if (names[-1:] == [f"{noun}.destroy"]) != bool(row["destroyed_at"]):
                    yield f"the messages of {noun} {row['name']} end with {names[-3:]}; destroyed: {row['destroyed_at']}"
                if max(versions, default=0) != row["version"]:
                    yield f"{noun} {row['name']} has version {row['version']}, the log ends with {max(versions, default=0)}"


def _witness(folder: Evidence) -> Iterator[str]:
    """A foreign durable subscriber got every message of the log, and those of one object in their order.

    It may get one twice; then the first time counts.
    """
    if folder.heard is None:
        return
    first: dict[str, tuple[str, dict[str, Any]]] = {}
    for name, body in folder.heard:
        first.setdefault(body.get("id"), (name, body))
    of_object: dict[str, list[int]] = defaultdict(list)
    for _, body in first.values():
        if body.get("id") not in folder.sent and isinstance(body.get("obj"), dict) and body["obj"].get("version"):
            of_object[body["obj"]["id"]].append(body["obj"]["version"])
    for object_id, versions in of_object.items():
        if versions != sorted(versions):
            yield f"a subscriber heard of {object_id} out of order: {versions}"
    logged = {row["id"] for row in folder.rows("events", "SELECT id FROM event WHERE id LIKE 'evnt_%'")} - set(folder.sent)
    for message_id in sorted(logged - set(first)):
        yield f"a subscriber never heard the message {message_id}, which is in the log"
    for message_id in sorted(of_ours for of_ours in set(first) - logged - set(folder.sent) if str(of_ours).startswith("evnt_")):
        yield f"a subscriber heard the message {message_id} ({first[message_id][0]}), which is not in the log"


def _dead_letters(folder: Evidence) -> Iterator[str]:
    """No message was given up."""
    for row in folder.rows("events", "SELECT event, queue, reason FROM deadletter WHERE replayed_at IS NULL"):
        yield f"dead letter {row['event']} of {row['queue']}: {row['reason']}"
    for queue, depth in folder.depths.items():
        if depth:
            yield f"{depth} messages are left in the queue {queue}"


if __name__ == "__main__":
    place = sys.argv[1]
    found = promises_broken_by(Evidence(PostgresSchemas(place) if "://" in place else SqliteFolder(Path(place))))
    print("\n".join(found) or "Every promise is kept.")
    sys.exit(1 if found else 0)
