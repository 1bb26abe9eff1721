"""The audit log as rows that are only added, each with a digest over itself and the one before. Decides nothing else.

Triggers of the database refuse to change a row, or to take out one that was not forgotten by its age (see the
migration); the chain shows it where somebody went past them. With ``audit.key`` set, the chain cannot be made anew by
somebody who has the database alone.
"""
from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, select, text

from services.events.models import AUDIT, AUDITED, audit_floor_table, audit_table
from shared.kernel.digests import Digests, mac
from shared.lists import Lister
from shared.storage.bulk import insert_rows
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

entries = Lister(AUDIT)

BEGINNING = "0" * 64
PAGE = 2000
FORGOTTEN = "forgotten"
_LOCK = zlib.crc32(b"edgemere audit log")


def lock(uow: UnitOfWork) -> None:
    """Wait for whoever else appends: each line stands on the one before."""
    if uow.connection.dialect.name == "postgresql":
        uow.connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def digest(algorithm: str, before: str, row: Mapping[str, Any], key: str) -> str:
    """The digest of a line, given that of the one before."""
    line = {name: row[name] for name in AUDITED if name != "hash"}
    return mac(algorithm, key.encode(), before.encode() + orjson.dumps(line, option=orjson.OPT_SORT_KEYS))


def head(connection: Connection) -> tuple[int, str]:
    """(sequence, hash) of the newest line; of the last one forgotten where there is none; (0, zeros) at the very beginning."""
    table = audit_table
    found = connection.execute(select(table.c.sequence, table.c.hash).order_by(table.c.sequence.desc()).limit(1)).first()
    return tuple(found) if found else floor(connection)


def floor(connection: Connection) -> tuple[int, str]:
    """(sequence, hash) of the last line that was forgotten by its age."""
    table = audit_floor_table
    found = connection.execute(select(table.c.sequence, table.c.hash).order_by(table.c.sequence.desc()).limit(1)).first()
    return tuple(found) if found else (0, BEGINNING)


def append(uow: UnitOfWork, lines: Sequence[Row], digests: Digests, key: str) -> int:
    """Add lines in this order; those whose id is there already are left out. How many were added. Needs the lock."""
    known = set(uow.connection.execute(select(audit_table.c.id).where(audit_table.c.id.in_([line["id"] for line in lines]))).scalars())
    fresh = list({line["id"]: line for line in lines if line["id"] not in known}.values())
    sequence, before = head(uow.connection)
    for line in fresh:
        sequence += 1
        line["sequence"] = sequence
        before = line["hash"] = digest(digests.made_with, before, line, key)
    if fresh:
        insert_rows(uow.connection, audit_table, fresh)
    return len(fresh)


def walk(connection: Connection, after: int) -> Iterator[list[Row]]:
    """The lines after a sequence, in order, a page at a time."""
    while True:
        page = [dict(row) for row in connection.execute(
            select(audit_table).where(audit_table.c.sequence > after).order_by(audit_table.c.sequence).limit(PAGE)).mappings()]
        if not page:
            return
        yield page
        after = page[-1]["sequence"]


def hash_at(connection: Connection, sequence: int) -> str | None:
    """The hash of one line, or None where there is none."""
    found = connection.execute(select(audit_table.c.hash).where(audit_table.c.sequence == sequence)).scalar()
    return found or dict([floor(connection)]).get(sequence)


def announced(connection: Connection, sequence: int, its_hash: str) -> bool:
    """Whether the log itself says that it was forgotten up to here."""
    table = audit_table
    return any(row == [str(sequence), its_hash] for row in connection.execute(
        select(table.c.objects).where(table.c.kind == FORGOTTEN)).scalars())


def last_before(connection: Connection, moment: str, newest: int) -> tuple[int, str] | None:
    """The last line that is older than a moment, with everything before it; never the newest of all."""
    table = audit_table
    # Times rise nearly, not strictly, with the sequence: what goes is what lies before the first line that stays.
    stays = connection.execute(select(func.min(table.c.sequence)).where(table.c.time >= moment)).scalar()
    end = min(newest, stays if stays is not None else newest) - 1
    found = connection.execute(select(table.c.sequence, table.c.hash).where(table.c.sequence == end)).first()
    return tuple(found) if found else None


def forget(uow: UnitOfWork, upto: tuple[int, str], now: str) -> int:
    """Drop all lines up to one, which becomes the floor; how many went."""
    uow.connection.execute(audit_floor_table.insert().values(sequence=upto[0], hash=upto[1], at=now))
    return uow.connection.execute(delete(audit_table).where(audit_table.c.sequence <= upto[0])).rowcount
