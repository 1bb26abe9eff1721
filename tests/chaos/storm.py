"""The world of the chaos suite: a mesh with replicas on real servers, clients that do not give up, and a witness of everything."""
from __future__ import annotations

import http.client
import json
import os
import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg2
import yaml

from tests.support.calling import DO, FMDM
from tests.support.evidence import Evidence, PostgresSchemas, under_way
from tests.support.forwarder import Forwarder
from tests.support.invariants import promises_broken_by
from tests.support.postgres import PostgresServer
from tests.support.production import Member, ProductionMesh
from tests.support.rabbitmq import RabbitNode
from tests.support.witness import Witness

UNSTEADY = [sys.executable, str(Path(__file__).with_name("unsteady.py"))]
REPLICAS = {"requests": 2, "reservations": 2, "instances": 2}
FILES = 12
QUIET_S = 1.0
REST_LIMIT_S = 120
# Short pauses, so that a round does not wait for them; the same number of attempts as in production.
SETTINGS = {"events": {"retry_backoff_s": [0.2, 0.5, 1, 3]}, "requests": {"quiet_s": 5}, "instances": {"grace_s": 60}}
QUEUES = ("edgemere.dead", "events.log", "reservations.datarequest.needed", "reservations.datarequest.selected",
          "instances.datarequest.evaluated", "requests.instances.settled", "edgemere.retry.200ms", "edgemere.retry.500ms",
          "edgemere.retry.1000ms", "edgemere.retry.3000ms")


class Refused(AssertionError):
    """The mesh answered with what no fault excuses."""


class Storm:
    """Servers, a mesh between forwarders, sources, and what was asked of it so far."""

    def __init__(self, home: Path, replicas: dict[str, int] | None = None) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.note = home / "deaths.txt"
        self.lab, self.target = home / "lab", home / "target"
        self.lab.mkdir(), self.target.mkdir()
        for number in range(FILES):
            (self.lab / f"scan-{number}.csv").write_bytes(os.urandom(3000 * number))
        (home / "settings.yaml").write_text(yaml.safe_dump(SETTINGS))
        self.rabbit, self.postgres = RabbitNode.start(), PostgresServer.start()
        self.database_url = self.postgres.create_database()
        self.way = Forwarder(_port(self.rabbit.uri))
        self.witness = Witness(self.rabbit.uri)
        self.witness.bind()
        self.mesh = ProductionMesh(
            home / "mesh", self.rabbit.uri.replace(f":{_port(self.rabbit.uri)}/", f":{self.way.port}/"), self.database_url,
            replicas=REPLICAS if replicas is None else replicas, program=UNSTEADY,
            environment={"EDGEMERE_CONFIG": str(home / "settings.yaml"), "EDGEMERE_CHAOS_NOTE": str(self.note)})
        self.accepted: list[str] = []
        self.sent: list[str] = []
        self.dead_allowed = False

    def start(self) -> Storm:
        self.mesh.start()
        for name, more, capacity in (("lab", {}, {"readers": 5000}), ("target", {"writable": True}, {"bytes": 50_000_000})):
            self.insist("fmdm datasource create", wait_s=30, name=name, adaptor="file",
                        parameters={"rootdir": str(self.lab if name == "lab" else self.target), **more}, capacity=capacity)
        self.insist("fmdm datasource simulate", wait_s=30, name="archive", listing={
            f"mri/{n}.nii": {"size": 1000 + n, "tags": {"owner": "anna"}} for n in range(5)})
        self.insist("fmdm datasource simulate", wait_s=30, name="narrow", capacity={"readers": 3}, listing={
            f"few/{n}.nii": {"size": 10} for n in range(3)})
        return self

    def stop(self) -> None:
        self.mesh.stop()
        self.way.shut()
        self.rabbit.stop()
        self.postgres.stop()

    # --- clients

    def once(self, words: str, key: str | None = None, wait_s: float = 0, limit_s: float = 40, **parameters: Any) -> tuple[int, Any]:
        """One call; 0 and the error when there was no answer."""
        headers = {"Content-Type": "application/json", "Prefer": f"wait={wait_s}", **({"Idempotency-Key": key} if key else {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.mesh.port, timeout=limit_s)
        try:
            connection.request("POST", _path(words), json.dumps(parameters), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            return 0, error
        finally:
            connection.close()

    def insist(self, words: str, key: str | None = None, wait_s: float = 0, limit_s: float = 120, **parameters: Any) -> Any:
        """Call until there is an answer that is no fault's; with a key, so that it is one call.

        Raises:
            Refused: an answer that no fault excuses, an unhandled 500 among them, or none at all within ``limit_s``.
        """
        key = key or f"key-{time.monotonic_ns()}"
        deadline = time.monotonic() + limit_s
        while True:
            status, body = self.once(words, key, wait_s, **parameters)
            if status in (200, 201, 202):
                return body
            if status not in (0, 409, 503, 504) or status == 409 and body.get("code") != "idempotency.in_progress":
                raise Refused(f"{words} {parameters}: {status} {body}")
            if time.monotonic() > deadline:
                raise Refused(f"{words} {parameters}: no answer within {limit_s} s; the last was {status} {body}")
            time.sleep(0.1)

    def ask(self, words: str, **parameters: Any) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.mesh.port, timeout=120)
        try:
            connection.request("GET", f"{_path(words)}?{urlencode(parameters)}")
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def request(self, name: str, **more: Any) -> str:
        """Have a request accepted, however long that takes."""
        made = self.insist("datarequest create", key=f"request-{name}", name=name, **more)
        self.accepted.append(made["id"])
        return made["id"]

    @contextmanager
    def load(self, tag: str, dice: random.Random, count: int) -> Iterator[None]:
        """While the block runs, clients ask for what users ask for; it ends when all was accepted."""
        wanted = [(f"{tag}-{number}", _wanted(dice)) for number in range(count)]
        faults: list[BaseException] = []

        def client(mine: list[tuple[str, dict[str, Any]]]) -> None:
            try:
                for name, what in mine:
                    self.request(name, **what)
            except BaseException as error:
                faults.append(error)

        clients = [threading.Thread(target=client, args=(wanted[first::3],), daemon=True) for first in range(3)]
        for one in clients:
            one.start()
        try:
            yield
        finally:
            for one in clients:
                one.join(180)
        if faults:
            raise faults[0]
        assert not any(one.is_alive() for one in clients), "a client hangs"

    # --- looking

    def evidence(self) -> Evidence:
        self.witness.collect()
        depths = self.witness.depths(QUEUES)
        return Evidence(PostgresSchemas(self.database_url), sent=self.sent, heard=self.witness.heard, accepted=self.accepted, depths=depths)

    def rest(self, limit_s: float = REST_LIMIT_S) -> None:
        """Wait until nothing is under way, and hold everything against the promises.

        Raises:
            AssertionError: with every promise that is broken, or the work that never ended.
        """
        databases = PostgresSchemas(self.database_url)
        deadline, seen, since, kept_since = time.monotonic() + limit_s, None, time.monotonic(), None
        while True:
            now = (databases.rows("events", "SELECT max(sequence) AS last FROM event")[0]["last"], under_way(databases))
            if now != seen:
                seen, since, kept_since = now, time.monotonic(), None
            late = time.monotonic() > deadline
            if late or not any(now[1].values()) and time.monotonic() - since > QUIET_S:
                found = [line for line in promises_broken_by(self.evidence()) if not self._is_excused(line)]
                kept_since = None if found else kept_since or time.monotonic()
                # A message that a handler has just now is in no queue's depth: one look would miss it.
                if late or kept_since and time.monotonic() - kept_since > QUIET_S:
                    left = [f"{count} {what}" for what, count in now[1].items() if count]
                    assert not left + found, "\n".join([*left, *found])
                    return
            time.sleep(0.2)

    def _is_excused(self, sentence: str) -> bool:
        return self.dead_allowed and sentence.startswith("dead letter")

    def complete_some(self, dice: random.Random) -> None:
        """Now and then a user is done with what is there."""
        for request in self.ask("datarequest list", state="Satisfied", limit=5)["items"]:
            if dice.random() < 0.5:
                self.insist("datarequest complete", id=request["id"])

    def letters(self) -> list[dict[str, Any]]:
        """The dead letters that nobody has dealt with."""
        return [letter for letter in self.ask("event dead list", limit=100)["items"] if not letter["replayed_at"]]

    def clear_dead_letters(self) -> None:
        """What was put aside on purpose is no fault of later rounds."""
        with psycopg2.connect(self.database_url.replace("+psycopg2", "")) as connection, connection.cursor() as cursor:
            cursor.execute("DELETE FROM events.deadletter WHERE replayed_at IS NULL")

    def deaths(self) -> str:
        """Who killed itself where."""
        return self.note.read_text() if self.note.exists() else ""

    def member(self, dice: random.Random) -> Member:
        return dice.choice(self.mesh.members)

    def heal(self) -> float:
        """Whatever was done to it: everything runs again. How long until the mesh is ready."""
        self.way.shut()
        self.way.open()
        for member in self.mesh.members:
            member.thaw()
        return self.mesh.wait_until_ready(90, reviving=True)


def _wanted(dice: random.Random) -> dict[str, Any]:
    low = dice.randrange(FILES)
    return dice.choice([
        {"query": "source:lab", "action": "copy", "target": "target"},
        {"query": f"name:scan-{low}.csv", "action": "copy", "target": "target"},
        {"query": f"name:scan-{low}.csv"},
        {"query": f"source:lab size>{3000 * low}", "granularity": "source"},
        {"query": "source:archive"},
        {"query": "source:narrow"},
        {"query": "owner:nobody"},
    ])


def _path(words: str) -> str:
    tree, _, rest = words.partition(" ")
    return (FMDM if tree == "fmdm" else DO) + (rest if tree == "fmdm" else words).replace(" ", "/")


def _port(uri: str) -> int:
    return int(uri.rpartition(":")[2].split("/")[0])
