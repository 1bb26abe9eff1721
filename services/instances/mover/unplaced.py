"""A small copy before it has its name, and the way from folder to folder that it shares with others."""
from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from services.instances.mover.looking import source_of
from services.instances.mover.target import Spot, name_unnamed, open_unnamed, part_name, remove_empty, rename_new
from services.instances.mover.work import Work
from shared.sources.beneath import Folder, source_error
from shared.sources.file import FileSource
from shared.sources.paths import to_bytes

_CREATE = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class Way:
    """From one folder to another, which stay open: most items of a batch share it. Source and target may be on this machine or not."""

    __slots__ = ("source", "source_folder", "target", "root", "folder_path", "folder")

    def __init__(self, work: Work, item: Mapping[str, Any]) -> None:
        """
        Raises:
            EdgemereError: a place cannot be opened, or takes no copies.
            OSError: of the target's folder, which is made.
        """
        self.source = source_of(work, item)
        self.target = work.place(item, "target")
        spot = Spot(self.target, item["key"], item["target_path"])
        self.root, self.folder_path, self.folder = spot.root, spot.folder_path, spot.folder(create=True)
        self.source_folder: Folder | None = None
        if isinstance(self.source, FileSource):
            try:
                self.source_folder = self.source.root.folder(to_bytes(item["path"]).rpartition(b"/")[0])
            except OSError as error:
                raise source_error(error, item["path"]) from None

    def again(self) -> None:
        """Make the target's folder anew: it was empty, and somebody who removed the last copy in it took it away meanwhile."""
        self.root.forget(self.folder_path)
        self.folder = self.root.folder(self.folder_path, create=True)


class Copy:
    """A copy before it has its name: an open file without any (``fd``), or one under the temporary name ``part``."""

    __slots__ = ("item", "way", "fd", "part", "name", "size", "checksum")

    def __init__(self, item: Mapping[str, Any], way: Way, name: bytes, size: int, checksum: str) -> None:
        self.item, self.way, self.name, self.size, self.checksum = item, way, name, size, checksum
        self.fd: int | None = None
        self.part: bytes | None = None

    def open(self, key: bytes) -> int:
        """A new file for it. Raises OSError."""
        self.fd = open_unnamed(self.way.folder.fd)
        if self.fd is not None:
            return self.fd
        self.part = part_name(key)
        try:
            return os.open(self.part, _CREATE, 0o666, dir_fd=self.way.folder.fd)
        except FileNotFoundError:
            self.way.again()
            return os.open(self.part, _CREATE, 0o666, dir_fd=self.way.folder.fd)

    def place(self) -> None:
        """Give it its name. Raises OSError; FileExistsError where that is taken."""
        if self.part is not None:
            rename_new(self.way.folder.fd, self.part, self.way.folder.fd, self.name)
            return
        try:
            name_unnamed(self.fd, self.way.folder.fd, self.name)
        except FileNotFoundError:
            self.way.again()
            name_unnamed(self.fd, self.way.folder.fd, self.name)
        self.close()

    def remove(self, placed: bool = False) -> None:
        """Leave nothing of it. Raises OSError."""
        self.close()
        name = self.name if placed else self.part
        try:
            if name is not None:
                os.unlink(name, dir_fd=self.way.folder.fd)
        finally:
            remove_empty(self.way.root, self.way.folder_path)

    def close(self) -> None:
        """Let go of the file; what has no name is gone then."""
        fd, self.fd = self.fd, None
        if fd is not None:
            os.close(fd)
