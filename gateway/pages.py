"""The gateway's own pages: where to look, and the actions, messages and error codes as plain documents.

Made once from the tables; self-contained, with nothing from elsewhere, and with no script but that of the page for trying.
"""
from __future__ import annotations

import base64
import hashlib
from html import escape
from pathlib import Path
from typing import Any

from gateway.schemas import field_schema
from gateway.clients.samples import LABELS, samples
from gateway.problems import DOCUMENTED
from shared.contracts.action import Action, schema_of
from shared.contracts.event import EVENTS, HANDLED, PUBLIC, SENT_BY
from shared.contracts.events import StreamParameters
from shared.contracts.objects import EVENT, OBJECTS
from shared.contracts.table import ACTIONS, BY_ADDRESS

TITLE = "edgemere diml dml do: the Data Orchestrator"
_STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8882}
body{font:1rem/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
h2{margin-top:2.5rem;border-bottom:1px solid var(--line)}h3{margin-top:2rem}
code,pre{font-family:ui-monospace,monospace;font-size:.9em}pre{background:var(--soft);padding:.6rem;overflow:auto}
table{border-collapse:collapse;width:100%}td,th{border-top:1px solid var(--line);padding:.3rem .6rem .3rem 0;
text-align:left;vertical-align:top}small{opacity:.75}
h4{margin:.6rem 0 .2rem}summary{cursor:pointer}pre{white-space:pre-wrap}
@media(max-width:40rem){tr{display:block;border-top:1px solid var(--line);padding:.3rem 0}td,th{display:block;border:0;padding:0}}
"""


# Nothing but this very style, and no script.
POLICY = (f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
# Swagger UI sets styles on elements, and draws its icons from data addresses.
TRY_POLICY = ("default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
              "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
SWAGGER = Path(__file__).parent / "web" / "vendor" / "swagger-ui"


def _page(title: str, body: str) -> bytes:
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
            f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>'
            f"<body>{body}</body></html>").encode()


def _of_kind(kind: str) -> list[str]:
    return [address for address, row in BY_ADDRESS.items() if row.answer == kind]


def start(version: str) -> dict[str, Any]:
    """Where to look, as JSON."""
    return {
        "name": TITLE, "version": version, "docs": "/docs", "openapi": "/openapi.json", "asyncapi": "/asyncapi.json", "page": "/web",
        "socket": "/web/socket.io", "javascript": "/edgemere.js", "ready": "/health/ready", "metrics": "/metrics",
        "events": _of_kind("stream")[0],
    }


def docs(version: str) -> bytes:
    """The page at ``/docs``: actions with examples for every face, messages and error codes; each code is an anchor."""
    sections = "".join(_action(row) for row in ACTIONS.values())
    contents = "".join(f'<tr><td><a href="#{name}"><code>{name}</code></a></td><td>{escape(row.summary)}'
                       f'{"" if row.built else " <small>(not built yet)</small>"}</td></tr>' for name, row in ACTIONS.items())
    events = "".join(f'<tr><td><a href="/asyncapi#{escape(event.name)}"><code>{escape(event.name)}</code></a></td>'
                     f"<td>{escape(event.about)}</td></tr>" for event in _public())
    errors = "".join(f'<tr id="{escape(code)}"><td><code>{escape(code)}</code></td><td>{escape(about)}</td></tr>'
                     for code, about in sorted(DOCUMENTED.items()))
    return _page(f"Actions of {TITLE}", f"""<h1>{escape(TITLE)}</h1><p>Version {escape(version)}. Made from the action
table; the same is at <a href="/openapi.json">/openapi.json</a>, and can be <a href="/docs/try">tried in the browser</a>. Parameters
come from the query string, a JSON body or a form body, with one meaning; an action that changes something takes POST alone. The
messages are at <a href="/asyncapi">/asyncapi</a>. Programs have <a href="/edgemere.js">/edgemere.js</a> with
<a href="/edgemere.d.ts">its types</a>, and <code>from edgemere import edgemere</code> in Python.</p>
<h2>Actions</h2><table>{contents}</table>{sections}
<h2 id="messages">Messages</h2><table>{events}</table>
<h2 id="errors">Error codes</h2><table>{errors}</table>""")


def messages(version: str) -> bytes:
    """The page at ``/asyncapi``: every message, what its object has, and how one subscribes."""
    fields = schema_of(StreamParameters).fields
    subscribing = "".join(_parameter(name, field) for name, field in fields.items())
    rows = "".join(f'<tr id="{escape(event.name)}"><td><code>{escape(event.name)}</code></td><td>{escape(event.about)}'
                   f'{" <b>Handled:</b> it can be sent, too." if event.name in HANDLED else ""}</td>'
                   f'<td><a href="#{event.noun}">{event.noun}</a></td></tr>' for event in _public())
    objects = "".join(
        f'<h3 id="{noun}">{noun}</h3><p>{escape(OBJECTS[noun].about)}</p><table>' + "".join(
            f"<tr><td><code>{one.name}</code></td><td>{escape(one.about)}</td><td><small>{one.kind}</small></td></tr>"
            for one in OBJECTS[noun].attributes) + "</table>"
        for noun in dict.fromkeys(event.noun for event in _public()) if noun in OBJECTS)
    body = "".join(f"<tr><td><code>{one.name}</code></td><td>{escape(one.about)}</td></tr>" for one in EVENT.attributes)
    return _page(f"Messages of {TITLE}", f"""<h1>Messages</h1><p>Version {escape(version)}; the same is at
<a href="/asyncapi.json">/asyncapi.json</a> (AsyncAPI 3). Every message is written with the change it tells of, is published at least
once and in order per object. It can be heard over socket.io at <code>/web/socket.io</code>, as server-sent events at
<a href="{_of_kind("stream")[0]}"><code>{_of_kind("stream")[0]}</code></a>, and on the AMQP exchange <code>edgemere.events</code>, where its name is the
routing key. A handled message is sent with the same name over socket.io, or with <a href="/docs#{SENT_BY}">{SENT_BY}</a>.</p>
<h2>Subscribing</h2><p>All are optional and joined by <i>and</i>; with <code>after</code> the past comes first, and nothing comes twice.</p>
<table>{subscribing}</table><pre>socket.emit("subscribe", {{ class: "datarequest", query: "owner:darren", after: 41 }}, (answer, problem) =&gt; …)
edgemere.on("datarequest.*", (message) =&gt; …, {{ query: "owner:darren", after: 41 }})
curl -N '{_of_kind("stream")[0]}?class=datarequest&amp;after=41'
edgemere do event stream --class datarequest --after 41</pre>
<h2>Body</h2><table>{body}</table><h2>Messages</h2><table>{rows}</table><h2>Objects</h2>{objects}""")


def trial(version: str) -> bytes:
    """The page at ``/docs/try``: Swagger UI over ``/openapi.json``."""
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(TITLE)}</title>'
            '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
            '<link rel="stylesheet" href="/docs/swagger-ui.css">'
            '</head><body><div id="swagger-ui"></div><script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script>'
            "</body></html>").encode()


START = b"""SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, docExpansion: "none", filter: true, tryItOutEnabled: true, validatorUrl: null,
  // An answer of the API is a file to a browser that is led to it; here it is looked at.
  responseInterceptor: (answer) => {
    if (/filename="api\\.json"/.test(answer.headers?.["content-disposition"])) delete answer.headers["content-disposition"];
    return answer;
  },
});
"""


def _public() -> list[Any]:
    return [event for event in EVENTS.values() if event.exchange == PUBLIC]


def _action(row: Action) -> str:
    rows = "".join(_parameter(name, field) for name, field in schema_of(row.parameters).fields.items())
    codes = ", ".join(f'<a href="#{code}"><code>{code}</code></a>' for code in row.errors)
    examples = "".join(f"<h4>{LABELS[face]}</h4><pre>{escape(text)}</pre>" for face, text in samples(row, row.example).items())
    return (f'<h3 id="{row.name}">{escape(row.summary)}</h3>'
            f"<p><code>{'POST' if row.changes else 'GET, POST'} {row.address}</code>"
            f"{'' if row.built else ' <small>(not built yet: answers 501)</small>'}<br><code>rpc.{row.rpc}(…)</code></p>"
            + (f"<table>{rows}</table>" if rows else "") + f"<details><summary>Examples</summary>{examples}</details>"
            + (f"<p>Errors: {codes}</p>" if codes else ""))


def _parameter(name: str, field: Any) -> str:
    schema = field_schema(field)
    kind = schema.get("type") or " or ".join(part["type"] for part in schema.get("anyOf", ())) or "any"
    notes = "required" if field.required else (f"default {schema['default']}" if "default" in schema else "")
    return (f"<tr><td><code>{escape(name)}</code></td><td>{escape(schema['description'])}</td>"
            f"<td><small>{escape(kind)}{', ' + escape(notes) if notes else ''}</small></td></tr>")
