"""A folder that is one Data in an object store: its files as objects below one prefix, each whole, marked and verified by itself.

A store gives no two objects their names at once, so they appear one by one; the folder is said to be there when all are, and nothing
is at its prefix but them. Whatever fails before takes back those with the mark, and no others; a later attempt finds them, where the
source may answer again.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from services.instances.mover import uploads
from services.instances.mover.copying import changed, finish, is_passing, unchanged
from services.instances.mover.folders import copy_files, inner_key, of_files
from services.instances.mover.looking import as_known, same_checksum
from services.instances.mover.target import exists
from services.instances.mover.work import Work
from shared.kernel.errors import Conflict, EdgemereError, Invalid, NotFound
from shared.sources.folders import FolderFile, manifest_checksum
from shared.sources.fsspec import MARK, MOVED
from shared.sources.own_objects import upload_notes

WIDTH = 16
KEY_BYTES = 1024


def copy_folder_to_store(work: Work, item: Mapping[str, Any], source: Any, target: Any) -> None:
    """Copy one folder into an object store.

    Raises:
        EdgemereError: nothing is left then, but for files where the source or the store did not answer and may again.
    """
    if not target.writable:
        raise Conflict("target.not_writable", "The target does not take copies; it needs parameters.writable: true.",
                       next_step="Name another target.")
    path = item["target_path"]
    before = source.stat(item["path"])
    as_known(item, before)
    files: list[FolderFile] = source.folder_files(item["path"])
    _names_fit(target, path, files)
    _nothing_in_the_way(item, target, path, {file.inside for file in files})
    try:
        sums = copy_files(work, item, source, files, (of_files(work.described(item, "target")), path + "/"))
        unchanged(source, item["path"], before)
        checksum = manifest_checksum(sums.items())
        same_checksum(item, checksum)
        work.check()
        _nothing_in_the_way(item, target, path, set(sums))
        if len(there := target.folder_files(path)) != len(sums):
            raise changed(path)
        size = sum(file.stat.size or 0 for file in there)
    except BaseException as error:
        if not is_passing(error):
            try:
                remove(item, target, path)
            except EdgemereError:
                pass  # What the store keeps now goes with the instance.
        raise
    finish(work, item, size, checksum, size)


def _names_fit(target: Any, path: str, files: Sequence[FolderFile]) -> None:
    """
    Raises:
        Invalid: ``source.bad_path``: a file has a name that no object can have. Nothing was written.
    """
    for file in files:
        _, key = target.bucket_and_key(file.below(path))
        if len(key.encode()) > KEY_BYTES:
            raise Invalid("source.bad_path", f"'{file.below(path)[:200]}…' would have a name of more than {KEY_BYTES} bytes, the most that a store takes.",
                          next_step="Name a folder of this machine as the target, or a url with a shorter prefix.")


def _nothing_in_the_way(item: Mapping[str, Any], target: Any, path: str, expected: set[bytes]) -> None:
    """
    Raises:
        Conflict: ``target.exists``: an object that is not of this copy is at the path or below it.
    """
    try:
        target.head(path, "target")
    except NotFound:
        pass
    else:
        raise exists(path)
    for file, ours in _marked(item, target, path):
        if not ours or file.inside not in expected:
            raise exists(file.below(path))


def _marked(item: Mapping[str, Any], target: Any, path: str) -> list[tuple[FolderFile, bool]]:
    """The objects below a path, and whether each has the mark of this copy. What is gone when it is looked at is left out."""
    def ours(file: FolderFile) -> bool | None:
        try:
            _, metadata = target.head(file.below(path), "target")
        except NotFound:
            return None
        return inner_key(item["key"], file.inside) in (metadata.get(MARK), metadata.get(MOVED))
    files = target.folder_files(path)
    return [(file, bool(known)) for file, known in zip(files, _each(ours, files)) if known is not None]


def _each(do: Callable[[Any], Any], of: Sequence[Any]) -> list[Any]:
    if not of:
        return []
    with ThreadPoolExecutor(min(WIDTH, len(of)), thread_name_prefix="store") as pool:
        return list(pool.map(do, of))


def ours_below(item: Mapping[str, Any], target: Any, path: str) -> tuple[list[FolderFile], bool]:
    """The objects of this copy below a path, and whether there are others."""
    marked = _marked(item, target, path)
    return [file for file, ours in marked if ours], not all(ours for _, ours in marked)


def remove(item: Mapping[str, Any], target: Any, path: str) -> bool:
    """Delete the objects of this copy below a path, and its uploads; False where there were none."""
    try:
        notes = upload_notes(target, path)
    except NotFound:
        return False
    files, _ = ours_below(item, target, path)
    uploads.end(target, path, notes)
    target.remove([file.below(path) for file in files], "target")
    return bool(files or notes)


def carry(item: Mapping[str, Any], target: Any, old: str, new: str, move: Callable[[Any, str, str], None]) -> tuple[bool, bool]:
    """Move the objects of this copy from below one path to below another: whether there were any, and whether there were others."""
    files, others = ours_below(item, target, old)
    _each(lambda file: move(target, file.below(old), file.below(new)), files)
    return bool(files), others
