"""Standing requests: data that appears later is attached, and where the same bytes become cheaper is said.

What appears is matched in memory as its messages come, and noted. When the stream is quiet for a moment, one further
request is made for all of it, whose ``parent`` is the standing one: it goes its own way, so that whatever becomes of it
does nothing to the instances that are Ready; its instances belong to the same reference, and it ends with its parent.
Data whose bytes the request has already (the same checksum) is a replica, not new.
"""
from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, select

from services.requests import handlers, repository
from services.requests.models import REFERENCE, REQUEST, arrival_table, request_table
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import EdgemereError
from shared.kernel.ids import new_id
from shared.query import DATA_FIELDS, matches, parse
from shared.storage.bulk import insert_rows
from shared.storage.record import Row

log = logging.getLogger(__name__)
QUIET_S = 1.0
"""Arrivals are attached when none came for so long …"""
AT_LATEST_S = 10.0
"""… or when the first has waited for so long."""
AT_ONCE = 5000
"""So many Data go into one further request."""
WORTH = 0.01
"""A replica that saves less than this part of the cost is not worth a word."""
# Of what a standing request selects by, this counts for what comes later as well.
SELECTS_ON = ("distinct", "prefer", "max_cost", "expected_reads")


def on_data(uses: Uses, messages: Sequence[Any]) -> None:
    """``data.create`` and ``data.updated``, many at a time: note what standing requests match. May be called twice."""
    with uses.db.reading() as connection:
        rows = repository.standing(connection)
    if not rows:
        return
    tests = [(row["id"], matches(parse(row["query"], DATA_FIELDS))) for row in rows]
    newest = {message.obj["id"]: message.obj for message in messages if message.name in ("data.create", "data.updated")}
    now = clock.stamp()
    found = [{"request_id": request, "data_id": data_id, "at": now}
             for data_id, data in newest.items() for request, test in tests if test(data)]
    if found:
        with uses.db.transaction(uses.context) as uow:
            insert_rows(uow.connection, arrival_table, found, new_only=True)


def sweep(uses: Uses) -> int:
    """Attach what has come; returns how many Data."""
    with uses.db.reading() as connection:
        due = repository.arrived(connection, clock.stamp_in(-QUIET_S), clock.stamp_in(-AT_LATEST_S))
    attached = 0
    for request in due:
        try:
            attached += _attach(uses, request)
        except EdgemereError as error:
            log.warning("what came for the standing request %s is attached later: %s", request, error)
    return attached


def end_children(uow: Any, parent: Row) -> None:
    """End the further requests of a standing one that ends, inside its transaction."""
    if not parent["standing"]:
        return
    for child in repository.living_children(uow.connection, parent["id"]):
        if child["state"] == "Satisfied":
            handlers.move_to_completed(uow, child, f"The standing request '{parent['name']}' has ended.")
        elif REQUEST.net.allows(child["state"], "failed"):
            handlers.move_to_failed(uow, child, {"code": "cancelled"}, f"The standing request '{parent['name']}' has ended.")
    uow.connection.execute(delete(arrival_table).where(arrival_table.c.request_id == parent["id"]))


def _attach(uses: Uses, request: str) -> int:
    with uses.db.reading() as connection:
        parent = repository.row_of(connection, request)
        family = [request, *repository.children(connection, request)]
        busy = repository.any_open(connection, family)
        ids = list(connection.execute(select(arrival_table.c.data_id).where(arrival_table.c.request_id == request)
                                      .order_by(arrival_table.c.at).limit(AT_ONCE)).scalars())
    if parent is None or parent["destroyed_at"] or parent["state"] in ("Failed", "Completed"):
        _forget(uses, request, None)
        return 0
    if busy:
        # Until what is under way has ended nobody knows what it has; a moment later.
        return 0
    checksums = uses.mesh.call("instances", "checksums_of", request=request)
    # What its owner may not see has not appeared for him.
    known = uses.mesh.call("reservations", "compare", request=request, family=family, data=ids, checksums=checksums, timeout_s=30)
    new = known["new"]
    _say_better(uses, parent, known["replicas"])
    if new:
        _make_child(uses, parent, new)
    _forget(uses, request, ids)
    return len(new)


def _make_child(uses: Uses, parent: Row, data: Sequence[str]) -> None:
    """A request of its own for what came later, in the name of the standing one."""
    while True:
        with uses.db.transaction(uses.context) as uow:
            fresh = uow.get(REQUEST, parent["id"])
            if fresh is None or fresh["state"] != "Satisfied":
                return
            handlers.belong_to(uow, fresh)
            number = repository.next_number(uow, parent["owner"], f"more|{parent['id']}")
            name = f"{parent['name']}-more-{number}"
            if repository.name_is_taken(uow.connection, request_table, parent["owner"], name):
                continue
            later = {"deadline": clock.stamp_in(uses.config.requests.default_wait_deadline_s), "attempt": 1, "reservations": 0, "instances": 0,
                     "announced_at": clock.stamp(), "correlation_id": uow.context.correlation_id or None}
            same = {name: fresh[name] for name in (
                "owner", "owner_roles", "reference_id", "reference_name", "target", "workload", "action", "granularity", "lifetime", "labels")}
            row = {
                **same, **later, "id": new_id("datarequest"), "name": name, "ename": f"{fresh['ename']}.{name}", "wait": True,
                "query": {"$and": [fresh["query"], {"id": {"$in": sorted(data)}}]},
                "select": {key: value for key, value in (fresh["select"] or {}).items() if key in SELECTS_ON} or None,
                "parent_id": fresh["id"], "parent_name": fresh["name"]}
            uow.create(REQUEST, [row], "fulfill")
            return


def _say_better(uses: Uses, parent: Row, replicas: Sequence[Mapping[str, Any]]) -> None:
    """Say ``datareference.better_available`` where the same bytes would cost less elsewhere, and by how much."""
    best = max(replicas, key=lambda one: one["saves"], default=None)
    if best is None or not parent["reference_id"] or best["saves"] <= WORTH * abs(best["cost_now"]):
        return

    def work() -> None:
        with uses.db.transaction(uses.context) as uow:
            reference = uow.get(REFERENCE, parent["reference_id"])
            if reference is None or reference["destroyed_at"] or reference["request_id"] != parent["id"]:
                return
            said = reference["better"]
            if said and said["saves"] >= best["saves"]:
                return
            moved, = uow.change(REFERENCE, [reference], {"better": {**best, "at": clock.stamp()}})
            uow.announce(REFERENCE, moved, "datareference.better_available")
    uses.db.retrying(work)


def _forget(uses: Uses, request: str, data: Sequence[str] | None) -> None:
    table = arrival_table
    mine = table.c.request_id == request
    with uses.db.transaction(uses.context) as uow:
        uow.connection.execute(delete(table).where(mine if data is None else mine & table.c.data_id.in_(list(data))))
