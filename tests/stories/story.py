"""A user's arc as an ordered YAML file: how it is read, and what its expectations mean. Knows no face.

A story: ``title``, ``files`` (made in a folder of its own before the first step) and ``steps``. A step has one of

``call``     a row's name (``do.datarequest.create``), with its parameters in ``with``, ``wait`` in seconds, ``headers``
``command``  words for the command line, ``request`` an HTTP request (``method``, ``address``, ``body``)
``content``  the parameters of a row that answers bytes, compared with the file ``same_as`` (``row`` names another row)
``make``     files to write, ``remove`` files to delete, ``corrupt`` files of which a byte is changed, ``same`` two paths whose bytes are equal,
``exists`` / ``missing``  a path, or a list of them

and may have ``only`` (faces that it is for), ``expect``, ``eventually`` (the call is repeated until the expectations
hold, which nobody hurries) and ``save`` (variable: member of the answer). ``{name}`` in any text is a variable; ``{folder}``
is the story's folder, ``{run}`` a word that no other run has, ``{policies}`` the path of the server's policy file.

``expect``: ``status`` (HTTP; on the other faces what it stands for), ``exit`` (the command line's code where it is not
that of the status), ``code`` (the problem's), ``pointers``, ``headers`` and ``body``: member to value or matcher.
"""
from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from shared.kernel import clock

FOLDER = Path(__file__).parent
_VARIABLE = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_PART = re.compile(r"(?P<name>[^.\[\]]+)(?:\[(?P<key>[a-z_.]+)=(?P<value>[^\]]*)\])?(?:\.|$)")
MISSING = object()


def stories() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and content of each story, by name."""
    for path in sorted(FOLDER.glob("*.yaml")):
        yield path.stem, yaml.safe_load(path.read_text(encoding="utf-8"))


def filled(value: Any, variables: Mapping[str, Any]) -> Any:
    """The value with its variables; a text that is one variable and nothing else becomes what the variable holds."""
    if isinstance(value, str):
        whole = _VARIABLE.fullmatch(value)
        if whole and whole[1] in variables:
            return variables[whole[1]]
        return _VARIABLE.sub(lambda found: str(variables.get(found[1], found[0])), value)
    if isinstance(value, Mapping):
        return {filled(key, variables): filled(inner, variables) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, variables) for inner in value]
    return value


def write_files(folder: Path, files: Mapping[str, Any]) -> None:
    """Make the files: a text, or ``{text}``, ``{bytes: number, seed: number}`` for a file of arbitrary content."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Mapping) and "bytes" in content:
            path.write_bytes(random.Random(content.get("seed", 1)).randbytes(content["bytes"]))
        else:
            path.write_text(content if isinstance(content, str) else content["text"], encoding="utf-8")


def member(body: Any, path: str) -> Any:
    """The member at a dotted path: ``items.0.name``, ``items.*.name`` (all of them), ``items[name=a.csv].id``; ``.`` is all.

    MISSING where there is none.
    """
    if path == ".":
        return body
    found = body
    for part in _PART.finditer(path):
        name = part["name"]
        if name == "*" and isinstance(found, list):
            rest = path[part.end():]
            values = [member(item, rest) if rest else item for item in found]
            return [value for value in values if value is not MISSING]
        if isinstance(found, list) and name.lstrip("-").isdigit():
            found = found[int(name)] if -len(found) <= int(name) < len(found) else MISSING
        elif isinstance(found, Mapping):
            found = found.get(name, MISSING)
        else:
            return MISSING
        if part["key"] and isinstance(found, list):
            found = next((item for item in found if str(member(item, part["key"])) == part["value"]), MISSING)
        if found is MISSING:
            return MISSING
    return found


def faults(expected: Mapping[str, Any], body: Any) -> list[str]:
    """What of ``body`` is not as expected, one sentence each."""
    return [f"{path}: {fault}" for path, matcher in expected.items() if (fault := _fault(matcher, member(body, path)))]


def _fault(matcher: Any, value: Any) -> str:
    if isinstance(matcher, Mapping) and len(matcher) >= 1 and set(matcher) <= set(_MATCHERS):
        return "; ".join(filter(None, (_MATCHERS[word](wanted, value) for word, wanted in matcher.items())))
    return "" if value == matcher and value is not MISSING else f"expected {matcher!r}, got {_shown(value)}"


def _shown(value: Any) -> str:
    return "nothing" if value is MISSING else repr(value)[:600]


def _tells(holds: Callable[[Any, Any], bool], sentence: str) -> Callable[[Any, Any], str]:
    def fault(wanted: Any, value: Any) -> str:
        try:
            return "" if value is not MISSING and holds(wanted, value) else f"expected {sentence} {wanted!r}, got {_shown(value)}"
        except TypeError:
            return f"expected {sentence} {wanted!r}, got {_shown(value)}"
    return fault


def _in_order(wanted: list[Any], value: list[Any]) -> bool:
    rest = iter(value)
    return all(any(item == word for item in rest) for word in wanted)


def _rising(wanted: bool, value: list[Any]) -> bool:
    return all(one < other for one, other in zip(value, value[1:])) is wanted


def _sum_of(wanted: str, value: str) -> bool:
    return value == "sha256:" + hashlib.sha256(Path(wanted).read_bytes()).hexdigest()


_MATCHERS: dict[str, Callable[[Any, Any], str]] = {
    "one_of": _tells(lambda wanted, value: value in wanted, "one of"),
    "not": _tells(lambda wanted, value: value != wanted, "anything but"),
    "at_least": _tells(lambda wanted, value: value >= wanted, "at least"),
    "at_most": _tells(lambda wanted, value: value <= wanted, "at most"),
    "length": _tells(lambda wanted, value: len(value) == wanted, "the length"),
    "length_at_least": _tells(lambda wanted, value: len(value) >= wanted, "at least the length"),
    "contains": _tells(lambda wanted, value: wanted in value, "something with"),
    "lacks": _tells(lambda wanted, value: wanted not in value, "something without"),
    "set": _tells(lambda wanted, value: sorted(map(str, value)) == sorted(map(str, wanted)), "in any order"),
    "in_order": _tells(_in_order, "in this order"),
    "rising": _tells(_rising, "rising"),
    "matches": _tells(lambda wanted, value: re.search(wanted, str(value)) is not None, "a text that matches"),
    "begins": _tells(lambda wanted, value: str(value).startswith(wanted), "a text that begins with"),
    "past": _tells(lambda wanted, value: (value < clock.stamp()) is wanted, "a time that is over to be"),
    "sha256_of": _tells(_sum_of, "the sha256 of"),
    "each_is": _tells(lambda wanted, value: bool(value) and all(item == wanted for item in value), "each to be"),
    "empty": _tells(lambda wanted, value: (not value) is wanted, "empty to be"),
    "absent": lambda wanted, value: "" if (value is MISSING or value is None) is wanted else f"expected absent: {wanted}, got {_shown(value)}",
}
