"""What a request can be told by its user: create, fulfil, show, cancel, retry, complete, destroy."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy.exc import IntegrityError

from services.requests import attempts, groups, locks, quota, repository, rules, waiting
from services.requests.creating import Wanted
from services.requests.models import REFERENCE, REFS_KEPT, REQUEST, render_request, request_table
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import Conflict, Invalid, NotFound, located
from shared.kernel.ids import is_id, new_id
from shared.kernel.rights import DEVELOPER, SCIENTIST, visible_to
from shared.kernel.typed import typed
from shared.lists import envelope
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

Parameters = dict[str, Any]
OF_OLD = (SCIENTIST, DEVELOPER)
"""With these roles of their owners are requests decided that were made when roles were not written down."""


def create(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Create a request and, unless told otherwise, start to fulfil it."""
    from services.requests import references

    rules.said_twice(parameters)
    locked = locks.read(uses, parameters.get("lock"))
    with located("/data_reference"):
        reference = references.named_or_none(uses, parameters.get("data_reference"))
    row = request_row(uses, parameters, reference, locked=locked)
    check_target(uses, row)
    if parameters.get("name") is None and not isinstance(parameters.get("data_reference"), dict) and not quota.is_bounded(uses):
        # A number has almost never been given as a name: it is only looked for where it has.
        with suppress(IntegrityError):
            return shown(uses, uses.parts["numbered"].do(Wanted(uses.context, row, parameters["fulfill"])))
    try:
        with uses.db.transaction(uses.context) as uow:
            if isinstance(parameters.get("data_reference"), dict):
                with located("/data_reference"):
                    reference = references.take_or_create(uses, uow, parameters["data_reference"])
                row = request_row(uses, parameters, reference)
            name_request(uow, row, parameters.get("name"), reference)
            remaining = quota.check(uses, uow)
            made, = uow.create(REQUEST, [row], *(("fulfill",) if parameters["fulfill"] else ()))
    except IntegrityError:
        raise name_taken(parameters.get("name") or "") from None
    return {**shown(uses, made), **({"quota": remaining} if remaining else {})}


def request_row(uses: Uses, given: Mapping[str, Any], reference: Row | None, granularity: str = "data",
                locked: Mapping[str, Any] | None = None) -> Row:
    """The columns of a new request from what was asked, what its reference says, and what ``locks.read`` found.

    Raises:
        Invalid: nothing says what data is needed, or something asked for cannot be.
        Malformed: the query cannot be parsed.
    """
    locked = locked or {}
    asked = {**rules.meant_by((reference or {}).get("defaults")), **locked.get("asked", {}),
             **{k: v for k, v in given.items() if v is not None}}
    group = locked.get("group") or groups.read(given.get("group"))
    rules.check_select(asked.get("select"))
    waits, needed_by = bool(asked.get("wait")), rules.needed_by_of(asked.get("needed_by"))
    stands = bool((reference or {}).get("standing") if given.get("standing") is None else given["standing"])
    rules.check_standing(stands, asked.get("select"))
    return {
        "id": new_id("datarequest"), "owner": uses.context.owner, "query": _query(given, reference, group, locked),
        "reference_id": reference and reference["id"], "reference_name": reference and reference["name"],
        "target": asked.get("target"), "workload": asked.get("workload"), "action": asked.get("action"),
        "granularity": asked.get("granularity") or granularity, "select": locked.get("select") or asked.get("select"), "wait": waits,
        "deadline": rules.deadline_of(asked.get("deadline"), waits, uses.config.requests, needed_by), "needed_by": needed_by,
        "lifetime": asked.get("lifetime"), "labels": asked.get("labels"), "attempt": 1, "reservations": 0,
        "group": group, "standing": stands,
        "lock": locked.get("lock"), "warnings": locked.get("warnings") or None,
        "instances": 0, "announced_at": clock.stamp(), "correlation_id": uses.context.correlation_id or None,
        "owner_roles": list(uses.context.roles),
    }


def _query(given: Mapping[str, Any], reference: Row | None, group: Mapping[str, Any] | None, locked: Mapping[str, Any]) -> Any:
    if locked or group:
        return locked.get("query") or groups.query_of(group or {})
    expression = given.get("query")
    if expression is None and reference is not None:
        return reference["query"]
    if expression is None and not given.get("all"):
        raise Invalid("parameter.missing", "do.datarequest.create: query: A query or a data_reference is needed.",
                      next_step="Say what data is needed, for example query: owner:darren.",
                      errors=[{"pointer": "/query", "detail": "This is required."}])
    return rules.wanted(expression, given.get("all")).to_json()


def check_target(uses: Uses, row: Row) -> None:
    """Refuse a target that cannot receive copies before anything is made.

    Raises:
        NotFound: there is no such source.
        Invalid: ``datasource.not_writable``, or a copy without a target.
    """
    target = row["target"] or (row["action"] in ("copy", "move") and uses.config.instances.default_target) or None
    if row["action"] in ("copy", "move") and not target:
        detail = f"A {row['action']} needs a target, the source that receives it."
        raise Invalid("parameter.missing", detail, next_step="Name a writable source as target.",
                      errors=[{"pointer": "/target", "detail": detail}])
    if target:
        with located("/target", whole=True):
            source = uses.mesh.call("catalog", "datasource_show", id=target)
        if not (source.get("parameters") or {}).get("writable"):
            detail = f"The source '{source['name']}' does not take copies."
            raise Invalid("datasource.not_writable", detail, next_step="Register it with parameters.writable: true.",
                          errors=[{"pointer": "/target", "detail": detail}])
        row["target"] = source["name"]


def name_request(uow: UnitOfWork, row: Row, name: str | None, reference: Row | None) -> None:
    """Give a new request its name and extended name.

    Raises:
        Conflict: ``datarequest.name_taken``.
    """
    if name is None:
        while name is None or repository.name_is_taken(uow.connection, request_table, row["owner"], name):
            name = rules.numbered(repository.next_number(uow, row["owner"], "datarequest"))
    elif repository.name_is_taken(uow.connection, request_table, row["owner"], name):
        raise name_taken(name)
    row.update(rules.names_of(name, row["reference_name"]))


def name_taken(name: str) -> Conflict:
    return Conflict("datarequest.name_taken", f"There is a request named '{name}' already.",
                    next_step="Choose another name, or destroy the one that has it.",
                    errors=[{"pointer": "/name", "detail": "This name is taken."}])


def fulfill(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Init → Needed."""
    def work() -> Row:
        with uses.db.transaction(uses.context) as uow:
            row = named(uses, uow.connection, parameters["id"])
            moved, = uow.move(REQUEST, [row], "fulfill", changes={
                "announced_at": clock.stamp(), "correlation_id": uses.context.correlation_id or row["correlation_id"]})
        return moved
    return shown(uses, uses.db.retrying(work))


def named(uses: Uses, connection: Any, ref: str) -> Row:
    """The living request of this id or name."""
    return repository.requests.named(connection, ref, uses.context)


def find(uses: Uses, parameters: Parameters, must_exist: bool = True) -> dict[str, Any]:
    """A page of requests; one whose turn is with a service that is away says so, as it does when it is shown."""
    with uses.db.reading() as connection:
        rows, following, total = repository.requests.page(connection, parameters, owner=visible_to(uses.context), must_exist=must_exist)
    return envelope([render_request(waiting.held_up_or_not(uses, row)) for row in rows], following, total)


def show(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """One request with the refs of its reservations and instances."""
    with uses.db.reading() as connection:
        row = repository.requests.named(connection, parameters["id"], uses.context, destroyed=True)
    return shown(uses, row)


def show_all(uses: Uses, requests: Sequence[str]) -> list[dict[str, Any]]:
    """As ``show``, of those of several ids that are there, whoever asks."""
    with uses.db.reading() as connection:
        rows = repository.rows_of(connection, requests)
    return [shown(uses, row) for row in rows.values()]


def shown(uses: Uses, row: Row) -> dict[str, Any]:
    """A request alone: with the refs of its reservations and instances, where lists and messages have a count."""
    return {**render_request(waiting.as_it_waits(uses, row)),
            "reservations": _refs(uses, row, "reservations", row["reservation_refs"]),
            "instances": _refs(uses, row, "instances", row["instance_refs"])}


def _refs(uses: Uses, row: Row, kind: str, kept: list | None) -> list[dict[str, Any]]:
    if row[kind] <= REFS_KEPT:
        return kept or []
    return uses.mesh.call(kind, "refs_of", request=row["id"])


def plain(uses: Uses, request: str) -> dict[str, Any]:
    """The row of a request for the other services: as on the wire, with what only they need."""
    with uses.db.reading() as connection:
        return plain_of(named(uses, connection, request))


def plain_all(uses: Uses, requests: Sequence[str], owners: Sequence[str | None] | None = None) -> list[dict[str, Any] | None]:
    """As ``plain``, of several; None for one that is not there. ``owners`` says of each to whom it has to be visible."""
    owners = owners if owners is not None else [visible_to(uses.context)] * len(requests)
    with uses.db.reading() as connection:
        found = repository.rows_of(connection, [one for one in requests if is_id(one, "datarequest")])
        rows = []
        for one, owner in zip(requests, owners, strict=True):
            row = found.get(one)
            if one not in found:
                try:
                    row = repository.requests.resolve(connection, one, owner)
                except NotFound:
                    row = None
            rows.append(row if row and owner in (None, row["owner"]) else None)
    return [plain_of(row) if row and not row["destroyed_at"] else None for row in rows]


def plain_of(row: Row) -> dict[str, Any]:
    """As ``plain``, of a row."""
    return {**render_request(row), "owner_roles": OF_OLD if row["owner_roles"] is None else row["owner_roles"],
            "found": row["found"], "checksums": (row["lock"] or {}).get("checksums") or {}, "missing": row["missing"], "live_instances": row["instances"],
            "reference_id": row["reference_id"], "reference_name": row["reference_name"], "correlation_id": row["correlation_id"]}


def cancel(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Give a request up: it fails with the reason ``cancelled``."""
    because = parameters.get("because")
    sentence = f"It was cancelled: {because}" if because else "It was cancelled."
    reason = {"code": "cancelled", **({"because": because} if because else {})}

    def work() -> Row:
        with uses.db.transaction(uses.context) as uow:
            row = named(uses, uow.connection, parameters["id"])
            if not REQUEST.net.allows(row["state"], "failed"):
                raise _not_cancelled(row)
            return move_to_failed(uow, row, reason, sentence)
    return shown(uses, uses.db.retrying(work))


def _not_cancelled(row: Row) -> Conflict:
    ways = {"Satisfied": f"Complete it instead: {typed('do datarequest complete', id=row['name'])}",
            "Failed": f"Start a new attempt: {typed('do datarequest retry', id=row['name'])}"}
    return Conflict("datarequest.illegal_move", f"Request '{row['name']}' is {row['state']}, which cannot be cancelled any more.",
                    next_step=ways.get(row["state"], "Nothing is under way: there is nothing to do."),
                    state=row["state"], legal=REQUEST.net.legal(row["state"]))


def fail(uses: Uses, ref: str, reason: Mapping[str, Any], message: str, attempt: int | None = None,
         found: Mapping[str, Any] | None = None, can_wait: bool | None = None) -> dict[str, Any]:
    """Lead a request to Failed, and its reference with it; of another attempt than ``attempt`` nothing happens.

    Raises:
        Conflict: ``datarequest.illegal_move``, its state cannot fail.
    """
    def work() -> Row:
        with uses.db.transaction(uses.context) as uow:
            row = named(uses, uow.connection, ref)
            if attempt is not None and (row["attempt"] != attempt or row["state"] in ("Failed", "Completed", "Satisfied")):
                return row
            if not uow.context.correlation_id:
                belong_to(uow, row)
            return move_to_failed(uow, row, reason, message, found, can_wait)
    return render_request(uses.db.retrying(work))


def belong_to(uow: UnitOfWork, row: Row) -> None:
    """Let what a timer, or the end of another request, does to a request belong to the call that set it going."""
    uow.context = uow.context.having(correlation_id=row["correlation_id"] or uow.context.correlation_id)


def move_to_failed(uow: UnitOfWork, row: Row, reason: Mapping[str, Any], message: str,
                   found: Mapping[str, Any] | None = None, can_wait: bool | None = None) -> Row:
    """Fail a request inside a transaction, and what was made in its name with it."""
    moved, = move_all_to_failed(uow, [row], reason, {row["id"]: {"message": message, "found": found, "can_wait": can_wait}})
    return moved


def move_all_to_failed(uow: UnitOfWork, rows: Sequence[Row], reason: Mapping[str, Any], told: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """The same of several, for one reason; ``told`` has for each, by id, its ``message``, what was ``found``, if anything, and whether it
    could have waited (``can_wait``), where that is known.

    What the query found stays where nobody looked again: a request whose data the policies reject keeps its funnel.
    """
    from services.requests import standing

    def changes(row: Row) -> dict[str, Any]:
        said = told[row["id"]]
        known = {} if said["can_wait"] is None else {"can_wait": said["can_wait"]}
        return {"reason": dict(reason), "message": said["message"], "blocked_by": None, "next_retry_at": None,
                "instances": 0, "instance_refs": None, "found": {**(said["found"] or row["found"] or {}), **known} or None}
    moved = uow.move(REQUEST, rows, "failed", changes=changes, detail=reason)
    for row in moved:
        standing.end_children(uow, row)
        settle_reference(uow, row, "failed", reason)
    return moved


def settle_reference(uow: UnitOfWork, request: Row, event: str, reason: Mapping[str, Any] | None = None) -> None:
    """Let the reference of a request follow it, when this request, or one that it was made for, provisions it."""
    from services.requests import swapping

    if not request["reference_id"]:
        return
    reference = uow.get(REFERENCE, request["reference_id"])
    if reference is None or reference["destroyed_at"] or swapping.settle(uow, reference, request, event, reason):
        return
    instances = repository.instances_of_family(uow.connection, reference["request_id"]) if reference["request_id"] else 0
    if reference["request_id"] == request["id"] and reference["state"] == "Provisioning":
        uow.move(REFERENCE, [reference], event, changes={"reason": dict(reason) if reason else None, "instances": instances})
    elif reference["instances"] != instances and reference["request_id"] in (request["id"], request["parent_id"]):
        uow.change(REFERENCE, [reference], {"instances": instances})


def retry(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Failed → Needed with a new attempt: new reservations, claims and instances."""
    def work() -> Row:
        with uses.db.transaction(uses.context) as uow:
            row = named(uses, uow.connection, parameters["id"])
            fresh = rules.deadline_of(None, row["wait"], uses.config.requests, row["needed_by"])
            changes = {
                "attempt": row["attempt"] + 1, "attempts": attempts.kept(row), "reason": None, "message": None, "blocked_by": None,
                "next_retry_at": None,
                "found": None, "missing": None, "cost": None, "reservations": 0, "reservation_refs": None,
                "announced_at": clock.stamp(), "correlation_id": uses.context.correlation_id or row["correlation_id"],
                # A deadline that is over would end the new attempt at once.
                "deadline": fresh if (row["deadline"] or "") < clock.stamp() else row["deadline"],
            }
            moved, = uow.move(REQUEST, [row], "retry", changes=changes)
            if moved["reference_id"]:
                reference = uow.get(REFERENCE, moved["reference_id"])
                follows = reference and not reference["destroyed_at"] and reference["request_id"] == moved["id"]
                if follows and reference["state"] == "FailedProvision":
                    uow.move(REFERENCE, [reference], "provision", changes={"reason": None})
        return moved
    return shown(uses, uses.db.retrying(work))


def complete(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Satisfied → Completed: the other services release claims and remove copies.

    Raises:
        Conflict: ``datarequest.pinned``; ``instances`` names those that somebody keeps.
    """
    with uses.db.reading() as connection:
        row = named(uses, connection, parameters["id"])
    if row["state"] == "Satisfied" and (pinned := uses.mesh.call("instances", "pinned_of", request=row["id"])):
        raise Conflict("datarequest.pinned", f"Of request '{row['name']}' {rules.pinned_sentence(pinned)}",
                       next_step=f"Take the pin away first: {typed('do datainstance unpin', id=pinned[0]['name'])}", instances=pinned)

    def work() -> Row:
        with uses.db.transaction(uses.context) as uow:
            row = named(uses, uow.connection, parameters["id"])
            if row["state"] == "Completed":
                return row
            return move_to_completed(uow, row, "Its user no longer needs the data.")
    return shown(uses, uses.db.retrying(work))


def move_to_completed(uow: UnitOfWork, row: Row, message: str, reason: Mapping[str, Any] | None = None) -> Row:
    """Complete a request, and what was made in its name, inside a transaction; ``reason`` says why where nobody asked for it."""
    from services.requests import standing

    moved, = uow.move(REQUEST, [row], "complete", changes={
        "message": message, "reason": dict(reason) if reason else None, "instances": 0, "instance_refs": None, "expires_at": None})
    standing.end_children(uow, moved)
    settle_reference(uow, moved, "provisioned")
    return moved


def lock(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Write down what a request stands on, so that it can be reproduced."""
    with uses.db.reading() as connection:
        row = repository.requests.named(connection, parameters["id"], uses.context)
    return locks.write(uses, row)


def destroy(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Remove a request that nothing stands on; its reservations go with it.

    Raises:
        Conflict: ``datarequest.in_use`` names the live instances, or says that it is under way.
    """
    def work() -> Row:
        with uses.db.transaction(uses.context) as uow:
            row = repository.requests.named(uow.connection, parameters["id"], uses.context, destroyed=True)
            if row["destroyed_at"]:
                return row
            if row["state"] in repository.OPEN:
                raise Conflict("datarequest.in_use", f"Request '{row['name']}' is under way ({row['state']}).",
                               next_step=f"Cancel it first: {typed('do datarequest cancel', id=row['name'])}",
                               state=row["state"])
            if row["instances"]:
                over = row["state"] != "Satisfied"
                first = (row["instance_refs"] or [{}])[0].get("name", "NAME")
                raise Conflict("datarequest.in_use",
                               f"Request '{row['name']}' has {rules.live_sentence(row['instances'], row['instance_refs'] or [])}",
                               next_step=f"Destroy what outlived it: {typed('do datainstance destroy', attr1=first)}" if over else
                               f"Complete it first: {typed('do datarequest complete', id=row['name'])}",
                               instances=row["instance_refs"] or [])
            gone, = uow.destroy(REQUEST, [row])
        return gone
    return shown(uses, uses.db.retrying(work))


