"""Which source a ref means, and how those who use something are named."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

from services.catalog import repository
from shared.hosting.uses import Uses
from shared.kernel.errors import Conflict, EdgemereError, NotFound
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


@contextmanager
def holders_named(uses: Uses) -> Iterator[None]:
    """Let a refusal raised inside call the requests in its ``holders`` by name, as far as their service tells."""
    try:
        yield
    except Conflict as error:
        holders = error.extra.get("holders") or []
        names = _names(uses, [holder["id"] for holder in holders])
        for holder in holders:
            if name := names.get(holder["id"]):
                holder["name"] = name
                error.detail = error.detail.replace(holder["id"], f"request '{name}'")
        raise


def _names(uses: Uses, requests: Sequence[str]) -> dict[str, str]:
    if not requests:
        return {}
    try:
        page = uses.mesh.call("requests", "list", attr1={"id": {"$in": list(requests)}}, limit=len(requests))
    except EdgemereError:
        return {}
    return {item["id"]: item["name"] for item in page["items"]}


def counted(holders: Sequence[Mapping[str, Any]]) -> str:
    """Who holds claims, in a sentence."""
    names = ", ".join(holder["id"] for holder in holders[:3])
    return names if len(holders) <= 3 else f"{names} and others"
