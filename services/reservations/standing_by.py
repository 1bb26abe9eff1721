"""Replicas that stand by: one takes the place of a data that cannot be made ready; the rest is given back at Satisfied.

What stands by is Created, claims nothing, and has its decision stored. May be repeated.
"""
from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from services.reservations import budget, freeing, repository, rules
from services.reservations.models import RESERVATION
from services.reservations.reserving import CannotGoOn, claim
from shared.hosting.uses import Uses
from shared.storage.record import Row

log = logging.getLogger(__name__)
ENDS = ("Failed", "Completed")


def stand_in(uses: Uses, request: str, attempt: int, data: str, reason: Mapping[str, Any], unlike: str | None = None) -> Row | None:
    """The reservation that takes the place of the one on ``data``, confirmed and with its claims; None when nothing stands by.

    ``unlike``: a checksum; what is known to have the same bytes would fail as well, and is left alone.

    The one that failed is Rejected with ``reason`` and its claims are released. The owner's budget is charged for the one in its place; one
    that it does not allow is left alone. Asked again, the answer is the same.
    """
    with uses.db.reading() as connection:
        failed = repository.of_data(connection, request, attempt, data)
        if failed is None or not failed["replicas"]:
            return None
        before = (failed["reason"] or {}).get("stood_in_by")
        if before:
            return repository.of_data(connection, request, attempt, before)
        if failed["state"] != "Confirmed":
            return None
        waiting = _best_first(connection, repository.standing_by(connection, request, attempt, failed["replicas"]), failed["replicas"])
    asked = uses.itself.call("requests", "plain", request=request)
    if asked["attempt"] != attempt or asked["state"] in ENDS:
        return None
    for row in waiting:
        if unlike and row["snapshot"].get("checksum") == unlike:
            continue
        try:
            claim(uses, {"id": request}, _claims(row), uses.config.reservations.claim_ttl_s)
        except CannotGoOn as why:
            log.info("%s cannot stand in for %s: %s", row["data_id"], data, why.message)
            continue
        # Charged is what has its room already: a charge for what finds none would stay. A claim that a crash leaves ends by itself.
        over = _charge(uses, asked, failed, row)
        if over:
            log.info("%s cannot stand in for %s: %s", row["data_id"], data, over.detail)
            freeing.release(uses, [row])
            continue
        return _swap(uses, failed["id"], row["id"], reason)
    return None


def _charge(uses: Uses, request: Mapping[str, Any], failed: Row, standby: Row) -> budget.Refusal | None:
    """Charge what the request takes with the one in the place of the other, or say why its owner's budget does not allow that."""
    if budget.limits_of(uses.config, request["owner"]) is None:
        return None
    with uses.db.reading() as connection:
        rows = repository.confirmed(connection, request["id"], request["attempt"], "", 1_000_000)
    # The one in its place is there already where this is asked twice at once.
    taken = [*(row for row in rows if row["id"] not in (failed["id"], standby["id"])), standby]
    amounts = budget.wanted(((row["action"], row["snapshot"].get("size"), row["cost_parts"] or {}) for row in taken), uses.config.costs.weights)
    # It does not stand in line: the next that stands by is tried, and without one the request fails.
    return budget.claim(uses, {**request, "wait": False}, amounts)


def _best_first(connection: Any, rows: list[Row], group: str) -> list[Row]:
    """In the order in which they were compared."""
    part = repository.parts(connection, [group]).get(group) or {}
    order = {one["data"]["id"]: place for place, one in enumerate(part.get("replicas", ()))}
    return sorted(rows, key=lambda row: (order.get(row["data_id"], len(order)), row["cost"] or 0, row["id"]))


def _claims(row: Row) -> list[dict[str, Any]]:
    claims = [rules.reader_claim(row["id"], row["source_id"], row["data_id"])]
    if row["target_id"]:
        claims.append(rules.byte_claim(row["id"], row["target_id"], row["data_id"], row["snapshot"].get("size")))
    return claims


def _swap(uses: Uses, failed_id: str, standby_id: str, reason: Mapping[str, Any]) -> Row | None:
    """Reject the one and confirm the other, in one transaction."""
    def work() -> tuple[Row | None, Row | None]:
        with uses.db.transaction(uses.context) as uow:
            failed, standby = uow.get(RESERVATION, failed_id), uow.get(RESERVATION, standby_id)
            if not failed or not standby or failed["state"] != "Confirmed" or standby["state"] != "Created":
                # Asked for twice at once, or freed in the meantime.
                return None, None
            gone, = uow.move(RESERVATION, [failed], "free", changes={"reason": {**reason, "stood_in_by": standby["data_id"]}})
            taken, = uow.move(RESERVATION, [standby], "confirm", changes={"standby": False, "reason": {"stands_in_for": failed["data_id"]}})
        return gone, taken
    gone, taken = uses.db.retrying(work)
    if gone is None:
        with uses.db.reading() as connection:
            failed, = repository.by_ids(connection, [failed_id])
            now = (failed["reason"] or {}).get("stood_in_by")
            taken = repository.of_data(connection, failed["request_id"], failed["attempt"], now) if now else None
            standby, = repository.by_ids(connection, [standby_id])
        if standby["state"] != "Confirmed":
            freeing.release(uses, [standby])
        return taken
    freeing.release(uses, [gone])
    return taken


def claim_before(uses: Uses, row: Row) -> None:
    """Claim for a reservation that stands by what it needs before somebody confirms it by hand.

    Raises:
        NoCapacity: the source or the target has no room for it.
    """
    if row["standby"]:
        uses.mesh.call("catalog", "claim", claims=_claims(row), holder=row["request_id"], ttl_s=uses.config.reservations.claim_ttl_s)


def on_satisfied(uses: Uses, messages: Sequence[Any]) -> None:
    """``datarequest.satisfied``, several at once: every byte is readable, so nothing needs to stand by any more."""
    messages = [message for message in messages if not uses.parts["done"].has_none_standing_by(message.obj)]
    if not messages:
        return
    # Looked at first without a lock: most requests have none.
    with uses.db.reading() as connection:
        have = repository.any_standing_by(connection, [message.obj["id"] for message in messages])
    for message in messages:
        if message.obj["id"] in have:
            _let_go(uses.caused_by(message), message.obj)


def _let_go(uses: Uses, obj: Mapping[str, Any]) -> None:
    def work() -> list[Row]:
        with uses.db.transaction(uses.context) as uow:
            rows = repository.standing_by(uow.connection, obj["id"], obj["attempt"])
            return uow.move(RESERVATION, rows, "free", changes={"reason": {"code": "not_needed"}, "standby": False})
    while uses.db.retrying(work):
        pass
