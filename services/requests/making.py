"""Requests that calls to another service describe, made together in one transaction: the way of most of them.

Whatever is out of the ordinary with one of them is left to ``requests.create``, which is then asked by its own call. May be repeated: who asks gives
each its id, so that a repetition finds what was made.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.exc import IntegrityError

from services.requests import creating, handlers, quota, repository
from services.requests.creating import Wanted
from shared.contracts.action import load_parameters
from shared.contracts.table import BY_RPC
from shared.hosting.uses import Uses
from shared.kernel.context import Context
from shared.kernel.errors import EdgemereError
from shared.kernel.rights import check_role
from shared.storage.record import Row

CREATE = BY_RPC["requests.create"]
# What any of these needs, or may need, is more than a row: a look at something else, or a name to be judged.
APART = ("name", "data_reference", "lock", "group", "target")
# The actions that need no target.
IN_PLACE = (None, "leave", "mount", "auto")


def make_all(uses: Uses, asks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | None]:
    """Make requests and start to fulfil them. ``asks``: for each ``{"id", "given", "context"}``, the id that it is to have, the parameters of
    ``create``, and for which call it is made (``Context.told``).

    Answers for each ``{"request": as plain}``, or ``{"error": …}`` where it is refused, or None where ``create`` is to be asked.
    """
    answers: list[dict[str, Any] | None] = [None] * len(asks)
    wanted: dict[int, Wanted] = {}
    for place, ask in enumerate(asks):
        try:
            own = replace(uses, context=Context.as_told(ask["context"]))
            row = _row(own, ask["id"], ask["given"])
            if row is not None:
                wanted[place] = Wanted(own.context, row, True)
        except EdgemereError as error:
            answers[place] = {"error": error.payload()}
    made = _made(uses, list(wanted.values())) if wanted else {}
    for place, one in wanted.items():
        if one.row["id"] in made:
            answers[place] = {"request": handlers.plain_of(made[one.row["id"]])}
    return answers


def _row(uses: Uses, request_id: str, given: Mapping[str, Any]) -> Row | None:
    """The row of a request as it was described, without its name; None of one that is not to be made here.

    Raises:
        EdgemereError: who asks may not, or what he describes is none.
    """
    check_role(uses.context, CREATE.roles, " ".join(CREATE.path))
    checked = load_parameters(CREATE, given)
    if any(checked.get(name) is not None for name in APART) or checked.get("action") not in IN_PLACE or quota.is_bounded(uses):
        return None
    return {**handlers.request_row(uses, checked, None), "id": request_id}


def _made(uses: Uses, wanted: Sequence[Wanted]) -> dict[str, Row]:
    """Those that could be made, or were before, by id."""
    try:
        return {row["id"]: row for row in creating.create(uses.db, wanted)}
    except IntegrityError:
        # The call is a repeated one; or a number was given to another request as its name, which ``create`` gets around.
        with uses.db.reading() as connection:
            rows = repository.rows_of(connection, [one.row["id"] for one in wanted])
        return {one.row["id"]: rows[one.row["id"]] for one in wanted
                if one.row["id"] in rows and rows[one.row["id"]]["owner"] == one.context.owner}
