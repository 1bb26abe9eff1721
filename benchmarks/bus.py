"""Times the bus inside one green process, as the embedded mesh uses it, each figure beside its floor in the same run.

``PYTHONPATH=. python benchmarks/bus.py [--broker URI] [--messages 20000]`` prints a table, then the figures as JSON.
Without ``--broker`` it uses an embedded one on a file of its own.
"""
from __future__ import annotations

import eventlet

eventlet.monkey_patch()

import argparse  # noqa: E402 - nothing may be imported before the patch
import json  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import platform  # noqa: E402
import sqlite3  # noqa: E402
import statistics  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
import uuid  # noqa: E402
import zlib  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from nameko.runners import ServiceRunner  # noqa: E402
from sqlalchemy import MetaData, insert  # noqa: E402

from shared.bus import port  # noqa: E402
from shared.bus.embedded import embedded_uri, stop_broker  # noqa: E402
from shared.bus.encoding import encode  # noqa: E402
from shared.bus.message import Message  # noqa: E402
from shared.bus.relay import Relay  # noqa: E402
from shared.bus.topology import PUBLIC  # noqa: E402
from shared.hosting.entrypoints import batch_event, on_event, rpc, topology_of  # noqa: E402
from shared.hosting.rpc import Mesh, MeshClient  # noqa: E402
from shared.kernel.ids import new_id  # noqa: E402
from shared.storage.database import Database, make_engine, sqlite_url  # noqa: E402
from shared.storage.outbox import Outbox  # noqa: E402
from shared.storage.schema import SHARDS, service_tables  # noqa: E402

TAG = uuid.uuid4().hex[:6]
BODY = encode({"obj": {"id": new_id("datainstance"), "name": "scans-17", "state": "Ready", "version": 3,
                       "request": {"id": new_id("datarequest"), "name": "scans"}, "bytes_total": 12_345_678,
                       "access": [{"data": new_id("data"), "action": "leave", "path": "/data/scans/2026/17.parquet",
                                   "size": 12_345_678, "media_type": "application/parquet", "state": "Ready"}]},
               "changed": ["state"], "event": "datainstance.ready", "id": new_id("event"),
               "time": "2026-11-24T18:00:00.000000Z", "correlation_id": new_id("event"), "causation_id": None})


class Callee:
    name = f"callee-{TAG}"

    @rpc
    def echo(self, value):
        return value


class Caller:
    name = f"caller-{TAG}"
    mesh = Mesh()

    @rpc
    def relay(self, value):
        return self.mesh.call(Callee.name, "echo", value=value)


class Hears:
    name = f"hears-{TAG}"
    at: list[float] = []

    @on_event("edgemere", f"{TAG}.one")
    def heard(self, message):
        self.at.append(time.perf_counter())


class Log:
    name = f"log-{TAG}"
    seen = 0

    @batch_event("edgemere", [f"{TAG}.many"])
    def keep(self, messages):
        type(self).seen += len(messages)


def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.001)


def spread(took: list[float]) -> dict[str, float]:
    took = sorted(took)
    return {"p50_ms": round(statistics.median(took) * 1000, 3), "p99_ms": round(took[int(len(took) * 0.99)] * 1000, 3)}


def timed(count: int, work: Callable[[int], Any]) -> list[float]:
    took = []
    for number in range(count):
        began = time.perf_counter()
        work(number)
        took.append(time.perf_counter() - began)
    return took


def rate(count: int, seconds: float) -> dict[str, float]:
    return {"per_s": round(count / seconds), "us_each": round(seconds / count * 1e6, 1)}


def floor_of_the_disk(folder: Path, count: int) -> dict[str, float]:
    """The same bytes put into a bare SQLite table and deleted again, in batches of 400."""
    db = sqlite3.connect(folder / "floor.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute("CREATE TABLE q (seq INTEGER PRIMARY KEY, body BLOB)")
    began = time.perf_counter()
    for start in range(0, count, 400):
        db.execute("BEGIN")
        db.executemany("INSERT INTO q VALUES (?, ?)", [(n, BODY) for n in range(start, start + 400)])
        db.execute("COMMIT")
        db.execute("BEGIN")
        db.executemany("DELETE FROM q WHERE seq = ?", [(n,) for n in range(start, start + 400)])
        db.execute("COMMIT")
    return rate(count, time.perf_counter() - began)


def idle_cpu(seconds: float = 3) -> float:
    """Per cent of one core while nothing happens."""
    before = time.process_time()
    time.sleep(seconds)
    return round((time.process_time() - before) / seconds * 100, 2)


def outbox_to_log(folder: Path, broker: port.Broker, count: int) -> dict[str, float]:
    """From committed outbox rows to the handler of batches, through relay and broker."""
    metadata = MetaData()
    service_tables(metadata)
    engine = make_engine(sqlite_url(folder, f"outbox{TAG}"), "bench")
    with engine.execution_options(writes=True).begin() as connection:
        metadata.create_all(connection)
        rows = []
        for _ in range(count):
            object_id = new_id("datainstance")
            rows.append({"id": new_id("event"), "shard": zlib.crc32(object_id.encode()) % SHARDS, "exchange": "public",
                         "name": f"{TAG}.many", "object_id": object_id, "headers": '{"nameko.correlation_id":"c"}',
                         "body": BODY.decode()})
        connection.execute(insert(metadata.tables["outbox"]), rows)
    relay = Relay(Database(engine, metadata), Outbox(metadata), broker, name="bench")
    Log.seen = 0
    began = time.perf_counter()
    relay.start()
    wait_until(lambda: Log.seen >= count)
    took = time.perf_counter() - began
    relay.stop()
    return rate(count, took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--broker")
    parser.add_argument("--messages", type=int, default=20_000)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    folder = Path(tempfile.mkdtemp(prefix="edgemere-bus-"))
    uri = arguments.broker or embedded_uri(folder / "broker.db")
    broker = port.connect(uri)
    runner = ServiceRunner({"AMQP_URI": uri, "max_workers": 20})
    for service in (Callee, Caller, Hears, Log):
        broker.declare(topology_of(service))
        runner.add_service(service)
    runner.start()
    client = MeshClient(uri)
    client.call(Callee.name, "echo", value=0)

    figures: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
                               "broker": uri.partition(":")[0], "body_bytes": len(BODY)}
    for _ in range(100):
        client.call(Callee.name, "echo", value=0)
    figures["call"] = spread(timed(1000, lambda n: client.call(Callee.name, "echo", value=n)))
    figures["call through another service"] = spread(timed(300, lambda n: client.call(Caller.name, "relay", value=n)))

    hops = []
    for _ in range(300):
        began, count = time.perf_counter(), len(Hears.at)
        broker.publish(Message(PUBLIC, f"{TAG}.one", BODY, id=new_id("event")))
        wait_until(lambda count=count: len(Hears.at) > count)
        hops.append(Hears.at[-1] - began)
    figures["event, publish to handler"] = spread(hops)

    count = arguments.messages
    batches = [[Message(PUBLIC, f"{TAG}.many", BODY, id=f"m{n}") for n in range(start, start + 400)]
               for start in range(0, count, 400)]
    count = len(batches) * 400
    began = time.perf_counter()
    for batch in batches:
        broker.publish_many(batch)
    published = time.perf_counter() - began
    figures["publish_many, 400 at once"] = rate(count, published)
    wait_until(lambda: Log.seen >= count)
    figures["publish_many and batch_event"] = rate(count, time.perf_counter() - began)
    figures["floor: SQLite insert and delete"] = floor_of_the_disk(folder, count)

    count = min(count, 10_000)
    before = len(Hears.at)
    began = time.perf_counter()
    for start in range(0, count, 400):
        broker.publish_many([Message(PUBLIC, f"{TAG}.one", BODY, id=f"o{n}") for n in range(start, min(count, start + 400))])
    wait_until(lambda: len(Hears.at) - before >= count)
    figures["publish_many and on_event"] = rate(count, time.perf_counter() - began)
    figures["outbox, relay, broker, batch_event"] = outbox_to_log(folder, broker, count)
    figures["idle CPU, per cent of a core"] = idle_cpu()

    client.stop()
    runner.stop()
    broker.close()
    stop_broker(uri)
    for name, figure in figures.items():
        print(f"{name:40} {'  '.join(f'{key} {value}' for key, value in figure.items()) if isinstance(figure, dict) else figure}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
