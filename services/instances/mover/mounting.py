"""``mount`` and ``unmount``: data under a path of its own, by a link to where it lies on this machine or to where FUSE shows it.

What is neither gets no path: it is read through this server, and the result says so. Touches nothing that a link leads to.
"""
from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from services.instances.fuse.table import Description, Table
from services.instances.mover.folders import is_folder
from services.instances.mover.looking import look, source_of
from services.instances.mover.target import exists, remove_empty, sync_folders, target_error
from services.instances.mover.work import Work
from shared.hosting.worker_loop import Job
from shared.kernel.errors import Unavailable
from shared.sources import mounted
from shared.sources.beneath import Root
from shared.sources.paths import file_uri, openable, to_bytes
from shared.sources.port import Stat

# A path by FUSE answers within this time, or is no result; of a folder its source is asked for all that is in it.
ANSWER_S = 60.0

Linked = list[tuple[Mapping[str, Any], dict[str, Any]]]


def mount(job: Job) -> None:
    """Look at each item as ``verify`` does, and give it a path where it can have one."""
    with Work(job) as work:
        folders: set[bytes] = set()
        linked: Linked = []
        for item in work.items():
            work.attempt(item, lambda item: _mount(work, item, linked, folders))
        if linked:
            sync_folders(work.mounts, folders)
        if any(result["via"] == mounted.FUSE for _, result in linked):
            _table(work).settle()
        for item, result in linked:
            work.ok(item, **result)
        work.done()


def unmount(job: Job) -> None:
    """Remove the link of each item, and what FUSE shows of it; what is not a link stays."""
    with Work(job) as work:
        for item in work.items():
            work.attempt(item, lambda item: work.ok(item, unmounted=_unmount(work, item)))
        work.done()


def _mount(work: Work, item: Mapping[str, Any], linked: Linked, folders: set[bytes]) -> None:
    source: Any = source_of(work, item)
    seen, _, found = look(work, item)
    via, _ = mounted.via(work.described(item, "source")["adaptor"], seen["size"], (work.body.get("fuse") or {}).get("why", mounted.UNKNOWN))
    if via == mounted.READ_THROUGH:
        work.ok(item, **{**seen, "uri": None, "path": None}, via=via)
        return
    if via == mounted.LINK:
        _link(work, item, source.root.absolute(item["path"]), folders)
    else:
        _show(work, item, source, found, folders)
    here = work.mounts.absolute(item["mount_path"])
    linked.append((item, {**seen, "uri": file_uri(here), "path": openable(here), "via": via}))


def _link(work: Work, item: Mapping[str, Any], destination: bytes, folders: set[bytes]) -> None:
    """Raises Conflict ``target.exists``: something else is there."""
    folder_path, _, name = to_bytes(item["mount_path"]).rpartition(b"/")
    try:
        folder = work.mounts.folder(folder_path, create=True)
        try:
            os.symlink(destination, name, dir_fd=folder.fd)
        except FileExistsError:
            if _leads_to(folder.fd, name) != destination:
                raise exists(item["mount_path"]) from None
    except OSError as error:
        raise target_error(error, item["mount_path"]) from None
    folders.add(folder_path)


def _table(work: Work) -> Table:
    return Table(work.body["fuse"]["folder"])


def _show(work: Work, item: Mapping[str, Any], source: Any, found: Stat, folders: set[bytes]) -> None:
    """Have FUSE show an item, and link to it. What was begun is taken back where it fails."""
    table = _table(work)
    described = _description(work, item, source, found)
    try:
        fresh = table.write(described)
    except OSError as error:
        raise target_error(error, item["mount_path"]) from None
    try:
        place = table.place_of(described)
        _answers(place, None if described["kind"] == "dir" else found.size)
        _link(work, item, os.fsencode(place), folders)
    except BaseException:
        if fresh:
            table.remove(item["key"])
        raise


def _description(work: Work, item: Mapping[str, Any], source: Any, found: Stat) -> Description:
    place = work.described(item, "source")
    parameters = dict(place.get("parameters") or {})
    if place["adaptor"] == "http":
        # A listing can have a hundred thousand rows, and this is about one.
        parameters = {"listing": [{"url": source.locate(item["path"])["uri"], "path": item["path"]}], **(
            {"limits": parameters["limits"]} if parameters.get("limits") else {})}
    given = item["source"]
    return {"key": item["key"], "name": item["mount_path"].rpartition("/")[2], "source": given if isinstance(given, str) else item["key"],
            "adaptor": place["adaptor"], "parameters": parameters, "path": item["path"], "kind": "dir" if is_folder(work, item) else "file",
            "stat": asdict(found), "mount_path": item["mount_path"]}


def _answers(place: Path, size: int | None) -> None:
    """See that a path by FUSE is there: whoever is given it can open it. Raises Unavailable ``fuse.silent``."""
    seen: list[Any] = []

    def look() -> None:
        try:
            seen.append(os.stat(place).st_size)
        except OSError as error:
            seen.append(error)
    # In a thread, because nothing else ends a look at a process that stands still.
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(ANSWER_S)
    if not seen or isinstance(seen[0], OSError) or size is not None and seen[0] != size:
        said = f"does not answer within {ANSWER_S:.0f} s" if not seen else f"says: {getattr(seen[0], 'strerror', 'another size')}"
        raise Unavailable("fuse.silent", f"What FUSE shows as '{place.name}' {said}.", next_step="It is tried again a few times.")


def _leads_to(folder: int, name: bytes) -> bytes | None:
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError:
        return None


def _unmount(work: Work, item: Mapping[str, Any]) -> bool:
    found = _unlink(work.mounts, item["mount_path"])
    if work.body.get("fuse"):
        # The link first: nothing leads to what is not shown any more.
        found = _table(work).remove(item["key"]) or found
    return found


def _unlink(root: Root, path: str) -> bool:
    native = to_bytes(path)
    folder_path, _, name = native.rpartition(b"/")
    try:
        folder = root.folder(folder_path)
    except OSError:
        return False
    found = _leads_to(folder.fd, name) is not None
    if found:
        os.unlink(name, dir_fd=folder.fd)
    root.forget(folder_path)
    remove_empty(root, folder_path)
    return found
