"""What ``explain`` says of a request's reservations: counts, decisions, moves; and why one Data is not among them. Reads alone."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.reservations import budget, framing, keeping, repository
from services.reservations.asking import asking, sources
from services.reservations.policy.deciding import Decided, Decider
from services.reservations.policy.records import Composer
from shared.hosting.uses import Uses
from shared.kernel.errors import NotFound
from shared.kernel.typed import typed
from shared.storage.record import Row

COMPARED = 2000


def explain_part(uses: Uses, request: str, attempt: int, reservation: str | None = None, after: str = "",
                 limit: int = 20, owner: str | None = None) -> dict[str, Any]:
    """Counts of one attempt, the moves of all; and in ``frame`` what was decided, in the members of a plan, with a page of reservations as ``items``.

    ``reservation``: the id or name of the one to show alone; ``owner``: whose request it is, where it is not the caller's.

    Raises:
        NotFound: ``datareservation.not_found``, it is none of the request's.
    """
    with uses.db.reading() as connection:
        sums = repository.sums(connection, request, attempt)
        spent = repository.charged(connection, request, attempt)
        moves = repository.timeline(connection, request)
        rows = repository.of_attempt(connection, request, attempt, after, limit + 1, reservation)
    if reservation and not rows:
        raise NotFound("datareservation.not_found", f"'{reservation}' is no reservation of this request in attempt {attempt}.",
                       next_step=f"List them: {typed('do datareservation list', request=request)}",
                       errors=[{"pointer": "/reservation", "detail": "There is no such reservation."}])
    page, total = rows[:limit], sum(row.n for row in sums)
    shown = list(zip(page, keeping.completed(uses, page), strict=True))
    left = budget.look(uses, owner or uses.context.owner)
    return {
        "frame": {**framing.was_decided(sums, left and {**left, "wanted": spent}, shown), "total": total,
                  "next": page[-1]["id"] if len(rows) > limit else None},
        "total": total, "attempt": attempt, **{f"by_{key}": _by(sums, key) for key in ("state", "action", "rule")},
        "cost": round(sum(row.cost or 0 for row in sums if row.state == "Confirmed"), 9), "costs": _costs(sums),
        "timeline": [{"time": move["at"], "object": None, "class": "datareservation", "event": move["event"],
                      "from": move["from_state"], "to": move["to_state"], "detail": None, "count": move["n"],
                      "cause": move["causation_id"] or None} for move in moves],
    }


def _by(now: Sequence[Any], key: str) -> dict[str, int]:
    """How many reservations there are of each state, action or rule."""
    counts: dict[str, int] = {}
    for row in now:
        framing.add(counts, getattr(row, key), row.n)
    return counts


def _costs(now: Sequence[Any]) -> list[dict[str, Any]]:
    """What each state and action costs together."""
    sums: dict[tuple[str, str], list[float]] = {}
    for row in now:
        one = sums.setdefault((row.state, row.action or "undecided"), [0, 0.0])
        one[0], one[1] = one[0] + row.n, one[1] + (row.cost or 0)
    return [{"state": state, "action": action, "count": int(count), "cost": round(cost, 9)} for (state, action), (count, cost) in sorted(sums.items())]


def why_not(uses: Uses, request: str, data: str, query: Any, attempt: int) -> dict[str, Any]:
    """Why a Data (id, name or path) is not used by a request; or that it is.

    ``{"data", "path", "source", "answer", "sentence", "clauses", "decision", "beaten_by", "reservation"}``. ``answer``: ``used``,
    ``access`` (its owner may not see it, whoever asks now does),
    ``standby``, ``clause`` (the query fails; ``clauses`` has each with the actual value), ``source`` (out of use), ``gone``,
    ``rule`` (a policy rejects it), ``replica`` or ``selection`` (others were better; ``beaten_by``), ``later`` (it came after the request
    had looked), ``not_yet`` (nobody has looked), ``freed``.

    Raises:
        NotFound: ``data.not_found``. Conflict: ``data.ambiguous``, with the candidates.
    """
    asked_by = uses.itself.call("requests", "plain", request=request)
    shown = uses.mesh.call("catalog", "why_not", expression=query, data=data, owner=asked_by["owner"],
                           roles=list(asked_by.get("owner_roles") or ()))
    document = shown["data"]
    answer: dict[str, Any] = {
        "data": {"id": document["id"], "name": document["name"]}, "path": document["path"], "source": document["source"],
        "clauses": shown["clauses"], "decision": None, "beaten_by": None, "reservation": None}
    with uses.db.reading() as connection:
        row = repository.newest_of_data(connection, request, attempt, document["id"])
        first = repository.first_reserved_at(connection, request, attempt)
    name, place = f"'{document['name']}'", document["source"]["name"]
    if row is not None:
        return {**answer, **_of_reservation(uses, row, name)}
    if shown.get("hidden"):
        return {**answer, "answer": "access", "sentence": f"{name} at '{place}' is hidden from the request's owner by access."}
    failing = [clause for clause in shown["clauses"] if not clause["holds"]]
    if failing:
        said = "; ".join(f"{clause['clause']} does not hold, {clause['field']} is {clause['said']}" for clause in failing[:3])
        return {**answer, "answer": "clause", "sentence": f"{name} at '{place}' does not match: {said}."}
    if document.get("destroyed_at"):
        return {**answer, "answer": "gone", "sentence": f"{name} at '{place}' is gone since {document['destroyed_at']}."}
    if shown["source"]["state"] != "Ready":
        return {**answer, "answer": "source", "sentence": f"{name} matches, but its source '{place}' is {shown['source']['state']}."}
    if first is None:
        ended = asked_by.get("state") in ("Failed", "Completed")
        return {**answer, "answer": "not_yet", "sentence": f"{name} matches; " + (
            "the request ended before anything was reserved for it." if ended else "nothing is reserved for the request yet.")}
    return {**answer, **_left_out(uses, request, attempt, first, document, name)}


def _of_reservation(uses: Uses, row: Row, name: str) -> dict[str, Any]:
    whole = keeping.completed(uses, [row])[0]
    decision, reason = whole["decision"], whole["reason"] or {}
    found = {"decision": decision, "reservation": {"id": row["id"], "name": row["name"], "state": row["state"]}}
    code = reason.get("code")
    if row["state"] == "Confirmed" or row["state"] == "Created" and not row["standby"]:
        return {**found, "answer": "used", "sentence": f"{name} is used: {row['action'] if row['state'] == 'Confirmed' else 'it is reserved'}."}
    if code == "rejected_by_policy":
        because = f": {reason['because']}" if reason.get("because") else "."
        return {**found, "answer": "rule", "sentence": f"{name} is rejected by the rule '{reason.get('rule')}'{because}"}
    beaten = _beaten(decision, row)
    if row["standby"] or beaten:
        by = f" '{beaten['data']['name']}' at '{beaten['source']['name']}' is better by {beaten['by']:g}." if beaten else ""
        return {**found, "answer": "standby" if row["standby"] else "replica", "beaten_by": beaten,
                "sentence": f"{name} {'stands by' if row['standby'] else 'is a replica that was not taken'}:{by}"}
    if code == "not_selected":
        return {**found, "answer": "selection", "sentence": f"{name} was left out: {reason.get('because')}"}
    return {**found, "answer": "freed", "sentence": f"{name} was reserved and given back: {code or 'by hand'}."}


def _beaten(decision: Mapping[str, Any] | None, row: Row) -> dict[str, Any] | None:
    """The replica that was taken instead, and by how much it is cheaper."""
    for one in (decision or {}).get("replicas") or ():
        if one["chosen"] and one["data"]["id"] != row["data_id"]:
            return {**one, "by": round((row["cost"] or 0.0) - one["cost"], 9)}
    return None


def _left_out(uses: Uses, request: str, attempt: int, first: str, data: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Of what matches and has no reservation: whether it came too late, is rejected, or others were taken."""
    with uses.db.reading() as connection:
        taken = repository.confirmed(connection, request, attempt, "", COMPARED)
    if data["created_at"] > first:
        return {"answer": "later", "sentence": f"{name} matches, and came into the catalogue at {data['created_at']}, after the request had looked."}
    wanted = uses.itself.call("requests", "plain", request=request)
    places = {data["source"]["id"], *(row["source_id"] for row in taken)}
    asked = asking(uses, wanted, sources(uses, places))
    decider = Decider(asked)
    own = decider(data)
    record = Composer(asked).record(data)
    if own.status == "rejected":
        return {"answer": "rule", "decision": record, "sentence": f"{name} would be rejected by the rule '{own.rule}': {own.because}"}
    same = [(row, one) for row in taken if (one := decider(row["snapshot"])).key is not None and one.key == own.key]
    rivals = same or [(row, decider(row["snapshot"])) for row in taken]
    if not rivals:
        return {"answer": "selection", "decision": record, "sentence": f"{name} matches, and was not taken."}
    # Among the taken the dearest is the one that it came nearest to.
    row, best = max(rivals, key=lambda pair: (pair[1].figure, pair[1].data_id))
    beaten = {"data": {"id": best.data_id, "name": best.name}, "source": {"id": row["source_id"], "name": row["source_name"]},
              "cost": best.cost, "chosen": True, "by": round(own.figure - best.figure, 9)}
    kind = "replica" if same else "selection"
    return {"answer": kind, "decision": record, "beaten_by": beaten, "sentence": _sentence(name, own, best, beaten, kind)}


def _sentence(name: str, own: Decided, best: Decided, beaten: Mapping[str, Any], kind: str) -> str:
    of = "The same content" if kind == "replica" else "The selection"
    how = f"better by {beaten['by']:g}" if beaten["by"] > 0 else "as good, and the tie was broken by the request's seed" \
        if beaten["by"] == 0 else f"worth {-beaten['by']:g} more, but first in the order"
    return f"{name} was not taken. {of} is had with '{best.name}' at '{beaten['source']['name']}', which is {how}."
