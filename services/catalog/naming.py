"""Which source a ref means, and how those who use something are named."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

from services.catalog import repository
from shared.hosting.uses import Uses
from shared.kernel.errors import Conflict, EdgemereError
from shared.kernel.rights import check_owner
from shared.storage.record import Row


def source(uses: Uses, connection: Connection, ref: str, *, destroyed: bool = False) -> Row:
    """The source of this id or name. Sources are for everybody; among equal names the caller's own is meant.

    Raises:
        NotFound: ``datasource.not_found``.
        Conflict: ``datasource.ambiguous``.
    """
    return repository.sources.resolve(connection, ref, destroyed=destroyed, prefers=uses.context.owner)


def own_source(uses: Uses, connection: Connection, ref: str) -> Row:
    """The living source of this id or name, which the caller may change.

    Raises:
        Denied: ``denied``, it is somebody else's. As ``source``.
    """
    row = source(uses, connection, ref)
    check_owner(uses.context, row["owner"], f"The source '{row['name']}'")
    return row


@contextmanager
def holders_named(uses: Uses) -> Iterator[None]:
    """Let a refusal raised inside call the caller's requests among its ``holders`` by name, and only count those of others."""
    try:
        yield
    except Conflict as error:
        holders = error.extra.get("holders") or []
        names = _names(uses, [holder["id"] for holder in holders])
        if names is None:
            raise
        own = [{**holder, "name": names[holder["id"]]} for holder in holders if holder["id"] in names]
        for holder in own:
            error.detail = error.detail.replace(holder["id"], f"request '{holder['name']}'")
        others = [holder for holder in holders if holder["id"] not in names]
        if others:
            # That somebody stands on it must be said, and no more than that.
            for holder in others:
                error.detail = error.detail.replace(holder["id"], "a request of another owner")
            error.extra["others"] = len(others)
        error.extra["holders"] = own
        raise


def _names(uses: Uses, requests: Sequence[str]) -> dict[str, str] | None:
    """The names of those of these requests that the caller may see; None where nobody tells."""
    if not requests:
        return {}
    try:
        page = uses.mesh.call("requests", "list", attr1={"id": {"$in": list(requests)}}, limit=len(requests))
    except EdgemereError:
        return None
    return {item["id"]: item["name"] for item in page["items"]}


def counted(holders: Sequence[Mapping[str, Any]]) -> str:
    """Who holds claims, in a sentence."""
    names = ", ".join(holder["id"] for holder in holders[:3])
    return names if len(holders) <= 3 else f"{names} and others"
