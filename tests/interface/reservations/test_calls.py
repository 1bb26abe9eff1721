"""Calls of reserve and evaluate that come at the same time are taken together; each is answered as it would be alone, and none gets more than there is."""
from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from services.catalog import models as catalogue
from services.reservations import handlers, together
from services.reservations.models import RESERVATION
from shared.bus.event import EventMessage
from shared.kernel.errors import Conflict, EdgemereError, NotFound, NotYet
from shared.storage import group_commit
from shared.storage.group_commit import GroupCommit
from tests.support.house import House

CLIENTS, EACH, ROOM = 8, 10, 20


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    url = request.getfixturevalue("fresh_database")() if request.param == "postgresql" else ""
    made = House(lambda name: url or f"sqlite:///{tmp_path / name}.db", tmp_path)
    yield made
    made.close()


def at_once(work: Callable[[int], Any], count: int = CLIENTS) -> list[Any]:
    """What ``count`` threads that begin together answer, errors too."""
    answers: list[Any] = [None] * count
    start = threading.Barrier(count)

    def run(number: int) -> None:
        start.wait()
        try:
            answers[number] = work(number)
        except EdgemereError as error:
            answers[number] = error
    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return answers


def rows(house: House, service: str, record: Any) -> list[dict[str, Any]]:
    with house.databases[service].reading() as connection:
        return [dict(row) for row in connection.execute(record.table.select()).mappings()]


def reserve(house: House, request: Any) -> dict[str, Any]:
    return house.call("reservations", "reserve", request=request)


def test_of_many_calls_at_once_as_many_are_granted_as_there_is_room_for(house: House) -> None:
    tight = house.source("tight", {"a.csv": {}}, capacity={"readers": ROOM})
    groups: list[int] = []

    def counted(calls: Any) -> Any:
        groups.append(len(calls))
        return together.take(calls)
    house.parts["reservations"]["calls"] = GroupCommit(counted)
    answers = [one for of_client in at_once(lambda number: [reserve(house, {"query": "name:a.csv"}) for _ in range(EACH)]) for one in of_client]
    assert Counter((one["state"], (one["reason"] or {}).get("code")) for one in answers) == {
        ("Evaluated", None): ROOM, ("Failed", "no_capacity"): CLIENTS * EACH - ROOM}
    granted = {one["id"] for one in answers if one["state"] == "Evaluated"}
    assert {row["request_id"] for row in rows(house, "reservations", RESERVATION) if row["state"] == "Confirmed"} == granted
    source, = (row for row in rows(house, "catalog", catalogue.SOURCE) if row["id"] == tight["id"])
    assert source["used"] == {"bytes": 0, "readers": ROOM} and max(groups) > 1


def test_each_of_several_calls_is_answered_for_its_own_request(house: House) -> None:
    house.source("lab", {f"{number}.csv": {} for number in range(CLIENTS)})
    answers = at_once(lambda number: reserve(house, {"query": f"name:{number}.csv"}))
    for number, answer in enumerate(answers):
        assert answer == house.call("requests", "show", id=answer["id"]), "as it is shown"
        assert answer["query"] == {"name": f"{number}.csv"} and answer["state"] == "Evaluated"
        row, = (row for row in rows(house, "reservations", RESERVATION) if row["request_id"] == answer["id"])
        assert row["name"] == f"{number}.csv" and answer["reservations"] == [{"id": row["id"], "name": row["name"]}]


def test_what_calls_of_one_moment_describe_is_made_and_answered_with_few_questions(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.source("lab", {"a.csv": {}})
    asked: list[str] = []
    call = House.call

    def noted(self: House, service: str, method: str, **parameters: Any) -> Any:
        asked.append(f"{service}.{method}")
        return call(self, service, method, **parameters)
    monkeypatch.setattr(House, "call", noted)
    # However long a group takes here, nobody begins one beside it.
    monkeypatch.setattr(group_commit, "BESIDE_S", 60.0)
    monkeypatch.setattr(group_commit, "BESIDE_MOST_S", 60.0)
    # A second round, so that they come while others are at work.
    answers = at_once(lambda number: [reserve(house, {"query": "name:a.csv"}) for _ in range(3)])
    assert {one["state"] for of_client in answers for one in of_client} == {"Evaluated"}
    counts = Counter(asked)
    assert counts.pop("reservations.reserve") == 3 * CLIENTS and counts.keys() == {
        "requests.make_all", "catalog.query_all", "catalog.claim_all", "requests.advance"}
    assert max(counts.values()) < 2 * CLIENTS, "calls share what they ask"


@pytest.mark.parametrize("older", [("make_all",), ("advance",), ("make_all", "advance", "show_all")], ids="-".join)
def test_while_the_other_services_are_older_every_call_is_answered(house: House, monkeypatch: pytest.MonkeyPatch, older: tuple[str, ...]) -> None:
    house.source("lab", {"a.csv": {}})
    call = House.call

    def of_old(self: House, service: str, method: str, **parameters: Any) -> Any:
        if method in older and method != "advance":
            raise NotYet("rpc.method_not_found", f"The service '{service}' has no method '{method}'.")
        if method in older:
            parameters.pop("show", None)
        return call(self, service, method, **parameters)
    monkeypatch.setattr(House, "call", of_old)
    answers = at_once(lambda number: reserve(house, {"query": "name:a.csv"}))
    for answer in answers:
        assert answer["state"] in ("Selected", "Evaluated") and answer == call(house, "requests", "show", id=answer["id"])
    assert len({answer["id"] for answer in answers}) == CLIENTS == len(rows(house, "reservations", RESERVATION))


def test_what_is_wrong_with_a_request_that_is_described_is_said_of_its_place_in_the_call(house: House) -> None:
    house.source("lab", {"a.csv": {}})
    asked: list[Any] = [{"query": "name:a.csv"}, {"query": "name:"}, {"query": "name:a.csv", "nonsense": 1}, {"query": "name:a.csv", "name": "mine"}]
    answers = at_once(lambda number: reserve(house, asked[number]), len(asked))
    assert [answers[at]["state"] for at in (0, 3)] == ["Evaluated"] * 2 and answers[3]["name"] == "mine"
    assert (answers[1].code, answers[2].code) == ("query.syntax", "parameter.unknown")
    assert answers[2].errors[0]["pointer"] == "/request/nonsense" and answers[1].errors[0]["pointer"].startswith("/request/query")


def test_the_same_request_at_once_is_reserved_once(house: House) -> None:
    house.source("lab", {"a.csv": {}}, capacity={"readers": 1})
    made = house.call("requests", "create", query="name:a.csv")
    answers = at_once(lambda number: reserve(house, made["id"] if number % 2 else made["name"]))
    assert {answer["state"] for answer in answers} == {"Evaluated"} and len(rows(house, "reservations", RESERVATION)) == 1


def test_what_is_wrong_with_one_call_is_not_wrong_with_the_others(house: House) -> None:
    house.source("lab", {"a.csv": {}})
    unfulfilled = house.call("requests", "create", query="name:a.csv", fulfill=False)
    over = house.call("requests", "create", query="name:a.csv")
    house.call("requests", "cancel", id=over["id"])
    usual = {"query": "name:a.csv"}
    asked: list[Any] = [usual, unfulfilled["id"], over["id"], "nobody", {**usual, "select": {"minimum": 3}}, usual]
    answers = at_once(lambda number: reserve(house, asked[number]), len(asked))
    assert [answers[at]["state"] for at in (0, 1, 5)] == ["Evaluated"] * 3
    assert isinstance(answers[2], Conflict) and answers[2].code == "datarequest.illegal_move"
    assert isinstance(answers[3], NotFound) and answers[3].code == "datarequest.not_found"
    assert (answers[4]["state"], answers[4]["reason"]["code"]) == ("Failed", "no_match")


def test_a_request_that_its_own_call_made_and_that_failed_meanwhile_is_answered(house: House) -> None:
    house.source("lab", {"a.csv": {}}, capacity={"readers": 1})

    def late(calls: Any) -> Any:
        for call in calls:
            house.call("requests", "cancel", id=call.request)
        return together.take(calls)
    house.parts["reservations"]["calls"] = GroupCommit(late)
    # With a key it is made before the others of the moment are looked at.
    answer = reserve(house.having(idempotency_key="once"), {"query": "name:a.csv"})
    assert (answer["state"], answer["reason"]["code"]) == ("Failed", "cancelled")


def test_nobody_is_answered_with_the_request_of_another(house: House) -> None:
    house.source("lab", {"a.csv": {}})
    of_ada = house.call("requests", "create", query="name:a.csv")
    ben = house.having(owner="ben", roles=("DataScientist",))
    answers = at_once(lambda number: reserve(house, of_ada["id"]) if number % 2 else reserve(ben, of_ada["id"]))
    assert {type(answer) for answer in answers[::2]} == {NotFound} and {answer["id"] for answer in answers[1::2]} == {of_ada["id"]}


def test_the_message_about_a_request_waits_for_the_call_that_is_at_it(house: House) -> None:
    house.source("lab", {"a.csv": {}}, capacity={"readers": 2})
    made, other = (house.call("requests", "create", query="name:a.csv") for _ in range(2))
    called, heard = house.service("reservations").uses, house.service("reservations").uses
    of_made, of_other = (
        EventMessage("datarequest.needed", one["id"], {}, one, {}, "", "", None, 1, False) for one in (made, other))
    began, go_on = threading.Event(), threading.Event()

    def slow(service: str, method: str, **parameters: Any) -> Any:
        if method == "query_all":
            began.set()
            assert go_on.wait(120)
        return house.call(service, method, **parameters)
    called.mesh = SimpleNamespace(call=slow)
    caller = threading.Thread(target=handlers.reserve, args=(called, {"request": made["id"]}))
    caller.start()
    assert began.wait(120)
    assert handlers.on_needed(heard, [of_made, of_other]) == [of_made], "of several it is given back while the call goes on"
    assert [row["request_id"] for row in rows(house, "reservations", RESERVATION)] == [other["id"]]
    go_on.set()
    caller.join(120)
    before = house.everything()
    assert handlers.on_needed(heard, [of_made]) == [] and house.everything() == before
    assert len(rows(house, "reservations", RESERVATION)) == 2
