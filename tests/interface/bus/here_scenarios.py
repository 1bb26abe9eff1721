"""What holds, besides, between services that run in one process."""
from __future__ import annotations

import threading
import time

import pytest
from kombu import Connection, Exchange, Queue

from shared.bus.topology import RPC
from shared.kernel.errors import DeadlineExceeded, Unavailable
from tests.interface.bus.call_scenarios import callee, caller, held
from tests.support.awaiting import until


def test_nothing_of_their_calls_passes_through_the_broker(stage):
    service = callee(stage.tag)
    stage.run(service, caller(stage.tag))
    client = stage.client()
    with Connection(stage.uri) as connection:
        everything = Queue(f"all-{stage.tag}", Exchange(RPC, type="topic", durable=True), "#", exclusive=True, auto_delete=True)(connection.channel())
        everything.declare()
        assert client.call(f"caller-{stage.tag}", "pass_on", timeout_s=100)["left"] <= 100
        assert everything.get() is None
        # Where the service is not here its calls do.
        stage.here.leaves(service.name)
        client.call(service.name, "echo", value=1)
        assert everything.get().delivery_info["routing_key"] == f"{service.name}.echo"


def test_what_one_was_given_the_other_cannot_change_afterwards(stage):
    service = callee(stage.tag)
    stage.run(service)
    client = stage.client()
    given = {"a": [1]}
    answer = client.call(service.name, "echo", value=given)
    answer["a"].append(2)
    given["a"].append(3)
    assert service.ran == [{"a": [1]}]


def test_a_call_waits_for_a_free_worker_until_its_deadline(stage):
    holds, go_on, ran = threading.Event(), threading.Event(), []
    busy = held(stage.tag, holds, go_on, ran)
    stage.run(busy, max_workers=1)
    client = stage.client()
    holding = threading.Thread(target=lambda: client.call(busy.name, "hold"))
    holding.start()
    assert holds.wait(120)
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        client.call(busy.name, "note", value="late", timeout_s=0.2)
    assert time.monotonic() - began < 20
    waiting = threading.Thread(target=lambda: client.call(busy.name, "note", value="in time"))
    waiting.start()
    time.sleep(0.05)
    assert not ran
    go_on.set()
    waiting.join(120)
    holding.join(120)
    assert ran == ["in time"]


def test_a_service_that_stops_ends_what_it_has_begun_and_takes_nothing_more(stage):
    service = callee(stage.tag)
    runner = stage.run(service)
    client = stage.client()
    answers: list[str] = []
    begun = threading.Thread(target=lambda: answers.append(client.call(service.name, "slow", seconds=0.5)))
    begun.start()
    until(lambda: service.began)
    runner.stop()
    begun.join(120)
    assert answers == ["done"]
    with pytest.raises(Unavailable):
        client.call(service.name, "echo", value="after")
    assert service.ran == []
