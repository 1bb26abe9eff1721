"""Whose turn it is, is asked about what takes long alone, a service once a moment, and told as the mesh is run."""
from __future__ import annotations

from typing import Any

import pytest

from services.requests import handlers, turns, waiting
from services.requests.models import request_table
from shared.hosting.config import load_config
from shared.kernel import clock
from tests.interface.requests.test_creating import World, world
from tests.support.answering import Answering

__all__ = ["world"]


@pytest.fixture
def health(world: World) -> dict[str, dict[str, Any]]:
    """What each service says of itself."""
    said: dict[str, dict[str, Any]] = {"reservations": {"ok": True}, "catalog": {"ok": True}}
    world.mesh = Answering(reservations__health=lambda: said["reservations"], catalog__health=lambda: said["catalog"])
    return said


def older(world: World, request: str) -> None:
    with world.db.transaction() as uow:
        uow.connection.execute(request_table.update().where(request_table.c.id == request).values(updated_at=clock.stamp_in(-60)))


def test_one_that_is_not_well_is_named_with_what_it_says_and_nothing_is_started_in_one_process(world: World, health: dict[str, Any]) -> None:
    uses = world.uses("ada")
    made = handlers.create(uses, {"query": "lot:a", "fulfill": True, "name": "first"})
    health["catalog"] = {"ok": False, "detail": "The disk is full."}
    assert handlers.show(uses, {"id": "first"})["blocked_by"] is None and not world.mesh.calls, "it has only begun"
    older(world, made["id"])
    shown = handlers.show(uses, {"id": "first"})
    assert shown["message"] == "The service 'catalog' is not well: The disk is full; it goes on by itself when that is back."
    assert shown["blocked_by"]["object"] == {"class": "service", "id": None, "name": "catalog", "kind": None}
    assert shown["blocked_by"]["since"] == shown["updated_at"]
    assert shown["blocked_by"]["unstick"] == ["edgemere doctor", "edgemere do datarequest cancel --id first"]


def test_a_service_is_asked_once_a_moment_and_none_about_what_is_over(world: World, health: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    uses = world.uses("ada")
    made = handlers.create(uses, {"query": "lot:a", "fulfill": True, "name": "first"})
    older(world, made["id"])
    assert not any(handlers.show(uses, {"id": "first"})["blocked_by"] for _ in range(20))
    assert sorted(name for name, *_ in world.mesh.calls) == ["catalog.health", "reservations.health"]
    monkeypatch.setattr(turns, "KEPT_S", 0.0)
    world.health = turns.Health()
    uses = world.uses("ada")
    handlers.cancel(uses, {"id": "first"})
    older(world, made["id"])
    assert handlers.show(uses, {"id": "first"})["state"] == "Failed" and len(world.mesh.calls) == 2


def test_a_list_says_it_too_and_asks_each_service_once_for_all(world: World, health: dict[str, Any]) -> None:
    uses = world.uses("ada")
    for number in range(5):
        older(world, handlers.create(uses, {"query": "lot:a", "fulfill": True, "name": f"r{number}"})["id"])
    health["catalog"] = {"ok": False, "detail": "The disk is full."}
    items = handlers.find(uses, {"limit": 10})["items"]
    assert {one["message"] for one in items} == {"The service 'catalog' is not well: The disk is full; it goes on by itself when that is back."}
    assert {one["blocked_by"]["code"] for one in items} == {"service_unavailable"} and len(items) == 5
    assert sorted(name for name, *_ in world.mesh.calls) == ["catalog.health", "reservations.health"]


def test_in_one_process_and_in_many_the_commands_are_those_that_can_be_typed_there(world: World, health: dict[str, Any]) -> None:
    uses = world.uses("ada")
    row = {"name": "it"}
    assert waiting.ways_out(uses, row, turns.AWAY, {"name": "catalog"}, {}) == ["edgemere doctor", "edgemere do datarequest cancel --id it"]
    world.config = load_config("test", variables={"EDGEMERE_AMQP_URI": "amqp://somewhere"})
    assert waiting.ways_out(world.uses("ada"), row, turns.AWAY, {"name": "catalog"}, {})[1] == "edgemere serve catalog"
