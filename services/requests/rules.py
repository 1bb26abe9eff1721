"""What a request may be, and what is said of it. Decides; reads and writes nothing."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from marshmallow import ValidationError

from services.requests.selection import check_select
from shared.contracts.action import invalid, schema_of
from shared.contracts.requests import REASONS, RequestParameters
from shared.kernel import clock
from shared.kernel.errors import Invalid, did_you_mean, located
from shared.query import DATA_FIELDS, Query, parse

DEFAULTS_ALLOWED = ("target", "action", "granularity", "select", "wait", "deadline", "needed_by", "lifetime", "workload",
                    "labels")


def numbered(number: int) -> str:
    """The name of a request that was given none."""
    return f"datarequest-{number}"


def names_of(name: str, reference: str | None) -> dict[str, str]:
    """A request's name, and its extended name, which begins with that of its reference."""
    return {"name": name, "ename": f"{reference}.{name}" if reference else name}


def said_twice(given: Mapping[str, Any]) -> None:
    """Refuse a request that says in two ways what data it needs.

    Raises:
        Invalid: ``parameter.invalid`` with a pointer at the second.
    """
    ways = [name for name in ("lock", "group", "query") if given.get(name) is not None]
    if ways and given.get("data_reference") is not None and ways != ["query"]:
        ways.append("data_reference")
    if len(ways) > 1:
        raise _invalid(f"/{ways[1]}", f"'{ways[0]}' says what data is needed; leave '{ways[1]}' out.")
    if given.get("lock") is not None and given.get("select"):
        raise _invalid("/select", "A lock names its data; there is nothing to select.")
    if given.get("lock") is not None and given.get("standing"):
        raise _invalid("/standing", "A lock names its data; nothing new can match it.")
    if given.get("group") is not None and given.get("standing"):
        raise _invalid("/standing", "A group is made once, all of it; make a standing request for each member.")


def check_standing(stands: bool, select: Mapping[str, Any] | None) -> None:
    """Refuse a standing request that would take only some of what matches.

    Raises:
        Invalid: ``parameter.invalid`` with a pointer.
    """
    if stands and ("count" in (select or {}) or (select or {}).get("mode", "all") != "all"):
        raise _invalid("/select", "A standing request takes all that matches; leave select.count and select.mode out.")


def meant_by(defaults: Mapping[str, Any] | None) -> dict[str, Any]:
    """The defaults that a reference gives to its requests, read as if they had been given now.

    Raises:
        Invalid: ``parameter.invalid`` with a pointer under ``/defaults``.
    """
    defaults = {key: value for key, value in (defaults or {}).items() if value is not None}
    if not defaults:
        return {}
    for key in defaults:
        if key not in DEFAULTS_ALLOWED:
            raise _invalid(f"/defaults/{key}", f"Unknown member '{key}'.{did_you_mean(key, DEFAULTS_ALLOWED)}")
    try:
        meant = schema_of(RequestParameters).load(defaults)
    except ValidationError as error:
        raise invalid("The defaults", error.messages, "/defaults") from None
    with located("/defaults"):
        check_select(meant.get("select"))
    return {key: value for key, value in meant.items() if key in defaults}


def _invalid(pointer: str, detail: str) -> Invalid:
    return Invalid("parameter.invalid", detail, next_step="Correct the member that the pointer names.",
                   errors=[{"pointer": pointer, "detail": detail}])


def wanted(expression: Any, everything: bool | None) -> Query:
    """The query of something that will be created for what it finds.

    Raises:
        Malformed: the query cannot be parsed.
        Invalid: ``query.empty``, it matches everything and nobody said that this is meant.
    """
    with located("/query"):
        query = parse(expression, DATA_FIELDS)
    if query.is_empty and not everything:
        detail = "An empty query matches every Data in the catalogue."
        raise Invalid("query.empty", detail, next_step="Say what is needed, or all: true when everything is meant.",
                      errors=[{"pointer": "/query", "detail": detail}])
    return query


def needed_by_of(given: str | None) -> str | None:
    """When the data must be ready.

    Raises:
        Invalid: ``parameter.invalid``, that time is over.
    """
    if given and given <= clock.stamp():
        raise _invalid("/needed_by", f"It is needed by {given}, which is over already.")
    return given


def deadline_of(given: str | None, waits: bool, settings: Any, needed_by: str | None = None) -> str:
    """When to give up: what was asked, else the default for a request of this kind, but not before it is needed.

    Raises:
        Invalid: ``parameter.invalid``, that time is over.
    """
    if given:
        if given <= clock.stamp():
            raise _invalid("/deadline", f"The deadline {given} is over already.")
        return given
    after_s = settings.default_wait_deadline_s if waits else settings.default_deadline_s
    return max(clock.stamp_in(after_s), needed_by or "")


def backoff(retries: int, steps: Sequence[float]) -> float:
    """Seconds until the next look at a request that waits."""
    return steps[min(retries, len(steps) - 1)]


def sentence_of(reason: Mapping[str, Any]) -> str:
    """The sentence for a reason that came without one."""
    return REASONS.get(str(reason.get("code")), "It failed.")


def ready_sentence(count: int, coming: int = 0) -> str:
    """How many instances are ready, and how many are coming back."""
    more = f", {coming} {'is' if coming == 1 else 'are'} coming back" if coming > 0 else ""
    return f"{count} {'instance is' if count == 1 else 'instances are'} ready{more}."


def live_sentence(count: int, instances: Sequence[Mapping[str, Any]]) -> str:
    """How many live instances stand in the way, and the first of them by name."""
    names = [str(instance["name"]) for instance in instances[:5]]
    more = ", …" if count > len(names) else ""
    return f"{count} live {'instance' if count == 1 else 'instances'}: {', '.join(names)}{more}."


def pinned_sentence(pinned: Sequence[Mapping[str, Any]]) -> str:
    """Who keeps which instances, in the second half of a sentence."""
    first = pinned[0]
    more = f", and {len(pinned) - 1} more" if len(pinned) > 1 else ""
    why = f": {first['pin']['reason']}" if first["pin"].get("reason") else ""
    return f"'{first['name']}' is pinned by {first['pin']['owner']}{why}{more}."


def losing_clause(funnel: Mapping[str, Any] | None) -> str | None:
    """The clause after which nothing was left, or None."""
    for step in (funnel or {}).get("steps", ()):
        if step["remaining"] == 0:
            return step["clause"]
    return None
