"""``copy``: sorts the items into small ones, which go in batches, and large ones, which go one by one."""
from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from services.instances.mover.looking import as_known, source_of
from services.instances.mover.target import Spot, exists
from services.instances.mover.work import Work
from shared.hosting.worker_loop import Job
from shared.kernel.errors import Conflict, EdgemereError
from shared.sources.port import Source, Stat

LARGE = 1 << 20
PASSING = ("source.unreadable", "source.unreachable", "source.throttled", "source.timeout", "target.throttled", "target.timeout",
           "scanner.unavailable")
# Copies into a store at a time: small ones, of which each is one request that waits, and those that have several under way themselves.
STORED_SMALL, STORED = 8, 4


def copy(job: Job) -> None:
    """Copy every item, small ones first: what is quick is ready soon."""
    from services.instances.mover.folders import copy_folder
    from services.instances.mover.large import copy_large
    from services.instances.mover.small import copy_small

    with Work(job) as work:
        small, large, stored, folders = [], [], [], []
        for item in work.items():
            if _is_folder(work, item):
                folders.append(item)
                continue
            if _goes_to_store(work, item):
                stored.append(item)
                continue
            size = _expected_size(work, item)
            if size is not None:
                (large if size >= LARGE else small).append(item)
        copy_small(work, small)
        _store(work, stored)
        for item in large:
            work.attempt(item, lambda item: _one(work, item, copy_large))
        for item in folders:
            work.attempt(item, lambda item: _one(work, item, copy_folder))
        work.done()


def _is_folder(work: Work, item: Mapping[str, Any]) -> bool:
    from services.instances.mover.folders import is_folder

    try:
        return is_folder(work, item)
    except Exception:
        return False  # What cannot be opened fails as whatever it was taken for.


def _goes_to_store(work: Work, item: Mapping[str, Any]) -> bool:
    try:
        return getattr(work.place(item, "target"), "is_s3", False)
    except Exception:
        return False


def _store(work: Work, items: Sequence[Mapping[str, Any]]) -> None:
    """Copies into object stores, several at a time: each waits for its store most of the time."""
    if not items:
        return
    from services.instances.mover.store import copy_to_store

    small = [item for item in items if isinstance(item.get("size"), int) and item["size"] < LARGE]
    others = [item for item in items if not (isinstance(item.get("size"), int) and item["size"] < LARGE)]
    for some, width in ((small, STORED_SMALL), (others, STORED)):
        if some:
            with ThreadPoolExecutor(width, thread_name_prefix="store") as pool:
                list(pool.map(lambda item: work.attempt(item, lambda item: _one(work, item, copy_to_store)), some))


def _one(work: Work, item: Mapping[str, Any], do: Callable[[Work, Mapping[str, Any]], None]) -> None:
    with work.transfer(item):
        do(work, item)


def _expected_size(work: Work, item: Mapping[str, Any]) -> int | None:
    """The size by which an item is sorted; None when it already failed. One whose size nobody knows is large."""
    if isinstance(item.get("size"), int):
        return item["size"]
    try:
        work.check()
        size = source_of(work, item).stat(item["path"]).size
        return LARGE if size is None else size
    except Exception as error:
        work.failed(item, error)
        return None


def unchanged(source: Source, path: str, before: Stat) -> None:
    """
    Raises:
        NotFound: ``source.vanished``, while it was copied.
        Conflict: ``source.changed_during_copy``; another attempt can help.
    """
    now = source.stat(path)
    if now != before:
        raise changed(path)


def changed(path: str) -> Conflict:
    """``source.changed_during_copy``."""
    error = Conflict("source.changed_during_copy", f"'{path}' changed while it was copied; the copy was thrown away.",
                     next_step="Scan the source again when nobody writes to it.")
    error.retryable = True
    return error


def finish(work: Work, item: Mapping[str, Any], size: int, checksum: str, moved: int, **more: Any) -> None:
    """The result of a copy that is in its place."""
    target = work.place(item, "target")
    if item.get("moves"):
        # What the target's next scan will find, so that it finds nothing changed; and what may be deleted afterwards.
        seen = source_of(work, item).stat(item["path"])
        as_known(item, seen)
        more |= {"fingerprint": target.fingerprint(item["target_path"]), "modified_at": target.stat(item["target_path"]).modified_at,
                 "seen": asdict(seen)}
    work.ok(item, moved=moved, **target.locate(item["target_path"]), size=size, checksum=checksum, verified="checksum", **more)


def keeps_time(item: Mapping[str, Any]) -> bool:
    """Whether the copy has the time of its source: moved data, and the files of a folder that is moved."""
    return bool(item.get("moves") or item.get("keeps_time"))


def keep_time(item: Mapping[str, Any], fd: int, before: Stat) -> None:
    """Give moved data the time that it had: its content did not change."""
    if keeps_time(item) and before.modified_ns is not None:
        os.utime(fd, ns=(before.modified_ns, before.modified_ns))


def already_there(work: Work, item: Mapping[str, Any], spot: Spot) -> tuple[int, str] | None:
    """Size and checksum of the copy that an earlier attempt under this key put in place; None where nothing is.

    It is read whole, and compared with the source as it is now.

    Raises:
        Conflict: ``target.exists``: it is not ours, or not what the source holds.
    """
    from services.instances.mover.large import hash_stream

    try:
        folder = spot.folder()
    except FileNotFoundError:
        return None
    if not os.access(spot.name, os.F_OK, dir_fd=folder.fd, follow_symlinks=False):
        return None
    if not spot.is_ours(folder, spot.name):
        raise exists(spot.shown())
    with work.place(item, "target").open(item["target_path"]) as stream:
        checksum, size = hash_stream(work, item, stream, item["target_path"])
    wanted = item.get("checksum")
    if not wanted:
        with source_of(work, item).open(item["path"]) as stream:
            wanted, _ = hash_stream(work, item, stream, item["path"])
    if wanted != checksum:
        raise exists(spot.shown())
    try:
        os.unlink(spot.part, dir_fd=folder.fd)
    except FileNotFoundError:
        pass
    return size, checksum


def is_passing(error: BaseException) -> bool:
    """Whether a part is worth keeping: the source, or the scanner, may answer again."""
    return isinstance(error, EdgemereError) and error.retryable and error.code in PASSING
