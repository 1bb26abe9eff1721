"""Answers in the form that was asked for: table, wide, json, jsonl, yaml or name. Knows classes, and no action."""
from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.cli.columns import is_ref, query_text, Column, columns_of, plain
from gateway.cli.terminal import BOLD, DIM, Terminal
from gateway.cli.text import age_text, bytes_text, clean, cut, moment_of, pad, seconds_text, width
from shared.contracts.objects import OBJECTS

FORMS = ("table", "wide", "json", "jsonl", "yaml", "name")
_GAP = "  "
_BYTES = frozenset({"size", "bytes_total", "bytes_done", "data_bytes"})
_LEAST = 8
_PROBLEMS = 20
_STATES = ("STATE", "STATUS", "SCAN")


def rendered(body: Any, text: str, noun: str, form: str, terminal: Terminal) -> str:
    """An answer as it is printed, without the last line's end.

    ``body`` is the answer's value and ``text`` the very text that the server sent, which ``json`` gives unchanged
    to whatever reads a pipe.
    """
    if form == "json":
        return json.dumps(body, indent=2, ensure_ascii=False) if terminal.looks or not text else text.rstrip("\n")
    if form == "jsonl":
        return "\n".join(json.dumps(item, ensure_ascii=False) for item in items_of(body))
    if form == "yaml":
        import yaml

        return yaml.safe_dump(body, sort_keys=False, allow_unicode=True, default_flow_style=False).rstrip("\n")
    if form == "name":
        return "\n".join(_name(item) for item in items_of(body))
    if isinstance(body, Mapping) and isinstance(body.get("items"), list):
        return _many(body, noun, form == "wide", terminal)
    if isinstance(body, Mapping):
        return one(body, noun, terminal)
    return plain(body)


def items_of(body: Any) -> list[Any]:
    """The objects in an answer: its items, or itself."""
    if isinstance(body, Mapping) and isinstance(body.get("items"), list):
        return body["items"]
    return [] if body is None else [body]


def _name(item: Any) -> str:
    return clean(str(item.get("name") or item.get("id") or "")) if isinstance(item, Mapping) else plain(item)


def _many(body: Mapping[str, Any], noun: str, wide: bool, terminal: Terminal) -> str:
    """A page, or a document that has items, such as what a provisioning gives."""
    lines = []
    for member, value in body.items():
        # Objects by their ids are there to look up what the items name.
        looked_up = isinstance(value, Mapping) and bool(value) and all(isinstance(inner, Mapping) for inner in value.values())
        if member not in ("items", "next", "total", "total_is_estimate", "funnel", "warnings", "operation") and not looked_up:
            lines.append(_headline(member, value, terminal))
    items = body["items"]
    if items:
        lines.append(table(items, columns_of(noun, wide), terminal))
    elif not lines:
        lines.append("Nothing.")
    for warning in body.get("warnings") or []:
        lines.append(terminal.paint(f"Warning: {plain(warning.get('detail', warning) if isinstance(warning, Mapping) else warning)}", 33))
    return "\n".join(lines)


def _headline(member: str, value: Any, terminal: Terminal) -> str:
    """A member beside the items in one line: its name, its state, and why."""
    if not isinstance(value, Mapping):
        return f"{member}: {plain(value)}"
    state = value.get("state") or value.get("status")
    said = value.get("message") or (value.get("reason") or {}).get("message") if isinstance(value.get("reason") or {}, Mapping) else ""
    return f"{member} {terminal.paint(plain(value), BOLD)}" + (f" is {terminal.state(str(state))}" if state else "") + (
        f": {clean(str(said))}" if said else "")


def table(items: Sequence[Mapping[str, Any]], columns: Sequence[Column], terminal: Terminal) -> str:
    """The items as a table that fits the terminal; in a pipe nothing is shortened and nothing coloured."""
    room = None if any(column.wide for column in columns) else terminal.columns
    every = [[column.shows(item) for column in columns] for item in items]
    full = [max(width(column.title), *(width(row[place]) for row in every)) for place, column in enumerate(columns)]
    kept = range(len(columns)) if room is None else _that_fit(full, columns, room)
    left_out = [column.title for place, column in enumerate(columns) if place not in kept]
    columns, widths, cells = [columns[place] for place in kept], [full[place] for place in kept], [[row[place] for place in kept] for row in every]
    if room is not None:
        _fit(widths, columns, room)
    lines = [terminal.paint(_line([column.title for column in columns], widths, columns), BOLD)]
    for row in cells:
        shown = [cut(text, widths[place], columns[place].cut == "middle") for place, text in enumerate(row)]
        lines.append(_line(shown, widths, columns, terminal))
    if left_out and room is not None:
        lines += [terminal.paint(line, DIM) for line in textwrap.wrap(f"No room for {', '.join(left_out)}; -o wide has them.", room)]
    return "\n".join(lines)


def _that_fit(widths: Sequence[int], columns: Sequence[Column], room: int) -> list[int]:
    """The places of the columns for which a terminal has room, however short those become that may be shortened.

    The name and the state stay; of the others those go first that cannot be shortened, which leaves what is said of an item, or where
    it is, beside its name.
    """
    least = [min(wide, max(_LEAST, width(column.title))) if column.cut else wide for wide, column in zip(widths, columns, strict=True)]
    places = list(range(len(columns)))
    rank = {place: (place == 0, columns[place].title in _STATES, bool(columns[place].cut), -place) for place in places}
    for going in sorted(places, key=rank.__getitem__):
        if len(places) == 1 or sum(least[place] for place in places) + len(_GAP) * (len(places) - 1) <= room:
            break
        places.remove(going)
    return places


def _fit(widths: list[int], columns: Sequence[Column], room: int) -> None:
    """Take what is too much from the widest columns that may be shortened."""
    over = sum(widths) + len(_GAP) * (len(widths) - 1) - room
    while over > 0:
        most = max((place for place, column in enumerate(columns) if column.cut), key=lambda place: widths[place], default=None)
        if most is None or widths[most] <= max(_LEAST, width(columns[most].title)):
            return
        widths[most] -= 1
        over -= 1


def _line(texts: Iterable[str], widths: Sequence[int], columns: Sequence[Column], terminal: Terminal | None = None) -> str:
    shown = []
    for text, columns_wide, column in zip(texts, widths, columns, strict=True):
        filled = pad(text, columns_wide, column.right)
        shown.append(terminal.state(text, filled) if terminal and column.title in _STATES else filled)
    return _GAP.join(shown).rstrip()


def one(item: Mapping[str, Any], noun: str, terminal: Terminal) -> str:
    """One object, a line for each attribute that has a value."""
    kinds = OBJECTS[noun].fields if noun in OBJECTS else {}
    names = [name for name in kinds if name in item] + [name for name in item if name not in kinds]
    shown = [(name, item[name]) for name in names if item[name] not in (None, "", [], {})]
    wide = max((width(clean(name)) for name, _ in shown), default=0)
    lines = []
    for name, value in shown:
        head = terminal.paint(pad(clean(name), wide), BOLD) + _GAP
        values = _lines(name, value, kinds.get(name, ""), terminal)
        lines.append(head + values[0])
        lines.extend(" " * (wide + len(_GAP)) + line for line in values[1:])
    return "\n".join(lines) or "Nothing."


def _lines(name: str, value: Any, kind: str, terminal: Terminal) -> list[str]:
    """The value of one attribute, on as many lines as it has parts."""
    if name in ("state", "status"):
        return [terminal.state(clean(str(value)))]
    if name in _BYTES and isinstance(value, (int, float)):
        exact = bytes_text(value)
        return [exact if value < 1024 else f"{exact} ({value} bytes)"]
    if name == "lifetime" and isinstance(value, (int, float)):
        return [seconds_text(value)]
    if (kind == "time" or name.endswith("_at")) and moment_of(value):
        age = age_text(value)
        return [f"{clean(value)} ({age})" if age.startswith("in ") else f"{clean(value)} ({age} ago)"]
    if name in ("query", "when"):
        return [query_text(value)]
    if isinstance(value, Mapping) and "state" in value and value.get("message"):
        return _work(value, terminal)
    if isinstance(value, Mapping) and "count" not in value and not is_ref(value):
        return [f"{clean(str(key))}: {plain(inner)}" for key, inner in value.items()]
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return [_entry(entry) for entry in value]
    return [plain(value)]


def _work(work: Mapping[str, Any], terminal: Terminal) -> list[str]:
    """Work on an object, such as its newest scan: how it went, and what could not be used, by its place."""
    problems = [problem for problem in work.get("problems") or [] if isinstance(problem, Mapping)]
    left = max(work.get("problem_count") or 0, len(problems)) - _PROBLEMS
    return [f"{terminal.state(clean(str(work['state'])))}: {clean(str(work['message']))}",
            # What is wrong with the whole has no place, and is the message.
            *(f"  {clean(str(problem['path']))}: {clean(str(problem.get('detail', '')))}" for problem in problems[:_PROBLEMS] if problem.get("path")),
            *([f"  … and {left} more (-o json)"] if problems and left > 0 else [])]


def _entry(entry: Any) -> str:
    """One entry of a list in one line; where the data is comes first, because that is what is looked for."""
    if not isinstance(entry, Mapping):
        return plain(entry)
    where = entry.get("path") or entry.get("uri")
    if where is None:
        return plain(entry)
    parts = [clean(str(entry[name])) for name in ("action", "state", "verified", "media_type") if entry.get(name)]
    size = [bytes_text(entry["size"])] if entry.get("size") is not None else []
    return f"{clean(str(where))}  ({', '.join([*parts, *size])})"
