"""The file that a large copy is while it has its temporary name; a later attempt under its key finds it again."""
from __future__ import annotations

import json
import os
from typing import Any

from services.instances.mover.target import Spot, mark, mark_of, remove_empty
from shared.sources.beneath import Folder
from shared.sources.port import Stat


class Part:
    """The file under its temporary name; ``length`` bytes of it are from before, and ``resumed`` of them are used."""

    def __init__(self, spot: Spot, folder: Folder) -> None:
        self._spot, self._folder = spot, folder
        self.resumed = 0
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self.fd = os.open(spot.part, flags, 0o666, dir_fd=folder.fd)
        try:
            if mark_of(self.fd) != spot.key:
                os.ftruncate(self.fd, 0)
                mark(self.fd, spot.key)
            self.length = os.fstat(self.fd).st_size
        except BaseException:
            self.close(keep=False)
            raise

    def close(self, keep: bool) -> None:
        os.close(self.fd)
        if not keep:
            for name in (self._spot.part, self._spot.part + b".state"):
                try:
                    os.unlink(name, dir_fd=self._folder.fd)
                except FileNotFoundError:
                    pass
            remove_empty(self._spot.root, self._spot.folder_path)

    def write(self, piece: memoryview, at: int) -> None:
        """All of a piece from ``at`` on. Raises OSError."""
        while piece:
            count = os.pwrite(self.fd, piece, at)
            piece, at = piece[count:], at + count

    def cut(self, length: int) -> None:
        """Forget what is beyond ``length``."""
        if self.length > length:
            os.ftruncate(self.fd, length)
            self.length = length

    # A remote source is not read again for what is here already, so its state at the time is kept beside the part.

    def state(self) -> dict[str, Any]:
        try:
            fd = os.open(self._spot.part + b".state", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._folder.fd)
            with os.fdopen(fd, "rb") as stream:
                return json.loads(stream.read(4096))
        except (OSError, ValueError):
            return {}

    def keep_state(self, stat: Stat, synced: int) -> None:
        name = self._spot.part + b".state"
        fd = os.open(name + b"~", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=self._folder.fd)
        with os.fdopen(fd, "wb") as stream:
            stream.write(json.dumps({"etag": stat.etag, "size": stat.size, "synced": synced}).encode())
        os.rename(name + b"~", name, src_dir_fd=self._folder.fd, dst_dir_fd=self._folder.fd)

    def forget_state(self) -> None:
        try:
            os.unlink(self._spot.part + b".state", dir_fd=self._folder.fd)
        except OSError:
            pass
