"""A folder that is one Data: copied file by file under a temporary name, verified file by file, renamed as one.

Its files are copied as any others are, by a job of their own from the one folder to the other, each under a key made of the
folder's; so a later attempt goes on with the files that are there. The checksum of the whole is that of its manifest.
Into an object store it goes without a temporary name: ``store_folders.py``.
"""
from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from services.instances.mover.copying import changed, finish, is_passing, unchanged
from services.instances.mover.inspecting import NOTHING, in_place
from services.instances.mover.looking import as_known, read, same_checksum, source_of
from services.instances.mover.target import Spot, exists, mark, mark_of, remove_empty, rename_new, sync_folders, target_error
from services.instances.mover.work import Work
from shared.kernel.errors import Conflict, Unavailable, from_payload
from shared.sources.beneath import Folder, Root
from shared.sources.file import FileSource
from shared.sources.folders import FolderFile, files_of, manifest_checksum
from shared.sources.paths import COPY_MARK, from_bytes, to_bytes

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
PIECE = 1 << 20
# Files of a store are read beside each other: each waits for it most of the time.
READERS = 8


def is_folder(work: Work, item: Mapping[str, Any]) -> bool:
    """Whether the item's source holds a folder as one Data at its path."""
    source = work.place(item, "source")
    return hasattr(source, "is_folder") and source.is_folder(item["path"])


def copy_folder(work: Work, item: Mapping[str, Any]) -> None:
    """Copy one folder.

    Raises:
        EdgemereError: nothing is left then, but for a part where the source did not answer and may again.
    """
    from services.instances.mover.store_folders import copy_folder_to_store

    source, target = source_of(work, item), work.place(item, "target")
    if not hasattr(target, "keeps_folder"):
        raise Conflict("target.not_writable", f"'{item['path']}' is a folder that is one data; the target does not take those.",
                       next_step="Name a folder of this machine or an object store as the target, leave or mount the data, or store its archive: "
                                 "edgemere do datainstance content.")
    if item.get("moves") and not target.keeps_folder(item["target_path"]):
        raise Conflict("target.not_writable", f"The target would not keep '{item['target_path']}' as one: its folders_as_data do not name it.",
                       next_step="Add it to parameters.folders_as_data of the target, or ask for a copy.")
    if not isinstance(target, FileSource):
        copy_folder_to_store(work, item, source, target)
        return
    spot = Spot(target, item["key"], item["target_path"])
    try:
        if (there := _already_there(work, item, spot)) is not None:
            finish(work, item, *there, 0)
            return
        folder = spot.folder(create=True)
        try:
            before = source.stat(item["path"])
            as_known(item, before)
            _part(spot, folder)
            sums = _copy_into_part(work, item, source, spot)
            unchanged(source, item["path"], before)
            checksum = manifest_checksum(sums.items())
            same_checksum(item, checksum)
            _place(work, spot, folder)
        except BaseException as error:
            if not is_passing(error):
                remove_tree(spot.root, folder, spot.part)
                remove_empty(spot.root, spot.folder_path)
            raise
    except OSError as error:
        raise target_error(error, spot.shown()) from None
    finish(work, item, before.size or 0, checksum, before.size or 0)


def hash_folder(work: Work, item: Mapping[str, Any], place: Any, path: str, stays: bool = False) -> tuple[int, str]:
    """Bytes and checksum of a folder of a source, every file of it read. ``stays``: it is made available there, so it may have to be inspected.

    Raises ``source.unreadable`` and its like, and as ``Inspection``.
    """
    files: list[FolderFile] = place.folder_files(path)
    lock, done = threading.Lock(), 0

    def hashed(file: FolderFile) -> tuple[bytes, str]:
        nonlocal done
        digest = hashlib.sha256()
        said = {**item, "path": file.below(path), "media_type": None}
        with place.open(file.below(path)) as stream, in_place(work, said, file.stat.size) if stays else NOTHING as looks:
            while piece := read(stream, PIECE, path):
                digest.update(piece)
                looks.feed(piece)
                work.check()
                with lock:
                    done += len(piece)
                work.progress(item["key"], done, item.get("size"), "verifying")
            checksum = "sha256:" + digest.hexdigest()
            looks.end(checksum)
        return file.inside, checksum
    if isinstance(place, FileSource):
        sums = [hashed(file) for file in files]
    else:
        with ThreadPoolExecutor(READERS, thread_name_prefix="folder") as pool:
            sums = list(pool.map(hashed, files))
    return done, manifest_checksum(sums)


def unmark_files(root: Root, path: str) -> None:
    """The files of a folder that was moved are the target's own: their marks go. Raises OSError."""
    native = to_bytes(path)
    for inside, _ in files_of(root, native):
        above, _, name = (native + b"/" + inside).rpartition(b"/")
        folder = root.folder(above)
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder.fd)
        try:
            if mark_of(fd) is not None:
                os.removexattr(fd, COPY_MARK)
        finally:
            os.close(fd)


def remove_tree(root: Root, folder: Folder, name: bytes) -> bool:
    """Remove a folder with all that is in it, never through a link; False where it is not there."""
    try:
        shutil.rmtree(name, dir_fd=folder.fd)
    except FileNotFoundError:
        return False
    finally:
        root.forget_all()
    return True


def _already_there(work: Work, item: Mapping[str, Any], spot: Spot) -> tuple[int, str] | None:
    try:
        folder = spot.folder()
    except FileNotFoundError:
        return None
    ours = spot.is_ours(folder, spot.name)
    if ours is None:
        return None
    if not ours:
        raise exists(spot.shown())
    size, checksum = hash_folder(work, item, work.place(item, "target"), item["target_path"])
    if checksum != (item.get("checksum") or hash_folder(work, item, source_of(work, item), item["path"])[1]):
        raise exists(spot.shown())
    remove_tree(spot.root, folder, spot.part)
    return size, checksum


def _part(spot: Spot, folder: Folder) -> None:
    """Make the folder under its temporary name, or find it."""
    try:
        os.mkdir(spot.part, dir_fd=folder.fd)
    except FileExistsError:
        pass
    fd = os.open(spot.part, _FOLDER, dir_fd=folder.fd)
    try:
        mark(fd, spot.key)
    finally:
        os.close(fd)


def _copy_into_part(work: Work, item: Mapping[str, Any], source: Any, spot: Spot) -> dict[bytes, str]:
    """Copy every file into the part; their checksums by path in it."""
    part = spot.folder_path + b"/" + spot.part if spot.folder_path else spot.part
    sums = copy_files(work, item, source, source.folder_files(item["path"]), (_folder_at(spot.root, part, writable=True), ""))
    # What an earlier attempt brought and the source has no more, or what is no part of it.
    spot.root.forget_all()
    for inside, _ in files_of(spot.root, part):
        if inside not in sums:
            raise changed(item["path"])
    return sums


def inner_key(key: str, inside: bytes) -> str:
    """The key of a file of the folder with this key."""
    return f"{key[:150]}:{hashlib.blake2b(inside, digest_size=12).hexdigest()}"


def copy_files(work: Work, item: Mapping[str, Any], source: Any, files: Sequence[FolderFile], target: tuple[Mapping[str, Any], str]) -> dict[bytes, str]:
    """Copy the files of a folder to ``target``, a place and what goes before their paths there; their checksums by path in the folder.

    Raises:
        EdgemereError: what the first that was not copied says.
    """
    place, before = target
    if isinstance(source, FileSource):
        inner = _Inner(work, item, {"s": _folder_at(source.root, to_bytes(item["path"])), "t": place})
        origin = ""
    else:
        inner = _Inner(work, item, {"s": of_files(work.described(item, "source")), "t": place})
        origin = item["path"] + "/"
    keys = {inner_key(item["key"], file.inside): file for file in files}
    results = inner.copied([{
        "key": key, "source": "s", "path": origin + (path := from_bytes(file.inside)), "target": "t", "target_path": before + path,
        "size": file.stat.size, "keeps_time": bool(item.get("moves"))} for key, file in keys.items()])
    for result in results:
        if not result["ok"]:
            raise from_payload(result["error"])
    if len(results) != len(files):
        raise Unavailable("source.unreadable", f"Not every file of '{item['path']}' was copied.", next_step="Try again.")
    return {keys[result["key"]].inside: result["checksum"] for result in results}


def of_files(place: Mapping[str, Any]) -> dict[str, Any]:
    """A place as that of each of its files: none of its folders is one data there."""
    return {**place, "parameters": {**(place.get("parameters") or {}), "folders_as_data": []}}


def _folder_at(root: Root, native: bytes, **more: Any) -> dict[str, Any]:
    return {"adaptor": "file", "parameters": {"rootdir": os.fsdecode(os.path.join(root.native, native)), **more}}


class _Inner:
    """The job that copies the files of a folder, inside the job of the folder, whose limits hold for them."""

    def __init__(self, work: Work, item: Mapping[str, Any], places: Mapping[str, Mapping[str, Any]]) -> None:
        self._outer, self._item = work, item
        self.outer = (work, item)
        self.id, self.elapsed_s = "", 0.0
        self.body = {"id": "", "op": "copy", "policy": work.body.get("policy"), "verify": work.body.get("verify"), "inspect": work.inspect,
                     "sources": dict(places)}
        self.results: list[dict[str, Any]] = []
        self._done = 0

    @property
    def cancelled(self) -> bool:
        return self._outer.cancelled or any(not result["ok"] for result in self.results)

    def copied(self, items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Copy these files; their results."""
        from services.instances.mover.copying import copy

        self.body["items"] = list(items)
        copy(self)  # type: ignore[arg-type]
        return self.results

    def send(self, **message: Any) -> None:
        for result in message.get("results", ()):
            self.results.append(result)
            if "inspected" in result:
                self._outer.was_inspected(self._item, result["inspected"])
            self._done += result.get("size") or 0
        if "results" in message or "progress" in message:
            under_way = sum(line["bytes_done"] or 0 for line in message.get("progress", ()) if line["key"] is not None)
            self._outer.progress(self._item["key"], self._done + under_way, self._item.get("size"), "copying")


def _place(work: Work, spot: Spot, folder: Folder) -> None:
    work.check()
    spot.root.forget_all()
    try:
        rename_new(folder.fd, spot.part, folder.fd, spot.name)
    except FileExistsError:
        raise exists(spot.shown()) from None
    sync_folders(spot.root, {spot.folder_path, spot.native})
