"""Several requests for which there is no room are failed in one call; one that may wait, or is elsewhere by now, is left as it is."""
from __future__ import annotations

from services.requests import handlers, together
from tests.interface.requests.test_creating import World, world

__all__ = ["world"]


def told(request: dict, **more: object) -> dict:
    return {"request": request["id"], "attempt": 1, "code": "no_capacity", "message": f"No room for {request['name']}.", "found": {"total": 1},
            "cause": {"correlation_id": f"c-{request['name']}", "causation_id": "", "traceparent": ""}, **more}


def test_each_fails_with_its_own_sentence_in_one_transaction(world: World) -> None:
    made = [handlers.create(world.uses(owner), {"query": "lot:a", "fulfill": True}) for owner in ("ada", "ben")]
    before = len(world.said())
    together.refused(world.uses(""), [told(one) for one in made])
    for one in made:
        now = handlers.show(world.uses(one["owner"]), {"id": one["id"]})
        assert (now["state"], now["reason"], now["message"]) == ("Failed", {"code": "no_capacity"}, f"No room for {one['name']}.")
    said = [(row["name"], row["object_id"], row["body"]["correlation_id"]) for row in world.said()[before:]]
    assert {one for one in said if one[0] == "datarequest.failed"} == {("datarequest.failed", one["id"], f"c-{one['name']}") for one in made}


def test_what_waits_or_is_elsewhere_is_left_alone(world: World) -> None:
    patient = handlers.create(world.uses("ada"), {"query": "lot:a", "fulfill": True, "wait": True})
    over, fresh = (handlers.create(world.uses("ada"), {"query": "lot:a", "fulfill": True}) for _ in range(2))
    handlers.cancel(world.uses("ada"), {"id": over["id"]})
    rows = {row["id"]: row for row in world.table("datarequest")}
    together.refused(world.uses(""), [told(patient), told(over), told(fresh, attempt=2), told({"id": "dreq_gone", "name": "gone"})])
    assert {row["id"]: row for row in world.table("datarequest")} == rows
    together.refused(world.uses(""), [told(fresh), told(fresh)])
    assert handlers.show(world.uses("ada"), {"id": fresh["id"]})["state"] == "Failed"
