"""The server that the demo plays on: started as a user would start it, waited for, and ended with the demo."""
from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from gateway.cli.client import Server
from gateway.cli.exits import FAILED, Failure

DEFAULT_PORT = 3000
READY_S = 60.0
STOP_S = 20.0


class Stage:
    """``edgemere up`` on the demo's own state, as a child of this process."""

    def __init__(self, state: Path, log: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._log = log
        self._arguments = [sys.executable, "-m", "gateway", "up", "--port", str(port), "--data", str(state)]
        self._process: subprocess.Popen[bytes] | None = None
        self._started = threading.Event()

    def __enter__(self) -> Stage:
        """Start it, and return when it is ready.

        Raises:
            Failure: it ended or was not ready in time; the end of its log is in the failure.
        """
        # Signals interrupt the main thread alone: a start that one cuts short would leave a server that nobody knows.
        try:
            threading.Thread(target=self._start).start()
            self._started.wait()
            self._wait_until_ready()
        except BaseException:
            # Ctrl-C too: a server left behind would hold the demo's folder against the next demo.
            self._started.wait(STOP_S)
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        # The demo shows the shipped settings, whatever the user's shell has set for a mesh of their own.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("EDGEMERE_")}
        try:
            with open(self._log, "wb") as log:
                # A session of its own: Ctrl-C is for the demo, which then ends the server in order.
                self._process = subprocess.Popen(self._arguments, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                                                 stderr=subprocess.STDOUT, start_new_session=True)
        finally:
            self._started.set()

    def _wait_until_ready(self) -> None:
        process = self._process
        if process is None:
            raise Failure(FAILED, {"code": "demo.server", "detail": "The demo's server could not be started.",
                                   "next_step": f"Look whether {self._log} can be written."})
        deadline = time.monotonic() + READY_S
        while not self._is_ready():
            ended = process.poll()
            if ended is not None or time.monotonic() > deadline:
                said = f"ended with {ended}" if ended is not None else f"was not ready after {READY_S:.0f} s"
                raise Failure(FAILED, {"code": "demo.server", "detail": f"The demo's server {said}.", "log": self._tail(),
                                       "next_step": f"Read {self._log}, or name another --port or --data."})
            time.sleep(0.1)

    def __exit__(self, *_: object) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def wait(self) -> int:
        """Stay until the server ends."""
        assert self._process is not None
        return self._process.wait()

    def _is_ready(self) -> bool:
        server = Server(self.url, timeout_s=5)
        try:
            return server.ask("GET", "/health/ready").status == 200
        except Failure:
            return False
        finally:
            server.close()

    def _tail(self) -> str:
        return self._log.read_text(errors="replace")[-2000:].strip()


def port_for(wanted: int | None) -> int:
    """The port wanted; without a wish 3000, or any free one where that is taken."""
    if wanted:
        return wanted
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", DEFAULT_PORT if wanted is None else 0))
        except OSError:
            listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
