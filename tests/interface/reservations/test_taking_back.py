"""What a destroyed instance held is reserved anew for an undo, and given back whole when the undo comes to nothing."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from services.reservations import freeing, repository, taking_back
from shared.hosting.uses import Uses
from tests.support.house import House

VERSION = 7


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[House]:
    fresh = request.getfixturevalue("fresh_database") if request.param == "postgresql" else None
    made = House(lambda name: fresh() if fresh else f"sqlite:///{tmp_path / name}.db", tmp_path)
    yield made
    made.close()


@pytest.fixture
def held(house: House) -> dict[str, Any]:
    """A request that has three readers confirmed, and whose instance was destroyed since."""
    house.source("lab", {f"{n}.csv": {"size": 10} for n in range(3)}, capacity={"readers": 5})
    made = house.call("requests", "create", name="scans", query="source:lab")
    house.call("reservations", "reserve", request=made["id"])
    house.call("reservations", "evaluate", request=made["id"])
    assert used(house) == 3
    uses = house.service("reservations").uses
    with uses.db.reading() as connection:
        data = [row["data_id"] for row in repository.confirmed(connection, made["id"], 1, "", 10)]
    freeing.free_held(uses, made["id"], 1, data, VERSION)
    assert used(house) == 0
    return {"request": made["id"], "attempt": 1, "data": data, "version": VERSION}


def used(house: House) -> int:
    return house.call("catalog", "datasource_show", id="lab")["used"]["readers"]


def test_an_undo_claims_again_and_a_second_time_changes_nothing(house, held):
    for _ in range(2):
        assert house.call("reservations", "take_back", **held)["reservations"] == 3
        assert used(house) == 3
    for _ in range(2):
        house.call("reservations", "give_back", **held)
        assert used(house) == 0


def test_an_undo_that_died_between_its_claims_and_its_reservations_leaves_nothing_claimed(house, held):
    uses: Uses = house.service("reservations").uses
    rows = taking_back._anew(uses, held["request"], 1, held["data"], VERSION)
    house.call("catalog", "claim", claims=[one for row in rows for one in taking_back.claims_of(row)], holder=held["request"], ttl_s=3600)
    assert used(house) == 3
    house.call("reservations", "give_back", **held)
    assert used(house) == 0


def test_an_undo_without_room_is_refused_and_claims_nothing(house, held):
    other = house.call("requests", "create", name="others", query="source:lab")
    house.call("catalog", "claim", holder=other["id"], ttl_s=3600, claims=[
        {"id": f"{other['id']}-{n}", "source": house.call("catalog", "datasource_show", id="lab")["id"], "kind": "readers", "amount": 1} for n in range(4)])
    with pytest.raises(Exception, match="no_capacity"):
        house.call("reservations", "take_back", **held)
    assert used(house) == 4
