"""Mounts the tree and serves it: takes the lock of the folder, clears away what a dead process left mounted, and takes the mount down at the end.

Imports the package of the protocol when it mounts, and not before.
"""
from __future__ import annotations

import ctypes
import fcntl
import os
import subprocess
import tempfile
import threading
import time
from typing import Any

from services.instances.fuse.blocks import READ_S
from services.instances.fuse.places import Places
from services.instances.fuse.table import Table, is_mounted
from services.instances.fuse.tree import Tree
from shared.hosting.worker_loop import Job, failure
from shared.kernel.errors import EdgemereError, Unavailable
from shared.sources.port import SourcePolicy

THREADS = 128
IDLE_S = 300.0
LOOK_S = 0.5
MNT_DETACH = 2


class Serving:
    """What this process serves: at most one folder."""

    def __init__(self) -> None:
        self._table: Table | None = None
        self._up = False

    def serve(self, job: Job) -> None:
        """The op ``serve``: until the mount is taken down, by whoever."""
        table = Table(job.body["folder"])
        try:
            table.make()
            lock = os.open(table.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise refused(f"Its folder cannot be made: {error.strerror}.") from None
        try:
            self._wait_for_the_lock(job, lock)
            self._table = table
            self._mounted(job, table)
        finally:
            os.close(lock)
        job.send(done={"idle": True})

    def answer(self, job: Job) -> None:
        """The op ``answer``: says nothing but that this process works."""
        job.send(done={})

    def take_down(self, pid: int) -> None:
        """Take the mount away, with or without readers. For the end of this process."""
        if self._up and self._table is not None and os.getpid() == pid:
            unmount(self._table)

    def _wait_for_the_lock(self, job: Job, lock: int) -> None:
        told = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if not told:
                    told = True
                    job.send(standby=True)
                time.sleep(LOOK_S)

    def _mounted(self, job: Job, table: Table) -> None:
        if is_mounted(table.mount_point):
            # Whoever served it is dead: the lock is ours.
            unmount(table)
        said = tempfile.TemporaryFile()
        try:
            self._run(job, table, said.fileno())
        except EdgemereError:
            raise
        except Exception as error:
            if not self._up:
                raise refused(_last_line(said) or f"{type(error).__name__}: {error}") from None
        finally:
            self._up = False
            said.close()

    def _run(self, job: Job, table: Table, said: int) -> None:
        import mfusepy

        def noticed(key: str, error: EdgemereError) -> None:
            job.send(noticed=[{"key": key, "error": failure(error)}])

        places = Places(SourcePolicy.from_json(job.body.get("policy")), float(job.body.get("share") or 1))
        tree = Tree(table, places, noticed, float(job.body.get("read_s") or READ_S))
        # What the library says of a mount in vain stands on the standard error output, and nowhere else.
        kept = os.dup(2)
        os.dup2(said, 2)

        def up() -> None:
            os.dup2(kept, 2)
            self._up = True
            threading.Thread(target=self._watch, args=(table,), daemon=True).start()
            job.send(mounted=True)

        options: dict[str, Any] = {"foreground": True, "ro": True, "nosuid": True, "nodev": True, "fsname": "edgemere", "default_permissions": True}
        if (mfusepy.fuse_version_major, mfusepy.fuse_version_minor) >= (3, 12):
            # Each reader that waits for its source has a thread.
            options["max_threads"] = THREADS
        try:
            mfusepy.FUSE(_operations(mfusepy, tree, up), os.fspath(table.mount_point), **options)
        finally:
            os.dup2(kept, 2)
            os.close(kept)

    def _watch(self, table: Table) -> None:
        """Take the mount down when nothing has been mounted for long."""
        empty_since = time.monotonic()
        while self._up:
            time.sleep(LOOK_S * 4)
            if not table.is_empty():
                empty_since = time.monotonic()
            elif time.monotonic() - empty_since > IDLE_S:
                unmount(table)
                return


def _operations(library: Any, tree: Tree, up: Any) -> Any:
    """The tree as the package of the protocol takes it."""
    class Operations(library.Operations):
        use_ns = True

        def init(self, path: str) -> None:
            up()

        def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
            return tree.attributes(path)

        def readdir(self, path: str, fh: int) -> list[str]:
            return [".", "..", *tree.names(path)]

        def open(self, path: str, flags: int) -> int:
            return tree.open(path, flags)

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            return tree.read(fh, size, offset)

        def release(self, path: str, fh: int) -> int:
            tree.close(fh)
            return 0

        def statfs(self, path: str) -> dict[str, int]:
            return {"f_bsize": 4096, "f_frsize": 4096, "f_namemax": 255}

    return Operations()


def unmount(table: Table) -> None:
    """Take the mount off its place at once; what still reads from it is told so."""
    place = os.fsencode(table.mount_point)
    if ctypes.CDLL(None, use_errno=True).umount2(place, MNT_DETACH) == 0:
        return
    try:
        subprocess.run(["fusermount3", "-u", "-z", place], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=5)
    except (OSError, subprocess.SubprocessError):
        pass  # Who mounts next is told that the place is taken.


def _last_line(said: Any) -> str:
    said.seek(0)
    lines = said.read(65536).decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip()[:300] if lines else ""


def refused(why: str) -> EdgemereError:
    """``fuse.refused``: this machine has FUSE and does not let this process mount by it."""
    return Unavailable("fuse.refused", f"The system does not let this server mount by FUSE: {why.rstrip('.')}.",
                       next_step="Look at docs/sources.md, 'By FUSE', or set instances.fuse to never.")
