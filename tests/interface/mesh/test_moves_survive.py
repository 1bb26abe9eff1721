"""A move that is killed at any point: no byte is ever missing, and in the end each lies at the target alone."""
from __future__ import annotations

import json
import os
import random
import sqlite3
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import EdgemereServer

DO, FMDM = "/edgemere/diml/dml/do", "/edgemere/diml/dml/fmdm"
FILES = 12


def call(server: EdgemereServer, path: str, wait_s: int = 30, **body: Any) -> Any:
    request = urllib.request.Request(server.url + path, json.dumps(body).encode() if body else None,
                                     {"Content-Type": "application/json", "Prefer": f"wait={wait_s}"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 9))])
def test_a_mesh_killed_while_it_moves_loses_nothing(edgemere_server: Callable[..., EdgemereServer], tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    origin, target = tmp_path / "origin", tmp_path / "target"
    origin.mkdir()
    target.mkdir()
    bodies = {f"{number}.bin": os.urandom(dice.choice([1000, 1_500_000, 9_000_000])) for number in range(FILES)}
    for name, body in bodies.items():
        (origin / name).write_bytes(body)
    server = edgemere_server()
    for name, place, more in (("origin", origin, {"deletable": True}), ("target", target, {"writable": True})):
        call(server, f"{FMDM}/datasource/create", name=name, adaptor="file", parameters={"rootdir": str(place), **more})
    call(server, f"{DO}/datarequest/create", wait_s=0, name="away", query="source:origin", action="move", target="target")
    for _ in range(2):
        time.sleep(dice.uniform(0.0, 0.6))
        server.kill9(everything=True)
        for name, body in bodies.items():
            here = [place / name for place in (origin, target) if (place / name).exists()]
            assert here and all(place.read_bytes() == body for place in here), name
        server.start()
    until = time.monotonic() + 120
    while (state := call(server, f"{DO}/datarequest/show?id=away"))["state"] != "Satisfied" and time.monotonic() < until:
        time.sleep(0.3)
    assert state["state"] == "Satisfied", state
    assert sorted(os.listdir(origin)) == [] and sorted(os.listdir(target)) == sorted(bodies)
    assert {name: (target / name).read_bytes() == body for name, body in bodies.items()} == dict.fromkeys(bodies, True)
    items = call(server, f"{FMDM}/query?expression=name:*.bin&limit=100")["items"]
    assert sorted(item["name"] for item in items) == sorted(bodies) and {item["source"]["name"] for item in items} == {"target"}
    # Every move told its end, also one that was killed before it could: nothing is kept from scans for ever.
    until = time.monotonic() + 120
    while (kept := under_way(server)) and time.monotonic() < until:
        time.sleep(0.3)
    assert not kept


def under_way(server: EdgemereServer) -> int:
    """How many places the catalogue still keeps from scans because a move is at them."""
    with closing(sqlite3.connect(f"file:{server.data / 'catalog.db'}?mode=ro", uri=True, timeout=120)) as connection:
        return connection.execute("SELECT count(*) FROM passage").fetchone()[0]
