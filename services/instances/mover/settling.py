"""``settle``: the end of a move. The copy becomes the target's own data, then what was copied is deleted at its source.

Done only when the catalogue says that the data is at the target. May be repeated at any point of it.
"""
from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Any

from services.instances.mover.folders import unmark_files
from services.instances.mover.target import Spot, mark_of, target_error
from services.instances.mover.work import Work
from shared.hosting.worker_loop import Job
from shared.kernel.errors import Conflict, EdgemereError, NotFound
from shared.sources.beneath import Root
from shared.sources.paths import COPY_MARK
from shared.sources.port import Stat


def settle(job: Job) -> None:
    """Settle each item; ``seen`` is what its source said of it when it was copied."""
    with Work(job) as work:
        for item in work.items():
            work.attempt(item, lambda item: _settle(work, item))
        work.done()


def _settle(work: Work, item: Mapping[str, Any]) -> None:
    target = work.place(item, "target")
    there = target.stat(item["target_path"])
    if item.get("size") is not None and there.size != item["size"]:
        raise Conflict("checksum_mismatch", f"'{item['target_path']}' has {there.size} bytes at the target, {item['size']} were moved; "
                       "nothing was deleted at the source.", next_step="Look at who writes at the target.")
    if isinstance(getattr(target, "root", None), Root):
        _take_over(Spot(target, item["key"], item["target_path"]), item["target_path"])
    try:
        source = work.place(item, "source")
        if not getattr(source, "deletable", False):
            raise Conflict("source.not_deletable", "Nothing may be deleted at the source.",
                           next_step="Give it the parameter deletable: true, or ask for a copy.")
        deleted = source.delete(item["path"], Stat(**(item.get("seen") or {"size": item.get("size")})))
    except NotFound:
        deleted = True
    except EdgemereError as error:
        if error.retryable:
            raise
        # The data is where the catalogue says; what stays behind is said, and found by the next scan as data of its own.
        work.ok(item, deleted=False, kept={"code": error.code, "detail": error.detail})
        return
    work.ok(item, deleted=deleted, kept=None)


def _take_over(spot: Spot, item_path: str) -> None:
    """Remove the mark of the copy, so that a scan sees the file as the source's own."""
    try:
        folder = spot.folder()
        fd = os.open(spot.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder.fd)
        try:
            if mark_of(fd) == spot.key:
                if stat.S_ISDIR(os.fstat(fd).st_mode):
                    unmark_files(spot.root, item_path)
                os.removexattr(fd, COPY_MARK)
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise target_error(error, spot.shown()) from None
