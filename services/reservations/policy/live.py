"""The policy file while the service runs: read again when it changes, whole or not at all.

Whoever decides asks for ``current()``: the file is looked at (one ``stat``) and read when it is another one than before. A thread
looks as well, so that a mistake is said soon, although nobody decides anything. Each replica has its own.
"""
from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any

from services.reservations.policy.rules_file import NONE, Policies, load
from shared.kernel import clock
from shared.kernel.errors import Invalid

log = logging.getLogger(__name__)

LOOK_S = 2.0
# A file that is written in place is read when it has been still for so long; one that was put there by renaming, at once.
STILL_S = 0.1
STILL_AT_MOST_S = 2.0
Stamp = tuple[int, int, int] | None


class PolicyFile:
    """The policies of one file. ``problem`` says what is wrong with its newest content, while the one before still counts."""

    def __init__(self, path: str | None) -> None:
        """Read the file for the first time.

        Raises:
            Invalid: ``policy.invalid``; a service does not start with policies that it cannot read.
        """
        self.path = path or None
        self.problem: dict[str, Any] | None = None
        self.loaded_at = clock.stamp()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._seen = self._stamp()
        self._policies = load(self.path)
        if self.path:
            threading.Thread(target=self._watch, daemon=True, name="policies").start()

    def current(self) -> Policies:
        """The policies that count now. Never half a file: what is being written is waited for, a moment."""
        if self.path and self._stamp() != self._seen:
            self._look()
        return self._policies

    def state(self) -> dict[str, Any]:
        """``{file, revision, loaded_at, problem}``; ``problem`` is None, or ``{code, detail, errors, since}`` of content that does not count.

        Looks at no file: the watching thread, or whoever decides, has done so a moment ago.
        """
        return {"file": self.path, "revision": self._policies.revision, "loaded_at": self.loaded_at, "problem": self.problem}

    def stop(self) -> None:
        self._stop.set()

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_S):
            self.current()

    def _look(self) -> None:
        with self._lock:
            stamp = self._still()
            if stamp == self._seen:
                return
            try:
                policies = load(self.path) if stamp else _gone(self.path)
            except Invalid as error:
                self._keep(error)
            else:
                if self._stamp() != stamp:
                    return  # It changed while it was read; whoever asks next looks again.
                if policies.revision != self._policies.revision:
                    log.info("policies %s: revision %s now counts, %d rules", self.path, policies.revision, len(policies.rules))
                    self.loaded_at = clock.stamp()
                self._policies, self.problem = policies, None
            self._seen = stamp

    def _keep(self, error: Invalid) -> None:
        log.warning("policies %s cannot be used, revision %s still counts: %s", self.path, self._policies.revision, error.detail)
        self.problem = {"code": error.code, "detail": error.detail, "errors": error.errors, "since": clock.stamp()}

    def _still(self) -> Stamp:
        """The stamp of the file when nobody seems to write in it any more."""
        began, stamp = time.monotonic(), self._stamp()
        renamed = self._seen is not None and stamp is not None and stamp[1] != self._seen[1]
        while stamp and not renamed and time.monotonic() - began < STILL_AT_MOST_S:
            if time.time_ns() - stamp[0] > STILL_S * 1e9:
                break
            time.sleep(STILL_S / 2)
            stamp = self._stamp()
        return stamp

    def _stamp(self) -> Stamp:
        try:
            found = os.stat(self.path) if self.path else None
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_ino, found.st_size) if found else None


def _gone(path: str | None) -> Policies:
    raise Invalid("policy.invalid", f"The policy file {path} is not there any more.",
                  next_step="Put it back, or start without `policies.file`.", errors=[])


def fixed(policies: Policies = NONE) -> PolicyFile:
    """Policies that come from no file."""
    file = PolicyFile(None)
    file._policies = policies
    return file
