"""The policy file: an ordered YAML list of rules, checked whole before any of it counts.

A rule is ``{name, when, action: leave|mount|copy|move|auto|reject, target?, because?, enforce?}``; ``when`` is a query over
``data.*``, ``source.*``, ``target.*``, ``request.*`` and ``owner.*``. The first rule that applies decides; one with
``enforce: false`` is only noted, and the next is tried. Described for users in docs/policies.md.
"""
from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from services.reservations.policy.contradictions import contradictions
from services.reservations.policy.placed import Misplaced, Placed, read_placed, step
from shared.kernel.errors import EdgemereError, Invalid, did_you_mean
from shared.query import Query, parse
from shared.query.decision_fields import DECISION_FIELDS, check_slips
from shared.query.matcher import predicate
from shared.query.tree import Node, walk

Test = Callable[[Any], bool]
ACTIONS = ("leave", "mount", "copy", "move", "auto", "reject")
WITH_TARGET = ("copy", "move", "auto")
MEMBERS = ("name", "when", "action", "target", "because", "enforce")
MAX_BYTES = 1024 * 1024
MAX_RULES = 1000
MAX_ERRORS = 50


@dataclass(frozen=True)
class Rule:
    """One rule. Its query is about ``{"data", "source", "target", "request", "owner"}``. Not enforced, it is only noted."""

    name: str
    position: int
    when: Mapping[str, Any]
    action: str
    target: str | None
    because: str
    enforce: bool
    query: Query


@dataclass(frozen=True)
class Policies:
    """The rules in their order, the revision of the text that they come from, and the text."""

    rules: tuple[Rule, ...]
    revision: str
    text: str = ""

    @cached_property
    def compiled(self) -> list[tuple[Rule, list[Test], list[Test]]]:
        """Each rule with the tests that its condition is made of: those of others than the data, and those of the data."""
        return [(rule, [predicate(node) for node in rule.query.conjuncts if not _asks_for_data(node)],
                 [predicate(node) for node in rule.query.conjuncts if _asks_for_data(node)]) for rule in self.rules]

    @property
    def targets(self) -> set[str]:
        """The names of the sources that rules send data to."""
        return {rule.target for rule in self.rules if rule.target}


def _asks_for_data(node: Node) -> bool:
    return any(clause.name.text.split(".", 1)[0] == "data" for clause in walk(node))


NONE = Policies((), "none")


def load(path: str | None) -> Policies:
    """The policies of a file; no file, no rules: everything is left in place.

    Raises:
        Invalid: ``policy.invalid``, with the place of each mistake.
    """
    if not path:
        return NONE
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid("policy.invalid", f"The policy file {path} cannot be read: {error}.",
                      next_step="Correct `policies.file` in the configuration, or the file.") from None
    return read(text, path)


def read(text: str, where: str = "policies") -> Policies:
    """The policies in a YAML text; every mistake is named, not only the first. Raises as ``load`` does."""
    if len(text) > MAX_BYTES:
        raise _invalid(where, [("/", f"It has more than {MAX_BYTES} characters.", None)])
    try:
        placed = read_placed(text)
    except Misplaced as error:
        place = (error.line, error.column) if error.line else None
        pointer = error.pointer if error.pointer != "/" or not place else _told(place)
        raise _invalid(where, [(pointer, error.detail, place)]) from None
    body, root = placed.body, ""
    if isinstance(body, Mapping):
        unknown = [(step("", key), f"Unknown member '{key}'.{did_you_mean(str(key), ['rules'])}", placed.place(step("", key)))
                   for key in body if key != "rules"]
        if unknown:
            raise _invalid(where, unknown)
        body, root = body.get("rules"), "/rules"
    if not isinstance(body, list) or len(body) > MAX_RULES:
        detail = "A list of rules is needed here." if not isinstance(body, list) else f"There are more than {MAX_RULES} rules."
        raise _invalid(where, [("/rules", detail, placed.place(root))])
    rules, found = _rules(body, root, placed)
    if not found:
        found = [(f"/rules/{position}/{member}", detail, placed.place(f"{root}/{position}/{member}"))
                 for position, member, detail in contradictions(rules)]
    if found:
        raise _invalid(where, found)
    return Policies(tuple(rules), hashlib.sha256(text.encode()).hexdigest()[:12], text)


def given(content: str | Mapping[str, Any] | list, where: str = "policies") -> Policies:
    """The policies that a caller sent: YAML text, or the object that it would be. Raises as ``load`` does."""
    return read(content if isinstance(content, str) else json.dumps(content), where)


Found = list[tuple[str, str, tuple[int, int] | None]]


def _rules(body: list, root: str, placed: Placed) -> tuple[list[Rule], Found]:
    rules: list[Rule] = []
    found: Found = []
    names: dict[str, int] = {}
    for position, one in enumerate(body):
        own = _faults(one, position)
        query = None
        if isinstance(one, Mapping) and "when" in one:
            query, faults = _query(one["when"], position, root, placed)
            found += faults
        found += [(f"/rules/{position}{below}", detail, placed.place(f"{root}/{position}{below}")) for below, detail in own]
        if own or (query is None and isinstance(one, Mapping) and "when" in one):
            continue
        name = str(one.get("name") or f"rule-{position + 1}")
        if name in names:
            found.append((f"/rules/{position}/name", f"There are two rules named '{name}'; the other is rule {names[name] + 1}.",
                          placed.place(f"{root}/{position}/name")))
            continue
        names[name] = position
        query = query or parse(None, DECISION_FIELDS)
        rules.append(Rule(name, position, query.to_json(), one["action"], one.get("target") or None,
                          str(one.get("because") or ""), one.get("enforce", True), query))
    return rules, found


def _faults(one: Any, position: int) -> list[tuple[str, str]]:
    """What is wrong with the members of one rule but its ``when``: where below it, and why."""
    if not isinstance(one, Mapping):
        return [("", "A rule is a mapping {name, when, action}.")]
    found = [(step("", key), f"Unknown member '{key}'.{did_you_mean(str(key), MEMBERS)}") for key in one if key not in MEMBERS]
    action = one.get("action")
    if "action" not in one:
        found.append(("", f"The rule never ends in an action: it needs one of {', '.join(ACTIONS)}."))
    elif action not in ACTIONS:
        found.append(("/action", f"'{action}' is none of {', '.join(ACTIONS)}.{did_you_mean(str(action), ACTIONS)}"))
    if not isinstance(one.get("enforce", True), bool):
        found.append(("/enforce", "'enforce' is true or false."))
    for name in ("name", "target", "because"):
        value = one.get(name)
        if value is not None and (not isinstance(value, (str, int)) or isinstance(value, bool) or len(str(value)) > 1000):
            found.append((f"/{name}", f"'{name}' is a text."))
    if one.get("target") and action in ACTIONS and action not in WITH_TARGET:
        found.append(("/target", f"A rule that says {action} takes nothing to a target; {', '.join(WITH_TARGET)} do."))
    if str(one.get("name") or "") in ("default", "request"):
        found.append(("/name", f"'{one['name']}' is what a decision without a rule is called; choose another name."))
    return found


def _query(when: Any, position: int, root: str, placed: Placed) -> tuple[Query | None, Found]:
    at, own = f"/rules/{position}/when", f"{root}/{position}/when"
    try:
        query = parse(when, DECISION_FIELDS)
        check_slips(query, json.dumps(when, default=str))
    except EdgemereError as error:
        faults = []
        for item in error.errors or [{"pointer": "", "detail": error.detail}]:
            pointer = item["pointer"]
            detail = error.detail if len(error.errors) < 2 else item["detail"]
            if pointer.startswith("/") or not pointer:
                faults.append((f"{at}{pointer}", detail, placed.place(f"{own}{pointer}")))
            else:
                # A column of a line of shorthand, counted from where the line begins.
                line, column = placed.values.get(own) or (1, 1)
                offset = int(pointer.split()[-1]) if pointer.split()[-1].isdigit() else 1
                faults.append((at, detail, (line, column + offset - 1)))
        return None, faults
    return query, []


def _told(place: tuple[int, int]) -> str:
    return f"line {place[0]}, column {place[1]}"


def _invalid(where: str, found: Found) -> Invalid:
    errors: list[dict[str, Any]] = []
    for pointer, detail, place in found[:MAX_ERRORS]:
        line = {"line": place[0], "column": place[1]} if place else {}
        # What has no place in a document that cannot be read is named by its line alone, once.
        told = f"{_told(place)}: {detail}" if place and pointer != _told(place) else detail
        errors.append({"pointer": pointer, "detail": told, **line})
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return Invalid("policy.invalid", f"{where}: {errors[0]['pointer']}: {errors[0]['detail']}{more}",
                   next_step="Correct what the line and the pointer name; nothing of the file counts before.", errors=errors)
