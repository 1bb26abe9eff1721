"""What the service ``events`` answers: the event log, dead letters and operations; and the rows of ``identities``."""
from __future__ import annotations

from marshmallow import Schema, fields

from shared.contracts import identities
from shared.contracts.action import Action
from shared.contracts.fields import Expression, between
from shared.contracts.parameters import One, about, listing
from shared.kernel.rights import USERS


class EventListing(Schema):
    """A stretch of the event log."""

    after = fields.Integer(validate=between(0, 2**62), metadata=about("Only messages after this sequence."))
    event = fields.String(metadata=about("A name, or a pattern such as datarequest.*"))
    object = fields.String(metadata=about("The id or name of the object."))
    correlation_id = fields.String(metadata=about("Everything that belongs to one call."))
    since = fields.String(metadata=about("Only messages since this time, or this long ago."))
    limit = fields.Integer(load_default=50, validate=between(1, 1000), metadata=about("How many at most in one page."))
    cursor = fields.String(metadata=about("Where to go on: the `next` of the page before."))
    sort = fields.String(metadata=about("`sequence` (oldest first) or `-sequence`."))


StreamParameters = Schema.from_dict({
    "event": fields.String(metadata=about("A name, or a pattern such as datarequest.*; several with commas.")),
    "class": fields.String(metadata=about("A class of objects, such as datarequest; several with commas.")),
    "object": fields.String(metadata=about("The id or name of the object.")),
    "owner": fields.String(metadata=about("Whom the object belongs to.")),
    "query": Expression(metadata=about("A query over the object, where all messages are about one class.")),
    "after": fields.Integer(validate=between(0, 2**62), metadata=about("Resume after this sequence.")),
}, name="StreamParameters")
"""A live stream of messages, on every face that has one."""


class SendParameters(Schema):
    """One of the handled messages."""

    event = fields.String(required=True, metadata=about("datareference.provisioning, datarequest.needed or datarequest.selected."))
    obj = fields.Raw(required=True, metadata=about("The object, its id or its name."))


class ReplayParameters(Schema):
    """Dead letters to hand to their handlers again."""

    id = fields.String(metadata=about("One dead letter."))
    event = fields.String(metadata=about("All dead letters of this message."))
    queue = fields.String(metadata=about("All dead letters of this queue."))
    all = fields.Boolean(metadata=about("Every dead letter that was not replayed yet."))


class OperationListing(Schema):
    """Operations, newest first."""

    status = fields.String(metadata=about("running, waiting, succeeded, failed or cancelled."))
    kind = fields.String(metadata=about("datarequest, scan or audit."))
    limit = fields.Integer(load_default=50, validate=between(1, 200), metadata=about("How many at most in one page."))
    cursor = fields.String(metadata=about("Where to go on: the `next` of the page before."))


_DO = {"tree": "do", "service": "events"}

ACTIONS = (
    Action(path=("event", "list"), method="list", kind="query", parameters=EventListing,
           summary="List what happened, in order.", noun="event", answer="page", errors=("parameter.invalid",),
           example={"event": "datarequest.*"}, **_DO),
    Action(path=("event", "stream"), method="stream", kind="query", parameters=StreamParameters,
           summary="Follow what happens, live; resumes from a sequence without a gap.", noun="event", answer="stream",
           example={"event": "datarequest.*"}, **_DO),
    Action(path=("event", "send"), method="send", roles=USERS, kind="command", parameters=SendParameters,
           summary="Send one of the messages that the product handles.", noun="event", answer="document",
           errors=("event.not_handled",), example={"event": "datarequest.needed", "obj": "scans"}, **_DO),
    Action(path=("event", "dead", "list"), method="dead_list", kind="query", parameters=listing("deadletter"),
           summary="List the messages that could not be handled, and why.", noun="deadletter", answer="page", **_DO),
    Action(path=("event", "dead", "replay"), method="dead_replay", kind="command", parameters=ReplayParameters,
           summary="Hand dead letters to their handlers again.", noun="deadletter", answer="page",
           errors=("deadletter.not_found", "deadletter.unnamed"), example={"id": "dead_…"}, **_DO),
    Action(path=("operation", "list"), method="operation_list", kind="query", parameters=OperationListing,
           summary="List what is, or was, under way.", noun="operation", answer="page", **_DO),
    Action(path=("operation", "show"), method="operation_show", kind="query", parameters=One,
           summary="Show how far something long has come.", noun="operation", positional="id",
           errors=("operation.not_found",), example={"id": "oper_…"}, **_DO),
    Action(path=("operation", "cancel"), method="operation_cancel", kind="command", parameters=One,
           summary="Stop something long.", noun="operation", positional="id",
           errors=("operation.not_found", "operation.over", "datarequest.illegal_move"), example={"id": "oper_…"}, confirm=True,
           within=("running", "waiting"), **_DO),
    *identities.ACTIONS,
)

ERRORS = {
    "event.not_handled": "The product does not handle this message; only three can be sent.",
    "deadletter.not_found": "There is no such dead letter.",
    "deadletter.unnamed": "No dead letter was named.",
    "operation.not_found": "There is no such operation.",
    "operation.over": "The operation is over; there is nothing left to stop.",
    **identities.ERRORS,
}
