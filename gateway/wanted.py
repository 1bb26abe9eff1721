"""What a client subscribes to: messages by name, class, object, owner and query. Knows no connection."""
from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from shared.contracts.action import schema_of
from shared.contracts.event import EVENTS, OWNERS, PUBLIC
from shared.contracts.events import StreamParameters
from shared.contracts.objects import OBJECTS
from shared.contracts.table import ACTIONS
from shared.kernel.context import Context
from shared.kernel.errors import Invalid, did_you_mean, located
from shared.kernel.rights import check_role, visible_to
from shared.query import DATA_FIELDS, FieldSet, matches, parse

NAMES = tuple(name for name, event in EVENTS.items() if event.exchange == PUBLIC)
STREAM = next(row for row in ACTIONS.values() if row.answer == "stream")
MEMBERS = tuple(schema_of(StreamParameters).fields)
_LARGEST = 2**62


@dataclass(frozen=True)
class Wanted:
    """Which messages one subscription lets through. Two that say the same are equal, and share their test."""

    patterns: tuple[str, ...] = ()
    object: str | None = None
    owner: str | None = None
    query: str = ""
    matches: Callable[[Mapping[str, Any]], bool] | None = field(default=None, compare=False)
    # Whose messages there are for the listener beside everybody's; None is those of all.
    sees: str | None = None

    def lets(self, message: Mapping[str, Any]) -> bool:
        """Whether a message, in its public form, is one of them."""
        if self.sees is not None and getattr(message, "whose", "") not in ("", self.sees):
            return False
        name = message.get("event", "")
        if self.patterns and not any(fnmatchcase(name, pattern) for pattern in self.patterns):
            return False
        obj = message.get("obj")
        if self.object is not None and not (isinstance(obj, dict) and self.object in (obj.get("id"), obj.get("name"))):
            return False
        if self.owner is not None and not (isinstance(obj, dict) and obj.get("owner") == self.owner):
            return False
        return self.matches is None or isinstance(obj, dict) and self.matches(obj)


def wanted_by(context: Context, given: Any) -> tuple[Wanted, int | None]:
    """``wanted`` for a listener: of other owners' messages there are none for him.

    Raises:
        Denied: ``denied``, he may not listen. As ``wanted``.
    """
    check_role(context, STREAM.roles, " ".join(STREAM.path))
    chosen, after = wanted(given)
    return replace(chosen, sees=visible_to(context)), after


def wanted(given: Any) -> tuple[Wanted, int | None]:
    """(what is wanted, after which sequence) of a subscription: ``{event, class, object, owner, query, after}``, all optional.

    ``event`` and ``class`` are texts, with commas or as a list; names may hold ``*``. ``query`` is one of the query language over the
    objects of one class. ``after`` None is from now on.

    Raises:
        Invalid: ``parameter.unknown`` or ``parameter.invalid``, with a pointer.
        Malformed: the query cannot be parsed.
    """
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        raise _refused("", "An object such as {\"event\": \"datarequest.*\"} is needed here.")
    for name in given:
        if name not in MEMBERS:
            detail = f"A subscription has no '{str(name)[:100]}'.{did_you_mean(str(name), MEMBERS)}"
            raise Invalid("parameter.unknown", detail, next_step=f"It takes: {', '.join(MEMBERS)}.",
                          errors=[{"pointer": f"/{name}", "detail": detail}])
    patterns = [part.replace("#", "*") for part in _words(given, "event")]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in NAMES):
            raise _refused("event", f"No message is called '{pattern[:100]}'.{did_you_mean(pattern[:100], NAMES)}")
    classes = _words(given, "class")
    for noun in classes:
        if noun not in OWNERS:
            raise _refused("class", f"No class is called '{noun[:100]}'.{did_you_mean(noun[:100], OWNERS)}")
    if patterns and classes:
        names = [name for name in NAMES if name.split(".")[0] in classes and any(fnmatchcase(name, one) for one in patterns)]
        if not names:
            raise _refused("event", "None of these messages is about these classes.")
        patterns = names
    elif classes:
        patterns = [f"{noun}.*" for noun in classes]
    test, text = _query(given.get("query"), patterns)
    return Wanted(tuple(sorted(set(patterns))), _text(given, "object"), _text(given, "owner"), text, test), _after(given)


def _query(expression: Any, patterns: list[str]) -> tuple[Any, str]:
    if expression is None or expression == "" or expression == {}:
        return None, ""
    nouns = {name.split(".")[0] for name in NAMES if not patterns or any(fnmatchcase(name, one) for one in patterns)}
    if len(nouns) != 1:
        raise _refused("query", "A query is about the objects of one class: name it with class, or with event.")
    noun = nouns.pop()
    fields = DATA_FIELDS if noun == "data" else FieldSet.of_kinds(noun, OBJECTS[noun].fields)
    with located("/query"):
        query = parse(expression, fields)
    return matches(query), json.dumps(query.to_json(), sort_keys=True)


def _words(given: Mapping[str, Any], name: str) -> list[str]:
    value = given.get(name)
    if value is None:
        return []
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words) or len(words) > len(NAMES):
        raise _refused(name, "A text, or a list of texts, is needed here.")
    return [word.strip() for word in words if word.strip()]


def _text(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    if isinstance(value, Mapping):
        value = value.get("id") or value.get("name")
    if value is not None and not isinstance(value, str):
        raise _refused(name, "A text is needed here.")
    return value or None


def _after(given: Mapping[str, Any]) -> int | None:
    value = given.get("after")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        value = int(value)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST):
        raise _refused("after", "A sequence of the event log is needed here: a whole number from 0.")
    return value


def _refused(name: str, detail: str) -> Invalid:
    return Invalid("parameter.invalid", f"subscribe: {name}: {detail}" if name else f"subscribe: {detail}",
                   next_step="Correct what the pointer names; /asyncapi.json describes subscriptions.",
                   errors=[{"pointer": f"/{name}" if name else "", "detail": detail}])
