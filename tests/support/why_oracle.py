"""What funnel, hints, why-not and plan have to say, also of groups and within a budget, written as plainly as possible and with nothing of the product.

Works on lists of documents in memory: each Data as the catalogue shows it. A query is a list of ``(field, operator, operand)``
with fields that differ, a rule ``{name, when, action}`` with ``when`` a list of ``(field, operator, operand)`` over the dotted names
of ``data`` and ``source``. Its notion of what holds is that of ``reference_matcher``.
"""
from __future__ import annotations

import difflib
from datetime import date
from typing import Any

from tests.support.reference_matcher import holds

KINDS = {"id": "text", "name": "text", "path": "text", "type": "text", "size": "number", "media_type": "text",
         "modified_at": "time", "checksum": "text", "source": "ref", "location": "text", "uri": "text"}
GIB, MIB = 1024**3, 1024**2
# What a second counts, as the configuration has it by default.
SECOND = 0.001
Query = list[tuple[str, str, Any]]


def expression(query: Query) -> dict[str, Any]:
    """The query in JSON."""
    return {field: operand if op == "$eq" else {op: operand} for field, op, operand in query}


def _holds(clause: tuple[str, str, Any], document: dict[str, Any]) -> bool:
    return holds(expression([clause]), document, KINDS)


def matching(query: Query, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [document for document in documents if all(_holds(clause, document) for clause in query)]


def funnel(query: Query, documents: list[dict[str, Any]]) -> list[int]:
    """How many are left at first, and after each clause."""
    counts = [len(documents)]
    for clause in query:
        documents = [document for document in documents if _holds(clause, document)]
        counts.append(len(documents))
    return counts


# --- hints -----------------------------------------------------------------------------------------------------------

def hints(query: Query, documents: list[dict[str, Any]], wanted: int = 1) -> list[tuple[str, dict[str, Any], int]]:
    """``(kind, changed query, how many match)``, best first."""
    found: list[tuple[int, int, tuple[int, ...], str, Query]] = []
    matches = len(matching(query, documents))
    missed = {id(document): [at for at, clause in enumerate(query) if not _holds(clause, document)] for document in documents}
    for at, clause in enumerate(query):
        near = [document for document in documents if missed[id(document)] == [at]]
        if not near:
            continue
        rest = query[:at] + query[at + 1:]
        found.append((1, -(matches + len(near)), (at,), "drop", rest))
        for instead in _loosened(clause, near, matches, wanted):
            changed = query[:at] + [instead] + query[at + 1:]
            found.append((0, -len(matching(changed, documents)), (at,), "loosen", changed))
    if not found and not matches and len(query) > 2:
        pairs: dict[tuple[int, ...], int] = {}
        for document in documents:
            if len(missed[id(document)]) == 2:
                pair = tuple(missed[id(document)])
                pairs[pair] = pairs.get(pair, 0) + 1
        found = [(2, -count, pair, "drop_two", [clause for at, clause in enumerate(query) if at not in pair]) for pair, count in pairs.items()]
    return [(kind, expression(changed), -count) for _, count, _, kind, changed in sorted(found, key=lambda one: one[:3])][:10]


def _values(field: str, document: dict[str, Any]) -> list[Any]:
    value = document["source"]["name"] if field == "source" else document.get(field) if field in KINDS else document["tags"].get(field)
    return value if isinstance(value, list) else [] if value is None else [value]


def _comparable(operand: Any, value: Any) -> bool:
    return isinstance(operand, str) == isinstance(value, str)


def _loosened(clause: tuple[str, str, Any], near: list[dict[str, Any]], matches: int, wanted: int) -> list[tuple[str, str, Any]]:
    """The one comparison that holds for the nearest of what misses it; none where there is none."""
    field, op, operand = clause
    first = operand[0] if op == "$in" else operand
    values = [[value for value in _values(field, document) if _comparable(first, value)] for document in near]
    if op in ("$gt", "$gte", "$lt", "$lte"):
        falls = op in ("$gt", "$gte")
        best = sorted(((max if falls else min)(own) for own in values if own), reverse=falls)
        reached = [value for at, value in enumerate(best) if at == 0 or matches + best.index(value) < wanted]
        return [(field, "$gte" if falls else "$lte", _written(field, reached[-1]))] if reached else []
    if op in ("$eq", "$in"):
        old = operand if op == "$in" else [operand]
        counts: dict[Any, int] = {}
        for own in values:
            for value in set(own):
                counts[value] = counts.get(value, 0) + 1
        ranked = sorted((min(_apart(one, value) for one in old), -count, value) for value, count in counts.items())
        if not ranked or isinstance(first, str) and field != "modified_at" and ranked[0][0] > 0.5:
            return []
        new = _written(field, ranked[0][2])
        return [(field, "$in", [*old, new])] if matches else [(field, "$eq", new)]
    if op == "$prefix":
        lengths = [max((_shared(operand, value) for value in own), default=0) for own in values]
        reached = sorted((length for length in lengths if length), reverse=True)
        kept = [length for at, length in enumerate(reached) if at == 0 or matches + reached.index(length) < wanted]
        return [(field, "$prefix", operand[:kept[-1]])] if kept and len(operand) > 1 else []
    return []


def _shared(prefix: str, value: str) -> int:
    return max((length for length in range(1, len(prefix)) if value.startswith(prefix[:length])), default=0)


def _apart(one: Any, other: Any) -> float:
    if isinstance(one, str) and one[:4].isdigit() and one[4:5] == "-":
        return abs((date.fromisoformat(one[:10]) - date.fromisoformat(other[:10])).days)
    if isinstance(one, str):
        return 1 - difflib.SequenceMatcher(None, one.casefold(), other.casefold(), False).ratio()
    return abs(one - other)


def _written(field: str, value: Any) -> Any:
    # All times here are midnights, which people write as dates.
    return value[:10] if field == "modified_at" else value


# --- decisions -------------------------------------------------------------------------------------------------------

def _value(name: str, data: dict[str, Any], source: dict[str, Any]) -> Any:
    head, _, rest = name.partition(".")
    holder: Any = {"data": data, "source": source}[head]
    for key in rest.split("."):
        holder = holder.get(key) if isinstance(holder, dict) else None
    return holder


def _rule_holds(rule: dict[str, Any], data: dict[str, Any], source: dict[str, Any]) -> bool:
    for name, op, operand in rule["when"]:
        value = _value(name, data, source)
        if op == "$eq" and value != operand:
            return False
        if op in ("$gt", "$lt") and (not isinstance(value, (int, float)) or (value <= operand if op == "$gt" else value >= operand)):
            return False
    return True


def cost(action: str, size: int, source: dict[str, Any], target: dict[str, Any]) -> float:
    """Money, and seconds at ``SECOND`` each, for one read in thirty days."""
    money, seconds = price(action, size, source, target)
    return money + SECOND * seconds


def price(action: str, size: int, source: dict[str, Any], target: dict[str, Any]) -> tuple[float, float]:
    """Money, and seconds."""
    here, there = source["cost"], target["cost"]
    gib, mib = size / GIB, size / MIB
    if action in ("leave", "mount"):
        money = here.get("per_request", 0) + gib * here.get("per_gib_out", 0)
        return money, here.get("latency_ms", 0) / 1000 + (mib / here["mib_per_s"] if here.get("mib_per_s") else 0)
    speeds = [one["mib_per_s"] for one in (here, there) if one.get("mib_per_s")]
    month = there.get("per_gib_month", 0)
    if action == "move":
        month = max(0, month - here.get("per_gib_month", 0))
    money = (2 if action == "move" else 1) * here.get("per_request", 0) + 2 * there.get("per_request", 0) + gib * (
        here.get("per_gib_out", 0) + there.get("per_gib_in", 0) + there.get("per_gib_out", 0) + month)
    return money, here.get("latency_ms", 0) / 1000 + 2 * there.get("latency_ms", 0) / 1000 + (mib / min(speeds) if speeds else 0) \
        + (mib / there["mib_per_s"] if there.get("mib_per_s") else 0)


def _cheapest(data: dict[str, Any], source: dict[str, Any], target: dict[str, Any]) -> str:
    """The cheapest of what is possible; of two that cost the same the one that does less."""
    actions = ["leave", "mount"]
    if source["name"] != target["name"] and data["size"] <= target["capacity"].get("bytes", data["size"]):
        actions += ["copy", "move"]
    best = "leave"
    for action in actions:
        if cost(action, data["size"], source, target) < cost(best, data["size"], source, target) - 1e-12:
            best = action
    return best


def decisions(candidates: list[dict[str, Any]], sources: dict[str, dict[str, Any]], rules: list[dict[str, Any]], wish: str | None,
              target: str) -> dict[str, dict[str, Any]]:
    """By the id of the data: ``{action, rule, cost}`` of the first rule that holds, else of the wish, else left."""
    decided = {}
    for data in candidates:
        source = sources[data["source"]["name"]]
        action, rule = wish or "leave", "request" if wish else "default"
        for one in rules:
            if _rule_holds(one, data, source):
                action, rule = one["action"], one["name"]
                break
        if action == "auto":
            action = _cheapest(data, source, sources[target])
        elif action == "copy" and source["name"] == target:
            action = "leave"
        decided[data["id"]] = {"action": action, "rule": rule, "data": data, "source": source["name"],
                               "cost": 0.0 if action == "reject" else cost(action, data["size"], source, sources[target])}
    return decided


Parts = dict[str | None, tuple[list[dict[str, Any]], dict[str, Any]]]
"""By the member of a group (None: the request is no group): its candidates in the catalogue's order, and its ``select``."""


def plan(parts: Parts, sources: dict[str, dict[str, Any]], rules: list[dict[str, Any]], wish: str | None, target: str,
         left: dict[str, float] | None = None) -> dict[str, Any]:
    """``{"refusal": code or None, "member", "statuses": {id: status}, "decisions", "cost", "spends": {"bytes", "money"}}``.

    ``left`` is what remains of the owner's budget, by kind; a kind that is not in it has no bound. Sources have prices that differ,
    so that no two replicas cost the same.
    """
    left = left or {}
    whole: dict[str, Any] = {"refusal": None, "member": None, "statuses": {}, "decisions": {}, "cost": 0.0, "spends": {"bytes": 0, "money": 0.0}}
    if wish in ("copy", "move") and left.get("bytes", 1) <= 0:
        return {**whole, "refusal": "over_budget"}
    taken: set[str] = set()
    chosen: list[dict[str, Any]] = []
    late: list[str | None] = []
    for member, (candidates, select) in parts.items():
        free = [data for data in candidates if data["id"] not in taken]
        decided = decisions(free, sources, rules, wish, target)
        refusal, statuses, own = _selected(decided, select, sources)
        whole["decisions"] |= decided
        # Who is left out by one member may be another's.
        whole["statuses"] |= {key: status for key, status in statuses.items() if status != "left_out" or key not in whole["statuses"]}
        if not free or refusal not in (None, "rejected_by_policy"):
            return {**whole, "refusal": "no_match" if not free else refusal, "member": member}
        late += [member] if refusal else []
        chosen += own
        taken |= {key for key, status in statuses.items() if status in ("chosen", "standby")} | _kept_though_rejected(statuses, select, refusal)
    spends = {"bytes": sum(one["data"]["size"] for one in chosen if one["action"] in ("copy", "move")),
              "money": sum(price(one["action"], one["data"]["size"], sources[one["source"]], sources[target])[0] for one in chosen)}
    refusal, member = _refusal(chosen, late, spends, sources, target, left)
    return {**whole, "refusal": refusal, "member": member, "cost": sum(one["cost"] for one in chosen), "spends": spends}


def _selected(decided: dict[str, dict[str, Any]], select: dict[str, Any],
              sources: dict[str, dict[str, Any]]) -> tuple[str | None, dict[str, str], list[dict[str, Any]]]:
    """Why the selection cannot be made, the status of each candidate, and what is chosen."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for one in decided.values():
        if one["action"] != "reject":
            groups.setdefault(one["data"]["checksum"] or one["data"]["id"], []).append(one)
    items = [sorted(members, key=lambda one: one["cost"]) for members in groups.values()]
    if select.get("mode") == "best":
        items.sort(key=lambda members: members[0]["cost"])
    most = select.get("count") or (1 if select.get("mode") in ("best", "first") else len(items))
    least = select.get("minimum", 1)
    refusal = None
    if select.get("together") and items:
        bounded = select.get("count") or select.get("mode") in ("best", "first")
        needed = least if bounded else min(least, len(items)) if "minimum" in select else len(items)
        items = _in_one_place(items, select["together"], most, sources)
        refusal = "selection_impossible" if len(items) < needed else None
    taken = items[:most]
    rejected = any(one["action"] == "reject" for one in decided.values())
    if refusal is None and len(taken) < least:
        refusal = "rejected_by_policy" if rejected else "no_match"
    statuses = {key: "rejected" if one["action"] == "reject" else "left_out" for key, one in decided.items()}
    for members in taken:
        for at, one in enumerate(members):
            statuses[one["data"]["id"]] = "chosen" if at == 0 else "standby"
    return refusal, statuses, [members[0] for members in taken]


def _in_one_place(items: list[list[dict[str, Any]]], by: Any, most: int, sources: dict[str, dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The items as the best place has them: most of what is wanted, then the least cost."""
    def place(one: dict[str, Any]) -> str:
        return one["source"] if by in (True, "source") else sources[one["source"]]["location"]

    there = {name: [here for members in items if (here := [one for one in members if place(one) == name])]
             for name in {place(one) for members in items for one in members}}
    return min(there.values(), key=lambda own: (-min(len(own), most), sum(members[0]["cost"] for members in own[:most])))


def _kept_though_rejected(statuses: dict[str, str], select: dict[str, Any], refusal: str | None) -> set[str]:
    """Those whose rejection is kept on record, and who are no other member's."""
    rejected = [key for key, status in statuses.items() if status == "rejected"]
    if "count" not in select and select.get("mode", "all") == "all":
        return set(rejected)
    return set(rejected[:select.get("count", 1)]) if refusal == "rejected_by_policy" else set()


def _refusal(chosen: list[dict[str, Any]], late: list[str | None], spends: dict[str, float], sources: dict[str, dict[str, Any]], target: str,
             left: dict[str, float]) -> tuple[str | None, str | None]:
    """What is in the way of all that is chosen, and the member that it is about."""
    readers: dict[str, int] = {}
    for one in chosen:
        readers[one["source"]] = readers.get(one["source"], 0) + 1
    # Readers are claimed before the policies are asked for good, and bytes after the budget.
    if any(count > sources[name]["capacity"].get("readers", count) for name, count in readers.items()):
        return "no_capacity", None
    if late:
        return "rejected_by_policy", late[0]
    if any(spends[kind] > 1e-9 and spends[kind] > remains + 1e-9 for kind, remains in left.items()):
        return "over_budget", None
    return ("no_capacity" if spends["bytes"] > sources[target]["capacity"].get("bytes", spends["bytes"]) else None), None
