"""A folder as a root that nothing leads out of: every path is walked from it, part by part, without following links.

What is checked is what is opened (``openat`` with ``O_NOFOLLOW`` at each step), so that exchanging a folder for a link
between a check and a use gains nothing. Knows no adaptor and no worker.
"""
from __future__ import annotations

import errno
import os
import stat
import threading
from collections import OrderedDict

from shared.kernel.errors import Denied, EdgemereError, Invalid, NotFound, Unavailable
from shared.sources.paths import bad_path, to_bytes

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
KEPT_FOLDERS = 64


class Root:
    """One folder and what is below it. Usable by several threads; ``follow_links`` is the policy's."""

    def __init__(self, rootdir: str, follow_links: bool = False) -> None:
        """
        Raises:
            Invalid: ``source.rootdir_missing``, ``source.rootdir_unreadable``.
        """
        self.native = os.fsencode(rootdir)
        self.follow_links = follow_links
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, Folder] = OrderedDict()
        try:
            self._top = os.open(self.native, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise Invalid("source.rootdir_missing", f"The folder '{rootdir}' does not exist, or is not a folder.",
                          next_step="Make it, or name another.") from None
        except OSError as error:
            raise Invalid("source.rootdir_unreadable", f"The folder '{rootdir}' cannot be read: {error.strerror}.",
                          next_step="Give the user of this server the right to read it.") from None

    def close(self) -> None:
        with self._lock:
            self._kept.clear()
            if self._top >= 0:
                os.close(self._top)
                self._top = -1

    def absolute(self, path: str) -> bytes:
        """The native absolute path; says nothing of what lies there."""
        return os.path.join(self.native, to_bytes(path))

    def device(self) -> int:
        return self._top

    def folder(self, native: bytes, create: bool = False) -> Folder:
        """The folder at a native relative path (``b""``: the root), made with its parents when asked to.

        Raises:
            OSError: as the file system says; ``ELOOP`` or ``ENOTDIR`` for a link on the way.
        """
        with self._lock:
            kept = self._kept.get(native)
            if kept is not None:
                self._kept.move_to_end(native)
                return kept
        opened = Folder(self._walk(native, create))
        with self._lock:
            self._kept[native] = opened
            while len(self._kept) > KEPT_FOLDERS:
                self._kept.popitem(last=False)
        return opened

    def forget(self, native: bytes) -> None:
        """Let go of a folder that was removed."""
        with self._lock:
            self._kept.pop(native, None)

    def forget_all(self) -> None:
        """Let go of all folders: some were renamed or removed."""
        with self._lock:
            self._kept.clear()

    def _walk(self, native: bytes, create: bool) -> int:
        current = os.dup(self._top)
        for part in native.split(b"/") if native else ():
            try:
                try:
                    following = os.open(part, _FOLDER, dir_fd=current)
                except FileNotFoundError:
                    if not create:
                        raise
                    try:
                        os.mkdir(part, 0o777, dir_fd=current)
                    except FileExistsError:
                        pass
                    following = os.open(part, _FOLDER, dir_fd=current)
            finally:
                os.close(current)
            current = following
        return current

    def open_file(self, path: str) -> tuple[int, os.stat_result]:
        """A descriptor of the regular file at ``path`` and its stat; the caller closes it.

        Raises:
            EdgemereError: ``source.vanished``, ``source.unreadable``, ``source.bad_path`` (a link, a device, a way out).
        """
        native = to_bytes(path)
        try:
            return self._open_native(native, path)
        except OSError as error:
            if error.errno == errno.ELOOP and self.follow_links:
                return self._open_linked(native, path)
            raise source_error(error, path) from None

    def open_in(self, folder: Folder, path: str) -> tuple[int, os.stat_result]:
        """``open_file`` of a path whose folder is open already."""
        try:
            fd = os.open(to_bytes(path).rpartition(b"/")[2], _FILE, dir_fd=folder.fd)
        except OSError:
            return self.open_file(path)
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            os.close(fd)
            raise bad_path(path, "is not a regular file")
        return fd, found

    def _open_native(self, native: bytes, path: str) -> tuple[int, os.stat_result]:
        parent, _, name = native.rpartition(b"/")
        folder = self.folder(parent)  # Held by name: its descriptor closes with the last reference.
        fd = os.open(name, _FILE, dir_fd=folder.fd)
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            os.close(fd)
            raise bad_path(path, "is not a regular file")
        return fd, found

    def _open_linked(self, native: bytes, path: str) -> tuple[int, os.stat_result]:
        inside = self.resolve_link(native)
        if inside is None:
            raise bad_path(path, "is a link that leads out of its source")
        try:
            return self._open_native(inside, path)
        except OSError as error:
            raise source_error(error, path) from None

    def resolve_link(self, native: bytes) -> bytes | None:
        """What a link leads to, as a native path below the root, or None when it leads out of it."""
        real = os.path.realpath(os.path.join(self.native, native))
        top = os.path.realpath(self.native).rstrip(b"/") + b"/"
        return real[len(top):] if real.startswith(top) else None


class Folder:
    """An open folder; its descriptor is closed when nobody refers to it any more."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        try:
            os.close(self.fd)
        except OSError:
            pass


def source_error(error: OSError, path: str) -> EdgemereError:
    """What an OSError at a source's file means."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE):
        return NotFound("source.vanished", f"'{path}' is no longer at its source.",
                        next_step="Scan the source again.")
    if error.errno == errno.ELOOP:
        return bad_path(path, "leads over a link, and links are not followed")
    if error.errno in (errno.EACCES, errno.EPERM):
        return Denied("source.unreadable", f"'{path}' may not be read: {error.strerror}.",
                      next_step="Give the user of this server the right to read it.")
    return Unavailable("source.unreadable", f"'{path}' cannot be read: {error.strerror or error}.",
                       next_step="Look at the disk or the connection of the source, then retry.")
