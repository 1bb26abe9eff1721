"""Every action of the table, asked by every role and by another owner: refused, or with nothing in it that is another's."""
from __future__ import annotations

import json
from typing import Any

import pytest

from shared.contracts.table import ACTIONS, BY_RPC
from shared.kernel.errors import EdgemereError
from tests.interface.rights.conftest import ADMINISTRATOR, DEVELOPER, ENGINEER, SCIENTIST, Caller, House
from tests.support.awaiting import until

CANARY = "zanzibar"
ROLES = (SCIENTIST, DEVELOPER, ENGINEER, ADMINISTRATOR)
# Parameters beside the id of an object of ada's.
MORE: dict[str, dict[str, Any]] = {
    "instances.renew": {"for": "2h"}, "catalog.datasource_access": {"access": []}, "requests.explain": {"why_not": "plain.csv"},
}
BY_ATTR1 = ("instances.destroy", "instances.find", "instances.list")


def named_after(row: Any) -> str:
    """The class of what a row is asked about."""
    if row.path[0] in ("reserve", "evaluate"):
        return "datarequest"
    return row.path[0] if row.path[0] != "event" else "deadletter"


@pytest.fixture(scope="module")
def ada(house: House) -> Caller:
    """Ada has one object of each class, and all that could give it away is called after the canary."""
    ada = house.caller("ada", SCIENTIST, ENGINEER)
    ada("catalog.datasource_simulate", name="open", listing={"plain.csv": {"type": "file", "size": 3, "tags": {"kind": "plain"}}})
    ada("catalog.datasource_simulate", name="closed", access=[{"when": {}, "owners": ["ada"]}], listing={
        f"{CANARY}-{n}.nii": {"type": "file", "size": 5, "tags": {f"{CANARY}_tag": f"{CANARY}_value", "kind": "secret"}} for n in range(2)})
    until(lambda: ada("catalog.query", expression="kind:secret")["total"] == 2)
    ada("requests.datareference_create", name=f"{CANARY}-reference", query="kind:secret")
    ada("instances.create", dataref=f"{CANARY}-reference")
    ada("requests.create", name=f"{CANARY}-request", query=f"{CANARY}_tag:{CANARY}_value", labels={"a": CANARY})
    ada("requests.create", name=f"{CANARY}-waits", query=f"{CANARY}_tag:nothing", wait=True)
    ada("events.send", event="datarequest.needed", obj=f"{CANARY}-nowhere")
    until(lambda: ada("requests.show", id=f"{CANARY}-request")["state"] == "Satisfied")
    until(lambda: ada("requests.datareference_show", id=f"{CANARY}-reference")["state"] == "Provisioned")
    until(lambda: ada("events.dead_list")["total"])
    return ada


@pytest.fixture(scope="module")
def objects(ada: Caller) -> dict[str, dict[str, Any]]:
    found = {
        "datarequest": ada("requests.show", id=f"{CANARY}-request"), "datareference": ada("requests.datareference_show", id=f"{CANARY}-reference"),
        "datareservation": ada("reservations.list", request=f"{CANARY}-request")["items"][0],
        "datainstance": ada("instances.list", request=f"{CANARY}-request")["items"][0],
        "data": ada("catalog.data_list", attr1="kind:secret")["items"][0], "datasource": ada("catalog.datasource_show", id="closed"),
        "deadletter": ada("events.dead_list")["items"][0], "operation": ada("events.operation_list")["items"][0],
    }
    return found


def asked_by(caller: Caller, rpc: str, **parameters: Any) -> str:
    """All that an answer says, be it an answer or a refusal."""
    try:
        return json.dumps(caller(rpc, **parameters))
    except EdgemereError as error:
        assert error.status in (400, 403, 404, 409, 422), (rpc, parameters, error)
        return json.dumps([error.status, error.payload()])


@pytest.mark.parametrize("role", [SCIENTIST, DEVELOPER, ENGINEER])
def test_another_owner_finds_nothing_of_what_is_not_his_by_any_row(house, ada, objects, role):
    bob = house.caller("bob", role)
    told: list[str] = []
    for row in ACTIONS.values():
        mine = objects.get(named_after(row), {})
        refs = [ref for ref in (mine.get("id"), mine.get("name")) if ref]
        schema = row.parameters._declared_fields
        for ref in refs or [None]:
            given = dict(row.example) if ref is None or row.rpc in ("requests.create", "requests.plan") else dict(MORE.get(row.rpc, {}))
            name = next((word for word in ("id", "request", "dataref", "attr1") if word in schema), None)
            if ref is not None and name:
                given[name] = ref
            if row.rpc in ("catalog.data_create",):
                given["source"] = "closed"
            said = asked_by(bob, row.rpc, **given)
            # An engineer's business: he finds and removes the instances of every owner, and tries policies on what all had decided.
            if role == ENGINEER and row.rpc in ("instances.find", "instances.list", "instances.show", "instances.destroy", "reservations.policy_test"):
                continue
            asked = json.dumps(given)
            for secret in (CANARY, objects["data"]["id"]):
                if secret in said.replace(mine.get("id", "-"), "").replace(mine.get("name", "-"), "") and secret not in asked.replace(str(ref), ""):
                    told.append(f"{row.rpc} {given}: {said[:600]}")
    assert told == []


def test_lists_queries_and_filters_of_another_owner_are_empty_and_count_nothing(house, ada, objects):
    bob = house.caller("carl", SCIENTIST)
    for row in ACTIONS.values():
        if row.answer != "page" or row.kind != "query" or row.path[0] == "policy" or "attr1" not in row.parameters._declared_fields:
            continue
        if row.noun == "datasource":
            continue
        for given in ({}, {"attr1": "owner:ada"}, {"attr1": {"owner": {"$ne": "nobody"}}}, {"owner": "ada"}):
            if row.noun == "data" and given != {"attr1": "owner:ada"}:
                continue  # What no rule restricts is everybody's, and its owner is a tag.
            page = asked_by(bob, row.rpc, **given)
            assert CANARY not in page and ('"total": 0' in page or page.startswith("[4")), (row.rpc, given, page)
    assert bob("events.operation_list")["items"] == []
    assert bob("events.operation_list")["total"] == 0


def test_a_role_that_a_row_does_not_name_is_refused_with_the_roles_that_it_needs(house, ada):
    for row in ACTIONS.values():
        for role in ROLES:
            caller = house.caller("nobody-yet", role)
            if role in row.roles:
                continue
            error = caller.refusal(row.rpc, **{name: value for name, value in row.example.items()})
            assert (error.status, error.code) == (403, "denied"), (row.rpc, role, error)
            assert all(needed in error.detail for needed in row.roles) and error.extra["roles"] == list(row.roles), error
        none = house.caller("nobody-yet").refusal(row.rpc, **dict(row.example))
        assert (none.status, none.code) == (403, "denied") and "you have none" in none.detail


def test_an_administrator_sees_and_ends_what_any_owner_has(house, ada, objects):
    root = house.caller("root", ADMINISTRATOR)
    assert root("requests.show", id=f"{CANARY}-request")["owner"] == "ada"
    assert {"ada"} <= {item["owner"] for item in root("instances.list")["items"]}
    assert root("catalog.query", expression="kind:secret")["total"] == 2
    assert root("requests.cancel", id=f"{CANARY}-waits")["state"] == "Failed"


def test_a_data_engineer_finds_and_removes_instances_of_every_owner_and_reads_none(house, ada):
    engineer = house.caller("eve", ENGINEER)
    ada("requests.create", name="short-lived", query="kind:plain")
    one = until(lambda: ada("instances.list", request="short-lived", state="Ready")["items"])[0]
    assert engineer("instances.show", id=one["id"])["name"] == one["name"]
    assert engineer.refusal("instances.content", id=one["id"]).code == "denied"
    both = house.caller("eve", ENGINEER, SCIENTIST)
    assert both.refusal("instances.content", id=one["id"]).code == "datainstance.not_found"
    assert engineer("instances.destroy", attr1=one["id"])["state"] == "Destroyed"
    # Its owner is told, and the request that stood on it is over.
    assert until(lambda: ada("requests.show", id="short-lived")["state"] == "Completed")


def test_names_are_an_owners_own_and_a_key_of_another_owner_is_another_key(house, ada):
    bob = house.caller("bob", SCIENTIST)
    mine = bob("requests.create", key="k1", name=f"{CANARY}-request", query="kind:plain")
    again = bob("requests.create", key="k1", name=f"{CANARY}-request", query="kind:plain")
    hers = ada("requests.create", key="k1", name="with-the-same-key", query="kind:plain")
    assert mine["id"] == again["id"] != hers["id"]
    assert bob("requests.show", id=f"{CANARY}-request")["id"] == mine["id"] != ada("requests.show", id=f"{CANARY}-request")["id"]
    root = house.caller("root", ADMINISTRATOR)
    assert root.refusal("requests.show", id=f"{CANARY}-request").code == "datarequest.ambiguous"


def test_a_source_is_changed_by_its_owner_alone_and_seen_by_everybody(house, ada):
    eve = house.caller("eve", ENGINEER)
    assert eve("catalog.datasource_show", id="closed")["name"] == "closed"
    assert eve("catalog.datasource_show", id="closed")["access"] is None and ada("catalog.datasource_show", id="closed")["access"]
    for rpc, given in (("catalog.datasource_suspend", {"id": "closed"}), ("catalog.datasource_scan", {"id": "closed"}),
                       ("catalog.datasource_destroy", {"id": "closed"}), ("catalog.datasource_access", {"id": "closed", "access": []}),
                       ("catalog.datasource_findings", {"id": "closed"}), ("catalog.data_create", {"source": "closed", "path": "x"})):
        error = eve.refusal(rpc, **given)
        assert (error.status, error.code) == (403, "denied") and "ada" not in str(error.payload()), (rpc, error)


def test_what_was_said_on_the_bus_is_heard_by_whom_it_is_about(house, ada, objects):
    bob, root = house.caller("dora", DEVELOPER), house.caller("root", ADMINISTRATOR)
    for given in ({}, {"owner": "ada"}, {"class": "datarequest"}, {"object": objects["datarequest"]["id"]}, {"class": "data", "query": "kind:secret"}):
        assert CANARY not in bob.hears(**given), given
    assert CANARY in ada.hears(**{"class": "datarequest"}) and CANARY in root.hears(**{"class": "data"})
    assert "plain.csv" in bob.hears(**{"class": "data"})
    for rpc in ("events.list", "events.stream"):
        said = json.dumps([bob(rpc, limit=1000, **given) if rpc == "events.list" else bob(rpc) for given in
                           ({}, {"object": objects["datarequest"]["id"]}, {"correlation_id": "none"}, {"event": "data.*"})])
        assert CANARY not in said
    assert house.caller("bob").refusal("events.list").code == "denied"


def test_every_method_that_is_no_row_is_for_the_mesh_alone(house):
    stranger = house.caller("ada", ADMINISTRATOR, foreign=True)
    for rpc, given in (("requests.plain", {"request": "x"}), ("requests.failed", {}), ("catalog.claim", {"claims": [], "holder": "x"}),
                       ("catalog.data_by_ids", {"ids": []}), ("instances.reap", {}), ("reservations.explain_part", {"request": "x"})):
        assert rpc not in BY_RPC
        error = stranger.refusal(rpc, **given)
        assert (error.status, error.code) == (403, "rpc.among_services"), error
