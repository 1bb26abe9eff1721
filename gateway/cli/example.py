"""Commands as text: the example in a row's help, and the curl command of a call. Made from rows; runs nothing."""
from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from marshmallow import fields

from gateway.cli.client import prefer, request_of
from shared.contracts.action import TREES, Action, schema_of
from shared.contracts.fields import TextOrObject

RENAMED = {"wait": "may-wait"}
"""Parameters whose name the command line itself needs for something else."""


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
    for name, value in parameters.items():
        field = schema_of(row.parameters).fields[name]
        if isinstance(field, fields.Boolean):
            words.append(option_of(name) if value else option_of(name).replace("--", "--no-", 1))
        elif isinstance(field, TextOrObject) and isinstance(value, str):
            before = f"printf %s {shlex.quote(value)} | "
            words += [option_of(name), "-"]
        else:
            words += [option_of(name), shlex.quote(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))]
    return before + " ".join(words)


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
        return " ".join([*words, "-X", method, shlex.quote(url + address), "-H", "'Content-Type: application/json'",
                         "-d", shlex.quote(json.dumps(parameters, ensure_ascii=False))])
    query = urlsplit(address).query
    if query:
        words.append("-G")
        words += [part for name, value in parse_qsl(query, keep_blank_values=True, errors="surrogateescape")
                  for part in ("--data-urlencode", shlex.quote(f"{name}={value}"))]
    return " ".join([*words, shlex.quote(url + row.address)])
