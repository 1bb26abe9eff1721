"""Decisions in a real database: kept small, read whole, replaced by what stands by, and decided again by other policies."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, select, update

from services.reservations import budget, evaluating, handlers, keeping, rehearsing, reserving, rules, standing_by, together
from services.reservations.models import METADATA, RESERVATION, part_table, reservation_table
from services.reservations.policy.live import fixed
from services.reservations.policy.rules_file import read
from shared.hosting.config import load_config
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.context import Context
from shared.kernel.errors import NoCapacity, NotFound
from shared.kernel.ids import new_id
from shared.storage.database import Database
from tests.support.answering import Answering
from tests.support.migrated import migrated

RULES = "- {name: closed, when: 'data.licence:closed', action: reject, because: Closed stays closed.}\n- {name: rest, action: auto, target: vault}"


class World:
    """The service ``reservations`` on a database, between a catalogue of two sources and requests that only listen."""

    def __init__(self, url: str, **settings: Any) -> None:
        engine = migrated(url, "reservations")
        self.sources = {number: self._source(number, **more) for number, more in (
            ("near", {"cost": {"per_gib_out": 1}}), ("far", {"cost": {"per_gib_out": 9}}), ("vault", {"writable": True}))}
        self.data: list[dict[str, Any]] = []
        self.claimed: dict[str, dict[str, Any]] = {}
        self.told: dict[str, Any] = {}
        self.full: set[str] = set()
        self.request: dict[str, Any] = {}
        self.mesh = Answering(
            catalog__query=self._query, catalog__sources=lambda ids: {one["id"]: one for one in self.sources.values() if one["id"] in ids},
            catalog__datasource_show=self._show, catalog__claim=self._claim, catalog__renew=lambda **more: {},
            catalog__release=lambda ids=(), holder=None: [self.claimed.pop(one, None) for one in ids] and {},
            requests__selected=self._tell("selected"), requests__evaluated=self._tell("evaluated"), requests__blocked=self._tell("blocked"),
            requests__failed=self._tell("failed"), requests__plain=lambda request: self.request)
        self.uses = Uses("reservations", Database(engine, METADATA), load_config("test", overrides=settings, variables={}),
                         Context(owner="ada"), self.mesh, {"policies": fixed(read(RULES)), "stored": keeping.Stored(), "done": together.Done()})

    @staticmethod
    def _source(name: str, **more: Any) -> dict[str, Any]:
        return {"id": new_id("datasource"), "name": name, "state": "Ready", "adaptor": "file", "location": "leeds", "tags": {}, "cost": {},
                "capacity": {"bytes": None, "readers": None}, "used": {"bytes": 0, "readers": 0}, "writable": False, **more}

    def _query(self, expression: Any, limit: int, cursor: Any, funnel: bool) -> dict[str, Any]:
        start = cursor or 0
        return {"items": self.data[start:start + limit], "sources": {one["id"]: one for one in self.sources.values()},
                "next": start + limit if start + limit < len(self.data) else None, "total": len(self.data), "funnel": None, "warnings": []}

    def _show(self, id: str) -> dict[str, Any]:
        if id not in self.sources:
            raise NotFound("datasource.not_found", id)
        return self.sources[id]

    def _claim(self, claims: list[dict[str, Any]], holder: str, ttl_s: float | None, **more: Any) -> dict[str, Any]:
        for one in claims:
            if one["source"] in self.full:
                raise NoCapacity("source.no_capacity", "It is full.")
        self.claimed.update({one["id"]: one for one in claims})
        return {}

    def _tell(self, what: str) -> Any:
        return lambda **said: self.told.update({what: said}) or {}

    def add(self, source: str, name: str, checksum: str | None = None, size: int = 2**30, **tags: Any) -> str:
        own = self.sources[source]
        data = {"id": new_id("data"), "name": name, "path": f"x/{name}", "type": "file", "size": size, "media_type": "text/csv", "checksum": checksum,
                "modified_at": None, "tags": tags, "source": {"id": own["id"], "name": own["name"]}, "location": own["location"], "uri": None}
        self.data.append(data)
        return data["id"]

    def ask(self, **more: Any) -> None:
        """Reserve and evaluate a new request."""
        self.request = {"id": new_id("datarequest"), "name": "r", "owner": "ada", "attempt": 1, "query": {"a": 1}, "state": "Needed", **more}
        reserving.reserve(self.uses, self.request)
        evaluating.evaluate(self.uses, self.request)

    def rows(self, **where: Any) -> list[dict[str, Any]]:
        return handlers.find(self.uses, {"limit": 1000, **where}, must_exist=False)["items"]


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url)
    yield made
    made.uses.db.close()


def test_decisions_that_share_everything_are_stored_once_and_read_whole(world: World) -> None:
    for number in range(500):
        world.add("near", f"{number}.csv", size=number)
    world.ask()
    with world.uses.db.reading() as connection:
        parts = connection.execute(select(func.count()).select_from(part_table)).scalar_one()
        stored = connection.execute(select(reservation_table.c.decision).limit(1)).scalar_one()
    assert parts == 2 and len(str(stored)) < 500
    row = world.rows()[7]
    record = row["decision"]
    assert [one["rule"] for one in record["tried"]] == ["closed", "rest"] and record["tried"][0]["clauses"][0]["value"] is None
    assert record["scores"][row["action"]]["cost"] == pytest.approx(row["cost"]) and record["policy"] == read(RULES).revision
    assert not record["scores"]["move"]["possible"] and record["scores"]["leave"]["possible"]


def test_what_decisions_share_is_forgotten_when_the_last_that_needs_it_was_destroyed_long_ago(world: World) -> None:
    def age(days: int) -> None:
        with world.uses.db.transaction() as uow:
            for table, column in ((part_table, "at"), (reservation_table, "created_at"), (reservation_table, "destroyed_at")):
                uow.connection.execute(update(table).where(table.c[column].is_not(None)).values({column: clock.stamp_in(-days * 86400)}))
        # What it stored so long ago no process believes to be there.
        world.uses.parts["stored"] = keeping.Stored()

    def parts() -> int:
        with world.uses.db.reading() as connection:
            return connection.execute(select(func.count()).select_from(part_table)).scalar_one()
    world.add("near", "a.csv")
    world.ask()
    assert parts() == 2 and keeping.forget(world.uses) == 0
    age(200)
    assert keeping.forget(world.uses) == 0, "a living reservation needs them, however old"
    assert world.rows()[0]["decision"]["tried"]
    with world.uses.db.transaction() as uow:
        uow.destroy(RESERVATION, uow.rows(select(reservation_table)))
    age(60)
    assert keeping.forget(world.uses) == 0, "what was destroyed can be explained for a while"
    age(200)
    world.ask()
    assert keeping.forget(world.uses) == 1, "the frame of the old request goes, the facts of the place are used again"
    assert parts() == 2 and all(row["decision"]["tried"] for row in world.rows())


def test_what_decisions_share_is_stored_with_the_next_where_the_first_came_to_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.add("near", "a.csv")
    store = keeping.store

    def broken(*given: Any) -> Any:
        store(*given)
        raise ZeroDivisionError
    with monkeypatch.context() as patched, pytest.raises(ZeroDivisionError):
        patched.setattr(keeping, "store", broken)
        world.ask()
    world.ask()
    decided = [row["decision"] for row in world.rows() if row["decision"]]
    assert decided and all(decision["tried"] for decision in decided)


def test_what_was_decided_stays_readable_when_the_policies_have_changed(world: World) -> None:
    world.add("near", "a.csv", licence="closed")
    world.ask()
    world.uses.parts["policies"]._policies = read("- {name: other, action: leave}")
    row, = world.rows()
    assert row["state"] == "Rejected" and row["reason"]["rule"] == row["decision"]["rule"] == "closed"
    assert row["decision"]["tried"][0]["clauses"] == [{"clause": "data.licence:closed", "field": "data.licence", "value": "closed", "holds": True}]
    assert world.told["failed"]["reason"]["code"] == "rejected_by_policy"


def test_of_replicas_one_is_confirmed_and_the_others_claim_nothing(world: World) -> None:
    far, near = world.add("far", "a.csv", "sha256:1"), world.add("near", "a.csv", "sha256:1")
    world.ask(action="leave")
    states = {row["data"]["id"]: (row["state"], row["standby"]) for row in world.rows()}
    assert states == {near: ("Confirmed", False), far: ("Created", True)}
    assert {one["data"] for one in world.claimed.values()} == {near}
    record = next(row for row in world.rows(state="Confirmed"))["decision"]
    assert [(one["data"]["id"], one["chosen"]) for one in record["replicas"]] == [(near, True), (far, False)]


def test_a_replica_takes_the_place_of_the_one_that_failed_once(world: World) -> None:
    far, near = world.add("far", "a.csv", "sha256:1"), world.add("near", "a.csv", "sha256:1")
    world.ask(action="leave")
    taken = standing_by.stand_in(world.uses, world.request["id"], 1, near, {"code": "checksum_mismatch"})
    again = standing_by.stand_in(world.uses, world.request["id"], 1, near, {"code": "checksum_mismatch"})
    assert taken and again and taken["data_id"] == again["data_id"] == far and again["version"] == taken["version"]
    by_data = {row["data"]["id"]: row for row in world.rows()}
    assert by_data[near]["state"] == "Rejected" and by_data[near]["reason"] == {"code": "checksum_mismatch", "stood_in_by": far}
    assert by_data[far]["state"] == "Confirmed" and not by_data[far]["standby"]
    assert {one["data"] for one in world.claimed.values()} == {far}
    assert standing_by.stand_in(world.uses, world.request["id"], 1, far, {"code": "x"}) is None


def test_a_replica_without_room_is_passed_over(world: World) -> None:
    near = world.add("near", "a.csv", "sha256:1")
    world.add("far", "a.csv", "sha256:1")
    world.ask(action="leave")
    world.full.add(world.sources["far"]["id"])
    assert standing_by.stand_in(world.uses, world.request["id"], 1, near, {"code": "gone"}) is None
    assert {one["data"] for one in world.claimed.values()} == {near}


@pytest.mark.parametrize(("money", "stands_in"), [(10, True), (5, False)])
def test_what_stands_in_is_charged_to_the_budget_and_no_more_than_that_is_spent(database_url: str, money: float, stands_in: bool) -> None:
    world = World(database_url, budgets={"ada": {"period": "30d", "money": money}})
    near = world.add("near", "a.csv", "sha256:1")
    world.add("far", "a.csv", "sha256:1")
    world.ask(action="leave")
    assert budget.look(world.uses, "ada")["money"]["spent"] == pytest.approx(1)
    taken = standing_by.stand_in(world.uses, world.request["id"], 1, near, {"code": "gone"})
    assert (taken is not None) is stands_in
    assert budget.look(world.uses, "ada")["money"]["spent"] == pytest.approx(9 if stands_in else 1)
    world.uses.db.close()


def test_what_finds_no_room_or_no_budget_is_neither_charged_nor_claimed(database_url: str) -> None:
    world = World(database_url, budgets={"ada": {"period": "30d", "money": 10}})
    near = world.add("near", "a.csv", "sha256:1")
    world.add("far", "a.csv", "sha256:1")
    world.ask(action="leave")
    world.full.add(world.sources["far"]["id"])
    assert standing_by.stand_in(world.uses, world.request["id"], 1, near, {"code": "gone"}) is None
    assert budget.look(world.uses, "ada")["money"]["spent"] == pytest.approx(1), "what has no room is not charged"
    world.full.clear()
    budget.claim(world.uses, {**world.request, "id": new_id("datarequest"), "wait": False}, {"bytes": 0, "money": 9})
    assert standing_by.stand_in(world.uses, world.request["id"], 1, near, {"code": "gone"}) is None
    assert {one["data"] for one in world.claimed.values()} == {near}, "what is over budget claims nothing"
    world.uses.db.close()


def test_what_stands_by_is_freed_when_the_request_is_satisfied(world: World) -> None:
    far = world.add("far", "a.csv", "sha256:1")
    world.add("near", "a.csv", "sha256:1")
    world.ask(action="leave")

    class Message:
        obj = {"id": world.request["id"], "attempt": 1}
        context = {}
    standing_by.on_satisfied(world.uses, [Message])
    standing_by.on_satisfied(world.uses, [Message])
    rejected, = world.rows(state="Rejected")
    assert rejected["data"]["id"] == far and rejected["reason"]["code"] == "not_needed" and rejected["version"] == 3


def test_a_replica_wins_when_policies_reject_the_cheaper_one(world: World) -> None:
    world.add("near", "a.csv", "sha256:1", licence="closed")
    far = world.add("far", "a.csv", "sha256:1")
    world.ask(action="leave")
    assert [row["data"]["id"] for row in world.rows(state="Confirmed")] == [far]


def test_evaluating_twice_decides_once(world: World) -> None:
    for name in "abc":
        world.add("near", f"{name}.csv")
    world.ask()
    before = world.rows()
    evaluating.evaluate(world.uses, world.request)
    assert world.rows() == before


def test_other_policies_are_tried_on_what_was_decided(world: World) -> None:
    for number in range(6):
        world.add("near", f"{number}.csv", licence="closed" if number < 2 else "open")
    world.ask()
    before = world.rows()
    action, = {row["action"] for row in before} - {"reject"}
    answer = rehearsing.test(world.uses, {"file": "- {name: open, when: 'data.licence:open', action: reject}"})
    assert (answer["decisions"], answer["differ"], answer["requests"], answer["truncated"]) == (6, 6, 1, False)
    assert {(one["from"], one["to"], one["count"]) for one in answer["changes"]} == {("reject", "leave", 2), (action, "reject", 4)}
    assert answer["cost"]["before"] == pytest.approx(sum(row["cost"] for row in before)) and answer["cost"]["after"] == pytest.approx(2)
    same = rehearsing.test(world.uses, {"file": RULES})
    assert same["differ"] == 0 and same["cost"]["change"] == 0 and same["revision"] == same["against"]
    assert world.rows() == before


def test_a_request_that_would_fail_by_other_policies_is_named(world: World) -> None:
    world.add("near", "a.csv")
    world.ask()
    answer = rehearsing.test(world.uses, {"file": "- {name: none, action: reject}"})
    assert [one["code"] for one in answer["requests_that_would_fail"]] == ["rejected_by_policy"]
    assert rehearsing.test(world.uses, {"file": "- {name: none, action: reject}", "since": "2999-01-01T00:00:00.000000Z"})["decisions"] == 0


def test_what_the_other_policies_cannot_do_is_told(world: World) -> None:
    world.add("near", "a.csv")
    world.ask()
    answer = rehearsing.test(world.uses, {"file": "- {name: away, action: copy, target: nowhere}"})
    told, = answer["requests_that_would_fail"]
    assert told["code"] == "target_unusable" and "'a.csv' (rule 'away')" in told["detail"] and "nowhere" in told["detail"], told


def test_what_an_undo_reserved_once_more_was_decided_once(world: World) -> None:
    world.add("near", "a.csv")
    world.ask()
    decided, = world.rows()
    with world.uses.db.transaction() as uow:
        row = uow.get(RESERVATION, decided["id"])
        uow.connection.execute(reservation_table.insert().values({**row, "id": rules.reservation_id(world.request["id"], 1, row["data_id"], undone=3)}))
    answer = rehearsing.test(world.uses, {"file": RULES})
    assert (answer["decisions"], answer["differ"], answer["cost"]["change"]) == (1, 0, 0), answer


def test_a_move_within_one_source_is_refused_when_there_is_nothing_else(world: World) -> None:
    world.add("vault", "a.csv")
    world.uses.parts["policies"]._policies = read("- {name: m, action: move, target: vault}")
    world.ask()
    assert world.told["failed"]["reason"]["code"] == "target_unusable" and "a move inside one source moves nothing" in world.told["failed"]["message"]


def test_more_than_is_looked_at_is_said_aloud(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reserving, "PAGE", 2)
    world = World(database_url, **{"requests.max_candidates": 3})
    for number in range(8):
        world.add("near", f"{number}.csv", size=8 - number)
    world.ask(select={"mode": "best", "count": 2}, found={"truncated": True})
    assert world.told["selected"]["found"]["truncated"] is True
    assert "8 Data match; the first 3 were looked at." in [one["detail"] for one in world.told["selected"]["found"]["warnings"]]
    assert [row["decision"]["truncated"] for row in world.rows()] == [True, True]
    world.ask()
    assert world.told["failed"]["reason"]["code"] == "too_many_candidates"
    world.uses.db.close()
