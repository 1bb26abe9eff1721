"""The keys as rows: what is kept of a secret, and the queries over keys, each with a name and a sentence.

Decides nothing about who may do what.
"""
from __future__ import annotations

import base64
import os
import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from services.events.models import APIKEY, apikey_table
from shared.kernel import clock
from shared.kernel.digests import Digests, algorithm_of, digest
from shared.lists import Lister
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

keys = Lister(APIKEY)

ACTIVE, EXPIRED, REVOKED = "Active", "Expired", "Revoked"
KEY, SESSION = "key", "session"
FORM = re.compile(r"edk_([0-7][0-9A-HJKMNP-TV-Z]{25})_([a-z2-7]{52})", re.ASCII)
"""A key: a mark that scanners of leaked secrets can look for, the ULID of its row, 256 random bits in base 32."""
# A use is noted when the last one that was noted lies so far back: nobody needs it to the second, and each costs a write.
NOTED_EVERY_S = 600


def new_secret() -> str:
    """256 bits from the system's generator, as 52 characters."""
    return base64.b32encode(os.urandom(32)).decode().rstrip("=").lower()


def key_of(key_id: str, secret: str) -> str:
    """The key as its owner gets it."""
    return f"edk_{key_id.split('_', 1)[1]}_{secret}"


def kept(digests: Digests, secret: str) -> str:
    """What the table keeps of a secret: its digest, digested once more.

    No slow function for passwords, because there is nothing to guess: the secret is 256 random bits, and
    10^18 tries a second would take longer than the universe has. Twice, so that who has read the table cannot send what
    stands in it: what is sent is the digest before.
    """
    return _of_sent(digest(digests.made_with, secret.encode()))


def _of_sent(sent: str) -> str:
    """The same of the digest that a gateway sends, by the algorithm that it carries the name of: the secret itself is on no bus and in no log."""
    return digest(algorithm_of(sent), f"edgemere key {sent}".encode())


def which_fits(digests: Digests, row: Row, sent: str, now: str) -> str | None:
    """Of which secret of the key a gateway sent the digest: ``now``, ``before`` while both work, or None; takes as long either way.

    Raises:
        OtherAlgorithm: neither is of the algorithm by which it was sent.
    """
    if not digests.believes(algorithm_of(sent)):
        return None
    old = row["old_digest"] if row["old_digest"] and (row["overlap_until"] or "") > now else ""
    fits_now, fits_before = (digests.fits(one, lambda _: _of_sent(sent)) for one in (row["digest"], old))
    if not fits_now and not fits_before:
        others = [algorithm_of(one) for one in (row["digest"], old) if one and algorithm_of(one) != algorithm_of(sent)]
        if others and digests.believes(others[0]):
            raise OtherAlgorithm(others[0])
    return "now" if fits_now else "before" if fits_before else None


class OtherAlgorithm(Exception):
    """What is kept of the key was made with the algorithm ``args[0]``: ask again with a digest of that."""


def by_id(connection: Connection, key_id: str) -> Row | None:
    """A key by its id, in any state."""
    found = connection.execute(select(apikey_table).where(apikey_table.c.id == key_id)).mappings().first()
    return dict(found) if found else None


def by_name(connection: Connection, name: str, owner: str | None) -> list[Row]:
    """The keys of this name among those of ``owner`` (None: of all), the working ones before those that ended, the newest first."""
    table = apikey_table
    mine = [] if owner is None else [table.c.owner == owner]
    rows = [dict(row) for row in connection.execute(
        select(table).where(table.c.name == name, *mine).order_by(table.c.id.desc()).limit(100)).mappings()]
    return sorted(rows, key=lambda row: row["state"] != ACTIVE)


def count_of(connection: Connection, owner: str) -> int:
    """How many keys an owner has had."""
    return connection.execute(select(func.count()).select_from(apikey_table).where(apikey_table.c.owner == owner)).scalar_one()


def add(uow: UnitOfWork, row: Row) -> bool:
    """Write a new key down; False where its id, or a working one's name, is there already."""
    dialect = postgresql if uow.connection.dialect.name == "postgresql" else sqlite
    return uow.connection.execute(dialect.insert(apikey_table).values(**row).on_conflict_do_nothing()).rowcount == 1


def change(uow: UnitOfWork, row: Row, now: str, **values: Any) -> Row:
    """Change a key; its version rises."""
    new = {**values, "version": row["version"] + 1, "updated_at": now}
    uow.connection.execute(update(apikey_table).where(apikey_table.c.id == row["id"]).values(**new))
    return {**row, **new}


def sessions_of(uow: UnitOfWork, key_id: str) -> list[Row]:
    """The working sessions that were opened with a key."""
    table = apikey_table
    return uow.rows(select(table).where(table.c.parent_id == key_id, table.c.state == ACTIVE).with_for_update())


def note_use(connection: Connection, key_id: str, now: str, before: str) -> None:
    """Note that a key was used, unless that was noted since ``before``."""
    table = apikey_table
    connection.execute(update(table).where(
        table.c.id == key_id, or_(table.c.last_used_at.is_(None), table.c.last_used_at < before)).values(last_used_at=now))


def is_idle(row: Row, idle_s: float) -> bool:
    """Whether a session was left: nothing was asked with it for ``idle_s``, nor was it made since."""
    return row["kind"] == SESSION and (row["last_used_at"] or row["created_at"]) <= clock.stamp_in(-idle_s)


def noted_every_s(row: Row, idle_s: float) -> float:
    """How old the last use that was noted may become: of a session, a small part of the time after which it ends."""
    return min(NOTED_EVERY_S, idle_s / 20) if row["kind"] == SESSION else NOTED_EVERY_S


def end_old(uow: UnitOfWork, now: str, idle_since: str) -> int:
    """Mark the keys whose time is over, and the sessions that were not used since ``idle_since``; how many."""
    table = apikey_table
    left = and_(table.c.kind == SESSION, func.coalesce(table.c.last_used_at, table.c.created_at) <= idle_since)
    return uow.connection.execute(update(table).where(
        table.c.state == ACTIVE, or_(table.c.expires_at <= now, left)).values(state=EXPIRED, version=table.c.version + 1, updated_at=now)).rowcount


def forget_sessions(uow: UnitOfWork, before: str) -> int:
    """Drop sessions that ended before a moment; keys are kept, because the audit log names them."""
    table = apikey_table
    return uow.connection.execute(table.delete().where(
        and_(table.c.kind == SESSION, table.c.state != ACTIVE, table.c.updated_at < before))).rowcount


def revoked_of(rows: Sequence[Row]) -> dict[str, Any]:
    """What the gateways are told: which keys to look up anew."""
    return {"ids": [row["id"] for row in rows]}
