"""The Python client: the package ``edgemere`` beside this, whose ``calls.py`` is made from the action table.

The package stands alone: it imports nothing of the server's.
"""
from __future__ import annotations

import keyword
import textwrap
from typing import Any

from gateway.schemas import field_schema, status_of
from shared.contracts.action import TREES, Action, schema_of
from shared.contracts.table import ACTIONS, ERRORS

_OPTIONS = ("wait_s", "idempotency_key", "if_match", "timeout_s")
_HEAD = '''"""Every action of the server as a method. Made from the action table by .ci/generate; do not change it by hand."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .connection import Server
'''
_KINDS = {
    400: "Malformed", 403: "Denied", 404: "NotFound", 409: "Conflict", 412: "PreconditionFailed", 413: "TooLarge", 422: "Invalid",
    429: "TooMany", 501: "NotYet", 503: "Unavailable", 504: "DeadlineExceeded",
}


def calls() -> str:
    """The text of ``calls.py``: a class for each tree and for each noun in it."""
    parts = [_HEAD]
    for tree in TREES:
        node: dict[str, Any] = {}
        for row in ACTIONS.values():
            if row.tree == tree:
                place = node
                for word in row.path[:-1]:
                    place = place.setdefault(word, {})
                place[row.path[-1]] = row
        parts += _classes(node, f"{tree.capitalize()}Calls", f"The actions of ``{TREES[tree].removeprefix('edgemere.').replace('.', ' ')}``.")
    return "\n\n".join(parts) + "\n"


def _classes(node: dict[str, Any], name: str, about: str) -> list[str]:
    """The class of a place in the tree, after those of the places in it."""
    parts, inner, methods = [], [], []
    for word, what in node.items():
        if isinstance(what, Action):
            methods.append(_method(what))
        else:
            title = word.capitalize()
            parts += _classes(what, f"{name.removesuffix('Calls')}{title}Calls", f"The actions of {word}.")
            inner.append(f"        self.{attribute(word)} = {name.removesuffix('Calls')}{title}Calls(server)\n")
    start = f'''class {name}:
    """{about}"""

    def __init__(self, server: Server) -> None:
        self._server = server
''' + "".join(inner)
    return [*parts, start + "".join("\n" + method for method in methods)]


def attribute(word: str) -> str:
    """A word as a Python name."""
    return f"{word}_" if keyword.iskeyword(word) else word


def argument(name: str) -> str:
    """A parameter's name as an argument; the client's own options have theirs."""
    return f"{name}_" if keyword.iskeyword(name) or name in ("self", *_OPTIONS) else name


def _method(row: Action) -> str:
    members = schema_of(row.parameters).fields
    required = [name for name, field in members.items() if field.required]
    first = required + ([row.positional] if row.positional and row.positional not in required else [])
    others = [name for name in members if name not in first]
    signature = ["self", *(f"{argument(name)}: {_hint(members[name])}" + ("" if name in required else " = None") for name in first)]
    options = _options(row)
    if others or options:
        signature += ["*", *(f"{argument(name)}: {_hint(members[name])} = None" for name in others), *options]
    pairs = ", ".join(f'"{name}": {argument(name)}' for name in members)
    returns, body = _body(row, pairs)
    text = f"def {attribute(row.path[-1])}({', '.join(signature)}) -> {returns}:\n"
    if len(text) > 130:
        text = f"def {attribute(row.path[-1])}(\n        " + ",\n        ".join(signature) + f",\n) -> {returns}:\n"
    return textwrap.indent(f'{text}    """{_doc(row, members)}"""\n    {body}\n', "    ")


def _options(row: Action) -> list[str]:
    if row.answer == "content":
        return ['first: int | None = None', 'last: int | None = None']
    if row.answer == "stream":
        return []
    options = ['wait_s: float | None = None'] if row.wait else []
    if row.changes:
        options += ['idempotency_key: str | None = None', 'if_match: int | None = None']
    return [*options, 'timeout_s: float | None = None']


def _body(row: Action, pairs: str) -> tuple[str, str]:
    if row.answer == "content":
        return "Any", _wrapped("content", f'"{row.address}"', pairs, "first, last")
    if row.answer == "stream":
        return "Iterator[Any]", _wrapped("events", f'"{row.address}"', pairs, "")
    about = f'("{row.address}", {row.changes}, "{row.answer}", {row.wait.default_s if row.wait else 0})'
    given = ", ".join(f"{name}={name}" for name in (option.partition(":")[0] for option in _options(row)))
    return "Any", _wrapped("call", about, pairs, given)


def _wrapped(method: str, about: str, pairs: str, given: str) -> str:
    more = f", {given}" if given else ""
    text = f"return self._server.{method}({about}, {{{pairs}}}{more})"
    if len(text) <= 120:
        return text
    inner = textwrap.fill(f"{{{pairs}}},", 120, initial_indent=" " * 8, subsequent_indent=" " * 9, break_long_words=False)
    last = f"        {given},\n" if given else ""
    return f"return self._server.{method}(\n        {about},\n{inner}\n{last}    )"


def _hint(field: Any) -> str:
    schema = field_schema(field)
    kinds = [one.get("type", "") for one in schema.get("anyOf", [schema])]
    names = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "object": "Mapping[str, Any]"}
    found = list(dict.fromkeys(names.get(kind, "Any") for kind in kinds))
    # A ref may be an object that has it.
    if field.__class__.__name__ == "Ref":
        found.append("Mapping[str, Any]")
    if "Any" in found:
        return "Any"
    return " | ".join(found if field.required else [*found, "None"])


def _doc(row: Action, members: dict[str, Any]) -> str:
    lines = [row.summary]
    if not row.built:
        lines += ["", "Not built yet: raises ``NotYet``."]
    if members:
        lines += ["", "Args:"]
        for name, field in members.items():
            notes = "required; " if field.required else ""
            lines += _folded(f"{argument(name)}: {notes}{field.metadata.get('description', '')}")
        if row.wait:
            lines.append("    wait_s: seconds to wait for the end of what this begins.")
    if row.errors:
        lines += ["", "Raises:"]
        for code in row.errors:
            lines += _folded(f"{_KINDS.get(status_of(code), 'EdgemereError')}: ``{code}``: {ERRORS.get(code, '')}")
    text = "\n".join(lines).replace("\\", "\\\\").replace('"""', "'''")
    return text if len(lines) == 1 else textwrap.indent(text, "    ").lstrip() + "\n    "


def _folded(text: str) -> list[str]:
    return textwrap.wrap(text, 130, initial_indent=" " * 4, subsequent_indent=" " * 8, break_long_words=False, break_on_hyphens=False)
