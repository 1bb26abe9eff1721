"""The flow of one request as a picture: the query, the sources, what became of the data, the state. Mermaid text, or SVG.

Made of an explanation alone. Names are shown as they are, escaped for each form; nothing in them is read as markup.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from gateway.cli.text import clean, cut, width

FORMS = ("mermaid", "svg")
_SOURCES = 8
_LABEL = 38
_BOX, _HIGH, _GAP, _ROW = 250, 52, 70, 74
_COLOURS = {"ok": ("#e6f4ea", "#137333"), "bad": ("#fce8e6", "#b3261e"), "plain": ("#eef2f7", "#44546a")}


@dataclass(frozen=True)
class _Node:
    key: str
    lines: tuple[str, ...]
    column: int
    kind: str = "plain"


@dataclass
class _Flow:
    nodes: list[_Node] = field(default_factory=list)
    edges: list[tuple[str, str, str]] = field(default_factory=list)


def drawn(body: Mapping[str, Any], form: str) -> str:
    """The flow of the request that ``body`` explains, in one of ``FORMS``."""
    flow = _flow(body)
    return _svg(flow) if form == "svg" else _mermaid(flow)


def _flow(body: Mapping[str, Any]) -> _Flow:
    """Funnel → source by source → action → state. Sources are those of the page of items that was asked for."""
    flow, request = _Flow(), body.get("request") or {}
    funnel = body.get("funnel") or {}
    steps = [("everything", funnel.get("base")), *((step["clause"], step["remaining"]) for step in funnel.get("steps") or [])]
    column = 0
    for at, (clause, count) in enumerate(steps):
        flow.nodes.append(_Node(f"q{at}", (str(clause), f"{count} Data"), column, "bad" if count == 0 else "plain"))
        if at:
            flow.edges.append((f"q{at - 1}", f"q{at}", ""))
        column += 1
    last = f"q{len(steps) - 1}"
    groups: dict[tuple[str, str], int] = {}
    for item in body.get("items") or []:
        what = "stands by" if item.get("status") == "standby" else item.get("action") or "undecided"
        groups[str((item.get("source") or {}).get("name")), str(what)] = groups.get((str((item.get("source") or {}).get("name")), str(what)), 0) + 1
    sources = list(dict.fromkeys(source for source, _ in groups))
    actions = list(dict.fromkeys(action for _, action in groups))
    for at, source in enumerate(sources[:_SOURCES]):
        flow.nodes.append(_Node(f"s{at}", (f"source {source}",), column))
        flow.edges.append((last, f"s{at}", ""))
    for at, action in enumerate(actions):
        flow.nodes.append(_Node(f"a{at}", (action,), column + 1, "bad" if action == "reject" else "ok"))
    for (source, action), count in groups.items():
        if source in sources[:_SOURCES]:
            flow.edges.append((f"s{sources.index(source)}", f"a{actions.index(action)}", str(count)))
    state = str(request.get("state", "?"))
    kind = "bad" if state == "Failed" else "ok" if state in ("Satisfied", "Completed") else "plain"
    end = column + 2 if groups else column
    flow.nodes.append(_Node("r", (str(request.get("name")), state), end, kind))
    for at in range(len(actions)):
        flow.edges.append((f"a{at}", "r", ""))
    if not groups:
        flow.edges.append((last, "r", ""))
    return flow


def _mermaid(flow: _Flow) -> str:
    lines = ["flowchart LR"]
    for node in flow.nodes:
        lines.append(f'    {node.key}["{"<br/>".join(_entities(line) for line in node.lines)}"]')
    lines += [f"    {start} -->{f'|{label}|' if label else ''} {end}" for start, end, label in flow.edges]
    for kind, (fill, line) in _COLOURS.items():
        keys = [node.key for node in flow.nodes if node.kind == kind]
        if keys:
            lines += [f"    classDef {kind} fill:{fill},stroke:{line}", f"    class {','.join(keys)} {kind}"]
    return "\n".join(lines)


def _entities(text: str) -> str:
    """A label in which Mermaid reads nothing: all but letters, digits and a few harmless signs as entities."""
    return "".join(char if char.isalnum() or char in " ._-/,:" else f"#{ord(char)};" for char in cut(clean(text), _LABEL))


def _svg(flow: _Flow) -> str:
    columns: dict[int, list[_Node]] = {}
    for node in flow.nodes:
        columns.setdefault(node.column, []).append(node)
    tallest = max(len(nodes) for nodes in columns.values())
    wide, high = (max(columns) + 1) * (_BOX + _GAP) - _GAP + 20, tallest * _ROW + 20
    place = {}
    for column, nodes in columns.items():
        top = (high - len(nodes) * _ROW) / 2 + (_ROW - _HIGH) / 2
        for at, node in enumerate(nodes):
            place[node.key] = (10 + column * (_BOX + _GAP), top + at * _ROW)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high:g}" width="{wide}" height="{high:g}" role="img"'
             ' font-family="sans-serif" font-size="13">',
             f"<title>{escape(' '.join(flow.nodes[-1].lines))}</title>"]
    for start, end, label in flow.edges:
        parts.append(_edge(place[start], place[end], label))
    for node in flow.nodes:
        parts += _box(node, place[node.key])
    return "\n".join([*parts, "</svg>"])


def _edge(start: tuple[float, float], end: tuple[float, float], label: str) -> str:
    x1, y1, x2, y2 = start[0] + _BOX, start[1] + _HIGH / 2, end[0], end[1] + _HIGH / 2
    middle = (x1 + x2) / 2
    path = f'<path d="M{x1:g} {y1:g} C{middle:g} {y1:g} {middle:g} {y2:g} {x2:g} {y2:g}" fill="none" stroke="#44546a"/>'
    return path + (f'<text x="{middle:g}" y="{(y1 + y2) / 2 - 4:g}" text-anchor="middle">{escape(label)}</text>' if label else "")


def _box(node: _Node, at: tuple[float, float]) -> Sequence[str]:
    fill, line = _COLOURS[node.kind]
    shown = [cut(clean(text), _LABEL) for text in node.lines]
    first = at[1] + _HIGH / 2 + (5 if len(shown) == 1 else -3)
    parts = [f'<rect x="{at[0]:g}" y="{at[1]:g}" width="{_BOX}" height="{_HIGH}" rx="8" fill="{fill}" stroke="{line}"/>']
    for row, text in enumerate(shown):
        squeezed = f' textLength="{_BOX - 16}" lengthAdjust="spacingAndGlyphs"' if width(text) > 33 else ""
        parts.append(f'<text x="{at[0] + _BOX / 2:g}" y="{first + row * 17:g}" text-anchor="middle"{squeezed}>{escape(text)}</text>')
    return parts
