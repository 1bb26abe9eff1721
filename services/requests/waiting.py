"""What a request waits for: the object, its place in line, about until when, and the commands that end the wait.

Asks the services that keep the lines (the catalog for room, reservations for budgets); never inside a transaction.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.requests import repository, rules, turns
from shared.hosting.config import is_embedded
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import EdgemereError
from shared.kernel.typed import typed
from shared.storage.record import Row

NAMED = 3
"""So many commands of a kind are given."""
KEPT_BY = {"no_capacity": "catalog", "over_budget": "reservations"}
ENDED_BY_REQUESTS = {*KEPT_BY, "over_quota"}
"""Reasons to wait that the end of other requests ends: which ones those are changes while it waits."""


def described(uses: Uses, row: Row, code: str, waits_for: Mapping[str, Any] | None, found: Mapping[str, Any] | None) -> dict[str, Any]:
    """The members of ``blocked_by`` that say what it is: ``object, position, ahead, estimate, unstick``."""
    waits_for = waits_for or {}
    member = {"member": waits_for["member"]} if waits_for.get("member") else {}
    place = in_line(uses, row, waits_for.get("line"))
    return {"object": waits_for.get("object"), **member, **place,
            "unstick": ways_out(uses, row, code, waits_for.get("object") or {}, found or {}, place)}


def is_same(before: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> bool:
    """Whether a request waits for the same object as before; each failure of one handler is a dead letter of its own."""
    before, now = before or {}, now or {}
    if "deadletter" in (before.get("class"), now.get("class")):
        return before.get("kind") == now.get("kind")
    return before.get("id") == now.get("id")


def in_line(uses: Uses, row: Row, line: Mapping[str, Any] | None) -> dict[str, Any]:
    """A place in line for people: of those ahead the caller's own are named and the others counted."""
    if not line:
        return {"position": None, "ahead": None, "estimate": None}
    with uses.db.reading() as connection:
        own = repository.names_of_own(connection, row["owner"], line["ahead"])
    estimate = line.get("estimate_s")
    return {"position": line["position"], "ahead": {"count": line["position"] - 1, "yours": own},
            "estimate": None if estimate is None else clock.stamp_in(estimate)}


def as_it_waits(uses: Uses, row: Row) -> Row:
    """The row of a request with ``blocked_by`` and ``message`` as they are now: its place in line and what would end the wait, the service
    whose turn it is, or a scanner."""
    if row["blocked_by"]:
        return {**row, "blocked_by": _as_it_is_now(uses, row)}
    told = held_up_or_not(uses, row)
    return _at_the_scanner(uses, row) if told is row else told


def held_up_or_not(uses: Uses, row: Row) -> Row:
    """The row of a request with the service whose turn it is in ``blocked_by`` and ``message``, where that is away; else the row itself.

    For lists, too: a service is asked once a moment, whatever the number of requests.
    """
    held_up = None if row["blocked_by"] else turns.held_up(uses, row)
    if held_up is None:
        return row
    service, fault = held_up
    waits_for = {"object": {"class": "service", "id": None, "name": service, "kind": None}}
    return {**row, "message": f"{fault.rstrip('.')}; it goes on by itself when that is back.", "blocked_by": {
        "code": turns.AWAY, "since": row["updated_at"], "next_retry_at": None, "retries": 0,
        **described(uses, row, turns.AWAY, waits_for, None)}}


def _as_it_is_now(uses: Uses, row: Row) -> dict[str, Any]:
    """``blocked_by`` of a row with its place in line, and the requests whose end would help, as they are now; as it was last seen where
    nobody answers."""
    blocked: dict[str, Any] = row["blocked_by"]
    code = str(blocked.get("code"))
    place = _place_now(uses, row, blocked, KEPT_BY.get(code)) if blocked.get("position") else {}
    if place is None or code not in ENDED_BY_REQUESTS:
        return blocked
    return {**blocked, **place, "unstick": ways_out(uses, row, code, blocked.get("object") or {}, row["found"] or {}, place)}


def _place_now(uses: Uses, row: Row, blocked: Mapping[str, Any], service: str | None) -> dict[str, Any] | None:
    if service is None:
        return None
    try:
        lines = uses.mesh.call(service, "line", holder=row["id"], **({"owner": row["owner"]} if service == "reservations" else {}))
    except EdgemereError:
        return None
    kept = blocked.get("object") or {}
    here = [line for line in lines if line.get("source", {}).get("id") == kept.get("id") and line.get("kind") == kept.get("kind")]
    return in_line(uses, row, (here or lines)[0]) if lines else None


def _at_the_scanner(uses: Uses, row: Row) -> Row:
    """The same of one whose data is being made ready, where a scanner that does not answer keeps it from that."""
    if row["state"] != "Evaluated" or not uses.config.instances.inspect.scanner:
        return row
    try:
        waits = uses.mesh.call("instances", "waits_of", request=row["id"])
    except EdgemereError:
        return row
    if waits is None:
        return row
    return {**row, "message": waits.pop("message"), "blocked_by": {**waits, **described(uses, row, waits["code"], None, None)}}


def ways_out(uses: Uses, row: Row, code: str, blocking: Mapping[str, Any], found: Mapping[str, Any],
             place: Mapping[str, Any] | None = None) -> list[str]:
    """Commands that can end the wait, those that give the data first; the last one gives it up.

    Whoever stands behind requests of their own has to give those up first: what comes free is theirs.
    """
    make = WAYS.get(code)
    try:
        ways = make(uses, row, blocking, found) if make else []
    except EdgemereError:
        ways = []
    before = [typed("do datarequest cancel", id=one["name"]) for one in ((place or {}).get("ahead") or {}).get("yours") or []][:NAMED]
    return [*before, *(way for way in ways if way not in before), typed("do datarequest cancel", id=row["name"])]


def _to_match(uses: Uses, row: Row, blocking: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Take sources back into use whose data would count, look for new data, look at the query."""
    unused = [source["name"] for warning in found.get("warnings") or [] if warning.get("code") == "source_out_of_use"
              for source in warning["sources"]]
    listed = uses.mesh.call("catalog", "datasource_list", state="Ready", sort="name", limit=50)["items"]
    meant = _texts(row["query"])
    scanned = [source["name"] for source in listed if source["adaptor"] != "simulated"]
    # Sources that the query names come first.
    scanned.sort(key=lambda name: name not in meant)
    lost = rules.losing_clause(found.get("funnel"))
    return [*(typed("fmdm datasource resume", id=name) for name in unused[:NAMED]),
            *(typed("fmdm datasource scan", id=name) for name in scanned[:NAMED]),
            *([typed("fmdm query", expression=lost)] if lost else [])]


def _to_free(uses: Uses, row: Row, blocking: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """End requests of the caller that hold what this one waits for."""
    holders = uses.mesh.call("catalog", "holders", source=blocking["id"])["items"] if blocking.get("id") else []
    with uses.db.reading() as connection:
        own = repository.own_by_ids(connection, row["owner"], [holder["id"] for holder in holders if holder["id"] != row["id"]], 100)
    done = [typed("do datarequest complete", id=one["name"]) for one in own if one["state"] == "Satisfied"]
    under_way = [typed("do datarequest cancel", id=one["name"]) for one in own if one["state"] in repository.OPEN]
    return [*done[:NAMED], *under_way[:NAMED - len(done[:NAMED])]]


def _to_resume(uses: Uses, row: Row, blocking: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    names = [blocking["name"]] if blocking.get("name") else [
        source["name"] for source in uses.mesh.call("catalog", "datasource_list", state="Suspended", limit=NAMED)["items"]]
    return [typed("fmdm datasource resume", id=name) for name in names]


def _to_save(uses: Uses, row: Row, blocking: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Give up requests of the caller that are under way and have claimed of the budget."""
    with uses.db.reading() as connection:
        own = repository.own_in_state(connection, row["owner"], "Evaluated", row["id"], NAMED)
    return [typed("do datarequest cancel", id=one["name"]) for one in own]


def _to_end(uses: Uses, row: Row, blocking: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """End requests of the caller whose instances count against the quota."""
    with uses.db.reading() as connection:
        own = repository.own_in_state(connection, row["owner"], "Satisfied", row["id"], NAMED)
    return [typed("do datarequest complete", id=one["name"]) for one in own] or _to_save(uses, row, blocking, found)


def _to_replay(uses: Uses, row: Row, blocking: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Look at the dead letter, and hand it to its handler again once the cause is mended."""
    return [typed("do event dead list", attr1=blocking["id"]), typed("do event dead replay", id=blocking["id"])]


def _to_start(uses: Uses, row: Row, blocking: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Look at what is wrong, and start a process of the service, where services are processes."""
    return ["edgemere doctor", *([] if is_embedded(uses.config) else [f"edgemere serve {blocking['name']}"])]


def _texts(query: Any) -> set[str]:
    """Every text in a query."""
    if isinstance(query, str):
        return {query}
    items: Sequence[Any] = list(query.values()) if isinstance(query, Mapping) else query if isinstance(query, list) else []
    return set().union(*map(_texts, items))


# How to end the wait for each reason that there is to wait.
WAYS = {"no_match": _to_match, "no_capacity": _to_free, "source_unavailable": _to_resume, "over_budget": _to_save, "over_quota": _to_end,
        "handler_failing": _to_replay, turns.AWAY: _to_start}
