"""What holds for every decision, whatever the candidates, prices, rules and selections: laws, tried on generated cases."""
from __future__ import annotations

import random

from hypothesis import given, settings, strategies as st

from services.reservations.policy.cost import ACTIONS, GIB, cost_of
from services.reservations.policy.deciding import Asking, Decider, Outcome, Terms, decide, scores
from services.reservations.policy.records import Composer, asking_of, facts_of, frame
from services.reservations.policy.rules_file import NONE, read

PRICES = ("per_gib_out", "per_gib_in", "per_gib_month", "per_request", "latency_ms", "mib_per_s")
price = st.dictionaries(st.sampled_from(PRICES), st.floats(0, 1000, allow_nan=False), max_size=6)
place = st.builds(
    lambda number, cost, adaptor, writable, deletable, location, room: {
        "id": f"s{number}", "name": f"source-{number}", "state": "Ready", "adaptor": adaptor, "location": location, "tags": {}, "cost": cost,
        "writable": writable, "deletable": deletable, "capacity": {"bytes": room, "readers": None}, "used": {"bytes": 0}},
    st.just(0), price, st.sampled_from(["file", "file", "simulated"]), st.booleans(), st.booleans(),
    st.sampled_from(["leeds", "york", None]), st.sampled_from([None, 0, GIB, 100 * GIB]))
RULES = (
    "- {name: closed, when: 'data.licence:closed', action: reject}",
    "- {name: big, when: 'data.size>1GB', action: copy, target: vault}",
    "- {name: dry, when: 'data.licence:open', action: reject, enforce: false}",
    "- {name: leeds, when: 'source.location:leeds', action: auto, target: vault}",
    "- {name: york, when: 'source.location:york', action: leave}",
    "- {name: mine, when: 'owner:darren', action: auto}",
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[dict], Asking]:
    sources = [{**draw(place), "id": f"s{number}", "name": f"source-{number}"} for number in range(draw(st.integers(1, 4)))]
    data = [{
        "id": f"data_{number:03d}", "name": draw(st.sampled_from(["a", "b", "c"])), "size": draw(st.sampled_from([None, 0, 5, GIB, 3 * GIB])),
        "checksum": draw(st.sampled_from([None, "sha256:1", "sha256:2"])), "type": "file",
        "tags": {"licence": draw(st.sampled_from(["open", "closed"]))},
        "source": {"id": (own := draw(st.sampled_from(sources)))["id"], "name": own["name"]}} for number in range(draw(st.integers(1, 12)))]
    select = draw(st.fixed_dictionaries({}, optional={
        "mode": st.sampled_from(["all", "best", "first"]), "count": st.integers(1, 6), "minimum": st.integers(1, 3),
        "max_cost": st.floats(0, 1e4), "max_bytes": st.integers(0, 10 * GIB), "distinct": st.just("name"),
        "prefer": st.just([{"when": "source.location:york", "weight": 3}]), "expected_reads": st.integers(0, 50)}))
    spread = draw(st.sampled_from([None, "together", "apart"]))
    if spread:
        select[spread] = draw(st.sampled_from(["source", "location"]))
    text = "\n".join(draw(st.permutations(draw(st.lists(st.sampled_from(RULES), unique=True, max_size=6)))))
    request = {"name": "r", "owner": draw(st.sampled_from(["darren", "anna"])), "query": {"x": 1}, "select": select,
               "action": draw(st.sampled_from([None, "auto", "copy", "leave", "move", "mount"])),
               "target": draw(st.sampled_from([None, "vault"])), "lifetime": draw(st.sampled_from([None, 60, 1e7]))}
    vault = {**draw(place), "id": "v", "name": "vault"}
    terms = Terms({"time": 0.001}, standbys=draw(st.integers(0, 3)))
    return data, Asking(request, read(text) if text else NONE, {one["id"]: one for one in sources}, {"vault": vault}, terms)


def told(outcome: Outcome) -> list[tuple]:
    return [(one.data_id, one.status, one.action, one.target, one.rule, one.because, one.cost) for one in outcome.decided]


@settings(max_examples=60, deadline=None)
@given(cases())
def test_the_same_question_has_the_same_answer(case):
    data, asked = case
    once, again = decide(data, asked), decide(data, Asking(asked.request, asked.policies, asked.sources, asked.targets, asked.terms))
    assert told(once) == told(again) and once.refusal == again.refusal


@settings(max_examples=60, deadline=None)
@given(cases(), st.randoms())
def test_what_is_done_with_a_data_does_not_depend_on_the_others(case, order: random.Random):
    data, asked = case
    decider = Decider(asked)
    alone = {one["id"]: (decided.action, decided.target, decided.rule, decided.cost) for one in data for decided in [decider(one)]}
    mixed = list(data)
    order.shuffle(mixed)
    for one in decide(mixed, asked).decided:
        assert (one.action, one.target, one.rule, one.cost) == alone[one.data_id]


@settings(max_examples=60, deadline=None)
@given(cases())
def test_auto_takes_the_cheapest_of_what_is_possible(case):
    data, asked = case
    decider = Decider(asked)
    for one in data:
        decided = decider(one)
        rule = next((rule for rule in asked.policies.rules if rule.name == decided.rule), None)
        if (rule.action if rule else asked.request.get("action")) != "auto":
            continue
        lane = decider.lane(decided.source_id)
        scored = scores(lane, lane.wanted(rule.target if rule else None), one)
        possible = {action: score["cost"] for action, score in scored.items() if score["possible"]}
        assert set(scored) == set(ACTIONS) and decided.action in possible
        assert decided.cost <= min(possible.values()) + 1e-6


@settings(max_examples=60, deadline=None)
@given(cases())
def test_no_more_stand_by_than_is_allowed_and_only_for_what_is_taken(case):
    data, asked = case
    outcome = decide(data, asked)
    for members in outcome.selection.groups:
        waiting = [one for one in members if one.status == "standby"]
        taken = [one for one in members if one.status == "chosen"]
        assert len(waiting) <= asked.terms.standbys and len(taken) <= 1
        assert not waiting or taken
    in_groups = {one.data_id for members in outcome.selection.groups for one in members}
    assert all(one.data_id in in_groups for one in outcome.decided if one.status == "standby")
    assert all(one.status == "rejected" for one in outcome.decided if one.action == "reject")


@settings(max_examples=60, deadline=None)
@given(cases())
def test_a_selection_that_is_not_refused_keeps_what_it_promises(case):
    data, asked = case
    outcome, select = decide(data, asked), asked.select
    chosen = [one for one in outcome.decided if one.status == "chosen"]
    if outcome.refusal:
        return
    assert len(chosen) >= select.get("minimum", 1)
    if "count" in select:
        assert len(chosen) <= select["count"]
    elif select.get("mode") in ("best", "first"):
        assert len(chosen) == 1
    assert sum(one.cost for one in chosen) <= select.get("max_cost", float("inf")) + 1e-6
    assert sum(one.size or 0 for one in chosen) <= select.get("max_bytes", float("inf"))
    for by in ("source", "location"):
        places = [one.source_id if by == "source" else asked.sources[one.source_id]["location"] for one in chosen]
        if select.get("together") == by:
            assert len(set(places)) == 1
        if select.get("apart") == by:
            assert len(set(places)) == len(places)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_as_many_lie_apart_as_can(case):
    """Compared with every way to choose, which only small cases allow."""
    data, asked = case
    if asked.select.get("apart") != "source" or {"max_cost", "max_bytes", "count"} & set(asked.select) or asked.select.get("mode", "all") != "all":
        return
    asked = Asking({**asked.request, "select": {**asked.select, "minimum": 1}}, asked.policies, asked.sources, asked.targets, asked.terms)
    outcome = decide(data, asked)
    whole = decide(data, Asking({**asked.request, "select": {key: value for key, value in asked.select.items() if key != "apart"}},
                                asked.policies, asked.sources, asked.targets, asked.terms))
    grouped = {one.data_id for members in whole.selection.groups for one in members}
    items = [{one.source_id for one in members} for members in whole.selection.groups]
    items += [{one.source_id} for one in whole.decided if one.action != "reject" and one.data_id not in grouped]

    def most(position: int, used: frozenset) -> int:
        if position == len(items):
            return 0
        return max([most(position + 1, used), *(1 + most(position + 1, used | {own}) for own in items[position] - used)])
    assert sum(one.status == "chosen" for one in outcome.decided) == most(0, frozenset())


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ACTIONS), price, price, st.integers(0, 10 * GIB), st.integers(0, 10 * GIB), st.integers(0, 20), st.integers(0, 20))
def test_cost_never_falls_with_size_or_reads(action, source, target, size, more, reads, more_reads):
    def cost(size, reads):
        return cost_of(action, size, {"cost": source}, {"cost": target}, 86400, {"time": 0.5}, reads)[0]
    assert cost(size + more, reads) >= cost(size, reads) - 1e-6
    assert cost(size, reads + more_reads) >= cost(size, reads) - 1e-6


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ACTIONS[:3]), price, price, st.sampled_from([name for name in PRICES if name != "mib_per_s"]), st.floats(0, 100), st.booleans())
def test_cost_never_falls_when_a_price_rises(action, source, target, name, more, there):
    def cost(source, target):
        return cost_of(action, GIB, {"cost": source}, {"cost": target}, 86400, {}, 2)[0]
    dearer = {**(target if there else source), name: (target if there else source).get(name, 0) + more}
    assert cost(*((source, dearer) if there else (dearer, target))) >= cost(source, target) - 1e-6


@settings(max_examples=60, deadline=None)
@given(cases())
def test_a_record_composed_from_what_is_stored_says_what_was_decided(case):
    data, asked = case
    stored = frame(asked)
    places = {key: facts_of(source) for key, source in asked.sources.items()}
    composer = Composer(asking_of(stored, places, asked.policies))
    for one, decided in zip(data, decide(data, asked).decided, strict=True):
        record = composer.record(one)
        assert (record["rule"], record["action"], record["because"]) == (decided.rule, decided.action, decided.because)
        assert record["seed"] == asked.seed and set(record["scores"]) == set(ACTIONS)
        deciding = [tried["rule"] for tried in record["tried"] if tried["matched"] and tried.get("enforce", True)]
        assert deciding == ([decided.rule] if decided.rule not in ("request", "default") else [])
        assert [tried["rule"] for tried in record["tried"] if "would" in tried] == list(decided.dry)
