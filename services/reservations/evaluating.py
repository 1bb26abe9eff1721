"""Evaluate: ask the policies about every reservation, then confirm it with an action or reject it."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.reservations import freeing, repository, rules
from services.reservations.models import RESERVATION
from services.reservations.policy.cost import cost_of
from services.reservations.reserving import CHUNK, CannotGoOn, claim, refuse
from shared.hosting.uses import Uses
from shared.kernel.errors import Conflict, NotFound, VersionConflict
from shared.storage.record import Row


@dataclass
class _Decided:
    """What is decided about each reservation of an attempt, without the reservations: there may be a hundred thousand."""

    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    claims: list[dict[str, Any]] = field(default_factory=list)
    rejected: int = 0
    rejecting: set[str] = field(default_factory=set)


def evaluate(uses: Uses, request: Mapping[str, Any]) -> None:
    """Take a Selected request to Evaluated; or say why it waits or fails."""
    try:
        decided = _decide(uses, request)
        _check_enough(uses, request, decided)
        claim(uses, request, decided.claims, uses.config.reservations.claim_ttl_s)
    except CannotGoOn as why:
        refuse(uses, request, why)
        return
    _write(uses, request, decided)
    _tell(uses, request)


def _pages(uses: Uses, request: Mapping[str, Any]) -> Iterator[list[Row]]:
    """The undecided reservations of this attempt, a stretch at a time."""
    after = ""
    while True:
        with uses.db.reading() as connection:
            rows = repository.undecided(connection, request["id"], request["attempt"], after, CHUNK)
        if rows:
            yield rows
            after = rows[-1]["id"]
        if len(rows) < CHUNK:
            return
        time.sleep(0)


def _decide(uses: Uses, request: Mapping[str, Any]) -> _Decided:
    """Ask the policies about every reservation."""
    policies, config = uses.parts["policies"], uses.config
    targets, sources = _Targets(uses), {}
    wanted = targets.get(request["target"]) if request.get("target") else None
    decided = _Decided()
    records: dict[tuple[str, str], dict[str, Any]] = {}
    for rows in _pages(uses, request):
        unknown = sorted({row["source_id"] for row in rows} - set(sources))
        if unknown:
            sources.update(uses.mesh.call("catalog", "sources", ids=unknown))
        for row in rows:
            source = sources.get(row["source_id"], {})
            decision = rules.decide(policies, request, row["snapshot"], source, wanted, config.instances.default_target)
            target = targets.usable(decision.target) if decision.action == "copy" else None
            cost, parts = cost_of(decision.action, row["snapshot"].get("size"), source, target, request.get("lifetime"),
                                  config.costs.weights)
            record = records.setdefault((decision.rule, decision.because), {
                "rule": decision.rule, "because": decision.because, "policy": policies.revision, "wish": request.get("action")})
            decided.columns[row["id"]] = {
                "action": decision.action, "target_id": target and target["id"], "target_name": target and target["name"],
                "cost": cost, "cost_parts": parts, "rule": decision.rule, "decision": record}
            if target:
                decided.claims.append(rules.byte_claim(row, target["id"]))
            if decision.action == "reject":
                decided.rejected += 1
                decided.rejecting.add(decision.rule)
    return decided


class _Targets:
    """The sources that copies go to, each asked for once."""

    def __init__(self, uses: Uses) -> None:
        self._uses = uses
        self._known: dict[str, Any] = {}

    def get(self, name: str) -> Mapping[str, Any] | None:
        if name not in self._known:
            try:
                self._known[name] = self._uses.mesh.call("catalog", "datasource_show", id=name)
            except NotFound:
                self._known[name] = None
        return self._known[name]

    def usable(self, name: str | None) -> Mapping[str, Any]:
        if not name:
            raise CannotGoOn("target_unusable", "A policy asks for a copy, and neither it nor the request names a target.",
                             can_wait=False)
        target = self.get(name)
        if target is None:
            raise CannotGoOn("target_unusable", f"There is no source '{name}' to copy to.", can_wait=False)
        if not (target.get("parameters") or {}).get("writable"):
            raise CannotGoOn("target_unusable", f"The source '{name}' does not take copies.", can_wait=False)
        if target["state"] != "Ready":
            raise CannotGoOn("source_unavailable", f"The target '{name}' is {target['state']}.")
        return target


def _check_enough(uses: Uses, request: Mapping[str, Any], decided: _Decided) -> None:
    with uses.db.reading() as connection:
        kept = repository.count_confirmed(connection, request["id"], request["attempt"])
    kept += len(decided.columns) - decided.rejected
    least = (request.get("select") or {}).get("minimum", 1)
    if kept < least:
        named = f" ({', '.join(sorted(decided.rejecting))})" if decided.rejecting else ""
        raise CannotGoOn("rejected_by_policy", f"The policies reject {decided.rejected} of {len(decided.columns)} Data{named}; "
                         f"{kept} remain and at least {least} is needed.", can_wait=False)


def _write(uses: Uses, request: Mapping[str, Any], decided: _Decided) -> None:
    columns = decided.columns
    for rows in _pages(uses, request):
        # What was reserved since is decided by whoever reserved it.
        rows = [row for row in rows if row["id"] in columns]
        taken = [row for row in rows if columns[row["id"]]["action"] != "reject"]
        refused = [row for row in rows if columns[row["id"]]["action"] == "reject"]
        try:
            with uses.db.transaction(uses.context) as uow:
                uow.move(RESERVATION, taken, "confirm", changes=lambda row: {**columns[row["id"]], "expires_at": None})
                rejected = uow.move(RESERVATION, refused, "free", changes=_refusal(columns))
        except VersionConflict:
            # The same step, asked for twice, runs elsewhere; what it writes is the same.
            continue
        freeing.release(uses, rejected)


def _refusal(columns: Mapping[str, Mapping[str, Any]]) -> Callable[[Row], dict[str, Any]]:
    def changes(row: Row) -> dict[str, Any]:
        decided = columns[row["id"]]
        return {**decided, "reason": {"code": "rejected_by_policy", "rule": decided["rule"], "because": decided["decision"]["because"]}}
    return changes


def _tell(uses: Uses, request: Mapping[str, Any]) -> None:
    with uses.db.reading() as connection:
        rows = [row for row in repository.counts(connection, request["id"]) if row.attempt == request["attempt"]]
    if any(row.state == "Created" for row in rows):
        raise VersionConflict("datareservation.version_conflict", "The reservations are being decided elsewhere.")
    confirmed = sum(row.n for row in rows if row.state == "Confirmed")
    cost = round(sum(row.cost or 0 for row in rows if row.state == "Confirmed"), 9)
    try:
        uses.mesh.call("catalog", "renew", holder=request["id"], ttl_s=uses.config.reservations.claim_ttl_s)
        uses.mesh.call("requests", "evaluated", request=request["id"], attempt=request["attempt"], confirmed=confirmed,
                       rejected=sum(row.n for row in rows if row.state == "Rejected"), cost=cost)
    except Conflict as error:
        if error.code != "datarequest.not_needed":
            raise
        freeing.free_all(uses, request["id"], {"code": "cancelled"}, up_to=request["attempt"])
