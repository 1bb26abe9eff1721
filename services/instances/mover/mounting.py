"""``mount`` and ``unmount``: data under a path of its own, by a link to where it lies on this machine.

What lies elsewhere gets no path: it is read through this server, and the result says so. Touches nothing that a link leads to.
"""
from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from services.instances.mover.looking import look, source_of
from services.instances.mover.target import exists, remove_empty, sync_folders, target_error
from services.instances.mover.work import Work
from shared.hosting.worker_loop import Job
from shared.sources.beneath import Root
from shared.sources.paths import file_uri, openable, to_bytes


def mount(job: Job) -> None:
    """Look at each item as ``verify`` does, and link it where it lies on this machine."""
    with Work(job) as work:
        folders: set[bytes] = set()
        linked: list[tuple[Mapping[str, Any], dict[str, Any]]] = []
        for item in work.items():
            work.attempt(item, lambda item: _mount(work, item, linked, folders))
        if linked:
            sync_folders(work.mounts, folders)
        for item, seen in linked:
            work.ok(item, **seen, via="link")
        work.done()


def unmount(job: Job) -> None:
    """Remove the link of each item; what is not a link stays."""
    with Work(job) as work:
        for item in work.items():
            work.attempt(item, lambda item: work.ok(item, unmounted=_unlink(work.mounts, item["mount_path"])))
        work.done()


def _mount(work: Work, item: Mapping[str, Any], linked: list[tuple[Mapping[str, Any], dict[str, Any]]], folders: set[bytes]) -> None:
    source = source_of(work, item)
    seen, _ = look(work, item)
    if not isinstance(getattr(source, "root", None), Root):
        work.ok(item, **{**seen, "uri": None, "path": None}, via="read_through")
        return
    native = to_bytes(item["mount_path"])
    folder_path, _, name = native.rpartition(b"/")
    destination = source.root.absolute(item["path"])
    try:
        folder = work.mounts.folder(folder_path, create=True)
        try:
            os.symlink(destination, name, dir_fd=folder.fd)
        except FileExistsError:
            if _leads_to(folder.fd, name) != destination:
                raise exists(item["mount_path"]) from None
    except OSError as error:
        raise target_error(error, item["mount_path"]) from None
    folders.add(folder_path)
    here = work.mounts.absolute(item["mount_path"])
    linked.append((item, {**seen, "uri": file_uri(here), "path": openable(here)}))


def _leads_to(folder: int, name: bytes) -> bytes | None:
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError:
        return None


def _unlink(root: Root, path: str) -> bool:
    native = to_bytes(path)
    folder_path, _, name = native.rpartition(b"/")
    try:
        folder = root.folder(folder_path)
    except OSError:
        return False
    found = _leads_to(folder.fd, name) is not None
    if found:
        os.unlink(name, dir_fd=folder.fd)
    root.forget(folder_path)
    remove_empty(root, folder_path)
    return found
