"""What watching costs: the same mesh with nothing counted, traced or logged, and with everything, in turns, in one run.

    python -m benchmarks.observability [--rounds 6] [--seconds 8] [--clients 4] [--only show]

Two embedded servers live side by side and are asked in turns, so that both have the same machine. The one with nothing is started by
``benchmarks.unobserved``, which takes the counting out; the other exports traces (the part that --sample says) to a sink on this machine, logs at
level info as JSON, and is scraped every five seconds; it looks at its figures as often as it does by default. A figure is the median of the rounds' ratios.
"""
from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from tests.support.ports import free_port
from tests.support.servers import ROOT, EdgemereServer

SINK = """
import socketserver, sys
class Sink(socketserver.StreamRequestHandler):
    def handle(self):
        while line := self.rfile.readline():
            length = 0
            while line not in (b"\\r\\n", b""):
                if line.lower().startswith(b"content-length:"): length = int(line.split(b":")[1])
                line = self.rfile.readline()
            self.rfile.read(length)
            self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nContent-Type: application/x-protobuf\\r\\n\\r\\n")
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Sink).serve_forever()
"""
# Three times as often as deploy/monitoring does.
SCRAPE_S = 5
DO, FMDM = "/edgemere/diml/dml/do", "/edgemere/diml/dml/fmdm"


def ask(connection: http.client.HTTPConnection, path: str, body: Any = None) -> Any:
    connection.request("POST" if body is not None else "GET", path, json.dumps(body) if body is not None else None,
                       {"Content-Type": "application/json", "Prefer": "wait=30"} if body is not None else {})
    answer = connection.getresponse()
    content = answer.read()
    assert answer.status < 300, content
    return json.loads(content)


def show(connection: http.client.HTTPConnection, request: str) -> None:
    ask(connection, f"{DO}/datarequest/show?id={request}")


def whole(connection: http.client.HTTPConnection, request: str) -> None:
    assert ask(connection, f"{DO}/datarequest/create", {"query": "source:camera"})["state"] == "Satisfied"


def rate(server: EdgemereServer, work: Any, request: str, clients: int, seconds: float) -> tuple[float, float]:
    """How many a second, and the milliseconds of processor time that the server took for each: what counts on a busy machine."""
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    before = sum(process.cpu_times()[:2])
    end, counts = time.monotonic() + seconds, [0] * clients

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        while time.monotonic() < end:
            work(connection, request)
            counts[number] += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - began), (sum(process.cpu_times()[:2]) - before) * 1000 / max(1, sum(counts))


def prepared(server: EdgemereServer) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    ask(connection, f"{FMDM}/datasource/simulate", {"name": "camera", "listing": {"scan.nii": {"size": 100}}})
    return ask(connection, f"{DO}/datarequest/create", {"query": "source:camera", "name": "first"})["id"]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=6)
    options.add_argument("--seconds", type=float, default=8)
    options.add_argument("--clients", type=int, default=4)
    options.add_argument("--only", default="show,whole", help="of show and whole")
    options.add_argument("--sample", type=float, default=0.05, help="which part of the traces is kept")
    given = options.parse_args()
    port = free_port()
    sink = subprocess.Popen([sys.executable, "-c", SINK, str(port)])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "watched.yaml").write_text("log: {format: json, level: info}\n")
        (folder / "unwatched.yaml").write_text("health: {figures_every_s: 1d}\nlog: {level: error}\n")
        off = EdgemereServer(folder / "off", options=["--config", str(folder / "unwatched.yaml")],
                             program=[sys.executable, str(ROOT / "benchmarks" / "unobserved.py")])
        on = EdgemereServer(folder / "on", options=["--config", str(folder / "watched.yaml")],
                            environment={"EDGEMERE_TRACING": f"http://127.0.0.1:{port}/v1/traces", "EDGEMERE_TRACING_SAMPLE": str(given.sample)})
        over = threading.Event()

        def scrape() -> None:
            while not over.wait(SCRAPE_S):
                connection = http.client.HTTPConnection("127.0.0.1", on.port, timeout=10)
                connection.request("GET", "/metrics")
                connection.getresponse().read()

        try:
            with off, on:
                requests = {off: prepared(off), on: prepared(on)}
                threading.Thread(target=scrape, daemon=True).start()
                for name, work in (("show", show), ("a whole request", whole)):
                    if work.__name__ not in given.only.split(","):
                        continue
                    ratios, rates = [], {off: [], on: []}
                    for number in range(given.rounds + 1):
                        for server in (off, on) if number % 2 else (on, off):
                            rates[server].append(rate(server, work, requests[server], given.clients, given.seconds if number else 2))
                        # The first round warms up.
                        if number:
                            ratios.append([got / floor for got, floor in zip(rates[on][-1], rates[off][-1], strict=True)])
                    for at, unit in ((0, "/s"), (1, " ms of processor time")):
                        floor, got = (statistics.median(one[at] for one in rates[server][1:]) for server in (off, on))
                        print(f"{name}: nothing {floor:.2f}{unit}, everything {got:.2f}{unit}; {(statistics.median(r[at] for r in ratios) - 1) * 100:+.1f} % "
                              f"(rounds: {', '.join(f'{(r[at] - 1) * 100:+.1f}' for r in ratios)})",
                              flush=True)
                over.set()
        finally:
            over.set()
            sink.kill()
            sink.wait()
    print(f"load at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
