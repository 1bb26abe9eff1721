"""The messages as an AsyncAPI 3.0 document: every event over AMQP and WebSocket, the handled ones, and the subscriptions."""
from __future__ import annotations

from typing import Any

from gateway.schemas import field_schema, object_schemas
from gateway.websocket.names import DROPPED
from shared.contracts.action import schema_of
from shared.contracts.event import EVENTS, HANDLED, PUBLIC, SENT_BY, Event
from shared.contracts.events import StreamParameters
from shared.contracts.objects import EVENT, OBJECTS
from shared.contracts.table import ACTIONS

EXCHANGE = "edgemere.events"
_SCHEMA = "#/components/schemas/"


def document(version: str) -> dict[str, Any]:
    """The whole AsyncAPI document as a dict."""
    events = [event for event in EVENTS.values() if event.exchange == PUBLIC]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Messages of edgemere diml dml do: the Data Orchestrator", "version": version,
            "description": "Every message is written in the same transaction as the change it tells of, is published at least once and in "
                           "order per object. Over AMQP its name is the routing key; over socket.io it comes under its name to who has "
                           "subscribed, with its sequence in the event log, from which a subscription resumes.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "websocket": {"host": "127.0.0.1:3000", "pathname": "/web/socket.io", "protocol": "ws",
                          "description": "socket.io, protocol 5, with the WebSocket transport."},
            "amqp": {"host": "127.0.0.1:5672", "protocol": "amqp",
                     "description": f"The topic exchange {EXCHANGE}, where the mesh runs on RabbitMQ."},
        },
        "channels": {
            **{event.name: _channel(event) for event in events},
            "subscribe": {"address": "subscribe", "title": "subscribe", "servers": [_server("websocket")],
                          "description": "Answers {subscription, after}; unsubscribe takes {subscription}.",
                          "messages": {"subscribe": {"$ref": "#/components/messages/subscribe"}}},
            DROPPED: {"address": DROPPED, "title": DROPPED, "servers": [_server("websocket")],
                      "description": "Why the connection is about to end.",
                      "messages": {DROPPED: {"$ref": f"#/components/messages/{DROPPED}"}}},
        },
        "operations": {
            **{f"send {event.name}": _operation("send", event.name, event.about) for event in events},
            **{f"receive {name}": _operation("receive", name, f"Runs {HANDLED[name]}: {_what_runs(name)}") for name in HANDLED},
            "receive subscribe": _operation("receive", "subscribe", "Choose which messages come."),
            f"send {DROPPED}": _operation("send", DROPPED, "Tell a client why it is disconnected."),
        },
        "components": {
            "messages": {
                **{event.name: _message(event) for event in events},
                "subscribe": {"name": "subscribe", "title": "subscribe", "payload": _subscription()},
                DROPPED: {"name": DROPPED, "title": DROPPED, "payload": {
                    "type": "object", "required": ["code", "detail"],
                    "properties": {name: {"type": "string"} for name in ("code", "detail", "next_step")}}},
            },
            "schemas": {**object_schemas(), **{f"{noun}_message": _body(noun) for noun in dict.fromkeys(event.noun for event in events)}},
        },
    }


def _server(name: str) -> dict[str, str]:
    return {"$ref": f"#/servers/{name}"}


def _channel(event: Event) -> dict[str, Any]:
    return {
        "address": event.name, "title": event.name, "description": event.about, "servers": [_server("websocket"), _server("amqp")],
        "messages": {event.name: {"$ref": f"#/components/messages/{event.name}"}},
        "bindings": {"amqp": {"is": "routingKey", "exchange": {"name": EXCHANGE, "type": "topic", "durable": True, "autoDelete": False}}},
    }


def _operation(action: str, name: str, about: str) -> dict[str, Any]:
    escaped = name.replace("~", "~0").replace("/", "~1")
    return {"action": action, "channel": {"$ref": f"#/channels/{escaped}"}, "summary": about}


def _what_runs(name: str) -> str:
    row = next((row for row in ACTIONS.values() if row.rpc == HANDLED[name]), None)
    return f"{row.summary} Over REST the same is sent with {SENT_BY}." if row else f"Over REST the same is sent with {SENT_BY}."


def _message(event: Event) -> dict[str, Any]:
    return {
        "name": event.name, "title": event.name, "summary": event.about, "contentType": "application/json",
        "payload": {"$ref": f"{_SCHEMA}{event.noun}_message"},
        "headers": {"type": "object", "description": "CloudEvents attributes, over AMQP.", "properties": {
            f"cloudEvents_{name}": {"type": "string"} for name in ("specversion", "type", "source", "id", "time")}},
    }


def _body(noun: str) -> dict[str, Any]:
    kinds: dict[str, dict[str, Any]] = {"text": {"type": ["string", "null"]}, "number": {"type": "integer"}, "time": {"type": "string", "format": "date-time"},
                                        "list": {"type": "array", "items": {"type": "string"}}}
    members = {one.name: {**kinds.get(one.kind, {}), "description": one.about} for one in EVENT.attributes}
    members["obj"] = {"$ref": f"{_SCHEMA}{noun}"} if noun in OBJECTS else {"type": "object"}
    return {"type": "object", "description": f"A message about a {noun}; sequence is there over WebSocket, SSE and in the event log.",
            "required": ["obj", "event", "id", "time"], "properties": members}


def _subscription() -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False,
            "properties": {name: field_schema(field) for name, field in schema_of(StreamParameters).fields.items()}}
