"""What the service ``reservations`` answers: reserve and evaluate, reservations, policies."""
from __future__ import annotations

from marshmallow import Schema

from shared.contracts.action import Action
from shared.contracts.fields import RefOrInline, Since, TextOrObject
from shared.contracts.parameters import Nothing, One, about, listing
from shared.contracts.requests import UNTIL_SATISFIED
from shared.kernel.rights import ENGINEERS, USERS


class OfRequest(Schema):
    """A request: an id, a name, or a whole request given inline, which is created first."""

    request = RefOrInline(required=True, metadata=about("An id, a name, or an inline request."))


class PolicyTestParameters(Schema):
    """A policy file to try on past decisions."""

    file = TextOrObject(required=True, metadata=about("The policies as YAML text or an object."))
    since = Since(metadata=about("How far back to look: a duration such as 30d, or a time. 30 days unless it says otherwise."))


_DO = {"tree": "do", "service": "reservations"}
_STEP_ERRORS = ("datarequest.not_found", "datarequest.ambiguous", "datarequest.illegal_move", "query.syntax")
_QUERY_ERRORS = ("query.syntax", "query.unknown_operator", "query.unknown_field", "query.bad_operand")

ACTIONS = (
    Action(path=("reserve",), method="reserve", roles=USERS, kind="command", parameters=OfRequest,
           summary="Find the data that a request needs and reserve it.", noun="datarequest", positional="request", inline="request",
           wait=UNTIL_SATISFIED, errors=_STEP_ERRORS, example={"request": "scans"}, **_DO),
    Action(path=("evaluate",), method="evaluate", roles=USERS, kind="command", parameters=OfRequest,
           summary="Decide how each reserved data is used, and have it provisioned.", noun="datarequest",
           positional="request", inline="request", wait=UNTIL_SATISFIED, errors=_STEP_ERRORS, example={"request": "scans"}, **_DO),
    Action(path=("datareservation", "list"), method="list", kind="query", parameters=listing("datareservation"),
           summary="List the reservations.", noun="datareservation", answer="page", errors=_QUERY_ERRORS,
           example={"request": "scans"}, **_DO),
    Action(path=("datareservation", "find"), method="find", kind="query", parameters=listing("datareservation"),
           summary="Find reservations by id, name or query.", noun="datareservation", answer="page", positional="attr1",
           errors=("datareservation.not_found", *_QUERY_ERRORS), example={"attr1": "state:Confirmed"}, **_DO),
    Action(path=("datareservation", "show"), method="show", kind="query", parameters=One,
           summary="Show one reservation with the decision that was taken.", noun="datareservation", positional="id",
           errors=("datareservation.not_found",), example={"id": "dres_…"}, **_DO),
    Action(path=("datareservation", "confirm"), method="confirm", roles=USERS, kind="command", parameters=One,
           summary="Confirm a reservation by hand.", noun="datareservation", positional="id",
           errors=("datareservation.not_found", "datareservation.illegal_move"), example={"id": "dres_…"}, move="confirm", **_DO),
    Action(path=("datareservation", "free"), method="free", roles=USERS, kind="command", parameters=One,
           summary="Give a reservation back: its claim is released.", noun="datareservation", positional="id",
           errors=("datareservation.not_found", "datareservation.illegal_move", "datareservation.in_use"),
           example={"id": "dres_…"}, confirm=True, move="free", **_DO),
    Action(path=("policy", "list"), method="policy_list", kind="query", parameters=Nothing,
           summary="List the policy rules in their order, and what is wrong with a newer file that does not count.", noun="policy",
           answer="page", **_DO),
    Action(path=("policy", "show"), method="policy_show", kind="query", parameters=One,
           summary="Show one policy rule.", noun="policy", positional="id", errors=("policy.not_found",),
           example={"id": "default"}, **_DO),
    Action(path=("policy", "test"), method="policy_test", roles=ENGINEERS, kind="query", parameters=PolicyTestParameters,
           summary="Try a policy file on past decisions: what would differ, and at what cost. Nothing is changed.", noun="policytest",
           answer="document", errors=("policy.invalid",),
           example={"file": "rules: [{name: closed, when: 'data.licence:closed', action: reject}]", "since": "2026-07-01"}, **_DO),
)

ERRORS = {
    "datareservation.not_found": "There is no such reservation.",
    "datareservation.ambiguous": "Several reservations have this name; `candidates` lists them.",
    "datareservation.illegal_move": "The state of the reservation does not allow this; `legal` lists what it allows.",
    "datareservation.in_use": "An instance stands on this reservation.",
    "policy.not_found": "There is no such policy rule.",
    "policy.invalid": "The policy file cannot be used; `errors` says where.",
}
