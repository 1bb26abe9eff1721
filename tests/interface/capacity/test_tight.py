"""Tight capacities and budgets on a real server: never exceeded, visible while they are waited for, and the way out that is named is one."""
from __future__ import annotations

import json
import shlex
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.awaiting import until
from tests.support.calling import Caller
from tests.support.servers import EdgemereServer, run_edgemere

OWNER = "ada"
SIZE = 1000
BUDGET = 12 * SIZE
ROOM = 6 * SIZE
READERS = 9


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgemereServer]:
    folder = tmp_path_factory.mktemp("tight")
    (folder / "settings.yaml").write_text(
        f"owner: {{default: {OWNER}}}\nbudgets: {{{OWNER}: {{period: 30d, bytes: {BUDGET}}}}}\n"
        "requests: {wait_retry_s: [0.2, 0.5, 1, 2]}\n")
    with EdgemereServer(folder, environment={"EDGEMERE_CONFIG": str(folder / "settings.yaml")}) as running:
        yield running


@pytest.fixture
def caller(server: EdgemereServer) -> Iterator[Caller]:
    made = Caller(server.port)
    yield made
    made.close()


def folder_source(caller: Caller, place: Path, name: str, files: int = 0, **more: Any) -> None:
    place.mkdir(parents=True)
    for number in range(files):
        (place / f"{number}.bin").write_bytes(bytes([number]) * SIZE)
    made = caller.call("fmdm datasource create", patience_s=30, name=name, adaptor="file",
                       parameters={"rootdir": str(place), **({"writable": True} if not files else {})}, **more)
    assert made.status == 201, made


def run(server: EdgemereServer, command: str) -> str:
    """Run a command as it was given to the user; what it says."""
    words = shlex.split(command)
    assert words[0] == "edgemere"
    sure = ["--yes"] if words[3] in ("complete", "cancel") else []
    done = run_edgemere(*words[1:], *sure, EDGEMERE_URL=server.url)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_exhausted_budget_says_what_remains_and_waiting_for_it_can_be_ended_by_the_command_that_is_named(
        server: EdgemereServer, caller: Caller, tmp_path: Path) -> None:
    folder_source(caller, tmp_path / "in", "in", files=8)
    folder_source(caller, tmp_path / "out", "out", capacity={"bytes": 8 * SIZE})
    folder_source(caller, tmp_path / "full", "full", capacity={"bytes": 0})
    copy = {"query": "source:in", "action": "copy"}
    first = caller.call("datarequest create", patience_s=30, name="first", target="out", **copy)
    assert first["state"] == "Satisfied", first
    left = caller.ask("datarequest explain", id="first")["budget"]
    assert left["bytes"] == {"limit": BUDGET, "spent": 8 * SIZE, "remains": 4 * SIZE}
    refused = caller.call("datarequest create", patience_s=30, name="more", target="out", **copy)
    assert refused["reason"]["code"] == "over_budget" and "3.9 KiB (4000 bytes) of 11.7 KiB (12000 bytes) left" in refused["message"], refused
    # What copies nothing is not refused.
    assert caller.call("datarequest create", patience_s=30, name="left", query="source:in")["state"] == "Satisfied"
    five = {"query": {"source": "in", "name": {"$in": [f"{number}.bin" for number in range(5)]}}, "action": "copy", "target": "out"}
    caller.call("datarequest create", name="waits", wait=True, **five)
    waits = until(lambda: caller.ask("datarequest show", id="waits")["blocked_by"])
    assert (waits["code"], waits["object"]["class"], waits["object"]["name"], waits["position"]) == ("over_budget", "budget", OWNER, 1)
    assert waits["estimate"] > "2026-12", "in a month the first charge is older than the period"
    # A target that is full does not cost anything of the budget while it is waited for.
    full = caller.call("datarequest create", patience_s=30, name="full", query={"source": "in", "name": "1.bin"}, action="copy", target="full")
    assert full["reason"]["code"] == "no_capacity"
    assert caller.ask("datarequest explain", id="first")["budget"]["bytes"]["remains"] == 4 * SIZE
    run(server, waits["unstick"][-1])
    assert caller.ask("datarequest show", id="waits")["reason"]["code"] == "cancelled"


def test_the_commands_that_end_a_wait_do_end_it(server: EdgemereServer, caller: Caller, tmp_path: Path) -> None:
    folder_source(caller, tmp_path / "shelf", "shelf", files=1, capacity={"readers": 1})
    assert caller.call("datarequest create", patience_s=30, name="has it", query="source:shelf")["state"] == "Satisfied"
    caller.call("datarequest create", name="no room", query="source:shelf", wait=True)
    caller.call("datarequest create", name="no data", query={"source": "shelf", "name": "1.bin"}, wait=True)
    caller.call("datarequest create", name="given up", query={"source": "shelf", "name": "2.bin"}, wait=True)

    def waiting(name: str, code: str) -> dict[str, Any]:
        return until(lambda: (found := caller.ask("datarequest show", id=name)["blocked_by"]) and found["code"] == code and found)

    room = waiting("no room", "no_capacity")["unstick"]
    assert room[0] == "edgemere do datarequest complete --id 'has it'", room
    run(server, room[0])
    until(lambda: caller.ask("datarequest show", id="no room")["state"] == "Satisfied")
    caller.call("datarequest complete", id="no room")

    data = waiting("no data", "no_match")["unstick"]
    assert data[0] == "edgemere fmdm datasource scan --id shelf", data
    (tmp_path / "shelf" / "1.bin").write_bytes(b"one")
    run(server, data[0])
    until(lambda: caller.ask("datarequest show", id="no data")["state"] == "Satisfied")
    caller.call("datarequest complete", id="no data")

    run(server, waiting("given up", "no_match")["unstick"][-1])
    assert caller.ask("datarequest show", id="given up")["reason"]["code"] == "cancelled"

    caller.call("fmdm datasource suspend", id="shelf")
    caller.call("datarequest create", name="out of use", query={"source": "shelf", "name": "0.bin"}, wait=True)
    resume = waiting("out of use", "no_match")["unstick"]
    assert resume[0] == "edgemere fmdm datasource resume --id shelf", resume
    run(server, resume[0])
    until(lambda: caller.ask("datarequest show", id="out of use")["state"] == "Satisfied")


def test_who_stands_behind_requests_of_their_own_is_told_what_ends_the_wait_as_things_are_now(
        server: EdgemereServer, caller: Caller, tmp_path: Path) -> None:
    folder_source(caller, tmp_path / "ledge", "ledge", files=1, capacity={"readers": 1})
    assert caller.call("datarequest create", patience_s=30, name="reads", query="source:ledge")["state"] == "Satisfied"
    for place, name in enumerate(("before", "between", "last"), start=1):
        caller.call("datarequest create", name=name, query="source:ledge", wait=True)
        until(lambda name=name: caller.ask("datarequest show", id=name)["blocked_by"])
        assert caller.ask("datarequest show", id=name)["blocked_by"]["position"] == place

    def ways(name: str) -> list[str]:
        return caller.ask("datarequest show", id=name)["blocked_by"]["unstick"]

    assert ways("last") == [f"edgemere do datarequest {what}" for what in (
        "cancel --id before", "cancel --id between", "complete --id reads", "cancel --id last")]
    caller.call("datarequest complete", id="reads")
    until(lambda: caller.ask("datarequest show", id="before")["state"] == "Satisfied")
    named = until(lambda: (now := ways("last"))[1] == "edgemere do datarequest complete --id before" and now)
    for command in named[:-1]:
        run(server, command)
    until(lambda: caller.ask("datarequest show", id="last")["state"] == "Satisfied")


@pytest.mark.parametrize("count", [48, pytest.param(200, marks=pytest.mark.long)])
def test_mixed_requests_of_eight_clients_never_exceed_a_capacity_or_the_budget(count: int, tmp_path: Path) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "settings.yaml").write_text(
        f"owner: {{default: {OWNER}}}\nbudgets: {{{OWNER}: {{period: 30d, bytes: {BUDGET}}}}}\n"
        "requests: {wait_retry_s: [0.2, 0.5, 1, 2]}\nreservations: {backfill_s: 1}\ninstances: {grace_s: 0}\n")
    with EdgemereServer(folder, environment={"EDGEMERE_CONFIG": str(folder / "settings.yaml")}) as server:
        one = Caller(server.port)
        folder_source(one, tmp_path / "in", "in", files=6, capacity={"readers": READERS})
        folder_source(one, tmp_path / "out", "out", capacity={"bytes": ROOM})
        seen: list[str] = []
        done = threading.Event()

        def look() -> None:
            """What is used, as another process sees it: one consistent view of each database at a time."""
            while not done.is_set():
                for name, text in rows(server, "catalog", "SELECT name, used FROM datasource"):
                    used, most = json.loads(text), {"in": ("readers", READERS), "out": ("bytes", ROOM)}[name]
                    if used[most[0]] > most[1]:
                        seen.append(f"{name}: {used}")
                spent = rows(server, "reservations", "SELECT coalesce(sum(bytes), 0) FROM charge")[0][0]
                if spent > BUDGET:
                    seen.append(f"spent {spent}")
                time.sleep(0.05)

        def ask(number: int) -> None:
            caller = Caller(server.port)
            for turn in range(count // 8):
                which = (number * 7 + turn) % 6
                given: dict[str, Any] = [
                    {"query": {"source": "in", "name": f"{which}.bin"}, "action": "copy", "target": "out", "wait": True},
                    {"query": "source:in", "select": {"count": 1 + which % 4}},
                    {"query": {"source": "in", "name": f"{which}.bin"}, "action": "copy", "target": "out"},
                    {"group": {"a": {"query": {"source": "in", "name": f"{which}.bin"}},
                               "b": {"query": {"source": "in", "name": f"{(which + 1) % 6}.bin"}}}, "wait": True},
                ][(number + turn) % 4]
                made = caller.call("datarequest create", name=f"r-{number}-{turn}", **given)
                assert made.status in (201, 202), made
                if turn % 5 == 4:
                    caller.call("datarequest cancel", id=f"r-{number}-{turn - 1}")
            caller.close()

        def give_back() -> bool:
            """Complete what is ready; whether everything has ended."""
            for name, in rows(server, "requests", "SELECT name FROM datarequest WHERE state = 'Satisfied'"):
                one.call("datarequest complete", id=name)
            return rows(server, "requests", "SELECT count(*) FROM datarequest WHERE state NOT IN ('Failed', 'Completed')")[0][0] == 0

        watcher = threading.Thread(target=look)
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in (watcher, *threads):
            thread.start()
        while any(thread.is_alive() for thread in threads):
            give_back()
            time.sleep(0.2)
        # What still waits is served in its turn, as long as the budget lasts; then it is given up.
        served = time.monotonic() + 120
        while not give_back() and time.monotonic() < served:
            if rows(server, "reservations", "SELECT coalesce(sum(bytes), 0) FROM charge")[0][0] == BUDGET:
                for name, in rows(server, "requests", "SELECT name FROM datarequest WHERE state IN ('Needed', 'Selected') AND action = 'copy'"):
                    one.call("datarequest cancel", id=name)
            time.sleep(0.3)
        for name, in rows(server, "requests", "SELECT name FROM datarequest WHERE state NOT IN ('Failed', 'Completed', 'Satisfied')"):
            one.call("datarequest cancel", id=name)
        until(give_back, 60)
        # Everything comes back: nothing leaks, whichever way a request ended.
        until(lambda: all(set(json.loads(text).values()) == {0} for text, in rows(server, "catalog", "SELECT used FROM datasource")), 60)
        done.set()
        watcher.join()
        assert seen == []
        assert rows(server, "catalog", "SELECT count(*) FROM claim") == [(0,)]
        ended = Counter(rows(server, "requests", "SELECT state, action FROM datarequest"))
        assert sum(ended.values()) == count and ended["Completed", "copy"] > 0 and ended["Completed", None] > 5, ended
        assert rows(server, "reservations", "SELECT coalesce(sum(bytes), 0) FROM charge")[0][0] == ended["Completed", "copy"] * SIZE <= BUDGET
        one.close()


def rows(server: EdgemereServer, service: str, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{server.data / (service + '.db')}?mode=ro", uri=True, timeout=120)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()
