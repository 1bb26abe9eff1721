"""The JavaScript client: ``runtime.js`` with the action table in it, and the types of both.

Everything that a program may call is made from the table; ``edgemere.js`` and ``edgemere.d.ts`` are what was made.
"""
from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from gateway.schemas import field_schema
from shared.contracts.action import Action, schema_of
from shared.contracts.event import EVENTS, PUBLIC
from shared.contracts.objects import OBJECTS
from shared.contracts.table import ACTIONS
from shared.kernel.errors import KINDS, NotYet

FOLDER = Path(__file__).parent
_HEAD = "// Made from the action table by .ci/generate; do not change it by hand.\n"
_KINDS_OF_VALUES = {
    "text": "string | null", "number": "number | null", "boolean": "boolean | null", "time": "string | null", "ref": "Ref | null",
    "json": "any", "list": "any[] | null", "refs": "Ref[] | Count", "count": "Ref[] | Count",
}


def module() -> str:
    """The text of ``edgemere.js``: the runtime with the table, and one error class for each kind of error."""
    runtime = (FOLDER / "runtime.js").read_text(encoding="utf-8")
    kinds, statuses = [], {}
    for name, kind in _kinds().items():
        kinds.append(f"/** {_sentence(kind.__doc__)} */\nexport class {name} extends EdgemereError {{}}")
        statuses.setdefault(kind.status, name)
    pairs = ", ".join(f"{status}: {name}" for status, name in sorted(statuses.items()))
    kinds.append(f"const KIND_OF_STATUS = {{ {pairs} }};")
    rows = ",\n".join(f"  {json.dumps(row.name)}: {json.dumps(described(row), ensure_ascii=False)}" for row in ACTIONS.values())
    stream = next(row.address for row in ACTIONS.values() if row.answer == "stream")
    table = (f"/** The action table: what every call above is made from. */\nconst ACTIONS = {{\n{rows},\n}};\n"
             f"const STREAM = {json.dumps(stream)};")
    return _HEAD + runtime.replace("/* KINDS */", "\n".join(kinds)).replace("/* ACTIONS */", table)


def described(row: Action) -> dict[str, Any]:
    """One row as the module and the page know it."""
    parameters = {}
    for name, field in schema_of(row.parameters).fields.items():
        schema = field_schema(field)
        parameters[name] = {"about": schema.pop("description"), **({"required": True} if field.required else {}),
                            "schema": schema}
    found: dict[str, Any] = {
        "name": row.name, "tree": row.tree, "path": list(row.path), "address": row.address, "words": list(row.words),
        "changes": row.changes, "answer": row.answer, "noun": row.noun, "summary": row.summary, "parameters": parameters,
        "example": dict(row.example), "errors": list(row.errors), "built": row.built, "confirm": row.confirm,
        "positional": row.positional,
    }
    if row.wait:
        found["wait_s"] = row.wait.default_s
    return found


def types() -> str:
    """The text of ``edgemere.d.ts``."""
    parts = [_HEAD, _TYPES_HEAD]
    for noun, kind in OBJECTS.items():
        members = "".join(f"  /** {_sentence(one.about)} */\n  {one.name}: {_KINDS_OF_VALUES[one.kind]};\n" for one in kind.attributes)
        parts.append(f"/** {_sentence(kind.about)} */\nexport interface {_class(noun)} {{\n{members}  [name: string]: any;\n}}\n")
    names = " | ".join(json.dumps(name) for name, event in EVENTS.items() if event.exchange == PUBLIC)
    parts.append(f"/** The names of the messages. */\nexport type EventName = {names};\n")
    for row in ACTIONS.values():
        parts.append(_parameters(row))
    for name, kind in _kinds().items():
        parts.append(f"/** {_sentence(kind.__doc__)} */\nexport class {name} extends EdgemereError {{}}\n")
    trees: dict[str, Any] = {}
    for row in ACTIONS.values():
        node = trees.setdefault(row.tree, {})
        for word in row.path[:-1]:
            node = node.setdefault(word, {})
        node.setdefault(row.path[-1], {})[""] = row
    for tree, node in trees.items():
        parts.append(f"export interface {_class(tree)}Tree {_tree(node, '')}\n")
    members = "".join(f"  {tree}: {_class(tree)}Tree;\n" for tree in trees)
    parts.append(f"export interface Trees {{\n{members}}}\n")
    parts.append(_TYPES_TAIL)
    return "\n".join(parts)


def _tree(node: dict[str, Any], indent: str) -> str:
    lines = []
    for word, inner in node.items():
        if word == "":
            continue
        row = inner.get("")
        deeper = {key: value for key, value in inner.items() if key}
        kind = " & ".join(filter(None, (
            f"({_call(row)})" if row and deeper else _call(row) if row else "", _tree(deeper, indent + "  ") if deeper else "")))
        about = f"{indent}  /** {_sentence(row.summary)} */\n" if row else ""
        lines.append(f"{about}{indent}  {word}: {kind};\n")
    return "{\n" + "".join(lines) + indent + "}"


def _call(row: Action) -> str:
    required = any(field.required for field in schema_of(row.parameters).fields.values())
    answer = _answer(row)
    return f"(parameters{'' if required else '?'}: {_class(row.name)}Parameters, options?: Options) => {answer}"


def _answer(row: Action) -> str:
    item = _class(row.noun) if row.noun in OBJECTS else "any"
    return {"page": f"Promise<Page<{item}>>", "object": f"Promise<{item}>", "content": "Promise<Response>",
            "stream": "Promise<AsyncGenerator<Message>>"}.get(row.answer, "Promise<any>")


def _parameters(row: Action) -> str:
    members = ""
    for name, field in schema_of(row.parameters).fields.items():
        schema = field_schema(field)
        members += f"  /** {_sentence(schema['description'])} */\n  {name}{'' if field.required else '?'}: {_type(schema)};\n"
    return f"/** The parameters of `{row.name}`. */\nexport interface {_class(row.name)}Parameters {{\n{members}}}\n"


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_type(one) for one in schema["anyOf"]))
    # A ref may be the object itself.
    return {"string": "string", "integer": "number", "number": "number", "boolean": "boolean",
            "object": "Record<string, any>"}.get(schema.get("type", ""), "any")


def _kinds() -> dict[str, Any]:
    return {name: kind for name, kind in KINDS.items() if kind.status not in (0, 500)} | {NotYet.__name__: NotYet}


def _class(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[._]", name))


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split()).replace("*/", "*\\/")


_TYPES_HEAD = """
/** An object, named. */
export interface Ref { id: string | null; name: string | null }
/** How many there are, where a list shows no refs. */
export type Count = any;
export interface Page<T> { items: T[]; next: string | null; total: number | null; total_is_estimate?: boolean; [name: string]: any }
/** A message of the event bus. */
export interface Message<T = any> {
  sequence: number; id: string; event: EventName; time: string; obj: T; changed?: string[];
  correlation_id?: string; causation_id?: string; [name: string]: any;
}
/** RFC 9457. */
export interface Problem {
  type?: string; title?: string; status: number; detail?: string; code: string; instance?: string; request_id?: string;
  next_step?: string; errors?: { pointer: string; detail: string }[]; [name: string]: any;
}
export interface Options {
  /** Seconds to wait for the end of what takes long. */
  wait?: number;
  respondAsync?: boolean;
  signal?: AbortSignal;
  timeoutMs?: number;
  idempotencyKey?: string;
  /** The version that you saw. */
  ifMatch?: number;
  requestId?: string;
  /** First and last byte of a content. */
  range?: [number, number];
}
export interface Subscribing {
  class?: string; object?: string; owner?: string; query?: string | Record<string, any>;
  /** Resume after this sequence; the past comes first. */
  after?: number;
  signal?: AbortSignal;
  onError?: (error: EdgemereError) => void;
}
export interface Subscription { close(): void; readonly position: number | undefined }
export interface About { status: number; requestId: string | null; location: string | null; version?: number; operation: string | null }
export class EdgemereError extends Error {
  constructor(problem: Problem);
  problem: Problem; status: number; code: string; detail: string; nextStep: string; requestId: string;
  errors: { pointer: string; detail: string }[];
}
/** The server could not be reached, or its answer ended too early. */
export class Unreachable extends EdgemereError {}
"""

_TYPES_TAIL = """export interface Edgemere extends Trees {
  url: string;
  diml: { dml: Trees };
  /** Call an action by its name, such as `do.datarequest.create`. */
  call(name: string, parameters?: Record<string, any>, options?: Options): Promise<any>;
  /** Call `listener` for every message of these names, from now on or after a sequence, each once and in order. */
  on(event: EventName | "*" | (string & {}), listener: (message: Message) => void, more?: Subscribing): Subscription;
  events(more?: Subscribing & { event?: string }): AsyncGenerator<Message>;
  onConnection(listener: (state: "connected" | "reconnecting" | "refused") => void): () => void;
  close(): void;
}
export interface ConnectOptions { fetch?: typeof fetch; timeoutMs?: number; WebSocket?: any; key?: string; token?: string }
export function connect(url?: string, options?: ConnectOptions): Edgemere;
export function about(answer: any): About | undefined;
export function errorOf(problem: Problem): EdgemereError;
export function requestOf(row: any, parameters: Record<string, any>): [string, string, string | undefined];
export const ACTIONS: Record<string, any>;
export const edgemere: Edgemere;
export default edgemere;
"""
