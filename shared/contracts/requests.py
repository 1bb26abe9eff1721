"""What the service ``requests`` answers: references and requests."""
from __future__ import annotations

from marshmallow import Schema, fields

from shared.contracts.action import Action, Wait
from shared.contracts.fields import (
    Duration, Expression, JsonObject, Labels, Name, Ref, RefOrInline, When, between, one_of,
)
from shared.contracts.parameters import One, about, listing
from shared.kernel.rights import USERS

ACTIONS_OF_DATA = ("leave", "mount", "copy", "move", "auto")


class RequestParameters(Schema):
    """A request for data."""

    name = Name(metadata=about("Its name; without one it is numbered."))
    query = Expression(metadata=about("What data is needed, as JSON or as a line."))
    data_reference = RefOrInline(metadata=about("The reference to make it from."))
    target = Ref(metadata=about("The source that receives copies; it needs parameters.writable: true."))
    action = fields.String(validate=one_of(*ACTIONS_OF_DATA), metadata=about("The action wished for."))
    granularity = fields.String(validate=one_of("data", "source"), metadata=about("An instance per data or per source."))
    select = JsonObject(metadata=about("How candidates are chosen: {mode: all|best|first, count, minimum, distinct, prefer, "
                               "max_cost, max_bytes, together, apart, expected_reads}."))
    wait = fields.Boolean(metadata=about("Wait in Needed while nothing matches or there is no room."))
    deadline = When(metadata=about("When to give up: a time, or a duration from now."))
    lifetime = Duration(metadata=about("How long the instances live after they are ready."))
    workload = fields.String(metadata=about("What the data is for."))
    labels = Labels(metadata=about("Free labels."))
    all = fields.Boolean(metadata=about("Says that an empty query means everything."))
    fulfill = fields.Boolean(load_default=True, metadata=about("False leaves it in Init."))
    needed_by = When(metadata=about("When the data must be ready: a time, or a duration from now. It warns when that cannot be met."))
    standing = fields.Boolean(metadata=about("Attach new matching data as it appears."))
    group = JsonObject(metadata=about("Several queries in one, all of them or none: {member: query, member: {query, select}}."))
    lock = JsonObject(metadata=about("A lock that 'datarequest lock' wrote: the same bytes once more."))


class PlanParameters(RequestParameters):
    """A request to plan, and which of its candidates to show."""

    limit = fields.Integer(load_default=20, validate=between(1, 200), metadata=about("How many candidates at most in one page."))
    cursor = fields.String(metadata=about("Where to go on: the `next` of the page before."))


class ExplainParameters(One):
    """A request to explain, and what of it."""

    why_not = Ref(metadata=about("A Data (id, name or path): why it is not used, or which clause, rule or replica stands against it."))
    reservation = Ref(metadata=about("The reservation to show alone, with its decision record."))
    at = fields.Integer(validate=between(1, 2**31), metadata=about("A version of the request: its explanation as it was then."))
    attempt = fields.Integer(validate=between(1, 2**31), metadata=about("The end of an attempt: its explanation as it was then."))
    limit = fields.Integer(load_default=20, validate=between(1, 200), metadata=about("How many reservations at most in one page."))
    cursor = fields.String(metadata=about("Where the reservations go on: the `reservations.next` of the page before."))


class ReferenceParameters(Schema):
    """A reference: a named description of needed data."""

    name = Name(required=True, metadata=about("Its name."))
    short_name = fields.String(metadata=about("The name without what it belongs to."))
    query = Expression(required=True, metadata=about("What data is needed, as JSON or as a line."))
    connection = JsonObject(metadata=about("How the application connects; secrets by name."))
    defaults = JsonObject(metadata=about("Defaults for its requests: target, action, granularity, select, …"))
    standing = fields.Boolean(metadata=about("Attach new matching data as it appears, and say where data is cheaper."))
    all = fields.Boolean(metadata=about("Says that an empty query means everything."))


class CancelParameters(One):
    """A request to cancel."""

    because = fields.String(metadata=about("Why, in a sentence."))


class ProvisionParameters(One):
    """A reference to provision, or to change the place of."""

    swap = fields.Boolean(metadata=about("Keep what it has until its data is ready where it is cheapest now, then turn to that in one step."))
    undo = fields.Boolean(metadata=about("Turn back to the former place, within requests.swap_grace_s."))


REQUEST_ENDS = frozenset({"Satisfied", "Failed", "Completed"})
# What is left in Init is not under way: nothing comes of waiting for it.
UNTIL_SATISFIED = Wait("datarequest", "id", "state", REQUEST_ENDS | {"Init"}, ("requests", "show", "id"))
_DO = {"tree": "do", "service": "requests"}
_QUERY_ERRORS = ("query.syntax", "query.unknown_operator", "query.unknown_field", "query.bad_operand")
_CREATE_ERRORS = (*_QUERY_ERRORS, "query.empty", "group.invalid", "lock.malformed", "lock.altered", "lock.other_catalogue", "lock.gone",
                  "datarequest.name_taken", "datareference.not_found", "idempotency.mismatch")

ACTIONS = (
    Action(path=("datarequest", "create"), method="create", roles=USERS, kind="command", parameters=RequestParameters,
           summary="Ask for data: create a request and, unless told otherwise, start to fulfil it.",
           noun="datarequest", creates=True, wait=UNTIL_SATISFIED, errors=_CREATE_ERRORS,
           example={"name": "scans", "query": "owner:darren filetypes:csv"}, **_DO),
    Action(path=("datarequest", "fulfill"), method="fulfill", roles=USERS, kind="command", parameters=One,
           summary="Start to fulfil a request that is in Init.", noun="datarequest", positional="id",
           wait=UNTIL_SATISFIED, errors=("datarequest.not_found", "datarequest.illegal_move"), example={"id": "scans"}, move="fulfill", **_DO),
    Action(path=("datarequest", "list"), method="list", kind="query", parameters=listing("datarequest"),
           summary="List the requests.", noun="datarequest", answer="page", errors=_QUERY_ERRORS,
           example={"state": "Satisfied"}, **_DO),
    Action(path=("datarequest", "find"), method="find", kind="query", parameters=listing("datarequest"),
           summary="Find requests by id, name or query.", noun="datarequest", answer="page", positional="attr1",
           errors=("datarequest.not_found", *_QUERY_ERRORS), example={"attr1": "state:Failed"}, **_DO),
    Action(path=("datarequest", "show"), method="show", kind="query", parameters=One,
           summary="Show one request.", noun="datarequest", positional="id", errors=("datarequest.not_found",),
           example={"id": "scans"}, **_DO),
    Action(path=("datarequest", "plan"), method="plan", roles=USERS, kind="query", parameters=PlanParameters,
           summary="Say what a request would do, writing nothing: candidates, decisions, costs, room, budget, refusals.",
           noun="plan", answer="document", errors=(*_CREATE_ERRORS[:-1], "cursor.invalid"), example={"query": "owner:darren"}, **_DO),
    Action(path=("datarequest", "explain"), method="explain", kind="query", parameters=ExplainParameters,
           summary="Explain a request: funnel, hints, every decision, what each step was caused by, what ends a wait.",
           noun="explanation", answer="document", positional="id",
           errors=("datarequest.not_found", "explanation.not_found", "datareservation.not_found", "data.not_found", "data.ambiguous"),
           example={"id": "scans"}, **_DO),
    Action(path=("datarequest", "cancel"), method="cancel", roles=USERS, kind="command", parameters=CancelParameters,
           summary="Give up a request that is under way.", noun="datarequest", positional="id",
           errors=("datarequest.not_found", "datarequest.illegal_move"), example={"id": "scans"}, confirm=True, move="failed", **_DO),
    Action(path=("datarequest", "retry"), method="retry", roles=USERS, kind="command", parameters=One,
           summary="Start a new attempt of a failed request.", noun="datarequest", positional="id", wait=UNTIL_SATISFIED,
           errors=("datarequest.not_found", "datarequest.illegal_move"), example={"id": "scans"}, move="retry", **_DO),
    Action(path=("datarequest", "complete"), method="complete", roles=USERS, kind="command", parameters=One,
           summary="Say that the data is no longer needed: claims are released and copies removed.", noun="datarequest",
           positional="id", errors=("datarequest.not_found", "datarequest.illegal_move", "datarequest.pinned"),
           example={"id": "scans"}, confirm=True, move="complete", **_DO),
    Action(path=("datarequest", "destroy"), method="destroy", roles=USERS, kind="command", parameters=One,
           summary="Remove a request that has no live instances.", noun="datarequest", positional="id",
           errors=("datarequest.not_found", "datarequest.in_use"), example={"id": "scans"}, confirm=True, **_DO),
    Action(path=("datarequest", "lock"), method="lock", roles=USERS, kind="command", parameters=One,
           summary="Write down ids, checksums and the policy revision; 'datarequest create --lock' gives the same bytes.",
           noun="lock", answer="document", positional="id", errors=("datarequest.not_found", "datarequest.nothing_to_lock"),
           example={"id": "scans"}, **_DO),
    Action(path=("datareference", "create"), method="datareference_create", roles=USERS, kind="command", parameters=ReferenceParameters,
           summary="Describe needed data under a name.", noun="datareference", creates=True,
           errors=(*_QUERY_ERRORS, "query.empty", "datareference.name_taken"),
           example={"name": "training", "query": "owner:darren filetypes:csv"}, **_DO),
    Action(path=("datareference", "list"), method="datareference_list", kind="query", parameters=listing("datareference"),
           summary="List the references.", noun="datareference", answer="page", errors=_QUERY_ERRORS, **_DO),
    Action(path=("datareference", "find"), method="datareference_find", kind="query", parameters=listing("datareference"),
           summary="Find references by id, name or query.", noun="datareference", answer="page", positional="attr1",
           errors=("datareference.not_found", *_QUERY_ERRORS), example={"attr1": "training"}, **_DO),
    Action(path=("datareference", "show"), method="datareference_show", kind="query", parameters=One,
           summary="Show one reference.", noun="datareference", positional="id", errors=("datareference.not_found",),
           example={"id": "training"}, **_DO),
    Action(path=("datareference", "provision"), method="datareference_provision", roles=USERS, kind="command",
           parameters=ProvisionParameters,
           summary="Provision a reference anew: start a new request for its data.", noun="datareference", positional="id",
           wait=Wait("datareference", "id", "state", frozenset({"Provisioned", "FailedProvision"}),
                     ("requests", "datareference_show", "id"), operation_path="request.id"),
           errors=("datareference.not_found", "datareference.illegal_move", "datareference.nothing_to_swap",
                   "datareference.swap_under_way", "datareference.nothing_to_undo"), example={"id": "training"}, move="provision", **_DO),
    Action(path=("datareference", "destroy"), method="datareference_destroy", roles=USERS, kind="command", parameters=One,
           summary="Remove a reference that has no live instances.", noun="datareference", positional="id",
           errors=("datareference.not_found", "datareference.in_use"), example={"id": "training"}, confirm=True, **_DO),
)

ERRORS = {
    "query.empty": "An empty query would create something for everything; `all: true` says that this is meant.",
    "query.syntax": "The query cannot be parsed; `errors` says where.",
    "query.unknown_operator": "The query uses an operator that does not exist.",
    "query.unknown_field": "The query names a field that the class does not have.",
    "query.bad_operand": "An operator got a value that it cannot use.",
    "query.too_deep": "The query is nested too deeply.",
    "query.too_long": "The query is too long.",
    "query.bad_regex": "The regular expression is not valid RE2 syntax.",
    "query.regex_too_costly": "The regular expression costs too much.",
    "datarequest.not_found": "There is no such request.",
    "datarequest.ambiguous": "Several requests have this name; `candidates` lists them.",
    "datarequest.name_taken": "There is a request of this name already.",
    "datarequest.illegal_move": "The state of the request does not allow this; `legal` lists what it allows.",
    "datarequest.in_use": "The request has live instances; `instances` names them.",
    "datarequest.pinned": "Somebody keeps instances of the request; `instances` names them with their pins.",
    "datarequest.not_needed": "The request has left Needed meanwhile.",
    "datarequest.nothing_to_lock": "Nothing is confirmed for the request, so there is nothing to write down.",
    "group.invalid": "A group cannot be read; the pointer says which member.",
    "lock.malformed": "This is not a lock, or not a whole one.",
    "lock.altered": "The lock was altered after it was written.",
    "lock.other_catalogue": "The lock is of another catalogue; ids and places of it mean nothing here.",
    "lock.gone": "Data of the lock is gone, and nothing has the same bytes; `errors` names each with what is nearest to it.",
    "explanation.not_found": "The request has no such version or attempt, or it is no longer kept.",
    "datareference.not_found": "There is no such reference.",
    "datareference.ambiguous": "Several references have this name; `candidates` lists them.",
    "datareference.name_taken": "There is a reference of this name with another query.",
    "datareference.illegal_move": "The state of the reference does not allow this; `legal` lists what it allows.",
    "datareference.nothing_to_swap": "The reference has no Ready data that could change place.",
    "datareference.swap_under_way": "The reference is changing place already.",
    "datareference.nothing_to_undo": "The reference has no change of place that could be undone.",
    "datareference.in_use": "The reference has live instances or an open request.",
    "idempotency.mismatch": "The Idempotency-Key was used before for something else.",
}

# reason.code of a failed request: a closed list.
REASONS = {
    "no_match": "Nothing in the catalogue matches the query; the funnel says which clause lost it.",
    "no_capacity": "A source or the target has no room.",
    "rejected_by_policy": "The policies rejected what matched, or left fewer than the minimum.",
    "over_budget": "It would cost more than may be spent.",
    "over_quota": "It would be more instances, or bytes, than its owner may have at a time.",
    "source_unavailable": "A source is suspended, shut down or does not answer.",
    "target_unusable": "The target does not exist, is not writable or is not Ready.",
    "provision_failed": "An instance could not be made.",
    "checksum_mismatch": "What was read is not what the catalogue or the source says.",
    "data_refused": "Data was found to be malware, or not what its name says, or could not be inspected; `cause` says which.",
    "deadline_passed": "The deadline passed before the data was ready.",
    "cancelled": "Somebody cancelled it.",
    "instances_destroyed": "Its instances were destroyed by their user (of a Completed request, or of a rejected reservation: instance_destroyed).",
    "reaped": "Its copies were used least recently, and their room at the target was needed (of a Completed request).",
    "lifetime_over": "The lifetime of its instances is over (of a Completed request).",
    "too_many_candidates": "More data matches than one request may take.",
    "selection_impossible": "What matches cannot be chosen together or apart as `select` asks.",
    "action_impossible": "The action asked for cannot be done with this data.",
    "bad_query": "The query was refused by the catalogue.",
    "handler_failing": "What handles its step fails each time, in a way that nobody foresaw (only of one that waits; a dead letter has the details).",
    "service_unavailable": "The service that takes its next step is away or not well (only of one that waits; it goes on when that is back).",
    "scanner_unavailable": "The scanner for malware does not answer (only of one that waits; its data is handed over once it does).",
    "internal": "A part failed in a way that it does not know; the log has the details.",
}
