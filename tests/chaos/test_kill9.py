"""``kill -9`` at every step of a request, seeded: after a start nothing is lost, nothing is there twice.

The short form runs a few rounds; ``--long`` runs 200. A failing round says its seed.
"""
from __future__ import annotations

import json
import os
import random
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support.invariants import broken_promises
from tests.support.servers import EdgemereServer

DO, FMDM = "/edgemere/diml/dml/do", "/edgemere/diml/dml/fmdm"
DYING = [sys.executable, str(Path(__file__).with_name("dying_server.py"))]
REST_LIMIT_S = 120


class Mesh:
    """A server that dies and comes back, and the client that does not give up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.note = folder / "deaths.txt"
        folder.mkdir()
        self.lab, self.target = folder / "lab", folder / "target"
        self.lab.mkdir(), self.target.mkdir()
        for number in range(12):
            (self.lab / f"scan-{number}.csv").write_bytes(os.urandom(2000 * number))
        self.server = EdgemereServer(folder / "server", program=DYING, environment={
            "EDGEMERE_CHAOS_DIE_AT": "0", "EDGEMERE_CHAOS_NOTE": str(self.note)})

    def start(self, die_at: int = 0) -> None:
        self.server._environment["EDGEMERE_CHAOS_DIE_AT"] = str(die_at)
        if self.server.process is None:
            self.server.start(wait=die_at == 0)
        elif die_at == 0:
            self.server.restart()
        else:
            self.server._forget()
            self.server.start(wait=False)

    def call(self, path: str, body: Any = None, key: str | None = None, wait: int = 0) -> Any:
        headers = {"Content-Type": "application/json", "Prefer": f"wait={wait}", **({"Idempotency-Key": key} if key else {})}
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(urllib.request.Request(self.server.url + path, data, headers), timeout=60) as answer:
            return json.load(answer)

    def insist(self, path: str, body: Any, key: str) -> Any | None:
        """Call until there is an answer; None when the server has died."""
        while True:
            try:
                return self.call(path, body, key, wait=2)
            except urllib.error.HTTPError as error:
                if error.code < 500:
                    raise AssertionError(error.read().decode()) from error
            except (OSError, ValueError):
                pass
            if self.server.process.poll() is not None:
                return None
            time.sleep(0.05)

    def rest(self) -> None:
        """Wait until every request and every scan has ended and every message is in the log."""
        deadline, last, since = time.monotonic() + REST_LIMIT_S, -1, time.monotonic()
        while time.monotonic() < deadline:
            still = self.call(f"{DO}/datarequest/find?attr1=state:Init,Needed,Selected,Evaluated&limit=1")["total"]
            # A scan whose scanner was killed is taken up when its lease has ended, seconds later.
            still += sum((source["scan"] or {}).get("state") == "running" for source in self.call(f"{FMDM}/datasource/list")["items"])
            head = self.call(f"{DO}/event/list?sort=-sequence&limit=1")["items"]
            head = head[0]["sequence"] if head else 0
            if still or head != last:
                last, since = head, time.monotonic()
            elif time.monotonic() - since > 1.0:
                return
            time.sleep(0.1)


def wanted(number: int, dice: random.Random) -> tuple[str, dict[str, Any]]:
    """One of the things that users ask for."""
    name = f"round-{number}"
    low = dice.randint(0, 11)
    return dice.choice([
        (f"{DO}/datarequest/create", {"name": name, "query": "source:lab", "action": "copy", "target": "target"}),
        (f"{DO}/datarequest/create", {"name": name, "query": f"name:scan-{low}.csv"}),
        (f"{DO}/datarequest/create", {"name": name, "query": "source:archive", "granularity": "source"}),
        (f"{DO}/datainstance/create", {"dataref": {"name": name, "query": f"size>{low * 2000} source:lab"}}),
        (f"{DO}/datarequest/create", {"name": name, "query": "owner:nobody"}),
    ])


def run_rounds(mesh: Mesh, seed: int, rounds: int) -> None:
    dice = random.Random(seed)
    mesh.start()
    for name, body in (("lab", {"rootdir": str(mesh.lab)}), ("target", {"rootdir": str(mesh.target), "writable": True})):
        mesh.call(f"{FMDM}/datasource/create", {"name": name, "adaptor": "file", "parameters": body, "capacity": {"readers": 5000}}, wait=50)
    mesh.call(f"{FMDM}/datasource/simulate", {"name": "archive", "listing": {
        f"mri/{n}.nii": {"size": 1000 + n, "tags": {"owner": "anna"}} for n in range(5)}}, wait=50)
    mesh.server.kill9()
    for number in range(rounds):
        path, body = wanted(number, dice)
        key = f"seed-{seed}-round-{number}"
        mesh.start(die_at=dice.randint(1, 90))
        if mesh.insist(path, body, key) is not None:
            if dice.random() < 0.5:
                brought_back(mesh)
            # The rest of the flow goes on for a moment, then it is killed wherever it is.
            time.sleep(dice.random() * 0.4)
        if mesh.server.process.poll() is None:
            mesh.server.kill9(everything=True)
        if dice.random() < 0.5 and number < rounds - 1:
            continue  # the next round's server finds the unfinished work as well
        mesh.start()
        made = mesh.insist(path, body, key)
        assert made is not None
        ended(mesh, number, dice)
        mesh.rest()
        found = broken_promises(mesh.server.data)
        assert not found, f"seed {seed}, round {number}: {found}"
        mesh.server.kill9(everything=True)


def brought_back(mesh: Mesh) -> None:
    """A user destroys an instance and brings it back at once; the server may die at any point of it."""
    try:
        for instance in mesh.call(f"{DO}/datainstance/list?state=Ready&limit=1")["items"]:
            mesh.call(f"{DO}/datainstance/destroy", {"attr1": instance["id"]})
            mesh.call(f"{DO}/datainstance/undo", {"id": instance["id"]})
    except (OSError, ValueError):
        pass


def ended(mesh: Mesh, number: int, dice: random.Random) -> None:
    """Now and then a user is done with what is there."""
    mesh.rest()
    if dice.random() < 0.5:
        for request in mesh.call(f"{DO}/datarequest/list?state=Satisfied&limit=3")["items"]:
            mesh.call(f"{DO}/datarequest/complete", {"id": request["id"]})


def test_a_few_rounds_of_kill_9_lose_and_double_nothing(tmp_path):
    mesh = Mesh(tmp_path / "mesh")
    try:
        run_rounds(mesh, seed=int(os.environ.get("EDGEMERE_CHAOS_SEED", "1")), rounds=10)
    finally:
        mesh.server.stop()


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(100, 110))
def test_200_rounds_of_kill_9_lose_and_double_nothing(tmp_path, seed):
    mesh = Mesh(tmp_path / "mesh")
    try:
        run_rounds(mesh, seed=seed, rounds=20)
    finally:
        mesh.server.stop()
        print((mesh.note.read_text() if mesh.note.exists() else "").strip())
