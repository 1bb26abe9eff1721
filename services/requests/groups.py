"""Groups: several queries in one request, all of them or none. Decides; reads and writes nothing."""
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from services.requests import rules
from shared.kernel.errors import Invalid, did_you_mean, located

MOST = 50
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}")
MEMBERS = ("query", "select", "all")


def read(given: Mapping[str, Any] | None) -> dict[str, dict[str, Any]] | None:
    """The members of a group, ``{name: {"query", "select"}}``, from what was asked: ``{name: query, name: {query, select, all}}``.

    Raises:
        Invalid: ``group.invalid`` or ``query.empty``, with a pointer under ``/group``.
        Malformed: a query cannot be parsed.
    """
    if given is None:
        return None
    if not given:
        raise _invalid("/group", "A group has at least one member.")
    if len(given) > MOST:
        raise _invalid("/group", f"A group has at most {MOST} members, this one has {len(given)}.")
    members = {}
    for name, asked in given.items():
        where = f"/group/{name}"
        if not _NAME.fullmatch(name):
            raise _invalid(where, f"'{name[:80]}' is no name of a member: a letter, then letters, digits, '_', '.' and '-', 63 at most.")
        if isinstance(asked, str):
            asked = {"query": asked}
        for key in asked if isinstance(asked, Mapping) else ():
            if key not in MEMBERS:
                raise _invalid(f"{where}/{key}", f"Unknown member '{key[:80]}'.{did_you_mean(key, MEMBERS)}")
        if not isinstance(asked, Mapping) or "query" not in asked:
            raise _invalid(where, "A member is a query in one line, or {query, select}.")
        with located(where):
            query = rules.wanted(asked["query"], asked.get("all")).to_json()
            rules.check_select(asked.get("select"))
        members[name] = {"query": query, **({"select": dict(asked["select"])} if asked.get("select") else {})}
    return members


def query_of(group: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What any member matches, as one query."""
    queries = [member["query"] for member in group.values()]
    return queries[0] if len(queries) == 1 else {"$or": queries}


def _invalid(pointer: str, detail: str) -> Invalid:
    return Invalid("group.invalid", detail, next_step='Write for example {"scans": "type:file name:*.nii", "labels": {"query": "kind:label"}}.',
                   errors=[{"pointer": pointer, "detail": detail}])
