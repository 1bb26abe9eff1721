"""Listings: what a ``datasource.yaml|json|csv|parquet`` or an inline mapping says of many items, row by row.

A row that cannot be used is a Problem (``source.bad_row``) that names it; the rest stays. A listing that cannot be parsed
at all is refused whole (``source.bad_listing``).
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.kernel.clock import parse_time, stamp
from shared.kernel.errors import EdgemereError, Invalid
from shared.sources.documents import ROW_LIMIT, BadDocument, csv_rows, parquet_rows, read_bounded, read_yaml, rows_of
from shared.sources.documents import LISTING_BYTES, PARQUET_BYTES
from shared.sources.paths import to_bytes
from shared.sources.port import Problem
from shared.sources.tags import BadTags, described, wrong_type

SUFFIXES = ("yaml", "yml", "json", "csv", "parquet")


@dataclass(slots=True)
class Described:
    """What a listing says of one path: fields (``type, media_type, checksum``, where wanted ``size, modified_at, name``)
    and tags."""

    fields: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, Any] = field(default_factory=dict)


def bad_listing(where: str, why: object) -> Invalid:
    """``source.bad_listing``: nothing of it can be used."""
    return Invalid("source.bad_listing", f"The listing {where} cannot be used: {why}.",
                   next_step="Write a mapping from path to {type, size, tags}, or a table with a column 'path'.",
                   errors=[{"pointer": "/parameters/listing", "detail": str(why)[:300]}])


def load_value(value: Any, where: str) -> Any:
    """An inline listing: a mapping, a list, or YAML text.

    Raises:
        Invalid: ``source.bad_listing``.
    """
    if isinstance(value, str):
        if len(value) > LISTING_BYTES:
            raise bad_listing(where, f"it is larger than {LISTING_BYTES:,} bytes")
        try:
            value = read_yaml(value)
        except BadDocument as error:
            raise bad_listing(where, error) from None
    if not isinstance(value, (Mapping, list)):
        raise bad_listing(where, "it is neither a mapping nor a list of rows")
    return value


def load_file(fd: int, name: str) -> Iterator[tuple[str, Any]]:
    """The rows of a listing file by the ending of its name.

    Raises:
        Invalid: ``source.bad_listing``, possibly only after some rows.
    """
    try:
        suffix = name.rsplit(".", 1)[-1].lower()
        if suffix == "parquet":
            import os
            if os.fstat(fd).st_size > PARQUET_BYTES:
                raise BadDocument(f"it is larger than {PARQUET_BYTES:,} bytes")
            yield from parquet_rows(fd)
        elif suffix == "csv":
            yield from csv_rows(read_bounded(fd, LISTING_BYTES))
        else:
            yield from rows_of(read_yaml(read_bounded(fd, LISTING_BYTES)))
    except BadDocument as error:
        raise bad_listing(f"'{name}'", error) from None


def gather(rows: Iterable[tuple[str, Any]], where: str, taken: tuple[str, ...], problems: list[Problem]) -> dict[str, Described]:
    """The rows by path; what is wrong with a row goes to ``problems`` (at most 10,000 of them).

    Raises:
        Invalid: ``source.bad_listing``: more than a million rows.
    """
    found: dict[str, Described] = {}
    for number, (row_name, row) in enumerate(rows):
        if number >= ROW_LIMIT:
            raise bad_listing(where, f"it has more than {ROW_LIMIT:,} rows")
        try:
            path, described_row = _row(row, taken)
            if path in found:
                raise BadTags("source.bad_row", f"names '{path}', which an earlier row describes")
            found[path] = described_row
        except BadTags as error:
            if len(problems) < 10_000:
                code = error.code if error.code == "source.too_many_tags" else "source.bad_row"
                problems.append(Problem(_safe(row_name), code, _safe(f"{row_name} of {where} {error.detail}")))
    return found


def _row(row: Any, taken: tuple[str, ...]) -> tuple[str, Described]:
    if not isinstance(row, Mapping):
        raise BadTags("source.bad_row", f"is not a mapping but {type(row).__name__}")
    if "" in row:
        raise BadTags("source.bad_row", f"is broken: {row['']}")
    path = row.get("path")
    if not isinstance(path, str):
        raise BadTags("source.bad_row", "has no path that is a text")
    path = path.removeprefix("./")
    try:
        to_bytes(path)
    except EdgemereError as error:
        raise BadTags("source.bad_row", f"is no place in a source: {error.detail}") from None
    rest = {key: value for key, value in row.items() if key != "path"}
    strict = {key: rest[key] for key in ("size", "modified_at") if key in taken and rest.get(key) is not None}
    fields, tags = described({key: value for key, value in rest.items() if key not in ("size", "modified_at") or key not in taken}, taken)
    if "size" in taken and "type" in tags:
        raise BadTags("source.bad_row", wrong_type(tags["type"]))
    return path, Described({**fields, **_strict(strict)}, tags)


def _strict(given: Mapping[str, Any]) -> dict[str, Any]:
    """Sizes and times of things that have no bytes to ask: they must be right."""
    fields: dict[str, Any] = {}
    if "size" in given:
        size = given["size"]
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < 2**62:
            raise BadTags("source.bad_row", f"has a size that is not a number of bytes ({str(size)[:40]})")
        fields["size"] = size
    if "modified_at" in given:
        when = given["modified_at"]
        try:
            fields["modified_at"] = stamp(parse_time(str(when)))
        except ValueError:
            raise BadTags("source.bad_row", f"has a modified_at that is not a time ({str(when)[:40]})") from None
    return fields


def _safe(text: str) -> str:
    return text[:500].replace("\0", "?").encode("utf-8", "backslashreplace").decode()
