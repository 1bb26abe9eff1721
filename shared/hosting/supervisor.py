"""Keeps the processes of a mesh running: starts each service in one of its own, looks after it, and starts it again.

Alive is what answers its own health endpoint in time, not what exists. Carries no message and opens no database: a
plain process of real threads, without eventlet, that has nothing to hang on.
"""
from __future__ import annotations

import http.client
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from shared.contracts.table import SERVICES
from shared.hosting.settings import Config, Supervision
from shared.hosting.tether import LISTENER_VARIABLE, TETHER_VARIABLE
from shared.kernel.errors import EdgemereError, Invalid, did_you_mean, from_payload

log = logging.getLogger(__name__)

GATEWAY = "gateway"
TARGETS = "targets.json"
NAMES = (*SERVICES, GATEWAY)
LOOK_S = 0.3
SAY_EVERY_S = 10.0
# Processor time between probes that makes a silent process a busy one, and how much longer a busy one may be silent.
WORKS_S = 0.5
BUSY_FACTOR = 4


@dataclass(frozen=True)
class Program:
    """What one process runs: the words after ``python -m gateway``, and the socket that it inherits."""

    name: str
    number: int
    options: tuple[str, ...]
    listener: int | None = None

    @property
    def title(self) -> str:
        return f"{self.name}-{self.number}"

    def start(self, tether: socket.socket) -> subprocess.Popen:
        """A clean process, no fork: nothing of this one's state goes into it but two sockets."""
        passed = [tether.fileno()]
        environment = {**os.environ, TETHER_VARIABLE: str(tether.fileno())}
        if self.listener is not None:
            passed.append(self.listener)
            environment[LISTENER_VARIABLE] = str(self.listener)
        return subprocess.Popen([sys.executable, "-m", "gateway", "serve", self.name, *self.options], pass_fds=passed,
                                env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno())


class Keeper(threading.Thread):
    """Keeps one program running until it is told to stop; counts its ``restarts``.

    A process that ended, or hangs, is started again: at once after a long life, after a growing pause otherwise.
    """

    def __init__(self, program: Program, settings: Supervision, refused: Any, moved: Any) -> None:
        super().__init__(name=f"keeper of {program.title}", daemon=True)
        self.program = program
        self.restarts = 0
        self.pid: int | None = None
        self._settings = settings
        self._refused, self._moved = refused, moved
        self._stopping = threading.Event()
        self._wake_reader, self._wake_writer = os.pipe()
        self._health = ""
        self._running = False
        self._worked = False

    def stop(self) -> None:
        """Ask the process to end; ``join`` waits for it."""
        self._stopping.set()
        os.write(self._wake_writer, b"!")

    @property
    def address(self) -> str:
        """Host and port where the process tells of itself; empty while nobody knows."""
        return self._health.partition("://")[2]

    @property
    def answers(self) -> bool:
        """Whether the process has said where it can be asked."""
        return bool(self._health)

    def run(self) -> None:
        young_deaths = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            ours, theirs = socket.socketpair()
            with ours:
                with theirs:
                    process = self.program.start(theirs)
                self.pid, self._health, self._running = process.pid, "", False
                why = self._watch(process, ours)
                # One that hangs is not going to hear a request to end.
                self._end(process, self._settings.stop_s if self._stopping.is_set() else 2)
                self.pid = None
            if self._stopping.is_set():
                return
            if time.monotonic() - began > self._settings.settled_s:
                young_deaths, self._worked = 0, True
            pause_s = _step(self._settings.backoff_s, young_deaths)
            young_deaths += 1
            self.restarts += 1
            log.error("%s %s; it is started again in %g s (restart %d)", self.program.title, why, pause_s, self.restarts)
            self._stopping.wait(pause_s)

    def _watch(self, process: subprocess.Popen, line: socket.socket) -> str:
        """Wait until the process has ended, hangs, or is to be stopped; why, as the rest of a sentence."""
        settings, failures, heard, worked_s = self._settings, 0, b"", 0.0
        began = next_probe = time.monotonic()
        while not self._stopping.is_set():
            ready, _, _ = select.select([self._wake_reader, line], [], [], max(0.0, next_probe - time.monotonic()))
            if line in ready:
                piece = line.recv(65536)
                if not piece:
                    # Closed with the process; the workers that it starts do not have it.
                    try:
                        return _ended(process.wait(settings.probe_timeout_s))
                    except subprocess.TimeoutExpired:
                        return "has let go of its supervisor"
                heard = self._hear(heard + piece)
            if time.monotonic() < next_probe:
                continue
            next_probe = time.monotonic() + settings.probe_every_s
            if not self._health:
                if time.monotonic() - began > settings.start_s:
                    return f"said nothing for {settings.start_s:g} s after its start"
                continue
            fault = fault_at(f"{self._health}/health/live", settings.probe_timeout_s)
            failures = failures + 1 if fault else 0
            if failures < 2:
                worked_s = _worked_s(process.pid)
            if failures >= settings.probe_failures and self._is_overdue(failures, began, _worked_s(process.pid) - worked_s):
                return f"is ended, because {failures} times in a row it {fault}"
        return "is to stop"

    def _is_overdue(self, failures: int, began: float, worked_s: float) -> bool:
        """Whether a process that fails its probes is given up: one that works is slow, and its restart would be slower."""
        if not self._running and time.monotonic() - began < self._settings.start_s:
            return False
        return worked_s < WORKS_S or failures >= self._settings.probe_failures * BUSY_FACTOR

    def _hear(self, heard: bytes) -> bytes:
        *lines, rest = heard.split(b"\n")
        for line in lines:
            message = orjson.loads(line)
            if "health" in message:
                self._health = message["health"]
                self._moved()
            self._running = message.get("running", self._running)
            if "refused" in message and not self._worked:
                # It never will. One that worked before may be of a release that is being replaced: the others go on.
                self._refused(from_payload(message["refused"]))
        return rest

    @staticmethod
    def _end(process: subprocess.Popen, limit_s: float) -> None:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(limit_s)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()


class Supervisor:
    """All processes of a mesh on this machine."""

    def __init__(self, config: Config, options: Sequence[str], replicas: Mapping[str, int], listener: socket.socket) -> None:
        self._settings = config.supervisor
        self._targets = Path(config.data_dir) / TARGETS
        self._writing = threading.Lock()
        self._listener = listener
        self._over = threading.Event()
        self._refusal: EdgemereError | None = None
        self.keepers = [
            Keeper(Program(name, number, tuple(options), listener.fileno() if name == GATEWAY else None),
                   self._settings, self._refuse, self._write_targets)
            for name in NAMES for number in range(1, replicas.get(name, 1) + 1)]

    def run(self, url: str) -> int:
        """Run until SIGINT or SIGTERM; prints one line when ``/health/ready`` at ``url`` is 200. Returns the exit code.

        Raises:
            EdgemereError: what a process said why it cannot work, however often it is started.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self._over.set())
        try:
            for keeper in self.keepers:
                keeper.start()
            self._announce(url)
        finally:
            self._stop()
        if self._refusal is not None:
            raise self._refusal
        return 0

    def _announce(self, url: str) -> None:
        """Say when everything is ready, and while it is not, why; then when that changes."""
        told, shown, said_at = False, False, time.monotonic()
        while not self._over.wait(self._settings.probe_every_s if told else LOOK_S):
            silent = [keeper.program.title for keeper in self.keepers if not keeper.answers]
            fault = f"waits for the start of {', '.join(silent)}" if silent and not told else fault_at(
                f"{url}/health/ready", self._settings.probe_timeout_s)
            if not fault and not told:
                print(f"Ready: {url}/web  ({len(self.keepers)} processes; Ctrl-C stops)", flush=True)
                told = True
            elif shown is bool(fault) or fault and time.monotonic() - said_at > SAY_EVERY_S:
                log.warning("not ready: the mesh %s", fault) if fault else log.warning("ready again")
            else:
                continue
            shown, said_at = not fault, time.monotonic()

    def _stop(self) -> None:
        # Whoever answers the world goes first, so that nobody's call is cut by a service that is gone.
        for group in ([keeper for keeper in self.keepers if keeper.program.name == GATEWAY],
                      [keeper for keeper in self.keepers if keeper.program.name != GATEWAY]):
            for keeper in group:
                keeper.stop()
            for keeper in group:
                if keeper.ident is not None:
                    keeper.join(self._settings.stop_s + 5)
        self._listener.close()

    def _write_targets(self) -> None:
        """Say where each process tells of itself, in the form that Prometheus reads (file_sd_configs)."""
        with self._writing:
            found = [{"targets": [keeper.address], "labels": {"process": keeper.program.title}} for keeper in self.keepers if keeper.address]
            try:
                self._targets.parent.mkdir(parents=True, exist_ok=True)
                written = self._targets.with_suffix(".new")
                written.write_bytes(orjson.dumps(found))
                written.replace(self._targets)
            except OSError as error:
                log.warning("%s cannot be written, so Prometheus does not find the processes: %s", self._targets, error.strerror)

    def _refuse(self, error: EdgemereError) -> None:
        self._refusal = self._refusal or error
        self._over.set()


def checked_replicas(replicas: Mapping[str, int], config: Config) -> Mapping[str, int]:
    """The same, when every name is one and the databases are for many processes.

    Raises:
        Invalid: ``replicas.unknown``, ``replicas.embedded``.
    """
    for name, number in replicas.items():
        if name not in NAMES:
            raise Invalid("replicas.unknown", f"--replicas: there is no service '{name}'.{did_you_mean(name, NAMES)}",
                          next_step=f"There are {', '.join(NAMES)}.")
        if number > 1 and name != GATEWAY and not config.database.url.startswith("postgres"):
            raise Invalid("replicas.embedded", f"Two processes of '{name}' cannot share a SQLite file.",
                          next_step="Set EDGEMERE_DATABASE_URL to a PostgreSQL.")
    return replicas


def fault_at(url: str, timeout_s: float) -> str:
    """What is wrong with an answer, as the rest of a sentence; empty for 200."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        body = answer.read(65536)
    except TimeoutError:
        return f"did not answer within {timeout_s:g} s"
    except (OSError, http.client.HTTPException) as error:
        return f"did not answer ({type(error).__name__})"
    finally:
        connection.close()
    if answer.status == 200:
        return ""
    try:
        detail: Any = orjson.loads(body).get("detail")
    except (ValueError, AttributeError):
        detail = None
    return f"says: {detail or answer.status}"


def _worked_s(pid: int) -> float:
    """The processor time that a process has used; 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0


def _ended(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


def _step(steps: Sequence[float], number: int) -> float:
    return steps[min(number, len(steps) - 1)] if steps else 0.0
