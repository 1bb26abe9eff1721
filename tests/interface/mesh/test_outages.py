"""Broker and database absent at the start, or gone for a while: waited for, told, and recovered from by itself."""
from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.awaiting import until
from tests.support.postgres import PostgresServer
from tests.support.rabbitmq import RabbitNode
from tests.support.supervised import SupervisedMesh

SERVICES = ("requests", "reservations", "instances", "catalog", "events")


@pytest.fixture(scope="module")
def node() -> Iterator[RabbitNode]:
    node = RabbitNode.start()
    yield node
    node.stop()


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresServer]:
    server = PostgresServer.start()
    yield server
    server.stop()


def ready(mesh: SupervisedMesh) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"{mesh.url}/health/ready", timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)
    except OSError:
        return 0, {}


def says(mesh: SupervisedMesh, words: str) -> bool:
    status, body = ready(mesh)
    return status == 503 and words in json.dumps(body)


def make(mesh: SupervisedMesh, name: str) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{mesh.url}/edgemere/diml/dml/do/datarequest/create", json.dumps({"name": name, "query": "owner:nobody", "wait": True}).encode(),
        {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def test_a_mesh_waits_for_its_broker_and_database_and_outlives_both(production_mesh, node, database):
    mesh = production_mesh(node=node, postgres=database, start=False)
    database.freeze()
    node.kill9()
    mesh.start(wait=False)
    until(lambda: len(mesh.pids()) == 6)
    until(lambda: says(mesh, "The message broker does not answer"))
    node.run()
    # Every service waits for its own database, and says so where it is asked by itself.
    until(lambda: "waiting: The database does not answer" in mesh.log_tail())
    assert ready(mesh)[0] == 503
    database.thaw()
    mesh.wait_until_ready()
    before = mesh.pids()

    database.freeze()
    until(lambda: says(mesh, "The database does not answer"))
    database.thaw()
    mesh.wait_until_ready()

    node.kill9()
    until(lambda: says(mesh, "The message broker does not answer"))
    node.run()
    began = time.monotonic()
    mesh.wait_until_ready()
    assert time.monotonic() - began < 120
    assert make(mesh, "after")["state"] == "Needed"
    assert mesh.pids() == before, "nobody had to be started again"


@pytest.mark.long
def test_a_broker_that_is_frozen_costs_calls_and_no_process(production_mesh, node, database):
    mesh = production_mesh(node=node, postgres=database)
    before = mesh.pids()
    node.freeze()
    try:
        until(lambda: says(mesh, "The message broker does not answer"))
        began = time.monotonic()
        with pytest.raises(urllib.error.HTTPError) as refused:
            make(mesh, "meanwhile")
        assert refused.value.code in (503, 504) and time.monotonic() - began < 35
    finally:
        node.thaw()
    mesh.wait_until_ready()
    assert make(mesh, "afterwards")["state"] == "Needed"
    assert mesh.pids() == before
