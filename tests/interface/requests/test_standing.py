"""Standing requests and changes of place on each database: nothing is attached twice, readers have one place at a time."""
from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from services.requests import handlers, promises, references, repository, standing, swapping
from services.requests.models import METADATA, REQUEST
from shared.hosting.config import load_config
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.context import Context
from shared.kernel.errors import Conflict
from shared.storage.database import Database
from tests.support.answering import Answering
from tests.support.migrated import migrated

DATA = [f"data_01JD3Z6K8Q4N5W7X9Y2B3C4D{number:02d}" for number in range(5)]


@pytest.fixture
def uses(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Uses]:
    monkeypatch.setattr(standing, "QUIET_S", 0)
    engine = migrated(database_url, "requests")
    mesh = Answering(instances__checksums_of=lambda request: {}, instances__refs_of=lambda **of: [], instances__pinned_of=lambda request: [],
                     reservations__compare=lambda request, family, data, checksums: {"new": list(data), "replicas": []})
    made = Uses("requests", Database(engine, METADATA), load_config("dev", variables={}), Context(owner="ada"), mesh)
    yield made
    made.db.close()


def appeared(uses: Uses, *ids: str, lot: str = "a") -> None:
    standing.on_data(uses, [SimpleNamespace(name="data.create", obj={"id": one, "name": one, "tags": {"lot": lot}}) for one in ids])


def satisfied(uses: Uses, request: str, instances: int = 1) -> dict[str, Any]:
    """Lead a request through its net, as the other services would."""
    with uses.db.transaction(uses.context) as uow:
        row = uow.get(REQUEST, request)
        row, = uow.move(REQUEST, [row], "selected", "evaluated", "satisfied", changes={"instances": instances})
        handlers.settle_reference(uow, row, "provisioned")
    return row


def provisioned(uses: Uses) -> tuple[str, str]:
    """A standing reference that has its data, and its request."""
    references.create(uses, {"name": "feed", "query": "lot:a", "standing": True})
    request = references.provide(uses, "feed")["request"]["id"]
    satisfied(uses, request)
    return "feed", request


def shown(uses: Uses) -> dict[str, Any]:
    with uses.db.reading() as connection:
        return references.named(uses, connection, "feed")


def test_what_comes_is_attached_once_in_one_further_request_and_ends_with_the_standing_one(uses: Uses) -> None:
    _, request = provisioned(uses)
    appeared(uses, DATA[0], lot="b")
    appeared(uses, DATA[1], DATA[2])
    appeared(uses, DATA[1])
    assert standing.sweep(uses) == 2 and standing.sweep(uses) == 0
    with uses.db.reading() as connection:
        child, = repository.children(connection, request)
        row = repository.row_of(connection, child)
    assert row["parent_id"] == request and row["query"]["$and"][1] == {"id": {"$in": DATA[1:3]}} and row["wait"]
    # While one is under way what comes next waits for its end.
    appeared(uses, DATA[3])
    assert standing.sweep(uses) == 0
    satisfied(uses, child, 2)
    assert shown(uses)["instances"] == 3
    assert standing.sweep(uses) == 1
    handlers.complete(uses, {"id": request})
    with uses.db.reading() as connection:
        assert repository.children(connection, request) == []
        assert repository.row_of(connection, child)["state"] == "Completed"
    assert shown(uses)["instances"] == 0


def test_a_cheaper_place_is_said_once_and_again_only_when_it_is_better_still(uses: Uses) -> None:
    _, request = provisioned(uses)
    twin = {"data": {"id": DATA[1], "name": "b"}, "source": {"id": "s", "name": "cheap"}, "instead_of": {}, "cost": 2, "cost_now": 5}
    for saves, said in ((3, 3), (2, 3), (4, 4)):
        uses.mesh.functions["reservations.compare"] = lambda saves=saves, **given: {"new": [], "replicas": [{**twin, "saves": saves}]}
        appeared(uses, DATA[1])
        assert standing.sweep(uses) == 0
        assert shown(uses)["better"]["saves"] == said
    with uses.db.reading() as connection:
        assert repository.children(connection, request) == []


def test_a_reference_turns_to_its_new_place_in_one_step_and_back(uses: Uses) -> None:
    name, before = provisioned(uses)
    after = references.provision(uses, {"id": name, "swap": True})["swap"]["request"]["id"]
    assert shown(uses)["request_id"] == before and shown(uses)["state"] == "Provisioned"
    with pytest.raises(Conflict, match="datareference.swap_under_way"):
        references.provision(uses, {"id": name, "swap": True})
    satisfied(uses, after, 4)
    assert (shown(uses)["request_id"], shown(uses)["instances"], shown(uses)["swap"]["state"]) == (after, 4, "done")
    references.provision(uses, {"id": name, "undo": True})
    assert (shown(uses)["request_id"], shown(uses)["instances"], shown(uses)["swap"]["state"]) == (before, 1, "undone")
    with uses.db.reading() as connection:
        assert repository.row_of(connection, after)["state"] == "Completed"
    with pytest.raises(Conflict, match="datareference.nothing_to_undo"):
        references.provision(uses, {"id": name, "undo": True})


def test_the_former_place_is_let_go_after_its_time_and_a_failure_changes_nothing(uses: Uses) -> None:
    object.__setattr__(uses.config.requests, "swap_grace_s", 0)
    name, before = provisioned(uses)
    failing = references.provision(uses, {"id": name, "swap": True})["swap"]["request"]["id"]
    handlers.fail(uses, failing, {"code": "no_capacity"}, "There is no room.")
    assert shown(uses)["request_id"] == before and shown(uses)["swap"]["state"] == "failed"
    after = references.provision(uses, {"id": name, "swap": True})["swap"]["request"]["id"]
    satisfied(uses, after)
    assert swapping.sweep(uses) == 1 and swapping.sweep(uses) == 0
    with uses.db.reading() as connection:
        assert repository.row_of(connection, before)["state"] == "Completed"
    assert shown(uses)["swap"]["state"] == "kept" and shown(uses)["request_id"] == after


def test_what_should_be_ready_by_now_is_estimated_anew_and_its_user_warned(uses: Uses) -> None:
    made = handlers.create(uses, {"name": "soon", "query": "lot:a", "needed_by": clock.stamp_in(2), "fulfill": True})
    with uses.db.transaction(uses.context) as uow:
        row, = uow.move(REQUEST, [uow.get(REQUEST, made["id"])], "selected", "evaluated",
                        changes={"expected_at": clock.stamp_in(-1), "announced_at": clock.stamp_in(-1000)})
    uses.mesh.functions["instances.bytes_of"] = lambda request: {"done": 10, "total": 100}
    assert promises.sweep(uses) == 1 and promises.sweep(uses) == 0
    with uses.db.reading() as connection:
        row = repository.row_of(connection, made["id"])
    assert row["warnings"][0]["code"] == "late"
    left = (clock.parse_time(row["expected_at"]) - clock.utc_now()).total_seconds()
    assert 8500 < left < 10_000, "a tenth took a thousand seconds, so the rest takes nine thousand"
