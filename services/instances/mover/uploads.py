"""Uploads in parts, each named by a small object beside its target, so that none stays in a store that nobody knows.

The note (``.edgemere-<hash of key>.upload``) is there before its upload is: ``{"key", "path"}`` say whose it is (of a file in a folder:
the folder's), ``object`` what it makes, and then ``upload`` its id. Until that is known, ``before`` has the uploads to the same object that
there were already (null where they may not be listed): one that began right after such a note, and is none of them, was begun by whoever
died in between. Another's is never ended.
"""
from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from services.instances.mover.work import Work
from shared.kernel.errors import Denied, EdgemereError
from shared.sources.object_errors import object_error
from shared.sources.own_objects import NOTE_BYTES, UPLOAD_NOTE
from shared.sources.paths import OWN_PREFIX

# So long after its note an upload may begin; both times are the store's. Longer than a request to begin it is tried.
BEGINS_WITHIN = timedelta(minutes=2)


def note_of(path: str, key: str) -> str:
    """Where the note of the upload to ``path`` under this key is."""
    folder, slash, _ = path.rpartition("/")
    return f"{folder}{slash}{OWN_PREFIX}{hashlib.blake2b(key.encode(), digest_size=12).hexdigest()}{UPLOAD_NOTE}"


def begin(work: Work, item: Mapping[str, Any], target: Any, metadata: Mapping[str, str]) -> str:
    """Begin an upload to the item's target path, with its note; its id. Raises EdgemereError."""
    path, whole = item["target_path"], work.outermost(item)
    note = note_of(path, item["key"])
    bucket, key = target.bucket_and_key(path)
    try:
        before = [one["UploadId"] for one in under(target, path, bucket, key) if one["Key"] == key]
    except Denied:
        before = None  # Whoever may not list uploads could not find one later, either.
    said = {"key": whole["key"], "path": whole["target_path"], "object": key}
    _write(target, note, {**said, "before": before})
    upload: str = target.call("create_multipart_upload", path, "target", Metadata=metadata)["UploadId"]
    _write(target, note, {**said, "upload": upload})
    return upload


def known(target: Any, path: str, key: str) -> str | None:
    """The upload to ``path`` that its note names; one that was killed before it was named is ended. Raises EdgemereError."""
    said = _read(target, note_of(path, key))
    if said is None or "upload" in said:
        return said and said["upload"]
    end(target, path, [note_of(path, key)])
    return None


def end(target: Any, path: str, notes: Sequence[str], upload: str | None = None) -> bool:
    """Throw away the uploads at and below ``path`` that these notes name, and the notes; False where there was nothing.

    ``upload``: one that is known, whatever its note says. Raises EdgemereError: some may be left, and so are the notes.
    """
    said = [one for note in notes if (one := _read(target, note)) is not None]
    if not said and upload is None:
        return False
    bucket, key = target.bucket_and_key(path)
    ended = {(key, upload)} if upload is not None else set()
    ended |= {(note["object"], note["upload"]) for note in said if {"object", "upload"} <= note.keys()}
    # Those of which nobody knows the id; and notes of an earlier release do not say which object theirs is of.
    if unknown := [note for note in said if not {"object", "upload"} <= note.keys() and note.get("before", ()) is not None]:
        ended |= {(one["Key"], one["UploadId"]) for one in under(target, path, bucket, key) if any(_is_named(one, note) for note in unknown)}
    for name, one in sorted(ended):
        try:
            target.fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=name, UploadId=one)
        except Exception as error:
            if (meant := object_error(error, path, "target")).status != 404:
                raise meant from None
    target.remove(list(notes), "target")
    return True


def _is_named(upload: Mapping[str, Any], note: Mapping[str, Any]) -> bool:
    if "upload" in note:
        return upload["UploadId"] == note["upload"]
    began: datetime = upload["Initiated"]
    # A store tells whole seconds in some places.
    return (upload["Key"] == note["object"] and upload["UploadId"] not in note["before"]
            and timedelta(seconds=-1) <= began - note["written"] <= BEGINS_WITHIN)


def _write(target: Any, note: str, said: Mapping[str, Any]) -> None:
    target.call("put_object", note, "target", Body=json.dumps(said).encode())


def _read(target: Any, note: str) -> dict[str, Any] | None:
    """What a note says, and when it was ``written``; None where there is none, or it is none of ours."""
    try:
        answer = target.call("head_object", note, "target")
        said = json.loads(target.read_piece(note, 0, NOTE_BYTES))
    except ValueError:
        return None
    except EdgemereError as error:
        if error.status == 404:
            return None
        raise
    if isinstance(said, dict) and ("upload" in said or {"object", "before"} <= said.keys()):
        return {**said, "written": answer["LastModified"]}
    return None


def under(target: Any, path: str, bucket: str, prefix: str) -> Iterator[Mapping[str, Any]]:
    """The uploads under way to objects whose names begin so. Raises what ``object_error`` says."""
    more: dict[str, Any] = {}
    while True:
        try:
            page = target.fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix, **more)
        except Exception as error:
            raise object_error(error, path, "target") from None
        yield from page.get("Uploads") or ()
        if not page.get("IsTruncated"):
            return
        more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
