"""The adaptor ``fsspec``: what lies under a URL of an object store or of another file system that fsspec can open; tested with S3.

Parameters
- ``url``: ``s3://bucket/prefix`` and its like, of one of SCHEMES. What lies below it are the items; nothing leads out of it.
- ``storage_options``: what the file system of the scheme takes (S3: ``key``, ``secret``, ``token``, ``endpoint_url``, ``region``, ``anon``);
  secrets by reference: ``{"secret": "NAME"}`` or ``"${NAME}"``. Without any the store is asked as nobody: credentials of the
  machine itself are never used.
- ``writable`` (false): whether copies may be put there (S3 only). ``deletable`` (as ``writable``): whether a move may delete there.
- ``include``, ``exclude``: patterns of paths; one without a slash is compared with the name.
- ``folders_as_data``: patterns of prefixes that are one item each, of type ``dir``, with all objects below them (``object_folders.py``).

An object's checksum is not known to a scan; its ETag notices changes. Copies carry their key as metadata and are no items; so a
scan of a writable source asks for the head of each object. Imports fsspec when a source is opened, in worker processes only.
"""
from __future__ import annotations

import fnmatch
import functools
import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timezone
from typing import Any, BinaryIO
from urllib.parse import quote

from shared.kernel.clock import stamp
from shared.kernel.errors import EdgemereError, Invalid, NotFound, Unavailable
from shared.sources.addresses import check_reachable
from shared.sources.folders import MEDIA_TYPE as FOLDER, FolderFile, is_folder_error, not_deleted
from shared.sources.media import media_type
from shared.sources.object_errors import object_error
from shared.sources.object_folders import Folders, Weight
from shared.sources.object_stream import AHEAD, ObjectStream, ReadSpan, S3Span, Span
from shared.sources.own_objects import own_objects
from shared.sources.paths import OWN_PREFIX, from_bytes, to_bytes
from shared.sources.port import Entry, Problem, SourcePolicy, Stat
from shared.sources.registry import bad_parameters
from shared.sources.store_options import S3, google_key
from shared.sources.store_parameters import HOSTED, PARAMETERS, addresses, check, host_of  # noqa: F401 (the registry asks for them here)
from shared.sources.tags import fingerprint, folder_tags
from shared.sources.vault import resolved

# As whom a store is asked when no credential is given: as nobody, never as this machine.
NOBODY: dict[str, dict[str, Any]] = {
    "gs": {"token": "anon"}, "gcs": {"token": "anon"}, "abfs": {"anon": True}, "abfss": {"anon": True}, "az": {"anon": True},
    "sftp": {"look_for_keys": False, "allow_agent": False}, "ssh": {"look_for_keys": False, "allow_agent": False}}
# The metadata by which a copy is told, and what a move brought: that is the source's own.
MARK, MOVED = "edgemere-key", "edgemere-moved"
# So many objects a store deletes in one request; and what a note of a folder may weigh.
DELETED_AT_ONCE = 1000
NOTE_BYTES = 1 << 30


def open_source(parameters: Mapping[str, Any], policy: SourcePolicy) -> FsspecSource:
    kept = check(parameters, policy)
    scheme, _, rest = kept["url"].partition("://")
    options = google_key(scheme, resolved(kept["storage_options"], policy))
    for _, address in addresses(scheme, rest, options):
        # Judged as it resolves now. The client resolves it once more; in a worker process ``addresses`` judges where that leads, too.
        check_reachable(*host_of(address), policy)
    return FsspecSource(kept, scheme, rest, options)


class FsspecSource:
    """One prefix of one store. For several threads."""

    has_bytes = True

    def __init__(self, parameters: Mapping[str, Any], scheme: str, rest: str, options: Mapping[str, Any]) -> None:
        self.parameters, self.scheme = parameters, scheme
        self.writable, self.deletable = parameters["writable"], parameters["deletable"]
        self.base = rest.strip("/")
        self.is_s3 = scheme in S3
        # Two places with the same options are one store: it can copy from one to the other itself.
        self.store_key = (scheme, repr(sorted(options.items(), key=str)))
        self._options = dict(options)
        self._folders = Folders(parameters["folders_as_data"])
        self._fs: Any = None
        # Of stores that are read a span at a time; threads are started when they are needed.
        self._readers = ThreadPoolExecutor(AHEAD + 1, thread_name_prefix="object")

    @property
    def fs(self) -> Any:
        """The file system, connected when it is first needed. Raises ``source.driver_missing``, ``source.bad_parameters``."""
        if self._fs is None:
            import fsspec

            try:
                self._fs = fsspec.filesystem(self.scheme, **self._given())
            except (ImportError, TypeError, ValueError) as error:
                if isinstance(error, ImportError):
                    raise object_error(error, self.base) from None
                raise bad_parameters("storage_options", f"does not fit {self.scheme}: {str(error)[:200]}") from None
            if self.is_s3:
                # The one who tries again here: botocore under it would multiply the attempts, and the mover begins again by itself.
                self._fs.retries = 3
        return self._fs

    def _given(self) -> dict[str, Any]:
        given = {**self._options, "skip_instance_cache": True, "use_listings_cache": False}
        if not self.is_s3:
            return {**NOBODY.get(self.scheme, {}), **({"host": self.base.split("/")[0]} if self.scheme in HOSTED else {}), **given}
        client = {**(given.pop("client_kwargs", None) or {})}
        if region := given.pop("region", None):
            client["region_name"] = region
        if not any(given.get(name) for name in ("key", "secret", "token", "anon")):
            given["anon"] = True
        config = {"connect_timeout": 5, "read_timeout": 15, "retries": {"max_attempts": 1, "mode": "standard"},
                  "max_pool_connections": 16, **(given.pop("config_kwargs", None) or {})}
        return {**given, "client_kwargs": client, "config_kwargs": config}

    def close(self) -> None:
        self._readers.shutdown(wait=False, cancel_futures=True)
        self._fs = None

    def key(self, path: str) -> str:
        """The key of a path within its bucket, or the whole path of another file system."""
        try:
            return f"{self.base}/{to_bytes(path).decode()}"
        except UnicodeDecodeError:
            raise Invalid("source.bad_path", f"'{path}' is not UTF-8, as the names in a store are.") from None

    def bucket_and_key(self, path: str) -> tuple[str, str]:
        bucket, _, key = self.key(path).partition("/")
        return bucket, key

    def call(self, method: str, path: str, role: str = "source", **more: Any) -> Any:
        """One operation of S3 on the object at ``path``. Raises what ``object_error`` says."""
        bucket, key = self.bucket_and_key(path)
        try:
            return self.fs.call_s3(method, Bucket=bucket, Key=key, **more)
        except Exception as error:
            raise object_error(error, path, role) from None

    def read_piece(self, path: str, start: int, count: int) -> bytes:
        """Bytes of an object as it is now."""
        try:
            return self.fs.cat_file(self.key(path), start=start, end=start + count)
        except Exception as error:
            raise object_error(error, path) from None

    def stat(self, path: str) -> Stat:
        try:
            return self.head(path)[0]
        except NotFound:
            if not self.keeps_folder(path) or not (files := self.folder_files(path)):
                raise
            return _together(files)

    reachable = stat

    def keeps_folder(self, path: str) -> bool:
        """Whether a folder at this path would be one item."""
        return self._folders.named(path)

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder at this path that is one item."""
        if not self.keeps_folder(path):
            return False
        try:
            self.head(path)
            return False
        except NotFound:
            return next(self.listed(path), None) is not None

    def folder_files(self, path: str) -> list[FolderFile]:
        """The objects below a folder, in the order of the manifest. Raises ``source.bad_path`` where one has a name that no path has."""
        files = []
        for name, stat in self.listed(path):
            inside = from_bytes(name.encode("utf-8", "surrogateescape"))
            if not any(part.startswith(OWN_PREFIX) for part in inside.split("/")):
                files.append(FolderFile(to_bytes(inside), stat))
        return sorted(files, key=lambda file: file.inside)

    def head(self, path: str, role: str = "source") -> tuple[Stat, dict[str, str]]:
        """The Stat of an object, and its own metadata."""
        if self.is_s3:
            found = self.call("head_object", path, role)
            return (Stat(found["ContentLength"], _stamp_of(found.get("LastModified")), etag=found.get("ETag")),
                    {name.lower(): value for name, value in (found.get("Metadata") or {}).items()})
        try:
            info = self.fs.info(self.key(path))
        except Exception as error:
            raise object_error(error, path) from None
        if info.get("type") == "directory":
            raise NotFound("source.vanished", f"'{path}' is a folder.", next_step="Scan the source again.")
        return _stat_of(info), {}

    def open(self, path: str, offset: int = 0) -> BinaryIO:
        try:
            found, _ = self.head(path)
        except NotFound:
            if self.is_folder(path):
                raise is_folder_error(path) from None
            raise

        return ObjectStream(found, offset, self._span_of(path, found.etag))  # type: ignore[return-value]

    def part(self, path: str, start: int, count: int, seen: Stat) -> BinaryIO:
        """As the port says."""
        if not self.is_s3 and not self.head(path)[0].is_still(seen):
            raise object_error(FileExistsError(), path)
        return ObjectStream(seen, start, self._span_of(path, seen.etag), start + count)  # type: ignore[return-value]

    def _span_of(self, path: str, etag: str | None) -> Callable[[int, int], Span]:
        def begin(start: int, count: int) -> Span:
            if self.is_s3:
                return S3Span(self.fs, *self.bucket_and_key(path), path, (start, count), etag)
            return ReadSpan(self._readers, functools.partial(self.read_piece, path), (start, count))
        return begin

    def locate(self, path: str) -> dict[str, str | None]:
        return {"uri": f"{self.scheme}://{quote(self.key(path), safe='/-_.~!$&()*+,;=:@ ')}".replace(" ", "%20"), "path": None}

    def delete(self, path: str, seen: Stat) -> bool:
        """As the port says."""
        try:
            now, _ = self.head(path)
        except NotFound:
            return self.keeps_folder(path) and self._delete_folder(path, seen)
        if (now.size, now.etag) != (seen.size, seen.etag):
            raise not_deleted(path)
        self.remove([path])
        return True

    def _delete_folder(self, path: str, seen: Stat) -> bool:
        """Delete the objects of a folder that was ``seen``. What it was is noted first, so that a later call goes on with what is left."""
        note = _leaving_note(path, seen)
        try:
            known = json.loads(self.read_piece(note, 0, NOTE_BYTES))
        except NotFound:
            known = self.note_leaving(path, seen)
        if not known:
            return False
        self.remove([name for file in self.folder_files(path)
                     if known.get(name := file.below(path)) == [file.stat.size, file.stat.etag]])
        self.remove([note])
        return True

    def note_leaving(self, path: str, seen: Stat) -> dict[str, list[Any]]:
        """Write down which objects of a folder that was ``seen`` are to be deleted; none where it is gone. Raises ``source.changed``."""
        files = self.folder_files(path)
        if files and _together(files).etag != seen.etag:
            raise not_deleted(path)
        known = {file.below(path): [file.stat.size, file.stat.etag] for file in files}
        if known:
            try:
                self.fs.pipe_file(self.key(_leaving_note(path, seen)), json.dumps(known).encode())
            except Exception as error:
                raise object_error(error, path) from None
        return known

    def remove(self, paths: Sequence[str], role: str = "source") -> None:
        """Delete these objects, whether they are there or not. Raises what ``object_error`` says."""
        for first in range(0, len(paths), DELETED_AT_ONCE):
            part = paths[first:first + DELETED_AT_ONCE]
            try:
                if not self.is_s3:
                    for path in part:
                        self.fs.rm_file(self.key(path))
                elif len(part) == 1:
                    self.call("delete_object", part[0], role)
                else:
                    keys = [dict(zip(("Bucket", "Key"), self.bucket_and_key(path))) for path in part]
                    answer = self.fs.call_s3("delete_objects", Bucket=keys[0]["Bucket"], Delete={
                        "Objects": [{"Key": key["Key"]} for key in keys], "Quiet": True})
                    if failed := answer.get("Errors"):
                        raise Unavailable(f"{role}.access_denied" if failed[0].get("Code") == "AccessDenied" else "source.unreadable",
                                          f"The store did not delete '{failed[0].get('Key')}': {failed[0].get('Code')}.",
                                          next_step="Look at the credentials of the source and at what they allow.")
            except FileNotFoundError:
                continue
            except Exception as error:
                raise object_error(error, part[0], role) from None

    def own(self) -> Iterator[dict[str, Any]]:
        """As the port says."""
        return own_objects(self) if self.is_s3 else iter(())

    def fingerprint(self, path: str) -> str | None:
        """As the port says."""
        return (self._folder_entry if self.is_folder(path) else self._entry)(path, self.stat(path)).fingerprint

    def scan(self) -> Iterator[Entry | Problem]:
        folders = Folders(self.parameters["folders_as_data"])
        with ThreadPoolExecutor(8) as pool:
            waiting: deque[Future[tuple[str, Stat] | Problem | None]] = deque()
            for name, stat in self.listed():
                waiting.append(pool.submit(self._object, name, stat))
                while len(waiting) > 256 or (waiting and waiting[0].done()):
                    yield from self._item(waiting.popleft().result(), folders)
            for future in waiting:
                yield from self._item(future.result(), folders)
        for path, together in folders.found():
            yield self._folder_entry(path, together) if together is not None else Problem(
                path, "source.special_skipped", "It is a folder that would be one data, and there is an object of the same name.")

    def _item(self, seen: tuple[str, Stat] | Problem | None, folders: Folders) -> Iterator[Entry | Problem]:
        if isinstance(seen, Problem):
            yield seen
        elif seen is not None and not folders.take(*seen):
            yield self._entry(*seen)

    def _object(self, name: str, stat: Stat) -> tuple[str, Stat] | Problem | None:
        """An object with its path; None where it is none of the source's items."""
        path = from_bytes(name.encode("utf-8", "surrogateescape"))
        if any(part.startswith(OWN_PREFIX) for part in path.split("/")) or not self._wanted(path):
            return None
        try:
            to_bytes(path)
            if self.writable and MARK in self.head(path)[1]:
                return None
        except NotFound:
            return None
        except EdgemereError as error:
            code = "source.unreadable" if error.code != "source.bad_path" else "source.special_skipped"
            return Problem(path[:500].replace("\0", "?"), code, error.detail)
        return path, stat

    def _wanted(self, path: str) -> bool:
        def meets(patterns: list[str]) -> bool:
            return any(re.match(fnmatch.translate(one.rstrip("/") + ("/*" if one.endswith("/") else "")),
                                path if "/" in one else path.rpartition("/")[2]) for one in patterns)
        if self._folders.of(path) is not None:
            # Patterns choose folders that are one data as they are, with all that is in them.
            return not meets([one for one in self.parameters["exclude"] if one.endswith("/")])
        return not meets(self.parameters["exclude"]) and (not self.parameters["include"] or meets(self.parameters["include"]))

    def _entry(self, path: str, stat: Stat) -> Entry:
        folder, _, name = path.rpartition("/")
        tags, media = folder_tags(folder), media_type(name)
        return Entry(path, name, "object", stat.size, media, stat.modified_at, None, tags, self.locate(path)["uri"],
                     fingerprint("object", stat.size, stat.modified_at, stat.etag, media, tags))

    def _folder_entry(self, path: str, stat: Stat) -> Entry:
        folder, _, name = path.rpartition("/")
        tags = folder_tags(folder)
        return Entry(path, name, "dir", stat.size, FOLDER, stat.modified_at, None, tags, self.locate(path)["uri"],
                     fingerprint("dir", stat.size, stat.modified_at, stat.etag, tags))

    def listed(self, below: str = "") -> Iterator[tuple[str, Stat]]:
        """Objects below the prefix, or below a path of it, by their names from there on. Some clients make empty objects for folders: none is told."""
        base = self.key(below) if below else self.base
        for name, stat in self._objects(base) if self.is_s3 else self._walked(base):
            if name and not (name.endswith("/") and not stat.size):
                yield name, stat

    def _objects(self, base: str) -> Iterator[tuple[str, Stat]]:
        """A page of the store at a time."""
        bucket, _, prefix = base.partition("/")
        prefix = prefix + "/" if prefix else ""
        token: dict[str, str] = {}
        while True:
            try:
                page = self.fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, **token)
            except Exception as error:
                raise object_error(error, base) from None
            for one in page.get("Contents") or ():
                yield one["Key"][len(prefix):], Stat(one["Size"], _stamp_of(one.get("LastModified")), etag=one.get("ETag"))
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _walked(self, base: str) -> Iterator[tuple[str, Stat]]:
        try:
            for _, _, files in self.fs.walk(base, detail=True):
                for info in files.values():
                    name = info["name"].strip("/")
                    yield name[len(base):].lstrip("/") if name.startswith(base) else name, _stat_of(info)
        except Exception as error:
            raise object_error(error, base) from None


def _leaving_note(path: str, seen: Stat) -> str:
    above, slash, _ = path.rpartition("/")
    return f"{above}{slash}{OWN_PREFIX}{fingerprint(path, seen.etag)}.leaving"


def _together(files: Sequence[FolderFile]) -> Stat:
    weight = Weight()
    for file in files:
        weight.add(from_bytes(file.inside), file.stat)
    return weight.stat


def _stat_of(info: Mapping[str, Any]) -> Stat:
    when = next((info[name] for name in ("LastModified", "last_modified", "mtime", "updated", "created") if info.get(name)), None)
    etag = info.get("ETag") or info.get("etag")
    return Stat(info.get("size"), _stamp_of(when), etag=str(etag) if etag else None)


def _stamp_of(when: Any) -> str | None:
    if isinstance(when, (int, float)):
        when = datetime.fromtimestamp(when, timezone.utc)
    return stamp(when if when.tzinfo else when.replace(tzinfo=timezone.utc)) if isinstance(when, datetime) else None
