"""Keys as they are asked for: made, shown, given a new secret, revoked, and looked up for a gateway that was shown one.

A secret leaves this module once, in the answer that makes it; a repeated call (Idempotency-Key) shows the key without it.
"""
from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from services.events import keyring, notices
from services.events.models import APIKEY, apikey_table, render_apikey
from shared.kernel.rights import ADMINISTRATOR, ROLES
from shared.hosting import quotas
from shared.hosting.sealing import digests_of
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.context import Context
from shared.kernel.digests import Digests
from shared.kernel.errors import Conflict, DeadlineExceeded, Denied, Invalid, NotFound, Unauthenticated, Unavailable, did_you_mean
from shared.kernel.ids import is_id, new_id, noun_of
from shared.lists.naming import known_names
from shared.query.values import is_clean
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

log = logging.getLogger(__name__)

LONGEST_OVERLAP_S = 30 * 86400.0
SESSION_KEPT_S = 86400.0
REVOKED = "apikey.revoked"


def create(uses: Uses, parameters: dict[str, Any]) -> dict[str, Any]:
    """Make a key. The answer's ``key`` is the only place where its secret is ever shown.

    Raises:
        Denied: ``apikey.denied``, a key for somebody else; ``apikey.roles``, roles that the caller does not have.
        Conflict: ``apikey.name_taken``.
    """
    context = uses.context
    owner = parameters.get("owner") or context.owner
    if owner != context.owner and not _is_administrator(context):
        raise Denied("apikey.denied", f"Only an Administrator may make a key for '{owner}'.",
                     next_step="Leave out owner, or ask an Administrator.",
                     errors=[{"pointer": "/owner", "detail": "That is somebody else."}])
    roles = parameters.get("roles") or [role for role in ROLES if role in context.roles]
    _check_roles(context, roles)
    with uses.db.transaction(context) as uow:
        name = parameters.get("name") or f"apikey-{keyring.count_of(uow.connection, owner)}"
        row, key = _added(uow, digests_of(uses.config), owner, name, roles, parameters.get("lifetime"), made_by=context.owner)
        notices.write(uow, row, notices.MADE)
        uow.remember("apikey", row["id"])
        uow.audited(row["id"])
    return {**render_apikey(row), "key": key}


def find(uses: Uses, parameters: dict[str, Any]) -> dict[str, Any]:
    """A page of keys: one's own, or everybody's for an Administrator."""
    with uses.db.reading() as connection:
        return keyring.keys.answer(connection, parameters, owner=_only_of(uses), must_exist=False)


def show(uses: Uses, parameters: dict[str, Any]) -> dict[str, Any]:
    """One key, by its id or name.

    Raises:
        NotFound: ``apikey.not_found``; that of somebody else is not there either.
    """
    with uses.db.reading() as connection:
        return render_apikey(_found(connection, parameters["id"], _only_of(uses)))


def rotate(uses: Uses, parameters: dict[str, Any]) -> dict[str, Any]:
    """Give a key a new secret; the one before works on for ``overlap`` seconds, so that its users can change over.

    Raises:
        NotFound: ``apikey.not_found``. Conflict: ``apikey.over``, it has ended. Invalid: the overlap is too long.
    """
    overlap_s = parameters.get("overlap") or 0.0
    if overlap_s > LONGEST_OVERLAP_S:
        raise Invalid("parameter.invalid", "do.apikey.rotate: overlap: At most 30d.", next_step="Give less.",
                      errors=[{"pointer": "/overlap", "detail": "At most 30d."}])
    with uses.db.transaction(uses.context) as uow:
        row = _found(uow.connection, parameters["id"], _only_of(uses))
        if render_apikey(row)["state"] != keyring.ACTIVE:
            raise Conflict("apikey.over", f"The key '{row['name']}' has ended ({row['state']}).", next_step="Make a new one.")
        secret, now = keyring.new_secret(), clock.stamp()
        row = keyring.change(
            uow, row, now, digest=keyring.kept(digests_of(uses.config), secret), old_digest=row["digest"] if overlap_s else None,
            overlap_until=clock.stamp_in(overlap_s) if overlap_s else None)
        _tell_gateways(uow, [row])
        notices.write(uow, row, notices.ROTATED)
        uow.remember("apikey", row["id"])
        uow.audited(row["id"])
    return {**render_apikey(row), "key": keyring.key_of(row["id"], secret)}


def revoke(uses: Uses, parameters: dict[str, Any]) -> dict[str, Any]:
    """End a key and the sessions opened with it. A key that is revoked already stays so.

    The gateways are told in the transaction's own outbox, which is milliseconds later; one that does not hear it asks
    again after its ``auth.cache_s`` at the latest.

    Raises:
        NotFound: ``apikey.not_found``.
    """
    with uses.db.transaction(uses.context) as uow:
        row = _found(uow.connection, parameters["id"], _only_of(uses))
        if row["state"] != keyring.REVOKED:
            now = clock.stamp()
            ended = [keyring.change(uow, one, now, state=keyring.REVOKED, revoked_at=now, old_digest=None, overlap_until=None)
                     for one in (row, *keyring.sessions_of(uow, row["id"]))]
            row = ended[0]
            _tell_gateways(uow, ended)
            if row["kind"] == keyring.KEY:
                notices.write(uow, row, notices.REVOKED)
            uow.audited(*(one["id"] for one in ended))
        uow.remember("apikey", row["id"])
    return render_apikey(row)


def whoami(uses: Uses) -> dict[str, Any]:
    """Who is calling: ``{owner, roles, credential, anonymous, key, notices, quota}``.

    ``key`` is the row of the key, where it is one; ``notices`` are what was done with his keys and he has not seen yet
    (``{id, time, what, key, by, credential, address}``); ``quota`` says what there may be of what, and what remains.
    """
    context = uses.context
    found: dict[str, Any] = {"owner": context.owner, "roles": list(context.roles), "credential": context.credential or None,
                             "anonymous": not context.credential, "key": None}
    with uses.db.reading() as connection:
        if noun_of(context.credential) == "apikey":
            row = keyring.by_id(connection, context.credential)
            found["key"] = render_apikey(row) if row else None
        found["notices"] = notices.unseen(connection, context.owner)
    return {**found, "quota": _quota(uses, context.owner)}


def seen(uses: Uses, parameters: dict[str, Any]) -> dict[str, Any]:
    """Note that the caller has seen what was done with his keys, up to one of the notices; who he is, as ``whoami`` says it."""
    context = uses.context
    with uses.db.transaction(context) as uow:
        notices.see(uow, context.owner, parameters.get("upto"))
        if noun_of(context.credential) == "apikey":
            # How many wait is part of what gateways know of a key.
            uow.tell(REVOKED, context.credential, {"ids": [context.credential]})
    return whoami(uses)


def _quota(uses: Uses, owner: str) -> dict[str, Any]:
    quota = quotas.quota_of(uses.config, owner)
    used: dict[str, int] = {}
    for kinds, service in (({"requests"}, "requests"), ({"instances", "bytes"}, "instances")):
        if quota.keys() & kinds:
            try:
                used |= uses.mesh.call(service, "held_by", owner=owner)
            except (Unavailable, DeadlineExceeded):
                continue  # What is not known now is left out.
    return quotas.standing(quota, used)


# --- what gateways ask ---------------------------------------------------------------------------------------------

def identify(uses: Uses, key_id: str, digest: str) -> dict[str, Any]:
    """Whose key this is: ``{id, owner, roles, expires_at, kind, since, notices}``.

    ``since`` is when the person of a session logged in, ``notices`` how much was done with his keys that the owner has not seen.

    Raises:
        Unauthenticated: ``key.wrong`` (unknown or another secret: which, is not said; ``again_with``: the algorithm of the digest by which
            it can be found out), ``key.revoked``, ``key.expired``.
    """
    if not is_id(key_id, "apikey"):
        raise wrong_key()
    now = clock.stamp()
    with uses.db.reading() as connection:
        row = keyring.by_id(connection, key_id)
        waiting = notices.waiting(connection, row["owner"]) if row else 0
    try:
        which = row and keyring.which_fits(digests_of(uses.config), row, digest, now)
    except keyring.OtherAlgorithm as other:
        raise wrong_key(again_with=other.args[0]) from None
    if row is None or which is None:
        raise wrong_key()
    if row["state"] == keyring.REVOKED:
        raise Unauthenticated("key.revoked", f"The key '{row['name']}' was revoked.", next_step="Ask an Administrator for another.")
    if row["state"] != keyring.ACTIVE or row["expires_at"] and row["expires_at"] <= now:
        raise Unauthenticated("key.expired", f"The key '{row['name']}' ended {row['expires_at']}.",
                              next_step="Make a new one, or log in again.")
    if keyring.is_idle(row, uses.config.auth.session_idle_s):
        raise Unauthenticated("key.expired", "This login was not used for too long.", next_step="Log in again.")
    before = clock.stamp_in(-keyring.noted_every_s(row, uses.config.auth.session_idle_s))
    if (row["last_used_at"] or "") < before:
        with uses.db.at_once() as connection:
            keyring.note_use(connection, key_id, now, before)
    # The old secret's end is the end of what was just found out.
    ends = [row["expires_at"], row["overlap_until"] if which == "before" else None]
    return {"id": row["id"], "owner": row["owner"], "roles": row["roles"], "kind": row["kind"],
            "expires_at": min(filter(None, ends), default=None), "since": row["created_at"] if row["kind"] == keyring.SESSION else None, "notices": waiting}


def open_session(uses: Uses, lifetime_s: float, until: str | None) -> dict[str, Any]:
    """A key for the page of a browser, with the owner and roles of the context, that ends with what it was opened with."""
    context = uses.context
    parent = context.credential if noun_of(context.credential) == "apikey" else None
    with uses.db.transaction(context) as uow:
        name = f"session-{new_id('apikey')[5:]}"
        row, key = _added(uow, digests_of(uses.config), context.owner, name, list(context.roles), lifetime_s, made_by=context.owner,
                          kind=keyring.SESSION, parent=parent, until=until)
        opened_with = keyring.by_id(uow.connection, parent) if parent else None
        notices.entered(uow, row, opened_with or row)
    return {**render_apikey(row), "key": key}


def close_session(uses: Uses) -> bool:
    """End the session that the call is made with; False where it is made with something else."""
    with uses.db.transaction(uses.context) as uow:
        row = keyring.by_id(uow.connection, uses.context.credential)
        if row is None or row["kind"] != keyring.SESSION:
            return False
        now = clock.stamp()
        _tell_gateways(uow, [keyring.change(uow, row, now, state=keyring.REVOKED, revoked_at=now)])
    return True


def sweep(uses: Uses) -> None:
    """Mark keys whose time is over, and drop sessions that ended a day ago."""
    with uses.db.transaction() as uow:
        keyring.end_old(uow, clock.stamp(), clock.stamp_in(-uses.config.auth.session_idle_s))
        keyring.forget_sessions(uow, clock.stamp_in(-SESSION_KEPT_S))
        notices.forget(uow)


# --- the first key -------------------------------------------------------------------------------------------------

def bootstrap(db: Any, owner: str, lifetime_s: float, key: str | None = None, name: str = "bootstrap",
              digests: Digests = Digests()) -> tuple[Row, str] | None:
    """The first Administrator's key, written into the database itself: nobody is there yet who could make it.

    ``key`` is one that somebody made before (``fresh_key``); None where it is there already. It ends after ``lifetime_s``: it lay in a
    file, or on a screen, and is for making the keys that stay.

    Raises:
        Invalid: ``credential.malformed``, that is no key. Conflict: ``apikey.name_taken``.
    """
    if key is not None and not keyring.FORM.fullmatch(key):
        raise Invalid("credential.malformed", "What the bootstrap file holds is not a key.",
                      next_step="Make one with: edgemere apikey new")
    with db.transaction(Context(owner=owner)) as uow:
        if key is None and any(row["state"] == keyring.ACTIVE for row in keyring.by_name(uow.connection, name, owner)):
            raise Conflict("apikey.name_taken", f"'{owner}' has a working key named '{name}' already.",
                           next_step="Use it, or give this one another --name.")
        if key is not None and keyring.by_id(uow.connection, f"akey_{key[4:30]}") is not None:
            return None
        if key is not None:
            # Its own name: a second file may follow the first.
            name = f"{name}-{key[26:30].lower()}"
        row, key = _added(uow, digests, owner, name, list(ROLES), lifetime_s, made_by="bootstrap", key=key)
        notices.write(uow, row, notices.MADE, by="bootstrap")
        return row, key


def fresh_key() -> str:
    """A key that is written down nowhere yet."""
    return keyring.key_of(new_id("apikey"), keyring.new_secret())


def wrong_key(**more: Any) -> Unauthenticated:
    return Unauthenticated("key.wrong", "There is no such key, or its secret is another.",
                           next_step="Look at how it was copied; a lost key cannot be shown again, but rotated.", **more)


# --- inside --------------------------------------------------------------------------------------------------------

def _added(uow: UnitOfWork, digests: Digests, owner: str, name: str, roles: list[str], lifetime_s: float | None, *, made_by: str,
           kind: str = keyring.KEY, parent: str | None = None, until: str | None = None, key: str | None = None) -> tuple[Row, str]:
    now = clock.stamp()
    key = key or fresh_key()
    ends = min(filter(None, (until, clock.stamp_in(lifetime_s) if lifetime_s else None)), default=None)
    row = {column.key: None for column in apikey_table.columns} | {
        "id": f"akey_{key[4:30]}", "version": 1, "created_at": now, "updated_at": now, "owner": owner, "name": name, "kind": kind,
        "state": keyring.ACTIVE, "roles": roles, "digest": keyring.kept(digests, key[31:]), "expires_at": ends,
        "made_by": made_by, "parent_id": parent}
    if not keyring.add(uow, row):
        raise Conflict("apikey.name_taken", f"'{owner}' has a working key named '{name}' already.",
                       next_step="Choose another name, or rotate that one.")
    return row, key


def _check_roles(context: Context, roles: list[str]) -> None:
    beyond = [] if _is_administrator(context) else [role for role in roles if role not in context.roles]
    if beyond:
        raise Denied("apikey.roles", f"A key cannot have the role {beyond[0]}, which its maker does not have.",
                     next_step=f"Use some of {', '.join(context.roles) or 'no role at all'}.",
                     errors=[{"pointer": "/roles", "detail": f"You do not have {role}."} for role in beyond])


def _tell_gateways(uow: UnitOfWork, rows: list[Row]) -> None:
    uow.tell(REVOKED, rows[0]["id"], keyring.revoked_of(rows))


def _found(connection: Any, ref: str, owner: str | None) -> Row:
    """The key that an id or name means: of several with a name the working one, else the newest."""
    rows: list[Row] = []
    if is_id(ref, "apikey"):
        row = keyring.by_id(connection, ref)
        rows = [row] if row is not None and owner in (None, row["owner"]) else []
    elif is_clean(ref):
        rows = keyring.by_name(connection, ref, owner)
        working = [row for row in rows if row["state"] == keyring.ACTIVE]
        if len(working) > 1:
            raise Conflict("apikey.ambiguous", f"{len(working)} keys are called '{ref}'.", next_step="Name one by its id.",
                           candidates=[{"id": row["id"], "name": row["name"], "owner": row["owner"]} for row in working[:20]])
    if not rows:
        near = known_names(connection, APIKEY, keyring.keys.mine(owner))
        raise NotFound("apikey.not_found", f"There is no key '{ref[:200]}'.{did_you_mean(ref[:200], near)}",
                       next_step="'apikey list' shows what there is.")
    return rows[0]


def _is_administrator(context: Context) -> bool:
    return ADMINISTRATOR in context.roles


def _only_of(uses: Uses) -> str | None:
    return None if _is_administrator(uses.context) else uses.context.owner


REPLAYS: dict[str, Callable[[Uses, dict[str, Any]], Any]] = {"apikey": show}
