"""Gateways on real sockets, each in a process of its own: alone, and on a small Nameko mesh over the embedded broker."""
from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest
import requests

from tests.interface.gateway.locked import locked
from tests.support.reaper import end_group, reaper
from tests.support.servers import ROOT, project_environment


class World:
    """A running gateway: ``url``, ``port``, and ``do(...)`` for what ``world.Control`` can."""

    def __init__(self, kind, folder, **settings):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.interface.gateway.world", kind, str(folder), json.dumps(settings)],
            cwd=ROOT, env=project_environment(), stdout=subprocess.PIPE, start_new_session=True)
        reaper.watch_group(self.process.pid)
        ports = json.loads(self.process.stdout.readline())
        self.port, self.url = ports["port"], f"http://127.0.0.1:{ports['port']}"
        self._control = socket.create_connection(("127.0.0.1", ports["control"]), timeout=120)
        self._lines = self._control.makefile("rwb")

    def do(self, what, **named):
        self._lines.write(json.dumps({"do": what, **named}).encode() + b"\n")
        self._lines.flush()
        return json.loads(self._lines.readline())["answer"]

    def stop(self):
        self._lines.close()
        self._control.close()
        end_group(self.process.pid)
        reaper.forget_group(self.process.pid)
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def serve(tmp_path):
    """A function that starts a gateway alone, with some settings."""
    worlds = []

    def start(**settings):
        worlds.append(World("alone", tmp_path, **settings))
        return worlds[-1]

    yield start
    for world in worlds:
        world.stop()


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    """A gateway on a small mesh, for the tests of one module."""
    world = World("mesh", tmp_path_factory.mktemp("mesh"), recheck_s=30)
    yield world
    world.stop()


@pytest.fixture
def mesh_to_break(tmp_path):
    """A gateway on a small mesh, for one test that breaks it."""
    world = World("mesh", tmp_path, recheck_s=30)
    yield world
    world.stop()


@pytest.fixture(scope="package")
def server(tmp_path_factory):
    """A server that wants a login, for all modules whose tests leave it as it is."""
    running = locked(tmp_path_factory.mktemp("locked"))
    with running:
        yield running
    running.provider.server.shutdown()


@pytest.fixture
def its_own_address(request):
    """Each test comes from an address of its own, as a trusted proxy says: wrong credentials of one do not count for another."""
    number = abs(hash(request.node.name)) % 60_000
    address = f"10.9.{number // 250}.{number % 250 + 1}"
    original = requests.request

    def from_there(method, url, headers=None, **more):
        return original(method, url, headers={"X-Forwarded-For": address, **(headers or {})}, **more)

    requests.request = from_there
    yield address
    requests.request = original
