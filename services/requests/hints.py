"""Relaxation hints as commands that can be typed: a plan or a request with the loosened query. Knows no database."""
from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

_ASKED = ("target", "action", "granularity")


def with_commands(hints: Iterable[Mapping[str, Any]], row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each hint with ``command``: the request of ``row`` made anew with the query that the hint names."""
    more = "".join(f" --{name} {shlex.quote(str(row[name]))}" for name in _ASKED if row.get(name) and (name, row[name]) != ("granularity", "data"))
    return [{**hint, "command": f"edgemere do datarequest create --query {shlex.quote(hint['line'])}{more}" if hint["line"]
             else f"edgemere do datarequest create --all{more}"} for hint in hints]
