"""A request whose next step nobody takes says so within seconds: which service it waits for, and what brings it back."""
from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.awaiting import until
from tests.support.calling import Answer, Caller
from tests.support.production import Member, ProductionMesh
from tests.support.rabbitmq import RabbitNode

AWAY = "service_unavailable"
# An explanation of a request that goes on is told in 0.2 s; what is away costs a moment more, and not ten seconds of each of its calls.
BOUND_S = 25


@pytest.fixture(scope="module")
def mesh(rabbitmq_node: RabbitNode, postgres_server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProductionMesh]:
    database = postgres_server.create_database()
    made = ProductionMesh(tmp_path_factory.mktemp("turns"), rabbitmq_node.create_vhost(), database)
    try:
        yield made.start()
    finally:
        made.stop()
        postgres_server.drop_database(database)


def source(caller: Caller, folder: Path, name: str) -> None:
    folder.mkdir()
    (folder / "a.csv").write_text("some bytes")
    caller.call("fmdm datasource create", patience_s=30, name=name, adaptor="file", parameters={"rootdir": str(folder)})


def named(caller: Caller, request: str) -> Answer:
    """What the request waits for, as soon as it says so; ``show`` and ``explain`` agree, and are soon told."""
    shown = until(lambda: (answer := caller.ask("datarequest show", id=request))["blocked_by"] and answer)
    began = time.monotonic()
    frame = caller.ask("datarequest explain", id=request)
    took = time.monotonic() - began
    assert took < BOUND_S, f"explaining took {took:.1f} s"
    assert frame["blocked_by"] == shown["blocked_by"] and frame["refusal"]["code"] == AWAY and frame["refusal"]["can_wait"]
    assert frame["request"]["blocked_by"] == shown["blocked_by"] and shown["message"][1:].rstrip(".") in frame["sentence"], frame["sentence"]
    return shown


@pytest.mark.parametrize(("service", "take_away"), [
    ("reservations", Member.kill9), ("reservations", Member.freeze), ("catalog", Member.freeze), ("instances", Member.freeze)])
def test_a_request_names_the_service_whose_turn_it_is_and_goes_on_once_that_is_started_as_it_says(
        mesh: ProductionMesh, tmp_path: Path, service: str, take_away: Callable[[Member], None]) -> None:
    caller = Caller(mesh.port)
    name = f"{service}-{take_away.__name__}"
    source(caller, tmp_path / "lab", name)
    member, = mesh.of(service)
    take_away(member)
    made = caller.call("datarequest create", name=name, query=f"source:{name}")
    shown = named(caller, name)
    blocked, state = shown["blocked_by"], "Evaluated" if service == "instances" else "Needed"
    assert shown["state"] == state and shown["version"] >= made["version"]
    assert (blocked["code"], blocked["object"]["class"], blocked["object"]["name"]) == (AWAY, "service", service)
    assert made["created_at"] <= blocked["since"] and blocked["next_retry_at"] is None and f"'{service}'" in shown["message"]
    look, start, give_up = blocked["unstick"]
    assert (look, give_up) == ("edgemere doctor", f"edgemere do datarequest cancel --id {name}")
    assert shlex.split(start) == ["edgemere", "serve", service], "which is what Member.start runs"
    member.thaw() if take_away is Member.freeze else member.start()
    until(lambda: caller.ask("datarequest show", id=name)["state"] == "Satisfied")
    after = caller.ask("datarequest explain", id=name)
    assert after["blocked_by"] is None and after["refusal"] is None
    caller.close()
