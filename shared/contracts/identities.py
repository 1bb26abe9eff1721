"""Who may call, and who did what: rows of the service ``events`` for keys, for the caller itself, and for the audit log."""
from __future__ import annotations

from marshmallow import Schema, ValidationError, fields
from marshmallow.validate import Length

from shared.contracts.action import Action
from shared.contracts.fields import Duration, Name, between
from shared.contracts.parameters import Nothing, One, about, listing
from shared.kernel.errors import did_you_mean
from shared.kernel.rights import ADMINISTRATOR, ROLES


class Roles(fields.Field):
    """Roles as a list, or as a text with commas between them; becomes a list in the order of ``ROLES``."""

    def _deserialize(self, value, attr, data, **kwargs):
        if isinstance(value, str):
            value = [part.strip() for part in value.strip("[] ").replace('"', "").split(",") if part.strip()]
        if not isinstance(value, list) or not value or not all(isinstance(role, str) for role in value):
            raise ValidationError(f"One or more of {', '.join(ROLES)} are needed here.")
        for role in value:
            if role not in ROLES:
                raise ValidationError(f"There is no role '{role[:60]}'.{did_you_mean(role, ROLES)}")
        return [role for role in ROLES if role in value]


class MakeKey(Schema):
    """A new key."""

    name = Name(metadata=about("What the key is for: a label, unique for its owner. Without one it is called apikey-<n>."))
    owner = Name(metadata=about("Whom the key speaks for; another than oneself needs an Administrator."))
    roles = Roles(metadata=about("What the key may do: no more than whoever makes it. Without it the same."))
    lifetime = Duration(metadata=about("When the key ends by itself: 90d, 12h. Without it never."))


class RotateKey(Schema):
    """A new secret for a key."""

    id = One().fields["id"]
    overlap = Duration(metadata=about("How long the secret before goes on working, at most 30d. Without it, it ends at once."))


class SeenUpTo(Schema):
    """What was seen of the notices about one's keys."""

    upto = fields.Integer(validate=between(0, 2**62), metadata=about("The id of the last notice that was seen. Without it all of them."))


def _person(required: bool) -> fields.String:
    return fields.String(required=required, validate=Length(1, 200), metadata=about(
        "Who: the name that is the owner of what is his." + ("" if required else " Without it oneself; another needs an Administrator.")))


class OnePerson(Schema):
    """A person, by the name that objects have as their owner."""

    owner = _person(False)


class ExportPerson(OnePerson):
    """What is kept of a person."""

    limit = fields.Integer(load_default=200, validate=between(1, 1000), metadata=about("How many at most in one page."))
    cursor = fields.String(metadata=about("Where to go on: the `next` of the page before."))


class RemovePerson(Schema):
    """A person to remove."""

    owner = _person(True)
    preview = fields.Boolean(load_default=False, metadata=about("Whether to say only what would be done, and what stands in the way."))


class SinceHead(Schema):
    """How far the audit log was, when somebody wrote it down."""

    sequence = fields.Integer(validate=between(0, 2**62), metadata=about("The position that was noted."))
    hash = fields.String(metadata=about("The hash that was noted with it: shows whether the end was cut off since."))


_DO = {"tree": "do", "service": "events"}
_KEY = {"noun": "apikey", "positional": "id"}

ACTIONS = (
    Action(path=("apikey", "create"), method="apikey_create", kind="command", parameters=MakeKey,
           summary="Make a key for a program or a person; its secret is shown this once.", noun="apikey", creates=True,
           errors=("apikey.name_taken", "apikey.roles", "apikey.denied"), positional="name",
           example={"name": "nightly-report", "roles": ["DataScientist"], "lifetime": "90d"}, fresh=True, **_DO),
    Action(path=("apikey", "list"), method="apikey_list", kind="query", parameters=listing("apikey"),
           summary="List keys: one's own; an Administrator sees everybody's.", noun="apikey", answer="page", **_DO),
    Action(path=("apikey", "show"), method="apikey_show", kind="query", parameters=One,
           summary="Show what a key may do, and when it was last used; never its secret.",
           errors=("apikey.not_found",), example={"id": "nightly-report"}, **_KEY, **_DO),
    Action(path=("apikey", "rotate"), method="apikey_rotate", kind="command", parameters=RotateKey,
           summary="Give a key a new secret, shown this once; the one before may work on for a while.",
           errors=("apikey.not_found", "apikey.over"), example={"id": "nightly-report", "overlap": "1h"}, fresh=True, **_KEY, **_DO),
    Action(path=("apikey", "revoke"), method="apikey_revoke", kind="command", parameters=One,
           summary="End a key at once, everywhere, with the sessions that were opened with it.",
           errors=("apikey.not_found",), example={"id": "nightly-report"}, confirm=True, fresh=True, **_KEY, **_DO),
    Action(path=("identity", "show"), method="identity_show", kind="query", parameters=Nothing,
           summary="Show who is calling: the owner, the roles, the credential that says so, and what was done with his keys.", noun="identity",
           answer="document", **_DO),
    Action(path=("identity", "seen"), method="identity_seen", kind="command", parameters=SeenUpTo,
           summary="Say that what was done with one's keys was seen: answers stop to tell it.", noun="identity",
           answer="document", example={"upto": 12}, **_DO),
    Action(path=("person", "show"), method="person_show", kind="query", parameters=OnePerson,
           summary="Show what there is of a person, and until when the audit log keeps the name.", noun="person", answer="document",
           errors=("person.denied",), positional="owner", **_DO),
    Action(path=("person", "export"), method="person_export", kind="query", parameters=ExportPerson,
           summary="Give out everything that is kept of a person, row by row.", noun="personrow", answer="page",
           errors=("person.denied",), positional="owner", **_DO),
    Action(path=("person", "remove"), method="person_remove", kind="command", parameters=RemovePerson,
           summary="Remove a person: his credentials end, and a pseudonym takes the place of his name in everything that is kept.", noun="person",
           answer="document", roles=(ADMINISTRATOR,), errors=("person.in_use", "person.oneself", "person.not_found"),
           example={"owner": "ann", "preview": True}, positional="owner", confirm=True, fresh=True, **_DO),
    Action(path=("audit", "list"), method="audit_list", kind="query", parameters=listing("auditentry"),
           summary="List who changed what, with which outcome, and whose login was refused.", noun="auditentry",
           answer="page", roles=(ADMINISTRATOR,), errors=("audit.denied",), example={"owner": "ann", "sort": "-sequence"}, **_DO),
    Action(path=("audit", "verify"), method="audit_verify", kind="query", parameters=SinceHead,
           summary="Look whether anything in the audit log was changed, taken out or put in since it was written.",
           noun="auditcheck", answer="document", roles=(ADMINISTRATOR,), errors=("audit.denied",), **_DO),
)

ERRORS = {
    "unauthenticated": "Nobody is named by the call, and this server answers to nobody without a login.",
    "credential.in_url": "A key or token stands in the address, where logs and histories keep it.",
    "credential.malformed": "What was sent as a credential is neither a key nor a token.",
    "credential.too_large": "The credential is longer than any that can be meant.",
    "credential.unavailable": "Whether the credential holds cannot be looked up now.",
    "credential.too_many_wrong": "Too many wrong credentials came from this address.",
    "key.wrong": "There is no such key, or its secret is another.",
    "key.revoked": "The key was revoked.",
    "key.expired": "The key has ended.",
    "token.malformed": "The token cannot be read.",
    "token.algorithm": "The token is unsigned, or signed in a way that is not taken here.",
    "token.unknown_key": "The token is signed with a key that its issuer does not publish, or does not name it.",
    "token.wrong_signature": "The signature is not that of the issuer.",
    "token.expired": "The token has ended.",
    "token.not_yet_valid": "The token's time has not come yet.",
    "token.wrong_audience": "The token is meant for another server.",
    "token.wrong_issuer": "The token comes from another issuer.",
    "token.incomplete": "The token lacks a claim that is needed, or has one that cannot be used.",
    "token.not_taken": "This server takes no tokens.",
    "key.not_taken": "This server takes no keys of programs, but tokens of an identity provider.",
    "auth.not_fresh": "The login is too old for what would do much harm in somebody else's hands; a new one is asked for.",
    "session.cross_site": "A call with the cookie of a session came from somewhere else than the server's own page.",
    "rate.exceeded": "More requests than the owner, or the address, may make in this time.",
    "apikey.not_found": "There is no such key among those that the caller may see.",
    "apikey.name_taken": "The owner has a living key of this name.",
    "apikey.roles": "A key cannot have a role that its maker does not have.",
    "apikey.ambiguous": "Several owners have a working key of this name.",
    "apikey.denied": "Only an Administrator may do this with keys of others.",
    "apikey.over": "The key has ended; it gets no new secret.",
    "person.denied": "Only an Administrator may ask about somebody else.",
    "person.in_use": "The person still has open requests, references, instances or scans; they are ended first.",
    "person.oneself": "Nobody removes himself.",
    "person.not_found": "There is nothing of such a person.",
    "audit.denied": "Only an Administrator may read the audit log.",
}
