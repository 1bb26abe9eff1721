"""The walk over a folder: what of it are items, what describes them, and what of it cannot be used. Writes nothing."""
from __future__ import annotations

import fnmatch
import functools
import os
import re
import stat as modes
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from shared.sources.beneath import Root
from shared.sources.documents import SIDECAR_BYTES, BadDocument, read_bounded, read_yaml
from shared.sources.folders import MEDIA_TYPE, files_of, is_marked, weight_of
from shared.sources.listing import Described
from shared.sources.media import media_type
from shared.sources.paths import OWN_PREFIX, file_uri, from_bytes, to_bytes
from shared.sources.port import Entry, Problem
from shared.sources.tags import BadTags, described, fingerprint, folder_tags

_SIDECAR = re.compile(rb"^(.+)\.meta\.(yaml|yml|json)$", re.DOTALL)
_OWN = OWN_PREFIX.encode()


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


class Walk:
    """One pass over a folder: folder by folder, each listed twice (side-cars first), nothing kept but open ends."""

    def __init__(self, root: Root, parameters: Mapping[str, Any], listed: dict[str, Described], own: set[str]) -> None:
        self._root, self._listed, self._own = root, listed, own
        self._base_uri = file_uri(root.native).rstrip("/") + "/"
        self._hidden = parameters.get("hidden", True)
        self._include = [_pattern(text) for text in parameters.get("include") or ()]
        self._exclude = [_pattern(text) for text in parameters.get("exclude") or ()]
        self._folders = meets(parameters.get("folders_as_data"))
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
                        if any(folders and match(path, name) for match, folders in self._exclude) or self._receives and is_marked(opened.fd, raw):
                            continue
                        if self._is_one(path, name):
                            unseen.discard(path)
                            yield from self._folder_entry(native + b"/" + raw if native else raw, path, opened.fd, sidecars.pop(raw, None))
                        else:
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
                    if self._receives and is_marked(opened.fd, raw):
                        continue
                    unseen.discard(path)
                    yield from self._entry(path, name, status, above, opened.fd, sidecars.pop(raw, None))
                except OSError as error:
                    yield _unreadable(path, error)
        for raw in sidecars:
            if not raw.startswith(_OWN):
                missing = prefix + from_bytes(raw)
                yield Problem(missing, "source.bad_sidecar", f"A side-car describes '{missing}', which is not an item of the source.")

    def _is_one(self, path: str, name: str) -> bool:
        if self._folders is not None and self._folders(path, name):
            return True
        row = self._listed.get(path)
        return row is not None and row.fields.get("type") == "dir"

    def folder_entry(self, native: bytes, path: str, fd: int) -> Iterator[Entry | Problem]:
        """What the walk would say of a folder that is one item, in an open folder."""
        return self._folder_entry(native, path, fd, self._sidecars(fd).get(native.rpartition(b"/")[2]))

    def _folder_entry(self, native: bytes, path: str, fd: int, sidecars: list[bytes] | None) -> Iterator[Entry | Problem]:
        size, newest, seen = weight_of(files_of(self._root, native))
        for one in self._described(path, path.rpartition("/")[2], "dir", (size, newest), folder_tags(path.rpartition("/")[0]), fd, sidecars):
            if isinstance(one, Entry):
                one.type, one.media_type = "dir", MEDIA_TYPE
                one.fingerprint = f"{one.fingerprint}-{seen}"
            yield one

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
        return self._described(path, name, "file", (status.st_size, status.st_mtime_ns), above, fd, sidecars)

    def _described(self, path: str, name: str, of: str, weight: tuple[int, int], above: dict[str, Any], fd: int,
                   sidecars: list[bytes] | None) -> Iterator[Entry | Problem]:
        size, modified_ns = weight
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
        kind, media, checksum = fields.get("type", of), fields.get("media_type") or media_type(name), fields.get("checksum")
        mark = fingerprint(kind, size, modified_ns, media, checksum, tags)
        yield Entry(path, name, kind, size, media, stamp_of_ns(modified_ns), checksum, tags,
                    self._base_uri + file_uri(to_bytes(path) if "\\" in path else path.encode())[7:], mark)


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


def meets(patterns: Any) -> Callable[[str, str], bool] | None:
    """Whether a path and its name meet any of the patterns; None where there are none."""
    compiled = [_pattern(text)[0] for text in patterns or ()]
    return (lambda path, name: any(match(path, name) for match in compiled)) if compiled else None


def _pattern(text: str) -> tuple[Any, bool]:
    """``(match(path, name), whether it is meant for folders)``."""
    folders = text.endswith("/")
    expression = re.compile(fnmatch.translate(text.rstrip("/")))
    if "/" in text.rstrip("/"):
        return (lambda path, name: expression.match(path) is not None), folders
    return (lambda path, name: expression.match(name) is not None), folders
