"""Copies in an object store: put whole or in parts, proven by the store's own digests or read back, marked by metadata.

An object appears under its name when it is whole. Until then its parts belong to an upload, which a small object beside it names
(``uploads``), so that a later attempt under the same key goes on with them. From another place of the same store the store itself copies.
"""
from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from services.instances.mover import store_folders, uploads
from services.instances.mover.copying import changed, finish, is_passing, keeps_time, unchanged
from services.instances.mover.folders import hash_folder
from services.instances.mover.inspecting import inspection
from services.instances.mover.large import hash_stream
from services.instances.mover.looking import as_known, read, same_checksum, source_of
from services.instances.mover.target import exists
from services.instances.mover.work import Work
from shared.kernel.errors import Conflict, EdgemereError, NotFound, Unavailable
from shared.sources.fsspec import MARK, MOVED
from shared.sources.port import Source, Stat

PART = 8 << 20
WHOLE = 16 << 20
UPLOADS = 4
COPY_LIMIT = 5 << 30
TRASH = ".edgemere-trash"


def is_store(place: Any) -> bool:
    """Whether a place is an object store, which this module writes."""
    return getattr(place, "is_s3", False)


def copy_to_store(work: Work, item: Mapping[str, Any]) -> None:
    """Copy one item into an object store.

    Raises:
        EdgemereError: nothing is left then, but for parts where the source or the store did not answer and may again.
    """
    source, target = source_of(work, item), work.place(item, "target")
    if not target.writable:
        raise Conflict("target.not_writable", "The target does not take copies; it needs parameters.writable: true.",
                       next_step="Name another target.")
    there = _already_there(work, item, target)
    if there is not None:
        finish(work, item, *there, 0)
        return
    # What is inspected passes by here, before it has its name.
    if getattr(source, "store_key", None) == target.store_key and work.inspect is None:
        found = source.stat(item["path"])
        if (found.size or 0) <= COPY_LIMIT:
            finish(work, item, *_copy_within(work, item, source, target, found), found.size or 0)
            return
    _upload(work, item, source, target)


def _owner(item: Mapping[str, Any]) -> dict[str, str]:
    # The files of a moved folder are told by their time; they are the target's own as well.
    return {MOVED if keeps_time(item) else MARK: item["key"]}


def _is_ours(item: Mapping[str, Any], metadata: Mapping[str, str]) -> bool:
    return item["key"] in (metadata.get(MARK), metadata.get(MOVED))


def _already_there(work: Work, item: Mapping[str, Any], target: Any) -> tuple[int, str] | None:
    """Size and checksum of the copy that an earlier attempt put in place, as it is read now; None where nothing is."""
    path = item["target_path"]
    try:
        _, metadata = target.head(path, "target")
    except NotFound:
        return None
    if not _is_ours(item, metadata):
        raise exists(path)
    checksum, size = _read(work, item, target, path)
    wanted = item.get("checksum") or _read(work, item, source_of(work, item), item["path"])[0]
    if wanted != checksum:
        raise exists(path)
    return size, checksum


def _read(work: Work, item: Mapping[str, Any], place: Source, path: str) -> tuple[str, int]:
    with place.open(path) as stream:
        return hash_stream(work, item, stream, path)


def _copy_within(work: Work, item: Mapping[str, Any], source: Any, target: Any, before: Stat) -> tuple[int, str]:
    """Let the store copy, then read the copy: its bytes never pass twice, and are known all the same."""
    as_known(item, before)
    bucket, key = source.bucket_and_key(item["path"])
    match = {"CopySourceIfMatch": before.etag} if before.etag else {}
    target.call("copy_object", item["target_path"], "target", CopySource={"Bucket": bucket, "Key": key},
                MetadataDirective="REPLACE", Metadata=_owner(item), **match)
    try:
        checksum, size = _read(work, item, target, item["target_path"])
        if before.size is not None and size != before.size:
            raise changed(item["path"])
        unchanged(source, item["path"], before)
        same_checksum(item, checksum)
    except BaseException:
        target.call("delete_object", item["target_path"], "target")
        raise
    return size, checksum


def _upload(work: Work, item: Mapping[str, Any], source: Source, target: Any) -> None:
    path = item["path"]
    with source.open(path) as stream:
        before: Stat = stream.stat
        as_known(item, before)
        first = _filled(work, item, stream, WHOLE)
        with inspection(work, item, before.size) as looks:
            upload = _Whole(work, item, target, looks) if len(first) < WHOLE else _Parts(work, item, target, looks)
            try:
                size, checksum = upload.send(first, stream, before)
                if before.size is not None and size != before.size:
                    raise changed(path)
                unchanged(source, path, before)
                same_checksum(item, checksum)
                looks.end(checksum)
                proven = upload.complete()
            except BaseException as error:
                upload.give_up(keep=is_passing(error))
                raise
    if not proven:
        # The digests of this store are not those of the bytes (it encrypts, for example): so it is read back.
        try:
            if _read(work, item, target, item["target_path"])[0] != checksum:
                raise Unavailable("checksum_mismatch", f"What was written to '{item['target_path']}' is not what is read back.",
                                  next_step="Look at the target's store.")
        except BaseException:
            target.call("delete_object", item["target_path"], "target")
            raise
    finish(work, item, size, checksum, size, resumed_bytes=upload.resumed)


def _filled(work: Work, item: Mapping[str, Any], stream: Any, count: int) -> bytes:
    """``count`` bytes, or what is left."""
    pieces, left = [], count
    while left and (piece := read(stream, left, item["path"])):
        work.pace(item, len(piece))
        work.check()
        pieces.append(piece)
        left -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _digest(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class _Whole:
    """One small object, put at once when its source was found unchanged."""

    resumed = 0

    def __init__(self, work: Work, item: Mapping[str, Any], target: Any, looks: Any) -> None:
        self._work, self._item, self._target, self._looks = work, item, target, looks
        self._content = b""

    def send(self, first: bytes, stream: Any, before: Stat) -> tuple[int, str]:
        self._content = first
        self._looks.feed(first)
        return len(first), "sha256:" + hashlib.sha256(first).hexdigest()

    def complete(self) -> bool:
        """Whether the store's own digest proves the bytes."""
        self._work.check()
        answer = self._target.call("put_object", self._item["target_path"], "target", Body=self._content,
                                   Metadata=_owner(self._item), IfNoneMatch="*")
        return answer["ETag"].strip('"') == _digest(self._content)

    def give_up(self, keep: bool) -> None:
        return None


class _Parts:
    """An upload in parts, a few at a time; goes on with the parts that are there under the item's key."""

    def __init__(self, work: Work, item: Mapping[str, Any], target: Any, looks: Any) -> None:
        self._work, self._item, self._target, self._looks = work, item, target, looks
        self.resumed = 0
        self._there: dict[int, tuple[int, str]] = {}
        self._upload = self._begun() or uploads.begin(work, item, target, _owner(item))
        self._etags: dict[int, str] = {}
        self._proven = True

    def _begun(self) -> str | None:
        """The upload of an earlier attempt, with its parts; None where there is none that goes on."""
        path = self._item["target_path"]
        upload = uploads.known(self._target, path, self._item["key"])
        marker: dict[str, Any] = {}
        while upload is not None:
            try:
                page = self._target.call("list_parts", path, "target", UploadId=upload, **marker)
            except NotFound:
                self._there = {}
                return None
            for part in page.get("Parts") or ():
                self._there[part["PartNumber"]] = (part["Size"], part["ETag"].strip('"'))
            if not page.get("IsTruncated"):
                break
            marker = {"PartNumberMarker": page["NextPartNumberMarker"]}
        return upload

    def send(self, first: bytes, stream: Any, before: Stat) -> tuple[int, str]:
        digest, size, number = hashlib.sha256(), 0, 0
        under_way: deque[Any] = deque()
        # A source of unknown size may be huge: parts grow, for there may be 10,000 of them.
        pieces = [first[:PART], first[PART:]]
        with ThreadPoolExecutor(UPLOADS, thread_name_prefix="upload") as pool:
            try:
                while True:
                    part = max(PART, -(-(before.size or 0) // 9000))
                    piece = pieces.pop(0) if pieces else _filled(self._work, self._item, stream, part * (1 + number // 1000 if before.size is None else 1))
                    if not piece:
                        break
                    number += 1
                    under_way.append(pool.submit(self._part, number, piece))
                    digest.update(piece)
                    self._looks.feed(piece)
                    size += len(piece)
                    while len(under_way) > UPLOADS or under_way and under_way[0].done():
                        under_way.popleft().result()
                    self._work.check()
                    self._work.progress(self._item["key"], size, before.size, "copying")
                self._work.progress(self._item["key"], size, before.size, "verifying")
                while under_way:
                    under_way.popleft().result()
            finally:
                for future in under_way:
                    future.cancel()
        return size, "sha256:" + digest.hexdigest()

    def _part(self, number: int, piece: bytes) -> None:
        digest = _digest(piece)
        if self._there.get(number) == (len(piece), digest):
            self.resumed += len(piece)
            self._etags[number] = f'"{digest}"'
            return
        if self._work.cancelled:
            return
        answer = self._target.call("upload_part", self._item["target_path"], "target", UploadId=self._upload, PartNumber=number, Body=piece)
        self._etags[number] = answer["ETag"]
        self._proven = self._proven and answer["ETag"].strip('"') == digest

    def complete(self) -> bool:
        """Make it an object; whether the store's own digests of the parts prove the bytes."""
        self._work.check()
        self._target.call("complete_multipart_upload", self._item["target_path"], "target", UploadId=self._upload, IfNoneMatch="*",
                          MultipartUpload={"Parts": [{"PartNumber": number, "ETag": self._etags[number]} for number in sorted(self._etags)]})
        self._target.call("delete_object", uploads.note_of(self._item["target_path"], self._item["key"]), "target")
        return self._proven

    def give_up(self, keep: bool) -> None:
        if keep:
            return
        path = self._item["target_path"]
        try:
            uploads.end(self._target, path, [uploads.note_of(path, self._item["key"])], self._upload)
        except EdgemereError:
            pass  # What the store keeps now goes with the instance.


def discard(work: Work, item: Mapping[str, Any], target: Any) -> None:
    """Take a copy off its path, into the trash of its source."""
    path = item["target_path"]
    try:
        _, metadata = target.head(path, "target")
    except NotFound:
        trashed, foreign = store_folders.carry(item, target, path, f"{TRASH}/{item['key']}", _copied)
        work.ok(item, trashed=trashed, foreign=foreign and not trashed)
        return
    if not _is_ours(item, metadata):
        work.ok(item, trashed=False, foreign=True)
        return
    _copied(target, path, f"{TRASH}/{item['key']}")
    work.ok(item, trashed=True, foreign=False)


def restore(work: Work, item: Mapping[str, Any], target: Any) -> None:
    """Put a copy back and read it."""
    path, trash = item["target_path"], f"{TRASH}/{item['key']}"
    try:
        if not _is_ours(item, target.head(path, "target")[1]):
            raise exists(path)
    except NotFound:
        try:
            target.head(trash, "target")
        except NotFound:
            _restore_folder(work, item, target)
            return
        _copied(target, trash, path)
    checksum, size = _read(work, item, target, path)
    same_checksum({**item, "path": path}, checksum)
    work.ok(item, moved=size, **target.locate(path), size=size, checksum=checksum, verified="checksum")


def _restore_folder(work: Work, item: Mapping[str, Any], target: Any) -> None:
    path, trash = item["target_path"], f"{TRASH}/{item['key']}"
    if store_folders.ours_below(item, target, path)[1]:
        raise exists(path)
    store_folders.carry(item, target, trash, path, _copied)
    if not store_folders.ours_below(item, target, path)[0]:
        raise NotFound("target.trash_empty", f"There is nothing in the trash to restore '{path}' from.", next_step="Ask for the data again.")
    size, checksum = hash_folder(work, item, target, path)
    same_checksum({**item, "path": path}, checksum)
    work.ok(item, moved=size, **target.locate(path), size=size, checksum=checksum, verified="checksum")


def purge(work: Work, item: Mapping[str, Any], target: Any) -> None:
    """Remove whatever is left of a copy: in the trash, in the making, at its path."""
    purged = False
    for path in (f"{TRASH}/{item['key']}", item["target_path"]):
        try:
            if _is_ours(item, target.head(path, "target")[1]):
                target.call("delete_object", path, "target")
                purged = True
        except NotFound:
            purged = store_folders.remove(item, target, path) or purged
    path = item["target_path"]
    purged = uploads.end(target, path, [uploads.note_of(path, item["key"])]) or purged
    work.ok(item, purged=purged)


def _copied(target: Any, old: str, new: str) -> None:
    bucket, key = target.bucket_and_key(old)
    target.call("copy_object", new, "target", CopySource={"Bucket": bucket, "Key": key}, MetadataDirective="COPY")
    target.call("delete_object", old, "target")
