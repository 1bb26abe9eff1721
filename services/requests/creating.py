"""Requests without a name of their own, made several in one transaction: those that are wanted at the same time (``shared/storage/group_commit.py``)."""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from services.requests import repository, rules
from services.requests.models import REQUEST
from shared.kernel.context import Context
from shared.storage.database import Database
from shared.storage.record import Row


@dataclass(frozen=True, eq=False)
class Wanted:
    """A request to be made: for which call, its columns but the name (as ``handlers.request_row`` gives them), and whether it is fulfilled at once."""

    context: Context
    row: Row
    fulfill: bool


def create(db: Database, wanted: Sequence[Wanted]) -> list[Row]:
    """Number requests and make them. Each one's messages, audit line and Idempotency-Key are those of its own call.

    Raises:
        IntegrityError: a number was given to a request as its name; nothing was made.
        Conflict: ``idempotency.in_progress``, one of the calls is being carried out elsewhere; nothing was made.
    """
    with db.transaction(wanted[0].context if len(wanted) == 1 else None) as uow:
        numbers = repository.next_numbers(uow, Counter(one.context.owner for one in wanted), "datarequest")
        for one in wanted:
            one.row.update(rules.names_of(rules.numbered(numbers[one.context.owner]), one.row["reference_name"]))
            numbers[one.context.owner] += 1
            if len(wanted) > 1:
                uow.causes[one.row["id"]] = one.context
        made = {row["id"]: row for events in (("fulfill",), ()) for row in uow.create(
            REQUEST, [one.row for one in wanted if one.fulfill == bool(events)], *events)}
    return [made[one.row["id"]] for one in wanted]
