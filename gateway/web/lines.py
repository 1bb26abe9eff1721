"""A call as the lines to copy, for the page: made where the examples of the documents are made, and nowhere in the browser."""
from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import parse_qsl

from gateway.clients.samples import URL, samples
from gateway.wire import dumps
from shared.contracts.action import schema_of
from shared.contracts.table import ACTIONS
from shared.kernel.errors import Malformed, NotFound

ADDRESS = "/web/lines.json"


def document(query_string: str) -> bytes:
    """``{curl, cli, js, python}`` for ``action=NAME&parameters=JSON&url=ORIGIN``; what the action does not take is left out.

    Raises:
        NotFound: ``not_found``: there is no such action.
        Malformed: ``malformed``: the parameters are no JSON object.
    """
    asked = dict(parse_qsl(query_string, keep_blank_values=True))
    row = ACTIONS.get(asked.get("action", ""))
    if row is None:
        raise NotFound("not_found", f"No action is called '{asked.get('action', '')[:100]}'.", next_step="All of them are at /docs.")
    try:
        given = json.loads(asked.get("parameters") or "{}")
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, Mapping):
        raise Malformed("malformed", "The parameters of a line are one JSON object.", next_step="Send parameters={\"id\": \"scans\"}.")
    known = schema_of(row.parameters).fields
    url = asked.get("url", "")
    return dumps(samples(row, {name: value for name, value in given.items() if name in known},
                         url if url.startswith(("http://", "https://")) else URL))
