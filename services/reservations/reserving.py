"""Reserve: ask the catalogue, claim a reader of each source, write the reservations. Every part may run twice."""
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from services.reservations import budget, freeing, repository, rules
from services.reservations.asking import asking
from services.reservations.models import RESERVATION
from services.reservations.mounting import with_mounts
from services.reservations.policy.deciding import Asking, Decided, Outcome, decide
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import Conflict, EdgemereError, Malformed, NoCapacity

CHUNK = 2000
PAGE = 5000
HINTS_LIMIT_S = 8
Data = Mapping[str, Any]


class CannotGoOn(Exception):
    """The step cannot be taken now: ``code`` of the closed list, a sentence, and whether waiting can help.

    ``waits_for`` says what for: ``{"object": {"class", "id", "name", "kind"}, "line": {"position", "ahead", "estimate_s"}}``;
    ``member`` which one of a group it is about.
    """

    def __init__(self, code: str, message: str, *, can_wait: bool = True, waits_for: Mapping[str, Any] | None = None,
                 member: str | None = None) -> None:
        super().__init__(code, message)
        self.code, self.can_wait, self.waits_for, self.member = code, can_wait, waits_for, member
        self.message = f"Member '{member}': {message}" if member else message


class Kept(NamedTuple):
    """A candidate that gets a reservation, and the member of a group that it is for."""

    data: Data
    decided: Decided
    member: str | None = None


@dataclass
class Intention:
    """What a request would reserve, as far as it was found out: ``found`` is what the catalogue said of the query."""

    found: dict[str, Any] = field(default_factory=dict)
    candidates: Sequence[Data] = ()
    sources: dict[str, Any] = field(default_factory=dict)
    asked: Asking | None = None
    outcome: Outcome | None = None
    kept: list[Kept] = field(default_factory=list)

    def add(self, member: str, own: Intention) -> None:
        """Take in what one member of a group would reserve."""
        self.candidates = [*self.candidates, *own.candidates]
        self.sources.update(own.sources)
        self.asked = self.asked or own.asked
        if own.outcome:
            before = self.outcome.decided if self.outcome else []
            self.outcome = Outcome([*before, *own.outcome.decided], own.outcome.selection)
        self.kept += [one._replace(member=member) for one in own.kept]

    def rows(self, request: Mapping[str, Any], ttl_s: float) -> list[dict[str, Any]]:
        """The reservations to write: what is chosen claims its source for so long."""
        ends = clock.stamp_in(ttl_s)
        rows = [rules.reservation_row(request, data, decided, ends) for data, decided, _ in self.kept]
        return [{**row, "member": one.member} for row, one in zip(rows, self.kept, strict=True)] if request.get("group") else rows


def reserve(uses: Uses, request: Mapping[str, Any]) -> None:
    """Take a Needed request to Selected; or say why it waits or fails."""
    intention = Intention()
    found = intention.found
    try:
        intend(uses, request, intention)
        rows = intention.rows(request, uses.config.reservations.claim_ttl_s)
        claim(uses, request, rules.reader_claims(rows), uses.config.reservations.claim_ttl_s)
    except CannotGoOn as why:
        refuse(uses, request, why, found)
        return
    for start in range(0, len(rows), CHUNK):
        with uses.db.transaction(uses.context) as uow:
            uow.create(RESERVATION, rows[start:start + CHUNK], "create", ignore_existing=True)
        time.sleep(0)
    refs = [{"id": row["id"], "name": row["name"]} for row in rows[:200]]
    try:
        uses.mesh.call("requests", "selected", request=request["id"], attempt=request["attempt"],
                       reservations=len(rows), refs=refs, found=found)
    except Conflict as error:
        if error.code != "datarequest.not_needed":
            raise
        # It was cancelled, or began anew, while this attempt was being reserved.
        freeing.free_all(uses, request["id"], {"code": "cancelled"}, up_to=request["attempt"])


def intend(uses: Uses, request: Mapping[str, Any], intention: Intention) -> None:
    """Find out what a request would reserve as things stand now. Writes nothing, unless the request heals what broke.

    Of a group all members, in their order: data that several match is the first one's.

    Raises:
        CannotGoOn: there is nothing to reserve, or not enough; of a group for one member, which it names.
    """
    if refusal := budget.spent_refusal(uses, request):
        raise CannotGoOn("over_budget", refusal.detail, can_wait=refusal.can_wait, waits_for=refusal.waits_for)
    for member, part in rules.parts_of(request).items():
        if member is None:
            _intend_part(uses, part, intention)
        else:
            _intend_member(uses, member, part, intention)
    if request.get("group") and request.get("missing"):
        _heal_members(uses, request, intention)


def _intend_part(uses: Uses, request: Mapping[str, Any], intention: Intention, taken: Set[str] = frozenset()) -> None:
    candidates, intention.sources = _candidates(uses, request, intention.found)
    _hint(uses, request, intention.found)
    free = [data for data in candidates if data["id"] not in taken] if taken else candidates
    if candidates and not free:
        raise CannotGoOn("no_match", f"All {len(candidates)} Data that match belong to members before it.")
    intention.candidates = _chosen(uses, request, _as_locked(request, free), intention.found)
    settle(uses, request, intention)


def _intend_member(uses: Uses, member: str, part: Mapping[str, Any], intention: Intention) -> None:
    """One member of a group; ``found`` keeps what the catalogue said for each, and the funnel of the one that fails."""
    own, found = Intention(), intention.found
    try:
        _intend_part(uses, part, own, {one.data["id"] for one in intention.kept})
    except CannotGoOn as why:
        found.update(funnel=own.found.get("funnel"), hints=own.found.get("hints"))
        raise CannotGoOn(why.code, why.message, can_wait=why.can_wait, waits_for=why.waits_for, member=member) from None
    finally:
        found.setdefault("members", {})[member] = own.found
        found["warnings"] = [*found.get("warnings", []), *(own.found.get("warnings") or [])]
        found["total"] = found.get("total", 0) + own.found.get("total", 0)
        found["truncated"] = bool(found.get("truncated") or own.found.get("truncated"))
    intention.add(member, own)


def _heal_members(uses: Uses, request: Mapping[str, Any], intention: Intention) -> None:
    """What stands in for data of a group belongs to the member of the data that broke."""
    with uses.db.reading() as connection:
        members = repository.members_of(connection, request["id"], [broken.get("data") for broken in request["missing"]])
    of = {data["id"]: members.get(broken.get("data")) for data, broken in zip(intention.candidates, request["missing"], strict=False)}
    intention.kept = [one._replace(member=of.get(one.data["id"])) for one in intention.kept]


def _hint(uses: Uses, request: Mapping[str, Any], found: dict[str, Any]) -> None:
    """Note what to change in a query that finds too little for its request. Asked once while the catalogue says the same.

    Where there is enough nothing is noted: over a large catalogue hints take longer than all the rest of a small request.
    """
    least = max(1, (request.get("select") or {}).get("minimum", 1))
    if found["total"] >= least or request.get("missing"):
        return
    before = request.get("found") or {}
    if before.get("hints") is not None and before.get("funnel") == found["funnel"]:
        found["hints"] = before["hints"]
        return
    try:
        found["hints"] = uses.for_owner(request).call("catalog", "hints", expression=request["query"], wanted=least, timeout_s=HINTS_LIMIT_S)["hints"]
    except EdgemereError:
        # Hints are a help: a request does not fail for want of them.
        found["hints"] = []


def refuse(uses: Uses, request: Mapping[str, Any], why: CannotGoOn, found: Mapping[str, Any] | None = None) -> None:
    """Tell the request that its step cannot be taken; it waits or fails as it was asked to."""
    about = {"request": request["id"], "attempt": request["attempt"], "message": why.message, "found": found or None}
    if why.can_wait:
        waits_for = {**(why.waits_for or {}), **({"member": why.member} if why.member else {})}
        uses.mesh.call("requests", "blocked", code=why.code, waits_for=waits_for or None, **about)
    else:
        uses.mesh.call("requests", "failed", reason={"code": why.code, **({"member": why.member} if why.member else {})}, **about)


def _candidates(uses: Uses, request: Mapping[str, Any], found: dict[str, Any]) -> tuple[list[Data], dict[str, Any]]:
    """Everything that matches, in the catalogue's order, page by page; ``found`` gets funnel and warnings."""
    most = uses.config.requests.max_candidates
    items: list[Data] = []
    sources: dict[str, Any] = {}
    cursor = None
    while True:
        try:
            page = uses.for_owner(request).call("catalog", "query", expression=request["query"], limit=PAGE, cursor=cursor,
                                  funnel=cursor is None, timeout_s=30)
        except Malformed as error:
            raise CannotGoOn("bad_query", error.detail, can_wait=False) from None
        if cursor is None:
            found.update(funnel=page.get("funnel"), warnings=page.get("warnings") or [], total=page["total"])
            if page["total"] > most and _takes_all(request):
                raise CannotGoOn("too_many_candidates",
                                 f"{page['total']} Data match; one request takes at most {most}. Narrow the query.",
                                 can_wait=False)
        items += page["items"]
        sources.update(with_mounts(uses, page.get("sources") or {}))
        cursor = page["next"]
        if cursor is None or len(items) >= most:
            if cursor is not None:
                # Some are enough for it, so it looks at the first of them; and says so.
                found["truncated"] = True
                found["warnings"].append({"code": "truncated", "detail": f"{page['total']} Data match; the first {most} were looked at."})
            return items[:most], sources


def _as_locked(request: Mapping[str, Any], items: Sequence[Data]) -> Sequence[Data]:
    """The data of a request from a lock with the checksums that the lock has: what is delivered is compared with them.

    Raises:
        CannotGoOn: ``checksum_mismatch``, one has other bytes since the request was made.
    """
    wanted = request.get("checksums")
    if not wanted:
        return items
    for data in items:
        if data.get("checksum") and data["checksum"] != wanted.get(data["id"], data["checksum"]):
            raise CannotGoOn("checksum_mismatch", f"'{data['name']}' no longer has the bytes that the lock names.", can_wait=False)
    return [{**data, "checksum": data.get("checksum") or wanted.get(data["id"])} for data in items]


def _takes_all(request: Mapping[str, Any]) -> bool:
    select = request.get("select") or {}
    return "count" not in select and select.get("mode", "all") == "all"


def _chosen(uses: Uses, request: Mapping[str, Any], candidates: Sequence[Data], found: Mapping[str, Any]) -> Sequence[Data]:
    if request.get("missing"):
        return _healing(uses, request, candidates)
    if not candidates:
        raise CannotGoOn("no_match", _nothing(found))
    return candidates


def settle(uses: Uses, request: Mapping[str, Any], intention: Intention, known: Mapping[str, Any] | None = None) -> None:
    """Which of the candidates get reservations, as things stand now; ``evaluate`` decides again what becomes of each.

    ``known``: as for ``asking``.

    Raises:
        CannotGoOn: not enough of them can be taken.
    """
    asked = intention.asked = asking(uses, request, intention.sources, truncated=bool(intention.found.get("truncated")), known=known)
    outcome = intention.outcome = decide(intention.candidates, asked)
    refusal = outcome.refusal
    if refusal and refusal.code != "rejected_by_policy":
        raise CannotGoOn(refusal.code, refusal.detail, can_wait=refusal.can_wait)
    keep = rules.reserved(outcome.decided, asked.select, refusal)
    intention.kept = [Kept(data, decided) for data, decided, kept in zip(intention.candidates, outcome.decided, keep, strict=True) if kept]


def _healing(uses: Uses, request: Mapping[str, Any], candidates: Sequence[Data]) -> list[Data]:
    """For each data that broke the one that stands in for it: itself if it is back, else the same bytes elsewhere."""
    live = set(uses.mesh.call("instances", "live_data", request=request["id"]))
    free = {data["id"]: data for data in candidates if data["id"] not in live}
    # What is there itself comes first, so that nothing else takes its place.
    chosen: dict[str, Data] = {broken["data"]: free.pop(broken["data"]) for broken in request["missing"] if broken.get("data") in free}
    for broken in request["missing"]:
        if broken.get("data") in chosen:
            continue
        best = rules.stand_in(broken, list(free.values()), request.get("select") or {})
        if best is None:
            name = broken.get("name") or broken.get("data")
            raise CannotGoOn("source_unavailable", f"'{name}' is no longer at its source, and nothing else has the same content.")
        chosen[best["id"]] = free.pop(best["id"])
    freeing.free_data(uses, request["id"], [broken.get("data") for broken in request["missing"]], request["attempt"])
    return list(chosen.values())


def _nothing(found: Mapping[str, Any]) -> str:
    funnel = found.get("funnel") or {}
    before = funnel.get("base", 0)
    if not before:
        return "The catalogue has no Data. Register a source first."
    hint = ""
    for warning in found.get("warnings") or []:
        if warning.get("nearest"):
            hint = f" No Data has '{warning['field']}'; did you mean '{warning['nearest'][0]}'?"
            break
    for step in funnel.get("steps", ()):
        if step["remaining"] == 0:
            return f"Nothing matches: {step['clause']} leaves none of the {before} Data before it.{hint}"
        before = step["remaining"]
    return f"Nothing matches.{hint}"


def claim(uses: Uses, request: Mapping[str, Any], claims: Sequence[Mapping[str, Any]], ttl_s: float | None) -> None:
    """Claim capacity for a request, all or nothing; the same claims again change nothing.

    Raises:
        CannotGoOn: a source has no room, or is out of use.
    """
    try:
        uses.mesh.call("catalog", "claim", claims=list(claims), holder=request["id"], ttl_s=ttl_s,
                       timeout_s=30, **({"wait": True} if request.get("wait") else {}))
    except NoCapacity as error:
        raise no_room(error) from None
    except EdgemereError as error:
        if error.status in (404, 409, 422) and error.code != "version_conflict":
            raise CannotGoOn("source_unavailable", error.detail, waits_for={"object": _source_in(error)}) from None
        raise


def no_room(error: EdgemereError) -> CannotGoOn:
    """What the refusal of a claim for want of room means for a step."""
    return CannotGoOn("no_capacity", error.detail, can_wait=not error.extra.get("never"),
                      waits_for={"object": _source_in(error), "line": error.extra.get("line")})


def _source_in(error: EdgemereError) -> dict[str, Any] | None:
    """The source that a refusal of the catalogue is about."""
    source = error.extra.get("source")
    return {"class": "datasource", **source, "kind": error.extra.get("kind")} if source else None
