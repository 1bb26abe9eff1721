"""Decisions of the catalogue without I/O: what a source may be given, and whether there is room."""
from __future__ import annotations

import math
import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from services.catalog.models import BYTES, KINDS, READERS
from shared.kernel.amounts import bytes_said
from shared.kernel.errors import Invalid, NoCapacity, did_you_mean
from shared.kernel.secrets import is_reference, is_secret_name
from shared.query.values import is_clean, storable

COSTS = ("per_gib_out", "per_gib_in", "per_gib_month", "per_request", "latency_ms", "mib_per_s")
LARGEST = 2**62
# Options of a client, which may be one alone: {"secret": …} here is an option and no reference.
GROUPS = ("storage_options", "client_kwargs", "config_kwargs")
DEPTH = 32
SOURCE_TAGS_BYTES = 64 * 1024
DATA_TAGS_BYTES = 1024 * 1024
TAG_VALUES = 10_000
PATH_CHARS = 4096
# In bytes: what an index row of PostgreSQL takes.
NAME_BYTES = 2000


def refused(pointer: str, detail: str, next_step: str = "", code: str = "parameter.invalid") -> Invalid:
    """The refusal of one value."""
    return Invalid(code, detail, next_step=next_step, errors=[{"pointer": pointer, "detail": detail}])


def check_source(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that a user may give any source: ``capacity, used, cost, tags, location``.

    Raises:
        Invalid: ``parameter.invalid``, an unknown member or a value that cannot be used; with its pointer.
    """
    location = parameters.get("location")
    if location is not None and (len(location) > 200 or not location.strip() or not is_clean(location)):
        raise refused("/location", "A location is a text of 1 to 200 characters without NUL.")
    return {
        "capacity": check_capacity(parameters.get("capacity") or {}), "used": dict.fromkeys(KINDS, 0),
        "cost": check_cost(parameters.get("cost") or {}),
        "tags": check_tags(parameters.get("tags") or {}, SOURCE_TAGS_BYTES), "location": location,
    }


def check_capacity(given: Mapping[str, Any]) -> dict[str, int | None]:
    """``{"bytes", "readers"}``; None, or not given, is unlimited."""
    _check_names(given, KINDS, "/capacity")
    for kind, value in given.items():
        whole = isinstance(value, (int, float)) and not isinstance(value, bool) and value == value and value == value // 1
        if value is not None and not (whole and 0 <= value <= LARGEST):
            raise refused(f"/capacity/{kind}", f"capacity.{kind} is a whole number from 0, or null for unlimited.",
                          f"Write for example {{\"{kind}\": 100}}.")
    return {kind: None if given.get(kind) is None else int(given[kind]) for kind in (BYTES, READERS)}


def marks(source: Mapping[str, Any], settings: Any) -> tuple[float, float]:
    """Above which part of its bytes a target is freed, and down to which: its own ``parameters.reap``, else the settings."""
    own = (source["parameters"] or {}).get("reap") or {}
    high = own.get("high", settings.high)
    return high, min(high, own.get("low", settings.low))


def check_cost(given: Mapping[str, Any]) -> dict[str, float]:
    """Known figures, each a number from 0."""
    _check_names(given, COSTS, "/cost")
    for name, value in given.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not (number and 0 <= value <= 1e15):
            raise refused(f"/cost/{name}", f"cost.{name} is a number from 0.")
    return dict(given)


def check_tags(given: Mapping[str, Any], most_bytes: int = DATA_TAGS_BYTES) -> dict[str, Any]:
    """Tags in the form in which they are kept: JSON that both databases give back as it is.

    Raises:
        Invalid: a NUL or half a surrogate pair in them, nested too deeply, too many, or too long.
    """
    check_text(given, "/tags")
    values = sum(1 for _ in _leaves(given, "/tags", 0))
    if values > TAG_VALUES:
        raise refused("/tags", f"These are {values} tag values; one object has at most {TAG_VALUES}.",
                      "Keep long lists in the data itself.")
    kept = storable(given)
    length = len(orjson.dumps(kept))
    if length > most_bytes:
        raise refused("/tags", f"The tags have {length} bytes as JSON; at most {most_bytes} are kept.")
    return kept


def check_text(given: Any, pointer: str) -> None:
    """Refuse a NUL byte, half a surrogate pair, and what is nested too deeply, wherever it is."""
    for where, key, value in _leaves(given, pointer, 0):
        for text in (key, value):
            if isinstance(text, str) and not is_clean(text):
                raise refused(where, "It holds a NUL byte or half of a surrogate pair.", "Leave the character out.")


def check_secrets(parameters: Mapping[str, Any]) -> None:
    """Refuse a secret that is written out: it would be kept. A reference to one is fine.

    Raises:
        Invalid: ``source.bad_parameters``; the value is in no part of the error.
    """
    for where, key, value in _members(parameters, "/parameters", 0):
        if is_secret_name(key) and not is_reference(value):
            raise refused(where, f"'{key}' is a secret and cannot be written here.",
                          'Name it instead: "${ENV:NAME}" for an environment variable, or {"secret": "NAME"}.',
                          "source.bad_parameters")
        if isinstance(value, str) and _has_password(value):
            raise refused(where, f"The address in '{key}' holds a password.",
                          "Leave it out, and name the secret in a parameter of its own.", "source.bad_parameters")


def check_path(path: str) -> str:
    """A place within a source: relative, POSIX, without ``.``, ``..`` and empty parts."""
    parts = path.split("/")
    if not path or len(path) > PATH_CHARS or not is_clean(path):
        raise refused("/path", f"A path has 1 to {PATH_CHARS} characters and no NUL.")
    if path.startswith("/") or any(part in ("", ".", "..") for part in parts):
        raise refused("/path", "A path lies within its source: relative, and without '.', '..' or empty parts.",
                      "Write for example scans/b.nii.")
    if len(parts[-1].encode("utf-8", "replace")) > NAME_BYTES:
        raise refused("/path", f"The name at the end of the path has more than {NAME_BYTES} bytes.")
    return path


def name_of(path: str) -> str:
    return posixpath.basename(path)


def no_room(source: Mapping[str, Any], wanted: Mapping[str, int]) -> NoCapacity | None:
    """The refusal when the source has no room for ``{kind: amount}``, or None."""
    for kind, amount in wanted.items():
        capacity = (source["capacity"] or {}).get(kind)
        free = None if capacity is None else capacity - source["used"][kind]
        if free is not None and amount > free:
            there = f"and it never has more than {_figure(kind, capacity)}" if amount > capacity else \
                f"{_figure(kind, max(free, 0))} of {_figure(kind, capacity)} free"
            return NoCapacity(
                "source.no_capacity",
                f"The source '{source['name']}' has no room: {_amount(kind, amount)} {'is' if amount == 1 else 'are'} wanted, {there}.",
                next_step="Ask for less: the source could never hold so much." if amount > capacity
                else "Wait until claims are released, or give the source more capacity.",
                source={"id": source["id"], "name": source["name"]}, kind=kind, wanted=amount, free=max(free, 0),
                **({"never": True} if amount > capacity else {}))
    return None


def _amount(kind: str, amount: int) -> str:
    return bytes_said(amount) if kind == BYTES else f"{amount} reader{'' if amount == 1 else 's'}"


def _figure(kind: str, amount: int) -> str:
    return bytes_said(amount) if kind == BYTES else str(amount)


def kept_for_others(source: Mapping[str, Any], kind: str, amount: int) -> NoCapacity:
    """The refusal where there is room, and it is kept for those who asked before."""
    free = source["capacity"][kind] - source["used"][kind]
    return NoCapacity(
        "source.no_capacity",
        f"The source '{source['name']}' keeps its room for others who came before: {_amount(kind, amount)} wanted, {_figure(kind, free)} free.",
        next_step="Wait in line with wait: true, or ask again later.",
        source={"id": source["id"], "name": source["name"]}, kind=kind, wanted=amount, free=free)


def used_after(source: Mapping[str, Any], amounts: Mapping[str, int]) -> dict[str, int]:
    """What is used when ``{kind: amount}`` is added to it (or, negative, given back)."""
    return {kind: max(0, source["used"][kind] + amounts.get(kind, 0)) for kind in (BYTES, READERS)}


def _check_names(given: Mapping[str, Any], known: Iterable[str], pointer: str) -> None:
    for name in given:
        if name not in known:
            raise refused(f"{pointer}/{name}", f"Unknown member '{name}'.{did_you_mean(name, known)}",
                          f"It takes: {', '.join(known)}.")


def _members(given: Any, pointer: str, depth: int, key: str = "") -> Iterable[tuple[str, str, Any]]:
    """Every value below ``given`` with its pointer and the name it has."""
    if depth > DEPTH:
        raise refused(pointer, f"It is nested more than {DEPTH} deep.")
    pairs = given.items() if isinstance(given, Mapping) else ((key, item) for item in given)
    for at, (name, value) in enumerate(pairs):
        where = f"{pointer}/{name if isinstance(given, Mapping) else at}"
        yield where, str(name), value
        if isinstance(value, (Mapping, list, tuple)) and (name in GROUPS or not is_reference(value)):
            yield from _members(value, where, depth + 1, str(name))


def _leaves(given: Any, pointer: str, depth: int) -> Iterable[tuple[str, str, Any]]:
    for where, key, value in _members(given, pointer, depth):
        yield where, key, None if isinstance(value, (Mapping, list, tuple)) else value


def _has_password(text: str) -> bool:
    before, slashes, rest = text.partition("://")
    user, at, _ = rest.split("/", 1)[0].rpartition("@")
    return bool(slashes and at and ":" in user and not user.split(":", 1)[1].startswith("${"))
