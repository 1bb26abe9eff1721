"""The command line, many times: each call is a process of its own, forked from one that has already imported what it needs.

A start of Python costs more than most calls do. What is saved is that alone: every call has its own arguments, environment,
output and exit code, and runs the entry of ``python -m gateway``. ``tests/interface/cli`` starts the program whole.
"""
from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.support import forking
from tests.support.reaper import end_group, reaper
from tests.support.servers import ROOT, project_environment


class Commands:
    """A process that forks a command line for each call; also a program, ``path``, that a shell can call as ``edgemere``."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = Path(folder or tempfile.mkdtemp(prefix="edgemere-commands-"))
        self._place = str(self._folder / "commands.sock")
        self.path = self._folder / "edgemere"
        # Without the site module: this must not cost what it saves.
        self.path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{forking.__file__}" "{self._place}" "$@"\n')
        self.path.chmod(0o755)
        self._process = subprocess.Popen([sys.executable, "-c", f"from tests.support.forking import serve; serve({self._place!r})"],
                                         cwd=ROOT, env=project_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
        reaper.watch_group(self._process.pid)
        assert self._process.stdout.readline() == b"ready\n"

    def run(self, words: Sequence[str], timeout_s: float, **environment: str) -> subprocess.CompletedProcess[bytes]:
        """One command line, its input empty."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said, open(os.devnull, "rb") as nothing:
            code = forking.call(self._place, words, project_environment(**environment), [nothing.fileno(), out.fileno(), said.fileno()], timeout_s)
            out.seek(0)
            said.seek(0)
            return subprocess.CompletedProcess(list(words), code, out.read(), said.read())

    def close(self) -> None:
        """End it."""
        end_group(self._process.pid)
        self._process.wait()
        self._process.stdout.close()
        reaper.forget_group(self._process.pid)
