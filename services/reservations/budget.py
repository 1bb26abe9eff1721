"""Budgets of owners: how many bytes may be copied and how much money spent in a period, and never more than that.

A request is charged when it is evaluated, while the row of its owner's budget is held, so that no two charges are judged
on the same remainder. The charge is given back when the request fails, and counts as spent when it completes, until it
is older than the period. Whoever waits stands in a line, see ``shared.storage.waiting_line``.
"""
from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from services.reservations.models import budget_table, charge_table, waiting_table
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.amounts import bytes_said
from shared.storage import waiting_line
from shared.storage.unit_of_work import UnitOfWork

KINDS = ("bytes", "money")
MONEY = ("requests", "transfer", "storage")
NAMED = 20
FIGURES: Mapping[str, Callable[[float], str]] = {"bytes": bytes_said, "money": lambda amount: f"{round(amount, 6):g}"}
SIGNIFICANT = 1e-9
"""Less money than this is nothing: figures are sums of rounded parts."""


@dataclass(frozen=True)
class Refusal:
    """Why a request may not spend what it wants: a sentence, whether waiting can help, and what it would wait for."""

    detail: str
    can_wait: bool
    waits_for: dict[str, Any] = field(default_factory=dict)


def wanted(decided: Iterable[tuple[str, int | None, Mapping[str, float]]], weights: Mapping[str, float]) -> dict[str, float]:
    """What decisions ``(action, size, weighed cost parts)`` would spend: ``{"bytes", "money"}``.

    Bytes are those of copies and moves. Money is what transfer, storage and requests cost, as the prices say it: the
    weights are taken out again. What has the weight 0 is not known in money and counts nothing.
    """
    size, money = 0, 0.0
    known = [(name, weight) for name in MONEY if (weight := float(weights.get(name, 1)))]
    for action, its_size, parts in decided:
        if action in ("copy", "move"):
            size += its_size or 0
        money += sum([parts.get(name, 0) / weight for name, weight in known])
    return {"bytes": size, "money": round(money, 9)}


def claim(uses: Uses, request: Mapping[str, Any], amounts: Mapping[str, float]) -> Refusal | None:
    """Charge the owner of a request for this attempt, or say why not; the same call again changes nothing.

    With ``wait`` a request that is refused stands in line from now on, unless it wants more than its budget is.
    """
    limits = limits_of(uses.config, request["owner"])
    if limits is None:
        return None
    owner, key = request["owner"], _key(request["owner"])

    def work() -> Refusal | None:
        with uses.db.transaction(uses.context) as uow:
            hold(uow, owner)
            rows = [row for row in _charges(uow.connection, owner, limits["period_s"])
                    if (row.request_id, row.attempt) != (request["id"], request["attempt"])]
            asked = _asked(amounts, _free(limits, rows))
            refusal = _judged(uses, uow.connection, request, limits, rows, asked)
            if refusal is None:
                _charge(uow, request, amounts)
                if waiting_line.leave(uow.connection, waiting_table, request["id"]):
                    _announce(uow, uses, owner, limits)
                return None
            if request.get("wait") and refusal.can_wait:
                waiting_line.enter(uow.connection, waiting_table, request["id"], {key: asked})
                refusal.waits_for["line"] = _place(uow.connection, owner, limits, request["id"])
            return refusal
    return uses.db.retrying(work)


def would_refuse(uses: Uses, request: Mapping[str, Any], amounts: Mapping[str, float]) -> Refusal | None:
    """What ``claim`` would answer now. Charges nothing and stands in no line."""
    limits = limits_of(uses.config, request["owner"])
    if limits is None:
        return None
    with uses.db.reading() as connection:
        rows = _charges(connection, request["owner"], limits["period_s"])
        return _judged(uses, connection, request, limits, rows, _asked(amounts, _free(limits, rows)))


def _asked(amounts: Mapping[str, float], free: Mapping[str, float | None]) -> dict[str, float]:
    """What is wanted of the kinds that have a limit."""
    return {kind: amounts[kind] for kind in KINDS if free[kind] is not None and amounts[kind] > SIGNIFICANT}


def _judged(uses: Uses, connection: Connection, request: Mapping[str, Any], limits: Mapping[str, Any], rows: Sequence[Any],
            asked: Mapping[str, float]) -> Refusal | None:
    owner, key, free = request["owner"], _key(request["owner"]), _free(limits, rows)
    line = waiting_line.lines(connection, waiting_table, [key]).get(key, [])
    if not asked or waiting_line.may_take(line, request["id"], asked, _kindly(free), uses.config.reservations.backfill_s):
        return None
    never = [kind for kind in asked if asked[kind] > limits[kind]]
    return Refusal(_sentence(owner, limits, free, asked, rows), not never, {
        "object": {"class": "budget", "id": key, "name": owner, "kind": ", ".join(asked)}, "line": None})


def spent_refusal(uses: Uses, request: Mapping[str, Any]) -> Refusal | None:
    """The refusal of a request that asks for copies while nothing of its owner's bytes is left; None when it may go on.

    For asking at once, before anything is found and reserved.
    """
    limits = limits_of(uses.config, request["owner"])
    if limits is None or request.get("action") not in ("copy", "move") or limits["bytes"] is None:
        return None
    with uses.db.reading() as connection:
        rows = [row for row in _charges(connection, request["owner"], limits["period_s"]) if row.request_id != request["id"]]
        place = _place(connection, request["owner"], limits, request["id"])
    free = _free(limits, rows)
    if free["bytes"] is None or free["bytes"] > 0:
        return None
    return Refusal(_sentence(request["owner"], limits, free, {"bytes": 1}, rows, known=False), limits["bytes"] > 0, {
        "object": {"class": "budget", "id": _key(request["owner"]), "name": request["owner"], "kind": "bytes"}, "line": place})


def release(uses: Uses, request: str, owner: str, *, attempt: int | None = None, up_to: int | None = None) -> int:
    """Give back what a request is charged (for one attempt, or those up to ``up_to``); it leaves the line. Returns how many charges.

    Whoever is next may go on: ``budget.freed`` names them.
    """
    table = charge_table
    mine = table.c.request_id == request
    if attempt is not None:
        mine &= table.c.attempt == attempt
    if up_to is not None:
        mine &= table.c.attempt <= up_to
    with uses.db.reading() as connection:
        charged = connection.execute(select(table.c.owner).where(mine).limit(1)).first() is not None
        waits = waiting_line.objects_of(connection, waiting_table, request)
    if not charged and not waits:
        return 0
    limits = limits_of(uses.config, owner)

    def work() -> int:
        with uses.db.transaction(uses.context) as uow:
            hold(uow, owner)
            count = uow.connection.execute(delete(table).where(mine)).rowcount
            waiting_line.leave(uow.connection, waiting_table, request)
            if limits:
                _announce(uow, uses, owner, limits)
        return count
    return uses.db.retrying(work)


def look(uses: Uses, owner: str) -> dict[str, Any] | None:
    """What is left of an owner's budget; None when it has none.

    ``{"owner", "period_s", "bytes": {"limit", "spent", "remains"}, "money": {…}, "more_at"}``; a kind without a limit is null, and
    ``more_at`` is when the oldest charge leaves the period.
    """
    limits = limits_of(uses.config, owner)
    if limits is None:
        return None
    with uses.db.reading() as connection:
        rows = _charges(connection, owner, limits["period_s"])
    free, spent = _free(limits, rows), _spent(rows)
    return {"owner": owner, "period_s": limits["period_s"], "more_at": _more_at(rows, limits["period_s"]), **{
        kind: None if limits[kind] is None else {"limit": limits[kind], "spent": spent[kind], "remains": max(0, free[kind])}
        for kind in KINDS}}


def line(uses: Uses, holder: str, owner: str | None = None) -> list[dict[str, Any]]:
    """Where a request stands in the line of its owner's budget (the caller's, unless told): ``[{"position", "ahead", "estimate_s"}]``."""
    owner = owner or uses.context.owner
    with uses.db.reading() as connection:
        keys = waiting_line.objects_of(connection, waiting_table, holder)
        limits = limits_of(uses.config, owner)
        place = _place(connection, owner, limits, holder) if keys and limits else None
    return [place] if place else []


def limits_of(config: Any, owner: str) -> Mapping[str, Any] | None:
    """The budget that counts for an owner: its own, else the one for everybody, else None."""
    return config.budgets.get(owner) or config.budgets.get("*")


def forget(uses: Uses) -> None:
    """Drop charges that no period reaches any more, and places in line of those who do not come back."""
    longest = max((limits["period_s"] for limits in uses.config.budgets.values()), default=None)
    with uses.db.reading() as connection:
        old = longest is not None and connection.execute(
            select(charge_table.c.at).where(charge_table.c.at < clock.stamp_in(-longest)).limit(1)).first() is not None
        stale = waiting_line.has_stale(connection, waiting_table)
    if old or stale:
        with uses.db.transaction() as uow:
            if old:
                uow.connection.execute(delete(charge_table).where(charge_table.c.at < clock.stamp_in(-longest)))
            waiting_line.forget(uow.connection, waiting_table)


def hold(uow: UnitOfWork, owner: str) -> None:
    """Lock what an owner may spend and have until the end of the transaction."""
    dialect = postgresql if uow.connection.dialect.name == "postgresql" else sqlite
    uow.connection.execute(dialect.insert(budget_table).values(owner=owner).on_conflict_do_nothing())
    uow.connection.execute(select(budget_table.c.owner).where(budget_table.c.owner == owner).with_for_update())


# --- inside ----------------------------------------------------------------------------------------------------------

def _charge(uow: UnitOfWork, request: Mapping[str, Any], amounts: Mapping[str, float]) -> None:
    dialect = postgresql if uow.connection.dialect.name == "postgresql" else sqlite
    row = {"owner": request["owner"], "bytes": int(amounts["bytes"]), "money": float(amounts["money"])}
    uow.connection.execute(
        dialect.insert(charge_table).values(request_id=request["id"], attempt=request["attempt"], at=clock.stamp(), **row)
        .on_conflict_do_update(index_elements=["request_id", "attempt"], set_=row))


def _charges(connection: Connection, owner: str, period_s: float) -> list[Any]:
    """The charges of an owner that still count, oldest first."""
    table = charge_table
    return list(connection.execute(select(table).where(
        table.c.owner == owner, table.c.at >= clock.stamp_in(-period_s)).order_by(table.c.at)))


def _spent(rows: Sequence[Any]) -> dict[str, float]:
    return {"bytes": sum(row.bytes for row in rows), "money": round(sum(row.money for row in rows), 9)}


def _free(limits: Mapping[str, Any], rows: Sequence[Any]) -> dict[str, float | None]:
    spent = _spent(rows)
    return {kind: None if limits[kind] is None else round(limits[kind] - spent[kind], 9) for kind in KINDS}


def _kindly(free: Mapping[str, float | None]) -> dict[str, float | None]:
    """What is free, with the dust that rounding leaves."""
    return {kind: None if room is None else room + SIGNIFICANT for kind, room in free.items()}


def _announce(uow: UnitOfWork, uses: Uses, owner: str, limits: Mapping[str, Any]) -> None:
    key = _key(owner)
    queued = waiting_line.lines(uow.connection, waiting_table, [key]).get(key, [])
    if queued:
        free = _kindly(_free(limits, _charges(uow.connection, owner, limits["period_s"])))
        wake, _, _ = waiting_line.served_next(queued, free, uses.config.reservations.backfill_s)
        if wake:
            uow.tell("budget.freed", key, {"owner": owner, "why": "released", "wake": wake})


def _place(connection: Connection, owner: str, limits: Mapping[str, Any], holder: str) -> dict[str, Any] | None:
    key = _key(owner)
    queued = waiting_line.lines(connection, waiting_table, [key]).get(key, [])
    mine = next((waiter for waiter in queued if waiter.holder == holder), None)
    if mine is None:
        return None
    ahead = waiting_line.ahead_of(queued, holder)
    rows = _charges(connection, owner, limits["period_s"])
    free, now, estimates = _free(limits, rows), clock.utc_now(), []
    for kind in KINDS:
        if free[kind] is not None:
            returns = [(limits["period_s"] - (now - clock.parse_time(row.at)).total_seconds(), getattr(row, kind)) for row in rows]
            estimates.append(waiting_line.estimate_s([waiter.wanted.get(kind, 0) for waiter in (*ahead, mine)],
                                                     free[kind] + SIGNIFICANT, returns, limits["period_s"]))
    return {"position": len(ahead) + 1, "ahead": [waiter.holder for waiter in ahead[:NAMED]],
            "estimate_s": None if None in estimates or not estimates else max(estimates)}


def _more_at(rows: Sequence[Any], period_s: float) -> str | None:
    if not rows:
        return None
    return clock.stamp_in(period_s - (clock.utc_now() - clock.parse_time(rows[0].at)).total_seconds())


def _sentence(owner: str, limits: Mapping[str, Any], free: Mapping[str, float | None], asked: Mapping[str, float],
              rows: Sequence[Any], known: bool = True) -> str:
    """What is wanted (where that is known), what remains, and when there is more."""
    short = [kind for kind in asked if asked[kind] > (free[kind] or 0) + SIGNIFICANT] or list(asked)
    what = " and ".join(
        (f"{said(asked[kind])}{' of money' if kind == 'money' else ''} wanted, " if known else "")
        + f"{said(max(0, free[kind] or 0))} of {said(limits[kind])} left" for kind in short for said in (FIGURES[kind],))
    more = _more_at(rows, limits["period_s"])
    if any(asked[kind] > limits[kind] for kind in asked):
        then = " It is more than the whole budget: ask for less, or an Administrator for more."
    elif all(asked[kind] <= (free[kind] or 0) + SIGNIFICANT for kind in asked):
        then = " Others who asked before come first."
    else:
        then = f" The next part of it is free again at {more}." if more else ""
    return f"The budget of {owner} for {_days(limits['period_s'])} does not allow it: {what}.{then}"


def _days(seconds: float) -> str:
    return f"{seconds / 86400:g} days" if seconds >= 86400 else f"{seconds:g} seconds"


def _key(owner: str) -> str:
    """The name of an owner's line: owners may be called anything, lines have a short name."""
    return f"budget.{hashlib.blake2b(owner.encode(), digest_size=12).hexdigest()}"
