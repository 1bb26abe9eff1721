"""Ends what a test run started, also when the run itself is killed.

One small process for each test run reads from a pipe which process groups and folders belong to the run. The pipe
closes with the run, however it ends, and the reaper then kills the groups and removes the folders that are left.
It knows groups by the id that this run gave them, and never looks for processes by name.
"""
from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading


class Reaper:
    """Takes note of process groups and folders for as long as they live."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None
        self._lock = threading.Lock()

    def watch_group(self, group_id: int) -> None:
        self._say("group+", str(group_id))

    def forget_group(self, group_id: int) -> None:
        self._say("group-", str(group_id))

    def watch_folder(self, folder: str | os.PathLike) -> None:
        self._say("folder+", os.fspath(folder))

    def forget_folder(self, folder: str | os.PathLike) -> None:
        self._say("folder-", os.fspath(folder))

    def _say(self, verb: str, argument: str) -> None:
        with self._lock:
            if self._process is None:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", os.path.abspath(__file__)],
                    stdin=subprocess.PIPE, start_new_session=True, text=True,
                )
            self._process.stdin.write(f"{verb} {argument}\n")
            self._process.stdin.flush()


def end_group(group_id: int) -> None:
    """Kill every process of the group; a group that is gone already is no error."""
    try:
        os.killpg(group_id, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    kept: dict[str, set[str]] = {"group": set(), "folder": set()}
    for line in sys.stdin:
        verb, _, argument = line.rstrip("\n").partition(" ")
        what, sign = verb[:-1], verb[-1]
        (kept[what].add if sign == "+" else kept[what].discard)(argument)
    for group_id in kept["group"]:
        end_group(int(group_id))
    for folder in kept["folder"]:
        shutil.rmtree(folder, ignore_errors=True)


reaper = Reaper()

if __name__ == "__main__":
    main()
