"""What of the product's own lies in a folder that takes copies: copies, trash and unfinished parts, each with the key in its mark.

Reads only, one folder at a time, never through a link.
"""
from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Any

from shared.sources.beneath import Root
from shared.sources.folders import files_of, is_marked, weight_of
from shared.sources.paths import COPY_MARK, OWN_PREFIX, from_bytes

TRASH = b".edgemere-trash"
_OWN = OWN_PREFIX.encode()


def own_files(root: Root) -> Iterator[dict[str, Any]]:
    """``{"path", "key", "size", "modified_ns", "place"}`` of each; ``place`` is ``copy``, ``trash`` or ``part``; ``key`` may be None for a part."""
    waiting = [b""]
    while waiting:
        folder = waiting.pop()
        try:
            fd = root.folder(folder).fd
            with os.scandir(fd) as found:
                for item in found:
                    raw = os.fsencode(item.name)
                    if item.is_dir(follow_symlinks=False) and is_marked(fd, raw):
                        yield _own_folder(root, fd, folder, raw)
                    elif item.is_dir(follow_symlinks=False):
                        waiting.append(folder + b"/" + raw if folder else raw)
                    elif item.is_file(follow_symlinks=False) and (one := _own(fd, folder, raw)):
                        yield one
        except OSError:
            # The scan of the same folder names what cannot be read.
            continue


def _own_folder(root: Root, folder_fd: int, folder: bytes, name: bytes) -> dict[str, Any]:
    """A folder that is one copy: what is in it is its own."""
    path = folder + b"/" + name if folder else name
    size, newest, _ = weight_of(files_of(root, path))
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder_fd)
    try:
        key = os.getxattr(fd, COPY_MARK).decode("ascii", "replace")
    finally:
        os.close(fd)
    place = "trash" if folder == TRASH else "part" if name.startswith(_OWN) else "copy"
    return {"path": from_bytes(path), "key": key, "size": size, "modified_ns": newest, "place": place}


def _own(folder_fd: int, folder: bytes, name: bytes) -> dict[str, Any] | None:
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder_fd)
    except OSError:
        return None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return None
        try:
            key = os.getxattr(fd, COPY_MARK).decode("ascii", "replace")
        except OSError:
            key = None
    finally:
        os.close(fd)
    place = "trash" if folder == TRASH else "part" if name.startswith(_OWN) else "copy"
    if key is None and place == "copy":
        return None
    return {"path": from_bytes(folder + b"/" + name if folder else name), "key": key, "size": status.st_size,
            "modified_ns": status.st_mtime_ns, "place": place}
