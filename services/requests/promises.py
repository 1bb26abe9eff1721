"""Whether a request will be ready when it is needed, and the warning to its user when it will not.

A request starts at once: there is no earlier start, and what begins as late as possible is late whenever anything takes
longer. The estimate comes from the sizes and the speeds of the sources (see ``reservations.arrival``), from the line in
which a request waits, and later from how fast its bytes arrive. Warns once, and again when the estimate has slipped.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.requests import repository
from services.requests.models import REQUEST
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import EdgemereError
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

LATE = "late"
SLIPS_S = 10
"""An estimate that moves by less than this, or by less than a tenth of what is left, has not slipped."""


def judged(row: Row, expected_at: str | None) -> tuple[dict[str, Any], bool]:
    """The columns that a new estimate changes, and whether the user is to be told now."""
    changes: dict[str, Any] = {"expected_at": expected_at}
    needed_by = row["needed_by"]
    if not needed_by or not expected_at:
        return changes, False
    others = [warning for warning in row["warnings"] or [] if warning["code"] != LATE]
    said = next((warning for warning in row["warnings"] or [] if warning["code"] == LATE), None)
    if expected_at <= needed_by:
        # What was feared does not come true.
        return ({**changes, "warnings": others or None} if said else changes), False
    if said and not _slipped(said["expected_at"], expected_at):
        return changes, False
    again = " The estimate has slipped." if said else ""
    warning = {"code": LATE, "detail": f"It is needed by {needed_by} and expected at {expected_at}.{again}",
               "needed_by": needed_by, "expected_at": expected_at, "at": clock.stamp()}
    return {**changes, "warnings": [*others, warning]}, True


def at_the_end(row: Row) -> dict[str, Any]:
    """The columns of a request that is ready now: in time, or late by so much."""
    now = clock.stamp()
    changes, _ = judged(row, now)
    late = [warning for warning in changes.get("warnings", row["warnings"]) or [] if warning["code"] == LATE]
    if late:
        late_s = (clock.utc_now() - clock.parse_time(row["needed_by"])).total_seconds()
        span = f"{late_s:.0f} second{'' if round(late_s) == 1 else 's'}"
        late[0] = {**late[0], "expected_at": now, "detail": f"It was needed by {row['needed_by']} and was ready {span} later."}
        changes["warnings"] = [*(warning for warning in row["warnings"] or [] if warning["code"] != LATE), late[0]]
    return changes


def tell(uow: UnitOfWork, row: Row, warn: bool) -> None:
    """Say ``datarequest.waiting`` of a request that will be late."""
    if warn:
        uow.announce(REQUEST, row, "datarequest.waiting")


def sweep(uses: Uses) -> int:
    """Estimate anew what should have been ready by now, and is not; returns how many users were warned."""
    with uses.db.reading() as connection:
        overdue = repository.overdue(connection, clock.stamp(), 100)
    warned = 0
    for row in overdue:
        expected_at = _anew(uses, row)
        with uses.db.transaction(uses.context) as uow:
            fresh = uow.get(REQUEST, row["id"])
            if fresh is None or fresh["state"] != row["state"] or fresh["attempt"] != row["attempt"]:
                continue
            changes, warn = judged(fresh, expected_at)
            uow.context = uow.context.having(correlation_id=fresh["correlation_id"] or uow.context.correlation_id)
            moved, = uow.change(REQUEST, [fresh], changes)
            tell(uow, moved, warn)
            warned += warn
    return warned


def _anew(uses: Uses, row: Mapping[str, Any]) -> str:
    """When a request that is behind will be ready, from how fast its bytes have come so far; as slow again where none did."""
    waits_since = (row["blocked_by"] or {}).get("since")
    began = clock.parse_time(waits_since or row["announced_at"] or row["updated_at"])
    past = max(1.0, (clock.utc_now() - began).total_seconds())
    done = total = 0
    if row["state"] == "Evaluated":
        try:
            found = uses.mesh.call("instances", "bytes_of", request=row["id"])
            done, total = found["done"], found["total"]
        except EdgemereError:
            pass  # Then nobody knows better than that it takes as long again.
    return clock.stamp_in(past * (total - done) / done if 0 < done < total else past)


def _slipped(before: str, now: str) -> bool:
    moved = (clock.parse_time(now) - clock.parse_time(before)).total_seconds()
    left = (clock.parse_time(before) - clock.utc_now()).total_seconds()
    return moved > max(SLIPS_S, left / 10)
