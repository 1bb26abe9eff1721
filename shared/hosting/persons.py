"""What every service answers about a person, from where its models say that names are: for the service ``events``, which removes one."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.hosting.uses import Uses
from shared.lists import cursor as cursors
from shared.storage import persons

# A stretch of taking a name out; whoever asked asks again.
STRETCH_S = 3.0
# Columns that are worth something to somebody else than the person.
SECRET = frozenset({"digest", "old_digest"})


def held(uses: Uses, models: Any, person: str) -> dict[str, Any]:
    """``{"open": {class: n}, "kept": {table: n}}``."""
    with uses.db.reading() as connection:
        return persons.held(connection, models.METADATA, models.PERSONS, models.OPEN, person)


def rows(uses: Uses, models: Any, person: str, at: Sequence[Any] | None, limit: int) -> dict[str, Any]:
    """A page of the rows that have a person as their owner: ``{"items", "at"}``."""
    try:
        with uses.db.reading() as connection:
            return persons.rows_of(connection, models.METADATA, models.PERSONS, person, at, limit, SECRET)
    except ValueError:
        raise cursors.not_a_cursor() from None


def forget(uses: Uses, models: Any, person: str, alias: str, at: Sequence[Any] | None) -> dict[str, Any]:
    """Take a person's name out, for a while: ``{"rows": {table: n}, "at"}``."""
    return persons.forget(uses.db, models.PERSONS, person, alias, at, STRETCH_S)
