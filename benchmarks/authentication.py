#!/usr/bin/env python3
"""What a login costs a call, and what idle, slow and wrong callers cost the others; on servers of its own.

    .venv/bin/python benchmarks/authentication.py [--calls 1500] [--connections 1000]

1. Two servers side by side, one that asks nobody and one that wants a key, are asked in turn for the same `show`: the
   difference of the medians is what the login, the rates and the look at the rights add. Both are asked by the same
   client in the same moments, so that what else the machine does falls on both.
2. One server, asked for the same `show` by one caller, without and with so many connections that are idle or send a
   byte of a request now and then; and with wrong keys coming in as fast as four clients can send them.
"""
from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.servers import EdgemereServer, run_edgemere  # noqa: E402

DO = "/edgemere/diml/dml/do"


FLOOD = """
import http.client, sys, time
line = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
began, count = time.monotonic(), 0
print("on", flush=True)
while True:
    secret = f"{count:b}".replace("0", "a").replace("1", "b").ljust(52, "c")
    line.request("GET", sys.argv[2], headers={"Authorization": f"Bearer edk_01M8BTZM922ZVET2PC8KXZ5BTZ_{secret}"})
    line.getresponse().read()
    count += 1
    print(count, flush=True)
    time.sleep(max(0, began + count / 50 - time.monotonic()))
"""
"""A client that sends a wrong key fifty times a second, each another one."""


class Caller:
    """One client on one kept connection."""

    def __init__(self, port: int, key: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def ask(self, address: str, body: object = None) -> tuple[int, bytes, float]:
        began = time.perf_counter()
        if body is None:
            self._connection.request("GET", address, headers=self._headers)
        else:
            self._connection.request("POST", address, json.dumps(body), {"Content-Type": "application/json", **self._headers})
        answer = self._connection.getresponse()
        found = answer.read()
        return answer.status, found, time.perf_counter() - began


def started(folder: Path, **settings: object) -> tuple[EdgemereServer, str]:
    """A server, and the key that it wants, if any."""
    folder.mkdir()
    file = folder / "settings.yaml"
    file.write_text(json.dumps({"log": {"level": "warning"}, **settings}))
    key = ""
    if settings:
        key = run_edgemere("apikey", "bootstrap", "--data", str(folder / "data")).stdout.strip()
    return EdgemereServer(folder, options=("--config", str(file))).start(), key


def p(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] * 1000


def asked(caller: Caller, address: str, count: int) -> list[float]:
    found = []
    for _ in range(count):
        status, body, seconds = caller.ask(address)
        assert status == 200, (status, body[:300])
        found.append(seconds)
    return found


def shown(caller: Caller) -> str:
    """A request to show, and its address."""
    status, body, _ = caller.ask(f"{DO}/datarequest/create", {"name": "shown", "query": "a:1", "fulfill": False})
    assert status == 201, body
    return f"{DO}/datarequest/show?id={json.loads(body)['id']}"


def cost_of_a_login(folder: Path, calls: int) -> None:
    open_, _ = started(folder / "open")
    locked, key = started(folder / "locked", auth={"mode": "required"}, limits={"owner": "1000000/minute", "address": "1000000/minute"})
    with open_, locked:
        callers = Caller(open_.port), Caller(locked.port, key)
        addresses = [shown(caller) for caller in callers]
        times: list[list[float]] = [[], []]
        asked(callers[0], addresses[0], 50)
        asked(callers[1], addresses[1], 50)
        spent = [busy_s(server) for server in (open_, locked)]
        for turn in range(calls + 100):
            for which in ((0, 1), (1, 0))[turn % 2]:
                status, _, seconds = callers[which].ask(addresses[which])
                assert status == 200
                if turn >= 100:
                    times[which].append(seconds)
        spent = [busy_s(server) - before for server, before in zip((open_, locked), spent, strict=True)]
        medians = [statistics.median(one) * 1000 for one in times]
        print(f"a show without a login          p50 {medians[0]:.2f} ms  p95 {p(times[0], .95):.2f} ms  ({calls} calls, in turn with the next)")
        print(f"a show with a key and rates     p50 {medians[1]:.2f} ms  p95 {p(times[1], .95):.2f} ms")
        print(f"added at the median             {medians[1] - medians[0]:+.3f} ms  (to reach: at most 0.5 ms)")
        each = [seconds * 1000 / (calls + 100) for seconds in spent]
        print(f"processor time of the server    {each[0]:.2f} ms and {each[1]:.2f} ms a call: {each[1] - each[0]:+.3f} ms")
        print(f"added in pairs, the median      {statistics.median(b - a for a, b in zip(*times, strict=True)) * 1000:+.3f} ms")


def busy_s(server: EdgemereServer) -> float:
    """What the server's process has used of processors; other work on the machine does not change it much."""
    used = psutil.Process(server.process.pid).cpu_times()
    return used.user + used.system


def cost_of_others(folder: Path, calls: int, connections: int) -> None:
    server, key = started(folder / "crowded", auth={"mode": "required"})
    with server:
        caller = Caller(server.port, key)
        address = shown(caller)
        asked(caller, address, 100)
        usual: list[float] = []
        crowded: list[float] = []
        for _ in range(3):
            usual += asked(caller, address, calls // 3)
            crowded += with_a_crowd(server.port, connections, lambda: asked(caller, address, calls // 3))
        say("1,000 idle or slow connections" if connections == 1000 else f"{connections} idle or slow connections", usual, crowded)
        flooded, count, seconds = with_wrong_keys(server.port, lambda: asked(caller, address, calls // 3))
        usual = asked(caller, address, calls // 3)
        say(f"{count / seconds * 60:,.0f} wrong keys a minute", usual, flooded)


def say(what: str, usual: list[float], meanwhile: list[float]) -> None:
    print(f"{what:<31} p50 {p(meanwhile, .5):.2f} ms  p95 {p(meanwhile, .95):.2f} ms; without them p50 {p(usual, .5):.2f} ms"
          f"  p95 {p(usual, .95):.2f} ms: {p(meanwhile, .95) / p(usual, .95):.2f} times")


def with_a_crowd(port: int, count: int, work: Callable[[], list[float]]) -> list[float]:
    """Do the work while ``count`` connections are open: half of them silent, half sending a byte of a request now and then."""
    crowd = []
    for number in range(count):
        sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        if number % 2:
            sock.sendall(b"POST " + f"{DO}/datarequest/create".encode() + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n")
        crowd.append(sock)
    over = threading.Event()

    def drip() -> None:
        while not over.wait(0.5):
            for sock in crowd[1::20]:
                try:
                    sock.sendall(b"X")
                except OSError:
                    pass
    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        time.sleep(1)
        return work()
    finally:
        over.set()
        dripping.join()
        for sock in crowd:
            sock.close()
        time.sleep(1)


def with_wrong_keys(port: int, work: Callable[[], list[float]]) -> tuple[list[float], int, float]:
    """Do the work while four processes send wrong keys at 200 a second together: (times, how many were sent, seconds)."""
    floods = [subprocess.Popen([sys.executable, "-c", FLOOD, str(port), f"{DO}/identity/show"], stdout=subprocess.PIPE, text=True) for _ in "1234"]
    try:
        for one in floods:
            assert one.stdout is not None and one.stdout.readline() == "on\n"
        began = time.monotonic()
        found = work()
        seconds = time.monotonic() - began
        for one in floods:
            one.terminate()
        counts = [one.communicate()[0].split() for one in floods]
        return found, sum(int(lines[-1]) for lines in counts if lines), seconds
    finally:
        for one in floods:
            one.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1500)
    parser.add_argument("--connections", type=int, default=1000)
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory() as folder:
        cost_of_a_login(Path(folder), given.calls)
        cost_of_others(Path(folder), given.calls, given.connections)


if __name__ == "__main__":
    main()
