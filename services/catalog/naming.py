"""Which source a ref means, and how those who use something are named."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from services.catalog import repository
from shared.hosting.uses import Uses
from shared.kernel.errors import Conflict, NotFound
from shared.storage.record import Row


def source(uses: Uses, connection: Connection, ref: str, *, destroyed: bool = False) -> Row:
    """The source of this id or name. Sources are for everybody; among equal names the caller's own is meant.

    Raises:
        NotFound: ``datasource.not_found``.
        Conflict: ``datasource.ambiguous``.
    """
    try:
        return repository.sources.resolve(connection, ref, destroyed=destroyed)
    except Conflict as ambiguous:
        try:
            return repository.sources.resolve(connection, ref, uses.context.owner, destroyed=destroyed)
        except NotFound:
            raise ambiguous from None


def counted(holders: Sequence[Mapping[str, Any]]) -> str:
    """Who holds claims, in a sentence."""
    names = ", ".join(holder["id"] for holder in holders[:3])
    return names if len(holders) <= 3 else f"{names} and others"
