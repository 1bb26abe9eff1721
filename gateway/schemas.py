"""Parameters, objects and error codes of the contract as JSON schema and HTTP status, for every document that shows them."""
from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from gateway.problems import OF_HTTP, STATUS_OF_KIND
from shared.contracts import fields as kinds
from shared.contracts.objects import OBJECTS, ObjectType
from shared.kernel.ids import PREFIXES

ANY_OBJECT = {"type": "object", "additionalProperties": True}
_REF = {"$ref": "#/components/schemas/Ref"}
_REF_SCHEMA = {"type": "object", "description": "An object, named.",
               "properties": {"id": {"type": ["string", "null"]}, "name": {"type": ["string", "null"]}}}
_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "text": {"type": ["string", "null"]},
    "number": {"type": ["number", "null"]},
    "boolean": {"type": ["boolean", "null"]},
    "time": {"type": ["string", "null"], "format": "date-time"},
    "ref": {"anyOf": [_REF, {"type": "null"}]},
    "refs": {"description": "In lists a count with a link, in show the refs."},
    "json": {"description": "Any JSON."},
    "list": {"type": ["array", "null"], "items": {}},
    "count": {"description": "In lists a count with a link, in show the refs."},
}
# The end of an error code says its status, where the code is not a kind of its own or here as a whole.
_STATUS_OF_ENDING = {
    "cursor.invalid": 400,
    "not_found": 404, "ambiguous": 409, "name_taken": 409, "illegal_move": 409, "in_use": 409, "path_taken": 409,
    "not_ready": 409, "not_needed": 409, "no_capacity": 409, "not_writable": 409, "exists": 409,
    "syntax": 400, "unknown_operator": 400, "unknown_field": 400, "bad_operand": 400, "too_deep": 400, "too_long": 400,
    "bad_regex": 400, "regex_too_costly": 400, "vanished": 404,
    "denied": 403, "roles": 403, "address_not_allowed": 403, "exceeded": 429, "over": 409, "grace_over": 409, "request_over": 409,
    "in_progress": 409, "no_end": 409, "pinned": 409, "busy": 409, "oneself": 409, "swap_under_way": 409,
    "nothing_to_swap": 409, "nothing_to_undo": 409, "nothing_to_lock": 409,
}


def field_schema(field: fields.Field) -> dict[str, Any]:
    """The JSON schema of a parameter, with its sentence."""
    schema: dict[str, Any] = {"description": field.metadata.get("description", "")}
    schema |= _kind_of(field)
    for check in field.validators:
        if isinstance(check, validate.OneOf):
            schema["enum"] = list(check.choices)
        elif isinstance(check, validate.Range):
            schema |= {"minimum": check.min, "maximum": check.max}
    if isinstance(field.load_default, (str, int, bool)):
        schema["default"] = field.load_default
    return schema


def _kind_of(field: fields.Field) -> dict[str, Any]:
    # From the special to the general: a Name is a String, Labels are a JsonObject.
    for kind, schema in (
        (kinds.Name, {"type": "string", "minLength": 1, "maxLength": kinds.NAME_LENGTH}),
        (kinds.Ref, {"type": "string", "minLength": 1}),
        (kinds.RefOrInline, {"anyOf": [{"type": "string", "minLength": 1}, ANY_OBJECT]}),
        (kinds.Expression, {"anyOf": [{"type": "string"}, ANY_OBJECT]}),
        (kinds.TextOrObject, {"anyOf": [{"type": "string", "minLength": 1}, ANY_OBJECT]}),
        (kinds.JsonObject, ANY_OBJECT),
        (kinds.Duration, {"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}]}),
        ((kinds.When, kinds.Since), {"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}]}),
        (fields.Integer, {"type": "integer"}), (fields.Float, {"type": "number"}),
        (fields.Boolean, {"type": "boolean"}), (fields.String, {"type": "string"}),
    ):
        if isinstance(field, kind):
            return dict(schema)
    return {}


def status_of(code: str) -> int:
    """The HTTP status that an error code has, by the kind it is, as a whole or by how it ends; 422 for the others."""
    if code in STATUS_OF_KIND:
        return STATUS_OF_KIND[code]
    if code in OF_HTTP:
        return OF_HTTP[code].status
    return _STATUS_OF_ENDING.get(code) or _STATUS_OF_ENDING.get(code.rsplit(".", 1)[-1], 422)


def object_schemas() -> dict[str, Any]:
    """The classes of objects as JSON schemas, by noun, and ``Ref``."""
    return {"Ref": _REF_SCHEMA, **{noun: _object_schema(kind) for noun, kind in OBJECTS.items()}}


def _object_schema(kind: ObjectType) -> dict[str, Any]:
    members = {}
    for attribute in kind.attributes:
        members[attribute.name] = {**_ATTRIBUTES[attribute.kind], "description": attribute.about}
    schema = {"type": "object", "description": kind.about, "properties": members}
    if kind.noun in PREFIXES and "id" in members:
        members["id"] = {**members["id"], "examples": [f"{PREFIXES[kind.noun]}_01JD3Z6K8Q4N5W7X9Y2B3C4D5E"]}
    return schema
