"""Relaxation hints as commands that can be typed: the request made anew with the loosened query. Knows no database."""
from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

_ASKED = ("target", "action", "granularity")


def with_commands(found: Mapping[str, Any], row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each hint of ``found`` with ``command``: the request of ``row`` made anew with the query that the hint names.

    Of a group it is the member that found too little whose query is loosened; the others stay as they were asked.
    """
    member = _short_of(found) if row.get("group") else None
    more = "".join(f" --{name} {shlex.quote(str(row[name]))}" for name in _ASKED if row.get(name) and (name, row[name]) != ("granularity", "data"))
    more += f" --select {shlex.quote(_json(row['select']))}" if row.get("select") else ""
    return [{**hint, "command": f"edgemere do datarequest create {_asking(hint, row, member)}{more}"} for hint in found.get("hints") or []]


def _asking(hint: Mapping[str, Any], row: Mapping[str, Any], member: str | None) -> str:
    if member:
        loosened = {**row["group"][member], "query": hint["line"], **({} if hint["line"] else {"all": True})}
        return f"--group {shlex.quote(_json({**row['group'], member: loosened}))}"
    return f"--query {shlex.quote(hint['line'])}" if hint["line"] else "--all"


def _short_of(found: Mapping[str, Any]) -> str | None:
    """The member of a group that found too little."""
    return next((name for name, own in (found.get("members") or {}).items() if own.get("hints")), None)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
