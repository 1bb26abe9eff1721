"""What a source can be told by its user: create, simulate, list, show, scan, suspend, resume, shutdown, destroy."""
from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import delete, insert
from sqlalchemy.exc import IntegrityError

from services.catalog import claims, intake, naming, passages, repository, rules, scans, totals
from services.catalog.access import change as change_access, check as check_access, count_what_is_not, rules_of, write as write_access
from services.catalog.models import SOURCE, claim_table, listing_table, ref, render_source
from services.catalog.search import plain_source
from shared.hosting.uses import Uses
from shared.kernel.context import Context
from shared.kernel.errors import Conflict, EdgemereError, Invalid
from shared.kernel.ids import new_id
from shared.kernel.rights import sees_all
from shared.sources import registry
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

Parameters = Mapping[str, Any]
DESTROY_PART = 1000
# A source with more data than this is emptied beside the call.
AT_ONCE = 5000


def create(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Register a source and start to scan it.

    Raises:
        Conflict: ``datasource.name_taken``.
        Invalid: ``source.*``, what the kind of source says about its parameters; nothing was made.
    """
    return _create(uses, parameters, parameters["adaptor"], parameters["parameters"])


def simulate(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Make a source of a listing; it has no bytes. Raises as ``create`` does."""
    try:
        return _create(uses, parameters, "simulated", {"listing": parameters["listing"]})
    except Invalid as error:
        # Here the listing is a parameter of the action itself.
        for one in error.errors:
            one["pointer"] = one["pointer"].replace("/parameters/listing", "/listing", 1)
        raise


def _create(uses: Uses, parameters: Parameters, adaptor: str, given: Mapping[str, Any]) -> dict[str, Any]:
    columns = rules.check_source(parameters)
    allowed = check_access(parameters.get("access") or [])
    rules.check_text({name: value for name, value in given.items() if name != "listing"}, "/parameters")
    rules.check_secrets({name: value for name, value in given.items() if name != "listing"})
    # Said before the parameters are judged, which may take a look at a disk.
    with uses.db.reading() as connection:
        _check_free(connection, uses.context.owner, parameters["name"])
    kept = _judged(uses, adaptor, given)
    # A listing written out can be long, and the parameters are part of every message about the source.
    listing = None if isinstance(kept.get("listing"), str) else kept.pop("listing", None)
    source_id = new_id("datasource")
    scan = scans.begun(uses, source_id)
    row = {
        "id": source_id, "owner": uses.context.owner, "name": parameters["name"], "adaptor": adaptor, "parameters": kept,
        "writable": kept.get("writable") is True, "data_count": 0, "data_bytes": 0, "scan": scans.summary(scan), "access": allowed or None, **columns,
    }
    try:
        with uses.db.transaction(uses.context) as uow:
            _check_free(uow.connection, uses.context.owner, row["name"])
            made, = uow.create(SOURCE, [row], "create")
            if allowed:
                write_access(uow, made, allowed)
            scans.insert(uow, scan)
            if listing is not None:
                uow.connection.execute(insert(listing_table).values(source_id=source_id, body=orjson.dumps(listing).decode()))
    except IntegrityError:
        raise _name_taken(row["name"]) from None
    scans.start(uses, scan)
    return {**render_source(made), **(rules_of(uses.context, made) if allowed else {})}


def _judged(uses: Uses, adaptor: str, given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return dict(registry.check_parameters(adaptor, given, uses.parts["policy"]))
    except EdgemereError as error:
        if error.code.startswith("source.rootdir_") and not error.errors:
            error.errors = [{"pointer": "/parameters/rootdir", "detail": error.detail}]
        raise


def _check_free(connection: Any, owner: str, name: str) -> None:
    if repository.name_is_taken(connection, owner, name):
        raise _name_taken(name)


def _name_taken(name: str) -> Conflict:
    return Conflict("datasource.name_taken", f"There is a source named '{name}' already.",
                    next_step="Choose another name; 'datasource scan' looks again at the one that is there.",
                    errors=[{"pointer": "/name", "detail": "This name is taken."}])


def find(uses: Uses, parameters: Parameters, must_exist: bool = True) -> dict[str, Any]:
    """A page of sources."""
    with uses.db.reading() as connection:
        return repository.sources.answer(connection, parameters, must_exist=must_exist, render=lambda row: _seen(uses, row))


def show(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """One source."""
    with uses.db.reading() as connection:
        row = naming.source(uses, connection, parameters["id"], destroyed=True)
        return {**_seen(uses, row), **rules_of(uses.context, row)}


def _seen(uses: Uses, row: Row) -> dict[str, Any]:
    """A source as this caller sees it: what its scans could not use has names, which are its owner's alone."""
    shown = render_source(row)
    if shown["scan"] and not sees_all(uses.context) and uses.context.owner != row["owner"]:
        shown["scan"] = {**shown["scan"], "problems": []}
    return shown


def access(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Say anew who may see which Data of a source. What was reserved under the rules before stays reserved.

    Raises:
        Invalid: ``access.invalid``.
    """
    rules_ = check_access(parameters["access"])

    def work() -> Row:
        with uses.db.transaction(uses.context) as uow:
            return change_access(uow, _held(uses, uow, parameters["id"]), rules_)
    row = uses.db.retrying(work)
    return {**render_source(row), **rules_of(uses.context, row)}


def scan(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Start a scan, or find the one under way.

    Raises:
        Conflict: ``datasource.not_ready``.
    """
    def work() -> tuple[Row, Row | None]:
        with uses.db.transaction(uses.context) as uow:
            source = _held(uses, uow, parameters["id"])
            if source["state"] != "Ready":
                raise Conflict("datasource.not_ready", f"The source '{source['name']}' is {source['state']} and is not scanned.",
                               next_step="'datasource resume' takes a suspended source into use again.")
            return scans.begin(uses, uow, source)
    source, begun = uses.db.retrying(work)
    if begun:
        scans.start(uses, begun)
    return render_source(source)


def suspend(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Ready → Suspended: its data no longer matches."""
    return _moved(uses, parameters, "suspend")


def resume(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Suspended → Ready; whoever waits for data looks again."""
    return _moved(uses, parameters, "resume")


def shutdown(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Out of use for good; a scan under way ends."""
    return _moved(uses, parameters, "shutdown")


def _moved(uses: Uses, parameters: Parameters, event: str) -> dict[str, Any]:
    def work() -> Row:
        with uses.db.transaction(uses.context) as uow:
            source = _held(uses, uow, parameters["id"])
            moved, = uow.move(SOURCE, [source], event)
            if event == "resume":
                uow.tell("capacity.freed", moved["id"], {"source": ref(moved["id"], moved["name"]), "why": "resumed"})
            if event == "shutdown":
                moved = _end_scan(uow, moved, "The source was shut down.")
            return moved
    return render_source(uses.db.retrying(work))


def _held(uses: Uses, uow: UnitOfWork, ref_: str) -> Row:
    """The row of a living source that the caller may change, locked."""
    source = naming.own_source(uses, uow.connection, ref_)
    return uow.get(SOURCE, source["id"]) or source


def _end_scan(uow: UnitOfWork, source: Row, message: str) -> Row:
    running = repository.running_scan(uow.connection, source["id"])
    if running is None:
        return source
    scans.end(uow, source, running, "cancelled", message)
    return uow.get(SOURCE, source["id"]) or source


def destroy(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Take a source and its data out of the catalogue; the bytes stay.

    Its data stops matching at once; of a large source each Data's ``data.destroy`` follows beside the call.

    Raises:
        Conflict: ``datasource.in_use``; ``holders`` names the requests with claims.
    """
    def work() -> Row:
        with uses.db.transaction(uses.context) as uow:
            source = _held(uses, uow, parameters["id"])
            holders = repository.holders(uow.connection, claim_table.c.source_id == source["id"])
            if holders:
                raise Conflict("datasource.in_use", f"The source '{source['name']}' is in use by {naming.counted(holders)}.",
                               next_step="Complete or cancel them first, or suspend the source.",
                               holders=holders)
            source = _end_scan(uow, source, "The source was destroyed.")
            uow.connection.execute(delete(claim_table).where(claim_table.c.source_id == source["id"]))
            uow.connection.execute(delete(listing_table).where(listing_table.c.source_id == source["id"]))
            gone, = uow.destroy(SOURCE, [source], {"used": dict.fromkeys(source["used"], 0)})
            return gone
    with naming.holders_named(uses):
        gone = uses.db.retrying(work)
    if gone["data_count"] <= AT_ONCE:
        empty(uses, gone["id"])
    else:
        threading.Thread(target=empty, args=(uses, gone["id"]), daemon=True).start()
    return render_source(gone)


def empty(uses: Uses, source_id: str) -> None:
    """Destroy what is left of the data of a destroyed source."""
    context = Context(owner=uses.context.owner, correlation_id=uses.context.correlation_id)

    def work() -> int:
        with uses.db.transaction(context) as uow:
            uow.get(SOURCE, source_id)
            rows = repository.living(uow, source_id, DESTROY_PART)
            if rows:
                intake.remove(uow, source_id, rows)
            else:
                totals.nothing_left(uow, source_id)
                passages.source_left(uow, source_id)
            return len(rows)
    while uses.db.retrying(work):
        time.sleep(0)


# --- among the services ----------------------------------------------------------------------------------------------

def sources(uses: Uses, ids: Sequence[str]) -> dict[str, Any]:
    """Sources by id as those who provision need them: ``{id: {…, "parameters"}}``. Unknown ids are left out.

    ``parameters`` name secrets and hold none, nor the listing of a simulated source. The state of a destroyed source is ``Destroyed``.
    """
    with uses.db.reading() as connection:
        rows = repository.sources_by_ids(connection, ids)
        # What an http source calls by which URL is in its listing alone.
        listings = {row["id"]: repository.listing_of(connection, row["id"]) for row in rows if row["adaptor"] == "http"}
    answer = {}
    for row in rows:
        listing = listings.get(row["id"])
        written_out = {"listing": orjson.loads(listing)} if listing is not None else {}
        answer[row["id"]] = {**plain_source(row), "parameters": {**(row["parameters"] or {}), **written_out}}
    return answer


def holders(uses: Uses, source: str | None = None, data: str | None = None) -> dict[str, Any]:
    """Who holds claims on a source or a Data: ``{"items": [{"id", "claims"}]}``, at most 1,000."""
    where = claim_table.c.source_id == source if source else claim_table.c.data_id == data
    with uses.db.reading() as connection:
        return {"items": repository.holders(connection, where, 1000)}


def sweep(uses: Uses) -> None:
    """What time and crashes left to do: claims that are over, scans without a holder, sources half emptied, sums in many parts."""
    claims.sweep(uses)
    scans.resume(uses)
    with uses.db.reading() as connection:
        left = [row["id"] for row in totals.out_of_use(connection) if row["destroyed_at"]]
    for source_id in left:
        empty(uses, source_id)
    totals.settle(uses.db)
    count_what_is_not(uses.db)
    if _nobody_watched(uses) and uses.config.sources.scan_on_start:
        scan_all(uses)


def _nobody_watched(uses: Uses) -> bool:
    """Whether the service was down until now: then sources can have changed. One replica gets the answer True."""
    me = scans.this_process()
    with uses.db.reading() as connection:
        before = repository.watching_since(connection, scans.LEASE_S * 0.75)
    mine = before is not None and before["holder"] == me
    alive = before is not None and before["is_alive"]
    if mine and before["lasts"]:
        return False
    with uses.db.transaction() as uow:
        taken = repository.watch(uow, before, me, scans.LEASE_S)
    # On files whoever watched before was the process before this one; else a replica has stood in for another in time.
    return taken and not mine and (uses.db.is_sqlite or not alive)


def scan_all(uses: Uses) -> None:
    """Scan every Ready source that can have changed while nobody looked.

    What was registered or scanned since this start is left alone: between a caller's change and his audit there would
    be a scan that nobody asked for.
    """
    with uses.db.reading() as connection:
        ids = repository.ready_to_scan(connection, uses.began)
    for source_id in ids:
        try:
            scan(uses, {"id": source_id})
        except Conflict:
            continue  # It was suspended in the meantime.
        time.sleep(0)


def health(uses: Uses) -> dict[str, Any]:
    """What there is to tell of a catalogue that is well: how many scans are under way."""
    with uses.db.reading() as connection:
        count = repository.scans_under_way(connection)
    return {"detail": f"{count} {'scan is' if count == 1 else 'scans are'} under way"}
