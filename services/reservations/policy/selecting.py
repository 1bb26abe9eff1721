"""Which of the decided candidates a request takes: replicas, the best, limits, together and apart. Pure.

Replicas are Data with the same checksum, or with the same value of the field that ``select.distinct`` names: the cheapest of
them is taken, the next ones stand by. Two names of one source are two Data even where their bytes are the same: whoever
asked for both needs both. Ties go by a hash of the seed, so that equal replicas of different requests spread.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from zlib import crc32

from shared.query import DATA_FIELDS
from shared.query.matcher import value_of

if TYPE_CHECKING:
    from services.reservations.policy.deciding import Asking, Decided

# What together and apart can be about.
PLACES = ("source", "location")

_Item = list["Decided"]
"""One thing that is needed: the candidates that are it, best first."""


@dataclass(frozen=True)
class Refusal:
    """Why the selection cannot be made: the code of the request's reason, and a sentence with what there is."""

    code: str
    detail: str
    can_wait: bool = True


@dataclass
class Selection:
    """``groups``: the replicas of each item of which there are several, best first. ``limits``: what was cut off, in words."""

    refusal: Refusal | None = None
    groups: list[list[Decided]] = field(default_factory=list)
    cut: str = ""


def keys(select: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], tuple[Any, ...] | None]:
    """What makes replicas of data: equal keys; None is no replica of anything."""
    distinct = select.get("distinct")
    if distinct:
        name = DATA_FIELDS.resolve(distinct, "/select/distinct")

        def by_field(data: Mapping[str, Any]) -> tuple[Any, ...] | None:
            value = value_of(name, data)
            return None if value is None else ("distinct", repr(value))
        return by_field

    def by_checksum(data: Mapping[str, Any]) -> tuple[Any, ...] | None:
        checksum = data.get("checksum")
        return ("checksum", checksum) if checksum else None
    return by_checksum


def select(decided: Sequence[Decided], asking: Asking) -> Selection:
    """Set the status of each: ``chosen``, ``standby``, ``left_out``; what is rejected stays so."""
    wanted, found = asking.select, Selection()
    items = _items(decided, asking)
    found.groups = [item for item in items if len(item) > 1]
    mode = wanted.get("mode", "all")
    if mode == "best":
        items.sort(key=lambda item: (not item[0].fixed, item[0].figure, _tie(asking.seed, item[0])))
    most = wanted.get("count") or (1 if mode in ("first", "best") else None)
    least = wanted.get("minimum", 1)
    needed = len(items) if most is None and "minimum" not in wanted else min(least, len(items)) if most is None else least
    if wanted.get("together"):
        items = _together(items, asking, most, needed, found)
    elif wanted.get("apart"):
        items = _apart(items, asking, most, needed, found)
    taken = items if most is None else items[:most]
    if found.refusal is None and ("max_cost" in wanted or "max_bytes" in wanted):
        taken = _within(taken if most is None else items, wanted, most, needed, found)
    _mark(decided, taken, asking.terms.standbys)
    if found.refusal is None and len(taken) < least:
        found.refusal = _too_few(decided, len(taken), least)
    return found


def undoable(decided: Sequence[Decided]) -> Refusal | None:
    """Why what was chosen cannot be done; data that cannot be moved within its source is left there, where there is other data as well."""
    chosen = [one for one in decided if one.status == "chosen"]
    in_place = [one for one in chosen if one.problem and one.action == "leave"]
    for one in chosen:
        if one.problem and (one.action != "leave" or len(in_place) == len(chosen)):
            return Refusal(one.problem.code, f"'{one.name}' (rule '{one.rule}'): {one.problem.detail}", one.problem.can_wait)
    return None


def _items(decided: Sequence[Decided], asking: Asking) -> list[_Item]:
    """Candidates that are the same thing as one item; the order of the catalogue stays."""
    by_checksum = not asking.select.get("distinct")
    alike: dict[Any, list[Decided]] = {}
    groups: list[list[Decided]] = []
    for one in decided:
        if one.action == "reject":
            continue
        if one.key is not None and (members := alike.get(one.key)) is not None:
            members.append(one)
            continue
        members = [one]
        groups.append(members)
        if one.key is not None:
            alike[one.key] = members
    items: list[_Item] = []
    for members in groups:
        if len(members) == 1:
            items.append(members)
            continue
        for same in _by_name(members) if by_checksum else [members]:
            if len(same) > 1:
                same.sort(key=lambda one: (not one.fixed, one.problem is not None, one.figure, _tie(asking.seed, one)))
            items.append(same)
    return items


def _by_name(members: list[Decided]) -> list[list[Decided]]:
    """The same bytes under several names of one source are several things; then only equal names are replicas."""
    names: dict[str, set[str]] = {}
    for one in members:
        names.setdefault(one.source_id, set()).add(one.name)
    if all(len(own) == 1 for own in names.values()):
        return [members]
    apart: dict[str, list[Decided]] = {}
    for one in members:
        apart.setdefault(one.name, []).append(one)
    return list(apart.values())


def _tie(seed: str, one: Decided) -> tuple[int, str]:
    return crc32(f"{seed}{one.data_id}".encode()), one.data_id


def _by(given: Any) -> str:
    return "source" if given is True else given


def _place(one: Decided, by: str, asking: Asking) -> str:
    if by == "source":
        return one.source_id
    return str((asking.sources.get(one.source_id) or {}).get("location"))


def _named(place: str, by: str, asking: Asking) -> str:
    return str((asking.sources.get(place) or {}).get("name") or place) if by == "source" else place


def _together(items: list[_Item], asking: Asking, most: int | None, needed: int, found: Selection) -> list[_Item]:
    """The items with their members in the one place that has most of what is wanted, at the least cost."""
    by = _by(asking.select["together"])
    places: dict[str, list[_Item]] = {}
    for item in items:
        here: dict[str, list[Decided]] = {}
        for one in item:
            here.setdefault(_place(one, by, asking), []).append(one)
        for place, members in here.items():
            places.setdefault(place, []).append(members)
    enough = len(items) if most is None else most

    def rank(place: str) -> tuple[int, float, int]:
        there = places[place][:most]
        return (-min(len(there), enough), sum(item[0].figure for item in there), crc32(f"{asking.seed}{place}".encode()))
    best = min(places, key=rank, default=None)
    there = places[best] if best is not None else []
    if items and len(there) < needed:
        found.refusal = Refusal(
            "selection_impossible", f"No one {by} has all {needed} that are needed together: '{_named(str(best), by, asking)}' has "
            f"{len(there)} of {len(items)}. Ask for fewer (select.minimum), or leave select.together out.")
    return there


def _apart(items: list[_Item], asking: Asking, most: int | None, needed: int, found: Selection) -> list[_Item]:
    """As many items as possible, each from a place of its own (augmenting paths; cheap members first)."""
    by = _by(asking.select["apart"])
    holder: dict[str, int] = {}
    chosen: dict[int, Decided] = {}
    for number in range(len(items)):
        if most is not None and len(chosen) == most:
            break
        _augment(number, items, by, asking, holder, chosen)
    if items and len(chosen) < needed:
        found.refusal = Refusal(
            "selection_impossible", f"{needed} are needed apart, but what matches lies in {len(chosen)} different "
            f"{by}s that can be used. Ask for fewer (select.minimum or select.count), or leave select.apart out.")
    return [[one, *(other for other in items[number] if other is not one)] for number, one in sorted(chosen.items())]


def _augment(number: int, items: Sequence[_Item], by: str, asking: Asking, holder: dict[str, int], chosen: dict[int, Decided]) -> None:
    """Find a place for one item, moving others on to their next where that makes room."""
    came: dict[str, tuple[int, Decided]] = {}
    queue = [number]
    for current in queue:
        for one in items[current]:
            place = _place(one, by, asking)
            if place in came:
                continue
            came[place] = (current, one)
            if place in holder:
                queue.append(holder[place])
                continue
            while True:
                owner, member = came[place]
                before = _place(chosen[owner], by, asking) if owner in chosen else None
                holder[place], chosen[owner] = owner, member
                if before is None or owner == number:
                    return
                place = before


def _within(items: list[_Item], wanted: Mapping[str, Any], most: int | None, needed: int, found: Selection) -> list[_Item]:
    """The items that fit below ``max_cost`` and ``max_bytes`` together, in their order."""
    cost, size, taken = 0.0, 0, []
    limits = {"max_cost": wanted.get("max_cost"), "max_bytes": wanted.get("max_bytes")}
    over = set()
    for item in items:
        if most is not None and len(taken) == most:
            break
        one = item[0]
        if limits["max_cost"] is not None and cost + one.cost > limits["max_cost"] + 1e-9:
            over.add("max_cost")
        elif limits["max_bytes"] is not None and size + (one.size or 0) > limits["max_bytes"]:
            over.add("max_bytes")
        else:
            cost, size = cost + one.cost, size + (one.size or 0)
            taken.append(item)
    if over:
        names = " and ".join(f"select.{name} {limits[name]:g}" for name in sorted(over))
        found.cut = f"{len(items) - len(taken)} of {len(items)} do not fit within {names}"
        if len(taken) < needed:
            found.refusal = Refusal("over_budget", f"{found.cut}; at least {needed} {'is' if needed == 1 else 'are'} needed. "
                                    "Allow more, or ask for fewer (select.minimum).", can_wait=False)
    return taken


def _mark(decided: Sequence[Decided], taken: Sequence[_Item], standbys: int) -> None:
    for one in decided:
        if one.action == "reject":
            one.status = "rejected"
        else:
            one.status, one.left_why = "left_out", "The selection takes others."
    for item in taken:
        for one in item[1:1 + standbys]:
            one.status, one.left_why = "standby", ""
        item[0].status, item[0].left_why = "chosen", ""


def _too_few(decided: Sequence[Decided], kept: int, least: int) -> Refusal:
    rejected = [one for one in decided if one.action == "reject"]
    if rejected:
        rules = ", ".join(sorted({one.rule for one in rejected}))
        return Refusal("rejected_by_policy", f"The policies reject {len(rejected)} of {len(decided)} Data ({rules}); "
                       f"{kept} remain and at least {least} is needed.", can_wait=False)
    return Refusal("no_match", f"{kept} Data match; the request needs at least {least}.")
