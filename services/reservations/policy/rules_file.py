"""The policy file: an ordered YAML list of rules, checked whole before any of it counts.

A rule is ``{name, when, action: leave|copy|reject, target?, because?}``; ``when`` is a query over ``data.*``, ``source.*``,
``target.*`` and ``request.*``. The first rule that matches decides.
"""
from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from shared.kernel.errors import EdgemereError, Invalid, did_you_mean
from shared.query import Field, FieldSet, matches, parse

ACTIONS = ("leave", "copy", "reject")
LATER = ("mount", "move", "auto")
MEMBERS = ("name", "when", "action", "target", "because")
FIELDS = FieldSet("policy", {name: Field("json") for name in ("data", "source", "target", "request")}, open_tags=False)
MAX_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Rule:
    """One rule; ``applies`` takes ``{"data", "source", "target", "request"}``."""

    name: str
    position: int
    when: Mapping[str, Any]
    action: str
    target: str | None
    because: str
    applies: Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True)
class Policies:
    """The rules in their order, and the revision of the text that they come from."""

    rules: tuple[Rule, ...]
    revision: str


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
                      next_step="Correct `policies.file` in the configuration.") from None
    return read(text, path)


def read(text: str, where: str = "policies") -> Policies:
    """The policies in a YAML text. Raises as ``load`` does."""
    if len(text) > MAX_BYTES:
        raise _invalid(where, "/", f"It has more than {MAX_BYTES} characters.")
    try:
        body = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "/"
        raise _invalid(where, place, f"Not valid YAML: {getattr(error, 'problem', error)}.") from None
    listed = body.get("rules") if isinstance(body, Mapping) else body
    if not isinstance(listed, list):
        raise _invalid(where, "/rules", "A list of rules is needed here.")
    rules, names = [], set()
    for position, given in enumerate(listed):
        rule = _rule(where, position, given)
        if rule.name in names:
            raise _invalid(where, f"/rules/{position}/name", f"There are two rules named '{rule.name}'.")
        names.add(rule.name)
        rules.append(rule)
    return Policies(tuple(rules), hashlib.sha256(text.encode()).hexdigest()[:12])


def _rule(where: str, position: int, given: Any) -> Rule:
    at = f"/rules/{position}"
    if not isinstance(given, Mapping):
        raise _invalid(where, at, "A rule is a mapping {name, when, action}.")
    for key in given:
        if key not in MEMBERS:
            raise _invalid(where, f"{at}/{key}", f"Unknown member '{key}'.{did_you_mean(str(key), MEMBERS)}")
    name = given.get("name") or f"rule-{position + 1}"
    action = given.get("action")
    if action in LATER:
        raise _invalid(where, f"{at}/action", f"The action '{action}' is not built yet; use one of {', '.join(ACTIONS)}.")
    if action not in ACTIONS:
        raise _invalid(where, f"{at}/action", f"'{action}' is none of {', '.join(ACTIONS)}.{did_you_mean(str(action), ACTIONS)}")
    try:
        query = parse(given.get("when"), FIELDS)
    except EdgemereError as error:
        raise _invalid(where, f"{at}/when", error.detail, [
            {"pointer": f"{at}/when{item['pointer'] if item['pointer'].startswith('/') else ': ' + item['pointer']}",
             "detail": item["detail"]} for item in error.errors]) from None
    target = given.get("target")
    return Rule(str(name), position, query.to_json(), action, str(target) if target else None,
                str(given.get("because") or ""), matches(query))


def _invalid(where: str, pointer: str, detail: str, errors: list[dict[str, str]] | None = None) -> Invalid:
    return Invalid("policy.invalid", f"{where}: {pointer}: {detail}", next_step="Correct the rule that the pointer names.",
                   errors=errors or [{"pointer": pointer, "detail": detail}])
