"""The pages of ``docs/generated``: the package with its classes, the actions, the messages and the nets, as Markdown with diagrams."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.clients.samples import LABELS, samples
from gateway.problems import DOCUMENTED
from gateway.schemas import field_schema, status_of
from shared.contracts.action import TREES, Action, schema_of
from shared.contracts.event import EVENTS, HANDLED, OWNERS, PUBLIC
from shared.contracts.objects import EVENT, OBJECTS
from shared.contracts.requests import REASONS
from shared.contracts.table import ACTIONS, PROVIDERS
from shared.nets import NETS

_MADE = "<!-- Made from the tables by .ci/generate; do not change it by hand. -->\n"
_FENCES = {"curl": "sh", "cli": "sh", "js": "js", "python": "python"}


def package() -> str:
    """The package page: what the subsystem is made of, with its classes and how they hang together."""
    named = {noun: kind for noun, kind in OBJECTS.items() if noun in OWNERS}
    arrows = [(noun, attribute.name) for noun, kind in named.items() for attribute in kind.attributes if attribute.kind in ("ref", "refs", "count")]
    lines = [_MADE, "# The package edgemere diml dml do", "", "[Actions](actions.md) · [Messages](messages.md) · [State nets](nets.md)", "",
             "## Services", "", *_table(("service", "owns", "actions"), (
                 (f"`{name}`", ", ".join(noun for noun, owner in OWNERS.items() if owner == name) or "",
                  str(sum(row.service == name for row in ACTIONS.values()))) for name in PROVIDERS)),
             "", "## Classes", "", "```mermaid", "classDiagram"]
    for noun, kind in named.items():
        lines += [f"  class {noun} {{", *(f"    {attribute.kind} {attribute.name}" for attribute in kind.attributes), "  }"]
    lines += [f"  {noun} --> {target} : {name}" for noun, name in arrows if (target := _target(name)) in named]
    lines += ["```", ""]
    for noun, kind in OBJECTS.items():
        lines += [f"### {noun}", "", kind.about, "", *_table(("attribute", "kind", "meaning"), (
            (f"`{one.name}`", one.kind, one.about) for one in kind.attributes)), ""]
    return "\n".join(lines)


def _target(name: str) -> str:
    return {"request": "datarequest", "data_reference": "datareference", "reference": "datareference", "reservations": "datareservation",
            "instances": "datainstance", "source": "datasource", "target": "datasource", "data": "data"}.get(name, "")


def actions() -> str:
    """Every action: how it is called on each face, its parameters and its errors."""
    lines = [_MADE, "# Actions", "", *_table(("action", "REST", "CLI", "what it does"), (
        (f"[`{row.name}`](#{row.name.replace('.', '')})", f"`{'POST' if row.changes else 'GET, POST'} {row.address}`",
         f"`edgemere {' '.join(row.words)}`", row.summary) for row in ACTIONS.values())), ""]
    for row in ACTIONS.values():
        lines += _action(row)
    return "\n".join(lines)


def _action(row: Action) -> list[str]:
    members = schema_of(row.parameters).fields
    lines = [f"## {row.name}", "", row.summary + ("" if row.built else " Not built yet: answers 501 `not_yet`."), "",
             f"RPC `{row.rpc}`, JavaScript `{TREES[row.tree]}.{'.'.join(row.path)}`, WebSocket `{row.name}`."
             + (f" Needs the role {row.needs}." if row.restricted else "") + (f" {row.asks_anew}" if row.fresh else ""), ""]
    if members:
        lines += [*_table(("parameter", "kind", "", "meaning"), (
            (f"`{name}`", _kind(field_schema(field)), "required" if field.required else "", field_schema(field)["description"])
            for name, field in members.items())), ""]
    for face, text in samples(row, row.example).items():
        lines += [f"{LABELS[face]}:", "", f"```{_FENCES[face]}", text, "```", ""]
    if row.errors:
        lines += [*_table(("error", "status", "meaning"), (
            (f"`{code}`", str(status_of(code)), DOCUMENTED.get(code, "")) for code in row.errors)), ""]
    return lines


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    return " or ".join(one.get("type", "any") for one in schema.get("anyOf", [schema]))


def messages() -> str:
    """Every message: its name, when it is sent, who sends it, and what its body has."""
    public = [event for event in EVENTS.values() if event.exchange == PUBLIC]
    return "\n".join([
        _MADE, "# Messages", "", "The exchange is `edgemere.events`; the routing key is the name. `/asyncapi.json` of a server has the same.", "",
        "## Handled", "", *_table(("message", "runs"), ((f"`{name}`", f"`{runs}`") for name, runs in HANDLED.items())), "",
        "## Sent", "", *_table(("message", "class", "service", "when"), (
            (f"`{event.name}`", event.noun, f"`{event.service}`", event.about) for event in public)), "",
        "## Body", "", *_table(("member", "kind", "meaning"), ((f"`{one.name}`", one.kind, one.about) for one in EVENT.attributes)), "",
    ])


def nets() -> str:
    """The state nets, each as a diagram and a table of its moves; and the reasons of requests that failed or wait."""
    lines = [_MADE, "# State nets", ""]
    for noun, net in NETS.items():
        lines += [f"## {noun}", "", "```mermaid", "stateDiagram-v2", f"  [*] --> {net.initial}",
                  *(f"  {move.source} --> {move.target} : {move.event}" for move in net.moves.values()), "```", "",
                  *_table(("state", "moves"), (
                      (state, ", ".join(f"{one['event']} → {one['to']}" for one in net.legal(state)) or "none") for state in net.states)), ""]
    lines += ["## Why a request failed, or waits", "", "`reason.code` and `blocked_by.code` are of this list.", "", *_table(("code", "meaning"), (
        (f"`{code}`", about) for code, about in REASONS.items())), ""]
    return "\n".join(lines)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return [line(head), "|" + "---|" * len(head), *map(line, rows)]
