"""Times what is live: from a commit to its message at a hundred sockets, what a thousand idle ones cost, and the Python client.

    PYTHONPATH=. .venv/bin/python benchmarks/live.py [--quick] [--only NAME,…]

Prints JSON, then a table. Every figure has beside it the floor that was measured in the same run, on the same machine.
"""
from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import struct
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from benchmarks.mesh import DO, ROOT, Client, Server, quantiles, register

SOCKETS = "/web/socket.io/?EIO=4&transport=websocket"


class Wire:
    """A WebSocket of a few bytes, so that a thousand of them cost the measuring side nothing that counts."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.sock = socket.create_connection((parts.hostname, parts.port), timeout=30)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall(f"GET {SOCKETS} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
        self.rest = b""
        while b"\r\n\r\n" not in self.rest:
            self.rest += self._more()
        assert b" 101 " in self.rest.split(b"\r\n", 1)[0], self.rest[:200]
        self.rest = self.rest.split(b"\r\n\r\n", 1)[1]
        assert self.receive().startswith("0")
        self.send("40")
        assert self.receive().startswith("40")

    def subscribe(self, given: dict[str, Any]) -> None:
        self.send(f"420{json.dumps(['subscribe', given])}")
        assert '"problem"' not in (said := self.receive()) and said.startswith("430"), said

    def send(self, text: str) -> None:
        data = text.encode()
        head = bytes([0x81, 0x80 | len(data)]) if len(data) < 126 else bytes([0x81, 0xFE]) + struct.pack("!H", len(data))
        self.sock.sendall(head + b"\0\0\0\0" + data)

    def receive(self) -> str:
        """The next text; pings are answered."""
        while True:
            text = self._frame()
            if text != "2":
                return text
            self.send("3")

    def _frame(self) -> str:
        while (found := self._whole()) is None:
            self.rest += self._more()
        return found

    def _whole(self) -> str | None:
        if len(self.rest) < 2:
            return None
        length, start = self.rest[1] & 127, 2
        if length == 126:
            length, start = struct.unpack("!H", self.rest[2:4])[0] if len(self.rest) >= 4 else 1 << 60, 4
        elif length == 127:
            length, start = struct.unpack("!Q", self.rest[2:10])[0] if len(self.rest) >= 10 else 1 << 60, 10
        if len(self.rest) < start + length:
            return None
        text, self.rest = self.rest[start:start + length], self.rest[start + length:]
        return text.decode()

    def _more(self) -> bytes:
        data = self.sock.recv(65536)
        assert data, "the server hung up"
        return data


def latency(server: Server, sockets: int, rounds: int) -> dict[str, Any]:
    """From the moment a commit is stamped to each socket's having its message; the floor is a call that only reads."""
    wires = [Wire(server.url) for _ in range(sockets)]
    for wire in wires:
        wire.subscribe({"event": "datarequest.create"})
    took: list[float] = []
    answered: list[float] = []
    lock = threading.Lock()
    ready = threading.Barrier(sockets + 1)

    def listen(wire: Wire) -> None:
        for _ in range(rounds):
            text = wire.receive()
            at = time.time()
            message = json.loads(text[2:])[1]
            stamp = _seconds(message["time"])
            with lock:
                took.append(at - stamp)
            ready.wait(60)

    threads = [threading.Thread(target=listen, args=(wire,), daemon=True) for wire in wires]
    for thread in threads:
        thread.start()
    client = Client(server.url)
    for number in range(rounds):
        began = time.perf_counter()
        client.post(f"{DO}/datarequest/create", {"name": f"live-{sockets}-{number}-{time.time_ns()}", "query": "a:1", "fulfill": False})
        answered.append(time.perf_counter() - began)
        ready.wait(60)
        time.sleep(0.02)
    for wire in wires:
        wire.sock.close()
    floor = []
    for _ in range(rounds):
        began = time.perf_counter()
        client.get(f"{DO}/datarequest/list?limit=1")
        floor.append(time.perf_counter() - began)
    return {"sockets": sockets, "messages": len(took), **quantiles(took), "the_commanding_call": quantiles(answered),
            "floor_a_reading_call": quantiles(floor)}


def _seconds(stamp: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


def idle(server: Server, sockets: int, seconds: float) -> dict[str, Any]:
    """What ``sockets`` cost that have subscribed and hear nothing: processor time and memory beyond those without them."""
    own = psutil.Process(server.process.pid)
    family = [own, *own.children(recursive=True)]

    def spent() -> float:
        return sum(sum(process.cpu_times()[:2]) for process in family if process.is_running())

    def measured() -> tuple[float, float]:
        before, began = spent(), time.monotonic()
        time.sleep(seconds)
        return (spent() - before) / (time.monotonic() - began) * 100, server.memory_mb()

    alone_cpu, alone_mb = measured()
    wires = [Wire(server.url) for _ in range(sockets)]
    for wire in wires:
        wire.subscribe({"class": "datasource"})
    over = threading.Event()

    def answer_pings() -> None:
        import selectors

        chosen = selectors.DefaultSelector()
        for wire in wires:
            chosen.register(wire.sock, selectors.EVENT_READ, wire)
        while not over.is_set():
            for key, _ in chosen.select(0.5):
                if key.data._frame() == "2":
                    key.data.send("3")

    pinger = threading.Thread(target=answer_pings, daemon=True)
    pinger.start()
    time.sleep(2)
    with_cpu, with_mb = measured()
    over.set()
    pinger.join()
    for wire in wires:
        wire.sock.close()
    return {"sockets": sockets, "seconds": seconds, "cpu_percent_alone": round(alone_cpu, 2), "cpu_percent_with": round(with_cpu, 2),
            "cpu_percent_more": round(with_cpu - alone_cpu, 2), "mb_more": round(with_mb - alone_mb, 1)}


def python(server: Server, rounds: int) -> dict[str, Any]:
    """``with do.data(…)`` against the same three calls over one kept connection, in turn."""
    sys.path.append(str(ROOT / "gateway" / "clients" / "python"))
    from edgemere import connect

    do, client = connect(server.url).do, Client(server.url)
    plain, whole, own = [], [], [0.0, 0.0]
    for _ in range(rounds):
        began, used = time.perf_counter(), time.process_time()
        request = client.post(f"{DO}/datarequest/create", {"query": "source:lab"}, Prefer="wait=30")
        items = client.get(f"{DO}/datainstance/list?request={request['id']}&limit=1000&sort=name")["items"]
        paths = [entry["path"] for item in items for entry in item["access"]]
        client.post(f"{DO}/datarequest/complete", {"id": request["id"]})
        plain.append(time.perf_counter() - began)
        own[0] += time.process_time() - used
        began, used = time.perf_counter(), time.process_time()
        with do.data("source:lab") as data:
            assert data.paths == paths
        whole.append(time.perf_counter() - began)
        own[1] += time.process_time() - used
    more = statistics.median(whole) - statistics.median(plain)
    return {"rounds": rounds, "rest": quantiles(plain), "with_do_data": quantiles(whole), "more_p50_ms": round(more * 1000, 2),
            # On a busy machine the wall clock says little; this is what the client itself computes.
            "own_cpu_ms_more": round((own[1] - own[0]) / rounds * 1000, 2)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--only", default="", help="names, joined by commas: latency, idle, python")
    chosen = parser.parse_args()
    wanted = set(filter(None, chosen.only.split(",")))
    folder = Path(tempfile.mkdtemp(prefix="edgemere-live-"))
    figures: dict[str, Any] = {"machine": {"cpus": os.cpu_count(), "load": os.getloadavg()}}
    server = Server(folder / "data")
    try:
        files = folder / "lab"
        files.mkdir()
        (files / "one.csv").write_text("a\n1\n")
        register(Client(server.url), "lab", files)
        cases = {
            "latency": lambda: latency(server, 100, 20 if chosen.quick else 50),
            "idle": lambda: idle(server, 1000, 15 if chosen.quick else 60),
            "python": lambda: python(server, 20 if chosen.quick else 60),
        }
        for name, measure in cases.items():
            if not wanted or name in wanted:
                figures[name] = measure()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(figures, indent=1))
    reach = {"latency": "≤ 50 / 200 ms", "idle": "≤ 1 % CPU, ≤ 200 MB more", "python": "≤ 20 ms more"}
    for name, found in figures.items():
        if name in reach:
            shown = {"latency": lambda f: f"p50 {f['p50_ms']} ms, p95 {f['p95_ms']} ms (a reading call: {f['floor_a_reading_call']['p50_ms']} ms)",
                     "idle": lambda f: f"{f['cpu_percent_more']} % CPU more, {f['mb_more']} MB more",
                     "python": lambda f: f"{f['more_p50_ms']} ms more than {f['rest']['p50_ms']} ms, {f['own_cpu_ms_more']} ms of CPU"}[name](found)
            print(f"{name:10} {shown:70} reach {reach[name]}")


if __name__ == "__main__":
    main()
