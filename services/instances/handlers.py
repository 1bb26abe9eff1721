"""What an instance can be told by its user: create (through its reference), show, find, retry, destroy, content."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import update

from services.instances import lifetime, moving, pins, removing, repository
from services.instances.models import INSTANCE, access_table, entry, render, shown
from shared.contracts.action import known_members
from shared.contracts.table import BY_RPC
from shared.bus.event import named_in
from shared.hosting.uses import Uses
from shared.kernel.errors import Conflict, Invalid, NotFound
from shared.kernel.ids import with_noun
from shared.kernel.rights import visible_to_engineers
from shared.kernel.typed import typed
from shared.storage.record import Row

Parameters = dict[str, Any]
MOST_ITEMS = 1000


def create(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Have the data of a reference provisioned: the reference, its request, the instances there are by now.

    ``made`` says whether this call began that request; else it was under way, or over, already.
    """
    given = uses.mesh.call("requests", "provide", dataref=parameters["dataref"])
    return {**_provisioning(uses, given["reference"], given["request"]), "made": given.get("made", True)}


def outcome(uses: Uses, request: str) -> dict[str, Any]:
    """The same frame, later: what became of a request and its reference."""
    of = uses.mesh.call("requests", "show", id=request)
    reference = of["data_reference"] and uses.mesh.call("requests", "datareference_show", id=of["data_reference"]["id"])
    return _provisioning(uses, reference, of)


def _provisioning(uses: Uses, reference: Mapping[str, Any] | None, request: Mapping[str, Any]) -> dict[str, Any]:
    column = repository.table.c.reference_id if reference else repository.table.c.request_id
    owned_by = reference["id"] if reference else request["id"]
    with uses.db.reading() as connection:
        rows = repository.live_where(connection, column == owned_by, MOST_ITEMS)
    if reference and reference.get("swap"):
        # It may have its data at two places for a while; those that count are the ones it names.
        names = {one["id"] for one in reference["instances"]}
        rows = [row for row in rows if row["id"] in names]
    open_still = request["state"] not in ("Satisfied", "Failed", "Completed")
    return {"reference": reference, "request": request, "items": [render(row) for row in rows],
            **({"operation": {"id": with_noun(request["id"], "operation")}} if open_still else {})}


def on_provisioning(uses: Uses, message: Any) -> None:
    """``datareference.provisioning``: provision what a message from outside names; our own are under way already."""
    obj = named_in(message)
    if isinstance(obj, Mapping):
        if obj.get("version") and obj.get("id"):
            # Said by us when the request began: handling it joins that request, so there is nothing to do.
            uses.mesh.call("requests", "datareference_show", id=obj["id"])
            return
        dataref: Any = obj.get("id") or known_members(BY_RPC["requests.datareference_create"], obj)
    else:
        dataref = obj
    uses.mesh.call("requests", "provide", dataref=dataref)


def find(uses: Uses, parameters: Parameters, must_exist: bool = True) -> dict[str, Any]:
    """A page of instances."""
    with uses.db.reading() as connection:
        return repository.instances.answer(connection, parameters, owner=visible_to_engineers(uses.context), must_exist=must_exist)


def show(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """One instance with all its entries."""
    with uses.db.reading() as connection:
        row = seen(uses, connection, parameters["id"])
        if row["entries"] <= len(row["shown"] or []):
            return render(row)
        entries = [entry(item) for item in repository.entries_of(connection, row["id"])]
    return {**render({**row, "shown": entries}), "access": entries}


def named(uses: Uses, connection: Any, ref: str) -> Row:
    """The living instance of this id or name, of the caller's own."""
    return repository.instances.named(connection, ref, uses.context)


def seen(uses: Uses, connection: Any, ref: str) -> Row:
    """The instance of this id or name, also a destroyed one; a DataEngineer finds and removes those of every owner."""
    return repository.instances.named(connection, ref, uses.context, destroyed=True, whose=visible_to_engineers)


def destroy(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Destroy one instance: its copy leaves its path at once. Destroying it again changes nothing.

    Raises:
        Invalid: ``datainstance.unnamed``.
        Conflict: ``datainstance.pinned``, somebody keeps it.
    """
    ref = parameters.get("id") or parameters.get("attr1")
    if not isinstance(ref, str) or not ref.strip():
        raise Invalid("datainstance.unnamed", "No instance was named.",
                      next_step="Name one: edgemere do datainstance destroy --attr1 NAME",
                      errors=[{"pointer": "/attr1", "detail": "This is required."}])

    def work() -> Row:
        with uses.db.transaction(uses.context) as uow:
            row = seen(uses, uow.connection, ref.strip())
            if row["state"] == "Destroyed":
                return row
            if pins.is_pinned(row):
                raise pins.refusal(row)
            gone, = removing.destroy_rows(uow, [row], uses.config.instances.grace_s)
            removing.tell_gone(uow, row["request_id"], [gone])
        return gone
    row = uses.db.retrying(work)
    removing.clear(uses, row["request_id"])
    return render(row)


def retry(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Broken → Provisioning: its entries are verified or copied once more."""
    def work() -> Row:
        with uses.db.transaction(uses.context) as uow:
            row = named(uses, uow.connection, parameters["id"])
            moved, = uow.move(INSTANCE, [row], "retry", changes={"reason": None})
            uow.connection.execute(update(access_table).where(
                access_table.c.instance_id == row["id"], access_table.c.state == "broken",
            ).values(state="pending", tries=0, retry_at=None, error=None))
            moved = {**moved, "shown": shown(repository.entries_of(uow.connection, row["id"]))}
        return moved
    row = uses.db.retrying(work)
    moving.start(uses, row["request_id"])
    return render(row)


def content(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Where the bytes of one data of an instance are served: a ticket for the internal byte server.

    Raises:
        Conflict: ``datainstance.not_ready``.
        Invalid: ``datainstance.data_needed``, or ``datainstance.no_bytes`` of a simulated source.
        NotFound: ``data.not_found``, the instance holds no such data.
    """
    with uses.db.reading() as connection:
        row = named(uses, connection, parameters["id"])
        entries = repository.entries_of(connection, row["id"])
    wanted = parameters.get("data")
    if wanted is None and len(entries) > 1:
        raise Invalid("datainstance.data_needed", f"Instance '{row['name']}' has {len(entries)} Data.",
                      next_step=f"Name one of them with data, for example data={entries[0]['name']}",
                      errors=[{"pointer": "/data", "detail": "This is required."}])
    found = [item for item in entries if wanted in (None, item["data_id"], item["name"], item["source_path"])]
    if not found:
        raise NotFound("data.not_found", f"Instance '{row['name']}' holds no data '{wanted}'.",
                       next_step=f"Look at its entries: {typed('do datainstance show', id=row['name'])}")
    item = found[0]
    if row["state"] != "Ready" or item["state"] != "ready":
        raise Conflict("datainstance.not_ready", f"Instance '{row['name']}' is {row['state']}.",
                       next_step="Wait until it is Ready.", state=row["state"])
    if item["verified"] == "simulated":
        raise Invalid("datainstance.no_bytes", f"'{item['name']}' lies in a simulated source, which has no bytes.",
                      next_step="Ask for data of a real source.")
    copied = item["action"] in ("copy", "move")
    place = item["target_id"] if copied else item["source_id"]
    path = item["target_path"] if copied else item["source_path"]
    source = uses.mesh.call("catalog", "sources", ids=[place])[place]
    lifetime.used(uses, row)
    return uses.parts["bytes"].ticket(source, path, item)


def explain_part(uses: Uses, request: str) -> dict[str, Any]:
    """What ``explain`` says of a request's instances: counts by state, and their moves."""
    with uses.db.reading() as connection:
        states = repository.states_of_request(connection, request)
        moves = repository.timeline(connection, request)
    by_state: dict[str, int] = {}
    for (_, state), count in states.items():
        by_state[state] = by_state.get(state, 0) + count
    return {
        "total": sum(by_state.values()), "by_state": by_state,
        "timeline": [{"time": move["at"], "object": None, "class": "datainstance", "event": move["event"],
                      "from": move["from_state"], "to": move["to_state"], "detail": None, "count": move["n"],
                      "cause": move["causation_id"] or None} for move in moves],
    }
