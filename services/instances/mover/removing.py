"""``discard``, ``restore`` and ``purge``: copies into the trash of their target, back, and away for good.

Each touches only files with the mark of its key, and finds nothing to do the second time.
"""
from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Mapping
from typing import Any

from services.instances.mover import store
from services.instances.mover.folders import hash_folder, remove_tree
from services.instances.mover.looking import same_checksum
from services.instances.mover.target import TRASH, Spot, exists, remove_empty, rename_new, sync_folders, target_error
from services.instances.mover.work import Work
from shared.hosting.worker_loop import Job
from shared.kernel.errors import NotFound
from shared.sources.beneath import Folder, Root


def discard(job: Job) -> None:
    """Take each copy off its path, at once, into the trash; the renames are forced to the device together."""
    with Work(job) as work:
        moved: list[tuple[Mapping[str, Any], Spot]] = []
        for item in work.items():
            work.attempt(item, lambda item: _guarded(work, item, lambda work, item, spot: _discard(work, item, spot, moved), store.discard))
        folders: dict[Root, set[bytes]] = {}
        for _, spot in moved:
            folders.setdefault(spot.root, {TRASH}).add(spot.folder_path)
        for root, paths in folders.items():
            sync_folders(root, paths)
            for path in paths - {TRASH}:
                remove_empty(root, path)
        for item, _ in moved:
            work.ok(item, trashed=True, foreign=False)
        work.done()


def restore(job: Job) -> None:
    """Put each copy back and verify it."""
    _each(job, _restore, store.restore)


def purge(job: Job) -> None:
    """Remove whatever is left of each copy: in the trash, in the making, at its path."""
    _each(job, _purge, store.purge)


def _each(job: Job, do: Any, in_store: Any) -> None:
    with Work(job) as work:
        for item in work.items():
            work.attempt(item, lambda item: _guarded(work, item, do, in_store))
        work.done()


def _guarded(work: Work, item: Mapping[str, Any], do: Any, in_store: Any) -> None:
    if getattr(place := work.place(item, "target"), "is_s3", False):
        in_store(work, item, place)
        return
    spot = Spot(work.place(item, "target"), item["key"], item["target_path"])
    try:
        do(work, item, spot)
    except OSError as error:
        raise target_error(error, spot.shown()) from None


def _folder(spot: Spot, native: bytes) -> Folder | None:
    try:
        return spot.root.folder(native)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise


def _discard(work: Work, item: Mapping[str, Any], spot: Spot, moved: list[tuple[Mapping[str, Any], Spot]]) -> None:
    folder = _folder(spot, spot.folder_path)
    ours = spot.is_ours(folder, spot.name) if folder else None
    if folder is None or ours is None:
        work.ok(item, trashed=False, foreign=False)
        return
    if not ours:
        work.ok(item, trashed=False, foreign=True)
        return
    trash = spot.root.folder(TRASH, create=True)
    # An older copy under the key in the trash gives way: same key, same data.
    if stat.S_ISDIR(os.stat(spot.name, dir_fd=folder.fd, follow_symlinks=False).st_mode):
        remove_tree(spot.root, trash, spot.key)
    os.rename(spot.name, spot.key, src_dir_fd=folder.fd, dst_dir_fd=trash.fd)
    moved.append((item, spot))


def _restore(work: Work, item: Mapping[str, Any], spot: Spot) -> None:
    folder = spot.folder(create=True)
    trash = _folder(spot, TRASH)
    trashed = spot.is_ours(trash, spot.key) if trash else None
    if trash and trashed:
        try:
            rename_new(trash.fd, spot.key, folder.fd, spot.name)
        except FileExistsError:
            raise exists(spot.shown()) from None
        os.fsync(folder.fd)
        os.fsync(trash.fd)
        remove_empty(spot.root, TRASH)
    elif not spot.is_ours(folder, spot.name):
        remove_empty(spot.root, spot.folder_path)
        raise NotFound("target.trash_empty", f"There is nothing in the trash to restore '{spot.shown()}' from.",
                       next_step="Ask for the data again.")
    fd = os.open(spot.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder.fd)
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        os.close(fd)
        size, checksum = hash_folder(work, item, work.place(item, "target"), item["target_path"])
        _restored(work, item, spot, size, checksum)
        return
    with os.fdopen(fd, "rb", buffering=0) as stream:
        digest, size = hashlib.sha256(), 0
        while piece := stream.read(1 << 20):
            digest.update(piece)
            size += len(piece)
            work.check()
            work.progress(item["key"], size, None, "verifying")
    _restored(work, item, spot, size, "sha256:" + digest.hexdigest())


def _restored(work: Work, item: Mapping[str, Any], spot: Spot, size: int, checksum: str) -> None:
    same_checksum({**item, "path": spot.shown()}, checksum)
    place = work.place(item, "target").locate(item["target_path"])
    work.ok(item, moved=size, **place, size=size, checksum=checksum, verified="checksum")


def _purge(work: Work, item: Mapping[str, Any], spot: Spot) -> None:
    purged = False
    folder, trash = _folder(spot, spot.folder_path), _folder(spot, TRASH)
    for opened, name in ((trash, spot.key), (folder, spot.part), (folder, spot.part + b".state"), (folder, spot.name)):
        if opened is None:
            continue
        own_name = name in (spot.part, spot.part + b".state")
        if own_name or spot.is_ours(opened, name):
            try:
                os.unlink(name, dir_fd=opened.fd)
                purged = True
            except FileNotFoundError:
                pass
            except IsADirectoryError:
                purged = remove_tree(spot.root, opened, name)
    if folder is not None:
        remove_empty(spot.root, spot.folder_path)
    if trash is not None:
        remove_empty(spot.root, TRASH)
    work.ok(item, purged=purged)
