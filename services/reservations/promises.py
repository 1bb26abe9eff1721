"""Quotas of instances and bytes: what an owner has and what he was promised is never more than he may have.

The service ``instances`` counts what there is; between the decision about a request and its instances there is nothing to count yet. So a
request is promised what it will make, in a transaction that holds its owner, and the promise counts until its instances are written.
Which of the two holds for an attempt is said by one look of ``instances``; where the promises changed since they were looked at,
everything is looked at again. No call is made inside the transaction.

An instance that an undo brings back is promised, too: under its own id, and the version in which it was destroyed for an attempt.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, func, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from services.reservations import budget
from services.reservations.models import budget_table, promise_table as table
from shared.hosting import quotas
from shared.hosting.uses import Uses
from shared.kernel.errors import TooMany, VersionConflict

KINDS = ("instances", "bytes")
LOOKS = 50

Promises = Mapping[tuple[str, int], Mapping[str, int]]
"""By request and attempt: ``{"instances", "bytes"}``."""


def claim(uses: Uses, request: Mapping[str, Any], more: Mapping[str, int]) -> str | None:
    """Promise an attempt what it will make, or say in a sentence why that would be too much; the same call again changes nothing.

    Raises:
        VersionConflict: others of the owner were faster, again and again.
    """
    if not _bounded(uses, request["owner"]):
        return None
    mine = request["id"], request["attempt"]
    for _ in range(LOOKS):
        known, held = _look(uses, request)
        with uses.db.transaction(uses.context) as uow:
            budget.hold(uow, request["owner"])
            if _changes(uow.connection, request["owner"]) != held["changes"]:
                continue
            over = _lacking(uses, request, known, held, more)
            kept = over is not None or mine in held["made"]
            gone = [one for one in known if one in held["made"] or one == mine and kept]
            if gone:
                uow.connection.execute(delete(table).where(tuple_(table.c.request_id, table.c.attempt).in_(gone)))
            if gone or not kept:
                _changed(uow.connection, request["owner"])
            if not kept:
                dialect = postgresql if uow.connection.dialect.name == "postgresql" else sqlite
                row = {"owner": request["owner"], **{kind: int(more[kind]) for kind in KINDS}}
                uow.connection.execute(dialect.insert(table).values(request_id=mine[0], attempt=mine[1], **row)
                                       .on_conflict_do_update(index_elements=["request_id", "attempt"], set_=row))
            return over
    raise VersionConflict("datarequest.version_conflict", "The quota of its owner is being judged for other requests.")


def would_refuse(uses: Uses, request: Mapping[str, Any], more: Mapping[str, int]) -> str | None:
    """What ``claim`` would answer now. Promises nothing."""
    if not _bounded(uses, request["owner"]):
        return None
    known, held = _look(uses, request)
    return _lacking(uses, request, known, held, more)


def claim_undo(uses: Uses, instance: str, version: int, owner: str, size: int) -> None:
    """Promise what an undo brings back: one instance, and ``size`` bytes in copies.

    Raises:
        TooMany: ``quota.exceeded``.
    """
    over = claim(uses, {"id": instance, "attempt": version, "owner": owner}, {"instances": 1, "bytes": size})
    if over:
        raise TooMany("quota.exceeded", over, next_step=quotas.WAY_OUT)


def release(uses: Uses, request: str, owner: str | None = None, *, attempt: int | None = None, up_to: int | None = None) -> None:
    """Take back what a request was promised, for one attempt or those up to ``up_to``; ``owner`` spares a look where he has no quota."""
    if owner is not None and not _bounded(uses, owner):
        return
    mine = table.c.request_id == request
    if attempt is not None:
        mine &= table.c.attempt == attempt
    if up_to is not None:
        mine &= table.c.attempt <= up_to
    with uses.db.reading() as connection:
        found = connection.execute(select(table.c.owner).where(mine).limit(1)).scalar()
    if found is None:
        return
    with uses.db.transaction(uses.context) as uow:
        budget.hold(uow, found)
        _changed(uow.connection, found)
        uow.connection.execute(delete(table).where(mine))


def _bounded(uses: Uses, owner: str) -> bool:
    return bool(quotas.quota_of(uses.config, owner).keys() & set(KINDS))


def _promises(connection: Connection, owner: str) -> dict[tuple[str, int], dict[str, int]]:
    return {(row.request_id, row.attempt): {kind: getattr(row, kind) for kind in KINDS}
            for row in connection.execute(select(table).where(table.c.owner == owner))}


def _changes(connection: Connection, owner: str) -> int:
    return connection.execute(select(budget_table.c.promised).where(budget_table.c.owner == owner)).scalar() or 0


def _changed(connection: Connection, owner: str) -> None:
    connection.execute(update(budget_table).where(budget_table.c.owner == owner)
                       .values(promised=func.coalesce(budget_table.c.promised, 0) + 1))


def _look(uses: Uses, request: Mapping[str, Any]) -> tuple[Promises, dict[str, Any]]:
    """What the owner is promised, and what he has: the instances of promised attempts are in it where ``made`` has the attempt."""
    with uses.db.reading() as connection:
        # Counted, not compared: a promise may come, be kept and be forgotten between two looks that find the same.
        changes = _changes(connection, request["owner"])
        known = _promises(connection, request["owner"])
    asked = sorted({*known, (request["id"], request["attempt"])})
    held = uses.mesh.call("instances", "held_by", owner=request["owner"], promised=[list(one) for one in asked])
    return known, {**held, "changes": changes, "made": {(one, attempt) for one, attempt in held["made"]}}


def _lacking(uses: Uses, request: Mapping[str, Any], known: Promises, held: Mapping[str, Any], more: Mapping[str, int]) -> str | None:
    mine = request["id"], request["attempt"]
    if mine in held["made"]:
        return None  # It was decided before, and what it made is there.
    counted = [promised for one, promised in known.items() if one != mine and one not in held["made"]]
    used = {kind: held[kind] + sum(promised[kind] for promised in counted) for kind in KINDS}
    return quotas.lacking(quotas.quota_of(uses.config, request["owner"]), used, more)
