"""Requests whose instances are all Ready become Satisfied together, once however often that is said; and what a sweep looks for."""
from __future__ import annotations

from typing import Any

from services.requests import handlers, repository, steps, together
from shared.bus.event import EventMessage
from shared.kernel import clock
from shared.kernel.ids import new_id
from tests.interface.requests.test_creating import World, world

__all__ = ["world"]


def evaluated(world: World, count: int) -> list[dict[str, Any]]:
    made = [handlers.create(world.uses("ada"), {"query": "lot:a", "fulfill": True}) for _ in range(count)]
    advance(world, made)
    return made


def advance(world: World, requests: list[dict[str, Any]], attempt: int = 1) -> None:
    together.advance(world.uses(""), [{
        "request": one["id"], "attempt": attempt, "reservations": 1, "refs": [], "found": {}, "confirmed": 1, "cost": 0.0, "ready_in_s": 0.0,
        "cause": {"correlation_id": "c", "causation_id": "", "traceparent": ""}} for one in requests])


def settled(request: dict[str, Any], *broken: dict[str, Any], attempt: int = 1) -> EventMessage:
    fact = {"request": request["id"], "attempt": attempt, "live": 1, "simulated": 0, "broken": list(broken), "refs": []}
    return EventMessage("instances.settled", new_id("event"), {}, fact, {}, "c", "", clock.stamp(), 1, False)


def states(world: World) -> list[tuple[str, int]]:
    return [(row["state"], row["attempt"]) for row in sorted(world.table("datarequest"), key=lambda row: row["id"])]


def test_what_is_said_twice_is_done_once(world: World) -> None:
    messages = [settled(one) for one in evaluated(world, 2)]
    assert together.on_settled(world.uses("", mesh=True), messages) == []
    rows, said = world.table("datarequest"), world.said()
    assert states(world) == [("Satisfied", 1)] * 2 and [one["name"] for one in said].count("datarequest.satisfied") == 2
    assert together.on_settled(world.uses("", mesh=True), messages) == messages, "there is nothing left to do about them together"
    for message in messages:
        assert together.on_settled(world.uses("", mesh=True), [message]) == []
    assert world.table("datarequest") == rows and world.said() == said


def test_what_broke_ends_the_attempt_once(world: World) -> None:
    fails, heals = evaluated(world, 2)
    broke = {"instance": "one", "id": "dins_1", "data": "data_1", "name": "a", "checksum": None, "reason": {"code": "source.file_missing"}}
    steps.on_settled(world.uses("", mesh=True), settled(heals))
    for message in (settled(fails, broke), settled(heals, broke)):
        steps.on_settled(world.uses("", mesh=True), message)
        rows, said = world.table("datarequest"), world.said()
        steps.on_settled(world.uses("", mesh=True), message)
        assert world.table("datarequest") == rows and world.said() == said
    assert states(world) == [("Failed", 1), ("Needed", 2)]
    handlers.retry(world.uses("ada"), {"id": fails["id"]})
    advance(world, [fails, heals], attempt=2)
    for message in (settled(fails, broke), settled(heals), settled(heals, broke)):
        steps.on_settled(world.uses("", mesh=True), message)
    assert states(world) == [("Evaluated", 2), ("Evaluated", 2)], "they are about the attempt before"


def test_a_request_that_broke_says_what_to_do_next(world: World) -> None:
    one, = evaluated(world, 1)
    reason = {"code": "target.exists", "detail": "Something else is already at 'x/a'.", "next_step": "Move it away, or name another target."}
    steps.on_settled(world.uses("", mesh=True), settled(one, {
        "instance": "one", "id": "dins_1", "data": "data_1", "name": "a", "checksum": None, "reason": reason}))
    assert world.table("datarequest")[0]["message"] == (
        "Instance 'one' could not be made: Something else is already at 'x/a'. Move it away, or name another target.")


def test_one_look_says_what_a_sweep_would_find(world: World) -> None:
    def due(now: str, quiet_since: str) -> repository.Due:
        with world.db.reading() as connection:
            return repository.due(connection, now, quiet_since)
    past, later = clock.stamp_in(-1000), clock.stamp_in(10**7)
    assert due(later, later) == (False, False, False)
    handlers.create(world.uses("ada"), {"query": "lot:a", "fulfill": True})
    assert due(past, past) == (False, False, False) and due(past, later).open and due(later, past).open
    with world.db.transaction() as uow:
        uow.connection.exec_driver_sql("INSERT INTO arrival (request_id, data_id, at) VALUES ('dreq_1', 'data_1', '2026')")
    assert due(past, past) == (False, True, False)
