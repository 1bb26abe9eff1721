"""Times the embedded mesh as its users meet it: over HTTP, from another process.

    PYTHONPATH=. .venv/bin/python benchmarks/mesh.py [--quick] [--only NAME,…]

Prints JSON, then a table. Every figure has beside it the floor that was measured in the same run, on the same machine.
"""
from __future__ import annotations

import argparse
import concurrent.futures
import http.client
import json
import os
import platform
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psutil

ROOT = Path(__file__).resolve().parents[1]
DO = "/edgemere/diml/dml/do"
FMDM = "/edgemere/diml/dml/fmdm"


class Client:
    """One kept connection to the gateway."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=120)
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        data = json.dumps(body) if body is not None else None
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request(method, path, data, {"Content-Type": "application/json", **named})
        response = self._connection.getresponse()
        raw = response.read()
        return response.status, json.loads(raw) if raw else None

    def get(self, path: str) -> Any:
        status, body = self.call("GET", path)
        assert status == 200, (status, body)
        return body

    def post(self, path: str, body: Any, **headers: str) -> Any:
        status, answer = self.call("POST", path, body, **headers)
        assert status in (200, 201, 202), (status, answer)
        return answer


class Server:
    """``./edgemere up`` on a data folder of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [str(ROOT / "edgemere"), "up", "--port", str(port), "--data", str(folder)], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, cwd="/", start_new_session=True)
        while True:
            try:
                if Client(self.url).call("GET", "/health/ready")[0] == 200:
                    break
            except OSError:
                pass
            assert self.process.poll() is None, "the server ended"
            time.sleep(0.02)
        self.ready_s = time.perf_counter() - began

    def family(self) -> list[psutil.Process]:
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def memory_mb(self) -> float:
        return sum(process.memory_info().rss for process in self.family() if process.is_running()) / 1e6

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def quantiles(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {"p50_ms": round(statistics.median(ordered) * 1000, 2), "p95_ms": round(ordered[int(len(ordered) * 0.95)] * 1000, 2)}


def make_files(folder: Path, count: int, needles: int = 10) -> None:
    """``count`` small files in folders of 1,000 with tags in their folders' names; ``needles`` of them marked."""
    for number in range(count):
        if number % 1000 == 0:
            place = folder / f"batch={number // 1000:03d}" / f"half={'left' if number % 2000 == 0 else 'right'}"
            place.mkdir(parents=True)
        (place / f"item-{number:06d}.csv").write_bytes(b"x" * (number % 97))
    rare = folder / "batch=rare" / "owner=darren"
    rare.mkdir(parents=True)
    for number in range(needles):
        (rare / f"needle-{number}.csv").write_bytes(b"needle")


def register(client: Client, name: str, folder: Path, **more: Any) -> dict[str, Any]:
    source = client.post(f"{FMDM}/datasource/create", {
        "name": name, "adaptor": "file", "parameters": {"rootdir": str(folder), **more}}, Prefer="wait=300")
    assert source["scan"]["state"] == "done", source["scan"]
    return source


def bench_start(server: Server, client: Client, **_: Any) -> dict[str, Any]:
    own = server.family()
    time.sleep(3)
    before = sum(sum(process.cpu_times()[:2]) for process in own)
    time.sleep(20)
    after = sum(sum(process.cpu_times()[:2]) for process in own)
    floor = timed(lambda: subprocess.run([sys.executable, "-c", "import nameko.runners, sqlalchemy, marshmallow"], check=True))
    return {"up_to_ready_s": round(server.ready_s, 2), "reach": "3 s / 1 % / 250 MB", "idle_cpu_percent": round((after - before) / 20 * 100, 2),
            "idle_memory_mb": round(server.memory_mb()), "floor": f"importing nameko, SQLAlchemy and marshmallow alone: {floor:.2f} s"}


def timed(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def bench_help(**_: Any) -> dict[str, Any]:
    run = [str(ROOT / "edgemere"), "--help"]
    times = [timed(lambda: subprocess.run(run, check=True, stdout=subprocess.DEVNULL)) for _ in range(7)]
    floor = statistics.median(timed(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True)) for _ in range(5))
    return {"help_s": round(statistics.median(times), 3), "reach": "0.5 s", "floor": f"an empty Python: {floor:.3f} s"}


def bench_small_request(client: Client, quick: bool, **_: Any) -> dict[str, Any]:
    times, floor = [], []
    for _ in range(30 if quick else 100):
        began = time.perf_counter()
        answer = client.post(f"{DO}/datarequest/create", {"query": "name:needle-3.csv"}, Prefer="wait=30")
        times.append(time.perf_counter() - began)
        assert answer["state"] == "Satisfied", answer
        floor.append(timed(lambda: client.get(f"{DO}/datarequest/show?id={answer['id']}")))
    return {**quantiles(times[5:]), "reach": "p50 60 ms", "floor": f"one show (HTTP and one RPC): {quantiles(floor)['p50_ms']} ms"}


def bench_many(server: Server, client: Client, quick: bool, **_: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"reach": "10,000 in 6 s, 20,000 in 2.2 times that, lag 0 within 20 s more, 500 MB"}
    for count in (10_000, 20_000):
        request, seconds, memory = many(server, client, count)
        lag = drained(client)
        found[f"instances_{count}"] = {"seconds": round(seconds, 2), "event_lag_s": round(lag, 1), "memory_mb": round(memory)}
        assert client.get(f"{DO}/datainstance/list?request={request}&state=Ready&limit=1")["total"] == count
    found["ratio"] = round(found["instances_20000"]["seconds"] / found["instances_10000"]["seconds"], 2)
    found["floor"] = f"10,000 rows into SQLite with executemany: {insert_floor():.3f} s"
    return found


def many(server: Server, client: Client, count: int) -> tuple[str, float, float]:
    began = time.perf_counter()
    query = {"$and": [{"source": "many"}, {"batch": {"$in": [f"{n:03d}" for n in range(count // 1000)]}}]}
    request = client.post(f"{DO}/datarequest/create", {"query": query}, Prefer="wait=0")
    peak = 0.0
    while True:
        state = client.get(f"{DO}/datarequest/list?id={request['id']}")["items"][0]
        peak = max(peak, server.memory_mb())
        if state["state"] in ("Satisfied", "Failed"):
            assert state["state"] == "Satisfied", state
            return request["id"], time.perf_counter() - began, peak
        time.sleep(0.05)


def drained(client: Client) -> float:
    """Seconds until the event log no longer grows."""
    began, last, still = time.perf_counter(), -1, time.perf_counter()
    while True:
        page = client.get(f"{DO}/event/list?sort=-sequence&limit=1")
        head = page["items"][0]["sequence"]
        if head != last:
            last, still = head, time.perf_counter()
        elif time.perf_counter() - still > 1.5:
            return still - began
        time.sleep(0.1)


def insert_floor() -> float:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (a TEXT, b TEXT, c TEXT, d INTEGER)")
    rows = [(f"id-{n}", "name", "{}", n) for n in range(10_000)]
    return timed(lambda: connection.executemany("INSERT INTO t VALUES (?,?,?,?)", rows))


def bench_query(client: Client, folder: Path, quick: bool, **_: Any) -> dict[str, Any]:
    path = f"{FMDM}/query?expression={quote('owner:darren')}&limit=50"
    assert client.get(path)["total"] == 10
    times = [timed(lambda: client.get(path)) for _ in range(60 if quick else 200)]
    bare = [timed(lambda: client.get("/health/live")) for _ in range(60)]
    return {**quantiles(times), "reach": "p50 10 ms over 100,000 Data", "floor": f"HTTP alone: {quantiles(bare)['p50_ms']} ms"}


def bench_show(server: Server, client: Client, quick: bool, **_: Any) -> dict[str, Any]:
    some = client.get(f"{DO}/datarequest/list?state=Satisfied&limit=1")["items"][0]["id"]
    path = f"{DO}/datarequest/show?id={some}"
    times = [timed(lambda: client.get(path)) for _ in range(300)]
    bare = [timed(lambda: client.get("/health/live")) for _ in range(300)]

    def together(target: str) -> float:
        clients, each = [Client(server.url) for _ in range(8)], 100

        def work(one: Client) -> None:
            for _ in range(each):
                one.get(target)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return 8 * each / timed(lambda: list(pool.map(work, clients)))
    return {**quantiles(times), "with_8_clients_per_s": round(together(path)), "reach": "p50 4 ms, 400/s with 8 clients",
            "floor": f"HTTP alone: {quantiles(bare)['p50_ms']} ms, {round(together('/health/live'))}/s"}


def bench_events(server: Server, client: Client, quick: bool, **_: Any) -> dict[str, Any]:
    seen: dict[str, float] = {}
    listening = threading.Event()
    parts = urlsplit(server.url)

    def follow() -> None:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        connection.request("GET", f"{DO}/event/stream?event=datareference.create")
        response = connection.getresponse()
        listening.set()
        while True:
            line = response.readline()
            if not line:
                return
            if line.startswith(b"data:"):
                seen[json.loads(line[5:])["obj"]["id"]] = time.perf_counter()

    threading.Thread(target=follow, daemon=True).start()
    listening.wait(10)
    time.sleep(0.5)
    delays, calls = [], []
    for number in range(30 if quick else 100):
        began = time.perf_counter()
        made = client.post(f"{DO}/datareference/create", {"name": f"ref-{os.getpid()}-{number}", "query": "owner:darren"})
        committed = time.perf_counter()
        calls.append(committed - began)
        while made["id"] not in seen:
            time.sleep(0.0005)
            assert time.perf_counter() - committed < 10, "the event did not come"
        # The answer of the call left the service after the commit, so this is what a user sees as the delay.
        delays.append(max(0.0, seen[made["id"]] - committed))
    return {**quantiles(delays), "reach": "p50 20 ms after the commit", "floor": f"the call that commits: {quantiles(calls)['p50_ms']} ms"}


def bench_copy(client: Client, folder: Path, quick: bool, **_: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"reach": "1 GiB in 4 times cp, 10,000 files in 2.5 times cp -r"}
    target = folder / "target"
    target.mkdir()
    register(client, "target", target, writable=True)
    size = (64 if quick else 1024) * 1024 * 1024
    count = 2_000 if quick else 10_000
    large, small = folder / "large", folder / "small"
    large.mkdir(), small.mkdir()
    with open(large / "big.bin", "wb") as out:
        for _ in range(size // (1 << 20)):
            out.write(os.urandom(1 << 20))
    for number in range(count):
        if number % 1000 == 0:
            (small / f"d{number // 1000}").mkdir()
        (small / f"d{number // 1000}" / f"f{number}.dat").write_bytes(os.urandom(4096))
    for name, place in (("large", large), ("small", small)):
        register(client, name, place)
        shutil.rmtree(folder / "floor", ignore_errors=True)
        floor = timed(lambda: subprocess.run(["cp", "-r", str(place), str(folder / "floor")], check=True))
        began = time.perf_counter()
        answer = client.post(f"{DO}/datarequest/create", {"query": f"source:{name}", "action": "copy", "target": "target"}, Prefer="wait=280")
        seconds = time.perf_counter() - began
        assert answer["state"] == "Satisfied", answer
        found[name] = {"bytes": size if name == "large" else count * 4096, "files": 1 if name == "large" else count,
                       "seconds": round(seconds, 2), "floor_cp_s": round(floor, 2), "ratio": round(seconds / floor, 2)}
    return found


BENCHES = {
    "start": bench_start, "help": bench_help, "query": bench_query, "small_request": bench_small_request, "show": bench_show,
    "events": bench_events, "many": bench_many, "copy": bench_copy,
}


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--quick", action="store_true", help="smaller numbers, for a first look")
    words.add_argument("--only", default="", help="names with commas")
    given = words.parse_args()
    names = [name for name in given.only.split(",") if name] or list(BENCHES)
    folder = Path(tempfile.mkdtemp(prefix="edgemere-bench-"))
    results: dict[str, Any] = {"machine": {"cpus": os.cpu_count(), "memory_gb": round(psutil.virtual_memory().total / 1e9),
                                           "python": platform.python_version(), "system": platform.platform()}}
    server = Server(folder / "data")
    try:
        client = Client(server.url)
        for name in names:
            if name in ("query", "small_request", "show", "events", "many") and not (folder / "many").exists():
                (folder / "many").mkdir()
                make_files(folder / "many", 20_000 if given.quick else 100_000)
                results["scan_s"] = round(timed(lambda: register(client, "many", folder / "many")), 2)
                drained(client)
            print(f"… {name}", file=sys.stderr, flush=True)
            results[name] = BENCHES[name](server=server, client=client, folder=folder, quick=given.quick)
            print(f"  {json.dumps(results[name])}", file=sys.stderr, flush=True)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(results, indent=2))
    for name in names:
        print(f"{name:14} " + "  ".join(f"{key}={value}" for key, value in results[name].items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
