"""A call as text for each face: curl, the command line, JavaScript and Python. Made from the table; runs nothing."""
from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from gateway.cli.example import command_of, curl_of
from gateway.clients.python import argument, attribute
from shared.contracts.action import TREES, Action

URL = "http://127.0.0.1:3000"
FACES = ("curl", "cli", "js", "python")
LABELS = {"curl": "curl", "cli": "Command line", "js": "JavaScript", "python": "Python"}
_WORD = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*", re.ASCII)


def samples(row: Action, parameters: Mapping[str, Any], url: str = URL, logged_in: bool = False) -> dict[str, str]:
    """The call of an action with these parameters on each of ``FACES``.

    The JavaScript is inside an async function or module, where ``edgemere`` is the module's; the Python where ``edgemere``
    was imported from ``edgemere``. Where one has to be ``logged_in``, curl takes the key from EDGEMERE_KEY, as the others do by themselves.
    """
    return {
        "curl": curl_of(row, url, parameters, logged_in=logged_in), "cli": command_of(row, parameters, short=True), "js": javascript_of(row, parameters),
        "python": python_of(row, parameters),
    }


def javascript_of(row: Action, parameters: Mapping[str, Any]) -> str:
    """The call in JavaScript."""
    call = ".".join((TREES[row.tree], *row.path))
    given = _javascript(dict(parameters)) if parameters else ""
    if row.answer == "stream":
        return f"for await (const message of await {call}({given})) console.log(message.event, message.sequence);"
    return f"await {call}({given});"


def python_of(row: Action, parameters: Mapping[str, Any]) -> str:
    """The call in Python."""
    call = ".".join((TREES[row.tree], *map(attribute, row.path)))
    given = ", ".join(f"{argument(name)}={value!r}" if not isinstance(value, str) else f"{argument(name)}={_quoted(value)}"
                      for name, value in parameters.items())
    if row.answer == "stream":
        return f"for message in {call}({given}):\n    print(message.event, message.sequence)"
    return f"{call}({given})"


def _javascript(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{key if _WORD.fullmatch(key) else _quoted(key)}: {_javascript(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_javascript, value))}]"
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
