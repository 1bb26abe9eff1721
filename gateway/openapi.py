"""The action table as an OpenAPI 3.1 document, made once from the rows, the object classes and the error codes."""
from __future__ import annotations

from typing import Any


from gateway.callers.credentials import COOKIE, SECURE_COOKIE
from gateway.clients.samples import LABELS, samples
from gateway.problems import DOCUMENTED, MEDIA_TYPE
from gateway.schemas import ANY_OBJECT, field_schema, object_schemas, status_of
from shared.contracts.action import Action, schema_of
from shared.contracts.identities import ERRORS as IDENTITY_ERRORS
from shared.contracts.objects import OBJECTS
from shared.contracts.table import ACTIONS

_LANGUAGES = {"curl": "Shell", "cli": "Shell", "js": "JavaScript", "python": "Python"}
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ANYWHERE = {
    400: ("malformed", "credential.in_url"), 401: (
        "unauthenticated", *(code for code in IDENTITY_ERRORS if code.startswith(("key.", "token."))), "credential.malformed", "credential.too_large"),
    403: ("host_not_allowed", "denied"), 413: ("too_large",),
    422: ("parameter.unknown", "parameter.missing", "parameter.invalid"),
    429: ("rate.exceeded", "credential.too_many_wrong"), 500: ("internal",), 503: ("unavailable", "credential.unavailable"), 504: ("deadline_exceeded",),
}
_ON_CHANGE = {
    403: ("origin_not_allowed", "session.cross_site"), 409: ("version_conflict",), 412: ("precondition_failed",),
    422: ("idempotency.mismatch", "idempotency.invalid"),
}
_HEADERS = {
    "X-Request-Id": {"description": "The id of this call, also in the server's log.", "schema": {"type": "string"}},
}


def document(version: str) -> dict[str, Any]:
    """The whole OpenAPI document as a dict."""
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": DIALECT,
        "info": {
            "title": "edgemere diml dml do: the Data Orchestrator", "version": version,
            "description": "Say what data you need, as a query over metadata; it is found, reserved, placed and made "
                           "available as instances. Parameters come from the query string, a JSON body or a form body, "
                           "with one meaning. Errors are RFC 9457 problem documents with a stable `code`. Lists come in "
                           "pages: `next` is the `cursor` of the page after. What takes long answers 202 with the "
                           "`Location` of an operation; `Prefer: wait=N` says how many seconds to wait for the end. "
                           "A server that listens on more than the loopback interface wants a key or a token: "
                           "`Authorization: Bearer …`.",
        },
        "servers": [{"url": "/", "description": "This server."}],
        "tags": [{"name": name} for name in dict.fromkeys(_tag(row) for row in ACTIONS.values())],
        # One of them, or none where nobody has to log in.
        "security": [{"bearer": []}, {"session": []}, {}],
        "paths": {row.address: _path(row) for row in ACTIONS.values()} | _OWN_PATHS,
        "components": {
            "schemas": _component_schemas(),
            "headers": _HEADERS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A key (`edk_…`), or a token of the identity provider."},
                "session": {"type": "apiKey", "in": "cookie", "name": COOKIE,
                            "description": f"The page's own session; behind TLS the cookie is `{SECURE_COOKIE}`."},
            },
            "parameters": _component_parameters(),
        },
    }


def _tag(row: Action) -> str:
    return f"{row.tree} {row.path[0]}" if len(row.path) > 1 else row.tree


def _path(row: Action) -> dict[str, Any]:
    post = _operation(row, "post") | {"requestBody": _body(row)}
    if row.changes:
        return {"post": post}
    get = _operation(row, "get")
    get["parameters"] = _query_parameters(row) + get["parameters"]
    return {"get": get, "post": post}


def _operation(row: Action, method: str) -> dict[str, Any]:
    parameters = [{"$ref": "#/components/parameters/RequestId"}]
    if row.changes:
        parameters += [{"$ref": f"#/components/parameters/{name}"} for name in ("IdempotencyKey", "IfMatch")]
    if row.wait:
        parameters.append({"$ref": "#/components/parameters/Prefer"})
    if row.answer == "object" and not row.changes:
        parameters.append({"$ref": "#/components/parameters/IfNoneMatch"})
    if row.answer == "content":
        parameters += [{"$ref": f"#/components/parameters/{name}"} for name in ("Range", "IfRange", "IfNoneMatch")]
    if row.answer == "stream":
        parameters.append({"$ref": "#/components/parameters/LastEventId"})
    described = row.summary if row.built else f"{row.summary} Not built yet: answers 501 `not_yet`."
    if row.restricted:
        described = f"{described} Needs the role {row.needs}."
    if row.fresh:
        described = f"{described} {row.asks_anew}"
    return {
        "operationId": f"{row.name}.{method}", "summary": row.summary, "description": described, "tags": [_tag(row)], "x-roles": list(row.roles),
        "parameters": parameters, "responses": _responses(row),
        # The name under which documentation tools look for examples in other languages.
        "x-codeSamples": [{"lang": _LANGUAGES[face], "label": LABELS[face], "source": text}
                          for face, text in samples(row, row.example).items()],
    }


def _query_parameters(row: Action) -> list[dict[str, Any]]:
    found = []
    for name, field in schema_of(row.parameters).fields.items():
        schema = field_schema(field)
        parameter: dict[str, Any] = {"name": name, "in": "query", "required": field.required,
                                     "description": field.metadata.get("description", "")}
        if schema.get("type") == "object" or (name in row.example and isinstance(row.example[name], dict)):
            parameter["content"] = {"application/json": {"schema": schema}}
        else:
            parameter["schema"] = schema
            if name in row.example:
                parameter["example"] = row.example[name]
        found.append(parameter)
    return found


def _body(row: Action) -> dict[str, Any]:
    members = schema_of(row.parameters).fields
    schema: dict[str, Any] = {
        "type": "object", "additionalProperties": False,
        "properties": {name: field_schema(field) for name, field in members.items()},
    }
    required = [name for name, field in members.items() if field.required]
    if required:
        schema["required"] = required
    described: dict[str, Any] = {"schema": schema}
    if row.example:
        described["example"] = dict(row.example)
    return {"required": bool(required), "content": {"application/json": described}}


def _responses(row: Action) -> dict[str, Any]:
    found: dict[str, Any] = {}
    answer = {"description": _described(row), "headers": _answer_headers(row), "content": _content(row)}
    if not row.built:
        found["501"] = _problems(501, ("not_yet",))
    else:
        found["201" if row.may_create else "200"] = answer
        if row.may_create:
            found["200"] = {**answer, "description": "What was there already."}
        if row.wait:
            found["202"] = {**answer, "description": "It goes on; `Location` is the operation to follow."}
        if row.answer == "content":
            found["206"] = {**answer, "description": "The range asked for."}
            found["416"] = _problems(416, ("range_not_satisfiable",))
        if row.answer == "content" or (row.answer == "object" and not row.changes):
            found["304"] = {"description": "It still has the version that If-None-Match names."}
    codes: dict[int, list[str]] = {status: list(known) for status, known in _ANYWHERE.items()}
    codes[415] = ["unsupported_media_type"]
    if row.changes:
        for status, known in _ON_CHANGE.items():
            codes.setdefault(status, []).extend(known)
    # A name that is looked for may be that of several owners' objects, to whom those are there.
    ambiguous = (code.replace(".not_found", ".ambiguous") for code in row.errors if code.endswith(".not_found"))
    for code in (*row.errors, *(code for code in ambiguous if code in DOCUMENTED)):
        found_codes = codes.setdefault(status_of(code), [])
        if code not in found_codes:
            found_codes.append(code)
    for status in sorted(codes):
        found[str(status)] = _problems(status, codes[status])
    return found


def _problems(status: int, codes: Any) -> dict[str, Any]:
    lines = [f"- `{code}`: {DOCUMENTED.get(code, '')}" for code in codes]
    return {"description": "\n".join(lines), "headers": {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}},
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def _described(row: Action) -> str:
    return {"page": "A page of them.", "stream": "The messages, as Server-Sent Events.", "content": "The bytes.",
            "document": "The answer.", "object": "The object."}[row.answer]


def _answer_headers(row: Action) -> dict[str, Any]:
    headers: dict[str, Any] = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
    if row.answer == "object":
        headers["ETag"] = {"description": "The version, in quotes.", "schema": {"type": "string"}}
    if row.may_create or row.wait:
        headers["Location"] = {"description": "Where what was made, or the operation, is shown.",
                               "schema": {"type": "string"}}
    if row.wait:
        headers["Preference-Applied"] = {"description": "The wait that was granted.", "schema": {"type": "string"}}
    return headers


def _content(row: Action) -> dict[str, Any]:
    if row.answer == "stream":
        return {"text/event-stream": {"schema": {"type": "string"}}}
    if row.answer == "content":
        return {"*/*": {"schema": {}}}
    item: dict[str, Any] = {"$ref": f"#/components/schemas/{row.noun}"} if row.noun in OBJECTS else dict(ANY_OBJECT)
    if row.answer == "page":
        item = {"allOf": [{"$ref": "#/components/schemas/Page"},
                          {"type": "object", "properties": {"items": {"type": "array", "items": item}}}]}
    elif row.answer == "document":
        item = dict(ANY_OBJECT)
    return {"application/json": {"schema": item}}


def _component_schemas() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "Page": {
            "type": "object", "required": ["items"],
            "properties": {
                "items": {"type": "array"},
                "next": {"type": ["string", "null"], "description": "The cursor of the page after; null on the last."},
                "total": {"type": ["integer", "null"], "description": "How many there are in all."},
                "total_is_estimate": {"type": "boolean"},
            },
        },
        "Problem": {
            "type": "object", "description": "RFC 9457. Further members depend on the code, such as legal or candidates.",
            "required": ["type", "title", "status", "detail", "code", "instance"],
            "properties": {
                "type": {"type": "string", "format": "uri-reference"}, "title": text,
                "status": {"type": "integer"}, "detail": text, "instance": text, "request_id": text, "next_step": text,
                "code": {"type": "string", "description": "Stable; /docs lists them all."},
                "errors": {"type": "array", "items": {
                    "type": "object", "properties": {"pointer": text, "detail": text}}},
            },
        },
        **object_schemas(),
    }


def _component_parameters() -> dict[str, Any]:
    def header(name: str, about: str, **schema: Any) -> dict[str, Any]:
        return {"name": name, "in": "header", "required": False, "description": about, "schema": {"type": "string", **schema}}

    return {
        "RequestId": header("X-Request-Id", "Your id of this call; one is made where it is missing.", maxLength=128),
        "IdempotencyKey": header("Idempotency-Key", "A repeated call with the same key finds what the first one did.",
                                 minLength=1, maxLength=255),
        "IfMatch": header("If-Match", "The ETag you saw; 412 when the object has changed since.", examples=['"3"']),
        "IfNoneMatch": header("If-None-Match", "The ETag you have; 304 when it is still that.", examples=['"3"']),
        "Prefer": header("Prefer", "`wait=N`: wait up to N seconds (at most 300) for the end; `respond-async`: not at all.",
                         examples=["wait=10"]),
        "Range": header("Range", "One range of bytes.", examples=["bytes=0-1023"]),
        "IfRange": header("If-Range", "The ETag that the range belongs to."),
        "LastEventId": header("Last-Event-ID", "Resume after this event."),
    }


def _plain(summary: str, kind: str, *statuses: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"get": {
        "operationId": summary.lower().rstrip(".").replace(" ", "-"), "summary": summary, "tags": ["server"],
        "responses": {status: {"description": about, "content": {kind: {"schema": {}}}} for status, about in statuses} | more,
    }}


_OWN_PATHS = {
    "/health/live": _plain("Whether the process answers.", "application/json", ("200", "It does.")),
    "/health/ready": _plain("Whether all services answer.", "application/json", ("200", "They do."),
                            ("503", "One does not; it is named.")),
    "/metrics": _plain("Figures for Prometheus.", "text/plain", ("200", "The figures."),
                       **{str(status): _problems(status, _ANYWHERE[status]) for status in (400, 401, 429)}),
}
