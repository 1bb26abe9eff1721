"""The gateway's own pages: where to look, and the actions and error codes as a plain document.

Made once from the table; self-contained, with no script and nothing from elsewhere.
"""
from __future__ import annotations

import json
from html import escape
from typing import Any

from gateway.openapi import field_schema
from gateway.problems import DOCUMENTED
from shared.contracts.action import Action, schema_of
from shared.contracts.event import EVENTS, PUBLIC
from shared.contracts.table import ACTIONS, BY_ADDRESS

TITLE = "edgemere diml dml do: the Data Orchestrator"
_STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8882}
body{font:1rem/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
h2{margin-top:2.5rem;border-bottom:1px solid var(--line)}h3{margin-top:2rem}
code,pre{font-family:ui-monospace,monospace;font-size:.9em}pre{background:var(--soft);padding:.6rem;overflow:auto}
table{border-collapse:collapse;width:100%}td,th{border-top:1px solid var(--line);padding:.3rem .6rem .3rem 0;
text-align:left;vertical-align:top}small{opacity:.75}
"""


def _page(title: str, body: str) -> bytes:
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
            f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>'
            f"<body>{body}</body></html>").encode()


def _of_kind(kind: str) -> list[str]:
    return [address for address, row in BY_ADDRESS.items() if row.answer == kind]


def start(version: str) -> dict[str, Any]:
    """Where to look, as JSON."""
    return {"name": TITLE, "version": version, "docs": "/docs", "openapi": "/openapi.json", "page": "/web",
            "ready": "/health/ready", "metrics": "/metrics", "events": _of_kind("stream")[0]}


def docs(version: str) -> bytes:
    """The page at ``/docs``: actions, messages and error codes from the tables; each code is an anchor."""
    sections = "".join(_action(row) for row in ACTIONS.values())
    contents = "".join(f'<tr><td><a href="#{name}"><code>{name}</code></a></td><td>{escape(row.summary)}'
                       f'{"" if row.built else " <small>(not built yet)</small>"}</td></tr>' for name, row in ACTIONS.items())
    events = "".join(f"<tr><td><code>{escape(event.name)}</code></td><td>{escape(event.about)}</td></tr>"
                     for event in EVENTS.values() if event.exchange == PUBLIC)
    errors = "".join(f'<tr id="{escape(code)}"><td><code>{escape(code)}</code></td><td>{escape(about)}</td></tr>'
                     for code, about in sorted(DOCUMENTED.items()))
    return _page(f"Actions of {TITLE}", f"""<h1>{escape(TITLE)}</h1><p>Version {escape(version)}. Made from the action
table; the same is at <a href="/openapi.json">/openapi.json</a>. Parameters come from the query string, a JSON body or a
form body, with one meaning; an action that changes something takes POST alone.</p>
<h2>Actions</h2><table>{contents}</table>{sections}
<h2 id="messages">Messages</h2><table>{events}</table>
<h2 id="errors">Error codes</h2><table>{errors}</table>""")


def _action(row: Action) -> str:
    rows = "".join(_parameter(name, field) for name, field in schema_of(row.parameters).fields.items())
    words = " ".join(row.words)
    arguments = " ".join(f"--{name.replace('_', '-')} {_shell(value)}" for name, value in row.example.items())
    codes = ", ".join(f'<a href="#{code}"><code>{code}</code></a>' for code in row.errors)
    return (f'<h3 id="{row.name}">{escape(row.summary)}</h3>'
            f"<p><code>{'POST' if row.changes else 'GET, POST'} {row.address}</code><br>"
            f"<code>edgemere {escape(words)} {escape(arguments)}</code><br><code>rpc.{row.rpc}(…)</code></p>"
            + (f"<table>{rows}</table>" if rows else "") + (f"<p>Errors: {codes}</p>" if codes else ""))


def _parameter(name: str, field: Any) -> str:
    schema = field_schema(field)
    kind = schema.get("type") or " or ".join(part["type"] for part in schema.get("anyOf", ())) or "any"
    notes = "required" if field.required else (f"default {schema['default']}" if "default" in schema else "")
    return (f"<tr><td><code>{escape(name)}</code></td><td>{escape(schema['description'])}</td>"
            f"<td><small>{escape(kind)}{', ' + escape(notes) if notes else ''}</small></td></tr>")


def _shell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if text.replace("-", "").replace("_", "").isalnum() else f"'{text}'"
