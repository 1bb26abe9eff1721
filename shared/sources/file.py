"""The adaptor ``file``: a folder on this machine. Every regular file below it is an item.

Parameters
- ``rootdir``: an absolute path; kept with its links resolved. ``writable`` (false): whether copies may be put there.
  ``deletable`` (as ``writable``): whether a move may delete there what it has moved.
- ``include``, ``exclude``: patterns; one without a slash is compared with the name, one with a slash with the whole path, and one that
  ends in a slash with folders, which are then not entered. ``*`` stands for anything, slashes too.
- ``folders_as_data``: patterns of folders that are one item each, of type ``dir``, with all that is below them (``folders.py``);
  a row of a listing with ``type: dir`` names one, too.
- ``hidden`` (true): whether names that begin with a dot count.
- ``listing``: a path below the root, or a mapping or list itself, in place of the files ``datasource.yaml|yml|json|csv|parquet`` at the root.

Tags of an item, the later overruling the earlier: of its folders (``tags.folder_tags``), of the listing, of the side-car
``NAME.meta.yaml|yml|json`` beside it. The last two may also give ``type``, ``media_type`` and ``checksum``. Listings and side-cars are no items.

Links, devices, sockets and pipes are passed over and named; so is what cannot be read. What begins with
``.edgemere-`` is the mover's and never an item. Writes nothing: see the mover.
"""
from __future__ import annotations

import functools
import hashlib
import io
import os
import shutil
import stat as modes
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from shared.kernel.errors import EdgemereError, Invalid
from shared.sources.beneath import Root, source_error
from shared.sources.documents import BadDocument, rows_of
from shared.sources.file_walk import Walk, meets, stamp_of_ns
from shared.sources.folders import FolderFile, files_of, is_folder_error, not_deleted, weight_of
from shared.sources.listing import SUFFIXES, Described, bad_listing, gather, load_file, load_value
from shared.sources.paths import OWN_PREFIX, file_uri, openable, quoted, to_bytes
from shared.sources.own_files import own_files
from shared.sources.port import Entry, Problem, SourcePolicy, Stat
from shared.sources.registry import bad_parameters, optional, texts
from shared.sources.roots import allowed_root

TAKEN = ("type", "media_type", "checksum")
PARAMETERS = ("rootdir", "writable", "deletable", "folders_as_data", "include", "exclude", "hidden", "listing")


def check(parameters: Mapping[str, Any], policy: SourcePolicy) -> dict[str, Any]:
    """The parameters with defaults, ``rootdir`` real. Raises as ``registry.check_parameters``."""
    kept = _kept(parameters, policy)
    root = Root(kept["rootdir"])
    try:
        os.scandir(root.device()).close()
    except OSError as error:
        raise Invalid("source.rootdir_unreadable", f"The folder '{kept['rootdir']}' cannot be listed: {error.strerror}.",
                      next_step="Give the user of this server the right to read it.",
                      errors=[{"pointer": "/parameters/rootdir", "detail": "cannot be listed"}]) from None
    finally:
        root.close()
    if kept["writable"] and not os.access(kept["rootdir"], os.W_OK | os.X_OK):
        raise bad_parameters("writable", f"is true, but '{kept['rootdir']}' may not be written by this server")
    return kept


def _kept(parameters: Mapping[str, Any], policy: SourcePolicy) -> dict[str, Any]:
    rootdir = optional(parameters, "rootdir", str, "")
    if not rootdir.startswith("/"):
        raise bad_parameters("rootdir", "is not an absolute path" if rootdir else "is missing: an absolute path")
    listing = optional(parameters, "listing", (str, dict, list), None)
    if isinstance(listing, str):
        to_bytes(listing)
    writable = optional(parameters, "writable", bool, False)
    return {
        "rootdir": allowed_root(rootdir, policy), "writable": writable, "deletable": optional(parameters, "deletable", bool, writable),
        "folders_as_data": texts(parameters, "folders_as_data"), "include": texts(parameters, "include"), "exclude": texts(parameters, "exclude"),
        "hidden": optional(parameters, "hidden", bool, True), **({"listing": listing} if listing is not None else {}),
    }


def open_source(parameters: Mapping[str, Any], policy: SourcePolicy) -> FileSource:
    return FileSource(_kept(parameters, policy), policy)


class FileSource:
    """A folder. ``stat``, ``open`` and ``locate`` may be called from several threads."""

    has_bytes = True

    def __init__(self, parameters: Mapping[str, Any], policy: SourcePolicy) -> None:
        self.parameters = parameters
        self.writable, self.deletable = bool(parameters.get("writable")), bool(parameters.get("deletable"))
        self.root = Root(parameters["rootdir"], policy.follow_links)
        self._folders = meets(parameters.get("folders_as_data"))

    @functools.cached_property
    def _has_listing(self) -> bool:
        return self.parameters.get("listing") is not None or any(
            os.access(f"datasource.{suffix}", os.F_OK, dir_fd=self.root.device()) for suffix in SUFFIXES)

    @functools.cached_property
    def _listed_folders(self) -> set[str]:
        """The folders that a listing says are one item each."""
        try:
            return {path for path, row in self._listed([])[0].items() if row.fields.get("type") == "dir"}
        except EdgemereError:
            return set()  # A scan says what is wrong with the listing.

    def close(self) -> None:
        self.root.close()

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder at this path that is one item. A listing is read for a folder alone, never for a file."""
        if self._folders is not None and self._folders(path, path.rpartition("/")[2]):
            return self._is_directory(path)
        return self._has_listing and self._is_directory(path) and path in self._listed_folders

    def keeps_folder(self, path: str) -> bool:
        """Whether a folder at this path would be one item."""
        return self._folders is not None and self._folders(path, path.rpartition("/")[2]) or self._has_listing and path in self._listed_folders

    def folder_files(self, path: str) -> list[FolderFile]:
        """The files below a folder, in the order of the manifest. Raises as ``stat``."""
        try:
            return [FolderFile(inside, stat_of(found), found.st_mode & 0o777) for inside, found in files_of(self.root, to_bytes(path))]
        except OSError as error:
            raise source_error(error, path) from None

    def _is_directory(self, path: str) -> bool:
        parent, _, name = to_bytes(path).rpartition(b"/")
        try:
            return modes.S_ISDIR(os.stat(name, dir_fd=self.root.folder(parent).fd, follow_symlinks=False).st_mode)
        except OSError:
            return False

    def stat(self, path: str) -> Stat:
        native = to_bytes(path)
        parent, _, name = native.rpartition(b"/")
        try:
            folder = self.root.folder(parent)
            found = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
        except OSError as error:
            raise source_error(error, path) from None
        if modes.S_ISREG(found.st_mode):
            return stat_of(found)
        if self.is_folder(path):
            return _stat_of_folder(self.root, native, path)
        fd, found = self.root.open_file(path)
        os.close(fd)
        return stat_of(found)

    def open(self, path: str, offset: int = 0) -> BinaryIO:
        if self.is_folder(path):
            raise is_folder_error(path)
        fd, found = self.root.open_file(path)
        stream = OpenFile(fd, "rb", closefd=True)
        stream.stat = stat_of(found)
        if offset:
            stream.seek(offset)
        return stream  # type: ignore[return-value]

    def locate(self, path: str) -> dict[str, str | None]:
        folder, slash, name = to_bytes(path).rpartition(b"/")
        uri, there = _located(self.root.native, folder)
        if there is not None:
            try:
                there += name.decode()
            except UnicodeDecodeError:
                there = None
        return {"uri": uri + quoted(name), "path": there}

    def delete(self, path: str, seen: Stat) -> bool:
        """Delete the file that was ``seen``, for good; False where it is gone already.

        Raises:
            Conflict: ``source.changed``: it is not what was seen, and stays.
        """
        native = to_bytes(path)
        parent, _, name = native.rpartition(b"/")
        if self.keeps_folder(path):
            self._finish_leaving(path, native, seen)
            if self.is_folder(path):
                return self._delete_folder(path, native, seen)
        try:
            folder = self.root.folder(parent)
            found = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
            if not modes.S_ISREG(found.st_mode) or (seen.size, seen.modified_ns) != (found.st_size, found.st_mtime_ns):
                raise not_deleted(path)
            os.unlink(name, dir_fd=folder.fd)
            os.fsync(folder.fd)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise source_error(error, path) from None
        return True

    def _delete_folder(self, path: str, native: bytes, seen: Stat) -> bool:
        """Take a folder off its path as it was seen, in one step, and then delete it: no half of it is ever seen as data."""
        parent, _, name = native.rpartition(b"/")
        leaving = leaving_name(native, seen)
        if _stat_of_folder(self.root, native, path).etag != seen.etag:
            raise not_deleted(path)
        try:
            folder = self.root.folder(parent)
            os.rename(name, leaving, src_dir_fd=folder.fd, dst_dir_fd=folder.fd)
            self.root.forget_all()
            folder = self.root.folder(parent)
            if _stat_of_folder(self.root, parent + b"/" + leaving if parent else leaving, path).etag != seen.etag:
                os.rename(leaving, name, src_dir_fd=folder.fd, dst_dir_fd=folder.fd)
                raise not_deleted(path)
            os.fsync(folder.fd)
        except OSError as error:
            raise source_error(error, path) from None
        finally:
            self.root.forget_all()
        self._finish_leaving(path, native, seen)
        return True

    def _finish_leaving(self, path: str, native: bytes, seen: Stat) -> None:
        """Delete what was taken off its path, also by a call that did not live to do it."""
        try:
            folder = self.root.folder(native.rpartition(b"/")[0])
            shutil.rmtree(leaving_name(native, seen), dir_fd=folder.fd)
            os.fsync(folder.fd)
        except FileNotFoundError:
            return
        except OSError as error:
            raise source_error(error, path) from None
        finally:
            self.root.forget_all()

    def fingerprint(self, path: str) -> str | None:
        """What a scan that finds this file now would say of it; None where it would pass it over."""
        listed, own = self._listed([])
        native = to_bytes(path)
        parent, _, name = native.rpartition(b"/")
        folder = self.root.folder(parent)
        status = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
        walk = Walk(self.root, self.parameters, listed, own)
        found = walk.folder_entry(native, path, folder.fd) if modes.S_ISDIR(status.st_mode) else walk.entry(path, name, status, folder.fd)
        for item in found:
            if isinstance(item, Entry):
                return item.fingerprint
        return None

    def scan(self) -> Iterator[Entry | Problem]:
        problems: list[Problem] = []
        listed, own = self._listed(problems)
        yield from problems
        yield from Walk(self.root, self.parameters, listed, own).items()

    def own(self) -> Iterator[dict[str, Any]]:
        return own_files(self.root)

    def _listed(self, problems: list[Problem]) -> tuple[dict[str, Described], set[str]]:
        """What the listings say, and the paths of the listings."""
        given = self.parameters.get("listing")
        if given is not None and not isinstance(given, str):
            try:
                return gather(rows_of(load_value(given, "of the source")), "the listing", TAKEN, problems), set()
            except BadDocument as error:
                raise bad_listing("of the source", error) from None
        listed: dict[str, Described] = {}
        own: set[str] = set()
        for name in [given] if given else [f"datasource.{suffix}" for suffix in SUFFIXES]:
            try:
                fd, _ = self.root.open_file(name)
            except EdgemereError as error:
                if given is None and error.code == "source.vanished":
                    continue
                raise bad_listing(f"'{name}'", error.detail.rstrip(".")) from None
            own.add(name)
            try:
                for path, row in gather(load_file(fd, name), f"'{name}'", TAKEN, problems).items():
                    before = listed.get(path, Described())
                    listed[path] = Described({**before.fields, **row.fields}, {**before.tags, **row.tags})
            finally:
                os.close(fd)
        return listed, own


def leaving_name(native: bytes, seen: Stat) -> bytes:
    """The name of a folder that is being deleted; a later call with the same words finds it."""
    return OWN_PREFIX.encode() + hashlib.blake2b(native + b"\0" + str(seen.etag).encode(), digest_size=12).hexdigest().encode() + b".leaving"


@functools.lru_cache(maxsize=256)
def _located(root: bytes, folder: bytes) -> tuple[str, str | None]:
    """URI and path of a folder, up to the slash before a name in it."""
    native = os.path.join(root, folder, b"") if folder else os.path.join(root, b"")
    return file_uri(native), openable(native)


def _stat_of_folder(root: Root, native: bytes, path: str) -> Stat:
    try:
        size, newest, seen = weight_of(files_of(root, native))
    except OSError as error:
        raise source_error(error, path) from None
    return Stat(size, stamp_of_ns(newest), newest, etag=seen)


class OpenFile(io.FileIO):
    """An unbuffered file that knows the Stat of what was opened."""

    stat: Stat


def stat_of(found: os.stat_result) -> Stat:
    return Stat(found.st_size, stamp_of_ns(found.st_mtime_ns), found.st_mtime_ns)
