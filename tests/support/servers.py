"""An edgemere server as a child of the test run: started, waited for, killed, started again.

It is the real program with its real command line; nothing of it runs inside the test's process.
"""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.ports import free_port
from tests.support.reaper import end_group, reaper
from tests.support.starting import LIMIT_S, ServerFailed, until_it_answers

ROOT = Path(__file__).resolve().parents[2]
STOP_LIMIT_S = 120.0
LOG_TAIL_CHARS = 20_000

RUNNING: list[EdgemereServer] = []
"""Servers whose logs belong into the report of a failing test, in the order of their start."""


def project_environment(**more: str) -> dict[str, str]:
    """The environment in which ``python -m gateway`` finds this repository, and never the one of the caller's shell.

    Settings of the product that the shell happens to carry (``EDGEMERE_*``) are left out; ``more`` is added.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("EDGEMERE_")}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"} | more


def run_edgemere(*arguments: str, timeout_s: float = 300, **more: str) -> subprocess.CompletedProcess:
    """Run the command line once, as a user would, and give its exit code, stdout and stderr (as text)."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments], env=project_environment(**more), cwd=ROOT,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s,
    )


class EdgemereServer:
    """``./edgemere up`` on a free port with a data folder of its own.

    ``folder`` receives the data (``folder/data``) and the log (``folder/server.log``), which is appended to by each
    start. ``options`` follow the command line's own; ``environment`` is added to the child's; ``program`` is what is run.
    The port stays the same over restarts.
    """

    def __init__(
        self, folder: Path, *, options: Sequence[str] = (), environment: Mapping[str, str] | None = None,
        command: str = "up", program: Sequence[str] = (sys.executable, "-m", "gateway"),
    ) -> None:
        self.data = folder / "data"
        self.log_path = folder / "server.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen | None = None
        self.program = list(program)
        self._arguments = [command, "--port", str(self.port), "--data", str(self.data), *options]
        self._environment = dict(environment or {})

    def __enter__(self) -> EdgemereServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, wait: bool = True, limit_s: float = LIMIT_S) -> EdgemereServer:
        """Start the server and, unless told otherwise, wait until it is ready.

        Raises:
            ServerFailed: it ended, or was not ready in time.
        """
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*self.program, *self._arguments], env=project_environment(**self._environment),
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )
        reaper.watch_group(self.process.pid)
        if self not in RUNNING:
            RUNNING.append(self)
        if wait:
            self.wait_until_ready(limit_s)
        return self

    def wait_until_ready(self, limit_s: float = LIMIT_S) -> None:
        """Return when ``/health/ready`` answers 200.

        Raises:
            ServerFailed: it ended, or was not ready in time.
        """
        until_it_answers("The server", self.is_ready, self._started(), self.log_tail, limit_s=limit_s)

    def is_ready(self) -> bool:
        """Whether ``/health/ready`` answers 200 now."""
        try:
            with urllib.request.urlopen(f"{self.url}/health/ready", timeout=20) as answer:
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def kill9(self, everything: bool = False) -> None:
        """``kill -9`` of the server's process; with ``everything`` also of its children (movers, services)."""
        if everything:
            end_group(self._started().pid)
        else:
            self._started().kill()
        self._started().wait()

    def terminate(self, limit_s: float = STOP_LIMIT_S) -> int:
        """Ask it to stop (SIGTERM), wait, and give its exit code.

        Raises:
            ServerFailed: it was still there after ``limit_s``; it is killed.
        """
        process = self._started()
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.kill9(everything=True)
            raise ServerFailed(f"The server did not stop within {limit_s} s.\n{self.log_tail()}") from None

    def restart(self, limit_s: float = LIMIT_S) -> EdgemereServer:
        """Start it again on the same data and port, ending it first where it still runs."""
        if self._started().poll() is None:
            self.terminate()
        self._forget()
        return self.start(limit_s=limit_s)

    def stop(self) -> None:
        """End it and all its children, however it is; never fails for a server that is gone."""
        if self.process is not None:
            if self.process.poll() is None:
                self.process.terminate()
                try:
                    self.process.wait(STOP_LIMIT_S)
                except subprocess.TimeoutExpired:
                    pass
            self._forget()
            self.process.wait()
        if self in RUNNING:
            RUNNING.remove(self)

    def log_tail(self, chars: int = LOG_TAIL_CHARS) -> str:
        """The end of what it wrote, over all its starts."""
        if not self.log_path.exists():
            return ""
        return self.log_path.read_text(errors="replace")[-chars:]

    def _forget(self) -> None:
        end_group(self._started().pid)
        reaper.forget_group(self._started().pid)

    def _started(self) -> subprocess.Popen:
        if self.process is None:
            raise ServerFailed("The server was never started.")
        return self.process
