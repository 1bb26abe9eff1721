"""A budget is never overspent, says what is left of it, and is given to those who wait in their order."""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from sqlalchemy import delete, select, update

from services.reservations import budget
from services.reservations.models import METADATA, charge_table
from shared.hosting.config import load_config
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.context import Context
from shared.kernel.errors import VersionConflict
from shared.kernel.ids import new_id
from shared.storage.database import Database
from tests.support.migrated import migrated

BUDGETS = {"ada": {"period": "30d", "bytes": 100, "money": 5}, "*": {"period": "1h", "bytes": "1KiB"}}


def opened(url: str, **settings: Any) -> Uses:
    engine = migrated(url, "reservations")
    config = load_config("dev", overrides={"budgets": BUDGETS, **settings}, variables={})
    return Uses("reservations", Database(engine, METADATA), config, Context(owner="ada"))


@pytest.fixture
def uses(database_url: str) -> Iterator[Uses]:
    made = opened(database_url)
    yield made
    made.db.close()


def request(wait: bool = False, owner: str = "ada", attempt: int = 1) -> dict[str, Any]:
    return {"id": new_id("datarequest"), "owner": owner, "attempt": attempt, "wait": wait, "action": None}


def spend(uses: Uses, of: dict[str, Any], size: int = 0, money: float = 0.0) -> budget.Refusal | None:
    return budget.claim(uses, of, {"bytes": size, "money": money})


def woken(uses: Uses) -> list[str]:
    outbox = METADATA.tables["outbox"]
    with uses.db.transaction() as uow:
        rows = uow.rows(select(outbox).order_by(outbox.c.seq))
        uow.connection.execute(delete(outbox))
    return [holder for row in rows for holder in orjson.loads(row["body"])["obj"]["wake"]]


def test_what_is_spent_is_counted_once_and_the_rest_is_said(uses: Uses) -> None:
    first = request()
    assert spend(uses, first, 60, 1.5) is None and spend(uses, first, 60, 1.5) is None
    left = budget.look(uses, "ada")
    assert left["bytes"] == {"limit": 100, "spent": 60, "remains": 40} and left["money"]["remains"] == 3.5
    refusal = spend(uses, request(), 41)
    assert "41 bytes wanted, 40 bytes of 100 bytes left" in refusal.detail and refusal.can_wait
    assert spend(uses, request(), 0, 3.6).waits_for["object"]["kind"] == "money"
    assert spend(uses, request(), 40, 3.5) is None


def test_a_failed_request_gives_back_what_it_was_charged_and_a_new_attempt_is_charged_anew(uses: Uses) -> None:
    one = request()
    spend(uses, one, 80)
    assert budget.release(uses, one["id"], "ada", up_to=1) == 1 and budget.release(uses, one["id"], "ada", up_to=1) == 0
    again = {**one, "attempt": 2}
    assert spend(uses, again, 80) is None
    budget.release(uses, one["id"], "ada", up_to=1)
    assert budget.look(uses, "ada")["bytes"]["spent"] == 80


def test_what_is_older_than_the_period_is_spent_no_more(uses: Uses) -> None:
    spend(uses, request(), 100)
    with uses.db.transaction() as uow:
        uow.connection.execute(update(charge_table).values(at=clock.stamp_in(-29 * 86400)))
    refusal = spend(uses, request(wait=True), 1)
    assert abs(refusal.waits_for["line"]["estimate_s"] - 86400) < 60, "a day from now the old charge leaves the period"
    with uses.db.transaction() as uow:
        uow.connection.execute(update(charge_table).values(at=clock.stamp_in(-31 * 86400)))
    assert spend(uses, request(), 99) is None
    budget.forget(uses)
    assert budget.look(uses, "ada")["bytes"]["spent"] == 99


def test_a_spent_budget_refuses_copies_before_anything_is_looked_for_and_lets_others_be(uses: Uses) -> None:
    spend(uses, request(), 100)
    copy = {**request(), "action": "copy"}
    refusal = budget.spent_refusal(uses, copy)
    assert "0 bytes of 100 bytes left" in refusal.detail and "free again at 20" in refusal.detail
    assert budget.spent_refusal(uses, {**copy, "action": "leave"}) is None
    assert spend(uses, request(), 0, 1) is None, "what copies nothing needs no bytes"


def test_everybody_else_has_the_budget_for_all_and_none_without_one(uses: Uses) -> None:
    assert spend(uses, request(owner="bob"), 1024) is None
    assert "1 byte wanted, 0 bytes of 1 KiB left" in spend(uses, request(owner="bob"), 1).detail
    assert spend(uses, request(owner="eve"), 1000) is None


def test_those_who_wait_are_served_in_their_order_and_what_can_never_be_does_not_wait(uses: Uses) -> None:
    never = spend(uses, request(wait=True), 101)
    assert not never.can_wait and "more than the whole budget" in never.detail
    holds, large, small = request(), request(wait=True), request(wait=True)
    spend(uses, holds, 90)
    assert spend(uses, large, 50).waits_for["line"]["position"] == 1
    object.__setattr__(uses.config.reservations, "backfill_s", 0)
    refused = spend(uses, small, 10)
    assert refused.waits_for["line"] | {"estimate_s": None} == {"position": 2, "ahead": [large["id"]], "estimate_s": None}
    budget.release(uses, holds["id"], "ada")
    assert woken(uses) == [large["id"], small["id"]]
    assert spend(uses, large, 50) is None and spend(uses, small, 10) is None
    assert budget.line(uses, small["id"]) == []


def test_charges_from_many_hands_never_exceed_the_budget(fresh_database: Callable[[], str]) -> None:
    url = fresh_database()
    replicas = [opened(url) for _ in range(2)]
    granted: list[int] = []

    def ask(number: int) -> None:
        while True:
            try:
                if spend(replicas[number % 2], request(), 7) is None:
                    granted.append(number)
                return
            except VersionConflict:
                continue

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(granted) == 14 and budget.look(replicas[0], "ada")["bytes"]["spent"] == 98
    for replica in replicas:
        replica.db.close()


def test_only_copies_need_bytes_and_money_is_what_prices_say(uses: Uses) -> None:
    weights = {"transfer": 2, "requests": 0, "time": 0.001}
    assert budget.wanted([("copy", 10, {"transfer": 4, "requests": 9, "storage": 1, "time": 7}), ("leave", 20, {"transfer": 2}),
                          ("move", None, {})], weights) == {"bytes": 10, "money": 4.0}
