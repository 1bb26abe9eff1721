"""A call as the lines to copy, for the page: made where the examples of the documents are made, and nowhere in the browser."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.clients.samples import URL, samples
from gateway.wire import dumps
from shared.contracts.action import schema_of
from shared.contracts.table import ACTIONS
from shared.kernel.errors import Invalid, NotFound

ADDRESS = "/web/lines.json"


def document(asked: Mapping[str, Any], logged_in: bool = False) -> bytes:
    """``{curl, cli, js, python}`` for ``{action, parameters, url}``; what the action does not take is left out.

    ``logged_in`` says that the server wants a login: the lines that carry one themselves take it from the environment.

    Raises:
        NotFound: ``not_found``: there is no such action.
        Invalid: ``parameter.invalid``: the parameters are no JSON object.
    """
    name, given, url = asked.get("action"), asked.get("parameters", {}), asked.get("url")
    row = ACTIONS.get(name) if isinstance(name, str) else None
    if row is None:
        raise NotFound("not_found", f"No action is called '{str(name)[:100]}'.", next_step="All of them are at /docs.")
    if not isinstance(given, Mapping):
        raise Invalid("parameter.invalid", "The parameters of a line are one JSON object.", next_step='Send {"parameters": {"id": "scans"}}.',
                      errors=[{"pointer": "/parameters", "detail": "Not an object."}])
    known = schema_of(row.parameters).fields
    return dumps(samples(row, {name: value for name, value in given.items() if name in known},
                         url if isinstance(url, str) and url.startswith(("http://", "https://")) else URL, logged_in))
