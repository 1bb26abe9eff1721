"""What is mounted, on disk: a description for each thing, written whole or not at all, for its owner's eyes only. Knows no FUSE.

A description::

    {"key", "name", "source": id of the source, "adaptor", "parameters" (secrets by name), "path", "kind": "file" | "dir",
     "stat": Stat of what was mounted, "mount_path": where the link to it is}
"""
from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

_ID = re.compile(r"^[0-9a-f]{32}$")
_SUFFIX = ".json"
Description = dict[str, Any]
Edition = tuple[int, int]


def id_of(key: str) -> str:
    """The name under which the entry with this key stands."""
    return hashlib.blake2b(key.encode(), digest_size=16).hexdigest()


class Table:
    """The descriptions below ``<folder>/table``, and where what they describe appears."""

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)
        self.mount_point = self.folder / "mounted"
        self.lock = self.folder / "lock"
        self._rows = self.folder / "table"

    def make(self) -> None:
        """Make the folders; the mount point may be a mount that nobody serves. Raises OSError."""
        self._rows.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self.mount_point.mkdir(mode=0o700)
        except FileExistsError:
            pass

    def place_of(self, described: Description) -> Path:
        """The absolute path at which it appears."""
        return self.mount_point / id_of(described["key"]) / described["name"]

    def write(self, described: Description) -> bool:
        """Write one; ``settle`` forces it to the device. False where the very same stood there already. Raises OSError."""
        path, body = self._path(id_of(described["key"])), orjson.dumps(described, option=orjson.OPT_SORT_KEYS)
        try:
            if path.read_bytes() == body:
                return False
        except FileNotFoundError:
            pass
        new = path.with_suffix(".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as out:
            out.write(body)
            out.flush()
            os.fsync(out.fileno())
        os.replace(new, path)
        return True

    def remove(self, key: str) -> bool:
        """Take one away; whether there was one. Raises OSError."""
        try:
            self._path(id_of(key)).unlink()
        except FileNotFoundError:
            return False
        return True

    def settle(self) -> None:
        """Force what was written and removed to the device. Raises OSError."""
        fd = os.open(self._rows, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def read(self, entry: str) -> tuple[Description, Edition] | None:
        """The description of this id, and its edition, which changes with it; None where there is none."""
        if not _ID.match(entry):
            return None
        try:
            with open(self._path(entry), "rb") as file:
                return orjson.loads(file.read()), _edition(os.fstat(file.fileno()))
        except (OSError, orjson.JSONDecodeError):
            return None

    def edition(self, entry: str) -> Edition | None:
        """As ``read`` gives it, without the description."""
        try:
            return _edition(os.stat(self._path(entry)))
        except OSError:
            return None

    def ids(self) -> Iterator[str]:
        """Every id, in no promised order."""
        try:
            with os.scandir(self._rows) as found:
                for item in found:
                    if item.name.endswith(_SUFFIX) and _ID.match(item.name.removesuffix(_SUFFIX)):
                        yield item.name.removesuffix(_SUFFIX)
        except FileNotFoundError:
            return

    def is_empty(self) -> bool:
        return next(self.ids(), None) is None

    def _path(self, entry: str) -> Path:
        return self._rows / (entry + _SUFFIX)


def _edition(status: os.stat_result) -> Edition:
    return status.st_ino, status.st_mtime_ns


def is_mounted(place: str | os.PathLike) -> bool:
    """Whether the kernel has a mount there, served or not. Asks the kernel's list, because a mount itself may not answer."""
    wanted = os.fsencode(os.path.realpath(Path(place).parent) + "/" + Path(place).name)
    with open("/proc/self/mountinfo", "rb") as lines:
        return any(_plain(line.split(b" ")[4]) == wanted for line in lines)


def _plain(path: bytes) -> bytes:
    """A path as the kernel's list has it, with its spaces and backslashes back."""
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found.group(1), 8)]), path)
