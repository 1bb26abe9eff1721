"""Requests that calls of another service describe are made in one transaction; each is what ``create`` would make, for its own call, and once."""
from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.requests import handlers, making
from services.requests.models import request_table
from shared.kernel.context import Context
from shared.kernel.ids import new_id
from tests.interface.requests.test_creating import World, as_it_would_be_anywhere, world

__all__ = ["world"]


def ask(given: dict[str, Any], owner: str = "ada", **more: Any) -> dict[str, Any]:
    context = Context(**{"owner": owner, "roles": ("DataScientist",), "correlation_id": new_id("event"), **more})
    return orjson.loads(orjson.dumps({"id": new_id("datarequest"), "given": given, "context": context.told()}))


def made_by(world: World, *asks: dict[str, Any]) -> list[Any]:
    return orjson.loads(orjson.dumps(making.make_all(world.uses("", roles=(), mesh=True), asks)))


def test_each_is_what_create_would_have_made_for_its_own_call(world: World) -> None:
    given = {"query": "lot:a", "labels": {"for": "tests"}, "wait": True, "select": {"mode": "best"}}
    alone = handlers.create(world.uses("ada"), {**given, "fulfill": True})
    asks = [ask(given, credential="k1", action="do.datarequest.reserve"), ask(given, "ben", credential="k2", action="do.datarequest.reserve")]
    answers = [one["request"] for one in made_by(world, *asks)]
    there = {row["id"]: row for row in world.table(request_table.name)}
    for one, answer in zip(asks, answers, strict=True):
        assert as_it_would_be_anywhere(there[one["id"]]) == as_it_would_be_anywhere(there[alone["id"]])
        assert answer == orjson.loads(orjson.dumps(handlers.plain_of(there[one["id"]]))) and answer["owner"] == one["context"]["owner"]
        said = {row["name"]: row for row in world.said() if row["object_id"] == one["id"]}
        assert said.keys() >= {"datarequest.create", "datarequest.needed", "audit.changed"}
        assert {row["headers"]["nameko.correlation_id"] for row in said.values()} == {one["context"]["correlation_id"]}
        assert said["audit.changed"]["body"]["obj"]["credential"] == one["context"]["credential"]


def test_what_is_refused_is_refused_to_its_own_call_as_create_would_refuse_it(world: World) -> None:
    asks = [ask({"query": "lot:a"}), ask({"query": "lot:"}), ask({"query": "lot:a", "nonsense": 1}), ask({"query": "lot:a"}, roles=("Nobody",)),
            ask({}), ask({"query": ""})]
    first, *others = made_by(world, *asks)
    assert first["request"]["id"] == asks[0]["id"]
    assert [one["error"]["code"] for one in others] == ["query.syntax", "parameter.unknown", "denied", "parameter.missing", "query.empty"]
    assert [row["id"] for row in world.table(request_table.name)] == [asks[0]["id"]]


@pytest.mark.parametrize("more", [
    {"name": "mine"}, {"data_reference": "ref"}, {"dataReference": "ref"}, {"target": "desk"}, {"action": "copy"}, {"group": {"one": "lot:a"}},
    {"lock": {"digest": "x"}}], ids=lambda more: next(iter(more)))
def test_what_needs_more_than_a_row_is_left_to_create(world: World, more: dict[str, Any]) -> None:
    usual, other = ask({"query": "lot:a"}), ask({"query": "lot:a", **more})
    answers = made_by(world, other, usual)
    assert answers[0] is None and answers[1]["request"]["id"] == usual["id"] and len(world.table(request_table.name)) == 1


def test_asked_again_it_finds_what_was_made_and_says_nothing_twice(world: World) -> None:
    one, other = ask({"query": "lot:a"}), ask({"query": "lot:b"})
    before = made_by(world, one, other)
    said = world.said()
    assert made_by(world, one, other) == before and world.said() == said and len(world.table(request_table.name)) == 2


def test_nobody_is_given_the_request_of_another_who_knows_its_id(world: World) -> None:
    of_ada = ask({"query": "lot:a"})
    made_by(world, of_ada)
    assert made_by(world, {**ask({"query": "lot:a"}, "ben"), "id": of_ada["id"]}) == [None]
    assert [row["owner"] for row in world.table(request_table.name)] == ["ada"]


def test_a_number_that_is_somebodys_name_is_left_to_create(world: World) -> None:
    handlers.create(world.uses("ada"), {"query": "lot:a", "name": "datarequest-1", "fulfill": False})
    assert made_by(world, ask({"query": "lot:a"})) == [None]
    assert len(world.table(request_table.name)) == 1
