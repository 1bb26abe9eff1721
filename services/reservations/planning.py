"""What a request would do now: the steps of reserve and evaluate in their order, without writing, claiming or charging.

The steps are those of ``reserving`` and ``evaluating`` themselves; only what they end in is left out. Reads alone.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from services.reservations import budget, evaluating, framing, promises, reserving, rules
from services.reservations.policy.cost import PARTS
from services.reservations.policy.deciding import Decided
from services.reservations.policy.records import Composer, group
from services.reservations.reserving import CannotGoOn, Intention
from shared.hosting import quotas
from shared.hosting.uses import Uses
from shared.kernel.errors import EdgemereError

_CALL_S = 30
# The catalogue takes no larger claim.
_LARGEST = 2**62


def plan_part(uses: Uses, request: Mapping[str, Any], after: int = 0, limit: int = 20) -> dict[str, Any]:
    """What would become of ``request`` (as ``requests.plain`` answers one that is not stored).

    ``{"refusal", "found", "counts", "cost", "cost_parts", "bytes", "capacity", "budget", "policy", "ready_in_s", "items", "total"}``;
    ``items`` are the candidates from ``after``, at most ``limit``, what is chosen first, each with its decision record.
    """
    intention, evaluation, groups, refusal = Intention(), None, [], None
    rooms: dict[tuple[str, str], dict[str, Any]] = {}
    try:
        reserving.intend(uses, request, intention)
        # Known by their data: what is not written needs no ids of its own.
        ids = [one.decided.data_id for one in intention.kept]
        _look(uses, request, [rules.reader_claim(one.data_id, one.source_id, one.data_id) for _, one, _ in intention.kept
                              if one.status == "chosen"], rooms)
        evaluation, groups = evaluating.foreseen(uses, request, intention, ids)
        evaluating.object_to(evaluation)
        beyond = promises.would_refuse(uses, request, evaluation.makes)
        if beyond:
            raise CannotGoOn("over_quota", f"{beyond} {quotas.WAY_OUT}", can_wait=True)
        over = budget.would_refuse(uses, request, evaluation.spends)
        if over:
            raise CannotGoOn("over_budget", over.detail, can_wait=over.can_wait, waits_for=over.waits_for)
        # Those with a reader have it by now; what is claimed besides are the bytes of copies.
        _look(uses, request, evaluating.claims_of(evaluation), rooms)
    except CannotGoOn as why:
        refusal = {"code": why.code, "message": why.message, "can_wait": why.can_wait, "waits_for": why.waits_for}
    decided = _decided(intention, evaluation)
    return {
        "refusal": refusal, "found": intention.found, **_summed(decided), "capacity": _capacity(rooms),
        "budget": _budget(uses, request, evaluation.spends if evaluation else _would_spend(intention, decided)),
        "policy": intention.asked.policies.revision if intention.asked else None,
        "ready_in_s": evaluation.ready_in_s if evaluation and not refusal else None,
        "items": _items(intention, decided, groups, after, limit), "total": len(decided)}


def _look(uses: Uses, request: Mapping[str, Any], claims: Sequence[Mapping[str, Any]], rooms: dict[tuple[str, str], dict[str, Any]]) -> None:
    """Note the room for claims, and refuse where there is none, with the words in which a claim would be refused."""
    if not claims:
        return
    try:
        found = uses.mesh.call("catalog", "look", claims=_in_few(claims), holder=request["id"], timeout_s=_CALL_S)
    except EdgemereError as error:
        if error.status in (404, 409, 422) and error.code != "version_conflict":
            raise CannotGoOn("source_unavailable", error.detail) from None
        raise
    rooms.update({(room["source"]["id"], room["kind"]): room for room in found})
    full = next((room for room in found if not room["fits"]), None)
    if full:
        raise CannotGoOn("no_capacity", full["why"], can_wait=not full["never"], waits_for={
            "object": {"class": "datasource", **full["source"], "kind": full["kind"]}, "line": None})


def _in_few(claims: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same amounts of the same sources in as few claims as can be: whether there is room depends on no more."""
    sums: dict[tuple[str, str], int] = {}
    for one in claims:
        sums[one["source"], one["kind"]] = sums.get((one["source"], one["kind"]), 0) + one["amount"]
    return [{"id": f"{source}.{kind}.{start}", "source": source, "kind": kind, "amount": min(amount - start, _LARGEST)}
            for (source, kind), amount in sums.items() for start in range(0, max(amount, 1), _LARGEST)]


def _decided(intention: Intention, evaluation: evaluating.Evaluation | None) -> list[tuple[Mapping[str, Any], Decided]]:
    """Each candidate with the last that was decided about it: by evaluate where it came so far, else by reserve."""
    if intention.outcome is None:
        return []
    by_data = evaluation.by_id if evaluation else {}
    pairs = [(data, by_data.get(one.data_id, one)) for data, one in zip(intention.candidates, intention.outcome.decided, strict=True)]
    rank = {status: place for place, status in enumerate(framing.STATUSES)}
    # Of a group several members may match one data: it is what the one that takes it makes of it, and is there once.
    once: dict[str, tuple[Mapping[str, Any], Decided]] = {}
    for data, one in pairs:
        if one.data_id not in once or rank[one.status] < rank[once[one.data_id][1].status]:
            once[one.data_id] = (data, one)
    return sorted(once.values(), key=lambda pair: rank[pair[1].status])


def _summed(decided: Iterable[tuple[Any, Decided]]) -> dict[str, Any]:
    counts = framing.empty_counts()
    cost, parts, size, moved = 0.0, dict.fromkeys(PARTS, 0.0), 0, 0
    for _, one in decided:
        counts["candidates"] += 1
        counts[one.status] += 1
        framing.add(counts["by_rule"], one.rule, 1)
        if one.status != "chosen":
            continue
        framing.add(counts["by_action"], one.action, 1)
        cost, size = cost + one.cost, size + (one.size or 0)
        moved += (one.size or 0) if one.action in ("copy", "move") else 0
        for name, value in one.parts.items():
            parts[name] += value
    return {"counts": counts, "cost": round(cost, 9), "cost_parts": {name: round(value, 9) for name, value in parts.items()},
            "bytes": {"used": size, "moved": moved}}


def _capacity(rooms: Mapping[Any, Mapping[str, Any]]) -> dict[str, Any]:
    return {"fits": all(room["fits"] for room in rooms.values()), "rooms": sorted(
        rooms.values(), key=lambda room: (room["fits"], room["source"]["name"], room["kind"]))}


def _budget(uses: Uses, request: Mapping[str, Any], spends: Mapping[str, float] | None) -> dict[str, Any] | None:
    left = budget.look(uses, request["owner"])
    return None if left is None else {**left, "wanted": spends}


def _would_spend(intention: Intention, decided: Iterable[tuple[Any, Decided]]) -> dict[str, float] | None:
    """What those would spend that reserve chose; None where it found nothing to decide about."""
    if intention.asked is None:
        return None
    return budget.wanted(((one.action, one.size, one.parts) for _, one in decided if one.status == "chosen"), intention.asked.terms.weights)


def _items(intention: Intention, decided: Sequence[tuple[Mapping[str, Any], Decided]], groups: Sequence[Sequence[Decided]],
           after: int, limit: int) -> list[dict[str, Any]]:
    if intention.asked is None:
        return []
    composer = Composer(intention.asked)
    of = {one.data_id: members for members in groups for one in members}
    items = []
    for data, one in decided[after:after + limit]:
        replicas = group(of[one.data_id], intention.asked) if one.data_id in of else None
        items.append({
            "data": {"id": one.data_id, "name": one.name}, "path": data["path"], "size": one.size, "source": data["source"],
            "status": one.status, "action": one.action,
            "target": {"id": one.target_id, "name": one.target} if one.target else None, "cost": one.cost, "cost_parts": one.parts, "rule": one.rule,
            "because": one.left_why or one.because, "decision": composer.record(data, replicas), "reservation": None})
    return items
