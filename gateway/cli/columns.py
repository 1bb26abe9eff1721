"""Which columns a table has for each class of object, as data; a class that is not named shows its first attributes."""
from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.cli.text import age_text, bytes_text, clean, compact
from shared.contracts.objects import OBJECTS
from shared.kernel.errors import EdgemereError

Item = Mapping[str, Any]
_WORD = re.compile(r"(?!true|false|null)[A-Za-z][A-Za-z0-9_./-]*", re.ASCII)


@dataclass(frozen=True)
class Column:
    """A column: its title and what it shows of an item.

    ``wide`` columns show with ``-o wide`` only. ``cut`` (``end`` or ``middle``) says how it may be shortened where
    the terminal is narrow; a column without it never is.
    """

    title: str
    shows: Callable[[Item], str]
    wide: bool = False
    cut: str = ""
    right: bool = False


def plain(value: Any) -> str:
    """A value on one line: a ref by its name, a count by its number, an error by its sentence and code, nothing as a dash."""
    if value is None or value == "" or value == [] or value == {}:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        if "count" in value:
            return str(value["count"])
        if isinstance(value.get("code"), str) and value.get("detail"):
            return clean(f"{value['detail']} [{value['code']}]")
        if is_ref(value):
            return clean(str(value.get("name") or value.get("id")))
    if isinstance(value, list) and all(isinstance(item, (str, int, float)) for item in value):
        return clean(", ".join(map(str, value)))
    return compact(value)


def is_ref(value: Any) -> bool:
    """Whether this stands for another object: ``{"id", "name"}``, perhaps with more, and never a query over a name."""
    return isinstance(value, Mapping) and isinstance(value.get("id") or value.get("name"), str)


def many(value: Any) -> str:
    """How many there are: of a list, a count with a link, or a number."""
    return str(len(value)) if isinstance(value, list) else plain(value)


def query_text(query: Any) -> str:
    """A query as one types it: a line of shorthand where it has words for it, else as it is."""
    if not isinstance(query, Mapping) or not query:
        return compact(query) if query else "everything"
    if all(isinstance(value, str) and _WORD.fullmatch(value) for value in query.values()) \
            and not any(name.startswith("$") for name in query):
        return clean(" ".join(f"{name}:{value}" for name, value in query.items()))
    # Only for what needs it: the language takes a tenth of a second to come.
    from shared.query import DATA_FIELDS, parse

    try:
        return clean(parse(dict(query), DATA_FIELDS).to_shorthand())
    except EdgemereError:
        return compact(query)


def place(item: Item) -> str:
    """Where the first data of an instance is, and how many more there are."""
    access = item.get("access") or []
    if not isinstance(access, list) or not access:
        return "-"
    first = access[0]
    return clean(str(first.get("path") or first.get("uri") or "-")) + (f" (+{len(access) - 1})" if len(access) > 1 else "")


def each(member: str) -> Callable[[Item], str]:
    """The different values that the entries of ``access`` have for a member."""
    def shows(item: Item) -> str:
        access = item.get("access")
        values = {str(entry.get(member)) for entry in access if entry.get(member)} if isinstance(access, list) else set()
        return clean(",".join(sorted(values))) or "-"
    return shows


def scan_text(item: Item) -> str:
    """How far the newest scan of a source is, and how many things it could not read."""
    scan = item.get("scan") or {}
    problems = scan.get("problems")
    count = len(problems) if isinstance(problems, list) else problems or 0
    return plain(scan.get("state")) + (f", {count} problem{'s' if count != 1 else ''}" if count else "")


def capacity_text(capacity: Any) -> str:
    """How much fits into a source: bytes, and readers at a time."""
    given = capacity if isinstance(capacity, Mapping) else {}
    parts = [bytes_text(given["bytes"])] if given.get("bytes") is not None else []
    parts += [f"{given['readers']} readers"] if given.get("readers") is not None else []
    return ", ".join(parts) or "unlimited"


def members_text(value: Any) -> str:
    """The members of an object that have a value, each with its name; what is 0 goes without saying."""
    if not isinstance(value, Mapping):
        return plain(value)
    return ", ".join(f"{clean(str(name)).replace('_', ' ')} {plain(one)}" for name, one in value.items() if one not in (None, "", [], {}, 0)) or "-"


def _of(title: str, name: str, show: Callable[[Any], str] = plain, **options: Any) -> Column:
    def shows(item: Item) -> str:
        value: Any = item
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return show(value)
    return Column(title, shows, **options)


_NAME = _of("NAME", "name", cut="end")
_ID = _of("ID", "id", wide=True)
_STATE = _of("STATE", "state")
_AGE = _of("AGE", "created_at", age_text, right=True)
_OWNER = _of("OWNER", "owner", wide=True)
_ATTEMPT = _of("ATTEMPT", "attempt", wide=True, right=True)

COLUMNS: dict[str, tuple[Column, ...]] = {
    "datasource": (
        _NAME, _STATE, _of("ADAPTOR", "adaptor"), _of("DATA", "data_count", right=True),
        _of("SIZE", "data_bytes", bytes_text, right=True), Column("SCAN", scan_text), _AGE, _ID,
        _of("READERS", "used.readers", wide=True, right=True), _of("USED", "used.bytes", bytes_text, wide=True, right=True),
        _of("CAPACITY", "capacity", capacity_text, wide=True), _of("LOCATION", "location", wide=True), _of("PARAMETERS", "parameters", wide=True),
    ),
    "data": (
        _NAME, _of("SOURCE", "source", cut="end"), _of("TYPE", "type"), _of("SIZE", "size", bytes_text, right=True),
        _of("MODIFIED", "modified_at", age_text, right=True), _ID, _of("MEDIA TYPE", "media_type", wide=True),
        _of("CHECKSUM", "checksum", wide=True), _of("PATH", "path", cut="middle"), _of("TAGS", "tags", wide=True),
    ),
    "datareference": (
        _NAME, _STATE, _of("INSTANCES", "instances", many, right=True), _of("REQUEST", "request", cut="end"), _AGE, _ID,
        _OWNER, _of("QUERY", "query", query_text, cut="end"),
    ),
    "datarequest": (
        _NAME, _STATE, _of("INSTANCES", "instances", many, right=True), _of("QUERY", "query", query_text, cut="end"), _AGE,
        _ID, _ATTEMPT, _of("RESERVATIONS", "reservations", many, wide=True, right=True), _of("ACTION", "action", wide=True),
        _of("TARGET", "target", wide=True), _of("REFERENCE", "data_reference", wide=True), _of("COST", "cost", wide=True, right=True),
        _OWNER, _of("MESSAGE", "message", cut="end"),
    ),
    "datareservation": (
        _of("DATA", "data", cut="end"), _STATE, _of("SOURCE", "source", cut="end"), _of("REQUEST", "request", cut="end"),
        _of("ACTION", "action"), _of("TARGET", "target"), _of("COST", "cost", right=True), _of("RULE", "rule", cut="end"), _ID,
        _ATTEMPT, _of("STANDBY", "standby", wide=True), _of("REASON", "reason", wide=True),
    ),
    "datainstance": (
        _NAME, _STATE, Column("ACTION", each("action")), _of("DATA", "data", many, right=True),
        _of("SIZE", "bytes_total", bytes_text, right=True), _AGE, _ID, _of("REQUEST", "request", wide=True),
        _of("REFERENCE", "reference", wide=True), _of("SOURCE", "source", wide=True),
        Column("VERIFIED", each("verified"), wide=True), Column("PATH", place, cut="middle"),
    ),
    "lock": (
        _NAME, _of("SOURCE", "source", cut="end"), _of("SIZE", "size", bytes_text, right=True), _of("ACTION", "action"),
        _of("ID", "data", wide=True), _of("PATH", "path", wide=True), _of("MEMBER", "member", wide=True), _of("CHECKSUM", "checksum", cut="end"),
    ),
    "policy": (
        _of("#", "position", lambda place: "-" if place is None else str(place + 1), right=True), _NAME, _of("ACTION", "action"), _of("TARGET", "target"),
        _of("WHEN", "when", query_text, cut="end"), _of("BECAUSE", "because", cut="end"), _of("REVISION", "revision", wide=True),
    ),
    "event": (
        _of("SEQUENCE", "sequence", right=True), _of("TIME", "time"), _of("EVENT", "event", cut="end"), _of("OBJECT", "obj", cut="end"),
        _of("STATE", "obj.state"), _of("ID", "obj.id", wide=True), _of("CORRELATION", "correlation_id", wide=True),
        _of("CHANGED", "changed", cut="end"),
    ),
    "deadletter": (
        _of("ID", "id"), _of("EVENT", "event", cut="end"), _of("CODE", "code", cut="end"), _of("ATTEMPTS", "attempts", right=True),
        _of("AGE", "time", age_text, right=True), _of("REPLAYED", "replayed_at", age_text, right=True),
        _of("QUEUE", "queue", wide=True), _of("REASON", "reason", cut="end"),
    ),
    "apikey": (
        _NAME, _STATE, _of("ROLES", "roles", cut="end"), _of("OWNER", "owner"), _of("USED", "last_used_at", age_text, right=True),
        _of("ENDS", "expires_at"), _of("ID", "id"), _of("KIND", "kind", wide=True), _of("MADE BY", "made_by", wide=True),
    ),
    "auditentry": (
        _of("#", "sequence", right=True), _of("TIME", "time"), _of("KIND", "kind"), _of("OWNER", "owner", cut="end"),
        _of("ACTION", "action", cut="end"), _of("OUTCOME", "outcome", cut="end"), _of("COUNT", "count", right=True),
        _of("ADDRESS", "address"), _of("OBJECTS", "objects", cut="end"),
        _of("CREDENTIAL", "credential", wide=True), _of("CALL", "correlation_id", wide=True),
    ),
    "operation": (
        _of("ID", "id"), _of("KIND", "kind"), _of("STATUS", "status"), _of("SUBJECT", "subject", cut="end"), _AGE,
        _of("PROGRESS", "progress", members_text, cut="end"), _of("MESSAGE", "message", cut="end"),
    ),
}


def columns_of(noun: str, wide: bool) -> tuple[Column, ...]:
    """The columns for a class of objects; ``wide`` adds those of ``-o wide``."""
    found = COLUMNS.get(noun)
    if found is None:
        attributes = OBJECTS[noun].attributes[:6] if noun in OBJECTS else ()
        found = tuple(_of(attribute.name.upper(), attribute.name, cut="end") for attribute in attributes)
    return tuple(column for column in found if wide or not column.wide)
