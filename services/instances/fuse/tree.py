"""The tree that is mounted: ``/<id>/<name>`` for each description, and below it what its folder holds. Reads only, and shows nothing else.

What it is asked for it looks up in the table; listings of folders are kept while there is room. Knows what a FUSE operation has to answer, and
not the library.
"""
from __future__ import annotations

import errno
import itertools
import logging
import os
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from services.instances.fuse.blocks import READ_S, Cache, File, Reader, meant, silent
from services.instances.fuse.places import Place, Places
from services.instances.fuse.table import Description, Edition, Table
from shared.kernel.clock import parse_time
from shared.kernel.errors import Conflict, EdgemereError
from shared.sources.folders import FolderFile
from shared.sources.object_folders import Weight
from shared.sources.paths import from_bytes
from shared.sources.port import Stat

log = logging.getLogger(__name__)

# The errors by which what was mounted is no longer there; whoever reads has a file that is another by now.
CHANGED = ("source.changed", "source.changed_during_copy", "source.vanished")
FILES_LISTED = 200_000
ENTRIES_KEPT = 10_000
SAID_AGAIN_S = 30.0
# A store lists a thousand objects at a time.
LIST_S = 50.0

Attributes = dict[str, Any]


@dataclass
class Entry:
    """What is mounted under one id: the top of it, and of a folder its files and folders by their paths within."""

    id: str
    edition: Edition
    described: Description
    place: Place
    stat: Stat
    files: dict[str, FolderFile] = field(default_factory=dict)
    folders: dict[str, set[str]] = field(default_factory=dict)

    @property
    def is_folder(self) -> bool:
        return self.described["kind"] == "dir"


class Tree:
    """The answers to what the kernel asks. ``noticed(key, error)`` is told once of each entry that is not what was mounted any more. For several threads."""

    def __init__(self, table: Table, places: Places, noticed: Callable[[str, EdgemereError], None], read_s: float = READ_S) -> None:
        self._table, self._places, self._noticed = table, places, noticed
        self._cache = Cache(read_s)
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._files: dict[tuple[Any, ...], File] = {}
        self._open: dict[int, tuple[Entry, File, Reader]] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._told: set[tuple[str, Edition]] = set()
        self._said: dict[str, float] = {}

    def attributes(self, path: str) -> Attributes:
        """What ``stat`` says. Raises OSError."""
        if path == "/":
            return _folder(time.time())
        entry, inside = self._at(path)
        if inside is None or inside in entry.folders:
            return _folder(_seconds(entry.stat.modified_at))
        found = self._stat(entry, inside)
        return {"st_mode": stat.S_IFREG | 0o444, "st_nlink": 1, "st_size": found.size or 0, **_owner(_seconds(found.modified_at))}

    def names(self, path: str) -> list[str]:
        """What is in a folder. Raises OSError."""
        if path == "/":
            return list(self._table.ids())
        entry, inside = self._at(path)
        if inside is None:
            return [entry.described["name"]]
        if inside not in entry.folders:
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        return sorted(entry.folders[inside])

    def open(self, path: str, flags: int) -> int:
        """A number for a file that is read. Raises OSError."""
        if flags & os.O_ACCMODE != os.O_RDONLY:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        entry, inside = self._at(path)
        if inside is None or inside in entry.folders:
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        found = self._stat(entry, inside)
        if found.size is None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        where = entry.files[inside].below(entry.described["path"]) if entry.is_folder else entry.described["path"]
        name = (entry.id, entry.edition, inside)
        place = entry.place
        with self._lock:
            file = self._files.get(name)
            if file is None:
                file = self._files[name] = File(
                    name, found.size, self._cache, place.pool, lambda start, count: place.fetch(where, found, start, count), lambda: place.look(where, found),
                    place.check)
            number = next(self._numbers)
            self._open[number] = (entry, file, Reader())
        return number

    def read(self, number: int, count: int, offset: int) -> bytes:
        """Bytes of an open file. Raises OSError: ESTALE where it is not what was mounted or not mounted any more, EIO where its source fails."""
        opened = self._open.get(number)
        if opened is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        entry, file, reader = opened
        if self._table.edition(entry.id) != entry.edition:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        try:
            return file.read(reader, offset, count)
        except EdgemereError as error:
            if error.code == "source.timeout":
                entry.place.is_silent(error)
            raise self._failed(entry, error) from None

    def close(self, number: int) -> None:
        """Nobody reads it under this number any more."""
        with self._lock:
            opened = self._open.pop(number, None)
            if opened is not None and all(one[1] is not opened[1] for one in self._open.values()):
                self._files.pop(opened[1].name, None)

    def _at(self, path: str) -> tuple[Entry, str | None]:
        """The entry that a path leads into, and the path within; None is the folder above it. Raises OSError."""
        _, name, *inside = path.split("/", 3)
        entry = self._entry(name)
        if not inside:
            return entry, None
        rest = inside[1] if len(inside) > 1 else ""
        if inside[0] != entry.described["name"] or rest and not (rest in entry.files or rest in entry.folders):
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        return entry, rest

    def _entry(self, name: str) -> Entry:
        edition = self._table.edition(name)
        with self._lock:
            entry = self._entries.get(name)
            if entry is not None and entry.edition == edition:
                self._entries.move_to_end(name)
                return entry
        read = self._table.read(name)
        if read is None:
            with self._lock:
                self._entries.pop(name, None)
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        described, edition = read
        entry = Entry(name, edition, described, self._places.place(described), Stat(**described["stat"]))
        if entry.is_folder:
            self._list(entry)
        with self._lock:
            self._entries[name] = entry
            kept = sum(len(one.files) for one in self._entries.values()) if entry.is_folder else 0
            while len(self._entries) > ENTRIES_KEPT or kept > FILES_LISTED and len(self._entries) > 1:
                kept -= len(self._entries.popitem(last=False)[1].files)
        return entry

    def _list(self, entry: Entry) -> None:
        """Ask a source for the files of a folder, which have to be those that were mounted."""
        path = entry.described["path"]
        try:
            try:
                files = entry.place.pool.submit(entry.place.files, path).result(LIST_S)
            except TimeoutError:
                raise silent(LIST_S) from None
            weight = Weight()
            for file in files:
                weight.add(from_bytes(file.inside), file.stat)
            if not files or not weight.stat.is_still(entry.stat):
                raise Conflict("source.changed", f"The folder '{path}' changed at its source.", next_step="Scan the source again.")
        except Exception as error:
            raise self._failed(entry, meant(error)) from None
        entry.folders[""] = set()
        for file in files:
            inside = file.inside.decode("utf-8", "surrogateescape")
            entry.files[inside] = file
            while inside:
                above, _, name = inside.rpartition("/")
                known = above in entry.folders and name in entry.folders[above]
                entry.folders.setdefault(above, set()).add(name)
                if known:
                    break
                inside = above

    def _stat(self, entry: Entry, inside: str) -> Stat:
        return entry.files[inside].stat if inside else entry.stat

    def _failed(self, entry: Entry, error: EdgemereError) -> OSError:
        """What a program is told, after the log and, where it is not what was mounted, the mesh were told."""
        key, now = entry.described["key"], time.monotonic()
        if now - self._said.get(key, -SAID_AGAIN_S) >= SAID_AGAIN_S:
            self._said[key] = now
            log.warning("reading '%s' of %s: %s %s", entry.described["path"], key, error.code, error.detail)
        if error.code not in CHANGED:
            return OSError(errno.EIO, os.strerror(errno.EIO))
        if (entry.id, entry.edition) not in self._told:
            self._told.add((entry.id, entry.edition))
            self._noticed(key, error)
        return OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def _folder(seconds: float) -> Attributes:
    return {"st_mode": stat.S_IFDIR | 0o555, "st_nlink": 2, **_owner(seconds)}


def _owner(seconds: float) -> Attributes:
    at = int(seconds * 1e9)
    return {"st_uid": os.getuid(), "st_gid": os.getgid(), "st_mtime": at, "st_ctime": at, "st_atime": at}


def _seconds(stamp: str | None) -> float:
    return parse_time(stamp).timestamp() if stamp else 0.0
