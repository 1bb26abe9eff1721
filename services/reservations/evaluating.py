"""Evaluate: ask the policies about every reservation, then confirm it with an action or reject it."""
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from services.reservations import freeing, repository, rules
from services.reservations.models import RESERVATION
from services.reservations.policy.cost import cost_of
from services.reservations.reserving import CHUNK, CannotGoOn, claim, refuse
from shared.hosting.uses import Uses
from shared.kernel.errors import Conflict, NotFound, VersionConflict
from shared.storage.record import Row


def evaluate(uses: Uses, request: Mapping[str, Any]) -> None:
    """Take a Selected request to Evaluated; or say why it waits or fails."""
    with uses.db.reading() as connection:
        rows = repository.of_attempt(connection, request["id"], request["attempt"])
    undecided = [row for row in rows if row["state"] == "Created"]
    try:
        decided = _decided(uses, request, undecided)
        _check_enough(request, rows, decided)
        claim(uses, request, rules.byte_claims([row for row in decided if row["action"] != "reject"]), None)
    except CannotGoOn as why:
        refuse(uses, request, why)
        return
    _write(uses, request, undecided, decided)
    _tell(uses, request)


def _decided(uses: Uses, request: Mapping[str, Any], rows: Sequence[Row]) -> list[Row]:
    """The rows with action, target, cost and the record of the decision."""
    if not rows:
        return []
    policies, config = uses.parts["policies"], uses.config
    sources = uses.mesh.call("catalog", "sources", ids=sorted({row["source_id"] for row in rows}))
    targets = _Targets(uses)
    wanted = targets.get(request.get("target")) if request.get("target") else None
    decided = []
    for row in rows:
        source = sources.get(row["source_id"], {})
        decision = rules.decide(policies, request, row["snapshot"], source, wanted, config.instances.default_target)
        target = None
        if decision.action == "copy":
            target = targets.usable(decision.target)
        cost, parts = cost_of(decision.action, row["snapshot"].get("size"), source, target, request.get("lifetime"),
                              config.costs.weights)
        decided.append({
            **row, "action": decision.action, "target_id": target and target["id"], "target_name": target and target["name"],
            "cost": cost, "cost_parts": parts, "rule": decision.rule,
            "decision": {"rule": decision.rule, "because": decision.because, "policy": policies.revision,
                         "wish": request.get("action")},
        })
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


def _check_enough(request: Mapping[str, Any], rows: Sequence[Row], decided: Sequence[Row]) -> None:
    confirmed = [row for row in rows if row["state"] == "Confirmed"]
    kept = len(confirmed) + sum(row["action"] != "reject" for row in decided)
    least = (request.get("select") or {}).get("minimum", 1)
    if kept < least:
        rules_used = sorted({row["rule"] for row in decided if row["action"] == "reject"})
        named = f" ({', '.join(rules_used)})" if rules_used else ""
        raise CannotGoOn("rejected_by_policy", f"The policies reject {len(decided) - kept} of {len(decided)} Data{named}; "
                         f"{kept} remain and at least {least} is needed.", can_wait=False)


def _write(uses: Uses, request: Mapping[str, Any], before: Sequence[Row], decided: Sequence[Row]) -> None:
    columns = ("action", "target_id", "target_name", "cost", "cost_parts", "rule", "decision")
    rejected = []
    for start in range(0, len(decided), CHUNK):
        part = decided[start:start + CHUNK]
        fresh = {row["id"]: row for row in part}
        old = before[start:start + CHUNK]
        taken = [row for row in old if fresh[row["id"]]["action"] != "reject"]
        refused = [row for row in old if fresh[row["id"]]["action"] == "reject"]

        def decision(row: Row, fresh: Mapping[str, Row] = fresh) -> dict[str, Any]:
            return {name: fresh[row["id"]][name] for name in columns}
        try:
            with uses.db.transaction(uses.context) as uow:
                uow.move(RESERVATION, taken, "confirm", changes=lambda row: {**decision(row), "expires_at": None})
                rejected += uow.move(RESERVATION, refused, "free", changes=lambda row: {
                    **decision(row), "reason": {"code": "rejected_by_policy", "rule": fresh[row["id"]]["rule"],
                                                "because": fresh[row["id"]]["decision"]["because"]}})
        except VersionConflict:
            # The same step, asked for twice, runs elsewhere; what it writes is the same.
            continue
        time.sleep(0)
    freeing.release(uses, rejected)


def _tell(uses: Uses, request: Mapping[str, Any]) -> None:
    with uses.db.reading() as connection:
        rows = [row for row in repository.counts(connection, request["id"]) if row.attempt == request["attempt"]]
    if any(row.state == "Created" for row in rows):
        raise VersionConflict("datareservation.version_conflict", "The reservations are being decided elsewhere.")
    confirmed = sum(row.n for row in rows if row.state == "Confirmed")
    cost = round(sum(row.cost or 0 for row in rows if row.state == "Confirmed"), 9)
    try:
        uses.mesh.call("catalog", "renew", holder=request["id"], ttl_s=None)
        uses.mesh.call("requests", "evaluated", request=request["id"], attempt=request["attempt"], confirmed=confirmed,
                       rejected=sum(row.n for row in rows if row.state == "Rejected"), cost=cost)
    except Conflict as error:
        if error.code != "datarequest.not_needed":
            raise
        freeing.free_all(uses, request["id"], {"code": "cancelled"}, up_to=request["attempt"])
