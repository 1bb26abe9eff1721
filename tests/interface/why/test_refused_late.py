"""What is refused after it was decided keeps what was decided; amounts in refusals are said in units; what was given back by hand is not 'no match'."""
from __future__ import annotations

import contextlib
from typing import Any

import pytest

from shared.kernel.errors import Conflict
from tests.interface.why.test_explain import asked
from tests.support.house import House

BUDGET = {"budgets": {"ada": {"period": "30d", "bytes": 3000}}}


@pytest.fixture
def filled(house: House) -> House:
    house.source("scratch", writable=True)
    house.source("lab", {"a.bin": {"size": 4000, "tags": {"kind": "scan"}}, "b.bin": {"size": 2000, "tags": {"kind": "scan"}},
                         "c.bin": {"size": 1001}})
    return house


def spent(house: House) -> None:
    """Two thirds of the budget are spent."""
    assert asked(house, query="name:b.bin", action="copy", target="scratch")["state"] == "Evaluated"


@pytest.mark.parametrize("wait", [False, True])
def test_a_request_that_its_budget_refuses_keeps_what_was_decided(filled: House, wait: bool) -> None:
    filled.configured(**BUDGET)
    spent(filled)
    request = asked(filled, query="name:c.bin", action="copy", target="scratch", wait=wait)
    item, = filled.call("requests", "explain", id=request["id"])["items"]
    assert (item["action"], item["target"]["name"], item["rule"]) == ("copy", "scratch", "request")
    assert item["decision"]["scores"]["copy"]["possible"] and item["because"] == "The request asks for it."
    if wait:
        assert request["state"] == "Selected" and request["blocked_by"]["code"] == "over_budget"
        reservation = item["reservation"]["id"]
        version = filled.call("reservations", "show", id=reservation)["version"]
        filled.call("reservations", "evaluate", request=request["id"])
        assert filled.call("reservations", "show", id=reservation)["version"] == version, "the same is not written again"
        by_hand = filled.call("reservations", "confirm", id=reservation)
        assert (by_hand["action"], by_hand["target"], by_hand["rule"]) == ("leave", None, "by hand"), "a copy was not paid for"


def test_amounts_of_bytes_are_said_in_units_in_every_refusal(filled: House) -> None:
    filled.configured(**BUDGET)
    over = asked(filled, query="name:a.bin", action="copy", target="scratch")
    assert "3.9 KiB (4000 bytes) wanted, 2.9 KiB (3000 bytes) of 2.9 KiB (3000 bytes) left. It is more than the whole budget: ask for less" in over["message"]
    filled.configured(budgets={})
    filled.source("full", writable=True, capacity={"bytes": 1024})
    room = asked(filled, query="name:a.bin", action="copy", target="full")
    assert "3.9 KiB (4000 bytes)" in room["message"] and "1 KiB" in room["message"], room["message"]


def test_a_plan_says_what_it_would_take_of_the_budget_also_where_there_is_no_room_for_it(filled: House) -> None:
    filled.configured(**BUDGET)
    filled.source("one", {"c.bin": {"size": 10, "tags": {"kind": "x"}}, "d.bin": {"size": 20, "tags": {"kind": "x"}}}, capacity={"readers": 1})
    plan = filled.call("requests", "plan", query="kind:x", action="copy", target="scratch")
    assert plan["refusal"]["code"] == "no_capacity" and plan["budget"]["wanted"]["bytes"] == 30


@pytest.mark.parametrize("wait", [False, True])
def test_what_was_given_back_by_hand_ends_the_request_with_that_and_not_as_if_nothing_matched(filled: House, wait: bool) -> None:
    filled.configured(**BUDGET)
    spent(filled)
    made = filled.call("requests", "create", query="name:c.bin", action="copy", target="scratch", wait=wait)
    filled.call("reservations", "reserve", request=made["id"])
    reservation, = filled.call("reservations", "list", request=made["id"])["items"]
    filled.call("reservations", "free", id=reservation["id"])
    ended = asked_again(filled, made["id"])
    assert (ended["state"], ended["reason"]["code"]) == ("Failed", "cancelled")
    assert ended["message"] == ("1 of its reservations was given back by hand, and too few are left. "
                                f"Start a new attempt: edgemere do datarequest retry --id {made['name']}")


def asked_again(house: House, request: str) -> dict[str, Any]:
    with contextlib.suppress(Conflict):
        house.call("reservations", "evaluate", request=request)
    return house.call("requests", "show", id=request)
