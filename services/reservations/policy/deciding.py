"""The one decision path: what is done with each candidate of a request, and which candidates it takes.

Pure: candidates, request, facts of sources and targets, policies and terms in; decisions out. ``reserve``, ``evaluate``, ``plan``
and ``policy test`` all call these functions, so what is planned is what is done. Rules are compiled once; what they ask of source, target,
request and owner is settled once for each source, so that a candidate costs only what is asked of the data itself.

Entry points: ``Asking``, ``Terms``, ``decide`` (everything at once), ``Decider`` (one candidate), ``policy.selecting.select``
(which of the decided), ``policy.records`` (the decision record).
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

import orjson

from services.reservations.policy import selecting
from services.reservations.policy.cost import ACTIONS, Tariff, tariff, total
from services.reservations.policy.possible import WhyNot, free_bytes, is_same, mounted_by, why_not, why_not_this
from services.reservations.policy.rules_file import Policies, Rule
from shared.query import parse
from shared.query.decision_fields import DECISION_FIELDS
from shared.query.matcher import predicate

Facts = Mapping[str, Any]
Test = Callable[[Any], bool]
# What a rule may know of a request, and what is kept of it to say later why it was decided so.
REQUEST_FACTS = (
    "id", "name", "ename", "owner", "query", "action", "target", "workload", "labels", "granularity", "lifetime", "select",
    "wait", "deadline", "data_reference", "attempt")
SOURCE_FACTS = (
    "id", "name", "state", "adaptor", "location", "tags", "cost", "capacity", "used", "writable", "local", "deletable", "owner",
    "no_fuse", "limits")


@dataclass(frozen=True)
class Terms:
    """What the configuration says about decisions."""

    weights: Mapping[str, float] = field(default_factory=dict)
    default_target: str | None = None
    expected_reads: float = 1
    standbys: int = 5

    @classmethod
    def of(cls, config: Any) -> Terms:
        return cls(config.costs.weights, config.instances.default_target or None, config.costs.expected_reads,
                   config.reservations.standbys)


@dataclass(frozen=True)
class Asking:
    """Everything that a decision depends on but the candidates.

    ``sources``: facts by id. ``targets``: facts by the name that rules, request or configuration use; a name that is
    missing does not exist. ``truncated``: whether more matched than are looked at.
    """

    request: Facts
    policies: Policies
    sources: Mapping[str, Facts]
    targets: Mapping[str, Facts]
    terms: Terms = field(default_factory=Terms)
    truncated: bool = False

    @cached_property
    def select(self) -> Mapping[str, Any]:
        # An attempt that heals takes what replaces the broken ones, and selects nothing anew.
        return {} if self.request.get("missing") else self.request.get("select") or {}

    @cached_property
    def reads(self) -> float:
        wanted = (self.request.get("select") or {}).get("expected_reads")
        return self.terms.expected_reads if wanted is None else float(wanted)

    @cached_property
    def seed(self) -> str:
        """What ties are broken with: the same request gives the same choice, another request perhaps another."""
        asked = {name: self.request.get(name) for name in ("owner", "query", "select", "action", "target")}
        return sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()[:12]


def targets_wanted(policies: Policies, request: Facts, terms: Terms) -> set[str]:
    """The names of all sources that something could be taken to."""
    return {name for name in (*policies.targets, request.get("target"), terms.default_target) if name}


class Decided:
    """What is decided about one candidate. ``status``: ``chosen``, ``standby``, ``rejected`` or ``left_out`` (``left_why`` says why)."""

    __slots__ = ("action", "because", "cost", "data_id", "dry", "figure", "fixed", "key", "left_why", "name", "parts", "problem", "rule",
                 "size", "source_id", "status", "target", "target_id")

    def __init__(self, data: Facts, source_id: str) -> None:
        self.data_id, self.name, self.size, self.source_id = data["id"], data["name"], data.get("size"), source_id
        self.action = self.rule = self.because = ""
        self.target: str | None = None
        self.target_id: str | None = None
        self.cost: float = 0.0
        self.parts: dict[str, float] = {}
        self.figure: float = 0.0
        self.dry: tuple[str, ...] = ()
        self.problem: WhyNot | None = None
        self.key: tuple[Any, ...] | None = None
        self.fixed = False
        self.status, self.left_why = "chosen", ""

    def __repr__(self) -> str:
        return f"Decided({self.data_id} {self.status} {self.action} {self.rule} {self.cost})"


@dataclass
class Outcome:
    """The decisions in the order of the candidates, and ``refusal`` where the selection asked for cannot be made."""

    decided: list[Decided]
    selection: selecting.Selection

    @property
    def refusal(self) -> selecting.Refusal | None:
        return self.selection.refusal


def decide(candidates: Iterable[Facts], asking: Asking) -> Outcome:
    """Decide about every candidate (data as the catalogue renders it) and choose among them."""
    decider = Decider(asking)
    decided = [decider(data) for data in candidates]
    return Outcome(decided, selecting.select(decided, asking))


class _Way:
    """One action between one source and one target: what it costs, and whether it can be done."""

    __slots__ = ("action", "free", "tariff", "why_not")

    def __init__(self, action: str, tariff: Tariff, why: WhyNot | None, free: int | None) -> None:
        self.action, self.tariff, self.why_not, self.free = action, tariff, why, free

    def refused(self, data: Facts) -> str | None:
        return self.why_not.detail if self.why_not else why_not_this(self.action, data, self.free)


class _Compiled:
    """What is the same for all sources: the rules' conditions as tests, each with whether it asks for the data; the targets."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self.rules = asking.policies.compiled
        owner = asking.request.get("owner")
        self.owner = {"id": owner, "name": owner}
        self.tariffs: dict[tuple[Any, ...], Tariff] = {}

    def wanted(self, of_rule: str | None) -> str | None:
        """The name of the target: the rule's, else the request's, else the default one."""
        return of_rule or self.asking.request.get("target") or self.asking.terms.default_target

    def tariff(self, action: str, source: Facts, prices: tuple[Any, ...], wanted: str | None) -> Tariff:
        """What an action costs; sources of the same prices share it."""
        key = (action, prices, wanted)
        if key not in self.tariffs:
            asking = self.asking
            self.tariffs[key] = tariff(action, source, asking.targets.get(wanted) if wanted else None,
                                       asking.request.get("lifetime"), asking.terms.weights, asking.reads)
        return self.tariffs[key]


class Lane:
    """All that can be settled about one source before any of its data is looked at.

    ``steps`` are ``(rule, what is left to ask of the data, the document to ask it of, the name of the target)``.
    """

    __slots__ = ("_compiled", "_prices", "_views", "_ways", "source", "steps")

    def __init__(self, compiled: _Compiled, source: Facts) -> None:
        self.source, self._compiled = source, compiled
        self._prices = tuple(sorted((source.get("cost") or {}).items()))
        self._views: dict[str | None, dict[str, Any]] = {}
        self._ways: dict[tuple[str, str | None], _Way] = {}
        self.steps: list[tuple[Rule, Sequence[Test], dict[str, Any], str | None]] = []
        for rule, of_others, of_data in compiled.rules:
            view = self.view(rule.target)
            # What is asked of others than the data is known; where it does not hold, the rule is out for this source.
            if _all(of_others, view):
                self.steps.append((rule, of_data, view, self.wanted(rule.target)))
                if rule.enforce and not of_data:
                    break

    def wanted(self, of_rule: str | None) -> str | None:
        """The name of the target: the rule's, else the request's, else the default one."""
        return self._compiled.wanted(of_rule)

    def view(self, of_rule: str | None = None) -> dict[str, Any]:
        """The document that conditions see; ``data`` is put in by whoever asks."""
        wanted = self.wanted(of_rule)
        if wanted not in self._views:
            asking = self._compiled.asking
            self._views[wanted] = {"data": {}, "source": self.source, "request": asking.request, "owner": self._compiled.owner,
                                   "target": (asking.targets.get(wanted) if wanted else None) or {}}
        return self._views[wanted]

    def way(self, action: str, wanted: str | None) -> _Way:
        """An action with the target of this name."""
        way = self._ways.get((action, wanted))
        if way is None:
            target = self._compiled.asking.targets.get(wanted) if wanted else None
            way = self._ways[action, wanted] = _Way(
                action, self._compiled.tariff(action, self.source, self._prices, wanted), why_not(action, self.source, target, wanted),
                free_bytes(target) if action in ("copy", "move") else None)
        return way


class Decider:
    """Decides about candidates one by one; made once for each evaluation."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self._compiled = _Compiled(asking)
        self._lanes: dict[str, Lane] = {}
        self._prefer = [(predicate(parse(one["when"], DECISION_FIELDS).root), float(one.get("weight", 1)))
                        for one in asking.select.get("prefer") or ()]
        self._key = selecting.keys(asking.select)

    def lane(self, source_id: str) -> Lane:
        """What is settled about a source."""
        lane = self._lanes.get(source_id)
        if lane is None:
            source = self.asking.sources.get(source_id) or {"id": source_id}
            lane = self._lanes[source_id] = Lane(self._compiled, source)
        return lane

    def __call__(self, data: Facts) -> Decided:
        source_id = data["source"]["id"]
        lane = self.lane(source_id)
        decided = Decided(data, source_id)
        for rule, tests, view, wanted in lane.steps:
            if tests:
                view["data"] = data
                if not _all(tests, view):
                    continue
            if not rule.enforce:
                decided.dry += (rule.name,)
                continue
            self._settle(decided, data, lane, rule.action, wanted, rule.name, rule.because)
            break
        else:
            wish = self.asking.request.get("action")
            because = "The request asks for it." if wish else "No rule applies, and data is left where it is by default."
            self._settle(decided, data, lane, wish or "leave", lane.wanted(None), "request" if wish else "default", because)
        decided.figure = decided.cost - self._liked(lane, data)
        decided.key = self._key(data) if decided.action != "reject" else None
        return decided

    def _settle(self, decided: Decided, data: Facts, lane: Lane, action: str, wanted: str | None, rule: str, because: str) -> None:
        decided.rule, decided.because = rule, because
        if action == "reject":
            decided.action, decided.status = "reject", "rejected"
            # What it would have cost to leave it is not spent.
            decided.cost, decided.parts = 0.0, {}
            return
        if action == "auto":
            way = cheapest(lane, wanted, data)
            said = f"{way.action} is the cheapest of what is possible."
            decided.because = f"{because} ({said})" if because and rule not in ("request", "default") else said[:1].upper() + said[1:]
        elif action in ("copy", "move") and is_same(lane.source, wanted):
            way = lane.way("leave", wanted)
            decided.because = "The data is at the target already."
            if action == "move":
                decided.problem = lane.way("move", wanted).why_not
        else:
            way = lane.way(action, wanted)
            decided.problem = way.why_not
        decided.action = way.action
        decided.parts = way.tariff.parts(decided.size)
        decided.cost = total(decided.parts)
        if way.action in ("copy", "move"):
            decided.target = wanted
            target = self.asking.targets.get(wanted) if wanted else None
            decided.target_id = target["id"] if target else None

    def _liked(self, lane: Lane, data: Facts) -> float:
        """How much the preferences of the request take off the figure that candidates are compared by."""
        if not self._prefer:
            return 0.0
        view = {**lane.view(), "data": data}
        return sum(weight for test, weight in self._prefer if test(view))


def cheapest(lane: Lane, wanted: str | None, data: Facts) -> _Way:
    """The cheapest way that is possible with this data; at the same cost the one that does less to it."""
    best, size = lane.way("leave", wanted), data.get("size")
    least = best.tariff.figure(size)
    for action in ACTIONS[1:]:
        way = lane.way(action, wanted)
        if way.why_not is None:
            figure = way.tariff.figure(size)
            if figure < least - 1e-12 and why_not_this(action, data, way.free) is None:
                best, least = way, figure
    return best


def scores(lane: Lane, wanted: str | None, data: Facts) -> dict[str, dict[str, Any]]:
    """What each action would cost for this data, or why it cannot be: ``{action: {possible, cost, parts | why_not}}``.

    Of a mount also how it is mounted (``possible.mounted_by``).
    """
    answer: dict[str, dict[str, Any]] = {}
    for action in ACTIONS:
        way = lane.way(action, wanted)
        why = way.refused(data)
        parts = way.tariff.parts(data.get("size"))
        if why is None:
            by = mounted_by(lane.source, data) if action == "mount" else {}
            answer[action] = {"possible": True, "cost": total(parts), "parts": parts, **by}
        else:
            answer[action] = {"possible": False, "why_not": why}
    return answer


def _all(tests: Sequence[Test], view: Any) -> bool:
    for test in tests:
        if not test(view):
            return False
    return True
