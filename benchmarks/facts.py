"""What one fact (a message about a change) costs of the processors, by part: from the change to the row of the event log.

``PYTHONPATH=. .venv/bin/python benchmarks/facts.py [--rounds 200] [--objects 1,3,10] [--only embedded,servers]`` prints microseconds for each
fact, where so many objects with four facts each are said, published and logged at once. ``embedded`` is SQLite and the embedded broker,
``servers`` PostgreSQL and RabbitMQ, which it starts.
Each part is run by itself in this process; what the servers use is theirs and comes from their processes.
"""
from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from kombu import Connection, Consumer, Queue

from services.events import log
from services.events.durations import Durations
from services.events.models import METADATA as EVENTS_METADATA
from services.requests.models import METADATA, REQUEST
from shared.bus import port
from shared.bus.embedded import embedded_uri, stop_broker
from shared.bus.event import delivery_of
from shared.bus.read_ahead import read_ahead
from shared.bus.relay import Relay
from shared.bus.seal import Seal
from shared.bus.topology import event_queue
from shared.hosting.uses import Uses
from shared.kernel.context import Context
from shared.kernel.ids import new_id
from shared.storage.database import Database, make_engine, sqlite_url
from shared.storage.outbox import Outbox

QUEUE = "events.log"
# A request that is made and led on at once says that it was made, and each state.
PATH = ("fulfill", "selected", "evaluated")
FACTS = 1 + len(PATH)


class Way:
    """The way of facts through one pair of database and broker: ``spent`` are the seconds of each part; as a broker it counts what its own takes."""

    def __init__(self, uri: str, requests: str, events: str, servers: dict[str, list[int]]) -> None:
        self._servers = servers
        self.spent: Counter[str] = Counter()
        self.requests = Database(make_engine(requests, "requests"), METADATA)
        self.events = Database(make_engine(events, "events"), EVENTS_METADATA)
        for db in (self.requests, self.events):
            with db.transaction() as uow:
                if not db.is_sqlite:
                    uow.connection.exec_driver_sql(f"CREATE SCHEMA {'requests' if db is self.requests else 'events'}")
                db.metadata.create_all(uow.connection)
        self.broker = port.connect(uri)
        self.broker.declare(event_queue(QUEUE, [("edgemere.events", "#")], single=True))
        seal = Seal(b"s" * 32)
        self.relay = Relay(self.requests, Outbox(METADATA), self, name="requests", seal=seal)
        self.uses = Uses("events", self.events, None, parts={
            "seal": seal, "broker": self.broker, "durations": Durations(lambda *_: None)})
        self.connection = Connection(uri)
        self.connection.connect()
        self.waiting: list[Any] = []
        self.channel = self.connection.default_channel
        Consumer(self.channel, queues=[Queue(QUEUE, durable=True)], auto_declare=False, on_message=self.waiting.append,
                 prefetch_count=1000).consume()
        read_ahead(self.connection.connection)

    def publish_many(self, messages: Any, *, timeout_s: float = 10) -> list[str]:
        with self._counted("publish", less="relay"):
            return self.broker.publish_many(messages, timeout_s=timeout_s)

    def round(self, objects: int) -> None:
        context = Context(owner="ada", roles=("user",), correlation_id=new_id("event"), request_id="r", action="requests.make")
        with self._counted("say"), self.requests.transaction(context) as uow:
            uow.create(REQUEST, [{"id": new_id("datarequest"), "owner": "ada", "name": f"r{new_id('event')}", "ename": "r", "granularity": "data",
                                  "query": {"trait": "a"}, "select": {"mode": "first"},
                                  "wait": False, "attempt": 1, "reservations": 0, "instances": 0} for _ in range(objects)], *PATH)
            # The audit log's own message has another queue.
            uow._touched.clear()
        with self._counted("relay"):
            assert self.relay.turn() == objects * FACTS
        with self._counted("read"):
            while len(self.waiting) < objects * FACTS:
                self.connection.drain_events(timeout=5)
        with self._counted("log"):
            log.append(self.uses, [delivery_of(QUEUE, message) for message in self.waiting])
        with self._counted("ack"):
            self.waiting[-1].channel.basic_ack(self.waiting[-1].delivery_tag, multiple=True)
        self.waiting.clear()

    @contextmanager
    def _counted(self, part: str, less: str = "") -> Iterator[None]:
        before = time.thread_time()
        try:
            yield
        finally:
            took = time.thread_time() - before
            self.spent[part] += took
            if less:
                self.spent[less] -= took

    def servers_s(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for name, pids in self._servers.items():
            for pid in pids:
                with suppress(psutil.NoSuchProcess):
                    own = psutil.Process(pid)
                    for process in (own, *own.children(recursive=True)):
                        times = process.cpu_times()
                        found[name] += times.user + times.system
        return found

    def measure(self, objects: int, rounds: int) -> dict[str, float]:
        for _ in range(20):
            self.round(objects)
        self.spent.clear()
        before, cpu = self.servers_s(), time.process_time()
        for _ in range(rounds):
            self.round(objects)
        # What a broker does behind the answer.
        time.sleep(0.3)
        spent = {**self.spent, "all of this process": time.process_time() - cpu, **(self.servers_s() - before)}
        return {part: round(seconds * 1e6 / rounds / objects / FACTS, 1) for part, seconds in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--objects", default="1,3,10")
    parser.add_argument("--only", default="embedded,servers")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="edgemere-facts-"))
    figures: dict[str, Any] = {}

    def run(name: str, way: Way) -> None:
        for objects in map(int, arguments.objects.split(",")):
            figures[f"{name}, by {objects * FACTS}"] = way.measure(objects, max(20, arguments.rounds // objects))

    if "embedded" in arguments.only:
        uri = embedded_uri(folder / "broker.db")
        run("embedded", Way(uri, sqlite_url(folder, "requests"), sqlite_url(folder, "events"), {}))
        stop_broker(uri)
    if "servers" in arguments.only:
        from tests.support.postgres import PostgresServer
        from tests.support.rabbitmq import RabbitNode
        postgres, rabbit = PostgresServer.start(fsync="on", synchronous_commit="on"), RabbitNode.start()
        try:
            url = postgres.create_database()
            run("servers", Way(rabbit.uri, url, url, {
                "postgresql": [postgres.process.pid], "rabbitmq": [process.pid for process in rabbit._groups]}))
        finally:
            rabbit.stop()
            postgres.stop()
    for name, figure in figures.items():
        print(f"{name:20} {'  '.join(f'{part} {value}' for part, value in figure.items())}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
