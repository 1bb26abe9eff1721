"""The mesh on RabbitMQ and PostgreSQL as a test runs it: each service and the gateway a process of its own, on real servers.

Every process can be killed, frozen and started again by itself; nothing supervises them but the test. The same program
as in production is run (``edgemere serve NAME``), or one that wraps it.
"""
from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.support import servers
from tests.support.ports import free_port
from tests.support.reaper import end_group, reaper
from tests.support.servers import ROOT, STOP_LIMIT_S, EdgemereServer, project_environment
from tests.support.starting import LIMIT_S, ServerFailed

SERVICES = ("requests", "reservations", "instances", "catalog", "events")
EVERYBODY = (*SERVICES, "gateway")


class Member:
    """One process of the mesh; ``name`` is its service, ``number`` counts the replicas from 0."""

    def __init__(self, mesh: ProductionMesh, name: str, number: int) -> None:
        self.name, self.number = name, number
        self.log_path = mesh.folder / f"{name}-{number}.log"
        self.process: subprocess.Popen | None = None
        # What this one has that the others have not.
        self.environment: dict[str, str] = {}
        self._mesh = mesh

    def __repr__(self) -> str:
        return f"{self.name}-{self.number}"

    def start(self, **environment: str) -> None:
        """Start it (again); ``environment`` holds for this start only."""
        self._forget()
        arguments = [*self._mesh.program, "serve", self.name]
        if self.name == "gateway":
            arguments += ["--port", str(self._mesh.ports[self.number])]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                arguments, env=project_environment(**{**self._mesh.environment, "EDGEMERE_CHAOS_MEMBER": repr(self), **self.environment, **environment}),
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        reaper.watch_group(self.process.pid)

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill9(self) -> None:
        """``kill -9`` of the process; its workers are left to notice by themselves."""
        if self.is_running:
            self.process.kill()
            self.process.wait()

    def freeze(self) -> None:
        """SIGSTOP: it is there, and never answers."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        if self.is_running:
            self.process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        if self.is_running:
            self.process.terminate()

    def end(self, limit_s: float = STOP_LIMIT_S) -> int | None:
        """Wait for its end, within a limit, and kill what is left of it; the exit code, None when it had to be killed."""
        if self.process is None:
            return None
        try:
            code: int | None = self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            code = None
        self._forget()
        return code

    def _forget(self) -> None:
        if self.process is not None:
            end_group(self.process.pid)
            self.process.wait()
            reaper.forget_group(self.process.pid)


class ProductionMesh:
    """All processes on one broker and one database.

    ``folder`` receives the logs and the data folder, ``replicas`` says how many of a service there are (1 unless named).
    ``url`` is the first gateway's; ``program`` is what is run with ``serve NAME``.
    """

    def __init__(self, folder: Path, amqp_uri: str, database_url: str, *, replicas: Mapping[str, int] | None = None,
                 environment: Mapping[str, str] | None = None,
                 program: Sequence[str] = (sys.executable, "-m", "gateway")) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.database_url = database_url
        self.program = list(program)
        self.environment = {"EDGEMERE_AMQP_URI": amqp_uri, "EDGEMERE_DATABASE_URL": database_url,
                            "EDGEMERE_DATA": str(folder / "data"), **(environment or {})}
        counts = {name: (replicas or {}).get(name, 1) for name in EVERYBODY}
        self.ports = [free_port() for _ in range(counts["gateway"])]
        self.members = [Member(self, name, number) for name in EVERYBODY for number in range(counts[name])]
        self.url = f"http://127.0.0.1:{self.ports[0]}"

    @property
    def port(self) -> int:
        return self.ports[0]

    def of(self, name: str) -> list[Member]:
        return [member for member in self.members if member.name == name]

    def start(self, wait: bool = True) -> ProductionMesh:
        """Bring the databases to the current schema and start every process that does not run."""
        subprocess.run([sys.executable, "-m", "gateway", "migrate"], env=project_environment(**self.environment), cwd=ROOT,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, timeout=300)
        if self not in servers.RUNNING:
            servers.RUNNING.append(self)
        self.revive()
        if wait:
            self.wait_until_ready()
        return self

    def revive(self) -> list[Member]:
        """Start every process that has ended, as a supervisor would; which they were."""
        ended = [member for member in self.members if not member.is_running]
        for member in ended:
            member.start()
        return ended

    def wait_until_ready(self, limit_s: float = LIMIT_S, reviving: bool = False) -> float:
        """Return when ``/health/ready`` answers 200; how long that took.

        Raises:
            ServerFailed: a process ended (unless ``reviving``), or it was not ready in time.
        """
        began = time.monotonic()
        while not self.is_ready():
            ended = self.revive() if reviving else [member for member in self.members if not member.is_running]
            if ended and not reviving:
                raise ServerFailed(f"{ended} ended before the mesh was ready.\n{self.log_tail()}")
            if time.monotonic() - began > limit_s:
                raise ServerFailed(f"The mesh was not ready after {limit_s} s.\n{self.log_tail()}")
            time.sleep(0.05)
        return time.monotonic() - began

    is_ready = EdgemereServer.is_ready

    def stop(self) -> None:
        """End every process; never fails for those that are gone."""
        for member in self.members:
            member.thaw()
            member.terminate()
        for member in self.members:
            member.end()
        if self in servers.RUNNING:
            servers.RUNNING.remove(self)

    def kill9(self) -> None:
        """``kill -9`` of everything at once, workers included."""
        for member in self.members:
            if member.process is not None:
                end_group(member.process.pid)
        for member in self.members:
            if member.process is not None:
                member.process.wait()

    def log_tail(self, chars: int = 6000) -> str:
        """The end of what each process wrote, over all its starts."""
        texts = [(member, member.log_path) for member in self.members if member.log_path.exists()]
        return "\n".join(f"--- {member}\n{path.read_text(errors='replace')[-chars:]}" for member, path in texts)


def warnings_of(mesh: ProductionMesh) -> Iterator[str]:
    """The lines of the logs that tell of a traceback."""
    for member in mesh.members:
        if member.log_path.exists():
            for line in member.log_path.read_text(errors="replace").splitlines():
                if "Traceback" in line or '"level": "error"' in line:
                    yield f"{member}: {line}"


def names(members: Iterable[Member]) -> str:
    return ", ".join(map(repr, members))


__all__ = ["EVERYBODY", "SERVICES", "Member", "ProductionMesh", "names", "warnings_of"]
