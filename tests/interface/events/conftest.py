"""The service's handlers over a real database of each kind and a real broker; and the whole service in a child process."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from kombu import Connection

from services.events.models import METADATA
from shared.bus.embedded import embedded_uri, stop_broker
from shared.bus.message import Delivery
from shared.bus.port import connect
from shared.bus.seal import Seal
from shared.bus.topology import BASE, INTERNAL, event_queue
from shared.hosting.config import load_config
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.context import WHOSE, Context
from shared.kernel.errors import from_payload
from shared.kernel.ids import new_id
from shared.storage.database import Database
from tests.support.migrated import migrated
from tests.support.reaper import reaper
from tests.support.servers import ROOT, project_environment


SEAL = Seal(b"of the mesh of these tests", owner="stranger", roles=("DataScientist",))
# Whose question it is does not matter in most tests.
ADMINISTRATOR = Context("root", ("Administrator",))


@pytest.fixture
def uses(database_url: str, tmp_path: Path) -> Iterator[Uses]:
    engine = migrated(database_url, "events")
    broker = connect(embedded_uri(tmp_path / "broker.db"))
    broker.declare(BASE + event_queue("heard.advanced", [(INTERNAL, "log.advanced")]) + event_queue("lab.scans", []))
    yield Uses("events", Database(engine, METADATA), load_config("test", variables={}), ADMINISTRATOR,
               parts={"broker": broker, "seal": SEAL})
    engine.dispose()
    stop_broker(broker.uri)


def message(name: str, obj: Any, *, message_id: str | None = "", redelivered: bool = False, **body: Any) -> Delivery:
    """A delivery of the log's queue as our relay publishes it; without an id when ``message_id`` is None."""
    its_id = new_id("event") if message_id == "" else message_id
    full = {"obj": obj, "changed": [], "event": name, "id": its_id, "time": clock.stamp(), "correlation_id": "corr",
            "causation_id": None, **body}
    if its_id is None:
        full = {"obj": obj, **body}
    content = orjson.dumps(full)
    whose = {WHOSE: obj.get("owner", "") if isinstance(obj, dict) else ""}
    headers = SEAL.sealed(name, whose, content, its_id) if its_id else {}
    return raw(name, content, message_id=its_id, redelivered=redelivered, **headers)


def raw(name: str, body: bytes, *, message_id: str | None = None, redelivered: bool = False, queue: str = "events.log",
        content_type: str | None = "application/json", **headers: Any) -> Delivery:
    properties = {"content_type": content_type, **({"message_id": message_id} if message_id else {})}
    return Delivery(queue, "edgemere.events", name, body, properties, headers, redelivered)


def bodies(uses: Uses, queue: str) -> list[Any]:
    """What waits in a queue of the broker, taken out of it."""
    found = []
    with Connection(uses.parts["broker"].uri) as connection:
        with connection.channel() as channel:
            while (taken := channel.basic_get(queue)) is not None:
                channel.basic_ack(taken.delivery_tag)
                found.append(taken)
    return found


class World:
    """The services ``events`` and ``requests`` of ``world.py`` in a process of their own, asked over its pipes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = open(folder / "world.log", "ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.interface.events.world", str(folder)], cwd=ROOT, env=project_environment(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, start_new_session=True)
        reaper.watch_group(self.process.pid)
        assert self._answer() == "ready"

    def call(self, method: str, **parameters: Any) -> Any:
        """The answer of ``service.method``, or its error."""
        answer = self.do(call=method, parameters=parameters)
        if "error" in answer:
            raise from_payload(answer["error"])
        return answer["result"]

    def do(self, **order: Any) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, (self.folder / "world.log").read_text(errors="replace")[-5000:]
        return json.loads(line)

    def kill9(self) -> None:
        self.process.kill()
        self.stop()

    def stop(self) -> None:
        if self.process.stdin and not self.process.stdin.closed:
            try:
                self.process.stdin.close()
            except OSError:
                pass
        try:
            self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        reaper.forget_group(self.process.pid)
        self._log.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Callable[[], World]]:
    """A function that starts the services on one folder; each start ends the one before."""
    started: list[World] = []

    def start() -> World:
        for before in started:
            before.stop()
        os.makedirs(tmp_path / "world", exist_ok=True)
        started.append(World(tmp_path / "world"))
        return started[-1]

    yield start
    for one in started:
        one.stop()
