"""One large copy: into a part, verified, forced to the device, and named.

How its bytes get there depends on where they come from: ``file_copy.py`` and ``stream_copy.py``. Whatever was verified where, the copy
gets its final name after an fsync. At most COPIES files at a time.
"""
from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping
from typing import Any

from services.instances.mover.copying import already_there, changed, finish, is_passing, keep_time, unchanged
from services.instances.mover.file_copy import FileCopy, Origin, not_read_back
from services.instances.mover.inspecting import inspection
from services.instances.mover.looking import as_known, read, same_checksum, source_of
from services.instances.mover.part import Part
from services.instances.mover.stream_copy import StreamCopy
from services.instances.mover.target import Spot, exists, rename_new, sync_folders, target_error
from services.instances.mover.work import Work
from shared.sources.beneath import Folder
from shared.sources.port import Source, Stat

COPIES = 2
_places = threading.Semaphore(COPIES)


def hash_stream(work: Work, item: Mapping[str, Any], stream: Any, path: str) -> tuple[str, int]:
    """``sha256:…`` and the number of bytes of a stream."""
    digest, size = hashlib.sha256(), 0
    while piece := read(stream, 1 << 20, path):
        digest.update(piece)
        size += len(piece)
        work.check()
        work.progress(item["key"], size, item.get("size"), "verifying")
    return "sha256:" + digest.hexdigest(), size


def copy_large(work: Work, item: Mapping[str, Any]) -> None:
    """Copy one item; going on with the part that an earlier attempt under its key left.

    Raises:
        EdgemereError: nothing is left then, but for a part where the source did not answer and may again.
    """
    source = source_of(work, item)
    spot = Spot(work.place(item, "target"), item["key"], item["target_path"])
    while not _places.acquire(timeout=0.2):
        work.check()
    try:
        there = already_there(work, item, spot)
        if there is not None:
            finish(work, item, *there, 0)
            return
        folder = spot.folder(create=True)
        part = Part(spot, folder)
        try:
            size, checksum = (_from_file if hasattr(source, "root") else _from_afar)(work, item, source, part)
            _place(work, spot, folder, part)
        except BaseException as error:
            part.close(keep=is_passing(error))
            raise
        part.close(keep=True)
        part.forget_state()
        finish(work, item, size, checksum, size, resumed_bytes=part.resumed)
    except OSError as error:
        raise target_error(error, spot.shown()) from None
    finally:
        _places.release()


def _place(work: Work, spot: Spot, folder: Folder, part: Part) -> None:
    os.fsync(part.fd)
    work.check()
    try:
        rename_new(folder.fd, spot.part, folder.fd, spot.name)
    except FileExistsError:
        raise exists(spot.shown()) from None
    sync_folders(spot.root, {spot.folder_path})


def _from_file(work: Work, item: Mapping[str, Any], source: Source, part: Part) -> tuple[int, str]:
    """Size and checksum of what is in the part, from a file of this machine. Raises as ``copy_large``."""
    path = item["path"]
    with source.open(path) as stream:
        origin = Origin(source, path, stream)
        as_known(item, origin.before)
        part.cut(origin.before.size or 0)
        with inspection(work, item, origin.before.size) as looks:
            copying = FileCopy(work, item, origin, part, looks)
            size = copying.run()
            origin.untouched()
            if size != origin.before.size:
                raise changed(path)
            keep_time(item, part.fd, origin.before)
            checksum = "sha256:" + copying.digest.hexdigest()
            if item.get("checksum") and item["checksum"] != checksum:
                # Either of the two is not what it should be: the source is asked for its own.
                same_checksum(item, hash_stream(work, item, stream, path)[0])
                raise not_read_back(path)
            looks.end(checksum)
    return size, checksum


def _from_afar(work: Work, item: Mapping[str, Any], source: Source, part: Part) -> tuple[int, str]:
    """The same from any other source, which is not read again for what an earlier attempt left."""
    path = item["path"]
    known = part.state() if part.length else {}
    part.cut(int(known.get("synced") or 0))
    stream: Any = source.open(path, part.length)
    try:
        before: Stat = stream.stat
        if part.length and (not before.etag or before.etag != known.get("etag") or before.size != known.get("size")):
            stream.close()
            part.cut(0)
            stream = source.open(path)
            before = stream.stat
        as_known(item, before)
        if before.size is not None:
            part.cut(before.size)
        with inspection(work, item, before.size) as looks:
            copying = StreamCopy(work, item, stream, part, looks)
            size = copying.run()
            if before.size is not None and size != before.size:
                raise changed(path)
            unchanged(source, path, before)
            keep_time(item, part.fd, before)
            checksum = "sha256:" + copying.digest.hexdigest()
            same_checksum(item, checksum)
            looks.end(checksum)
    finally:
        stream.close()
    return size, checksum
