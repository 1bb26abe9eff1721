"""Reserve and evaluate in one go, for several requests at once: the way of most requests.

What is found, decided and claimed is what ``reserving`` and ``evaluating`` would find, decide and claim, by the same functions; but
reservations are written once, with what is decided about them, and the request is told once. It is for requests of which nothing is
in the way: whatever has a group, heals, follows a lock, has a budget, finds too little or too much, is refused something, or waits for
room, goes step by step as ``reserving.reserve`` begins it. Every part may run twice.

They come as messages that wait (``handlers.on_needed``) or as calls at the same time (``take``).
"""
from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from services.reservations import budget, evaluating, freeing, keeping, repository, reserving, rules
from services.reservations.asking import targets_of
from services.reservations.evaluating import Evaluation
from services.reservations.models import RESERVATION
from services.reservations.mounting import facts
from services.reservations.reserving import CannotGoOn, Intention
from shared.hosting import quotas
from shared.hosting.uses import Uses
from shared.kernel.errors import EdgemereError, NotYet, from_payload
from shared.kernel.rights import visible_to

Asked = tuple[Uses, Mapping[str, Any]]
"""A request as ``requests.plain`` answers it, and what its work belongs to."""

KEPT = 5000


class Done:
    """The attempts with which this process is done, the newest of them: taken to Evaluated in one go, or refused for want of room. A message
    that they are Needed, or Selected, has nothing left to do. Who is not among them is asked about."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], bool] = {}

    def add(self, request: str, attempt: int, standing_by: bool = False) -> None:
        """``standing_by``: whether some of its reservations stand by."""
        self._known[request, attempt] = standing_by
        while len(self._known) > KEPT:
            del self._known[next(iter(self._known))]

    def discard(self, request: str, attempt: int) -> None:
        self._known.pop((request, attempt), None)

    def has(self, obj: Any) -> bool:
        """Whether a message's object is one of them."""
        return (request := _named(obj)) is not None and isinstance(obj.get("attempt"), int) and (request, obj["attempt"]) in self._known

    def has_none_standing_by(self, obj: Mapping[str, Any]) -> bool:
        """Whether a message's object is one of them of which nothing stands by, and no attempt before it can have left anything."""
        return obj.get("attempt") == 1 and self._known.get((obj["id"], 1)) is False


class UnderWay:
    """The requests that calls are at in this process at this moment. The message that one is Needed waits for the call, after which there is
    nothing left to do for it."""

    def __init__(self) -> None:
        self._ends: dict[str, list[threading.Event]] = {}

    @contextmanager
    def at(self, request: str) -> Iterator[None]:
        """A call begins, and ends with the block."""
        over = threading.Event()
        self._ends.setdefault(request, []).append(over)
        try:
            yield
        finally:
            self._ends[request].remove(over)
            if not self._ends[request]:
                del self._ends[request]
            over.set()

    def is_over(self, obj: Any, within_s: float) -> bool:
        """Whether no call is at a message's object, or none of them any more after a while."""
        until = time.monotonic() + within_s
        request = _named(obj)
        ends = tuple(self._ends.get(request, ())) if request is not None else ()
        return all(end.wait(max(0.0, until - time.monotonic())) for end in ends)


def _named(obj: Any) -> str | None:
    """The request that a message's object names; None where a message of anything but a request came."""
    return obj["id"] if isinstance(obj, Mapping) and isinstance(obj.get("id"), str) else None


FEW = 100
"""A request that matches more Data than this is large enough to go by itself."""


@dataclass(frozen=True, eq=False)
class Call:
    """A call for a request by its id or name, of whoever ``uses`` works for; or for one that is ``given``, and gets this id."""

    uses: Uses
    request: str
    given: Mapping[str, Any] | None = None


class Taken(NamedTuple):
    """What became of a call: its request as ``requests.plain`` answered it at first, None where the caller has none such, or it could not be made
    with those of others; as ``requests.show`` answers it now, None unless it is done with; and why it was not made, if it was refused."""

    request: Mapping[str, Any] | None
    shown: Mapping[str, Any] | None
    refusal: Mapping[str, Any] | None = None


@dataclass
class _Taking:
    """One request on its way: what it would reserve, and what is decided about that."""

    uses: Uses
    request: Mapping[str, Any]
    found: Mapping[str, Any]
    rows: list[dict[str, Any]]
    evaluation: Evaluation

    @property
    def claims(self) -> list[dict[str, Any]]:
        return [*rules.reader_claims(self.rows), *evaluating.claims_of(self.evaluation)]

    def decided(self, status: str) -> list[dict[str, Any]]:
        """The rows of its reservations with this status, with what is decided about each."""
        return [{**row, **evaluating.decided_columns(self.evaluation, row["id"])} for row in self.rows
                if self.evaluation.by_id[row["id"]].status == status]


def take(calls: Sequence[Call]) -> list[Taken]:
    """Reserve and evaluate for calls that came at the same time; of each what became of it, in their order."""
    uses = calls[0].uses if len(calls) == 1 else calls[0].uses.for_several()
    found = {**_known(uses, [one for one in calls if one.given is None]), **_made(uses, [one for one in calls if one.given is not None])}
    needed = {taken.request["id"]: (one.uses, taken.request) for one, taken in found.items() if taken.request and taken.request["state"] == "Needed"}
    shown: dict[str, Any] = {}
    with suppress(NotYet):
        # While a mesh is renewed process by process the other services may be older: then each step is taken by itself.
        done = reserve(uses, list(needed.values()), shown)
        if rest := sorted(done - shown.keys()):
            shown |= {one["id"]: one for one in uses.mesh.call("requests", "show_all", requests=rest)}
    return [found[one]._replace(shown=shown.get(found[one].request["id"]) if found[one].request else None) for one in calls]


def _known(uses: Uses, calls: Sequence[Call]) -> dict[Call, Taken]:
    """The requests that calls name, as they are now."""
    if not calls:
        return {}
    found = uses.mesh.call("requests", "plain_all", requests=[one.request for one in calls],
                           owners=[visible_to(one.uses.context) for one in calls])
    return {one: Taken(request, None) for one, request in zip(calls, found, strict=True)}


def _made(uses: Uses, calls: Sequence[Call]) -> dict[Call, Taken]:
    """The requests that calls describe, made."""
    answers: list[Any] = [None] * len(calls)
    with suppress(NotYet):
        if calls:
            answers = uses.mesh.call("requests", "make_all", asks=[
                {"id": one.request, "given": dict(one.given or {}), "context": one.uses.context.told()} for one in calls])
    return {one: Taken((answer or {}).get("request"), None, (answer or {}).get("error")) for one, answer in zip(calls, answers, strict=True)}


def reserve(uses: Uses, asked: Sequence[Asked], shown: dict[str, Any] | None = None) -> set[str]:
    """Take Needed requests to Evaluated as far as nothing is in their way; the ids of those that are done with.

    ``shown`` receives those that are Evaluated, by id, as ``requests.show`` answers them.
    """
    usual = [(own, request) for own, request in asked if _is_usual(own, request)]
    # What is caused by one message alone belongs to it in every respect.
    speaker = usual[0][0] if len(usual) == 1 else uses
    refused: set[str] = set()
    done = _told(speaker, _written(speaker, _claimed(speaker, _found(speaker, usual), refused)), shown) | refused if usual else set()
    for _, request in asked:
        if request["id"] not in done:
            uses.parts["done"].discard(request["id"], request["attempt"])
    return done


def _is_usual(uses: Uses, request: Mapping[str, Any]) -> bool:
    return not (request.get("group") or request.get("missing") or request.get("checksums")
                or budget.limits_of(uses.config, request["owner"]) or quotas.quota_of(uses.config, request["owner"]))


def _found(uses: Uses, asked: Sequence[Asked]) -> list[_Taking]:
    """Those of the requests that find what they need, with what is decided about it."""
    pages = _pages(uses, [request for _, request in asked])
    known = targets_of(uses, [request for _, request in asked])
    takings = []
    for (own, request), page in zip(asked, pages, strict=True):
        least = max(1, (request.get("select") or {}).get("minimum", 1))
        if page and page["next"] is None and page["total"] >= least:
            taking = _decided(own, request, page, known)
            takings += [taking] if taking else []
    return takings


def _pages(uses: Uses, requests: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any] | None]:
    """What the catalogue finds for each request. Those who ask the same with the same rights at this moment have one answer."""
    questions = [(request["query"], [request["owner"], list(request.get("owner_roles") or ())]) for request in requests]
    keys = [orjson.dumps(question, option=orjson.OPT_SORT_KEYS) for question in questions]
    different = dict(zip(keys, questions, strict=True))
    found = uses.mesh.call("catalog", "query_all", expressions=[query for query, _ in different.values()], limit=FEW, timeout_s=30,
                           rights=[rights for _, rights in different.values()])
    pages = dict(zip(different, found, strict=True))
    return [pages[key] for key in keys]


def _decided(uses: Uses, request: Mapping[str, Any], page: Mapping[str, Any], known: Mapping[str, Any]) -> _Taking | None:
    found = {"funnel": page["funnel"], "warnings": page["warnings"], "total": page["total"]}
    intention = Intention(found, page["items"], facts(uses, page["sources"]))
    try:
        reserving.settle(uses, request, intention, known)
        rows = intention.rows(request, uses.config.reservations.claim_ttl_s)
        evaluation, _ = evaluating.foreseen(uses, request, intention, [row["id"] for row in rows])
        evaluating.object_to(evaluation)
    except CannotGoOn:
        return None
    if any(one.status not in ("chosen", "standby") for one in evaluation.by_id.values()):
        return None
    return _Taking(uses, request, found, rows, evaluation)


def _claimed(uses: Uses, takings: Sequence[_Taking], refused: set[str]) -> list[_Taking]:
    """Those for which there is room, with their claims. Those that do not wait for a reader are told so, and are ``refused``."""
    if not takings:
        return []
    answers = uses.mesh.call(
        "catalog", "claim_all", asks=[{"claims": taking.claims, "holder": taking.request["id"]} for taking in takings],
        ttl_s=uses.config.reservations.claim_ttl_s, timeout_s=30)
    without = [(taking, reserving.no_room(from_payload(answer))) for taking, answer in zip(takings, answers, strict=True)
               if answer and (answer.get("extra") or {}).get("kind") == "readers" and not taking.request.get("wait")]
    if without:
        uses.mesh.call("requests", "refused", timeout_s=30, told=[
            {**_about(taking), "code": why.code, "message": why.message, "can_wait": why.can_wait} for taking, why in without])
        refused |= {taking.request["id"] for taking, _ in without}
        for taking, _ in without:
            uses.parts["done"].add(taking.request["id"], taking.request["attempt"])
    return [taking for taking, answer in zip(takings, answers, strict=True) if answer is None]


def _written(uses: Uses, takings: Sequence[_Taking]) -> list[_Taking]:
    """Write the reservations in one transaction; those of a request that an earlier run began otherwise are left to ``reserving``."""
    if not takings:
        return []
    parts: dict[str, Any] = {}
    for taking in takings:
        for asked, ids, groups in taking.evaluation.parts:
            kept, shared = keeping.taken_apart(asked, {row_id: taking.evaluation.by_id[row_id] for row_id in ids}, groups)
            taking.evaluation.kept.update(kept)
            parts.update(shared)
    with uses.db.transaction(uses.context) as uow:
        stored = keeping.store(uses, uow.connection, parts, [taking.evaluation.asked.policies for taking in takings])
        made: set[str] = set()
        for status, events in (("chosen", ("create", "confirm")), ("standby", ("create",))):
            rows = [row for taking in takings for row in taking.decided(status)]
            for taking in takings:
                uow.causes.update((row["id"], taking.uses.context) for row in taking.rows)
            made |= {row["id"] for row in uow.create(RESERVATION, rows, *events, ignore_existing=True)}
        there = repository.states_of(uow.connection, [
            row["id"] for taking in takings for row in taking.rows if row["id"] not in made])
    uses.parts["stored"].add(stored)
    return [taking for taking in takings if all(
        row["id"] in made or there[row["id"]] == ("Confirmed" if taking.evaluation.by_id[row["id"]].status == "chosen" else "Created")
        for row in taking.rows)]


def _told(uses: Uses, takings: Sequence[_Taking], shown: dict[str, Any] | None = None) -> set[str]:
    """Tell the requests; the ids of those that are done with. ``shown`` as in ``reserve``."""
    if not takings:
        return set()
    ours, attempts = uses.parts["done"], [(taking.request["id"], taking.request["attempt"]) for taking in takings]
    for one, taking in zip(attempts, takings, strict=True):
        # Before the message can be here.
        ours.add(*one, standing_by=any(taking.evaluation.with_status("standby")))
    try:
        answers = uses.mesh.call("requests", "advance", steps=[_step(taking) for taking in takings], timeout_s=30,
                                 **({} if shown is None else {"show": True}))
    except BaseException:
        # Nobody knows how far they are.
        for one in attempts:
            ours.discard(*one)
        raise
    for taking, answer in zip(takings, answers, strict=True):
        # An older service shows nothing: it answers with the refusal alone.
        shows = answer is not None and "shown" in answer
        refusal = answer["refusal"] if shows else answer
        if shows and answer["shown"] is not None and shown is not None:
            shown[taking.request["id"]] = answer["shown"]
        if refusal is not None:
            _taken_back(taking, from_payload(refusal))
    return {taking.request["id"] for taking in takings}


def _step(taking: _Taking) -> dict[str, Any]:
    rows = taking.rows
    chosen = [one for _, one in taking.evaluation.with_status("chosen")]
    return {
        **_about(taking), "reservations": len(rows), "refs": [{"id": row["id"], "name": row["name"]} for row in rows],
        "confirmed": len(chosen), "cost": round(sum(one.cost for one in chosen), 9), "ready_in_s": taking.evaluation.ready_in_s}


def _about(taking: _Taking) -> dict[str, Any]:
    """What a request is told in any case: which attempt it is about, what was found, and what that belongs to."""
    context = taking.uses.context
    return {"request": taking.request["id"], "attempt": taking.request["attempt"], "found": taking.found,
            "cause": {"correlation_id": context.correlation_id, "causation_id": context.causation_id, "traceparent": context.traceparent}}


def _taken_back(taking: _Taking, error: EdgemereError) -> None:
    """It was cancelled, or began anew, while this attempt was being reserved."""
    if error.code != "datarequest.not_needed":
        raise error
    freeing.free_all(taking.uses, taking.request["id"], {"code": "cancelled"}, up_to=taking.request["attempt"])
