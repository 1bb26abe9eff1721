"""A call that waits is woken by a message, answers with the newest state, and never hangs."""
from __future__ import annotations

from dataclasses import replace
import threading
import time

import pytest

from gateway.dispatch import Dispatcher, Patience
from gateway.live import Live
from gateway.settings import Settings
from shared.contracts.table import ACTIONS
from shared.kernel.context import Context
from shared.kernel.errors import Invalid, NotYet, Unavailable
from shared.kernel.ids import new_id, with_noun
from tests.support.answering import Answering

CREATE = ACTIONS["do.datarequest.create"]
PROVISION = ACTIONS["do.datainstance.create"]
SCAN = ACTIONS["fmdm.datasource.scan"]
RETRY = ACTIONS["do.datainstance.retry"]
CONTEXT = Context(owner="darren", idempotency_key="k", if_match=3)


class World:
    """One request that can move on, with the services that show it."""

    def __init__(self, **settings):
        self.request = {"id": new_id("datarequest"), "name": "scans", "state": "Needed", "version": 1}
        self.live = Live()
        self.mesh = Answering(
            requests__create=lambda **_: dict(self.request), requests__show=lambda id: dict(self.request),
            instances__create=lambda dataref: self.outcome(), instances__outcome=lambda request: self.outcome(),
        )
        self.dispatcher = Dispatcher(self.mesh, self.live, Settings(owner="darren", **settings))

    def outcome(self):
        return {"reference": None, "request": dict(self.request), "items": []}

    def move(self, state, tell=True):
        self.request |= {"state": state, "version": self.request["version"] + 1}
        if tell:
            self.live.heard(f"datarequest.{state.lower()}", {"obj": dict(self.request)})

    def later(self, seconds, *arguments, **named):
        timer = threading.Timer(seconds, self.move, arguments, named)
        timer.start()
        return timer


def test_without_a_wish_the_answer_comes_at_once():
    world = World()
    outcome = world.dispatcher.perform(CREATE, {"query": "a:1"}, CONTEXT)
    assert (outcome.body["state"], outcome.operation, len(world.mesh.calls)) == ("Needed", None, 1)


def test_the_service_gets_what_came_and_the_context():
    world = World()
    world.dispatcher.perform(CREATE, {"query": "a:1", "deadline": "PT1H", "name": None}, CONTEXT)
    assert world.mesh.calls == [("requests.create", {"query": "a:1", "deadline": "PT1H"}, CONTEXT)]


def test_a_message_ends_the_wait():
    world = World(recheck_s=300)
    world.later(0.1, "Satisfied")
    began = time.monotonic()
    outcome = world.dispatcher.perform(CREATE, {"query": "a:1"}, CONTEXT, Patience(200))
    assert (outcome.body["state"], outcome.operation) == ("Satisfied", None)
    assert time.monotonic() - began < 100
    assert world.live.watching == 0


def test_messages_on_the_way_ask_no_service():
    world = World(recheck_s=300)
    look = world.mesh.functions["requests.show"]

    def look_and_go_on(id):
        if len(world.mesh.asked("requests.show")) == 1:
            for number, state in enumerate(("Selected", "Evaluated", "Satisfied"), 1):
                world.later(number / 20, state)
        return look(id)

    world.mesh.functions["requests.show"] = look_and_go_on
    world.dispatcher.perform(CREATE, {"query": "a:1"}, CONTEXT, Patience(200))
    assert len(world.mesh.asked("requests.show")) == 2


def test_a_state_reached_before_the_watch_began_is_seen():
    world = World(recheck_s=300)
    world.mesh.functions["requests.create"] = lambda **_: (dict(world.request), world.move("Satisfied", tell=False))[0]
    began = time.monotonic()
    assert world.dispatcher.perform(CREATE, {"query": "a:1"}, CONTEXT, Patience(200)).body["state"] == "Satisfied"
    assert time.monotonic() - began < 100


def test_a_message_that_never_came_is_made_up_for():
    world = World(recheck_s=0.2)
    world.later(0.1, "Failed", tell=False)
    began = time.monotonic()
    assert world.dispatcher.perform(CREATE, {"query": "a:1"}, CONTEXT, Patience(200)).body["state"] == "Failed"
    assert time.monotonic() - began < 100


def test_a_bus_that_is_heard_again_makes_everybody_look():
    world = World(recheck_s=300)
    timer = threading.Timer(0.1, lambda: (world.move("Satisfied", tell=False), world.live.resumed()))
    timer.start()
    assert world.dispatcher.perform(CREATE, {"query": "a:1"}, CONTEXT, Patience(200)).body["state"] == "Satisfied"


def test_the_end_of_the_wait_is_an_operation():
    world = World()
    outcome = world.dispatcher.perform(CREATE, {"query": "a:1"}, CONTEXT, Patience(0.1))
    assert outcome.operation == with_noun(world.request["id"], "operation")
    assert outcome.body["state"] == "Needed"


def test_the_end_of_the_wait_answers_with_where_the_object_is_by_then():
    world = World()
    world.later(0.1, "Selected", tell=False)
    outcome = world.dispatcher.perform(CREATE, {"query": "a:1"}, CONTEXT, Patience(seconds=2))
    assert (outcome.body["state"], outcome.body["version"]) == ("Selected", 2) and outcome.operation


def test_what_takes_long_by_nature_is_an_operation_even_without_a_wait():
    world = World()
    assert world.dispatcher.perform(PROVISION, {"dataref": "r"}, CONTEXT, Patience(0)).operation
    assert world.dispatcher.perform(CREATE, {"query": "a:1"}, CONTEXT, Patience(0)).operation is None
    assert world.dispatcher.perform(CREATE, {"query": "a:1"}, CONTEXT, Patience(respond_async=True)).operation


def test_a_document_waits_for_the_request_inside_it():
    world = World(recheck_s=300)
    world.later(0.1, "Satisfied")
    outcome = world.dispatcher.perform(PROVISION, {"dataref": "r"}, CONTEXT)
    assert outcome.body["request"]["state"] == "Satisfied"
    assert world.mesh.asked("instances.outcome")[-1] == {"request": world.request["id"]}


def test_a_scan_is_followed_by_its_own_id():
    scan = new_id("scan")
    source = {"id": new_id("datasource"), "state": "Ready", "scan": {"id": scan, "state": "running"}}
    mesh = Answering(catalog__datasource_scan=lambda id: source, catalog__datasource_show=lambda id: source)
    outcome = Dispatcher(mesh, Live(), Settings(owner="d")).perform(SCAN, {"id": "lab"}, CONTEXT, Patience(0.05))
    assert outcome.operation == with_noun(scan, "operation")


def test_a_client_that_went_away_is_not_waited_for():
    world = World()
    began = time.monotonic()
    world.dispatcher.perform(CREATE, {"query": "a:1"}, CONTEXT, Patience(200), is_connected=lambda: False)
    assert time.monotonic() - began < 100


def test_a_gateway_that_stops_ends_its_waits():
    world = World()
    threading.Timer(0.1, world.live.close).start()
    began = time.monotonic()
    assert world.dispatcher.perform(CREATE, {"query": "a:1"}, CONTEXT, Patience(200)).operation
    assert time.monotonic() - began < 100


def test_a_wait_survives_a_service_that_is_away_for_a_moment():
    world = World(recheck_s=0.1)
    show, failed = world.mesh.functions["requests.show"], []

    def away_once(id):
        if not failed:
            failed.append(id)
            raise Unavailable("unavailable", "away")
        return show(id)

    world.mesh.functions["requests.show"] = away_once
    world.later(0.15, "Satisfied")
    assert world.dispatcher.perform(CREATE, {"query": "a:1"}, CONTEXT, Patience(200)).body["state"] == "Satisfied"


def test_the_wait_itself_carries_neither_key_nor_version():
    world = World()
    world.dispatcher.perform(CREATE, {"query": "a:1"}, CONTEXT, Patience(0.05))
    context = world.mesh.calls[-1][2]
    assert (context.idempotency_key, context.if_match, context.owner) == ("", None, "darren")


def test_a_wait_for_a_class_with_many_messages_listens_on_demand():
    instance = {"id": new_id("datainstance"), "state": "Provisioning", "request": {"id": new_id("datarequest")}}
    live, opened = Live(), []

    class Feed:
        def close(self):
            opened.append("closed")

    live.use(lambda noun: (opened.append(noun), Feed())[1])
    mesh = Answering(instances__retry=lambda id: instance, instances__show=lambda id: instance)
    outcome = Dispatcher(mesh, live, Settings(owner="d")).perform(RETRY, {"id": "i"}, CONTEXT, Patience(0.05))
    assert opened == ["datainstance", "closed"]
    assert outcome.operation == with_noun(instance["request"]["id"], "operation")


def test_what_is_not_built_says_so():
    with pytest.raises(NotYet):
        World().dispatcher.perform(replace(ACTIONS["do.datarequest.list"], built=False), {}, CONTEXT)


def test_wrong_parameters_cost_no_hop():
    world = World()
    with pytest.raises(Invalid, match="parameter.unknown"):
        world.dispatcher.perform(CREATE, {"service": "x", "method": "y"}, CONTEXT)
    assert world.mesh.calls == []
