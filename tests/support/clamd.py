"""A scanner for malware of the tests' own: a real clamd from Debian's packages, as deploy/ sets it up, with one signature, that of the EICAR test file.

The pattern of the file is public (eicar.org) and harmless; it is put together here, so that no scanner takes this file for it.
"""
from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from tests.support.debian import libraries, unpacked
from tests.support.ports import free_port
from tests.support.reaper import end_group, reaper
from tests.support.servers import ROOT
from tests.support.starting import until_it_answers

EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE!$H+H*"
FINDING = "Eicar-Test.UNOFFICIAL"


class Clamd:
    """A running clamd that answers on a socket in its folder and on a port; ``settings`` are its own words, beside those of deploy/."""

    def __init__(self, **settings: object) -> None:
        home = unpacked("clamav", ["clamav-daemon"])
        self._program, self._libraries = home / "usr" / "sbin" / "clamd", libraries(home)
        self.folder = Path(tempfile.mkdtemp(prefix="edgemere-clamd-"))
        reaper.watch_folder(self.folder)
        self.unix, self.port = f"unix://{self.folder}/socket", free_port()
        self.tcp = f"tcp://localhost:{self.port}"
        (self.folder / "signatures").mkdir()
        # In the middle of anything as well: <name>:<any type>:<anywhere>:<bytes>.
        (self.folder / "signatures" / "test.ndb").write_text(f"Eicar-Test:0:*:{EICAR.hex()}\n")
        shipped = dict(line.split(" ", 1) for line in (ROOT / "deploy/compose/clamd.conf").read_text().splitlines() if not line.startswith("#"))
        own = {"LocalSocket": f"{self.folder}/socket", "TCPSocket": self.port, "TCPAddr": "127.0.0.1", "DatabaseDirectory": f"{self.folder}/signatures",
               "TemporaryDirectory": self.folder, "MaxThreads": 4}
        (self.folder / "clamd.conf").write_text("".join(f"{name} {value}\n" for name, value in {**shipped, **own, **settings}.items()))
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it (again), and wait until it answers.

        Raises:
            ServerFailed: it did not come up; the text carries its log.
        """
        with open(self.folder / "output", "ab") as output:
            self._process = subprocess.Popen([self._program, "-c", self.folder / "clamd.conf"], stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                                             env={**os.environ, "LD_LIBRARY_PATH": self._libraries}, start_new_session=True)
        reaper.watch_group(self._process.pid)
        until_it_answers("clamd", self._answers, self._process, lambda: (self.folder / "output").read_text(errors="replace")[-2000:])

    def _answers(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), 20) as asked:
            asked.sendall(b"zPING\0")
            return asked.recv(16).startswith(b"PONG")

    def kill(self) -> None:
        """``kill -9``."""
        if self._process is not None:
            end_group(self._process.pid)
            self._process.wait()
            reaper.forget_group(self._process.pid)
            self._process = None
            (self.folder / "socket").unlink(missing_ok=True)

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        reaper.forget_folder(self.folder)


