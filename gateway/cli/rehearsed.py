"""What ``policy test`` answers, for people: how much would differ in one sentence first, then which decisions, and by which rules."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.cli.columns import plain
from gateway.cli.explain import sections, table
from gateway.cli.terminal import Terminal
from gateway.cli.text import clean

_SHOWN = 20
Body = Mapping[str, Any]


def rehearsed(body: Body, terminal: Terminal) -> str:
    """The lines for a test of policies as ``policy test`` answers it."""
    items, failing = body.get("items") or [], body.get("requests_that_would_fail") or []
    return sections(terminal, [
        [_sentence(body)], _bounds(body),
        ("Requests that would fail", [f"  {clean(str(one.get('name')))}: {clean(str(one.get('detail')))}" for one in failing[:_SHOWN]] + _more(len(failing))),
        ("Changes", table([(clean(str(one["from"])), clean(str(one["to"])), str(one["count"])) for one in body.get("changes") or []],
                          head=("FROM", "TO", "DECISIONS"), right=(2,), terminal=terminal)),
        ("Which", table([(plain(one.get("request")), plain(one.get("data")), plain(one.get("source")), _was(one["before"]), _was(one["after"]),
                          f"{one['before'].get('cost') or 0:g}", f"{one['after'].get('cost') or 0:g}", clean(str(one["after"].get("rule"))))
                         for one in items[:_SHOWN]],
                        head=("REQUEST", "DATA", "SOURCE", "WAS", "WOULD BE", "COST", "WOULD COST", "BY RULE"), right=(5, 6), terminal=terminal)
         + _more(body.get("differ") or 0)),
        ("Rules", table([(clean(str(one["name"])), str(one["decides"]), str(one["notes"]) if not one.get("enforce") else "")
                         for one in body.get("rules") or []], head=("RULE", "DECIDES", "NOTES"), right=(1, 2), terminal=terminal)),
        [f"Revision {plain(body.get('revision'))} against {plain(body.get('against'))}, since {plain(body.get('since'))}. Nothing was activated."],
    ])


def _sentence(body: Body) -> str:
    cost = body.get("cost") or {}
    if not body.get("decisions"):
        return "No decisions were made since then; there is nothing to compare."
    change = f"the cost would be {cost.get('after', 0):g} instead of {cost.get('before', 0):g} ({cost.get('change', 0):+g})" \
        if cost.get("change") else f"the cost would stay {cost.get('before', 0):g}"
    return (f"{body['differ']} of {body['decisions']} decisions would differ, in {body['requests_that_differ']} of "
            f"{body['requests']} requests; {change}.")


def _bounds(body: Body) -> list[str]:
    """What was not looked at."""
    older = ["Older decisions were left out; this is about the newest."] if body.get("truncated") else []
    unknown = body.get("not_reproducible") or 0
    return older + ([f"{unknown} more cannot be decided again: what they were made of was not kept then."] if unknown else [])


def _was(one: Body) -> str:
    return clean(str(one.get("action"))) + (f" to {clean(str(one['target']))}" if one.get("target") else "")


def _more(count: int) -> list[str]:
    return [f"  … and {count - _SHOWN} more: -o json"] if count > _SHOWN else []
