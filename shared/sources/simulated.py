"""The adaptor ``simulated``: a listing with no bytes behind it, to plan and to rehearse with.

Parameters: ``listing``, a mapping from path to ``{type, size, tags{…}, media_type?, checksum?, modified_at?}`` or its YAML text.
"""
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from shared.kernel.errors import Invalid, NotFound
from shared.sources.listing import gather, load_value
from shared.sources.documents import BadDocument, rows_of
from shared.sources.media import media_type
from shared.sources.port import Entry, Problem, SourcePolicy, Stat
from shared.sources.tags import fingerprint, folder_tags

PARAMETERS = ("listing",)
TAKEN = ("type", "size", "media_type", "checksum", "modified_at")


def check(parameters: Mapping[str, Any], policy: SourcePolicy) -> dict[str, Any]:
    """``{"listing": mapping or list}``; broken rows are left for the scan to name."""
    if parameters.get("listing") is None:
        from shared.sources.registry import bad_parameters
        raise bad_parameters("listing", "is missing: a mapping from path to {type, size, tags}")
    listing = load_value(parameters["listing"], "of the simulated source")
    return {"listing": _plain(listing)}


def _plain(value: Any) -> Any:
    """The listing as JSON can hold it; a value that cannot be, stays a word that names it, and its row is refused later.

    A number that JSON cannot hold refuses the listing, with the row that has it; integers beyond 64 bits become real numbers, as in ``clean_tags``.
    """
    import orjson

    from shared.sources.documents import LISTING_BYTES
    from shared.sources.listing import bad_listing

    _bound(value, [8_000_000], 64)
    for where, row in value.items() if isinstance(value, Mapping) else enumerate(value, 1):
        if not _is_finite(row):
            named = f"'{where}'" if isinstance(value, Mapping) else f"row {where}"
            raise bad_listing("of the simulated source", f"{named} has a number that is not finite")
    try:
        text = _written(value)
        plain = orjson.loads(text)
    except (TypeError, ValueError, orjson.JSONEncodeError) as error:
        raise bad_listing("of the simulated source", error) from None
    if len(text) > LISTING_BYTES:
        raise bad_listing("of the simulated source", f"it is larger than {LISTING_BYTES:,} bytes")
    return plain


def _written(value: Any) -> bytes:
    import json

    import orjson

    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z, default=str)
    except TypeError:
        return json.dumps(value, default=str).encode()


def _is_finite(value: Any) -> bool:
    """Whether every number in the value is one that a double can hold."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return abs(value) < 10**300
    if isinstance(value, (Mapping, list)):
        return all(map(_is_finite, value.values() if isinstance(value, Mapping) else value))
    return True


def _bound(value: Any, budget: list[int], depth: int) -> None:
    # Aliases make a small text a huge value; it is counted before it is written out.
    from shared.sources.listing import bad_listing

    budget[0] -= 1
    if budget[0] < 0 or depth < 0:
        raise bad_listing("of the simulated source", "it is too large or too deep when its aliases are written out")
    for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        if isinstance(inner, (Mapping, list)):
            _bound(inner, budget, depth - 1)


def open_source(parameters: Mapping[str, Any], policy: SourcePolicy) -> SimulatedSource:
    return SimulatedSource(parameters)


class SimulatedSource:
    """A listing."""

    has_bytes = False
    writable = deletable = False

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        listing = load_value(parameters.get("listing"), "of the simulated source")
        self._problems: list[Problem] = []
        try:
            self._rows = gather(rows_of(listing), "the listing", TAKEN, self._problems)
        except BadDocument as error:
            from shared.sources.listing import bad_listing
            raise bad_listing("of the simulated source", error) from None

    def scan(self) -> Iterator[Entry | Problem]:
        yield from self._problems
        for path, row in self._rows.items():
            folder, _, name = path.rpartition("/")
            fields = row.fields
            tags = {**folder_tags(folder), **row.tags}
            kind, size = fields.get("type", "file"), fields.get("size")
            media, checksum, modified = fields.get("media_type") or media_type(name), fields.get("checksum"), fields.get("modified_at")
            yield Entry(path, name, kind, size, media, modified, checksum, tags, None,
                        fingerprint(kind, size, media, modified, checksum, tags))

    def stat(self, path: str) -> Stat:
        row = self._rows.get(path)
        if row is None:
            raise NotFound("source.vanished", f"The listing has no '{path}'.", next_step="Scan the source again.")
        return Stat(row.fields.get("size"), row.fields.get("modified_at"), checksum=row.fields.get("checksum"))

    def open(self, path: str, offset: int = 0) -> BinaryIO:
        raise Invalid("source.no_bytes", f"'{path}' lies in a simulated source, which has no bytes.",
                      next_step="Use action leave, or a source of another kind.")

    def locate(self, path: str) -> dict[str, str | None]:
        return {"uri": None, "path": None}

    def close(self) -> None:
        return None
