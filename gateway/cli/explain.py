"""An explanation for people: the reason in one sentence, the funnel as bars, what was reserved, and the timeline."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.cli.columns import plain
from gateway.cli.terminal import BOLD, DIM, Terminal
from gateway.cli.text import bytes_text, clean, cut, moment_of, pad, seconds_text, width

_BAR = 24
_CLAUSE = 48


def explanation(body: Mapping[str, Any], terminal: Terminal) -> str:
    """The lines for an explanation ``{request, sentence, funnel, warnings, reservations, instances, timeline, blocked_by}``."""
    sections: list[list[str]] = []
    request = body.get("request") or {}
    said = body.get("sentence") or request.get("message") or ""
    state = str(request.get("state", "?"))
    head = f"{terminal.paint(plain(request), BOLD)} is {terminal.state(state)}"
    # A sentence that names the request and its state needs nothing before it.
    sections.append([clean(str(said)) if said and plain(request) in said else f"{head}: {clean(str(said))}" if said else head])
    blocked = body.get("blocked_by")
    if blocked:
        sections.append(_blocked(blocked, terminal))
    if body.get("funnel"):
        sections.append([terminal.paint("Funnel", BOLD), *funnel_lines(body["funnel"], terminal)])
    warnings = body.get("warnings") or []
    if warnings:
        sections.append([terminal.paint("Warnings", BOLD), *(f"  {_sentence(warning)}" for warning in warnings)])
    for member in ("reservations", "instances"):
        if body.get(member):
            sections.append([terminal.paint(member.capitalize(), BOLD), *_counts(body[member])])
    if body.get("timeline"):
        sections.append([terminal.paint("Timeline", BOLD), *_timeline(body["timeline"], terminal)])
    return "\n\n".join("\n".join(lines) for lines in sections)


def funnel_lines(funnel: Mapping[str, Any], terminal: Terminal) -> list[str]:
    """What each clause leaves, as counts and bars, with a word at the clause that lost everything."""
    base = int(funnel.get("base") or 0)
    steps = [("everything", base), *((str(step.get("clause", "?")), int(step.get("remaining") or 0)) for step in funnel.get("steps") or [])]
    names = [cut(clean(clause), _CLAUSE) for clause, _ in steps]
    wide, figures = max(map(width, names)), max(len(str(count)) for _, count in steps)
    bar, empty = ("█", "▏") if terminal.blocks else ("#", "")
    lines, before = [], None
    for name, (_, count) in zip(names, steps, strict=True):
        length = 0 if not base else max(1 if count else 0, round(_BAR * count / base))
        mark = "  ← nothing is left here" if count == 0 and before else ""
        if not terminal.blocks:
            mark = mark.replace("←", "<-")
        lines.append(f"  {pad(name, wide)}  {count:>{figures}}  {(bar * length) or empty}{terminal.paint(mark, 31) if mark else ''}".rstrip())
        before = count
    if funnel.get("estimate"):
        lines.append("  (an estimate: more rows than are counted exactly)")
    return lines


def _blocked(blocked: Mapping[str, Any], terminal: Terminal) -> list[str]:
    since = f" since {clean(str(blocked['since']))}" if blocked.get("since") else ""
    retry = f", next attempt at {clean(str(blocked['next_retry_at']))}" if blocked.get("next_retry_at") else ""
    lines = [f"{terminal.paint('Waits', 33)} for {plain(blocked.get('code'))}{since}{retry}"]
    return lines + [f"  What helps: {_sentence(way)}" for way in blocked.get("unstick") or []]


def _sentence(said: Any) -> str:
    return plain(said.get("detail") or said.get("message") or said) if isinstance(said, Mapping) else plain(said)


def _detail(detail: Any) -> str:
    """A step's detail: its code where it is a reason, any other object member by member."""
    if not isinstance(detail, Mapping):
        return plain(detail)
    return ", ".join(plain(value) if name == "code" else f"{clean(str(name))} {plain(value)}" for name, value in detail.items())


def _counts(counts: Any) -> list[str]:
    if not isinstance(counts, Mapping):
        return [f"  {plain(counts)}"]
    if not counts.get("total", 1):
        return ["  none"]
    lines = []
    for name, value in counts.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{plain(inner)} {clean(str(key))}" for key, inner in value.items())
        elif name.startswith("bytes"):
            value = bytes_text(value)
        if value not in (None, "", []):
            lines.append(f"  {clean(name.removeprefix('by_').replace('_', ' '))}: {plain(value)}")
    return lines


def _timeline(steps: Sequence[Mapping[str, Any]], terminal: Terminal) -> list[str]:
    """One line for each step: when, how long after the one before, what, from which state to which, and after what."""
    rows, before = [], None
    for step in steps:
        moment = moment_of(step.get("time"))
        gap = f"+{seconds_text((moment - before).total_seconds())}" if moment and before else ""
        before = moment or before
        clock = moment.strftime("%H:%M:%S.%f")[:-3] if moment else "?"
        arrow = "→" if terminal.blocks else "->"
        move = f"{plain(step['from'])} {arrow} {plain(step['to'])}" if step.get("from") and step.get("to") else plain(step.get("to") or "")
        # What one cause did to many objects of a class at once comes as one step with their number.
        count = step.get("count") or 1
        words = [f"{count} of them"] if count > 1 else []
        words += [_detail(step["detail"])] if step.get("detail") else []
        cause = step.get("cause")
        words += [f"after {clean(str(cause['name']))}"] if isinstance(cause, Mapping) and cause.get("name") else []
        rows.append((clock, gap, plain(step.get("object") or step.get("class")), plain(step.get("event")), "" if move == "-" else move, "; ".join(words)))
    widths = [max(width(row[place]) for row in rows) for place in range(5)]
    lines = []
    for row in rows:
        cells = [pad(text, widths[place], right=place == 1) for place, text in enumerate(row[:5])]
        line = "  " + "  ".join([terminal.paint(cells[0], DIM), *cells[1:], row[5]]).rstrip()
        lines.append(line if terminal.columns is None or terminal.colour else cut(line, terminal.columns))
    return lines
