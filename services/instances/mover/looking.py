"""``verify``: is what the catalogue says still there, and readable. Writes nothing."""
from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from services.instances.mover.inspecting import in_place
from services.instances.mover.work import Work
from shared.hosting.worker_loop import Job
from shared.kernel.errors import Conflict, EdgemereError
from shared.sources.beneath import source_error
from shared.sources.port import Source, Stat

CHUNK = 1 << 20


def verify(job: Job) -> None:
    """Look at each item where it lies."""
    with Work(job) as work:
        for item in work.items():
            work.attempt(item, lambda item: _verify(work, item))
        work.done()


def _verify(work: Work, item: Mapping[str, Any]) -> None:
    seen, moved, _ = look(work, item)
    work.ok(item, moved=moved, **seen)


def look(work: Work, item: Mapping[str, Any]) -> tuple[dict[str, Any], int, Stat]:
    """What is at the item's place, as a result says it; how many bytes were read for that; what its source says of it.

    Raises:
        EdgemereError: it is not there, cannot be read, or is not what the catalogue says.
    """
    from services.instances.mover.folders import hash_folder, is_folder

    source: Any = work.place(item, "source")
    path = item["path"]
    if not source.has_bytes:
        found = source.stat(path)
        as_known(item, found)
        return {"uri": None, "path": None, "size": found.size, "checksum": found.checksum, "verified": "simulated"}, 0, found
    checksum = item.get("checksum")
    if is_folder(work, item):
        found = source.stat(path)
        as_known(item, found)
        if checksum or work.inspects_in_place:
            same_checksum(item, hash_folder(work, item, source, path, stays=True)[1])
    elif not checksum and not work.inspects_in_place and source.locate(path)["path"] is None and hasattr(source, "reachable"):
        found = source.reachable(path)
    else:
        with source.open(path) as stream:
            found = stream.stat
            as_known(item, found)
            if checksum or work.inspects_in_place:
                _hash(work, item, stream, found)
            elif found.size:
                read(stream, 1, path)
    as_known(item, found)
    seen = {**source.locate(path), "size": found.size, "checksum": checksum, "verified": "checksum" if checksum else "size_mtime"}
    return seen, (found.size or 0) if checksum else 0, found


def _hash(work: Work, item: Mapping[str, Any], stream: Any, found: Stat) -> None:
    digest, done = hashlib.sha256(), 0
    with in_place(work, item, found.size) as looks:
        while piece := read(stream, CHUNK, item["path"]):
            digest.update(piece)
            looks.feed(piece)
            done += len(piece)
            work.check()
            work.progress(item["key"], done, found.size, "verifying")
        checksum = "sha256:" + digest.hexdigest()
        same_checksum(item, checksum)
        looks.end(checksum)


def read(stream: Any, count: int, path: str) -> bytes:
    """The next bytes of a source's stream. Raises ``source.unreadable``."""
    try:
        return stream.read(count)
    except EdgemereError:
        raise
    except OSError as error:
        raise source_error(error, path) from None


def as_known(item: Mapping[str, Any], found: Stat) -> None:
    """
    Raises:
        Conflict: ``source.changed``: size or time is not what the catalogue says.
    """
    for field, word in (("size", "bytes"), ("modified_at", "as its time")):
        known, now = item.get(field), getattr(found, field)
        if known is not None and now is not None and known != now:
            raise Conflict("source.changed", f"'{item['path']}' has {now} {word}, the catalogue says {known}.",
                           next_step="Scan the source again.")


def same_checksum(item: Mapping[str, Any], checksum: str) -> None:
    """
    Raises:
        Conflict: ``checksum_mismatch``.
    """
    known = item.get("checksum")
    if known and known != checksum:
        raise Conflict("checksum_mismatch", f"'{item['path']}' has {checksum}, the catalogue says {known}.",
                       next_step="Scan the source again, or look at what changed the bytes without changing size and time.")


def source_of(work: Work, item: Mapping[str, Any]) -> Source:
    """The item's source, if it has bytes. Raises Invalid ``source.no_bytes``."""
    source = work.place(item, "source")
    if not source.has_bytes:
        source.open(item["path"])
    return source
