"""Keeps the process that serves what is mounted by FUSE: starts it when something is mounted, again when it dies, and says whether there is FUSE.

A process is started no earlier than somebody asks, or something is mounted. Its end takes the mount down, however this process ends.
"""
from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from services.instances.fuse.blocks import READ_S
from services.instances.fuse.table import Table, is_mounted
from shared.hosting import fuse
from shared.hosting.workers import Handle, WorkerPool
from shared.kernel.errors import EdgemereError

log = logging.getLogger(__name__)

MOUNT_S = 15.0
# A system that refused is asked again after so long.
REFUSED_S = 60.0
# A process that has said nothing for so long stands still.
STILL_S = 20.0
LOOK_S = 0.02

IDLE, STARTING, STANDBY, MOUNTED, REFUSED = "idle", "starting", "standby", "mounted", "refused"


class Keeper:
    """The FUSE of one service process; ``folder`` is ``fuse`` in the data folder, ``setting`` is ``instances.fuse``.

    Nobody who reads waits longer than ``read_s`` for a source.
    """

    def __init__(self, command: list[str], folder: str | os.PathLike, setting: str, policy: Mapping[str, Any], share: float,
                 read_s: float = READ_S) -> None:
        self.table = Table(folder)
        self._setting, self._command = setting, command
        self._job = {"op": "serve", "folder": os.fspath(folder), "policy": policy, "share": share, "read_s": read_s}
        self._pool: WorkerPool | None = None
        self._state, self._why, self._again_at = IDLE, "", 0.0
        self._noticed: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._stopped = False
        self._looked_at = time.monotonic()
        self._asked: tuple[Handle, float] | None = None
        self._still_s = STILL_S

    def why_not(self) -> str | None:
        """Why nothing can be mounted by FUSE now, as a sentence; None where it can, for it is served by then. Waits ``MOUNT_S`` at most."""
        if (why := fuse.why_not(self._setting)) is not None:
            return why
        until = time.monotonic() + MOUNT_S
        while not self._serves():
            self._start()
            if self._state == REFUSED:
                return self._why
            if time.monotonic() > until or self._stopped:
                return "The process that mounts by FUSE does not answer."
            time.sleep(LOOK_S)
        return None

    def tend(self) -> None:
        """Serve what is mounted, take away what a dead process left, and replace one that stands still; called when the service starts and again
        and again."""
        needed = not self.table.is_empty() or (self._state == IDLE and is_mounted(self.table.mount_point))
        if needed and self._state in (IDLE, REFUSED) and fuse.why_not(self._setting) is None:
            self._start()
        self._ask()

    def _ask(self) -> None:
        """Ask the process whether it works, and kill it when it has not said so in time: who reads from it would wait for ever."""
        if self._state not in (MOUNTED, STANDBY) or self._pool is None:
            self._asked = None
        elif self._asked is None or self._asked[0].ended:
            try:
                self._asked = (self._pool.submit({"op": "answer"}, on_message=_nobody), time.monotonic())
            except EdgemereError:
                self._asked = None
        elif time.monotonic() - self._asked[1] > self._still_s:
            log.warning("the process that serves what is mounted by FUSE stands still and is ended")
            self._asked = None
            for pid in self._pool.pids():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def noticed(self) -> list[dict[str, Any]]:
        """What the process found to be no longer what was mounted, since the last call: ``{"key", "error"}`` each."""
        with self._lock:
            found, self._noticed = self._noticed, []
        return found

    def is_time(self, every_s: float) -> bool:
        """Whether ``every_s`` have passed since it last was; for what is done now and then."""
        now = time.monotonic()
        if now - self._looked_at < every_s:
            return False
        self._looked_at = now
        return True

    def pids(self) -> list[int]:
        """The process, where there is one."""
        return self._pool.pids() if self._pool is not None else []

    def stop(self) -> None:
        """End the process and take the mount down, unless another replica serves it."""
        self._stopped = True
        if self._pool is not None:
            self._pool.stop()

    def _serves(self) -> bool:
        return self._state == MOUNTED or self._state == STANDBY and is_mounted(self.table.mount_point)

    def _start(self) -> None:
        with self._lock:
            if self._stopped or self._state not in (IDLE, REFUSED) or time.monotonic() < self._again_at:
                return
            self._state = STARTING
            if self._pool is None:
                self._pool = WorkerPool(self._command, size=1, name="fuse", idle_s=5.0, env={fuse.LIBRARY_VARIABLE: fuse.library() or ""})
        try:
            self._pool.submit(self._job, on_message=self._heard)
        except EdgemereError as error:
            self._ended(error.detail)

    def _heard(self, message: Mapping[str, Any]) -> None:
        if "mounted" in message:
            self._state = MOUNTED
        elif "standby" in message:
            self._state = STANDBY
        elif "noticed" in message:
            with self._lock:
                self._noticed.extend(message["noticed"])
        elif "done" in message:
            self._state = IDLE
        elif "failed" in message:
            error = message["failed"]
            if error["code"] == "worker.died":
                self._ended("")
            else:
                self._ended(error["detail"])

    def _ended(self, why: str) -> None:
        """It is over: refused with a reason, or dead and to be started again."""
        if self._stopped:
            return
        if why:
            log.warning("nothing is mounted by FUSE: %s", why)
            self._why, self._again_at, self._state = why, time.monotonic() + REFUSED_S, REFUSED
            return
        log.warning("the process that serves what is mounted by FUSE died; a new one takes over")
        self._state = IDLE
        if not self.table.is_empty():
            # Not in the thread that reads from the pool.
            threading.Thread(target=self.tend, daemon=True, name="fuse again").start()


def _nobody(message: Mapping[str, Any]) -> None:
    return None
