"""Reading what people write beside their data: YAML, JSON, CSV and Parquet, with bounds on everything.

YAML is safe-loaded, with a bound on its aliases ("billion laughs" is refused before it is built), and a key
written twice is an error, not a silent choice. Words are YAML 1.2's, as people mean them: ``1e-3`` is a number, ``007``,
``12:30`` and ``no`` are texts. Knows nothing of what the documents mean.
"""
from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from shared.kernel.numbers import finite, no_constant

ALIAS_LIMIT = 32
LISTING_BYTES = 64 * 1024 * 1024
PARQUET_BYTES = 512 * 1024 * 1024
ROW_LIMIT = 1_000_000
SIDECAR_BYTES = 1024 * 1024

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class BadDocument(ValueError):
    """A document that cannot be read; the text says where and why."""


class _Loader(_Base):
    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if (key.tag, key.value) in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"'{key.value[:80]}' is written twice", key.start_mark)
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


def _read_words_as_people_mean_them(loader: Any) -> None:
    # YAML 1.1 takes 010 for eight, 12:30 for 750, the country "no" for false, and 1e-3 for a text.
    integer, real, boolean = (f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool"))
    loader.yaml_implicit_resolvers = {first: [(tag, form) for tag, form in forms if tag not in (integer, real, boolean)]
                                      for first, forms in loader.yaml_implicit_resolvers.items()}
    whole, digits = r"(?:0|[1-9][0-9_]*)", list("-+0123456789")
    loader.add_implicit_resolver(boolean, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
    loader.add_implicit_resolver(integer, re.compile(rf"^[-+]?(?:{whole}|0x[0-9a-fA-F_]+|0b[01_]+)$"), digits)
    loader.add_implicit_resolver(real, re.compile(
        rf"^(?:[-+]?(?:{whole}\.[0-9_]*|\.[0-9][0-9_]*|{whole}(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"), [*digits, "."])


_read_words_as_people_mean_them(_Loader)


def read_yaml(text: str | bytes) -> Any:
    """The value of a YAML (or JSON) text.

    Raises:
        BadDocument: with line and column.
    """
    try:
        stripped = text.lstrip()[:1]
        if stripped in ("{", "[", b"{", b"["):
            try:
                return json.loads(text, object_pairs_hook=_once, parse_constant=no_constant, parse_float=finite)
            except BadDocument:
                raise
            except ValueError:
                pass  # YAML's own flow style, or a mistake that YAML's message describes as well.
        _check_aliases(text)
        return yaml.load(text, _Loader)  # noqa: S506 - it is the safe loader, made stricter
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise BadDocument(f"{where}{error.problem or error.context}") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError, OverflowError) as error:
        raise BadDocument(str(error).splitlines()[0][:200] if str(error) else "it is nested too deeply") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        double = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise BadDocument(f"'{double[:80]}' is written twice")
    return found


def _check_aliases(text: str | bytes) -> None:
    # Aliases under merge keys grow while the value is built, so they are counted before; without '*' there are none.
    # Nesting is bounded by libyaml itself (1,000); the tags made of it are bounded again by ``tags.py``.
    star, anchor = ("*", "&") if isinstance(text, str) else (b"*", b"&")
    if star not in text or anchor not in text:
        return
    aliases = sum(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, _Base))
    if aliases > ALIAS_LIMIT:
        raise BadDocument(f"it has more than {ALIAS_LIMIT} aliases")


def rows_of(value: Any) -> Iterator[tuple[str, Any]]:
    """``(where, row)`` of a listing: a mapping from path to description, or a list of rows that hold their path."""
    if isinstance(value, Mapping):
        for key, row in value.items():
            yield f"'{key}'", row if not isinstance(row, Mapping) else {**row, "path": key}
    elif isinstance(value, list):
        for number, row in enumerate(value):
            yield f"row {number + 1}", row
    elif value is not None:
        raise BadDocument(f"it holds {type(value).__name__}, where a mapping from path to description is expected")


def csv_rows(text: bytes, needed: str = "path") -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a CSV with a header that names the column ``needed``; an empty cell is no tag, nor is a column without a name.

    Raises:
        BadDocument: not UTF-8, no such column or one named twice, or a cell beyond the reader's bounds.
    """
    from shared.sources.tags import plain_value

    try:
        reader = csv.reader(io.StringIO(text.decode("utf-8-sig"), newline=""), strict=True)
        header = [name.strip() for name in next(reader, [])]
        if needed not in header:
            raise BadDocument(f"its header has no column '{needed}', but {', '.join(header[:10]) or 'nothing'}")
        double = next((name for place, name in enumerate(header) if name and name in header[:place]), None)
        if double is not None:
            raise BadDocument(f"its header names the column '{double[:80]}' twice")
        for cells in reader:
            if not cells:
                continue
            where = f"line {reader.line_num}"
            if len(cells) != len(header):
                yield where, {"": f"it has {len(cells)} cells where the header has {len(header)}"}
                continue
            row = {name: cell if name == needed else plain_value(cell) for name, cell in zip(header, cells) if name and cell != ""}
            yield where, row
    except UnicodeDecodeError as error:
        raise BadDocument(f"byte {error.start} is not UTF-8") from None
    except csv.Error as error:
        raise BadDocument(f"line {reader.line_num}: {error}") from None


def parquet_rows(fd: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of the Parquet file behind a descriptor; it needs a column ``path``. Reads it a few thousand rows at a time.

    A cell that is null or NaN, which is how data frames write what is missing, is no tag.

    Raises:
        BadDocument: it is not Parquet, or has no such column.
    """
    import duckdb

    # By descriptor: the name could hold characters that mean a pattern, and could be another file by now.
    name = f"/proc/self/fd/{fd}"
    with duckdb.connect(config={"threads": 1, "memory_limit": "256MB", "autoinstall_known_extensions": False}) as engine:
        try:
            engine.execute("SELECT * FROM read_parquet(?)", [name])
            header = [column[0] for column in engine.description]
            if "path" not in header:
                raise BadDocument(f"it has no column 'path', but {', '.join(header[:10])}")
            number = 0
            while rows := engine.fetchmany(2_000):
                for cells in rows:
                    number += 1
                    yield f"row {number}", {name: cell for name, cell in zip(header, cells) if cell is not None and cell == cell}
        except (duckdb.Error, RuntimeError) as error:
            # The latter is how its Python side says that a name or value is no text behind a zero byte.
            raise BadDocument(str(error).splitlines()[0][:200]) from None


def read_bounded(fd: int, limit: int) -> bytes:
    """Everything behind a descriptor, which stays open.

    Raises:
        BadDocument: it holds more than ``limit`` bytes.
    """
    pieces, left = [], limit + 1
    while left > 0 and (piece := os.read(fd, min(left, 1 << 20))):
        pieces.append(piece)
        left -= len(piece)
    if left <= 0:
        raise BadDocument(f"it is larger than {limit:,} bytes")
    return b"".join(pieces)
