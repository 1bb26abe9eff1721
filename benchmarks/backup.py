"""How long it takes to save a mesh with many objects, and to bring it back.

    python -m benchmarks.backup [--objects 100000] [--kind embedded|production]

The floor is a plain copy of the same databases: ``cp`` of the files, or ``pg_dump`` where it is installed.
"""
from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.observability import FMDM, ask
from tests.support.postgres import PostgresServer
from tests.support.rabbitmq import RabbitNode
from tests.support.servers import EdgemereServer, run_edgemere
from tests.support.supervised import SupervisedMesh


def filled(server: Any, objects: int) -> None:
    """Data of simulated sources, each with tags, until there are as many as wanted and nothing is under way."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
    part = 20_000
    for number in range(0, objects, part):
        ask(connection, f"{FMDM}/datasource/simulate", {"name": f"camera{number}", "listing": {
            f"run{number + index}/scan.nii": {"size": index, "tags": {"owner": f"person{index % 50}", "study": f"s{index % 500}"}}
            for index in range(min(part, objects - number))}})
    while ask(connection, f"{FMDM}/data/list?limit=1")["total"] < objects:
        time.sleep(1)
    logged = -1
    while logged != (now := ask(connection, "/health/ready")["services"]["events"]["last_sequence"]):
        logged = now
        time.sleep(3)


def timed(*words: str, **environment: str) -> float:
    began = time.monotonic()
    done = run_edgemere(*words, timeout_s=600, **environment)
    assert done.returncode == 0, done.stderr
    print("  " + done.stdout.strip())
    return time.monotonic() - began


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--objects", type=int, default=100_000)
    options.add_argument("--kind", choices=("embedded", "production"), default="embedded")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        file = folder / "mesh.backup"
        if given.kind == "embedded":
            with EdgemereServer(folder / "mesh") as server:
                filled(server, given.objects)
                saved = timed("backup", str(file), "--data", str(server.data))
            began = time.monotonic()
            shutil.copytree(server.data, folder / "copy")
            os.sync()
            print(f"  a plain copy of the folder: {time.monotonic() - began:.1f} s")
            restored = timed("restore", str(file), "--data", str(folder / "new"))
        else:
            node, postgres = RabbitNode.start(), PostgresServer.start()
            mesh = SupervisedMesh(folder / "mesh", node, postgres)
            try:
                mesh.start()
                filled(mesh, given.objects)
                saved = timed("backup", str(file), EDGEMERE_AMQP_URI=mesh.amqp_uri, EDGEMERE_DATABASE_URL=mesh.database_url)
                restored = timed("restore", str(file), EDGEMERE_AMQP_URI=mesh.amqp_uri, EDGEMERE_DATABASE_URL=postgres.create_database())
            finally:
                mesh.stop()
                node.stop()
                postgres.stop()
    print(f"{given.kind}, {given.objects} data: saved in {saved:.1f} s, brought back in {restored:.1f} s; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
