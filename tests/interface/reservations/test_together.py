"""Reserved and evaluated in one go, several at once: what comes of it is what the two steps would have made."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select, update

from services.reservations import evaluating, keeping, repository, reserving, standing_by, together
from services.reservations.models import part_table
from shared.kernel import clock
from shared.kernel.errors import Conflict, NoCapacity
from shared.kernel.ids import new_id
from tests.interface.reservations.test_decisions_kept import World as Steps

SAME = ("name", "state", "data", "source", "action", "target", "cost", "cost_parts", "rule", "standby", "reason", "owner", "attempt")


class World(Steps):
    """The same world, for requests that come together."""

    def __init__(self, url: str, **settings: Any) -> None:
        super().__init__(url, **settings)
        self.over: set[str] = set()
        self.advanced: list[dict[str, Any]] = []
        self.mesh.functions.update({
            "catalog.query_all": lambda expressions, limit, **more: [self._query(one, limit, None, True) for one in expressions],
            "catalog.claim_all": self._claim_all, "requests.advance": self._advance,
            "requests.refused": self._tell("refused")})
        self.uses = replace(self.uses, parts={**self.uses.parts, "done": together.Done(), "under_way": together.UnderWay(), "stored": keeping.Stored()})

    def _claim_all(self, asks: list[dict[str, Any]], ttl_s: float) -> list[Any]:
        answers = []
        for ask in asks:
            try:
                self._claim(ask["claims"], ask["holder"], ttl_s)
                answers.append(None)
            except NoCapacity as error:
                answers.append({**error.payload(), "extra": {"kind": "readers"}})
        return answers

    def _advance(self, steps: list[dict[str, Any]]) -> list[Any]:
        self.advanced += steps
        return [Conflict("datarequest.not_needed", "It is over.").payload() if one["request"] in self.over else None for one in steps]

    def wanted(self, **more: Any) -> dict[str, Any]:
        return {"id": new_id("datarequest"), "name": "r", "owner": "ada", "attempt": 1, "query": {"a": 1}, "state": "Needed", **more}

    def go(self, *requests: dict[str, Any]) -> set[str]:
        return together.reserve(self.uses, [(self.uses, request) for request in requests])


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url)
    yield made
    made.uses.db.close()


@pytest.mark.parametrize("more", [{}, {"action": "leave"}, {"action": "copy", "target": "vault"}, {"select": {"mode": "best"}}])
def test_one_go_makes_the_reservations_that_the_two_steps_make(world: World, more: dict[str, Any]) -> None:
    for source, name, checksum in (("near", "a.csv", "sha256:1"), ("far", "a.csv", "sha256:1"), ("near", "b.csv", None)):
        world.add(source, name, checksum)
    stepwise, first, second = world.wanted(**more), world.wanted(**more), world.wanted(**more)
    reserving.reserve(world.uses, stepwise)
    evaluating.evaluate(world.uses, stepwise)
    said = {**world.told["selected"], **world.told["evaluated"]}
    assert world.go(first, second) == {first["id"], second["id"]}
    by_request = {request["id"]: [{name: row[name] for name in SAME} for row in sorted(world.rows(request=request["id"]), key=lambda row: row["data"]["id"])]
                  for request in (stepwise, first, second)}
    assert by_request[first["id"]] == by_request[second["id"]] == by_request[stepwise["id"]] != []
    step = next(one for one in world.advanced if one["request"] == first["id"])
    assert {name: step[name] for name in ("confirmed", "cost", "reservations")} == {
        name: said[name] for name in ("confirmed", "cost", "reservations")}


def test_the_same_go_again_makes_nothing_new(world: World) -> None:
    world.add("near", "a.csv")
    request = world.wanted()
    world.go(request)
    before = world.rows()
    assert world.go(request) == {request["id"]} and world.rows() == before


def test_what_the_two_steps_began_is_left_to_them(world: World) -> None:
    world.add("near", "a.csv")
    request = world.wanted()
    reserving.reserve(world.uses, request)
    assert world.go(request) == set() and not world.advanced
    assert world.rows()[0]["state"] == "Created"


@pytest.mark.parametrize("more", [{"group": {"x": {"query": {"a": 1}}}}, {"missing": [{"data": "x"}]}, {"checksums": {"x": "sha256:1"}},
                                  {"select": {"minimum": 5}}])
def test_what_is_out_of_the_ordinary_goes_alone_and_keeps_nobody(world: World, more: dict[str, Any]) -> None:
    world.add("near", "a.csv")
    odd, usual = world.wanted(**more), world.wanted()
    assert world.go(odd, usual) == {usual["id"]}
    assert not world.rows(request=odd["id"]) and len(world.rows(request=usual["id"])) == 1


def test_who_finds_no_room_is_told_so_and_who_would_wait_goes_alone(world: World) -> None:
    world.add("near", "a.csv")
    world.full.add(world.sources["near"]["id"])
    hurried, patient = world.wanted(), world.wanted(wait=True)
    assert world.go(hurried, patient) == {hurried["id"]}
    said, = world.told["refused"]["told"]
    assert (said["request"], said["attempt"], said["code"]) == (hurried["id"], 1, "no_capacity") and not world.rows()


def test_all_for_whom_there_is_no_room_are_told_in_one_call(world: World) -> None:
    world.add("near", "a.csv")
    world.full.add(world.sources["near"]["id"])
    several = [world.wanted() for _ in range(3)]
    assert world.go(*several) == {request["id"] for request in several}
    assert [one["request"] for one in world.told["refused"]["told"]] == [request["id"] for request in several]


def test_of_one_that_ended_meanwhile_nothing_stays_reserved(world: World) -> None:
    world.add("near", "a.csv")
    ended, goes_on = world.wanted(), world.wanted()
    world.over.add(ended["id"])
    world.go(ended, goes_on)
    assert {row["request"]["id"]: row["state"] for row in world.rows()} == {ended["id"]: "Rejected", goes_on["id"]: "Confirmed"}


def test_what_stands_by_is_let_go_and_of_what_left_nothing_nobody_asks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for source, checksum in (("near", "sha256:1"), ("far", "sha256:1"), ("near", "sha256:2")):
        world.add(source, f"{checksum[-1]}.csv", checksum)
    twins, alone = world.wanted(), world.wanted()
    world.go(twins)
    world.data = world.data[2:]
    world.go(alone)
    asked = []
    look = repository.any_standing_by
    monkeypatch.setattr(repository, "any_standing_by", lambda connection, requests: asked.append(requests) or look(connection, requests))
    satisfied = [SimpleNamespace(obj={"id": one["id"], "attempt": attempt}, context={}) for one, attempt in ((twins, 1), (alone, 1), (alone, 2))]
    standing_by.on_satisfied(world.uses, satisfied)
    assert asked == [[twins["id"], alone["id"]]], "a later attempt may find what one before it left"
    assert Counter((row["request"]["id"], row["state"]) for row in world.rows()) == {
        (twins["id"], "Confirmed"): 2, (twins["id"], "Rejected"): 1, (alone["id"], "Confirmed"): 1}
    standing_by.on_satisfied(world.uses, satisfied[1:2])
    assert len(asked) == 1


def test_a_part_that_was_there_is_used_again_and_a_new_one_is_used_now(world: World) -> None:
    world.add("near", "a.csv")
    world.go(world.wanted())
    long_ago = clock.stamp_in(-2 * keeping.USED_S)
    with world.uses.db.transaction() as uow:
        uow.connection.execute(update(part_table).values(at=long_ago))
    world.uses.parts["stored"] = keeping.Stored()
    began = clock.stamp()
    world.go(world.wanted())
    with world.uses.db.reading() as connection:
        stamps = sorted(connection.execute(select(part_table.c.at)).scalars())
    assert stamps[0] == long_ago and [at >= began for at in stamps] == [False, True, True], "the frame of the first is its own, the place is shared"
