"""What of the product's own lies in a store that takes copies and is no copy: uploads that were begun and not ended, by their notes.

Reads only. What a note says is written by the mover (``services.instances.mover.uploads``).
"""
from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from shared.kernel.clock import parse_time, stamp
from shared.kernel.errors import NotFound
from shared.sources.paths import OWN_PREFIX, from_bytes

UPLOAD_NOTE = ".upload"
NOTE_BYTES = 1 << 16


def _notes(source: Any, path: str) -> Iterator[tuple[str, Any]]:
    before = path + "/" if path else ""
    for name, stat in source.listed(path):
        last = name.rpartition("/")[2]
        if last.startswith(OWN_PREFIX) and last.endswith(UPLOAD_NOTE):
            yield before + from_bytes(name.encode("utf-8", "surrogateescape")), stat


def upload_notes(source: Any, path: str) -> list[str]:
    """The notes of uploads below a path of a store. Raises EdgemereError."""
    return [note for note, _ in _notes(source, path)]


def own_objects(source: Any) -> Iterator[dict[str, Any]]:
    """``{"path", "key", "size", "modified_ns", "place": "part"}`` of each; ``key`` is None where a note does not say it."""
    told: set[tuple[str | None, str]] = set()
    for note, stat in _notes(source, ""):
        try:
            said = json.loads(source.read_piece(note, 0, NOTE_BYTES))
            whose = (said.get("key"), said.get("path") or note)
        except (ValueError, AttributeError, NotFound):
            continue
        # A folder may have several under way; it is ended as one.
        if whose not in told:
            told.add(whose)
            yield {"path": whose[1], "key": whose[0], "size": stat.size, "place": "part",
                   "modified_ns": int(parse_time(stat.modified_at or stamp()).timestamp() * 1e9)}
