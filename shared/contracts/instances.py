"""What the service ``instances`` answers: data made usable, and its bytes."""
from __future__ import annotations

from marshmallow import Schema, fields
from marshmallow.validate import Length

from shared.contracts.action import Action, Wait
from shared.contracts.fields import Duration, Expression, Ref, RefOrInline, When
from shared.contracts.parameters import One, about, listing
from shared.contracts.requests import REQUEST_ENDS
from shared.kernel.rights import USERS


class CreateParameters(Schema):
    """A reference: an id, a name, or a whole one given inline (``{"name", "query", …}``)."""

    dataref = RefOrInline(required=True, metadata=about("An id, a name, or an inline reference {name, query, …}."))


class DestroyParameters(Schema):
    """An instance, by id or name."""

    attr1 = Expression(metadata=about("The id or name of the instance."))
    id = Ref(metadata=about("The same, as the other actions call it."))


class ContentParameters(One):
    """One data of an instance."""

    data = Ref(metadata=about("The id, name or path of the data; needed when the instance has several."))


# 'for' is a word of Python, so that this schema cannot be written as a class.
RenewParameters = Schema.from_dict({
    "id": Ref(required=True, metadata=about("The id or name of the instance.")),
    "for": Duration(metadata=about("How long from now; without it, its own lifetime.")),
    "until": When(metadata=about("A time instead, or a duration from now.")),
}, name="RenewParameters")


class PinParameters(One):
    """An instance to keep."""

    owner = fields.String(validate=Length(1, 200), metadata=about("Who keeps it; without it, the caller."))
    reason = fields.String(validate=Length(1, 500), metadata=about("Why, in a sentence."))
    until = When(metadata=about("Until when: a time, or a duration from now. Without it, until it is unpinned."))


_DO = {"tree": "do", "service": "instances"}
_QUERY_ERRORS = ("query.syntax", "query.unknown_operator", "query.unknown_field", "query.bad_operand")
_INSTANCE_READY = Wait("datainstance", "id", "state", frozenset({"Ready", "Broken", "Destroyed"}),
                       ("instances", "show", "id"), operation_path="request.id")

ACTIONS = (
    Action(path=("datainstance", "create"), method="create", roles=USERS, kind="command", parameters=CreateParameters,
           summary="Turn a reference into instances: find, reserve and provision its data.", noun="provisioning",
           answer="document", creates=True, positional="dataref",
           wait=Wait("datarequest", "request.id", "state", REQUEST_ENDS, ("instances", "outcome", "request"),
                     default_s=30, operation_path="request.id"),
           errors=("datareference.not_found", "datareference.ambiguous", "datareference.name_taken", "query.empty",
                   *_QUERY_ERRORS),
           example={"dataref": {"name": "training", "query": "owner:darren"}}, **_DO),
    Action(path=("datainstance", "destroy"), method="destroy", kind="command", parameters=DestroyParameters,
           summary="Destroy an instance; a copy leaves its path at once.", noun="datainstance", positional="attr1",
           errors=("datainstance.not_found", "datainstance.ambiguous", "datainstance.unnamed", "datainstance.pinned"),
           example={"attr1": "training-0"}, confirm=True, move="destroy", **_DO),
    Action(path=("datainstance", "find"), method="find", kind="query", parameters=listing("datainstance"),
           summary="Find instances by id, name or query.", noun="datainstance", answer="page", positional="attr1",
           errors=("datainstance.not_found", *_QUERY_ERRORS), example={"attr1": "state:Ready"}, **_DO),
    Action(path=("datainstance", "list"), method="list", kind="query", parameters=listing("datainstance"),
           summary="List the instances.", noun="datainstance", answer="page", errors=_QUERY_ERRORS,
           example={"state": "Ready"}, **_DO),
    Action(path=("datainstance", "show"), method="show", kind="query", parameters=One,
           summary="Show one instance: where its data is and how to read it.", noun="datainstance", positional="id",
           errors=("datainstance.not_found",), example={"id": "training-0"}, **_DO),
    Action(path=("datainstance", "content"), method="content", roles=USERS, kind="query", parameters=ContentParameters,
           summary="Read the bytes of one data of an instance.", noun="datainstance", answer="content", positional="id",
           errors=("datainstance.not_found", "datainstance.not_ready", "datainstance.no_bytes", "data.not_found",
                   "datainstance.data_needed"),
           example={"id": "training-0"}, **_DO),
    Action(path=("datainstance", "retry"), method="retry", roles=USERS, kind="command", parameters=One,
           summary="Try a broken instance again.", noun="datainstance", positional="id", wait=_INSTANCE_READY,
           errors=("datainstance.not_found", "datainstance.illegal_move"), example={"id": "training-0"}, move="retry", **_DO),
    Action(path=("datainstance", "renew"), method="renew", roles=USERS, kind="command", parameters=RenewParameters,
           summary="Let an instance live longer: by its own lifetime from now, for a span, or until a time.", noun="datainstance",
           positional="id", errors=("datainstance.not_found", "datainstance.no_end", "datainstance.not_ready", "parameter.invalid"),
           example={"id": "training-0", "for": "2h"}, **_DO),
    Action(path=("datainstance", "pin"), method="pin", roles=USERS, kind="command", parameters=PinParameters,
           summary="Keep an instance: it does not expire, and is neither reaped nor destroyed.", noun="datainstance",
           positional="id", errors=("datainstance.not_found", "datainstance.pinned", "datainstance.request_over", "parameter.invalid"),
           example={"id": "training-0", "reason": "figures of the paper", "until": "2027-06-30"}, **_DO),
    Action(path=("datainstance", "unpin"), method="unpin", roles=USERS, kind="command", parameters=One,
           summary="No longer keep an instance: its lifetime counts again.", noun="datainstance", positional="id",
           errors=("datainstance.not_found",), example={"id": "training-0"}, **_DO),
    Action(path=("datainstance", "undo"), method="undo", roles=USERS, kind="command", parameters=One,
           summary="Bring a destroyed instance back within its grace time; it is verified before it is Ready.", noun="datainstance",
           positional="id", wait=_INSTANCE_READY,
           errors=("datainstance.not_found", "datainstance.illegal_move", "datainstance.grace_over", "datainstance.name_taken",
                   "datainstance.request_over", "datainstance.in_progress", "source.no_capacity", "datasource.not_ready"),
           example={"id": "training-0"}, move="undo", **_DO),
)

# Why data was refused that was inspected; no further attempt can help.
REFUSED_DATA = ("data.malicious", "data.type_mismatch", "data.not_scanned")

ERRORS = {
    "datainstance.not_found": "There is no such instance.",
    "datainstance.ambiguous": "Several instances have this name; `candidates` lists them.",
    "datainstance.unnamed": "No instance was named.",
    "datainstance.illegal_move": "The state of the instance does not allow this; `legal` lists what it allows.",
    "datainstance.not_ready": "The instance is not Ready, so its bytes cannot be read.",
    "datainstance.no_bytes": "The data lies in a simulated source, which has no bytes.",
    "datainstance.no_end": "The instance has no lifetime, so there is no end to set later.",
    "datainstance.pinned": "Somebody keeps the instance; `pin` says who, why and until when.",
    "datainstance.grace_over": "The grace time of the destroyed instance is over; `undo_until` says since when.",
    "datainstance.name_taken": "Another instance has the name of the destroyed one by now.",
    "datainstance.in_progress": "The instance is being brought back, or its copies are being removed, right now.",
    "datainstance.request_over": "The request of the instance has ended.",
    "datainstance.data_needed": "The instance has several data; name one of them.",
    "target.lost": "A copy is no longer at its target; an audit found that out.",
    "target.exists": "Something else is already at the place of the copy.",
    "target.trash_empty": "The copy that should come back is no longer in the target's trash.",
    "target.no_space": "The target is full; the part that was written is removed.",
    "target.not_writable": "The target cannot be written.",
    "source.vanished": "The data is no longer at its source.",
    "source.changed": "The data is no longer what the catalogue says.",
    "source.changed_during_copy": "The data changed while it was being copied.",
    "source.unreadable": "The data cannot be read.",
    "target.access_denied": "The store denies writing.",
    "target.throttled": "The store that receives the copy asks for fewer requests; it is tried again with pauses.",
    "target.timeout": "The store that receives the copy does not answer in time.",
    "target.bucket_missing": "The bucket that receives the copy does not exist.",
    "source.not_deletable": "Nothing may be deleted at the source; it needs parameters.deletable: true.",
    "data.in_use": "Others stand on the data where it lies, so it is not moved away from them; `holders` names them.",
    "checksum_mismatch": "What was read is not what the catalogue or the source says.",
    "data.malicious": "The scanner for malware found something in the data; nothing of it was kept. `finding` is what it calls it.",
    "data.type_mismatch": "The first bytes of the data are not those of what its name says; nothing of it was kept.",
    "data.not_scanned": "The data is larger than what is scanned for malware, and may not pass without.",
    "scanner.unavailable": "The scanner for malware does not answer; it is asked again until the request's deadline.",
    "fuse.silent": "What was mounted by FUSE does not answer; it is tried again.",
    "fuse.refused": "The system does not let the server mount by FUSE; data that lies far away is read through it.",
    "worker.died": "The process that moved the bytes died; the work is taken up again.",
}
