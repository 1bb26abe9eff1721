"""A folder as one Data: which files make it up, what it weighs, when it changed, and the checksum of its manifest.

The manifest has a line ``<sha256>  <path>`` for each regular file below it, in the order of the bytes of their paths, as
``sha256sum`` writes them; its sha256 is the checksum of the folder. Links, devices, empty folders and what begins with
``.edgemere-`` are no part of it. Everything is opened below the root, never through a link.

A source with folders has, beside what the port says: ``keeps_folder(path)`` (whether a folder there would be one item),
``is_folder(path)`` (whether one is), ``folder_files(path)`` (its files, whether it is one item or not).
"""
from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from shared.kernel.errors import Conflict
from shared.sources.beneath import Root
from shared.sources.paths import COPY_MARK, OWN_PREFIX, from_bytes
from shared.sources.port import Stat

MEDIA_TYPE = "inode/directory"
_OWN = OWN_PREFIX.encode()


@dataclass(slots=True)
class FolderFile:
    """One file of a folder: its path in it, what its source says of it, and its rights."""

    inside: bytes
    stat: Stat
    mode: int = 0o644

    def below(self, folder: str) -> str:
        """Its path in the source."""
        return f"{folder}/{from_bytes(self.inside)}"

    def is_still(self, now: Stat) -> bool:
        """Whether it is what it was. A store says a time more exactly in lists than elsewhere, so where there is an ETag that decides."""
        return now == self.stat if self.stat.etag is None else (now.size, now.etag) == (self.stat.size, self.stat.etag)


def is_folder_error(path: str) -> Conflict:
    """``source.is_folder``: it was to be opened as a file."""
    return Conflict("source.is_folder", f"'{path}' is a folder that is one data; it has no bytes of its own.",
                    next_step="Copy or mount it and open the files in it, or read its archive: edgemere do datainstance content.")


def not_deleted(path: str) -> Conflict:
    """``source.changed``: what was to be deleted after a move is not what was moved, and stays."""
    return Conflict("source.changed", f"'{path}' changed after it was moved and was not deleted.", next_step="Scan the source again.")


def files_of(root: Root, native: bytes) -> list[tuple[bytes, os.stat_result]]:
    """The files below a folder with their paths in it, in the order of the manifest. Raises OSError."""
    return sorted(_below(root, native, b""), key=lambda one: one[0])


def _below(root: Root, native: bytes, inside: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    folder = root.folder(native + b"/" + inside if inside else native)
    with os.scandir(folder.fd) as found:
        for item in found:
            raw = os.fsencode(item.name)
            if raw.startswith(_OWN):
                continue
            path = inside + b"/" + raw if inside else raw
            if item.is_dir(follow_symlinks=False):
                yield from _below(root, native, path)
            elif item.is_file(follow_symlinks=False):
                yield path, item.stat(follow_symlinks=False)


def weight_of(files: Iterable[tuple[bytes, os.stat_result]]) -> tuple[int, int, str]:
    """Bytes, the time of the newest file in nanoseconds, and a word that changes when a file does (by its path, size or time)."""
    size = newest = 0
    seen = hashlib.blake2b(digest_size=16)
    for path, found in files:
        size += found.st_size
        newest = max(newest, found.st_mtime_ns)
        seen.update(b"%b\0%d %d\0" % (path, found.st_size, found.st_mtime_ns))
    return size, newest, seen.hexdigest()


def manifest_checksum(sums: Iterable[tuple[bytes, str]]) -> str:
    """The checksum of a folder of these files, ``(path, "sha256:…")`` in any order."""
    digest = hashlib.sha256()
    for path, checksum in sorted(sums):
        digest.update(b"%b  %b\n" % (checksum.removeprefix("sha256:").encode(), path))
    return "sha256:" + digest.hexdigest()


def is_marked(folder: int, name: bytes) -> bool:
    """Whether the file or folder ``name`` in an open folder carries the mark of a copy that the mover made."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return False
    try:
        os.getxattr(fd, COPY_MARK)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
