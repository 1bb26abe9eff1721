"""A folder that is one Data: copied file by file under a temporary name, verified file by file, renamed as one.

Its files are copied as any others are, by a job of their own from the one folder to the other, each under a key made of the
folder's; so a later attempt goes on with the files that are there. The checksum of the whole is that of its manifest.
"""
from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from services.instances.mover.copying import changed, finish, is_passing, unchanged
from services.instances.mover.looking import as_known, read, same_checksum, source_of
from services.instances.mover.target import Spot, exists, mark, mark_of, remove_empty, rename_new, sync_folders, target_error
from services.instances.mover.work import Work
from shared.kernel.errors import Conflict, Unavailable, from_payload
from shared.sources.beneath import Folder, Root, source_error
from shared.sources.file import FileSource
from shared.sources.folders import files_of, manifest_checksum
from shared.sources.paths import COPY_MARK, from_bytes, to_bytes

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
PIECE = 1 << 20


def is_folder(work: Work, item: Mapping[str, Any]) -> bool:
    """Whether the item's source holds a folder as one Data at its path."""
    source = work.place(item, "source")
    return isinstance(source, FileSource) and source.is_folder(item["path"])


def copy_folder(work: Work, item: Mapping[str, Any]) -> None:
    """Copy one folder.

    Raises:
        EdgemereError: nothing is left then, but for a part where the source did not answer and may again.
    """
    source, target = source_of(work, item), work.place(item, "target")
    if not isinstance(target, FileSource):
        raise Conflict("target.not_writable", f"'{item['path']}' is a folder that is one data; the target does not take those.",
                       next_step="Name a folder of this machine as the target, leave or mount the data, or store its archive: "
                                 "edgemere do datainstance content.")
    spot = Spot(target, item["key"], item["target_path"])
    if item.get("moves") and not target.keeps_folder(item["target_path"]):
        raise Conflict("target.not_writable", f"The target would not keep '{item['target_path']}' as one: its folders_as_data do not name it.",
                       next_step="Add it to parameters.folders_as_data of the target, or ask for a copy.")
    try:
        if (there := _already_there(work, item, spot)) is not None:
            finish(work, item, *there, 0)
            return
        folder = spot.folder(create=True)
        try:
            before = source.stat(item["path"])
            as_known(item, before)
            _part(spot, folder)
            sums = _copy_files(work, item, source, spot)
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


def hash_folder(work: Work, item: Mapping[str, Any], root: Root, path: str) -> tuple[int, str]:
    """Bytes and checksum of a folder, every file of it read. Raises ``source.unreadable`` and its like."""
    sums, size = {}, 0
    native = to_bytes(path)
    try:
        files = files_of(root, native)
    except OSError as error:
        raise source_error(error, path) from None
    for inside, _ in files:
        digest = hashlib.sha256()
        fd, _ = root.open_file(f"{path}/{from_bytes(inside)}")
        with os.fdopen(fd, "rb", buffering=0) as stream:
            while piece := read(stream, PIECE, path):
                digest.update(piece)
                size += len(piece)
                work.check()
                work.progress(item["key"], size, item.get("size"), "verifying")
        sums[inside] = "sha256:" + digest.hexdigest()
    return size, manifest_checksum(sums.items())


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
    size, checksum = hash_folder(work, item, spot.root, item["target_path"])
    if checksum != (item.get("checksum") or hash_folder(work, item, source_of(work, item).root, item["path"])[1]):
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


def _copy_files(work: Work, item: Mapping[str, Any], source: Any, spot: Spot) -> dict[bytes, str]:
    """Copy every file into the part; their checksums by path in it."""
    native = to_bytes(item["path"])
    files = files_of(source.root, native)
    part = spot.folder_path + b"/" + spot.part if spot.folder_path else spot.part
    keys = {f"{item['key'][:150]}:{hashlib.blake2b(inside, digest_size=12).hexdigest()}": inside for inside, _ in files}
    inner = _Inner(work, item, {
        "s": _rootdir(source.root, native), "t": {**_rootdir(spot.root, part), "writable": True}})
    sizes = {inside: found.st_size for inside, found in files}
    paths = {key: from_bytes(inside) for key, inside in keys.items()}
    results = inner.copied([{"key": key, "source": "s", "path": paths[key], "target": "t", "target_path": paths[key],
                             "size": sizes[inside], "keeps_time": bool(item.get("moves"))} for key, inside in keys.items()])
    for result in results:
        if not result["ok"]:
            raise from_payload(result["error"])
    if len(results) != len(files):
        raise Unavailable("source.unreadable", f"Not every file of '{item['path']}' was copied.", next_step="Try again.")
    sums = {keys[result["key"]]: result["checksum"] for result in results}
    # What an earlier attempt brought and the source has no more, or what is no part of it.
    spot.root.forget_all()
    for inside, _ in files_of(spot.root, part):
        if inside not in sums:
            raise changed(item["path"])
    return sums


def _rootdir(root: Root, native: bytes) -> dict[str, Any]:
    return {"rootdir": os.fsdecode(os.path.join(root.native, native))}


class _Inner:
    """The job that copies the files of a folder, inside the job of the folder."""

    def __init__(self, work: Work, item: Mapping[str, Any], places: Mapping[str, Mapping[str, Any]]) -> None:
        self._outer, self._item = work, item
        self.id, self.elapsed_s = "", 0.0
        self.body = {"id": "", "op": "copy", "policy": work.body.get("policy"), "verify": work.body.get("verify"),
                     "sources": {name: {"adaptor": "file", "parameters": dict(given)} for name, given in places.items()}}
        self.results: list[dict[str, Any]] = []
        self._done = 0

    @property
    def cancelled(self) -> bool:
        return self._outer.cancelled

    def copied(self, items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Copy these files; their results."""
        from services.instances.mover.copying import copy

        self.body["items"] = list(items)
        copy(self)  # type: ignore[arg-type]
        return self.results

    def send(self, **message: Any) -> None:
        for result in message.get("results", ()):
            self.results.append(result)
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
