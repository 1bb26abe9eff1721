"""The action table as the page reads it: every action with its form, every class with its attributes, the state nets.

The page draws forms, lists, diagrams and the lines to copy from this alone.
"""
from __future__ import annotations

from typing import Any

from gateway.openapi import field_schema
from gateway.wire import dumps
from shared.contracts.action import Action, schema_of
from shared.contracts.event import EVENTS, PUBLIC
from shared.contracts.fields import Expression, JsonObject, Ref, RefOrInline, TextOrObject
from shared.contracts.objects import OBJECTS
from shared.contracts.table import ACTIONS
from shared.nets import NETS

# How a form asks for a kind of value; what is not here is asked for by its JSON type.
_ASKED_AS = {Expression: "query", JsonObject: "json", RefOrInline: "json_or_name", Ref: "name", TextOrObject: "text"}


def document(version: str) -> bytes:
    """The table as JSON in UTF-8: ``{version, actions[], objects{}, nets{}, events[]}``."""
    return dumps({
        "version": version,
        "actions": [_action(row) for row in ACTIONS.values()],
        "objects": {noun: {"about": kind.about, "attributes": [
            {"name": attribute.name, "kind": attribute.kind, "about": attribute.about, "filter": attribute.filter}
            for attribute in kind.attributes]} for noun, kind in OBJECTS.items()},
        "nets": {noun: {"initial": net.initial, "states": list(net.states), "moves": [
            {"from": move.source, "event": move.event, "to": move.target} for move in net.moves.values()]}
            for noun, net in NETS.items()},
        "events": [{"name": event.name, "about": event.about} for event in EVENTS.values() if event.exchange == PUBLIC],
    })


def _action(row: Action) -> dict[str, Any]:
    return {
        "name": row.name, "tree": row.tree, "path": list(row.path), "address": row.address, "words": list(row.words),
        "changes": row.changes, "summary": row.summary, "noun": row.noun, "answer": row.answer, "built": row.built,
        "confirm": row.confirm, "positional": row.positional, "example": dict(row.example), "waits": row.wait is not None,
        # Which of these a caller needs one of, and the same as a part of a sentence: a button says beforehand why it would be refused.
        "roles": list(row.roles), "needs": row.needs if row.restricted else "",
        "move": row.move, "within": list(row.within), "parameters": [_parameter(name, field) for name, field in schema_of(row.parameters).fields.items()],
    }


def _parameter(name: str, field: Any) -> dict[str, Any]:
    schema = field_schema(field)
    asked = next((word for kind, word in _ASKED_AS.items() if isinstance(field, kind)), None)
    return {
        "name": name, "required": field.required, "about": schema.get("description", ""), "enum": schema.get("enum"),
        "default": schema.get("default"), "kind": asked or schema.get("type") or "string",
    }
