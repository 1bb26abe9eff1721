"""From confirmed reservations to instances: made once, verified, announced; the last one settles the request.

Data left in place is looked at before its instance is written, so that an instance needs one transaction;
copies are written as pending and move on in ``moving``.
"""
from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from services.instances import moving, removing, repository, rules, together
from services.instances.models import INSTANCE, access_table, made_table, shown
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import NotFound
from shared.storage.bulk import insert_rows
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

CHUNK = 2000
# What a message says of its request is believed for so long; the mark that instances of an attempt are made is kept for longer.
FRESH_S = 60.0


def on_evaluated(uses: Uses, messages: Sequence[Any]) -> list[Any]:
    """``datarequest.evaluated``, several at once: make the instances of this attempt. Of another attempt nothing happens.

    Of several those are given back that need more than the others.
    """
    # What ended since has its mark, or takes what is made here away when its end is heard.
    told = {message.obj["id"]: (uses.caused_by(message), request_in(message)) for message in messages if _says_all(message)}
    done = together.provide(uses, list(told.values()))
    rest = [message for message in messages if message.obj["id"] not in done]
    if not rest:
        return []
    found = uses.mesh.call("requests", "plain_all", requests=[message.obj["id"] for message in rest])
    asked = {request["id"]: (message, request) for message, request in zip(rest, found, strict=True)
             if request and request["state"] == "Evaluated" and request["attempt"] == message.obj.get("attempt", request["attempt"])}
    done = together.provide(uses, [(uses.caused_by(message), request) for message, request in asked.values() if request["id"] not in told])
    left = [one for request_id, one in asked.items() if request_id not in done]
    if len(messages) > 1:
        return [message for message, _ in left]
    for message, request in left:
        provide(uses.caused_by(message), request)
    return []


def _says_all(message: Any) -> bool:
    """Whether a message says of its request all that most instances need, and said it just now."""
    obj = message.obj
    return (message.attempt == 1 and not message.redelivered and bool(message.time) and abs(time.time() - clock.parse_time(message.time).timestamp()) < FRESH_S
            and obj.get("state") == "Evaluated" and obj.get("attempt") == 1 and obj.get("data_reference") is None and obj.get("granularity") == "data")


def request_in(message: Any) -> dict[str, Any]:
    """The request of a message that says all, with what instances are made from."""
    return {**message.obj, "reference_id": None, "reference_name": None, "missing": None}


def provide(uses: Uses, request: Mapping[str, Any]) -> None:
    """Make the instances of a request's attempt; those that are there already stay as they are."""
    if request.get("missing"):
        removing.remove_broken(uses, request["id"], [broken.get("data") for broken in request["missing"]])
    if request["granularity"] == "data":
        # Each data is an instance of its own, so a stretch at a time is enough in memory.
        for reservations in _stretches(uses, request):
            _make(uses, request, reservations)
    else:
        _make(uses, request, [row for stretch in _stretches(uses, request) for row in stretch])
    with uses.db.transaction(uses.context) as uow:
        insert_rows(uow.connection, made_table, [
            {"request_id": request["id"], "attempt": request["attempt"], "at": clock.stamp()}], new_only=True)
        settle(uow, request["id"], request["attempt"])
    try:
        now = uses.itself.call("requests", "plain", request=request["id"])
    except NotFound:
        # It was cancelled and destroyed meanwhile.
        now = {"attempt": request["attempt"], "state": "Failed"}
    if now["attempt"] != request["attempt"] or now["state"] in ("Failed", "Completed"):
        # It ended while its instances were being written; its end has found only the first of them.
        removing.remove_attempt(uses, request["id"], request["attempt"], 0)
        return
    moving.start(uses, request["id"])


def _make(uses: Uses, request: Mapping[str, Any], reservations: Sequence[Mapping[str, Any]]) -> None:
    places = sorted({row["source_id"] for row in reservations} | {row["target_id"] for row in reservations if row["target_id"]})
    sources = uses.mesh.call("catalog", "sources", ids=places)
    made = _instances(uses, request, reservations)
    # Data that has a replica standing by is not broken before that was tried.
    verify_left(uses, made, sources, {row["data_id"] for row in reservations if row.get("replicas")})
    _write(uses, made)


def _stretches(uses: Uses, request: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
    after = ""
    while True:
        page = uses.mesh.call("reservations", "confirmed", request=request["id"], attempt=request["attempt"],
                              after=after, limit=CHUNK, timeout_s=30)
        if page:
            yield page
            after = page[-1]["id"]
        if len(page) < CHUNK:
            return


def _instances(uses: Uses, request: Mapping[str, Any], reservations: Sequence[Mapping[str, Any]]) -> list[tuple[Row, list[Row]]]:
    """The instances that are not there yet, each with its entries, named and unwritten."""
    groups = rules.grouped(reservations, request["granularity"])
    base = request.get("reference_name") or request["name"]
    with uses.db.reading() as connection:
        there = repository.existing(connection, [rules.instance_id(request, key) for key in groups])
        names = rules.free_names(base, repository.names_like(connection, request["owner"], base))
    made = []
    for key, group in groups.items():
        if rules.instance_id(request, key) in there:
            continue
        instance = rules.instance_row(request, key, next(names), group)
        made.append((instance, [rules.entry_row(instance, place, reservation) for place, reservation in enumerate(group)]))
    return made


def verify_left(uses: Uses, made: Sequence[tuple[Row, list[Row]]], sources: Mapping[str, Any], replicated: set[str]) -> None:
    """Look at everything that is left in place; its entries become ready or broken. What lies far away stays pending."""
    if uses.config.instances.inspect.in_place:
        return  # All of it is read, which is work for the mover in its own time.
    near = [entry for _, entries in made for entry in entries
            if entry["action"] == "leave" and sources.get(entry["source_id"], {}).get("adaptor") in ("file", "simulated")]
    if not near:
        return
    results = moving.run(uses, "verify", near, sources)
    for entry in near:
        result = results.get(rules.key_of(entry))
        if result is None:
            continue
        if result["ok"]:
            entry |= rules.ready_values(result)
        elif not result["error"].get("retryable") and entry["data_id"] not in replicated:
            entry |= {"state": "broken", "error": result["error"]}


def _write(uses: Uses, made: Sequence[tuple[Row, list[Row]]]) -> None:
    """Write the instances in stretches."""
    for start in range(0, len(made), CHUNK):
        with uses.db.transaction(uses.context) as uow:
            insert(uow, made[start:start + CHUNK], uses.config.instances.expiring_s)
        time.sleep(0)


def insert(uow: UnitOfWork, made: Sequence[tuple[Row, list[Row]]], expiring_s: float) -> int:
    """Insert instances with their entries, in the state that the entries give each; how many were not there yet."""
    count = 0
    for events, group in _by_outcome(made):
        written = {row["id"] for row in uow.create(
            INSTANCE, [_filled(instance, entries, expiring_s, "ready" in events) for instance, entries in group], *events,
            ignore_existing=True)}
        insert_rows(uow.connection, access_table, [entry for instance, entries in group if instance["id"] in written for entry in entries])
        count += len(written)
    return count


def _by_outcome(made: Sequence[tuple[Row, list[Row]]]) -> list[tuple[tuple[str, ...], list[tuple[Row, list[Row]]]]]:
    """The instances by the events that lead them to the state that their entries give them."""
    groups: dict[tuple[str, ...], list[tuple[Row, list[Row]]]] = {}
    for instance, entries in made:
        states = {entry["state"] for entry in entries}
        events = ("create", "broken") if "broken" in states else ("create",) if "pending" in states else ("create", "ready")
        groups.setdefault(events, []).append((instance, entries))
    return list(groups.items())


def _filled(instance: Row, entries: Sequence[Row], expiring_s: float, ready: bool) -> Row:
    broken = next((entry for entry in entries if entry["state"] == "broken"), None)
    done = sum(entry["size"] or 0 for entry in entries if entry["state"] == "ready" and entry["verified"] != "simulated")
    return {**instance, "shown": shown(entries), "bytes_done": done,
            "reason": {**broken["error"], "data": broken["name"]} if broken else None,
            **(rules.time_begins(instance, expiring_s) if ready else {})}


def settle(uow: UnitOfWork, request: str, attempt: int) -> None:
    """Tell the request when its attempt has come to an end: all instances written, and all Ready or one Broken."""
    if not repository.is_made(uow.connection, request, attempt):
        return
    states = repository.states_of_request(uow.connection, request)
    if states.get((attempt, "Broken")) or (not states.get((attempt, "Provisioning")) and states.get((attempt, "Ready"))):
        broken = repository.broken_of_request(uow.connection, request)
        now = [row for row in broken if row["attempt"] == attempt]
        _tell(uow, request, attempt, states, now)
        if broken and not now:
            # Instances of an earlier attempt broke while this one was being made.
            _tell(uow, request, attempt, states, broken)


def tell_broken(uow: UnitOfWork, request: str, attempt: int) -> None:
    """Tell the request that instances which were Ready are Broken."""
    states = repository.states_of_request(uow.connection, request)
    _tell(uow, request, attempt, states, repository.broken_of_request(uow.connection, request))


def _tell(uow: UnitOfWork, request: str, attempt: int, states: Mapping[tuple[int, str], int], broken: Sequence[Row]) -> None:
    live = sum(count for (_, state), count in states.items() if state in ("Ready", "Provisioning"))
    uow.tell("instances.settled", request, {
        "request": request, "attempt": attempt, "live": live, "refs": repository.refs(uow.connection, removing.REFS, request=request),
        "simulated": repository.simulated_of_request(uow.connection, request),
        "broken": [{"instance": row["instance"], "id": row["instance_id"], "data": row["data_id"], "name": row["name"],
                    "checksum": row["checksum"], "reason": row["reason"] or row["error"] or {}} for row in broken],
    })
