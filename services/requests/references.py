"""What a reference can be told: create, provision, show, destroy."""
from __future__ import annotations

from typing import Any

from sqlalchemy.exc import IntegrityError

from services.requests import handlers, quota, repository, rules, swapping
from services.requests.models import REFERENCE, REQUEST, reference_table, render_reference
from shared.contracts.action import invalid, schema_of
from shared.contracts.requests import ReferenceParameters
from shared.hosting.uses import Uses
from shared.kernel.errors import Conflict, Invalid, did_you_mean, located
from shared.kernel.ids import new_id
from shared.kernel.secrets import written_out
from shared.kernel.rights import visible_to
from shared.kernel.typed import typed
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

from marshmallow import ValidationError

Parameters = dict[str, Any]


def create(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Describe needed data under a name."""
    with uses.db.transaction(uses.context) as uow:
        row = _insert(uses, uow, parameters)
    return shown(uses, row)


def _insert(uses: Uses, uow: UnitOfWork, parameters: Parameters) -> Row:
    row = _row(uses, parameters)
    if repository.name_is_taken(uow.connection, reference_table, uses.context.owner, row["name"]):
        raise _name_taken(row["name"])
    try:
        made, = uow.create(REFERENCE, [row])
    except IntegrityError:
        raise _name_taken(row["name"]) from None
    return made


def _row(uses: Uses, parameters: Parameters) -> Row:
    name = parameters["name"]
    query = rules.wanted(parameters["query"], parameters.get("all")).to_json()
    rules.meant_by(parameters.get("defaults"))
    _check_secrets(parameters.get("connection"))
    return {
        "id": new_id("datareference"), "owner": uses.context.owner, "name": name, "query": query,
        "short_name": parameters.get("short_name") or name.rsplit(".", 1)[-1], "connection": parameters.get("connection"),
        "defaults": parameters.get("defaults"), "standing": parameters.get("standing"), "instances": 0,
    }


def _check_secrets(connection: Any) -> None:
    """Refuse a secret that is written out: it would be kept. The value is in no part of the error."""
    for where in written_out(connection, "/connection"):
        raise Invalid("parameter.invalid", f"connection: '{where.rpartition('/')[2]}' is a secret and cannot be written here.",
                      next_step='Name it instead: "${NAME}" for an environment variable of the application, or {"secret": "NAME"}.',
                      errors=[{"pointer": where, "detail": "A secret is named, not written."}])


def _name_taken(name: str) -> Conflict:
    return Conflict("datareference.name_taken", f"There is a reference named '{name}' already.",
                    next_step="Choose another name, or use the one that is there.",
                    errors=[{"pointer": "/name", "detail": "This name is taken."}])


def named(uses: Uses, connection: Any, ref: str) -> Row:
    """The living reference of this id or name."""
    return repository.references.named(connection, ref, uses.context)


def named_or_none(uses: Uses, given: Any) -> Row | None:
    """The reference that a parameter names; None when it is not given or given inline."""
    if not isinstance(given, str):
        return None
    with uses.db.reading() as connection:
        return named(uses, connection, given)


def inline(given: Parameters) -> Parameters:
    """The checked members of a reference that was given inline.

    Raises:
        Invalid: a member is missing, unknown or ill-typed.
    """
    known = schema_of(ReferenceParameters).fields
    spelled = {"shortName": "short_name"}
    given = {spelled.get(key, key): value for key, value in given.items() if value is not None}
    unknown = [key for key in given if key not in known]
    if unknown:
        raise invalid("The reference", {key: [f"Unknown member '{key}'.{did_you_mean(key, known)}"] for key in unknown})
    try:
        return schema_of(ReferenceParameters).load(given)
    except ValidationError as error:
        raise invalid("The reference", error.messages) from None


def take_or_create(uses: Uses, uow: UnitOfWork, given: Parameters) -> Row:
    """The reference that an inline one means: the one of this name with the same query, else a new one.

    Raises:
        Conflict: ``datareference.name_taken``, one of this name has another query.
    """
    parameters = inline(given)
    there = repository.live_reference(uow.connection, uses.context.owner, parameters["name"])
    if there is None:
        return _insert(uses, uow, parameters)
    _check_same(parameters, there)
    return there


def _check_same(parameters: Parameters, there: Row) -> None:
    if rules.wanted(parameters["query"], parameters.get("all")).to_json() != there["query"]:
        raise Conflict("datareference.name_taken",
                       f"There is a reference named '{there['name']}' with another query.",
                       next_step="Choose another name, or give the same query.",
                       errors=[{"pointer": "/name", "detail": "This name is taken."}],
                       reference={"id": there["id"], "name": there["name"]}, query=there["query"])


def meant(uses: Uses, connection: Any, given: Any) -> Row | None:
    """The reference that a parameter names, or the one that it would make; it is not made."""
    if not isinstance(given, dict):
        return named(uses, connection, given) if isinstance(given, str) else None
    parameters = inline(given)
    there = repository.live_reference(connection, uses.context.owner, parameters["name"])
    if there is not None:
        _check_same(parameters, there)
        return there
    return _row(uses, parameters)


def provide(uses: Uses, dataref: Any) -> dict[str, Any]:
    """What ``datainstance create`` needs: the reference and the request that provisions it.

    A reference that is Provisioning keeps its open request, one that is Provisioned its last one; else a new
    request begins, and ``made`` is true.
    """
    def work() -> tuple[Row, Row, bool]:
        with uses.db.transaction(uses.context) as uow:
            with located("/dataref"):
                reference = take_or_create(uses, uow, dataref) if isinstance(dataref, dict) \
                    else named(uses, uow.connection, dataref)
            request = uow.get(REQUEST, reference["request_id"]) if reference["request_id"] else None
            if reference["state"] == "Provisioning" or (
                    reference["state"] == "Provisioned" and request and request["state"] != "Completed"):
                return reference, request, False
            return *begin(uses, uow, reference), True
    reference, request, made = uses.db.retrying(work)
    return {"reference": shown(uses, reference), "request": handlers.shown(uses, request), "made": made}


def begin(uses: Uses, uow: UnitOfWork, reference: Row) -> tuple[Row, Row]:
    """Start a request that provisions a reference, in the same transaction as the move of the reference."""
    row = handlers.request_row(uses, {}, reference, granularity="source")
    handlers.name_request(uow, row, None, reference)
    quota.check(uses, uow)
    request, = uow.create(REQUEST, [row], "fulfill")
    moved, = uow.move(REFERENCE, [reference], "provision", changes={
        "request_id": request["id"], "request_name": request["name"], "reason": None})
    return moved, request


def provision(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Start a new request for a reference's data, whatever it has already; let it change place, or take that back.

    Raises:
        Conflict: ``datareference.nothing_to_swap``, ``datareference.swap_under_way`` or ``datareference.nothing_to_undo``.
        Invalid: ``parameter.invalid``, both were asked for.
    """
    if parameters.get("swap") and parameters.get("undo"):
        raise Invalid("parameter.invalid", "A change of place is begun or undone, not both.",
                      errors=[{"pointer": "/undo", "detail": "Leave one of swap and undo out."}])

    def work() -> Row:
        with uses.db.transaction(uses.context) as uow:
            reference = named(uses, uow.connection, parameters["id"])
            if parameters.get("undo"):
                return swapping.undo(uow, reference)
            if parameters.get("swap"):
                return swapping.begin(uses, uow, reference)
            reference, _ = begin(uses, uow, reference)
        return reference
    return shown(uses, uses.db.retrying(work))


def find(uses: Uses, parameters: Parameters, must_exist: bool = True) -> dict[str, Any]:
    """A page of references."""
    with uses.db.reading() as connection:
        return repository.references.answer(connection, parameters, owner=visible_to(uses.context), must_exist=must_exist)


def show(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """One reference, with the refs of its live instances."""
    with uses.db.reading() as connection:
        row = repository.references.named(connection, parameters["id"], uses.context, destroyed=True)
    return shown(uses, row)


def shown(uses: Uses, row: Row) -> dict[str, Any]:
    """A reference alone: with the refs of its live instances, where lists and messages have a count."""
    if not row["instances"]:
        return {**render_reference(row), "instances": []}
    if row["swap"] is None:
        return {**render_reference(row), "instances": uses.mesh.call("instances", "refs_of", reference=row["id"])}
    # Of two places that it has for a while, the one that counts.
    with uses.db.reading() as connection:
        family = [row["request_id"], *repository.children(connection, row["request_id"])]
    refs = [one for request in family for one in uses.mesh.call("instances", "refs_of", request=request)]
    return {**render_reference(row), "instances": refs}


def destroy(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Remove a reference that nothing stands on.

    Raises:
        Conflict: ``datareference.in_use`` names the live instances, or says that it is being provisioned.
    """
    # Asked beforehand: no other service is called inside a transaction.
    instances = show(uses, parameters)["instances"]

    def work() -> Row:
        with uses.db.transaction(uses.context) as uow:
            row = repository.references.named(uow.connection, parameters["id"], uses.context, destroyed=True)
            if row["destroyed_at"]:
                return row
            live = repository.live_instances_of_reference(uow.connection, row["id"])
            if live or row["state"] == "Provisioning":
                what = f"has {rules.live_sentence(live, instances)}" if live else "is being provisioned."
                name = row["request_name"]
                way = f"Complete its request first: {typed('do datarequest complete', id=name)}" if live else \
                    f"Cancel its request first: {typed('do datarequest cancel', id=name)}"
                raise Conflict("datareference.in_use", f"Reference '{row['name']}' {what}",
                               next_step=way, request={"id": row["request_id"], "name": name}, instances=instances)
            gone, = uow.destroy(REFERENCE, [row])
        return gone
    return shown(uses, uses.db.retrying(work))
