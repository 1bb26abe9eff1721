"""The writing side of a ``file`` source: temporary names, marks, renames that replace nothing, and the trash.

All by descriptors of folders below the root, so that nothing leads out of it. Knows no job and no source of bytes.
"""
from __future__ import annotations

import ctypes
import errno
import functools
import hashlib
import os
import resource
import stat
from typing import Any

from shared.kernel.errors import Conflict, Denied, EdgemereError, Invalid, Unavailable
from shared.sources.beneath import Folder, Root
from shared.sources.paths import COPY_MARK, OWN_PREFIX, bad_path, from_bytes, to_bytes

TRASH = b".edgemere-trash"
FSYNCS = 8
_PART = OWN_PREFIX.encode() + b"%b.part"
_NOREPLACE = 1
_UNNAMED = os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC
_AT_FDCWD, _AT_SYMLINK_FOLLOW, _AT_EMPTY_PATH = -100, 0x400, 0x1000
_OWN_FDS = b"/proc/self/fd/"


class Spot:
    """Where one copy goes: its key, its folder, its final and its temporary name."""

    __slots__ = ("key", "root", "native", "folder_path", "name", "part")

    def __init__(self, place: Any, key: str, target_path: str) -> None:
        """
        Raises:
            Invalid: ``source.bad_path``.
            Conflict: ``target.not_writable``: the place takes no copies.
        """
        root = getattr(place, "root", None)
        if not place.writable or not isinstance(root, Root):
            raise Conflict("target.not_writable", "The target does not take copies; it needs parameters.writable: true.",
                           next_step="Name another target.")
        self.key, self.root = key.encode(), root
        self.native = to_bytes(target_path)
        self.folder_path, _, self.name = self.native.rpartition(b"/")
        if OWN_PREFIX in target_path and any(step.startswith(OWN_PREFIX.encode()) for step in self.native.split(b"/")):
            raise bad_path(target_path, f"begins with {OWN_PREFIX}, which is kept for unfinished copies")
        self.part = part_name(self.key)

    def folder(self, create: bool = False) -> Folder:
        """The folder of the copy. Raises OSError."""
        return self.root.folder(self.folder_path, create)

    def is_ours(self, folder: Folder, name: bytes) -> bool | None:
        """Whether the file (or folder) carries the key's mark; None when there is none."""
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder.fd)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return None
            return False
        try:
            mode = os.fstat(fd).st_mode
            return (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and mark_of(fd) == self.key
        finally:
            os.close(fd)

    def shown(self) -> str:
        return from_bytes(self.native)


def part_name(key: bytes) -> bytes:
    """The temporary name of the copy with this key."""
    return _PART % hashlib.blake2b(key, digest_size=12).hexdigest().encode()


def mark(fd: int, key: bytes) -> None:
    """Write whose copy this is.

    Raises:
        Denied: ``target.not_writable``: the file system keeps no extended attributes, so no copy could be told from others' files.
    """
    try:
        os.setxattr(fd, COPY_MARK, key)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            raise Denied("target.not_writable", "The target's file system keeps no extended attributes, by which copies are told from other files.",
                         next_step="Use a target on ext4, xfs, btrfs, zfs or tmpfs.") from None
        raise


def mark_of(fd: int) -> bytes | None:
    """The key of the copy, or None for a file of somebody else."""
    try:
        return os.getxattr(fd, COPY_MARK)
    except OSError:
        return None


@functools.cache
def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    libc.linkat.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int)
    return libc


def rename_new(from_folder: int, old: bytes, to_folder: int, new: bytes) -> None:
    """Rename; FileExistsError where the new name is taken. Atomic also where the file system knows no such rename (by a link)."""
    if _libc().renameat2(from_folder, old, to_folder, new, _NOREPLACE) == 0:
        return
    number = ctypes.get_errno()
    if number not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(number, os.strerror(number))
    os.link(old, new, src_dir_fd=from_folder, dst_dir_fd=to_folder, follow_symlinks=False)
    os.unlink(old, dir_fd=from_folder)


@functools.cache
def _unnamed_below() -> int:
    """Files without a name are opened up to this descriptor: half of those that the process may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 if os.path.isdir(_OWN_FDS) else 0


def open_unnamed(folder: int) -> int | None:
    """A new file that is in no folder yet, so that no other process waits for the folder meanwhile, and nothing is left by a crash.

    None where the file system of the folder does not know such files, or too many are open: then the file needs a temporary name.
    """
    try:
        fd = os.open(b".", _UNNAMED, 0o666, dir_fd=folder)
    except OSError:
        return None  # Whatever it was, making the file under a name tells it.
    if fd >= _unnamed_below():
        os.close(fd)
        return None
    return fd


def name_unnamed(fd: int, folder: int, name: bytes) -> None:
    """Give a file of ``open_unnamed`` its name. Raises OSError: FileExistsError where it is taken, FileNotFoundError where the folder is gone."""
    if _libc().linkat(fd, b"", folder, name, _AT_EMPTY_PATH) == 0:
        return
    number = ctypes.get_errno()
    # Kernels before 6.10 allow the first to privileged processes only.
    if number == errno.ENOENT:
        if _libc().linkat(_AT_FDCWD, b"%b%d" % (_OWN_FDS, fd), folder, name, _AT_SYMLINK_FOLLOW) == 0:
            return
        number = ctypes.get_errno()
    raise OSError(number, os.strerror(number))


def sync_file_system(fd: int) -> None:
    """Force everything written to the file system of ``fd`` to its device, and report what could not be written. Raises OSError."""
    if _libc().syncfs(fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def sync_folders(root: Root, folders: set[bytes]) -> None:
    """Force folders and all above them, up to the root, to the device. Raises OSError."""
    wanted = {b""}
    for folder in folders:
        while folder:
            wanted.add(folder)
            folder = folder.rpartition(b"/")[0]
    if len(wanted) > FSYNCS:
        sync_file_system(root.device())
        return
    for folder in wanted:
        opened = root.folder(folder)
        os.fsync(opened.fd)


def remove_empty(root: Root, folder: bytes) -> None:
    """Remove a folder and those above it as far as they are empty; never the root."""
    while folder:
        above, _, name = folder.rpartition(b"/")
        try:
            opened = root.folder(above)
            os.rmdir(name, dir_fd=opened.fd)
        except OSError:
            return
        root.forget(folder)
        folder = above


def target_error(error: OSError, shown: str) -> EdgemereError:
    """What an OSError at the target means."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable("target.no_space", f"There is no room at the target for '{shown}': {error.strerror}.",
                           next_step="Make room there, or name another target.")
    if error.errno == errno.EFBIG:
        return Conflict("target.no_space", f"'{shown}' is larger than a file at the target may be.", next_step="Name another target.")
    if error.errno == errno.ENAMETOOLONG:
        return Invalid("source.bad_path", f"The name of '{shown}' is too long for the target's file system.")
    if error.errno == errno.EEXIST:
        return exists(shown)
    if error.errno in (errno.ENOTDIR, errno.ELOOP):
        return Conflict("target.exists", f"On the way to '{shown}' there is a file or a link where a folder should be.",
                        next_step="Move it away, or name another target.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return Denied("target.not_writable", f"'{shown}' may not be written: {error.strerror}.",
                      next_step="Give the user of this server the right to write there, or name another target.")
    return Unavailable("target.not_writable", f"'{shown}' cannot be written: {error.strerror or error}.", next_step="Look at the target's disk, then retry.")


def exists(shown: str) -> Conflict:
    """``target.exists``: something that is not this copy is in its place."""
    return Conflict("target.exists", f"Something else is already at '{shown}'.", next_step="Move it away, or name another target.")
