"""Times the mesh on RabbitMQ and PostgreSQL, each service a process of its own, as its users meet it.

    PYTHONPATH=. .venv/bin/python benchmarks/production.py [--seconds 60] [--rate 60] [--only NAME,…]

Starts its own servers on free ports of the loopback interface (as the tests do) and ends them. Prints JSON, then a table;
every figure has beside it the floor of the same run. The load, the mesh, the broker and the database share the machine.
"""
from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import platform
import queue
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg2
from kombu import Connection, Consumer, Exchange, Queue, binding

from benchmarks.mesh import DO, FMDM, Client, quantiles
from benchmarks.processor import Parts
from shared.bus.seal import Seal
from shared.hosting.rpc import MeshClient
from shared.kernel.errors import EdgemereError
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer, plain_url
from tests.support.production import SERVICES, ProductionMesh
from tests.support.rabbitmq import RabbitNode

ROOT = Path(__file__).resolve().parents[1]
FILES = 1000
SENDERS = 16
ENDS = ("datarequest.satisfied", "datarequest.failed")
# As whoever keeps data there has it: a commit is on the disk, also when the machine dies. Queues are quorum queues on disk anyway.
DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}


class Witness:
    """A foreign subscriber that notes when each request ended; it costs the mesh one queue."""

    def __init__(self, uri: str) -> None:
        self.ended: dict[str, tuple[float, str]] = {}
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._listen, args=(uri,), daemon=True)
        self._thread.start()
        assert self._ready.wait(10), "the broker does not answer"

    def _listen(self, uri: str) -> None:
        exchange = Exchange("edgemere.events", type="topic", durable=True, no_declare=True)
        while not self._stop.is_set():
            with suppress(Exception), Connection(uri) as connection:
                own = Queue("benchmark.witness", bindings=[binding(exchange, key) for key in ENDS], durable=True)
                with Consumer(connection.default_channel, queues=[own], on_message=self._take, no_ack=True, prefetch_count=500):
                    self._ready.set()
                    while not self._stop.is_set():
                        with suppress(TimeoutError):
                            connection.drain_events(timeout=1)

    def _take(self, message: Any) -> None:
        now = time.monotonic()
        body = message.body if isinstance(message.body, bytes) else str(message.body).encode()
        # The id is the first member of the body; decoding all of it would cost the load what it measures.
        at = body.index(b'"dreq_') + 1
        self.ended.setdefault(body[at:at + 31].decode(), (now, message.delivery_info["routing_key"]))

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(3)


class Stage:
    """Servers, a mesh on them, and what the benchmarks need of both."""

    def __init__(self, replicas: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="edgemere-bench-"))
        self.rabbit, self.postgres = RabbitNode.start(), PostgresServer.start(**DURABLE)
        self.database_url = self.postgres.create_database()
        self.mesh = ProductionMesh(self.folder / "mesh", self.rabbit.uri, self.database_url,
                                   replicas={name: replicas for name in SERVICES})
        self.parts = Parts(self.mesh, self.rabbit, self.postgres)
        self.mesh.start()
        self.client = Client(self.mesh.url)
        lab = self.folder / "lab"
        lab.mkdir()
        for number in range(FILES):
            (lab / f"item-{number:04d}.csv").write_bytes(b"x" * (number % 97))
        source = self.client.post(f"{FMDM}/datasource/create", {
            "name": "lab", "adaptor": "file", "parameters": {"rootdir": str(lab)}}, Prefer="wait=60")
        assert source["scan"]["state"] == "done", source
        self.rest()

    def stop(self) -> None:
        for part in (self.mesh, self.rabbit, self.postgres):
            part.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def waiting(self) -> int:
        """Messages in all outboxes."""
        with psycopg2.connect(plain_url(self.database_url)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT " + " + ".join(f"(SELECT count(*) FROM {name}.outbox)" for name in SERVICES))
            return cursor.fetchone()[0]

    def rest(self, limit_s: float = 60) -> float:
        """Wait until the outboxes are empty and the event log is still; seconds until then."""
        # The gateway closes a connection that was idle for as long as a run lasts.
        self.client = Client(self.mesh.url)
        began, last, since = time.monotonic(), -1, time.monotonic()
        while time.monotonic() - began < limit_s:
            head = self.client.get(f"{DO}/event/list?sort=-sequence&limit=1")["items"]
            now = (head[0]["sequence"] if head else 0, self.waiting())
            if now != last:
                last, since = now, time.monotonic()
            elif not now[1] and time.monotonic() - since > 1:
                return since - began
            time.sleep(0.1)
        return limit_s


def sustained(stage: Stage, seconds: float, rate: float) -> dict[str, Any]:
    """``rate`` small requests a second, sent when they are due whatever became of those before."""
    witness = Witness(stage.rabbit.uri)
    burst(stage, witness, 5, min(rate, 20))  # caches, connections, plans
    stage.rest()
    before, began = stage.parts.cpu_s(), time.monotonic()
    sent, refused = burst(stage, witness, seconds, rate)
    until(lambda: len(sent.keys() - witness.ended.keys()) == 0, 60)
    took = time.monotonic() - began
    spent = stage.parts.cpu_s() - before
    lag_s = stage.rest()
    witness.stop()
    done = {name: (at - sent[name], how) for name, (at, how) in witness.ended.items() if name in sent}
    assert done, "no request ended"
    late = [how for _, how in done.values() if how != "datarequest.satisfied"]
    per_request = {name: round(value * 1000 / len(done), 2) for name, value in spent.most_common()}
    return {
        "asked_per_s": rate, "sent": len(sent), "refused": refused, "satisfied": len(done) - len(late), "other_ends": len(late),
        "unheard": len(sent) - len(done), "satisfied_per_s": round((len(done) - len(late)) / took, 1),
        **quantiles([latency for latency, _ in done.values()]), "reach": "60/s, p95 500 ms, outbox back to 0",
        "outbox_after_s": round(lag_s, 1), "outbox_left": stage.waiting(),
        "cpu_ms_per_request": per_request, "cpu_ms_total": round(sum(per_request.values()), 1),
    }


def burst(stage: Stage, witness: Witness, seconds: float, rate: float) -> tuple[dict[str, float], int]:
    """Send for so long; the ids with the moment when each was due, and how many were refused."""
    due: queue.Queue[tuple[int, float] | None] = queue.Queue()
    sent: dict[str, float] = {}
    refused = Counter()

    def work() -> None:
        client = Client(stage.mesh.url)
        while (item := due.get()) is not None:
            number, at = item
            status, answer = client.call("POST", f"{DO}/datarequest/create", {"query": f"name:item-{number % FILES:04d}.csv"},
                                         Prefer="wait=0")
            if status in (200, 201, 202):
                sent[answer["id"]] = at
            else:
                refused[status] += 1

    senders = [threading.Thread(target=work, daemon=True) for _ in range(SENDERS)]
    for sender in senders:
        sender.start()
    began = time.monotonic()
    for number in range(int(seconds * rate)):
        at = began + number / rate
        if (left := at - time.monotonic()) > 0:
            time.sleep(left)
        due.put((number, at))
    for _ in senders:
        due.put(None)
    for sender in senders:
        sender.join(120)
    return sent, sum(refused.values())


def until(true: Callable[[], bool], limit_s: float) -> float:
    began = time.monotonic()
    while not true() and time.monotonic() - began < limit_s:
        time.sleep(0.05)
    return time.monotonic() - began


@contextmanager
def bare_nameko(uri: str) -> Iterator[str]:
    """The floor, running: its address."""
    port = free_port()
    processes = [subprocess.Popen([sys.executable, str(ROOT / "benchmarks/bare_nameko.py"), which, uri, str(port)],
                                  stderr=subprocess.DEVNULL) for which in ("back", "front")]
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _answers(url), 20)
        yield url
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(10)


def _answers(url: str) -> bool:
    with suppress(OSError, AssertionError, ValueError):
        client = Client(url)
        client._connection.request("GET", "/echo/hello")
        return client._connection.getresponse().read() == b"hello"
    return False


def show(stage: Stage, seconds: float, rate: float) -> dict[str, Any]:
    """One ``show`` through the gateway and one bare echo, in turn, then with 8 clients each."""
    made = stage.client.post(f"{DO}/datarequest/create", {"query": "name:item-0001.csv"}, Prefer="wait=30")
    assert made["state"] == "Satisfied", made
    path = f"{DO}/datarequest/show?id={made['id']}"

    def one(client: Client, target: str) -> float:
        began = time.perf_counter()
        client._connection.request("GET", target)
        answer = client._connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        return time.perf_counter() - began

    with bare_nameko(stage.rabbit.uri) as url:
        ours, bare = Client(stage.mesh.url), Client(url)
        text = "x" * 40
        times: dict[str, list[float]] = {"ours": [], "bare": []}
        for _ in range(int(40 * seconds) // 2):
            times["ours"].append(one(ours, path))
            times["bare"].append(one(bare, f"/echo/{text}"))

        def together(address: str, target: str) -> float:
            clients, each = [Client(address) for _ in range(8)], 50
            began = time.perf_counter()
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda client: [one(client, target) for _ in range(each)], clients))
            return 8 * each / (time.perf_counter() - began)

        many = [(together(stage.mesh.url, path), together(url, f"/echo/{text}")) for _ in range(3)]
    ours_ms, bare_ms = quantiles(times["ours"]), quantiles(times["bare"])
    return {"show": ours_ms, "floor_bare_echo": bare_ms, "ratio_p50": round(ours_ms["p50_ms"] / bare_ms["p50_ms"], 2),
            "reach": "ratio 1.5", "with_8_clients_per_s": round(statistics.median(a for a, _ in many)),
            "floor_with_8_clients_per_s": round(statistics.median(b for _, b in many))}


def recovery(stage: Stage, seconds: float, rate: float) -> dict[str, Any]:
    """The broker is killed under load and started again: how long until everybody consumes, and that nothing is lost."""
    witness = Witness(stage.rabbit.uri)
    sent, _ = burst(stage, witness, 5, 20)
    stage.rabbit.kill9()
    down = time.monotonic()
    time.sleep(5)
    stage.rabbit.run()
    answers = time.monotonic()
    consuming_s = until(lambda: _all_consume(stage), 60)
    ready_s = stage.mesh.wait_until_ready()
    heard_s = until(lambda: not sent.keys() - witness.ended.keys(), 60)
    again, _ = burst(stage, witness, 3, 10)
    until(lambda: not again.keys() - witness.ended.keys(), 30)
    witness.stop()
    lost = len((sent.keys() | again.keys()) - witness.ended.keys())
    return {"consuming_after_s": round(consuming_s, 1), "ready_after_s": round(consuming_s + ready_s, 1), "reach": "15 s, nothing lost",
            "ended_after_s": round(consuming_s + ready_s + heard_s, 1), "requests": len(sent) + len(again), "lost": lost,
            "floor": f"the node itself was away for {answers - down:.1f} s, 5 of them killed, the others its start"}


def _all_consume(stage: Stage) -> bool:
    wanted = [f"rpc-{name}" for name in SERVICES] + ["reservations.datarequest.needed", "instances.datarequest.evaluated", "events.log"]
    with suppress(Exception), Connection(stage.rabbit.uri, connect_timeout=2) as connection:
        channel = connection.channel()
        return all(channel.queue_declare(queue=name, passive=True).consumer_count for name in wanted)
    return False


def claims(stage: Stage, seconds: float, rate: float) -> dict[str, Any]:
    """500 requests at once for a source that takes 100 readers."""
    listing = {f"many/{number}.dat": {"size": 10} for number in range(500)}
    stage.client.post(f"{FMDM}/datasource/simulate", {"name": "narrow", "listing": listing, "capacity": {"readers": 100}}, Prefer="wait=30")
    stage.rest()
    asked = direct_claims(stage)
    began = time.monotonic()
    ids: list[str] = []

    def work(numbers: range) -> None:
        client = Client(stage.mesh.url)
        for number in numbers:
            ids.append(client.post(f"{DO}/datarequest/create", {"query": f"source:narrow path:many/{number}.dat"}, Prefer="wait=0")["id"])

    with concurrent.futures.ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(work, [range(first, 500, SENDERS) for first in range(SENDERS)]))
    sent_s = time.monotonic() - began

    def states() -> Counter[str]:
        with psycopg2.connect(plain_url(stage.database_url)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT state, reason->>'code' FROM requests.datarequest WHERE id = ANY(%s)", (ids,))
            return Counter(f"{state}:{code}" if code else state for state, code in cursor.fetchall())

    until(lambda: all(name.startswith(("Satisfied", "Failed")) for name in states()), 60)
    took = time.monotonic() - began
    with psycopg2.connect(plain_url(stage.database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM reservations.datareservation WHERE state = 'Confirmed' AND request_id = ANY(%s)", (ids,))
        confirmed = cursor.fetchone()[0]
    return {"claims_alone": asked, "requests": {"confirmed": confirmed, "states": dict(states()), "seconds": round(took, 1)},
            "reach": "exactly 100, the rest told why, 10 s",
            "floor": f"creating the 500 requests alone: {sent_s:.1f} s"}


def direct_claims(stage: Stage) -> dict[str, Any]:
    """The claims themselves, as RPCs from 50 threads of a process beside the mesh that has its seal."""
    listing = {f"only/{number}.dat": {"size": 10} for number in range(10)}
    source = stage.client.post(f"{FMDM}/datasource/simulate", {
        "name": "narrower", "listing": listing, "capacity": {"readers": 100}}, Prefer="wait=30")["id"]
    mesh = MeshClient(stage.rabbit.uri, timeout_s=30, seal=Seal((stage.folder / "mesh" / "data" / "mesh.secret").read_bytes().strip()))
    answers: Counter[str] = Counter()

    def one(number: int) -> None:
        try:
            mesh.call("catalog", "claim", claims=[{"id": f"bench-{number}", "source": source, "kind": "readers", "amount": 1}],
                      holder=f"bench-{number}", ttl_s=600)
            answers["claimed"] += 1
        except EdgemereError as error:
            answers[error.code] += 1

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        list(pool.map(one, range(500)))
    took = time.monotonic() - began
    mesh.stop()
    return {"answers": dict(answers), "seconds": round(took, 1)}


BENCHES: dict[str, Callable[[Stage, float, float], dict[str, Any]]] = {
    "sustained": sustained, "show": show, "claims": claims, "recovery": recovery,
}


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--seconds", type=float, default=60, help="how long the load lasts; the figure asks for 300")
    words.add_argument("--rate", type=float, default=60, help="requests a second")
    words.add_argument("--replicas", type=int, default=1, help="of each service")
    words.add_argument("--only", default="", help="names with commas")
    given = words.parse_args()
    chosen = [name for name in given.only.split(",") if name] or list(BENCHES)
    results: dict[str, Any] = {"machine": {
        "cpus": os.cpu_count(), "memory_gb": round(psutil.virtual_memory().total / 1e9), "python": platform.python_version(),
        "system": platform.platform(), "load_before": os.getloadavg()[0]}, "replicas": given.replicas}
    stage = Stage(given.replicas)
    try:
        for name in chosen:
            print(f"… {name}", file=sys.stderr, flush=True)
            results[name] = BENCHES[name](stage, given.seconds, given.rate)
            print(f"  {json.dumps(results[name])}", file=sys.stderr, flush=True)
    except BaseException:
        print(stage.mesh.log_tail(), file=sys.stderr)
        raise
    finally:
        stage.stop()
    results["machine"]["load_after"] = os.getloadavg()[0]
    print(json.dumps(results, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
