"""Locks: what a request stood on, written down, so that another request gets the same bytes or says exactly what is gone.

A lock is a JSON document that can be kept anywhere: ``{"edgemere_lock": 1, "catalogue", "policy", "request", "items", "made_at",
"digest"}``; an item is ``{"data", "name", "path", "type", "source", "size", "checksum", "modified_at", "action", "member"}``. The digest
is that of everything but ``made_at``: an altered lock is noticed, and the same lock made twice is one.
"""
from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from services.requests.models import lock_table
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import Conflict, EdgemereError, Invalid
from shared.kernel.ids import is_id
from shared.kernel.typed import typed
from shared.storage.bulk import insert_rows
from shared.storage.record import Row

VERSION = 1
PAGE = 2000
NAMED = 100
LOCKABLE = ("Evaluated", "Satisfied", "Completed")
OF_REQUEST = ("id", "name", "query", "group", "select", "action", "target", "granularity")


def write(uses: Uses, row: Row) -> dict[str, Any]:
    """The lock of a request; stored as well.

    Raises:
        Conflict: ``datarequest.nothing_to_lock``, nothing is confirmed for it.
    """
    items: list[dict[str, Any]] = []
    policies: dict[str, None] = {}
    after = ""
    while row["state"] in LOCKABLE:
        page = uses.mesh.call("reservations", "locked", request=row["id"], after=after, limit=PAGE, timeout_s=30)
        items += page["items"]
        policies.update(dict.fromkeys(page["policies"]))
        after = page["next"]
        if not after:
            break
    if not items:
        way = f"Start a new attempt: {typed('do datarequest retry', id=row['name'])}" if row["state"] == "Failed" else \
            f"Wait until it is Satisfied: {typed('do datarequest show', id=row['name'])}"
        raise Conflict("datarequest.nothing_to_lock", f"Request '{row['name']}' is {row['state']}: nothing is confirmed for it.",
                       next_step=way, state=row["state"])
    _complete(uses, row["id"], items)
    document = {
        "edgemere_lock": VERSION, "catalogue": uses.mesh.call("catalog", "identity")["id"], "policy": next(reversed(policies), None),
        "request": {name: row[name] for name in OF_REQUEST}, "items": sorted(items, key=lambda item: (item["member"] or "", item["data"])),
    }
    document = {**document, "made_at": clock.stamp(), "digest": digest_of(document)}
    with uses.db.transaction(uses.context) as uow:
        insert_rows(uow.connection, lock_table, [
            {"digest": document["digest"], "request_id": row["id"], "document": document, "made_at": document["made_at"]}], new_only=True)
    return document


def _complete(uses: Uses, request: str, items: Sequence[dict[str, Any]]) -> None:
    """Give items the checksums that were found when they were copied."""
    if all(item["checksum"] for item in items):
        return
    found = uses.mesh.call("instances", "checksums_of", request=request, timeout_s=30)
    for item in items:
        item["checksum"] = item["checksum"] or found.get(item["data"])


def digest_of(document: Mapping[str, Any]) -> str:
    """What a lock is called: a hash of all that it says but when it was made."""
    said = {name: value for name, value in document.items() if name not in ("made_at", "digest")}
    return "sha256:" + hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()


def read(uses: Uses, lock: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What a request from a lock asks for: ``{"query", "group", "lock": the column, "warnings", "asked": what its request asked for}``.

    Raises:
        Invalid: ``lock.malformed``, ``lock.altered``, ``lock.other_catalogue``, or ``lock.gone`` with each item that is gone and what
            is nearest to it.
    """
    if lock is None:
        return None
    _check(lock, uses.config.requests.max_candidates)
    here = uses.mesh.call("catalog", "identity")["id"]
    if lock["catalogue"] != here:
        detail = f"The lock is of the catalogue {lock['catalogue']}, this one is {here}."
        raise Invalid("lock.other_catalogue", detail, next_step="Give it to the orchestrator whose catalogue it is of.",
                      errors=[{"pointer": "/lock/catalogue", "detail": detail}], catalogue=here)
    found = _located(uses, lock["items"])
    checksums = {place["data"]: item["checksum"] for item, place in zip(lock["items"], found, strict=True) if item["checksum"]}
    members: dict[str, list[str]] = {}
    for item, place in zip(lock["items"], found, strict=True):
        members.setdefault(item.get("member") or "", []).append(place["data"])
    group = None if set(members) == {""} else {
        name: {"query": _these(ids), "select": {"minimum": len(set(ids))}} for name, ids in members.items()}
    moved = sum(place["how"] == "same_bytes_elsewhere" for place in found)
    return {
        "query": _these([place["data"] for place in found]), "group": group,
        "select": None if group else {"minimum": len({place["data"] for place in found})},
        "asked": {name: value for name, value in (lock.get("request") or {}).items() if name in ("action", "target", "granularity") and value},
        "lock": {"digest": lock["digest"], "policy": lock["policy"], "items": len(found), "checksums": checksums},
        "warnings": _warnings(uses, lock, moved),
    }


def _these(ids: Sequence[str]) -> dict[str, Any]:
    return {"id": {"$in": sorted(set(ids))}}


def _located(uses: Uses, items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Where each item is now, in their order."""
    found: list[dict[str, Any]] = []
    for start in range(0, len(items), PAGE):
        found += uses.mesh.call("catalog", "locate", items=[
            {name: item.get(name) for name in ("data", "name", "path", "source", "size", "checksum", "modified_at")}
            for item in items[start:start + PAGE]], timeout_s=30)
    gone = [(at, item, place) for at, (item, place) in enumerate(zip(items, found, strict=True)) if not place.get("data")]
    if gone:
        errors = [{"pointer": f"/lock/items/{at}", "detail": _gone(item, place)} for at, item, place in gone[:NAMED]]
        more = f" ({len(gone) - 1} more)" if len(gone) > 1 else ""
        raise Invalid("lock.gone", f"{errors[0]['detail']}{more}", next_step="Bring back what is named, or ask for what is nearest with a query.",
                      errors=errors, gone=[{"data": item["data"], "name": item["name"], "why": place["why"], "nearest": place.get("nearest")}
                                           for _, item, place in gone[:NAMED]], same=len(items) - len(gone))
    return found


def _gone(item: Mapping[str, Any], place: Mapping[str, Any]) -> str:
    where = f"'{item['path']}' of '{(item.get('source') or {}).get('name')}' ({item['data']})"
    why = {"gone": "is gone", "changed": "has changed", "out_of_use": "lies in a source that is out of use"}[place["why"]]
    near = place.get("nearest")
    nearest = f" Nearest: '{near['path']}' of '{near['source']['name']}' ({near['id']}), {near['because']}." if near else " Nothing is like it."
    return f"{where} {why}, and nothing else has the same bytes.{nearest}"


def _warnings(uses: Uses, lock: Mapping[str, Any], moved: int) -> list[dict[str, Any]]:
    warnings = []
    try:
        now = uses.mesh.call("reservations", "policy_list")["items"][0]["revision"]
    except EdgemereError:
        now = lock["policy"]
    if now != lock["policy"]:
        warnings.append({"code": "policy_changed", "detail": f"The lock was made under the policies {lock['policy']}, now {now} decide."})
    if moved:
        warnings.append({"code": "same_bytes_elsewhere", "detail": f"{moved} Data are taken from elsewhere: the same checksum, another place."})
    unknown = sum(not item["checksum"] for item in lock["items"])
    if unknown:
        warnings.append({"code": "size_and_time_only",
                         "detail": f"{unknown} Data have no checksum in the lock: that their bytes are the same is known by size and time alone."})
    return warnings


def _check(lock: Mapping[str, Any], most: int) -> None:
    if lock.get("edgemere_lock") != VERSION:
        raise _malformed("/lock/edgemere_lock", f"This is not a lock of version {VERSION}.")
    for name in ("catalogue", "digest"):
        if not isinstance(lock.get(name), str):
            raise _malformed(f"/lock/{name}", "A text is needed here.")
    items = lock.get("items")
    if not isinstance(items, list) or not 0 < len(items) <= most:
        raise _malformed("/lock/items", f"A lock has 1 to {most} items.")
    for at, item in enumerate(items):
        good = isinstance(item, Mapping) and is_id(item.get("data"), "data") and all(
            isinstance(item.get(name), str) for name in ("name", "path")) and isinstance(item.get("source"), Mapping) and all(
            item.get(name) is None or isinstance(item[name], str) for name in ("checksum", "modified_at", "member")) and (
            item.get("size") is None or isinstance(item["size"], int))
        if not good or "checksum" not in item:
            raise _malformed(f"/lock/items/{at}", "An item has data, name, path, source, size, checksum and modified_at.")
    if digest_of(lock) != lock["digest"]:
        detail = "The lock was altered after it was written: its digest does not fit."
        raise Invalid("lock.altered", detail, next_step="Use the lock as it was written; a changed wish is a query.",
                      errors=[{"pointer": "/lock/digest", "detail": detail}])


def _malformed(pointer: str, detail: str) -> Invalid:
    return Invalid("lock.malformed", detail, next_step="Give the document that 'datarequest lock' wrote, whole.",
                   errors=[{"pointer": pointer, "detail": detail}])
