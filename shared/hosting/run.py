"""Runs the mesh in this process: everything embedded, or one service alone. The many processes are the supervisor's."""
from __future__ import annotations

import gc
import importlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import eventlet
import eventlet.wsgi
from eventlet import patcher
from nameko.runners import ServiceRunner

from shared.bus.embedded import embedded_uri
from shared.bus.pace import Pace
from shared.bus.port import connect
from shared.bus.topology import Topology
from shared.contracts.table import SERVICES
from shared.hosting.compose import Service, compose, nameko_config, open_database, whole_topology
from shared.hosting.config import broker_uri, database_url, is_embedded
from shared.hosting.data_folder import DataFolder
from shared.hosting.figures import Figures
from shared.hosting.green_postgres import bound_waits
from shared.hosting.logs import set_up_logging
from shared.hosting.looks import room
from shared.hosting.sealing import seal_of
from shared.hosting.settings import Config
from shared.hosting.tether import Tether
from shared.hosting.tracing import Tracing
from shared.hosting.vitals import BROKER_EVERY_S, Vitals
from shared.hosting.vitals_page import VitalsPage
from shared.kernel.errors import Conflict, EdgemereError, Invalid, did_you_mean

log = logging.getLogger(__name__)
T = TypeVar("T")
GATEWAY = "gateway"
# The server gives up a statement by itself; this is for one that cannot say so.
GRACE_S = 5.0
WAIT_S = (0.2, 0.5, 1.0, 2.0)
READY_LOOK_S, SAY_EVERY_S = 0.02, 10.0


class Mesh:
    """Services and, if wanted, the gateway, running in this process. Waits for a broker and databases that are away."""

    def __init__(self, config: Config, names: tuple[str, ...], gateway: Any | None) -> None:
        self.config = config
        if database_url(config, "any").startswith("postgres"):
            bound_waits(config.database.statement_timeout_s + GRACE_S)
        # Before the broker makes its file.
        self.seal = seal_of(config)
        self.broker = connect(config.broker.uri)
        self.figures = Figures(config.health.figures_every_s)
        self.tracing = Tracing(config)
        stuck_s = config.health.stuck_s
        self.vitals = {name: Vitals(name, stuck_s) for name in (*names, *([GATEWAY] if gateway else []))}
        self.page = VitalsPage(list(self.vitals.values()), self.figures)
        self.services: list[Service] = []
        self._names = names
        self._gateway = gateway
        self._stopping = threading.Event()
        self._topology: Topology | None = None
        self.settings: dict[str, Any] = nameko_config(config, Pace(), self.vitals, self.figures, self.seal, self.tracing)
        self.runner = ServiceRunner(self.settings)
        if gateway is not None:
            # Before anything else has begun, so that an address in use is refused in one sentence.
            gateway.prepare(self.settings)

    def prepare(self) -> None:
        """Import everything that the services need, and migrations, too."""
        if self._names:
            self._topology = whole_topology(self.config)
            importlib.import_module("alembic.runtime.environment")

    def start(self) -> None:
        """Open the databases, declare the topology, then start services, gateway and relays.

        Raises:
            EdgemereError: what no waiting mends: a database of a newer version, a policy file that cannot be used.
        """
        for vitals in self.vitals.values():
            vitals.use("broker", self._look_at_broker, every_s=BROKER_EVERY_S)
            vitals.start()
        for name in self._names:
            self._compose(name)
        if self._names:
            # Also for services that were never started yet: what is said before they are is theirs to hear.
            topology = self._topology or whole_topology(self.config)
            self._until(lambda: self.broker.declare(topology))
        for service in self.services:
            self.runner.add_service(service.kind)
            _serve_bytes(service, self.config)
        if self._gateway is not None:
            self.runner.add_service(self._gateway)
        self.runner.start()
        # Every queue is bound by now: what is published from here on is heard.
        for service in self.services:
            service.relay.start()
        self.figures.samples.add(room(self.config.data_dir, self.config.health.least_room_bytes))
        self.figures.samples.start()
        for vitals in self.vitals.values():
            vitals.begin()

    def stop(self) -> None:
        """Stop taking work, finish what is in hand, then close everything."""
        self._stopping.set()
        self.figures.samples.stop()
        for vitals in self.vitals.values():
            vitals.stop()
        self.runner.stop()
        for service in self.services:
            service.relay.stop()
            for stop in service.stops:
                stop()
        self.broker.close()
        self.tracing.stop()
        self.page.close()

    def wait(self) -> None:
        self.runner.wait()

    def when_ready(self, tell: Callable[[], None]) -> None:
        """Call ``tell()`` as soon as ``/health/ready`` answers 200; what that waits for is said now and then. Returns at once."""
        eventlet.spawn(self._watch_for_readiness, tell)

    def _watch_for_readiness(self, tell: Callable[[], None]) -> None:
        said_at = time.monotonic()
        while not self._stopping.is_set():
            wrong = [answer["detail"] for ok, answer in (vitals.ready() for vitals in self.vitals.values()) if not ok]
            if not wrong:
                return tell()
            if time.monotonic() - said_at > SAY_EVERY_S:
                log.warning("not ready: %s", " ".join(dict.fromkeys(wrong)))
                said_at = time.monotonic()
            self._stopping.wait(READY_LOOK_S)
            for vitals in self.vitals.values():
                vitals.look_again()
        return None

    def _compose(self, name: str) -> None:
        vitals = self.vitals[name]
        service = self._until(lambda: compose(self.config, name, self.broker, self.settings["PACE"], vitals, self.figures,
                                               self.seal, self.tracing))
        self.services.append(service)
        self.settings["USES"][name] = service.uses

    def _until(self, attempt: Callable[[], T]) -> T:
        """What ``attempt`` gives, as soon as what it needs is there."""
        failed = 0
        while True:
            try:
                return attempt()
            except EdgemereError as error:
                if not error.retryable:
                    raise
                if not failed:
                    log.warning("waiting: %s", error.detail)
                for vitals in self.vitals.values():
                    vitals.phase = f"It is starting and waits: {error.detail}"
                if self._stopping.wait(WAIT_S[min(failed, len(WAIT_S) - 1)]):
                    raise
                failed += 1

    def _look_at_broker(self) -> str | None:
        return None if self.broker.is_reachable() else "The message broker does not answer."


def _serve_bytes(service: Service, config: Config) -> None:
    server = service.uses.parts.get("bytes")
    if server is None:
        return
    settings = config.instances
    listener = eventlet.listen((settings.content_host, settings.content_port))
    server.address = f"http://{_reached_at(settings.content_host)}:{listener.getsockname()[1]}"
    quiet = logging.getLogger("edgemere.bytes")
    thread = eventlet.spawn(eventlet.wsgi.server, listener, server, log=quiet, log_output=False, socket_timeout=60, debug=False)
    service.stops.append(thread.kill)
    service.stops.append(listener.close)


def _reached_at(host: str) -> str:
    """The address under which others reach what listens on ``host``: of a container that listens everywhere, its own."""
    if host in ("0.0.0.0", "::"):  # noqa: S104
        import socket
        return socket.gethostbyname(socket.gethostname())
    return f"[{host}]" if ":" in host else host


def resolved(config: Config, name: str = "") -> Config:
    """The settings with the broker's whole address: the file of the embedded one, the account of ``name`` and the certificates of another."""
    if not is_embedded(config):
        return replace(config, broker=replace(config.broker, uri=broker_uri(config, name)))
    return replace(config, broker=replace(config.broker, uri=embedded_uri(Path(config.data_dir) / "broker.db")))


def up(config: Config, gateway: type | None = None) -> int:
    """Run everything in this process until SIGINT or SIGTERM; prints one line when ready. Returns the exit code."""
    set_up_logging(config)
    config = resolved(config)
    with DataFolder.open(config.data_dir):
        mesh = Mesh(config, SERVICES, gateway)
        return _run(mesh, lambda: mesh.when_ready(lambda: print(
            f"Ready: http://{shown_host(config.web.host)}:{mesh.settings.get('GATEWAY_PORT', config.web.port)}/web"
            f"  (data in {config.data_dir}; Ctrl-C stops)", flush=True)))


def serve(config: Config, name: str, gateway: type | None = None) -> int:
    """Run one service, or the gateway, alone: under a supervisor, or as a container does.

    Raises:
        Invalid: ``service.unknown``. EdgemereError: ``broker.embedded``.
    """
    set_up_logging(config)
    names = (*SERVICES, GATEWAY)
    _check_name(name, names)
    config = resolved(config, name)
    if is_embedded(config):
        raise EdgemereError("broker.embedded", "One service alone needs a broker that other processes reach.",
                            next_step="Set EDGEMERE_AMQP_URI, or start everything with: edgemere up")
    tether = Tether.here()
    try:
        if tether is not None:
            tether.watch(_in_a_real_thread, config.supervisor.stop_s)
            # Several processes on one machine cannot have one port; the supervisor is told which it is.
            config = replace(config, health=replace(config.health, port=0), instances=replace(config.instances, content_port=0))
        mesh = Mesh(config, () if name == GATEWAY else (name,), gateway if name == GATEWAY else None)
        # What is imported from here on would keep the process from answering.
        mesh.prepare()
        address = _listening(mesh, config)
        if tether is None:
            return _run(mesh, lambda: mesh.when_ready(lambda: print(f"Ready: {name}  (health at {address}/health/ready)", flush=True)))
        tether.say({"health": address})
        return _run(mesh, lambda: tether.say({"running": True}))
    except EdgemereError as error:
        if tether is not None and not error.retryable:
            tether.say({"refused": error.payload()})
        raise


def _check_name(name: str, names: Sequence[str]) -> None:
    if name not in names:
        raise Invalid("service.unknown", f"There is no service '{name}'.{did_you_mean(name, names)}",
                      next_step=f"There are {', '.join(names)}.")


def _listening(mesh: Mesh, config: Config) -> str:
    try:
        return mesh.page.serve(config.health.host, config.health.port)
    except OSError as error:
        raise Conflict("port_in_use", f"The health of this process cannot be told on {config.health.host}, port "
                       f"{config.health.port}: {error.strerror}.", next_step="Choose another health.host or health.port.") from None


def migrate(config: Config, names: Sequence[str] = ()) -> int:
    """Bring every database, or those of the services named, to the current schema; files only while no server runs on their folder.

    Raises:
        Invalid: ``service.unknown``.
    """
    for name in names:
        _check_name(name, SERVICES)
    with nullcontext() if config.database.url else DataFolder.open(config.data_dir):
        for name in names or SERVICES:
            open_database(config, name).close()
            print(f"{name}: current")
    return 0


def shown_host(host: str) -> str:
    """A host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def look_through_less() -> None:
    """Have Python look for garbage in what comes from now on, and more seldom: what is there stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _run(mesh: Mesh, tell_started: Callable[[], None]) -> int:
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: stopping.set())
    started = eventlet.spawn(mesh.start)
    try:
        while not stopping.wait(timeout=0.05) and not started.dead:
            pass
        if started.dead:
            started.wait()
            look_through_less()
            tell_started()
            _sleep_until(stopping, mesh)
    except Exception:
        _bounded(mesh)
        raise
    _bounded(mesh)
    return 0


def _sleep_until(stopping: Any, mesh: Mesh) -> None:
    waiter = eventlet.spawn(mesh.wait)
    while not stopping.wait(timeout=1):
        if waiter.dead:
            waiter.wait()
            return


def _bounded(mesh: Mesh) -> None:
    """Stop within a bound, whatever hangs."""
    def end() -> None:
        time.sleep(mesh.config.supervisor.stop_s)
        sys.stderr.write("edgemere: did not stop in time; ending now.\n")
        os._exit(1)
    _in_a_real_thread(end)
    mesh.stop()


def _in_a_real_thread(work: Callable[[], None]) -> Any:
    """A thread of the system, which runs while green ones hang."""
    thread = patcher.original("threading").Thread(target=work, daemon=True)
    thread.start()
    return thread


__all__ = ["Mesh", "migrate", "resolved", "serve", "shown_host", "up"]
