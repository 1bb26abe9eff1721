"""This product beside OpenStack Placement, the same questions over HTTP: find places by what they have, claim room, race for it.

    PYTHONPATH=. .venv/bin/python benchmarks/placement.py [--sources 10000] [--seconds 5]

Placement comes from PyPI into an environment of its own, made in a temporary folder, and runs as its documents say: PostgreSQL,
gunicorn with two workers, no authentication. Ours runs embedded (SQLite, in-process broker: one process) or, with ``--mesh``, as
processes on RabbitMQ and PostgreSQL. Each of the sources has one class of Data; each resource provider one trait and one
inventory. The floor is a bare request to the same server. One server runs at a time.

What is compared: a query is a query. Who has found a place, or knows it, claims it by its id, and has an exact answer when the call ends: with
Placement by ``PUT /allocations``; with ours by ``reserve``, the one action that claims over HTTP, which asks the catalogue again, and stores and
decides about a request and a reservation, whose data is then made ready beside what is measured. Since ``reserve`` takes a query itself, finding
and claiming is one call as well (one of the ten that match); Placement has no such call. What Placement does, and no more, is the
catalogue's ``claim``: a call on the broker for those who have the seal of the mesh, no action over HTTP. It is measured with ``--mesh``, alone and
after a query over HTTP: that is what a query and ``PUT /allocations`` do, and no more, and is no ``reserve``.
"""
from __future__ import annotations

import argparse
import concurrent.futures
import getpass
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import psycopg2

from benchmarks.mesh import DO, FMDM, Client
from benchmarks.processor import Parts
from shared.bus.seal import Seal
from shared.hosting.rpc import MeshClient
from shared.kernel.errors import NoCapacity
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer, plain_url
from tests.support.production import SERVICES, ProductionMesh
from tests.support.rabbitmq import RabbitNode

PACKAGES = ("openstack-placement>=12", "gunicorn", "psycopg2-binary")
CLIENTS = 8
RACES, RACERS, ROOM = 20, 200, 50
# Each of the first thousand sources is in one of a hundred groups of ten. Which group is asked for changes from call to call, so that
# nobody answers from what was asked a moment ago.
GROUPS, HALF = 100, "half"
WHAT = ("queries", "rpc", "cycle", "once", "claims", "races")


def groups(client: int) -> Iterator[str]:
    """The groups that one client asks for, one after the other; each client has its own order."""
    order = [f"few_{number}" for number in range(GROUPS)]
    random.Random(client).shuffle(order)
    return itertools.cycle(order)


def p50_ms(work: Callable[[], Any], seconds: float) -> float:
    """The median time of a call repeated for so long, at least five times."""
    work()
    took: list[float] = []
    ends = time.monotonic() + seconds
    while len(took) < 5 or time.monotonic() < ends:
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


def per_second(make: Callable[[int], Callable[[int], Any]], seconds: float) -> float:
    """How many calls eight clients finish in a second; ``make(client)`` gives the work of one."""
    return counted(make, seconds)[1]


def counted(make: Callable[[int], Callable[[int], Any]], seconds: float) -> tuple[int, float]:
    """How many calls eight clients finished, and how many in a second."""
    ends = time.monotonic() + seconds

    def run(client: int) -> int:
        work, done = make(client), 0
        while time.monotonic() < ends:
            work(done)
            done += 1
        return done
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        count = sum(pool.map(run, range(CLIENTS)))
    return count, count / (time.monotonic() - began)


def race(make: Callable[[int], Callable[[int], bool]]) -> int:
    """How many of 200 claims by eight clients were granted."""
    start = threading.Barrier(CLIENTS)

    def run(client: int) -> int:
        work = make(client)
        start.wait()
        return sum(work(number) for number in range(RACERS // CLIENTS))
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        return sum(pool.map(run, range(CLIENTS)))


# --- Placement -------------------------------------------------------------------------------------------------------

class Placement:
    """The server in its own environment. ``folder`` is removed by whoever made it."""

    def __init__(self, folder: Path, database: str, python: str = "") -> None:
        self.folder, self.port, self.database = folder, free_port(), database
        self.python = python or self._made()
        config = folder / "placement.conf"
        config.write_text(f"[DEFAULT]\nuse_stderr = false\n[api]\nauth_strategy = noauth2\n[placement_database]\nconnection = {database}\n"
                          "[placement]\nincomplete_consumer_project_id = x\nincomplete_consumer_user_id = x\n", "utf-8")
        scripts = Path(self.python).parent
        self.environment = {**os.environ, "OS_PLACEMENT_CONFIG_DIR": str(folder), "PATH": f"{scripts}:{os.environ['PATH']}"}
        subprocess.run([scripts / "placement-manage", "--config-file", config, "db", "sync"], env=self.environment, check=True, timeout=300)
        (folder / "application.py").write_text("from placement.wsgi import init_application\napplication = init_application()\n", "utf-8")
        self.process = subprocess.Popen(
            [self.python, "-m", "gunicorn", "-w", "2", "-b", f"127.0.0.1:{self.port}", "--log-level", "error", "application:application"],
            cwd=folder, env=self.environment, stdout=subprocess.DEVNULL, stderr=open(folder / "log", "wb"))
        self._wait()
        self.version = subprocess.run([self.python, "-m", "pip", "show", "openstack-placement"], capture_output=True, text=True,
                                      check=True).stdout.split("Version: ")[1].splitlines()[0]

    def _made(self) -> str:
        subprocess.run([sys.executable, "-m", "venv", self.folder / "environment"], check=True, timeout=300)
        python = str(self.folder / "environment" / "bin" / "python")
        subprocess.run([python, "-m", "pip", "-q", "install", *PACKAGES], check=True, timeout=900)
        return python

    def _wait(self, limit_s: float = 60) -> None:
        until = time.monotonic() + limit_s
        while True:
            try:
                Client(f"http://127.0.0.1:{self.port}").get("/")
                return
            except (OSError, AssertionError):
                if time.monotonic() > until or self.process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text("utf-8")[-3000:]) from None
                time.sleep(0.2)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)

    def client(self) -> Any:
        made = Client(f"http://127.0.0.1:{self.port}")
        headers = {"X_Auth_Token": "admin", "OpenStack_API_Version": "placement 1.38"}

        def call(method: str, path: str, body: Any = None) -> tuple[int, Any]:
            return made.call(method, path, body, **headers)
        return call

    def fill(self, count: int) -> None:
        """Providers with a trait each and one inventory, written as the API would: through it ten thousand take minutes."""
        call = self.client()
        for name in ("CUSTOM_DATA", "CUSTOM_TIGHT"):
            call("PUT", f"/resource_classes/{name}")
        for trait in (*sorted(set(itertools.islice(groups(0), GROUPS))), HALF):
            call("PUT", f"/traits/CUSTOM_{trait.upper()}")
        with psycopg2.connect(plain_url(self.database)) as connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO resource_providers (uuid, name, generation) SELECT gen_random_uuid()::text, 'source-' || n, 2 "
                           "FROM generate_series(0, %s) n", (count - 1,))
            cursor.execute("UPDATE resource_providers SET root_provider_id = id")
            cursor.execute("INSERT INTO inventories (resource_provider_id, resource_class_id, total, reserved, min_unit, max_unit, step_size, "
                           "allocation_ratio) SELECT p.id, c.id, 1000000, 0, 1, 2147483647, 1, 1.0 FROM resource_providers p, resource_classes c "
                           "WHERE c.name = 'CUSTOM_DATA'")
            cursor.execute("INSERT INTO resource_provider_traits (trait_id, resource_provider_id) SELECT t.id, p.id FROM resource_providers p "
                           "JOIN traits t ON t.name = 'CUSTOM_FEW_' || substr(p.name, 8)::int / 10")
            cursor.execute("INSERT INTO resource_provider_traits (trait_id, resource_provider_id) SELECT t.id, p.id FROM resource_providers p, "
                           "traits t WHERE t.name = %s AND substr(p.name, 8)::int %% 2 = 1", (f"CUSTOM_{HALF.upper()}",))
            cursor.execute("SELECT uuid FROM resource_providers ORDER BY id")
            self.ids = [row[0] for row in cursor.fetchall()]
        analysed = psycopg2.connect(plain_url(self.database))
        analysed.autocommit = True
        analysed.cursor().execute("VACUUM ANALYZE")
        analysed.close()

    def query(self, call: Any, trait: str, limit: int) -> list[str]:
        status, body = call("GET", f"/allocation_candidates?resources=CUSTOM_DATA:1&required=CUSTOM_{trait.upper()}&limit={limit}")
        assert status == 200, body
        return list(body["provider_summaries"])

    def claim(self, call: Any, provider: str, kind: str = "CUSTOM_DATA") -> bool:
        status, body = call("PUT", f"/allocations/{uuid.uuid4()}", {
            "allocations": {provider: {"resources": {kind: 1}}}, "consumer_generation": None, "project_id": "p", "user_id": "u",
            "consumer_type": "REQUEST"})
        return status == 204

    def measure(self, seconds: float) -> dict[str, Any]:
        call, few = self.client(), groups(CLIENTS)
        assert len(self.query(call, next(few), 1000)) == 10

        def cycle(client: int) -> Callable[[int], Any]:
            own, asked = self.client(), groups(client)
            return lambda number: self.claim(own, self.query(own, next(asked), 1)[0])

        def claims(client: int) -> Callable[[int], Any]:
            own = self.client()
            return lambda number: self.claim(own, self.ids[(client * 100 + number % 100) % len(self.ids)])
        figures: dict[str, Any] = {
            "floor ms": p50_ms(lambda: call("GET", "/"), 1), "query 10 hits ms": p50_ms(lambda: self.query(call, next(few), 1000), seconds),
            "query half, limit 50 ms": p50_ms(lambda: self.query(call, HALF, 50), seconds),
            "query and reserve, 8 clients /s": per_second(cycle, seconds), "claims, 8 clients /s": per_second(claims, seconds)}
        races = []
        for number in range(RACES):
            key = str(uuid.uuid4())
            call("POST", "/resource_providers", {"name": f"tight-{number}", "uuid": key})
            call("PUT", f"/resource_providers/{key}/inventories", {"resource_provider_generation": 0, "inventories": {"CUSTOM_TIGHT": {"total": ROOM}}})

            def racing(client: int, key: str = key) -> Callable[[int], bool]:
                own = self.client()
                return lambda number: self.claim(own, key, "CUSTOM_TIGHT")
            races.append(race(racing))
        return {**figures, "races": races}


# --- ours ------------------------------------------------------------------------------------------------------------

class Ours:
    """The product over its REST face."""

    def __init__(self, url: str) -> None:
        self.url = url

    def client(self) -> Client:
        return Client(self.url)

    def query(self, call: Client, expression: str, limit: int) -> list[dict[str, Any]]:
        return call.get(f"{FMDM}/query?expression={expression}&limit={limit}&funnel=false")["items"]

    def reserve(self, call: Client, expression: Any, **more: Any) -> bool:
        status, body = call.call("POST", f"{DO}/reserve", {"request": {"query": expression, **more}}, Prefer="wait=0")
        assert status in (201, 202), (status, body)
        return body["state"] in ("Selected", "Evaluated", "Satisfied")

    def measure(self, seconds: float, what: Collection[str]) -> dict[str, Any]:
        """The figures of ``WHAT`` that were asked for."""
        call, few = self.client(), groups(CLIENTS)
        assert len(self.query(call, f"trait:{next(few)}", 1000)) == 10
        # None of them lies where the races are.
        known = self.query(call, "number%3E%3D0", 1000)
        tight = [self.query(call, f"tight:{number}", 1)[0] for number in range(RACES)]

        def cycle(client: int) -> Callable[[int], Any]:
            own, asked = self.client(), groups(client)
            return lambda number: self.reserve(own, {"id": self.query(own, f"trait:{next(asked)}", 1)[0]["id"]})

        def at_once(client: int) -> Callable[[int], Any]:
            own, asked = self.client(), groups(client)
            return lambda number: self.reserve(own, {"trait": next(asked)}, select={"mode": "first"})

        def claims(client: int) -> Callable[[int], Any]:
            own = self.client()
            return lambda number: self.reserve(own, {"id": known[(client * 100 + number % 100) % len(known)]["id"]})
        figures: dict[str, Any] = {}
        if "queries" in what:
            figures = {
                "floor ms": p50_ms(lambda: call.get("/health/live"), 1),
                "query 10 hits ms": p50_ms(lambda: self.query(call, f"trait:{next(few)}", 1000), seconds),
                "query half, limit 50 ms": p50_ms(lambda: self.query(call, "side:half", 50), seconds)}
        if "rpc" in what:
            figures |= self.by_rpc([one["source"]["id"] for one in known], [one["source"]["id"] for one in tight], seconds)
        if "cycle" in what:
            figures |= self.rate("query and reserve, 8 clients", cycle, seconds)
        if "once" in what:
            figures |= self.rate("query and reserve in one call, 8 clients", at_once, seconds)
        if "claims" in what:
            figures |= self.rate("claims by reserve, 8 clients", claims, seconds)
        if "races" in what:
            figures["races"] = [self._race(one) for one in tight]
        return figures

    def rate(self, name: str, make: Callable[[int], Callable[[int], Any]], seconds: float) -> dict[str, Any]:
        """How many calls in a second."""
        return {f"{name} /s": per_second(make, seconds)}

    def by_rpc(self, known: list[str], tight: list[str], seconds: float) -> dict[str, Any]:
        """The catalogue's claims, where there is a broker to call it by."""
        return {}

    def _race(self, one: dict[str, Any]) -> int:
        def racing(client: int) -> Callable[[int], bool]:
            own = self.client()
            return lambda _: self.reserve(own, {"id": one["id"]})
        return race(racing)


class OurMesh(Ours):
    """The product as processes on RabbitMQ and PostgreSQL: also the catalogue's claims over AMQP, and what a call costs each part."""

    def __init__(self, mesh: ProductionMesh, rabbit: RabbitNode, postgres: PostgresServer) -> None:
        super().__init__(mesh.url)
        self.parts, self.uri, self._mesh = Parts(mesh, rabbit, postgres), rabbit.uri, mesh
        self.seal = Seal((mesh.folder / "data" / "mesh.secret").read_bytes().strip())

    def rate(self, name: str, make: Callable[[int], Callable[[int], Any]], seconds: float) -> dict[str, Any]:
        """Also the processor time of each call, with all that is done behind its answer."""
        counted(make, 2)  # caches, connections, plans
        self.rest()
        before = self.parts.cpu_s()
        count, rate = counted(make, seconds)
        behind_s = self.rest()
        return {f"{name} /s": rate, f"{name}, behind the last answer s": behind_s, f"{name}, processor ms each": self.parts.ms_each(before, count)}

    def rest(self, limit_s: float = 60) -> float:
        """Wait until nothing waits in an outbox and the event log is still; the seconds until it was."""
        began, last, since = time.monotonic(), (-1, -1), time.monotonic()
        with psycopg2.connect(plain_url(self._mesh.database_url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            while time.monotonic() - began < limit_s:
                cursor.execute("SELECT (SELECT max(sequence) FROM events.event), "
                               + " + ".join(f"(SELECT count(*) FROM {name}.outbox)" for name in SERVICES))
                if (now := cursor.fetchone()) != last:
                    last, since = now, time.monotonic()
                elif not now[1] and time.monotonic() - since > 1:
                    break
                time.sleep(0.1)
        return since - began

    def by_rpc(self, known: list[str], tight: list[str], seconds: float) -> dict[str, Any]:
        """The catalogue's claims, of eight clients with a connection each; what the races took is given back."""
        clients = [MeshClient(self.uri, timeout_s=30, name=f"client-{number}", seal=self.seal) for number in range(CLIENTS)]

        def claim(client: int, source: str) -> bool:
            holder = f"bench-{uuid.uuid4()}"
            try:
                clients[client].call("catalog", "claim", holder=holder, claims=[
                    {"id": f"{holder}.r", "source": source, "kind": "readers", "amount": 1}])
            except NoCapacity:
                return False
            taken.append(holder)
            return True

        def found_and_claimed(client: int) -> Callable[[int], Any]:
            own, asked = self.client(), groups(client)
            return lambda number: claim(client, self.query(own, f"trait:{next(asked)}", 1)[0]["source"]["id"])
        taken: list[str] = []
        try:
            rates = self.rate("claims by RPC, 8 clients", lambda client: lambda number: claim(
                client, known[(client * 100 + number % 100) % len(known)]), seconds)
            rates |= self.rate("query and claim by RPC, 8 clients", found_and_claimed, seconds)
            taken.clear()
            races = [race(lambda client, source=source: lambda _: claim(client, source)) for source in tight]
            for holder in taken:
                clients[0].call("catalog", "release", holder=holder)
        finally:
            for client in clients:
                client.stop()
        return {**rates, "races by RPC": races}


def fill(url: str, count: int) -> None:
    """Sources with one Data each, and one with room for so many readers for each race, written as their registration would."""
    from sqlalchemy import delete

    from services.catalog import intake, models, rules
    from shared.kernel.context import Context
    from shared.kernel.ids import new_id
    from shared.storage.database import Database, make_engine
    from shared.storage.migrate import migrate

    engine = make_engine(url, "catalog")
    migrate("catalog", engine)
    database = Database(engine, models.METADATA)
    given = [(f"source-{number}", {}, {
        **({"trait": f"few_{number // 10}"} if number < GROUPS * 10 else {}), **({"side": HALF} if number % 2 else {}), "number": number})
        for number in range(count)]
    given += [(f"tight-{number}", {"capacity": {"readers": ROOM}}, {"tight": number}) for number in range(RACES)]
    for start in range(0, len(given), 500):
        with database.transaction(Context(owner=getpass.getuser())) as uow:
            rows = uow.create(models.SOURCE, [{
                "id": new_id("datasource"), "owner": getpass.getuser(), "name": name, "adaptor": "simulated", "parameters": {}, "writable": False,
                "data_count": 0, "data_bytes": 0, "scan": None, **rules.check_source(more)} for name, more, _ in given[start:start + 500]], "create")
            for row, (_, _, tags) in zip(rows, given[start:start + 500], strict=True):
                intake.take(uow, row, {intake.place_of(row["id"], "data"): {
                    "path": "data", "name": "data", "type": "file", "size": 1, "media_type": None, "modified_at": None, "checksum": None,
                    "tags": tags, "uri": None, "fingerprint": "1"}})
            uow.flush()
            # Nobody listened then: what was said of it is not told again.
            uow.connection.execute(delete(models.METADATA.tables["outbox"]))
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
    database.close()


def main(arguments: list[str]) -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sources", type=int, default=10_000)
    options.add_argument("--seconds", type=float, default=5)
    options.add_argument("--mesh", action="store_true", help="ours on RabbitMQ and PostgreSQL, not embedded")
    options.add_argument("--python", default="", help="an environment that has Placement already")
    options.add_argument("--only", choices=("placement", "ours"))
    options.add_argument("--what", default=",".join(WHAT), help="of ours, names with commas")
    given = options.parse_args(arguments)
    figures: dict[str, Any] = {}
    postgres = PostgresServer.start()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        try:
            if given.only != "ours":
                server = Placement(folder, postgres.create_database(), given.python)
                try:
                    server.fill(given.sources)
                    figures[f"Placement {server.version}"] = server.measure(given.seconds)
                finally:
                    server.stop()
            if given.only != "placement":
                figures["ours, mesh" if given.mesh else "ours, embedded"] = _ours(folder, postgres, given)
        finally:
            postgres.stop()
    for name, measured in figures.items():
        print(name)
        for what, value in measured.items():
            print(f"    {what:34} {round(value, 2) if isinstance(value, (int, float)) else value}")
    print(json.dumps({"sources": given.sources, "load": os.getloadavg()[0], "figures": figures}))
    return 0


def _ours(folder: Path, postgres: PostgresServer, given: argparse.Namespace) -> dict[str, Any]:
    if given.mesh:
        broker, database = RabbitNode.start(), postgres.create_database()
        mesh = ProductionMesh(folder / "mesh", broker.uri, database)
        try:
            fill(database, given.sources)
            mesh.start()
            return OurMesh(mesh, broker, postgres).measure(given.seconds, given.what.split(","))
        finally:
            mesh.stop()
            broker.stop()
    from shared.storage.database import sqlite_url
    from tests.support.servers import EdgemereServer

    server = EdgemereServer(folder / "embedded")
    server.data.mkdir(parents=True, exist_ok=True)
    fill(sqlite_url(server.data, "catalog"), given.sources)
    try:
        return Ours(server.start().url).measure(given.seconds, given.what.split(","))
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
