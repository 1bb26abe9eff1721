"""The adaptor ``fsspec``: what lies under a URL of an object store or of another file system that fsspec can open; tested with S3.

Parameters
- ``url``: ``s3://bucket/prefix`` and its like, of one of SCHEMES. What lies below it are the items; nothing leads out of it.
- ``storage_options``: what the file system of the scheme takes (S3: ``key``, ``secret``, ``token``, ``endpoint_url``, ``region``, ``anon``);
  secrets by reference: ``{"secret": "NAME"}`` or ``"${NAME}"``. Without any the store is asked as nobody: credentials of the
  machine itself are never used.
- ``writable`` (false): whether copies may be put there (S3 only). ``deletable`` (as ``writable``): whether a move may delete there.
- ``include``, ``exclude``: patterns of paths; one without a slash is compared with the name.

An object's checksum is not known to a scan; its ETag notices changes. Copies carry their key as metadata and are no items; so a
scan of a writable source asks for the head of each object. Imports fsspec when a source is opened, in worker processes only.
"""
from __future__ import annotations

import fnmatch
import functools
import re
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timezone
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

from shared.kernel.clock import stamp
from shared.kernel.errors import Conflict, EdgemereError, Invalid, NotFound
from shared.sources.addresses import check_reachable, literal_allowed, not_allowed
from shared.sources.media import media_type
from shared.sources.object_errors import object_error
from shared.sources.object_stream import AHEAD, ObjectStream, ReadSpan, S3Span, Span
from shared.sources.paths import OWN_PREFIX, from_bytes, to_bytes
from shared.sources.port import Entry, Problem, SourcePolicy, Stat
from shared.sources.registry import bad_parameters, optional, texts
from shared.sources.store_options import S3, check_options, google_key
from shared.sources.tags import fingerprint, folder_tags
from shared.sources.vault import resolved

PARAMETERS = ("url", "storage_options", "writable", "deletable", "include", "exclude")
# Schemes that name a server. What reads this machine's disk, or wraps another URL, is not among them.
SCHEMES = (*S3, "gs", "gcs", "abfs", "abfss", "az", "sftp", "ssh", "ftp", "smb", "memory")
# As whom a store is asked when no credential is given: as nobody, never as this machine.
NOBODY: dict[str, dict[str, Any]] = {
    "gs": {"token": "anon"}, "gcs": {"token": "anon"}, "abfs": {"anon": True}, "abfss": {"anon": True}, "az": {"anon": True},
    "sftp": {"look_for_keys": False, "allow_agent": False}, "ssh": {"look_for_keys": False, "allow_agent": False}}
MARK = "edgemere-key"
_HOSTED = ("sftp", "ssh", "ftp", "smb")
_ADDRESSES = ("endpoint_url", "host", "account_host", "base_url", "gateway")


def check(parameters: Mapping[str, Any], policy: SourcePolicy) -> dict[str, Any]:
    """The parameters with defaults; looks at no server. Raises as ``registry.check_parameters``."""
    url = optional(parameters, "url", str, "")
    scheme, separator, rest = url.partition("://")
    if not separator or not rest.strip("/"):
        raise bad_parameters("url", "is not a URL such as s3://bucket/prefix" if url else "is missing: a URL such as s3://bucket/prefix",
                             'For example {"url": "s3://bucket/prefix"}.')
    if "::" in url or scheme not in SCHEMES:
        wanted = {"file": "use the adaptor file for folders", "http": "use the adaptor http", "https": "use the adaptor http"}
        raise bad_parameters("url", f"has a scheme that is not one of {', '.join(SCHEMES)}", wanted.get(scheme, "Use one of these schemes.").capitalize())
    if "?" in url or "#" in url or "@" in rest.split("/")[0]:
        raise bad_parameters("url", "holds a query, a fragment or a user; options belong in storage_options")
    if any(part in (".", "..") for part in rest.split("/")) or any(ord(c) < 32 or ord(c) == 127 for c in url):
        raise bad_parameters("url", "holds '..' or characters that no address has")
    options = optional(parameters, "storage_options", dict, {})
    check_options(scheme, options)
    for name, address in _addresses(scheme, rest, options):
        host, port = _host_of(address)
        if not literal_allowed(host, port, policy):
            refused = not_allowed(host)
            refused.errors = [{"pointer": f"/parameters/{name}", "detail": refused.detail}]
            raise refused
    writable = optional(parameters, "writable", bool, False)
    if writable and scheme not in S3:
        raise bad_parameters("writable", "is possible for s3 only; other stores are read")
    return {"url": url.rstrip("/"), "storage_options": options, "writable": writable,
            "deletable": optional(parameters, "deletable", bool, writable),
            "include": texts(parameters, "include"), "exclude": texts(parameters, "exclude")}


def _addresses(scheme: str, rest: str, options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every server that the parameters name, with the parameter."""
    if scheme in _HOSTED:
        yield "url", rest.split("/")[0]
    for where, group in (("storage_options", options), ("storage_options/client_kwargs", options.get("client_kwargs") or {})):
        if not isinstance(group, Mapping):
            raise bad_parameters(where, "is not an object")
        for name in _ADDRESSES:
            if isinstance(group.get(name), str):
                yield f"{where}/{name}", group[name]


def _host_of(address: str) -> tuple[str, int]:
    split = urlsplit(address if "://" in address else f"//{address}")
    try:
        return split.hostname or "", split.port or {"http": 80, "https": 443}.get(split.scheme, 443)
    except ValueError:
        raise bad_parameters("storage_options", "holds an address that is none") from None


def open_source(parameters: Mapping[str, Any], policy: SourcePolicy) -> FsspecSource:
    kept = check(parameters, policy)
    scheme, _, rest = kept["url"].partition("://")
    options = google_key(scheme, resolved(kept["storage_options"], policy))
    for _, address in _addresses(scheme, rest, options):
        # Judged as it resolves now. The client resolves it once more; in a worker process ``addresses`` judges where that leads, too.
        check_reachable(*_host_of(address), policy)
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
            return {**NOBODY.get(self.scheme, {}), **({"host": self.base.split("/")[0]} if self.scheme in _HOSTED else {}), **given}
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
        return self.head(path)[0]

    reachable = stat

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
        found = self.stat(path)

        def begin(start: int, count: int) -> Span:
            if self.is_s3:
                return S3Span(self.fs, *self.bucket_and_key(path), path, (start, count), found.etag)
            return ReadSpan(self._readers, functools.partial(self.read_piece, path), (start, count))
        return ObjectStream(found, offset, begin)  # type: ignore[return-value]

    def locate(self, path: str) -> dict[str, str | None]:
        return {"uri": f"{self.scheme}://{quote(self.key(path), safe='/-_.~!$&()*+,;=:@ ')}".replace(" ", "%20"), "path": None}

    def delete(self, path: str, seen: Stat) -> bool:
        """As the port says."""
        try:
            now = self.stat(path)
        except NotFound:
            return False
        if (now.size, now.etag) != (seen.size, seen.etag):
            raise Conflict("source.changed", f"'{path}' changed after it was moved and was not deleted.", next_step="Scan the source again.")
        if self.is_s3:
            self.call("delete_object", path)
        else:
            try:
                self.fs.rm_file(self.key(path))
            except Exception as error:
                raise object_error(error, path) from None
        return True

    def fingerprint(self, path: str) -> str | None:
        """As the port says."""
        return self._entry(path, self.stat(path)).fingerprint

    def scan(self) -> Iterator[Entry | Problem]:
        listed = self._objects() if self.is_s3 else self._walked()
        with ThreadPoolExecutor(8) as pool:
            waiting: deque[Future[Entry | Problem | None]] = deque()
            for name, stat in listed:
                if not (name.endswith("/") and not stat.size):
                    waiting.append(pool.submit(self._item, name, stat))
                while len(waiting) > 256 or (waiting and waiting[0].done()):
                    if (item := waiting.popleft().result()) is not None:
                        yield item
            for future in waiting:
                if (item := future.result()) is not None:
                    yield item

    def _item(self, name: str, stat: Stat) -> Entry | Problem | None:
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
        return self._entry(path, stat)

    def _wanted(self, path: str) -> bool:
        def meets(patterns: list[str]) -> bool:
            return any(re.match(fnmatch.translate(one.rstrip("/") + ("/*" if one.endswith("/") else "")),
                                path if "/" in one else path.rpartition("/")[2]) for one in patterns)
        return not meets(self.parameters["exclude"]) and (not self.parameters["include"] or meets(self.parameters["include"]))

    def _entry(self, path: str, stat: Stat) -> Entry:
        folder, _, name = path.rpartition("/")
        tags, media = folder_tags(folder), media_type(name)
        return Entry(path, name, "object", stat.size, media, stat.modified_at, None, tags, self.locate(path)["uri"],
                     fingerprint("object", stat.size, stat.modified_at, stat.etag, media, tags))

    def _objects(self) -> Iterator[tuple[str, Stat]]:
        """Names below the prefix, a page of the store at a time."""
        bucket, _, prefix = self.base.partition("/")
        prefix = prefix + "/" if prefix else ""
        token: dict[str, str] = {}
        while True:
            try:
                page = self.fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, **token)
            except Exception as error:
                raise object_error(error, self.base) from None
            for one in page.get("Contents") or ():
                yield one["Key"][len(prefix):], Stat(one["Size"], _stamp_of(one.get("LastModified")), etag=one.get("ETag"))
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _walked(self) -> Iterator[tuple[str, Stat]]:
        try:
            for _, _, files in self.fs.walk(self.base, detail=True):
                for info in files.values():
                    name = info["name"].strip("/")
                    yield name[len(self.base):].lstrip("/") if name.startswith(self.base) else name, _stat_of(info)
        except Exception as error:
            raise object_error(error, self.base) from None


def _stat_of(info: Mapping[str, Any]) -> Stat:
    when = next((info[name] for name in ("LastModified", "last_modified", "mtime", "updated", "created") if info.get(name)), None)
    etag = info.get("ETag") or info.get("etag")
    return Stat(info.get("size"), _stamp_of(when), etag=str(etag) if etag else None)


def _stamp_of(when: Any) -> str | None:
    if isinstance(when, (int, float)):
        when = datetime.fromtimestamp(when, timezone.utc)
    return stamp(when if when.tzinfo else when.replace(tzinfo=timezone.utc)) if isinstance(when, datetime) else None
