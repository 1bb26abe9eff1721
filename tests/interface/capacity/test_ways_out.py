"""Whatever a request waits for: the first command that is named ends the wait, typed as it is given, and the last one gives it up.

``no_capacity`` and ``no_match`` are in ``test_tight.py``; here is the rest.
"""
from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from services.requests import waiting
from tests.interface.capacity.test_tight import folder_source, run
from tests.support.awaiting import until
from tests.support.calling import Caller
from tests.support.servers import EdgemereServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgemereServer]:
    folder = tmp_path_factory.mktemp("ways")
    (folder / "settings.yaml").write_text(
        "owner: {default: ada}\nbudgets: {ada: {period: 30d, bytes: 9000000}}\nquotas: {ada: {instances: 2}}\n"
        "requests: {wait_retry_s: [0.2, 0.5, 1, 1]}\nevents: {retry_backoff_s: [0.05, 0.1]}\n")
    with EdgemereServer(folder, environment={"EDGEMERE_CONFIG": str(folder / "settings.yaml")}) as running:
        yield running


@pytest.fixture
def caller(server: EdgemereServer) -> Iterator[Caller]:
    made = Caller(server.port)
    yield made
    made.close()


def waits(caller: Caller, code: str, **asked: Any) -> list[str]:
    """Ask for something that has to wait for this reason; the commands that it names."""
    caller.call("datarequest create", name=code, wait=True, **asked)
    blocked = until(lambda: (found := caller.ask("datarequest show", id=code)["blocked_by"]) and found["code"] == code and found)
    assert blocked["unstick"][-1] == f"edgemere do datarequest cancel --id {code}" and len(blocked["unstick"]) > 1, blocked
    return blocked["unstick"]


def ends(server: EdgemereServer, caller: Caller, code: str, command: str) -> None:
    run(server, command)
    until(lambda: caller.ask("datarequest show", id=code)["state"] == "Satisfied")
    caller.call("datarequest complete", id=code)


def test_a_target_out_of_use_is_taken_into_use_again(server: EdgemereServer, caller: Caller, tmp_path: Path) -> None:
    folder_source(caller, tmp_path / "in", "in", files=1)
    folder_source(caller, tmp_path / "desk", "desk")
    caller.call("fmdm datasource suspend", id="desk")
    ways = waits(caller, "source_unavailable", query="source:in", action="copy", target="desk")
    assert ways[0] == "edgemere fmdm datasource resume --id desk"
    ends(server, caller, "source_unavailable", ways[0])


def test_a_quota_is_met_by_completing_a_request(server: EdgemereServer, caller: Caller, tmp_path: Path) -> None:
    folder_source(caller, tmp_path / "held", "held", files=2)
    assert caller.call("datarequest create", patience_s=30, name="holds", query="source:held")["state"] == "Satisfied"
    ways = waits(caller, "over_quota", query={"source": "held", "name": "1.bin"})
    assert ways[0] == "edgemere do datarequest complete --id holds"
    ends(server, caller, "over_quota", ways[0])


def test_a_budget_is_met_by_giving_up_what_is_under_way(server: EdgemereServer, caller: Caller, tmp_path: Path) -> None:
    # Under way until the command comes, however slow the machine is.
    for name, limits in (("far", {"mib_per_s": 0.02}), ("near", {})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "some.bin").write_bytes(b"x" * 6_000_000)
        caller.call("fmdm datasource create", patience_s=30, name=name, adaptor="file", parameters={"rootdir": str(tmp_path / name), "limits": limits})
    folder_source(caller, tmp_path / "room", "room")
    caller.call("datarequest create", name="under way", query="source:far", action="copy", target="room")
    until(lambda: caller.ask("datarequest show", id="under way")["state"] == "Evaluated")
    ways = waits(caller, "over_budget", query="source:near", action="copy", target="room")
    assert ways[0] == "edgemere do datarequest cancel --id 'under way'"
    ends(server, caller, "over_budget", ways[0])


@pytest.mark.parametrize(("service", "table", "queue"), [
    ("reservations", "datareservation", "reservations.datarequest.needed"), ("instances", "datainstance", "instances.datarequest.evaluated")])
def test_a_step_that_fails_each_time_is_waited_for_and_taken_once_it_is_mended_and_replayed(
        server: EdgemereServer, caller: Caller, tmp_path: Path, service: str, table: str, queue: str) -> None:
    folder_source(caller, tmp_path / "sound", f"sound-{service}", files=1)
    with faulty(server, service, table):
        made = caller.call("datarequest create", name="handler_failing", query=f"source:sound-{service}", deadline="PT2H")
        blocked = until(lambda: caller.ask("datarequest show", id=made["id"])["blocked_by"])
        assert (blocked["code"], blocked["object"]["class"], blocked["object"]["kind"]) == ("handler_failing", "deadletter", queue)
        assert blocked["since"] < blocked["next_retry_at"] and blocked["retries"] == 0
        frame = caller.ask("datarequest explain", id=made["id"])
        assert frame["blocked_by"] == blocked and "waits because the service" in frame["sentence"], frame["sentence"]
        look, replay, give_up = blocked["unstick"]
        assert give_up == "edgemere do datarequest cancel --id handler_failing"
        assert "a fault of a test" in run(server, f"{look} -o json"), "the command shows what went wrong"
        assert caller.ask("datarequest list", attr1="blocked_by.code:handler_failing")["total"] == 1
        run(server, replay)
        again = until(lambda: (found := caller.ask("datarequest show", id=made["id"])["blocked_by"])["retries"] and found)
        assert again["since"] == blocked["since"] and again["object"]["id"] != blocked["object"]["id"], "one wait, of which this is the newest failure"
    ends(server, caller, "handler_failing", again["unstick"][1])
    assert caller.ask("datarequest show", id=made["id"])["blocked_by"] is None
    caller.call("datarequest destroy", id="handler_failing")


@contextmanager
def faulty(server: EdgemereServer, service: str, table: str) -> Iterator[None]:
    """A fault that nobody foresees: rows of this table cannot be made."""
    with closing(sqlite3.connect(server.data / f"{service}.db", timeout=120, isolation_level=None)) as database:
        database.execute(f"CREATE TRIGGER fault BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'a fault of a test'); END")
        try:
            yield
        finally:
            database.execute("DROP TRIGGER fault")


def test_every_reason_to_wait_that_has_ways_out_is_one_of_those_tested() -> None:
    assert set(waiting.WAYS) == {"no_match", "no_capacity", "source_unavailable", "over_quota", "over_budget", "handler_failing",
                                 "service_unavailable"}
