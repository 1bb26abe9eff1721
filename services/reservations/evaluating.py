"""Evaluate: decide about every reservation, then confirm it with an action, let it stand by, or reject it."""
from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from services.reservations import budget, freeing, keeping, promises, repository, reserving, rules
from services.reservations.arrival import seconds_until_ready
from services.reservations.asking import asking, sources
from services.reservations.models import RESERVATION
from services.reservations.policy.deciding import Asking, Decided, Decider
from services.reservations.policy.records import facts_of
from services.reservations.policy.selecting import Refusal, select, undoable
from services.reservations.reserving import CHUNK, CannotGoOn, claim, refuse
from shared.hosting import quotas
from shared.hosting.uses import Uses
from shared.kernel.errors import Conflict, VersionConflict
from shared.kernel.typed import typed
from shared.storage.record import Row


# What a decision is, apart from what becomes of the reservation; and by what of it one is told from another.
DECIDED = ("action", "target_id", "target_name", "cost", "cost_parts", "rule", "decision", "replicas")
TOLD_BY = ("action", "target_id", "rule", "cost")


class Evaluation:
    """What is decided about each reservation of an attempt, without the reservations: there may be a hundred thousand."""

    def __init__(self, asked: Asking) -> None:
        self.asked = asked
        self.by_id: dict[str, Decided] = {}
        self.claimless: set[str] = set()
        self.kept: dict[str, dict[str, Any]] = {}
        self.refusal: Refusal | None = None
        # Of a group the member that is refused; and of each part what was asked, its reservations and its groups of replicas.
        self.member: str | None = None
        self.parts: list[tuple[Asking, list[str], list[list[Decided]]]] = []
        # What it would spend and make, and about how long it takes until everything is there.
        self.spends: dict[str, float] = {}
        self.makes: dict[str, int] = {}
        self.ready_in_s = 0.0

    def with_status(self, status: str) -> Iterator[tuple[str, Decided]]:
        return ((row_id, one) for row_id, one in self.by_id.items() if one.status == status)


def evaluate(uses: Uses, request: Mapping[str, Any]) -> None:
    """Take a Selected request to Evaluated; or say why it waits or fails."""
    evaluation = None
    try:
        evaluation = _decide(uses, request)
        _check(uses, request, evaluation)
        _charge(uses, request, evaluation)
        claim(uses, request, claims_of(evaluation), uses.config.reservations.claim_ttl_s)
    except CannotGoOn as why:
        if why.code != "over_budget":
            # Nothing is charged while it waits for something else.
            budget.release(uses, request["id"], request["owner"], attempt=request["attempt"])
        promises.release(uses, request["id"], request["owner"], attempt=request["attempt"])
        if evaluation is not None:
            _keep(uses, request, evaluation)
        refuse(uses, request, why)
        return
    _write(uses, request, evaluation)
    _tell(uses, request, evaluation.ready_in_s)


def _pages(uses: Uses, request: Mapping[str, Any]) -> Iterator[list[Row]]:
    """The undecided reservations of this attempt and those that stand by, a stretch at a time."""
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


def _decide(uses: Uses, request: Mapping[str, Any]) -> Evaluation:
    """Decide about all reservations as things are now."""
    # Where this step ran half before, what it confirmed stays so.
    with uses.db.reading() as connection:
        done = repository.confirmed(connection, request["id"], request["attempt"], "", 1_000_000)
    evaluation, _ = judged(uses, request, (done, *_pages(uses, request)), truncated=bool((request.get("found") or {}).get("truncated")))
    for row in done:
        del evaluation.by_id[row["id"]]
    for asked, ids, groups in evaluation.parts:
        mine = {row_id: evaluation.by_id[row_id] for row_id in ids if row_id in evaluation.by_id}
        evaluation.kept.update(keeping.keep(uses, asked, mine, groups))
    return evaluation


def judged(uses: Uses, request: Mapping[str, Any], pages: Iterable[Sequence[Mapping[str, Any]]], *,
           truncated: bool) -> tuple[Evaluation, list[list[Decided]]]:
    """What is decided about reservations as things are now, and the groups of replicas among them. Writes nothing."""
    places: dict[str, Any] = {}
    deciders = {member: Decider(asking(uses, part, places, truncated=truncated)) for member, part in rules.parts_of(request).items()}
    evaluation = Evaluation(next(iter(deciders.values())).asking)
    ids: dict[str | None, list[str]] = {member: [] for member in deciders}
    for rows in pages:
        unknown = {row["source_id"] for row in rows} - set(places)
        places.update(sources(uses, unknown))
        for row in rows:
            member = row.get("member") if row.get("member") in deciders else None
            decided = deciders[member](row["snapshot"])
            decided.fixed = row.get("state") == "Confirmed"
            evaluation.by_id[row["id"]] = decided
            ids[member].append(row["id"])
            if not row["expires_at"]:
                evaluation.claimless.add(row["id"])
    return evaluation, _selected(uses, request, evaluation, {member: (decider.asking, ids[member]) for member, decider in deciders.items()})


def foreseen(uses: Uses, request: Mapping[str, Any], intention: reserving.Intention, ids: Sequence[str]) -> tuple[Evaluation, list[list[Decided]]]:
    """As ``judged``, of what is to be reserved under these ``ids``: nothing is decided anew that was decided when it was found, a moment ago.

    From now on the decisions of ``intention`` say what evaluating makes of them.
    """
    assert intention.asked is not None
    places = {source_id: facts_of(source) for source_id, source in intention.sources.items()}
    common = replace(intention.asked, sources=places, truncated=bool(intention.found.get("truncated")))
    askings = {member: replace(common, request=part) for member, part in rules.parts_of(request).items()}
    evaluation = Evaluation(next(iter(askings.values())))
    of: dict[str | None, list[str]] = {member: [] for member in askings}
    for row_id, (_, decided, member) in zip(ids, intention.kept, strict=True):
        evaluation.by_id[row_id] = decided
        of[member if member in askings else None].append(row_id)
        if decided.status != "chosen":
            evaluation.claimless.add(row_id)
    return evaluation, _selected(uses, request, evaluation, {member: (asked, of[member]) for member, asked in askings.items()})


def _selected(uses: Uses, request: Mapping[str, Any], evaluation: Evaluation,
              parts: Mapping[str | None, tuple[Asking, list[str]]]) -> list[list[Decided]]:
    """Choose among what is decided, part by part, and sum up what that would take; the groups of replicas."""
    groups: list[list[Decided]] = []
    for member, (asked, ids) in parts.items():
        selection = select([evaluation.by_id[row_id] for row_id in ids], asked)
        evaluation.parts.append((asked, ids, selection.groups))
        groups += selection.groups
        if selection.refusal and not evaluation.refusal:
            evaluation.refusal, evaluation.member = selection.refusal, member
    chosen = [one for _, one in evaluation.with_status("chosen")]
    terms = evaluation.asked.terms
    evaluation.spends = budget.wanted(((one.action, one.size, one.parts) for one in chosen), terms.weights)
    instances = len(chosen) if request.get("granularity") == "data" else len({
        (part, evaluation.by_id[row_id].source_id) for part, (_, mine, _) in enumerate(evaluation.parts) for row_id in mine
        if evaluation.by_id[row_id].status == "chosen"})
    evaluation.makes = {"instances": instances, "bytes": int(evaluation.spends["bytes"])}
    facts = {**{target["id"]: target for target in evaluation.asked.targets.values()}, **evaluation.asked.sources}
    evaluation.ready_in_s = seconds_until_ready(((one.action, one.size, one.source_id, one.target_id) for one in chosen), facts,
                                                uses.config.requests.assumed_mib_per_s)
    return groups


def _check(uses: Uses, request: Mapping[str, Any], evaluation: Evaluation) -> None:
    """Refuse to go on with less than is needed, or with what cannot be done.

    Raises:
        CannotGoOn: with the reason; what the policies reject keeps its decision.
    """
    if evaluation.refusal:
        _object_to_freed(uses, request, evaluation.refusal)
        _write(uses, request, evaluation, ("rejected",))
    object_to(evaluation)


def _object_to_freed(uses: Uses, request: Mapping[str, Any], refusal: Refusal) -> None:
    """Refuse to go on where too few are left because some were given back by hand; nothing brings those back to this attempt.

    Raises:
        CannotGoOn: ``cancelled``.
    """
    if refusal.code != "no_match":
        return
    with uses.db.reading() as connection:
        freed = repository.freed_by_hand(connection, request["id"], request["attempt"])
    if freed:
        raise CannotGoOn("cancelled", f"{freed} of its reservations {'was' if freed == 1 else 'were'} given back by hand, and too few are left. "
                                      f"Start a new attempt: {typed('do datarequest retry', id=request['name'])}", can_wait=False)


def object_to(evaluation: Evaluation) -> None:
    """Refuse what was decided where it is less than is needed, or cannot be done.

    Raises:
        CannotGoOn: with the reason.
    """
    refusal = evaluation.refusal
    if refusal:
        raise CannotGoOn(refusal.code, refusal.detail, can_wait=refusal.can_wait, member=evaluation.member)
    impossible = undoable([one for _, one in evaluation.with_status("chosen")])
    if impossible:
        raise CannotGoOn(impossible.code, impossible.detail, can_wait=impossible.can_wait)


def _charge(uses: Uses, request: Mapping[str, Any], evaluation: Evaluation) -> None:
    """Charge the budget of the request's owner, if he may have so much more at all.

    Raises:
        CannotGoOn: ``over_quota`` or ``over_budget``, with what remains.
    """
    over = promises.claim(uses, request, evaluation.makes)
    if over:
        raise CannotGoOn("over_quota", f"{over} {quotas.WAY_OUT}", can_wait=True)
    refusal = budget.claim(uses, request, evaluation.spends)
    if refusal:
        raise CannotGoOn("over_budget", refusal.detail, can_wait=refusal.can_wait, waits_for=refusal.waits_for)


def claims_of(evaluation: Evaluation) -> list[dict[str, Any]]:
    """A reader for what is chosen and has none yet, and the bytes of what goes to a target."""
    claims = []
    for row_id, one in evaluation.with_status("chosen"):
        if row_id in evaluation.claimless:
            claims.append(rules.reader_claim(row_id, one.source_id, one.data_id))
        if one.target_id:
            claims.append(rules.byte_claim(row_id, one.target_id, one.data_id, one.size))
    return claims


def _write(uses: Uses, request: Mapping[str, Any], evaluation: Evaluation,
           only: Sequence[str] = ("chosen", "standby", "rejected", "left_out")) -> None:
    by_id = evaluation.by_id

    def columns(row: Row) -> dict[str, Any]:
        return decided_columns(evaluation, row["id"])

    for rows in _pages(uses, request):
        # What was reserved since is decided by whoever reserved it.
        rows = [row for row in rows if row["id"] in by_id and by_id[row["id"]].status in only]
        by_status: dict[str, list[Row]] = {"chosen": [], "standby": [], "rejected": [], "left_out": []}
        for row in rows:
            by_status[by_id[row["id"]].status].append(row)
        waiting = [row for row in by_status["standby"] if row["decision"] != evaluation.kept[row["id"]] or not row["standby"]]
        try:
            with uses.db.transaction(uses.context) as uow:
                uow.move(RESERVATION, by_status["chosen"], "confirm", changes=columns)
                uow.change(RESERVATION, waiting, columns)
                freed = uow.move(RESERVATION, [*by_status["rejected"], *by_status["left_out"]], "free", changes=columns)
        except VersionConflict:
            # The same step, asked for twice, runs elsewhere; what it writes is the same.
            continue
        freeing.release(uses, [*freed, *(row for row in waiting if row["expires_at"])])


def _keep(uses: Uses, request: Mapping[str, Any], evaluation: Evaluation) -> None:
    """Write down what was decided about reservations of a request that cannot have them now; each stays as it is, with what it claims.

    One that waits is decided anew at each attempt: what comes out the same is not written again.
    """
    by_id = evaluation.by_id

    def columns(row: Row) -> dict[str, Any]:
        decided = decided_columns(evaluation, row["id"])
        return {name: decided[name] for name in DECIDED}

    for rows in _pages(uses, request):
        fresh = [row for row in rows if row["id"] in by_id and not row["standby"] and any(
            row[name] != value for name, value in columns(row).items() if name in TOLD_BY)]
        try:
            with uses.db.transaction(uses.context) as uow:
                uow.change(RESERVATION, fresh, columns)
        except VersionConflict:
            # The same step, asked for twice, runs elsewhere; what it writes is the same.
            continue


def decided_columns(evaluation: Evaluation, row_id: str) -> dict[str, Any]:
    """The columns of a reservation about which is decided."""
    one, kept = evaluation.by_id[row_id], evaluation.kept[row_id]
    target = evaluation.asked.targets.get(one.target) if one.target else None
    changes = {
        "action": one.action, "target_id": target and target["id"], "target_name": target and target["name"],
        "cost": one.cost, "cost_parts": one.parts, "rule": one.rule, "decision": kept, "replicas": kept.get("group"),
        "standby": one.status == "standby", "expires_at": None, "reason": None}
    if one.status == "rejected":
        changes["reason"] = {"code": "rejected_by_policy", "rule": one.rule, "because": one.because}
    elif one.status == "left_out":
        changes["reason"] = {"code": "not_selected", "because": one.left_why}
    return changes


def _tell(uses: Uses, request: Mapping[str, Any], ready_in_s: float) -> None:
    with uses.db.reading() as connection:
        rows = repository.by_state(connection, request["id"], request["attempt"])
        left = repository.undecided_count(connection, request["id"], request["attempt"])
    if left:
        raise VersionConflict("datareservation.version_conflict", "The reservations are being decided elsewhere.")
    cost = round(sum(row.cost or 0 for row in rows if row.state == "Confirmed"), 9)
    try:
        uses.mesh.call("catalog", "renew", holder=request["id"], ttl_s=uses.config.reservations.claim_ttl_s)
        uses.mesh.call("requests", "evaluated", request=request["id"], attempt=request["attempt"],
                       confirmed=_sum(rows, "Confirmed"), rejected=_sum(rows, "Rejected"), cost=cost, ready_in_s=ready_in_s)
    except Conflict as error:
        if error.code != "datarequest.not_needed":
            raise
        budget.release(uses, request["id"], request["owner"], up_to=request["attempt"])
        promises.release(uses, request["id"], request["owner"], up_to=request["attempt"])
        freeing.free_all(uses, request["id"], {"code": "cancelled"}, up_to=request["attempt"])


def _sum(rows: Sequence[Any], state: str) -> int:
    return sum(row.n for row in rows if row.state == state)
