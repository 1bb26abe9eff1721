"""The two steps of a request that happen here, reserve and evaluate, and what a reservation can be told by hand."""
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from services.reservations import budget, evaluating, freeing, keeping, promises, repository, reserving, standing_by, together
from services.reservations.models import RESERVATION, render
from services.reservations.policy.rules_file import Policies
from shared.contracts.action import known_members
from shared.contracts.table import BY_RPC
from shared.bus.event import named_in
from shared.hosting.uses import Uses
from shared.kernel.errors import Conflict, NotFound, from_payload, located, nearest
from shared.kernel.ids import new_id
from shared.kernel.rights import visible_to
from shared.kernel.typed import typed
from shared.lists import envelope
from shared.nets import DATAREQUEST
from shared.storage.record import Row

Parameters = dict[str, Any]
# A request that was completed because its instances were gone: one that lives came back since.
BY_ITS_INSTANCES = ("instances_destroyed", "lifetime_over", "reaped")
# Messages that came together wait so long for a call that is at the same request; one by itself waits until that has to be over.
GLANCE_S = 0.3
CALL_S = 60.0


def reserve(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Take a request to Selected, doing the missing steps before; past it, it is answered unchanged."""
    return _brought(uses, parameters["request"], evaluated=False)


def evaluate(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Take a request to Evaluated, doing the missing steps before; past it, it is answered unchanged."""
    return _brought(uses, parameters["request"], evaluated=True)


def _brought(uses: Uses, given: str | Mapping[str, Any], *, evaluated: bool) -> dict[str, Any]:
    if isinstance(given, Mapping) and not uses.context.idempotency_key:
        # Made together with those of other calls, under an id that is known here before anybody hears of it.
        answer = _taken_on(uses, together.Call(uses, new_id("datarequest"), given), evaluated)
        if answer is not None:
            return answer
    answer = _taken_on(uses, together.Call(uses, _named(uses, given)), evaluated, made=isinstance(given, Mapping))
    assert answer is not None
    return answer


def _named(uses: Uses, given: str | Mapping[str, Any]) -> str:
    """The id or name of the request meant; one that was given inline is created."""
    if isinstance(given, str):
        return given
    # A repeated call finds the request that its first run made.
    own = uses.mesh.having(idempotency_key=uses.context.idempotency_key)
    with located("/request"):
        return own.call("requests", "create", **{**given, "fulfill": True})["id"]


def _taken_on(uses: Uses, call: together.Call, evaluated: bool, made: bool = True) -> dict[str, Any] | None:
    """The request of a call as it is answered, taken as far as is wanted; None where the one that it describes has to be made by itself.

    Where nothing is in its way it is reserved and evaluated, together with those of other calls (``together.take``). ``made``: by this call.
    """
    with uses.parts["under_way"].at(call.request):
        request, shown, refusal = uses.parts["calls"].do(call)
        if refusal is not None:
            with located("/request"):
                raise from_payload(refusal)
        if request is None and call.given is not None:
            return None
        if request is not None and request["state"] == "Init":
            uses.mesh.call("requests", "fulfill", id=request["id"])
            request, shown, _ = uses.parts["calls"].do(together.Call(uses, request["id"]))
        if request is None:
            # Whoever is asked for it says why there is none.
            request = uses.mesh.call("requests", "plain", request=call.request)
        _check_open(request, made)
        if request["state"] == "Needed" and shown is None:
            reserving.reserve(uses, request)
            if evaluated:
                request = uses.mesh.call("requests", "plain", request=request["id"])
        if evaluated and request["state"] == "Selected":
            evaluating.evaluate(uses, request)
    return shown or uses.mesh.call("requests", "show", id=request["id"])


def _check_open(request: Mapping[str, Any], made: bool) -> None:
    """Refuse a step of a request that has ended. One that the call itself ``made``, and that failed since, is what it is answered with.

    Raises:
        Conflict: ``datarequest.illegal_move``, it is Failed or Completed.
    """
    if request["state"] in ("Failed", "Completed") and not made:
        raise Conflict(
            "datarequest.illegal_move", f"Request '{request['name']}' is {request['state']}.",
            next_step=f"Start a new attempt: {typed('do datarequest retry', id=request['name'])}"
            if request["state"] == "Failed" else "Make a new request.",
            state=request["state"], legal=DATAREQUEST.legal(request["state"]))


def on_needed(uses: Uses, messages: Sequence[Any]) -> list[Any]:
    """``datarequest.needed``, several at once: reserve. Of a request that is elsewhere by now nothing happens.

    Of several those are given back that need more than the others.
    """
    several = len(messages) > 1
    # What describes a request that nobody made yet makes one: that is for a message by itself.
    apart = [message for message in messages if several and _describes(message)]
    called = [message for message in messages if message not in apart and not uses.parts["under_way"].is_over(message.obj, 0 if several else CALL_S)]
    asked = _of_messages(uses, [message for message in messages if not several or message not in (*apart, *called)])
    needed = {request["id"]: (own, request) for own, request in asked.values() if request["state"] == "Needed"}
    done = together.reserve(uses, list(needed.values()))
    left = [message for message, (_, request) in asked.items() if request["state"] == "Init" or request["id"] in needed.keys() - done]
    if several:
        until = time.monotonic() + GLANCE_S
        return [*apart, *left, *(message for message in called if not (
            uses.parts["under_way"].is_over(message.obj, until - time.monotonic()) and uses.parts["done"].has(message.obj)))]
    for own, request in (asked[message] for message in left):
        if request["state"] == "Init":
            own.mesh.call("requests", "fulfill", id=request["id"])
            request = own.mesh.call("requests", "plain", request=request["id"])
        if request["state"] == "Needed":
            reserving.reserve(own, request)
    return []


def on_selected(uses: Uses, messages: Sequence[Any]) -> list[Any]:
    """``datarequest.selected``, several at once: evaluate. Of a request that is elsewhere by now nothing happens.

    Of several those are given back for which there is something to do.
    """
    apart = [message for message in messages if len(messages) > 1 and _describes(message)]
    asked = _of_messages(uses, [message for message in messages if message not in apart])
    selected = {message: one for message, one in asked.items() if one[1]["state"] == "Selected"}
    if len(messages) == 1:
        for own, request in selected.values():
            evaluating.evaluate(own, request)
        return []
    return [*apart, *selected]


def _describes(message: Any) -> bool:
    return isinstance(message.obj, Mapping) and message.obj.get("id") is None


def _of_messages(uses: Uses, messages: Sequence[Any]) -> dict[Any, together.Asked]:
    """The requests that messages are about as they are now, each with what its work belongs to, by message; but for those of which
    this process knows that nothing is left to do."""
    messages = [message for message in messages if not uses.parts["done"].has(message.obj)]
    if not messages:
        return {}
    refs = [_ref(uses.caused_by(message), message) for message in messages]
    found = uses.mesh.call("requests", "plain_all", requests=refs, owners=[visible_to(uses.caused_by(message).context) for message in messages])
    asked: dict[Any, together.Asked] = {}
    for message, ref, request in zip(messages, refs, found, strict=True):
        own = uses.caused_by(message)
        if request is not None:
            asked[message] = (own, request)
        elif isinstance(message.obj, Mapping) and message.obj.get("version"):
            # One of ours, destroyed since: nothing to do any more.
            freeing.free_all(own, str(ref), {"code": "destroyed"})
        else:
            raise NotFound("datarequest.not_found", f"There is no request '{ref}'.",
                           next_step="Look at those there are: edgemere do datarequest list")
    return asked


def _ref(uses: Uses, message: Any) -> str:
    obj = named_in(message)
    if not isinstance(obj, Mapping):
        return obj
    if obj.get("id") is not None:
        return obj["id"]
    # A foreign message may describe a request that nobody made yet; whose it is, it cannot say.
    given = known_members(BY_RPC["requests.create"], obj)
    own = uses.mesh.having(idempotency_key=f"message-{message.id}") if message.id else uses.mesh
    return own.call("requests", "create", **given)["id"]


def on_ended(uses: Uses, message: Any) -> None:
    """``datarequest.failed`` and ``.completed``: nothing of the request stays claimed, but for instances that outlive it."""
    obj = message.obj
    if obj["state"] == "Failed":
        # What a completed request was charged is spent.
        budget.release(uses, obj["id"], obj["owner"], up_to=obj["attempt"])
    promises.release(uses, obj["id"], obj["owner"], up_to=obj["attempt"])
    try:
        current = uses.itself.call("requests", "plain", request=obj["id"])
    except NotFound:
        freeing.free_all(uses, obj["id"], {"code": "destroyed"})
        return
    if current["state"] == obj["state"] and current["attempt"] == obj["attempt"]:
        code = (obj.get("reason") or {}).get("code")
        kept = uses.mesh.call("instances", "kept_data", request=obj["id"], all_live=code in BY_ITS_INSTANCES)
        freeing.free_all(uses, obj["id"], {"code": code or obj["state"].lower()},
                         keep={(row["attempt"], row["data_id"]) for row in kept})
    else:
        freeing.free_all(uses, obj["id"], {"code": "retried"}, up_to=obj["attempt"])


def on_destroyed(uses: Uses, message: Any) -> None:
    """``datarequest.destroy``: its reservations go with it."""
    freeing.free_all(uses, message.obj["id"], {"code": "destroyed"})
    freeing.destroy_all(uses, message.obj["id"])


def find(uses: Uses, parameters: Parameters, must_exist: bool = True) -> dict[str, Any]:
    """A page of reservations."""
    with uses.db.reading() as connection:
        rows, following, total = repository.reservations.page(
            connection, parameters, owner=visible_to(uses.context), must_exist=must_exist)
    return envelope(keeping.completed(uses, rows), following, total)


def show(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """One reservation with its whole decision."""
    with uses.db.reading() as connection:
        row = repository.reservations.named(connection, parameters["id"], uses.context, destroyed=True)
    return keeping.completed(uses, [row])[0]


def confirm(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Confirm a reservation by hand: one that stands by as it was decided, any other is left in place."""
    with uses.db.reading() as connection:
        row = repository.reservations.named(connection, parameters["id"], uses.context)
    standing_by.claim_before(uses, row)

    def work() -> Row:
        with uses.db.transaction(uses.context) as uow:
            row = repository.reservations.named(uow.connection, parameters["id"], uses.context)
            if row["state"] == "Confirmed":
                return row
            # What was decided for a request that cannot have it now was not paid for, and nothing is claimed for it at a target.
            decided = {} if row["standby"] else {"action": "leave", "rule": "by hand", "target_id": None, "target_name": None}
            moved, = uow.move(RESERVATION, [row], "confirm", changes={**decided, "standby": False})
        return moved
    return render(uses.db.retrying(work))


def free(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """Give a reservation back by hand.

    Raises:
        Conflict: ``datareservation.in_use``, an instance stands on it.
    """
    with uses.db.reading() as connection:
        row = repository.reservations.named(connection, parameters["id"], uses.context)
    if row["state"] == "Rejected":
        return render(row)
    request = uses.itself.call("requests", "plain", request=row["request_id"])
    if row["state"] == "Confirmed" and request["state"] in ("Evaluated", "Satisfied"):
        raise Conflict("datareservation.in_use", f"Request '{request['name']}' is {request['state']} and uses this reservation.",
                       next_step=f"Complete the request: {typed('do datarequest complete', id=request['name'])}",
                       request={"id": request["id"], "name": request["name"]})

    def work() -> Row:
        with uses.db.transaction(uses.context) as uow:
            fresh = uow.get(RESERVATION, row["id"])
            moved, = uow.move(RESERVATION, [fresh], "free", changes={"reason": {"code": "freed"}})
        return moved
    moved = uses.db.retrying(work)
    freeing.release(uses, [moved])
    return render(moved)


def locked(uses: Uses, request: str, after: str, limit: int) -> dict[str, Any]:
    """What a lock says of a request's data, a page: ``{"items", "policies": revisions, "next": id or None}``."""
    with uses.db.reading() as connection:
        rows = repository.locked(connection, request, after, limit)
    kept = [row for row in rows if row["state"] == "Confirmed" or (row["reason"] or {}).get("code") == "completed"]
    items = [{"data": row["data_id"], "name": row["name"], "path": row["snapshot"]["path"], "type": row["snapshot"].get("type"),
              "source": {"id": row["source_id"], "name": row["source_name"]}, "size": row["snapshot"].get("size"),
              "checksum": row["snapshot"].get("checksum"), "modified_at": row["snapshot"].get("modified_at"),
              "action": row["action"], "member": row["member"]} for row in kept]
    return {"items": items, "policies": list(dict.fromkeys((row["decision"] or {}).get("policy") for row in kept if row["decision"])),
            "next": rows[-1]["id"] if len(rows) == limit else None}


def policy_list(uses: Uses) -> dict[str, Any]:
    """The rules in their order, and where they come from: ``{file, revision, loaded_at, problem}`` beside them."""
    items, state = _policies(uses), uses.parts["policies"].state()
    problem = state["problem"]
    warnings = [{"code": problem["code"], "detail": f"The newest content of the file does not count, revision {state['revision']} does: {error['detail']}"}
                for error in (problem["errors"] or [problem])] if problem else []
    return {"items": items, "next": None, "total": len(items), **state, "warnings": warnings}


def policy_health(uses: Uses) -> dict[str, Any]:
    """The policies that count, and a file that does not, in a sentence under ``detail``."""
    state = uses.parts["policies"].state()
    wrong = f"; the newest content of the file does not count: {state['problem']['detail']}" if state["problem"] else ""
    return {"detail": f"policies of revision {state['revision']}{wrong}"}


def policy_show(uses: Uses, parameters: Parameters) -> dict[str, Any]:
    """One rule by its name."""
    rules = _policies(uses)
    for rule in rules:
        if rule["name"] == parameters["id"]:
            return rule
    near = nearest(parameters["id"], [rule["name"] for rule in rules])
    raise NotFound("policy.not_found", f"There is no policy rule named '{parameters['id']}'."
                   + (f" Did you mean '{near[0]}'?" if near else ""),
                   next_step="List them: edgemere do policy list")


def _policies(uses: Uses) -> list[dict[str, Any]]:
    """The rules as they are tried; the last one is what holds where none applies."""
    policies: Policies = uses.parts["policies"].current()
    shown = [{"name": rule.name, "position": rule.position, "when": rule.when, "action": rule.action, "target": rule.target,
              "because": rule.because, "enforce": rule.enforce, "revision": policies.revision} for rule in policies.rules]
    return [*shown, {"name": "default", "position": len(shown), "when": {}, "action": "leave", "target": None,
                     "because": "Data is left where it is when nothing else is decided.", "enforce": True, "revision": policies.revision}]
