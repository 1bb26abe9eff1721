"""Commands as text: the example in a row's help, and the curl command of a call. Made from rows; runs nothing."""
from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from marshmallow import fields

from gateway.cli.client import prefer, request_of
from gateway.cli.values import STRUCTURED
from shared.contracts.action import TREES, Action, schema_of
from shared.contracts.fields import TextOrObject

RENAMED = {"wait": "may-wait"}
"""Parameters whose name the command line itself needs for something else."""
# Characters of up to four bytes: Linux takes no single argument of 128 KiB.
LONG_ARGUMENT = 30_000


def option_of(name: str) -> str:
    """The option that gives a parameter."""
    return "--" + RENAMED.get(name, name).replace("_", "-")


def short_words(row: Action) -> str:
    """The words of an action in their short form: ``do datainstance create``."""
    return " ".join((TREES[row.tree].rsplit(".", 1)[1], *row.path))


def command_of(row: Action, parameters: Mapping[str, Any], short: bool = False) -> str:
    """The command line that calls an action with these parameters, quoted for a shell."""
    words = ["edgemere", *(short_words(row).split() if short else row.words)]
    before = ""
    given = schema_of(row.parameters).fields
    for name, value in parameters.items():
        field, text = given[name], value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if isinstance(field, fields.Boolean):
            words.append(option_of(name) if value else option_of(name).replace("--", "--no-", 1))
        elif isinstance(field, TextOrObject) and text is value:
            before = _piped(text)
            words += [option_of(name), "-"]
        elif isinstance(field, STRUCTURED) and len(text) > LONG_ARGUMENT and not before:
            # As JSON, whatever it is: of another text it would be guessed what it means.
            before = _piped(json.dumps(value, ensure_ascii=False))
            words += [option_of(name), "-"]
        else:
            words += [option_of(name), shlex.quote(text)]
    return before + " ".join(words)


def _piped(text: str) -> str:
    """What gives a program a text that is too long for an argument; the shell's own printf takes any."""
    return f"printf %s {shlex.quote(text)} | "


def curl_of(row: Action, url: str, parameters: Mapping[str, Any], wait_s: float | None = None, logged_in: bool = False) -> str:
    """The curl command that sends exactly what the command line would send; a key comes from the environment, never into the line."""
    method, address, body = request_of(row, parameters)
    words = ["curl", "-sS"]
    if row.answer == "stream":
        words.append("-N")
    if logged_in:
        words += ["-H", '"Authorization: Bearer $EDGEMERE_KEY"']
    if wait_s is not None:
        words += ["-H", shlex.quote(f"Prefer: {prefer(wait_s)}")]
    if body is not None:
        text = json.dumps(parameters, ensure_ascii=False)
        before, data = (_piped(text), "@-") if len(text) > LONG_ARGUMENT else ("", shlex.quote(text))
        return before + " ".join([*words, "-X", method, shlex.quote(url + address), "-H", "'Content-Type: application/json'", "-d", data])
    query = urlsplit(address).query
    if query:
        words.append("-G")
        words += [part for name, value in parse_qsl(query, keep_blank_values=True, errors="surrogateescape")
                  for part in ("--data-urlencode", shlex.quote(f"{name}={value}"))]
    return " ".join([*words, shlex.quote(url + row.address)])
