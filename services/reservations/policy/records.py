"""The decision record: stored as its inputs, each once, and composed when somebody reads it.

What is stored with a reservation is ``{rule, because, policy, wish, enforce, frame, place, group?, dry?}``; ``frame`` (request, targets,
terms), ``place`` (the source's facts) and ``group`` (the replicas) are ids of parts that many reservations share. The rest
follows from them, the policies' text and the data as it was reserved, by the functions that decided. Pure.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import orjson

from services.reservations.policy.deciding import (
    REQUEST_FACTS, SOURCE_FACTS, Asking, Decided, Decider, Facts, Lane, Terms, scores,
)
from services.reservations.policy.rules_file import Policies
from shared.query.matcher import predicate, value_of
from shared.query.tree import walk

REPLICAS_SHOWN = 20
Part = dict[str, Any]


def part_id(body: Any) -> str:
    """The id of a shared part: the same content has the same id."""
    return "part_" + sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()[:24]


def frame(asking: Asking) -> Part:
    """What all decisions of one evaluation have in common."""
    request = {name: asking.request.get(name) for name in REQUEST_FACTS}
    terms = asking.terms
    return {"request": {**request, "healing": bool(asking.request.get("missing"))}, "policy": asking.policies.revision,
            "targets": {name: facts_of(target) for name, target in sorted(asking.targets.items())},
            "terms": {"weights": dict(terms.weights), "default_target": terms.default_target,
                      "expected_reads": terms.expected_reads, "standbys": terms.standbys},
            "seed": asking.seed, "truncated": asking.truncated}


def facts_of(source: Facts) -> Part:
    """What decisions may know of a source."""
    return {name: source[name] for name in SOURCE_FACTS if name in source}


def group(members: Sequence[Decided], asking: Asking) -> Part:
    """The replicas of one thing, best first, as they were compared."""
    shown = [{"data": {"id": one.data_id, "name": one.name},
              "source": {"id": one.source_id, "name": (asking.sources.get(one.source_id) or {}).get("name")},
              "cost": one.cost, "action": one.action, "chosen": one.status == "chosen"} for one in members[:REPLICAS_SHOWN]]
    return {"replicas": shown, "of": len(members)}


def asking_of(frame: Part, places: Mapping[str, Facts], policies: Policies) -> Asking:
    """What was asked, from the stored parts; ``places`` are facts of sources by their ids."""
    request, terms = dict(frame["request"]), frame["terms"]
    if request.pop("healing", False):
        request["missing"] = True
    return Asking(request, policies, places, frame["targets"], Terms(**terms), frame["truncated"])


class Composer:
    """Composes records for the data of one asking; what is settled for a source is settled once."""

    def __init__(self, asking: Asking) -> None:
        self.asking, self._decider = asking, Decider(asking)

    def record(self, data: Facts, group: Part | None = None) -> dict[str, Any]:
        """The whole record of what is decided about ``data`` (as it was reserved)."""
        asking = self.asking
        decided = self._decider(data)
        lane = self._decider.lane(decided.source_id)
        tried, deciding = [], None
        for rule in asking.policies.rules:
            one = _tried(rule, lane, data)
            tried.append(one)
            if one["matched"] and rule.enforce:
                deciding = rule
                break
        scored = scores(lane, lane.wanted(deciding.target if deciding else None), data)
        replicas = [{key: one[key] for key in ("data", "source", "cost", "chosen")} for one in (group or {}).get("replicas", ())]
        margin, runner_up = _margin(decided, scored, replicas)
        return {
            "rule": decided.rule, "because": decided.because, "policy": asking.policies.revision,
            "wish": asking.request.get("action"), "enforce": True, "action": decided.action, "target": decided.target,
            "tried": tried, "scores": scored, "replicas": replicas, "margin": margin, "runner_up": runner_up,
            "seed": asking.seed, "truncated": asking.truncated or (group or {}).get("of", 0) > len(replicas)}


def _tried(rule: Any, lane: Lane, data: Facts) -> dict[str, Any]:
    """A rule with what each of its clauses found; ``would`` says what a rule that is only noted would have done."""
    view = {**lane.view(rule.target), "data": data}
    clauses = []
    for conjunct in rule.query.clauses:
        names = list({clause.name.text: clause.name for clause in walk(conjunct.node)}.values())
        values = {name.text: value_of(name, view) for name in names}
        clauses.append({"clause": conjunct.label, "field": names[0].text if len(names) == 1 else ", ".join(values),
                        "value": next(iter(values.values())) if len(values) == 1 else values,
                        "holds": predicate(conjunct.node)(view)})
    matched = all(one["holds"] for one in clauses)
    noted = {} if rule.enforce else {"enforce": False, **({"would": rule.action} if matched else {})}
    return {"rule": rule.name, "matched": matched, "clauses": clauses, **noted}


def _margin(decided: Decided, scored: Mapping[str, Mapping[str, Any]], replicas: Sequence[Mapping[str, Any]]) -> tuple[float | None, str | None]:
    """By how much the winner won, and against whom: the next replica, else the next action that was possible."""
    others = [one for one in replicas if one["data"]["id"] != decided.data_id]
    if others:
        best = min(others, key=lambda one: (one["cost"], one["data"]["id"]))
        return round(best["cost"] - decided.cost, 9), f"'{best['data']['name']}' at '{best['source']['name']}'"
    rivals = [(one["cost"], action) for action, one in scored.items() if one["possible"] and action != decided.action]
    if decided.action == "reject" or not rivals:
        return None, None
    cost, action = min(rivals)
    return round(cost - decided.cost, 9), action


def compact(decided: Decided, frame_id: str, place_id: str, asking: Asking, group_id: str | None = None) -> dict[str, Any]:
    """What is stored with the reservation itself."""
    kept = {"rule": decided.rule, "because": decided.because, "policy": asking.policies.revision,
            "wish": asking.request.get("action"), "enforce": True, "frame": frame_id, "place": place_id}
    if group_id:
        kept["group"] = group_id
    if decided.dry:
        kept["dry"] = list(decided.dry)
    return kept
