"""``policy test``: what other policies would have decided, from what was known at each decision. Writes nothing."""
from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from services.reservations import repository
from services.reservations.asking import targets
from services.reservations.policy import rules_file
from services.reservations.policy.deciding import Asking, Decided, Decider
from services.reservations.policy.records import asking_of
from services.reservations.policy.rules_file import Policies
from services.reservations.policy.selecting import select, undoable
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import located
from shared.kernel.ids import first_id
from shared.kernel.rights import visible_to_engineers
from shared.storage.record import Row

PAGE = 2000
# The newest ones; what is older is left out, and that is said.
MOST = 10_000
SHOWN = 100
BACK_S = 30 * 86400


def test(uses: Uses, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Decide the newest decisions again by the policies given: how many would differ, which, and the change in cost.

    Each is decided from what is stored with it: the data as it was reserved, its source and target as they were.

    Raises:
        Invalid: ``policy.invalid``, with the place of each mistake.
    """
    with located("/file", whole=False):
        policies = rules_file.given(parameters["file"], "file")
    since = parameters.get("since") or clock.stamp_in(-BACK_S)
    tally = Tally()
    now = targets(uses, policies.targets)
    truncated = False
    parts: dict[str, Any] = {}
    for number, rows in enumerate(_attempts(_history(uses, since, visible_to_engineers(uses.context), parts))):
        if tally.decisions + tally.unknown + len(rows) > MOST:
            truncated = True
            break
        again(rows, parts, policies, now, tally)
        if number % 50 == 0:
            time.sleep(0)
    return {"revision": policies.revision, "against": uses.parts["policies"].current().revision, "since": since,
            "truncated": truncated, **tally.answer(policies)}


class Tally:
    """What was counted so far."""

    def __init__(self) -> None:
        self.decisions = self.unknown = self.differ = 0
        self.requests: set[str] = set()
        self.changed: set[str] = set()
        self.cost = [0.0, 0.0]
        self.changes: Counter[tuple[str, str]] = Counter()
        self.by_rule: Counter[str] = Counter()
        self.noted: Counter[str] = Counter()
        self.items: list[dict[str, Any]] = []
        self.failing: dict[str, dict[str, Any]] = {}

    def answer(self, policies: Policies) -> dict[str, Any]:
        named = [{"name": rule.name, "enforce": rule.enforce, "decides": self.by_rule[rule.name], "notes": self.noted[rule.name]}
                 for rule in policies.rules]
        others = [{"name": name, "enforce": True, "decides": self.by_rule[name], "notes": 0} for name in ("request", "default")]
        before, after = (round(value, 9) for value in self.cost)
        return {
            "decisions": self.decisions, "differ": self.differ, "requests": len(self.requests), "requests_that_differ": len(self.changed),
            "cost": {"before": before, "after": after, "change": round(after - before, 9)},
            "changes": [{"from": was, "to": would, "count": count} for (was, would), count in self.changes.most_common()],
            "rules": [*named, *others], "items": self.items, "items_left_out": self.differ - len(self.items),
            "requests_that_would_fail": list(self.failing.values())[:SHOWN], "not_reproducible": self.unknown}


def _history(uses: Uses, since: str, owner: str | None, parts: dict[str, Any]) -> Iterator[list[Row]]:
    """Pages of decided reservations, newest first; ``parts`` gets what they share."""
    first = first_id("datareservation", since)
    before = ""
    while True:
        with uses.db.reading() as connection:
            rows = repository.decided_since(connection, first, before, PAGE, owner)
            wanted = {row["decision"][name] for row in rows for name in ("frame", "place", "group") if row["decision"].get(name)}
            parts.update(repository.parts(connection, wanted - set(parts)))
        if rows:
            yield rows
            before = rows[-1]["id"]
        if len(rows) < PAGE:
            return


def _attempts(pages: Iterator[list[Row]]) -> Iterator[list[Row]]:
    """The reservations of one attempt of one request after the other: within one moment they lie among each other."""
    waiting: dict[tuple[str, int], list[Row]] = {}
    moment = ""
    for rows in pages:
        for row in rows:
            # The first part of an id is the time of the request.
            if row["id"][:15] != moment:
                yield from waiting.values()
                waiting, moment = {}, row["id"][:15]
            waiting.setdefault((row["request_id"], row["attempt"]), []).append(row)
    yield from waiting.values()


def again(rows: Sequence[Row], parts: Mapping[str, Any], policies: Policies, now: Mapping[str, Any], tally: Tally) -> None:
    """Decide one attempt again and count what differs."""
    # What an undo reserved once more was decided once.
    rows = list({row["data_id"]: row for row in rows}.values())
    known = [row for row in rows if (row["decision"] or {}).get("frame")]
    tally.unknown += len(rows) - len(known)
    if not known:
        return
    frame = parts.get(known[0]["decision"]["frame"])
    if frame is None:
        tally.unknown += len(known)
        return
    places = {row["source_id"]: parts[row["decision"]["place"]] for row in known if row["decision"]["place"] in parts}
    then = asking_of(frame, places, policies)
    asked = Asking(then.request, policies, places, {**now, **then.targets}, then.terms, then.truncated)
    decider = Decider(asked)
    decided = [decider(row["snapshot"]) for row in known]
    refusal = select(decided, asked).refusal or undoable(decided)
    request = {"id": rows[0]["request_id"], "name": rows[0]["request_name"]}
    tally.requests.add(request["id"])
    if refusal:
        tally.failing[request["id"]] = {**request, "code": refusal.code, "detail": refusal.detail}
    for row, one in zip(known, decided, strict=True):
        _compare(row, one, _was(row, parts), request, tally)


def _was(row: Row, parts: Mapping[str, Any]) -> str:
    """What became of it: its action, or that it stood by."""
    group = parts.get((row["decision"] or {}).get("group")) or {}
    stood_by = any(one["data"]["id"] == row["data_id"] and not one["chosen"] for one in group.get("replicas", ()))
    return "standby" if stood_by and row["action"] != "reject" else row["action"]


def _compare(row: Row, one: Decided, was: str, request: Mapping[str, Any], tally: Tally) -> None:
    tally.decisions += 1
    tally.by_rule[one.rule] += 1
    tally.noted.update(one.dry)
    would = one.action if one.status in ("chosen", "rejected") else one.status
    before = row["cost"] or 0.0 if was not in ("standby", "reject") else 0.0
    after = one.cost if one.status == "chosen" else 0.0
    tally.cost[0] += before
    tally.cost[1] += after
    if (was, row["target_name"]) == (would, one.target):
        return
    tally.differ += 1
    tally.changed.add(request["id"])
    tally.changes[was, would] += 1
    if len(tally.items) < SHOWN:
        tally.items.append({
            "request": dict(request), "data": {"id": row["data_id"], "name": row["name"]},
            "source": {"id": row["source_id"], "name": row["source_name"]},
            "before": {"action": was, "target": row["target_name"], "rule": row["rule"], "cost": before},
            "after": {"action": would, "target": one.target, "rule": one.rule, "because": one.because, "cost": after}})
