"""An explanation or a plan for people: the reason in one sentence first, the funnel as bars, hints to type, costs, decisions, timeline."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.cli.columns import plain
from gateway.cli.terminal import BOLD, DIM, Terminal
from gateway.cli.text import bytes_text, clean, cut, moment_of, pad, seconds_text, width

_BAR, _LEAST_BAR = 24, 6
_CLAUSE, _LEAST_CLAUSE = 48, 12
_HINTS, _DECISIONS = 5, 5
Body = Mapping[str, Any]


def explanation(body: Body, terminal: Terminal) -> str:
    """The lines for an explanation as ``datarequest explain`` answers it."""
    request = body.get("request") or {}
    said = str(body.get("sentence") or request.get("message") or "")
    state = str(request.get("state", "?"))
    head = f"{terminal.paint(plain(request), BOLD)} is {terminal.state(state)}"
    # A sentence that names the request and its state needs nothing before it.
    first = clean(said) if said and plain(request) in said else f"{head}: {clean(said)}" if said else head
    why = [[clean(str((body["why_not"] or {}).get("sentence", "")))], ("Clauses", _clauses(body["why_not"], terminal))] if body.get("why_not") else []
    reservations = body.get("reservations") or {}
    return sections(terminal, [
        # Who asks about one Data is answered first.
        *why, [first], _blocked(body["blocked_by"], terminal) if body.get("blocked_by") else [],
        ("Funnel", funnel_lines(body["funnel"], terminal) if body.get("funnel") else []), ("What would help", _hints(body.get("hints") or [], terminal)),
        ("Warnings", [f"  {_sentence(warning)}" for warning in body.get("warnings") or []]),
        ("Reservations", _counts(reservations)), ("Costs", _costs(reservations.get("costs") or [], terminal)),
        ("Decisions", _decisions(body.get("items") or [], body.get("next"), terminal)),
        ("Instances", _counts(body.get("instances") or {}) + _ready(body.get("ready_in_s"))), ("Budget", _budget(body.get("budget"))),
        ("Timeline", _timeline(body.get("timeline") or [], terminal)),
        _attempts(body),
    ])


def planned(body: Body, terminal: Terminal) -> str:
    """The lines for a plan as ``datarequest plan`` answers it."""
    counts = body.get("counts") or {}
    said = [clean(str(body.get("sentence", "")))]
    found = ", ".join(f"{counts[name]} {name.replace('_', ' ')}" for name in ("chosen", "standby", "rejected", "left_out") if counts.get(name))
    count = counts.get("candidates") or 0
    summary = [f"  {count} candidate{'s' if count != 1 else ''}: {found or 'none taken'}"] if count else []
    if counts.get("chosen"):
        sizes = body.get("bytes") or {}
        summary += [f"  {bytes_text(sizes.get('used'))} to use, {bytes_text(sizes.get('moved'))} of it copied or moved",
                    f"  cost {body.get('cost', 0):g}" + _parts(body.get("cost_parts") or {})]
        summary += _ready(body.get("ready_in_s"))
    return sections(terminal, [
        said, ("Funnel", funnel_lines(body["funnel"], terminal) if body.get("funnel") else []),
        ("What would help", _hints(body.get("hints") or [], terminal)),
        ("Warnings", [f"  {_sentence(warning)}" for warning in body.get("warnings") or []]), ("Would be done", summary),
        ("Candidates", _candidates(body, terminal)), ("Room", _rooms((body.get("capacity") or {}).get("rooms") or [], terminal)),
        ("Budget", _budget(body.get("budget"))), [f"Policies: revision {body['policy']}. Nothing was written."] if body.get("policy") else [],
    ])


def _ready(seconds: float | None) -> list[str]:
    return [] if seconds is None else [f"  ready in about {seconds_text(seconds)}"]


def sections(terminal: Terminal, parts: Sequence[list[str] | tuple[str, list[str]]]) -> str:
    """Lines, and lines under a title, with a blank line between them; what has no lines is left out."""
    shown = []
    for section in parts:
        title, lines = section if isinstance(section, tuple) else ("", section)
        if lines:
            shown.append("\n".join([terminal.paint(title, BOLD), *lines] if title else lines))
    return "\n\n".join(shown)


def funnel_lines(funnel: Body, terminal: Terminal) -> list[str]:
    """What each clause leaves, as counts and bars that fit the terminal, with a word at the clause that lost everything."""
    base = int(funnel.get("base") or 0)
    steps = [("everything", base), *((str(step.get("clause", "?")), int(step.get("remaining") or 0)) for step in funnel.get("steps") or [])]
    figures = max(len(str(count)) for _, count in steps)
    room = None if terminal.columns is None else terminal.columns - 6 - figures
    bars = _BAR if room is None else max(_LEAST_BAR, min(_BAR, room // 3))
    names = [cut(clean(clause), _CLAUSE if room is None else max(_LEAST_CLAUSE, min(_CLAUSE, room - bars))) for clause, _ in steps]
    wide = max(map(width, names))
    bar, empty = ("█", "▏") if terminal.blocks else ("#", "")
    lines, before = [], None
    for name, (_, count) in zip(names, steps, strict=True):
        length = 0 if not base else max(1 if count else 0, round(bars * count / base))
        mark = "  ← nothing is left here" if count == 0 and before else ""
        if not terminal.blocks:
            mark = mark.replace("←", "<-")
        line = f"  {pad(name, wide)}  {count:>{figures}}  {(bar * length) or empty}"
        if mark and terminal.columns is not None and width(line + mark) > terminal.columns:
            mark = mark[:3] + mark[3:4] if terminal.blocks else mark[:4]
        lines.append(f"{line}{terminal.paint(mark, 31) if mark else ''}".rstrip())
        before = count
    if funnel.get("estimate"):
        lines.append("  (an estimate: more rows than are counted exactly)")
    return lines


def _hints(hints: Sequence[Body], terminal: Terminal) -> list[str]:
    """What to change, and the command that does; a command is never cut, so that it can be typed."""
    lines = []
    for hint in hints[:_HINTS]:
        lines.append(f"  {clean(str(hint.get('sentence', '')))}")
        if hint.get("command"):
            lines.append(f"    {terminal.paint(clean(str(hint['command'])), DIM)}")
    return lines + ([f"  … and {len(hints) - _HINTS} more: -o json"] if len(hints) > _HINTS else [])


def _blocked(blocked: Body, terminal: Terminal) -> list[str]:
    since = f" since {clean(str(blocked['since']))}" if blocked.get("since") else ""
    retry = f", next attempt at {clean(str(blocked['next_retry_at']))}" if blocked.get("next_retry_at") else ""
    about = blocked.get("object") or {}
    named = f" at {plain(about)}" if about.get("name") else ""
    lines = [f"{terminal.paint('Waits', 33)} for {plain(blocked.get('code'))}{named}{since}{retry}"]
    if blocked.get("position"):
        estimate = f", about {clean(str(blocked['estimate']))}" if blocked.get("estimate") else ""
        yours = ", ".join(plain(one) for one in (blocked.get("ahead") or {}).get("yours") or [])
        lines.append(f"  In line at place {blocked['position']}{f', after {yours}' if yours else ''}{estimate}")
    return lines + [f"  What helps: {_sentence(way)}" for way in blocked.get("unstick") or []]


def _clauses(why: Body, terminal: Terminal) -> list[str]:
    """What each clause found in the Data that was asked about."""
    yes, no = ("✓", "✗") if terminal.blocks else ("+", "-")
    lines = [f"  {yes if one.get('holds') else no} {clean(str(one.get('clause')))}: {clean(str(one.get('field')))} is {clean(str(one.get('said')))}"
             for one in why.get("clauses") or []]
    return lines + (_tried(why["decision"], terminal) if why.get("decision") else [])


def _tried(decision: Body, terminal: Terminal) -> list[str]:
    """Each rule that was asked, and what its clauses found."""
    yes, no = ("✓", "✗") if terminal.blocks else ("+", "-")
    lines = []
    for one in decision.get("tried") or []:
        why = "; ".join(f"{clean(str(clause['clause']))} ({plain(clause['value'])})" for clause in one.get("clauses") or [] if not clause["holds"])
        lines.append(f"    {yes if one['matched'] else no} rule {clean(str(one['rule']))}" + (f": not {why}" if why else ""))
    return lines


def _decisions(items: Sequence[Body], following: Any, terminal: Terminal) -> list[str]:
    lines = []
    for item in items[:_DECISIONS]:
        decision = item.get("decision") or {}
        action = ", ".join(word for word in ("stands by" if item.get("status") == "standby" else "", item.get("action") or "") if word) or "undecided"
        target = f" to {plain(item['target'])}" if item.get("target") else ""
        cost = f", cost {item['cost']:g}" if isinstance(item.get("cost"), (int, float)) else ""
        lines.append(f"  {plain(item.get('data'))} at {plain(item.get('source'))}: {clean(action)}{target}{cost} "
                     f"by {clean(str(item.get('rule') or '-'))}: {clean(str(decision.get('because') or ''))}".rstrip(": "))
        lines += _tried(decision, terminal) if len(items) == 1 else []
        lines += _scores(decision, item.get("action")) if len(items) == 1 else []
    rest = "more follow" if following else f"{len(items) - _DECISIONS} more" if len(items) > _DECISIONS else ""
    return lines + ([f"  … {rest}: -o json, or --reservation NAME for one with every rule and score"] if rest else [])


def _scores(decision: Body, chosen: Any) -> list[str]:
    rows = [(f"{action} ({one['via']})" if one.get("via") else action, f"{one['cost']:g}" if one.get("possible") else "-",
             (("chosen" if action == chosen else "") + _parts(one.get("parts") or {})).strip() if one.get("possible") else clean(str(one.get("why_not", ""))))
            for action, one in (decision.get("scores") or {}).items()]
    rows += [("", "", f"{action}: {clean(str(one['via_why']))}") for action, one in (decision.get("scores") or {}).items() if one.get("via_why")]
    if decision.get("margin") is not None:
        rows.append(("margin", f"{decision['margin']:g}", f"before {clean(str(decision.get('runner_up')))}"))
    return table(rows, indent="    ")


def _costs(costs: Sequence[Body], terminal: Terminal) -> list[str]:
    """What each state and action costs together."""
    return table([(clean(str(one.get("state"))), clean(str(one.get("action"))), str(one.get("count")), f"{one.get('cost') or 0:g}") for one in costs],
                  head=("STATE", "ACTION", "DATA", "COST"), right=(2, 3), terminal=terminal)


def _candidates(body: Body, terminal: Terminal) -> list[str]:
    items = body.get("items") or []
    rows = [(plain(item.get("data")), plain(item.get("source")), clean(str(item.get("status"))), clean(str(item.get("action"))),
             plain(item.get("target") or "-"), f"{item.get('cost') or 0:g}", clean(str(item.get("rule")))) for item in items]
    lines = table(rows, head=("DATA", "SOURCE", "STATUS", "ACTION", "TARGET", "COST", "RULE"), right=(5,), terminal=terminal)
    more = (body.get("total") or 0) - len(items)
    return lines + ([f"  … and {more} more: --cursor {body.get('next')}"] if more > 0 and body.get("next") else [])


def _rooms(rooms: Sequence[Body], terminal: Terminal) -> list[str]:
    def figure(kind: str, value: Any) -> str:
        return "unlimited" if value is None else bytes_text(value) if kind == "bytes" else str(value)
    rows = [(plain(one.get("source")), clean(kind := str(one.get("kind"))), figure(kind, one.get("wanted")), figure(kind, one.get("free")),
             "fits" if one.get("fits") else f"{figure(kind, one.get('missing'))} missing") for one in rooms]
    return table(rows, head=("SOURCE", "KIND", "WANTED", "FREE", ""), right=(2, 3), terminal=terminal)


def _budget(budget: Any) -> list[str]:
    if not isinstance(budget, Mapping):
        return []
    wanted = budget.get("wanted") or {}
    show: dict[str, Callable[[Any], str]] = {"bytes": bytes_text, "money": lambda value: f"{value:g}"}
    return [f"  {kind}: {show[kind](budget[kind]['remains'])} of {show[kind](budget[kind]['limit'])} left"
            + (f"; this takes {show[kind](wanted[kind])}" if wanted.get(kind) else "") for kind in show if budget.get(kind)]


def table(rows: Sequence[Sequence[str]], *, head: Sequence[str] = (), right: Sequence[int] = (), indent: str = "  ",
          terminal: Terminal | None = None) -> list[str]:
    """Rows of texts below their titles, as wide as they need; ``right`` names the columns of figures. Cut where a terminal is narrower."""
    if not rows:
        return []
    every = [head, *rows] if head else list(rows)
    wide = [max(width(row[place]) for row in every) for place in range(len(rows[0]))]
    lines = [indent + "  ".join(pad(text, wide[place], right=place in right) for place, text in enumerate(row)).rstrip() for row in every]
    if terminal is not None and terminal.columns is not None:
        lines = [cut(line, terminal.columns) for line in lines]
    return lines


def _parts(parts: Mapping[str, Any]) -> str:
    shown = ", ".join(f"{clean(name)} {value:g}" for name, value in parts.items() if value)
    return f" ({shown})" if shown else ""


def _attempts(body: Body) -> list[str]:
    past = [one for one in (body.get("attempts") or [])[:-1]]
    kept = [f"This frame stays: --at {(body.get('request') or {}).get('version')}."] if body.get("frozen") else []
    return [f"Attempt {one.get('attempt')} is {clean(str(one.get('state')))}: --at {one.get('version')}" for one in past[-3:]] + kept


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
    if not counts:
        return []
    if not counts.get("total", 1):
        return ["  none"]
    lines = []
    for name, value in counts.items():
        if name == "costs":
            continue
        if isinstance(value, Mapping):
            value = ", ".join(f"{plain(inner)} {clean(str(key))}" for key, inner in value.items())
        elif name.startswith("bytes"):
            value = bytes_text(value)
        if value not in (None, "", []):
            lines.append(f"  {clean(name.removeprefix('by_').replace('_', ' '))}: {plain(value)}")
    return lines


def _timeline(steps: Sequence[Body], terminal: Terminal) -> list[str]:
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
    widths = [max((width(row[place]) for row in rows), default=0) for place in range(5)]
    lines = []
    for row in rows:
        cells = [pad(text, widths[place], right=place == 1) for place, text in enumerate(row[:5])]
        line = "  " + "  ".join([terminal.paint(cells[0], DIM), *cells[1:], row[5]]).rstrip()
        lines.append(line if terminal.columns is None or terminal.colour else cut(line, terminal.columns))
    return lines
