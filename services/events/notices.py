"""What the owner of keys is told about them, whoever did it: that one was made, renewed or ended, or opened the page at a place that is new.

Kept until he says that he has seen it; he hears it at once on the bus, too, and each answer to his keys says how many wait.
"""
from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from services.events.models import notice_table, render_apikey, render_notice
from shared.kernel import clock
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

CHANGED = "apikey.changed"
MADE, ROTATED, REVOKED, LOGIN = "made", "rotated", "revoked", "login"
SHOWN = 50
KEPT_S = 365 * 86400.0


def write(uow: UnitOfWork, key: Row, what: str, by: str = "") -> None:
    """Tell the owner of a key what was done with it in this transaction, and by whom (else the caller)."""
    context = uow.context
    uow.connection.execute(notice_table.insert().values(
        owner=key["owner"], time=clock.stamp(), what=what, key_id=key["id"], key_name=key["name"], by=by or context.owner,
        credential=context.credential, address=context.address))
    uow.tell(CHANGED, key["id"], render_apikey(key), key["owner"])


def entered(uow: UnitOfWork, session: Row, key: Row) -> None:
    """Tell the owner that the page was opened with a key of his, unless it was from this address before."""
    table, address = notice_table, uow.context.address
    known = select(table.c.id).where(table.c.owner == session["owner"], table.c.what == LOGIN, table.c.address == address).limit(1)
    if address and uow.connection.execute(known).first() is None:
        write(uow, key, LOGIN)


def waiting(connection: Connection, owner: str) -> int:
    """How many an owner has not seen yet."""
    table = notice_table
    return connection.execute(select(func.count()).select_from(table).where(table.c.owner == owner, table.c.seen_at.is_(None))).scalar_one()


def unseen(connection: Connection, owner: str) -> list[dict[str, Any]]:
    """Those that an owner has not seen yet, the oldest first; of many the first ``SHOWN``."""
    table = notice_table
    return [render_notice(row) for row in connection.execute(
        select(table).where(table.c.owner == owner, table.c.seen_at.is_(None)).order_by(table.c.id).limit(SHOWN)).mappings()]


def see(uow: UnitOfWork, owner: str, upto: int | None) -> None:
    """Note that an owner has seen his, up to one of them: what happened since he looked still waits."""
    table = notice_table
    known = [] if upto is None else [table.c.id <= upto]
    uow.connection.execute(update(table).where(table.c.owner == owner, table.c.seen_at.is_(None), *known).values(seen_at=clock.stamp()))


def forget(uow: UnitOfWork) -> None:
    """Drop what is a year old, seen or not: the audit log has it."""
    uow.connection.execute(delete(notice_table).where(notice_table.c.time < clock.stamp_in(-KEPT_S)))
