"""Instances are made from what the message says that their request is Evaluated; what it does not say, or said long ago, is asked for."""
from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from services.instances import provisioning, removing, repository
from services.instances.models import METADATA, instance_table, made_table
from services.requests.models import render_request, request_table
from shared.bus.event import EventMessage
from shared.hosting.config import load_config
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.context import Context
from shared.kernel.ids import new_id
from shared.storage.database import Database
from tests.support.answering import Answering
from tests.support.migrated import migrated


class World:
    """The instances of one request for data of a store far away, so that nothing has to be looked at."""

    def __init__(self, url: str) -> None:
        engine = migrated(url.replace("postgresql://", "postgresql+psycopg2://"), "instances")
        self.db = Database(engine, METADATA)
        columns = dict.fromkeys(column.key for column in request_table.columns)
        self.request = {**columns, "id": new_id("datarequest"), "name": "one", "owner": "ada", "version": 2, "state": "Evaluated", "attempt": 1,
                        "granularity": "data", "wait": False, "reservations": 1, "instances": 0}
        self.mesh = Answering(requests__plain_all=self.plain_all, reservations__confirmed_all=self.confirmed_all, catalog__sources=self.sources,
                              requests__plain=lambda request: self.plain(), reservations__confirmed=lambda **_: [])
        self.uses = Uses("instances", self.db, load_config("test", variables={}), Context(mesh=True), self.mesh, {
            "movers": SimpleNamespace(begin=lambda request: False, cancel=lambda request: None)})

    def plain(self) -> dict[str, Any]:
        return {**render_request(self.request), "reference_id": None, "reference_name": None, "missing": None}

    def plain_all(self, requests: list[str], owners: Any = None) -> list[Any]:
        return [self.plain() for _ in requests]

    def confirmed_all(self, attempts: list[Any], most: int) -> dict[str, Any]:
        return {request: [self.reservation()] for request, _ in attempts}

    @staticmethod
    def reservation() -> dict[str, Any]:
        return {"id": new_id("datareservation"), "data_id": new_id("data"), "source_id": "dsrc_1", "source_name": "far", "target_id": None,
                "action": "leave", "snapshot": {"path": "a", "name": "a", "size": 1}, "replicas": None}

    def sources(self, ids: list[str]) -> dict[str, Any]:
        return {"dsrc_1": {"id": "dsrc_1", "name": "far", "adaptor": "http", "parameters": {}}}

    def message(self, **more: Any) -> EventMessage:
        obj = {**render_request(self.request), **more.pop("obj", {})}
        return EventMessage(**{"name": "datarequest.evaluated", "id": new_id("event"), "body": {}, "obj": obj, "headers": {},
                               "correlation_id": "c", "causation_id": "", "time": clock.stamp(), "attempt": 1, "redelivered": False, **more})

    def instances(self) -> list[dict[str, Any]]:
        with self.db.reading() as connection:
            return [dict(row) for row in connection.execute(instance_table.select()).mappings()]


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url)
    yield made
    made.db.close()


def test_a_message_that_says_all_needs_no_question_and_makes_what_the_answer_would_have_made(world: World, database_url: str) -> None:
    assert provisioning.on_evaluated(world.uses, [world.message()]) == []
    made, = world.instances()
    assert not world.mesh.asked("requests.plain_all") and not world.mesh.asked("requests.plain")
    asked_for = {**world.plain()}
    own = provisioning.request_in(world.message())
    assert {name: own[name] for name in asked_for} == asked_for
    assert (made["request_id"], made["name"], made["owner"], made["attempt"]) == (world.request["id"], "one-0", "ada", 1)


@pytest.mark.parametrize("more", [
    {"time": "2020-01-01T00:00:00Z"}, {"redelivered": True}, {"attempt": 2}, {"time": None}, {"obj": {"attempt": 2}}, {"obj": {"granularity": "source"}},
    {"obj": {"data_reference": {"id": "dref_1", "name": "r"}}}], ids=str)
def test_what_was_said_long_ago_or_says_too_little_is_asked_about(world: World, more: dict[str, Any]) -> None:
    world.request["state"] = "Completed"
    assert provisioning.on_evaluated(world.uses, [world.message(**{**more, "obj": {"state": "Evaluated", **more.get("obj", {})}})]) == []
    assert world.mesh.asked("requests.plain_all") and world.instances() == []


def test_for_a_request_whose_end_was_heard_before_nothing_is_made(world: World) -> None:
    message = world.message()
    world.request["state"] = "Failed"
    removing.on_ended(world.uses, SimpleNamespace(obj=render_request(world.request)))
    assert provisioning.on_evaluated(world.uses, [message]) == [] and world.instances() == []
    with world.db.reading() as connection:
        assert repository.is_made(connection, world.request["id"], 1)


def test_what_is_made_of_a_request_that_ended_meanwhile_goes_when_its_end_is_heard(world: World) -> None:
    message = world.message()
    world.request["state"] = "Failed"
    assert provisioning.on_evaluated(world.uses, [message]) == [] and len(world.instances()) == 1
    removing.on_ended(world.uses, SimpleNamespace(obj=render_request(world.request)))
    assert [row["state"] for row in world.instances()] == ["Destroyed"]


def test_of_several_nothing_is_made_together_where_a_name_is_taken_and_alone_it_gets_the_next(world: World) -> None:
    other = world.message()
    assert provisioning.on_evaluated(world.uses, [other]) == []
    taken, free = new_id("datarequest"), new_id("datarequest")
    several = [world.message(obj={"id": taken, "name": "one"}), world.message(obj={"id": free, "name": "two"})]
    plain = {message.obj["id"]: message for message in several}
    world.mesh.functions["requests.plain_all"] = lambda requests, owners=None: [
        {**world.plain(), "id": one, "name": plain[one].obj["name"]} for one in requests]
    world.mesh.functions["reservations.confirmed"] = lambda **_: [world.reservation()]
    assert provisioning.on_evaluated(world.uses, several) == several and len(world.instances()) == 1
    for message in several:
        assert provisioning.on_evaluated(world.uses, [message]) == []
    assert [(row["request_id"], row["name"]) for row in world.instances()] == [(world.request["id"], "one-0"), (taken, "one-1"), (free, "two-0")]


def test_what_is_there_already_is_neither_made_again_nor_left_unsaid(world: World) -> None:
    reservation = world.reservation()
    world.mesh.functions["reservations.confirmed_all"] = lambda attempts, most: {request: [reservation] for request, _ in attempts}
    world.mesh.functions["reservations.confirmed"] = lambda **_: [reservation]
    assert provisioning.on_evaluated(world.uses, [world.message()]) == []
    with world.db.transaction() as uow:
        # It died between the two.
        uow.connection.execute(made_table.delete())
    assert provisioning.on_evaluated(world.uses, [world.message()]) == [] and len(world.instances()) == 1
    with world.db.reading() as connection:
        assert repository.is_made(connection, world.request["id"], 1)
