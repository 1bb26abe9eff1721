"""The adaptor ``file``: a folder on this machine. Every regular file below it is an item.

Parameters
- ``rootdir``: an absolute path; kept with its links resolved. ``writable`` (false): whether copies may be put there.
  ``deletable`` (as ``writable``): whether a move may delete there what it has moved.
- ``include``, ``exclude``: patterns; one without a slash is compared with the name, one with a slash with the whole path, and one that
  ends in a slash with folders, which are then not entered. ``*`` stands for anything, slashes too.
- ``hidden`` (true): whether names that begin with a dot count.
- ``listing``: a path below the root, or a mapping or list itself, in place of the files ``datasource.yaml|yml|json|csv|parquet`` at the root.

Tags of an item, the later overruling the earlier: of its folders (``tags.folder_tags``), of the listing, of the side-car
``NAME.meta.yaml|yml|json`` beside it. The last two may also give ``type``, ``media_type`` and ``checksum``. Listings and side-cars are no items.

Links, devices, sockets and pipes are passed over and named; so is what cannot be read. What begins with
``.edgemere-`` is the mover's and never an item. Writes nothing: see the mover.
"""
from __future__ import annotations

import fnmatch
import functools
import io
import os
import re
import stat as modes
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any, BinaryIO

from shared.kernel.errors import Conflict, EdgemereError, Invalid
from shared.sources.beneath import Root, source_error
from shared.sources.documents import SIDECAR_BYTES, BadDocument, read_bounded, read_yaml, rows_of
from shared.sources.listing import SUFFIXES, Described, bad_listing, gather, load_file, load_value
from shared.sources.media import media_type
from shared.sources.paths import COPY_MARK, OWN_PREFIX, file_uri, from_bytes, openable, quoted, to_bytes
from shared.sources.own_files import own_files
from shared.sources.port import Entry, Problem, SourcePolicy, Stat
from shared.sources.registry import bad_parameters, optional, texts
from shared.sources.roots import allowed_root
from shared.sources.tags import BadTags, described, fingerprint, folder_tags

PARAMETERS = ("rootdir", "writable", "deletable", "include", "exclude", "hidden", "listing")
TAKEN = ("type", "media_type", "checksum")
_SIDECAR = re.compile(rb"^(.+)\.meta\.(yaml|yml|json)$", re.DOTALL)
_OWN = OWN_PREFIX.encode()


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
        "include": texts(parameters, "include"), "exclude": texts(parameters, "exclude"),
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

    def close(self) -> None:
        self.root.close()

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
        fd, found = self.root.open_file(path)
        os.close(fd)
        return stat_of(found)

    def open(self, path: str, offset: int = 0) -> BinaryIO:
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
        try:
            folder = self.root.folder(parent)
            found = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
            if not modes.S_ISREG(found.st_mode) or (seen.size, seen.modified_ns) != (found.st_size, found.st_mtime_ns):
                raise Conflict("source.changed", f"'{path}' changed after it was moved and was not deleted.", next_step="Scan the source again.")
            os.unlink(name, dir_fd=folder.fd)
            os.fsync(folder.fd)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise source_error(error, path) from None
        return True

    def fingerprint(self, path: str) -> str | None:
        """What a scan that finds this file now would say of it; None where it would pass it over."""
        listed, own = self._listed([])
        native = to_bytes(path)
        parent, _, name = native.rpartition(b"/")
        folder = self.root.folder(parent)
        status = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
        walk = _Walk(self.root, self.parameters, listed, own)
        for item in walk.entry(path, name, status, folder.fd):
            if isinstance(item, Entry):
                return item.fingerprint
        return None

    def scan(self) -> Iterator[Entry | Problem]:
        problems: list[Problem] = []
        listed, own = self._listed(problems)
        yield from problems
        yield from _Walk(self.root, self.parameters, listed, own).items()

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


@functools.lru_cache(maxsize=256)
def _located(root: bytes, folder: bytes) -> tuple[str, str | None]:
    """URI and path of a folder, up to the slash before a name in it."""
    native = os.path.join(root, folder, b"") if folder else os.path.join(root, b"")
    return file_uri(native), openable(native)


class OpenFile(io.FileIO):
    """An unbuffered file that knows the Stat of what was opened."""

    stat: Stat


def stat_of(found: os.stat_result) -> Stat:
    return Stat(found.st_size, stamp_of_ns(found.st_mtime_ns), found.st_mtime_ns)


def stamp_of_ns(nanoseconds: int) -> str:
    """The stamp of a file's time, cut (not rounded) to microseconds; times before year 1 or after 9999 are their limits."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    try:
        return f"{_second(seconds)}.{rest // 1000:06d}Z"
    except (ValueError, OverflowError, OSError):
        return "9999-12-31T23:59:59.999999Z" if seconds > 0 else "0001-01-01T00:00:00.000000Z"


@functools.lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    # Many files of one folder were written in the same second, and each is looked at several times.
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


class _Walk:
    """One pass over a folder: folder by folder, each listed twice (side-cars first), nothing kept but open ends."""

    def __init__(self, root: Root, parameters: Mapping[str, Any], listed: dict[str, Described], own: set[str]) -> None:
        self._root, self._listed, self._own = root, listed, own
        self._base_uri = file_uri(root.native).rstrip("/") + "/"
        self._hidden = parameters.get("hidden", True)
        self._include = [_pattern(text) for text in parameters.get("include") or ()]
        self._exclude = [_pattern(text) for text in parameters.get("exclude") or ()]
        # Where copies are put, they are not data of their own: the catalogue has what they are copies of.
        self._receives = bool(parameters.get("writable"))

    def items(self) -> Iterator[Entry | Problem]:
        waiting: list[bytes] = [b""]
        unseen = set(self._listed)
        while waiting:
            folder = waiting.pop()
            try:
                yield from self._folder(folder, waiting, unseen)
            except OSError as error:
                yield _unreadable(from_bytes(folder) + "/", error)
        for path in sorted(unseen)[:10_000]:
            yield Problem(path, "source.unlisted", f"The listing describes '{path}', which is not there.")

    def _folder(self, native: bytes, waiting: list[bytes], unseen: set[str]) -> Iterator[Entry | Problem]:
        opened = self._root.folder(native)
        text = from_bytes(native)
        prefix = text + "/" if text else ""
        sidecars = self._sidecars(opened.fd)
        above = folder_tags(text)
        with os.scandir(opened.fd) as found:
            for item in found:
                raw = os.fsencode(item.name)
                if raw.startswith(_OWN) or (not self._hidden and raw.startswith(b".")):
                    continue
                name = from_bytes(raw)
                path = prefix + name
                try:
                    if item.is_dir(follow_symlinks=False):
                        if not any(folders and match(path, name) for match, folders in self._exclude):
                            waiting.append(native + b"/" + raw if native else raw)
                        continue
                    if path in self._own or _SIDECAR.match(raw):
                        continue
                    if not self._wanted(path, name):
                        unseen.discard(path)
                        continue
                    status = self._regular(item, native, raw)
                    if isinstance(status, Problem):
                        status.path = path
                        yield status
                        continue
                    if self._receives and _is_copy(opened.fd, raw):
                        continue
                    unseen.discard(path)
                    yield from self._entry(path, name, status, above, opened.fd, sidecars.pop(raw, None))
                except OSError as error:
                    yield _unreadable(path, error)
        for raw in sidecars:
            if not raw.startswith(_OWN):
                missing = prefix + from_bytes(raw)
                yield Problem(missing, "source.bad_sidecar", f"A side-car describes '{missing}', which is not an item of the source.")

    def entry(self, path: str, raw: bytes, status: os.stat_result, fd: int) -> Iterator[Entry | Problem]:
        """What the walk would say of one file of an open folder."""
        return self._entry(path, from_bytes(raw), status, folder_tags(path.rpartition("/")[0]), fd, self._sidecars(fd).get(raw))

    def _sidecars(self, fd: int) -> dict[bytes, list[bytes]]:
        beside: dict[bytes, list[bytes]] = {}
        with os.scandir(fd) as found:
            for item in found:
                if ".meta." in item.name and (match := _SIDECAR.match(os.fsencode(item.name))):
                    beside.setdefault(match.group(1), []).append(match.group(0))
        return beside

    def _wanted(self, path: str, name: str) -> bool:
        if any(not folders and match(path, name) for match, folders in self._exclude):
            return False
        return not self._include or any(match(path, name) for match, _ in self._include)

    def _regular(self, item: os.DirEntry[str], folder: bytes, raw: bytes) -> os.stat_result | Problem:
        if item.is_symlink():
            inside = self._root.resolve_link(folder + b"/" + raw if folder else raw) if self._root.follow_links else None
            if inside is not None:
                status = os.stat(os.path.join(self._root.native, inside))
                if modes.S_ISREG(status.st_mode):
                    return status
            return Problem("", "source.link_skipped", "It is a link; links are not followed" + (
                " out of the source or to folders." if self._root.follow_links else "."))
        status = item.stat(follow_symlinks=False)
        if modes.S_ISREG(status.st_mode):
            return status
        return Problem("", "source.special_skipped", "It is a device, a socket or a pipe, not a file.")

    def _entry(self, path: str, name: str, status: os.stat_result, above: dict[str, Any], fd: int,
               sidecars: list[bytes] | None) -> Iterator[Entry | Problem]:
        fields: dict[str, Any] = {}
        tags = above
        row = self._listed.get(path)
        if row is not None:
            fields, tags = row.fields, {**above, **row.tags}
        for sidecar in sorted(sidecars or ()):
            read = _read_sidecar(fd, sidecar)
            if isinstance(read, Problem):
                read.path = path
                yield read
            else:
                fields, tags = {**fields, **read.fields}, {**tags, **read.tags}
        kind, media, checksum = fields.get("type", "file"), fields.get("media_type") or media_type(name), fields.get("checksum")
        mark = fingerprint(kind, status.st_size, status.st_mtime_ns, media, checksum, tags)
        yield Entry(path, name, kind, status.st_size, media, stamp_of_ns(status.st_mtime_ns), checksum, tags,
                    self._base_uri + file_uri(to_bytes(path) if "\\" in path else path.encode())[7:], mark)


def _is_copy(folder: int, name: bytes) -> bool:
    """Whether a file carries the mark of a copy that the mover made."""
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


def _read_sidecar(folder: int, name: bytes) -> Described | Problem:
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        try:
            if not modes.S_ISREG(os.fstat(fd).st_mode):
                raise BadDocument("it is not a file")
            value = read_yaml(read_bounded(fd, SIDECAR_BYTES))
        finally:
            os.close(fd)
        if value is None:
            return Described()
        if not isinstance(value, Mapping):
            raise BadDocument(f"it holds {type(value).__name__}, where a mapping is expected")
        return Described(*described(value))
    except BadTags as error:
        return Problem("", error.code, f"The side-car '{from_bytes(name)}' {error.detail}.")
    except BadDocument as error:
        code = "source.too_many_tags" if "larger than" in str(error) else "source.bad_sidecar"
        return Problem("", code, f"The side-car '{from_bytes(name)}' cannot be used: {error}.")
    except OSError as error:
        return Problem("", "source.bad_sidecar", f"The side-car '{from_bytes(name)}' cannot be read: {error.strerror}.")


def _unreadable(path: str, error: OSError) -> Problem:
    what = "folder" if path.endswith("/") else "file"
    return Problem(path, "source.unreadable", f"The {what} cannot be read: {error.strerror or error}.")


def _pattern(text: str) -> tuple[Any, bool]:
    """``(match(path, name), whether it is meant for folders)``."""
    folders = text.endswith("/")
    expression = re.compile(fnmatch.translate(text.rstrip("/")))
    if "/" in text.rstrip("/"):
        return (lambda path, name: expression.match(path) is not None), folders
    return (lambda path, name: expression.match(name) is not None), folders
