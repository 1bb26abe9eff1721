"""Runs a process of the mesh: everything embedded, one service alone, or the supervisor of many."""
from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import eventlet
import eventlet.wsgi
from nameko.runners import ServiceRunner

from shared.bus.embedded import embedded_uri
from shared.bus.pace import Pace
from shared.bus.port import connect
from shared.bus.topology import BASE
from shared.hosting.compose import SERVICES, Service, compose, nameko_config, open_database
from shared.hosting.config import is_embedded
from shared.hosting.data_folder import DataFolder
from shared.hosting.logs import set_up_logging
from shared.hosting.settings import Config
from shared.kernel.errors import EdgemereError, NotYet

log = logging.getLogger(__name__)
STOP_S = 10


class Mesh:
    """Services and, if wanted, the gateway, running in this process."""

    def __init__(self, config: Config, names: tuple[str, ...], gateway: Any | None) -> None:
        self.config = config
        self.broker = connect(config.broker.uri)
        pace = Pace()
        self.services = [compose(config, name, self.broker, pace) for name in names]
        self.settings = nameko_config(config, self.services, pace)
        self.runner = ServiceRunner(self.settings)
        for service in self.services:
            self.runner.add_service(service.kind)
        if gateway is not None:
            gateway.prepare(self.settings)
            self.runner.add_service(gateway)

    def start(self) -> None:
        """Declare the topology, then start relays, services and gateway."""
        self.broker.declare(BASE)
        for service in self.services:
            _serve_bytes(service)
        self.runner.start()
        # Every queue is bound by now: what is published from here on is heard.
        for service in self.services:
            service.relay.start()

    def stop(self) -> None:
        """Stop taking work, finish what is in hand, then close everything."""
        self.runner.stop()
        for service in self.services:
            service.relay.stop()
            for stop in service.stops:
                stop()
        self.broker.close()

    def wait(self) -> None:
        self.runner.wait()


def _serve_bytes(service: Service) -> None:
    server = service.uses.parts.get("bytes")
    if server is None:
        return
    socket = eventlet.listen(("127.0.0.1", 0))
    server.address = f"http://127.0.0.1:{socket.getsockname()[1]}"
    quiet = logging.getLogger("edgemere.bytes")
    thread = eventlet.spawn(eventlet.wsgi.server, socket, server, log=quiet, log_output=False, socket_timeout=60, debug=False)
    service.stops.append(thread.kill)
    service.stops.append(socket.close)


def resolved(config: Config) -> Config:
    """The settings with the embedded broker's file named."""
    if not is_embedded(config):
        return config
    return replace(config, broker=replace(config.broker, uri=embedded_uri(Path(config.data_dir) / "broker.db")))


def up(config: Config, replicas: dict[str, int] | None = None, gateway: type | None = None) -> int:
    """Run everything in this process until SIGINT or SIGTERM; prints one line when ready. Returns the exit code."""
    set_up_logging(config)
    if replicas:
        raise NotYet("not_yet", "Replicas in processes of their own are not built yet.",
                     next_step="Leave --replicas out, or start services one by one: edgemere serve NAME")
    config = resolved(config)
    with DataFolder.open(config.data_dir):
        mesh = Mesh(config, SERVICES, gateway)
        return _run(mesh, f"Ready: http://{_shown_host(config.web.host)}:{{port}}/web  (data in {config.data_dir}; Ctrl-C stops)")


def serve(config: Config, name: str, gateway: type | None = None) -> int:
    """Run one service, or the gateway, alone."""
    set_up_logging(config)
    config = resolved(config)
    if config.broker.uri.startswith("embedded:") and name in (*SERVICES, "gateway"):
        raise EdgemereError("broker.embedded", "One service alone needs a broker that other processes reach.",
                            next_step="Set EDGEMERE_AMQP_URI, or start everything with: edgemere up")
    return _run(Mesh(config, () if name == "gateway" else (name,), gateway if name == "gateway" else None),
                f"Ready: {name}")


def migrate(config: Config) -> int:
    """Bring every database to the current schema; files only while no server runs on their folder."""
    with nullcontext() if config.database.url else DataFolder.open(config.data_dir):
        for name in SERVICES:
            open_database(config, name).close()
            print(f"{name}: current")
    return 0


def _shown_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _run(mesh: Mesh, ready: str) -> int:
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    try:
        mesh.start()
        port = mesh.settings.get("GATEWAY_PORT", mesh.config.web.port)
        # What is there now stays; looking through it again and again only costs time.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        print(ready.format(port=port), flush=True)
        _sleep_until(stopping, mesh)
    except Exception:
        _bounded(mesh.stop)
        raise
    _bounded(mesh.stop)
    return 0


def _sleep_until(stopping: Any, mesh: Mesh) -> None:
    waiter = eventlet.spawn(mesh.wait)
    while not stopping.wait(timeout=1):
        if waiter.dead:
            waiter.wait()
            return


def _bounded(stop: Any) -> None:
    """Stop within a bound, whatever hangs."""
    def end() -> None:
        time.sleep(STOP_S)
        sys.stderr.write("edgemere: did not stop in time; ending now.\n")
        os._exit(1)
    threading.Thread(target=end, daemon=True).start()
    stop()


__all__ = ["Mesh", "migrate", "resolved", "serve", "up"]
