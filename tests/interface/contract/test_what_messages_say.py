"""The messages of one call hang together, tell their causes, and name only what the contract knows."""
from __future__ import annotations

import time

from shared.contracts.objects import OBJECTS


def log_of(user, correlation_id, until):
    """The messages of a call, once one named ``until`` is among them."""
    deadline = time.monotonic() + 120
    while True:
        items = user.call("do.event.list", {"correlation_id": correlation_id, "limit": 500}).body["items"]
        if any(item["event"] == until for item in items) or time.monotonic() > deadline:
            return items
        time.sleep(0.1)


def test_the_whole_of_a_call_carries_its_id_and_each_message_its_cause(user, shelf, target, word):
    user.made("do.datainstance.create", {"dataref": {
        "name": word, "query": f"source:{shelf}", "defaults": {"target": target, "action": "copy"}}}, X_Request_Id=f"call-{word}")
    items = log_of(user, f"call-{word}", "datareference.provisioned")
    names = {item["id"]: item["event"] for item in items}
    causes = {item["event"]: names.get(item["causation_id"]) for item in items}
    assert causes == {
        "datareference.create": None, "datarequest.create": None, "datarequest.needed": None, "datareference.provisioning": None,
        "datasource.updated": "datarequest.needed",
        "datareservation.create": "datarequest.needed", "datareservation.created": "datarequest.needed",
        "datarequest.selected": "datarequest.needed",
        "datareservation.confirmed": "datarequest.needed", "datarequest.evaluated": "datarequest.needed",
        "datainstance.create": "datarequest.evaluated", "datainstance.provisioning": "datarequest.evaluated",
        "datainstance.ready": "datarequest.evaluated", "datainstance.updated": "datarequest.evaluated",
        "datarequest.satisfied": "datainstance.ready", "datarequest.updated": "datainstance.ready",
        "datareference.provisioned": "datainstance.ready", "datareference.updated": "datainstance.ready",
    }
    assert all(item["correlation_id"] == f"call-{word}" for item in items)


def test_an_update_names_attributes_of_the_contract_and_nothing_else(user, shelf, target, word):
    made = user.made("do.datainstance.create", {"dataref": {
        "name": word, "query": f"source:{shelf}", "defaults": {"target": target, "action": "copy"}}}, X_Request_Id=f"call-{word}")
    user.call("do.datarequest.complete", {"id": made["request"]["id"]}, X_Request_Id=f"call-{word}")
    updates = [item for item in log_of(user, f"call-{word}", "datareservation.updated") if item["event"].endswith(".updated")]
    assert {item["event"] for item in updates} >= {"datarequest.updated", "datainstance.updated", "datareservation.updated",
                                                   "datareference.updated", "datasource.updated"}
    for item in updates:
        known = OBJECTS[item["event"].partition(".")[0]].fields
        assert item["changed"] and set(item["changed"]) <= set(known) and set(item["changed"]) <= set(item["obj"]), item


def test_what_waits_and_is_moved_on_by_another_call_still_belongs_to_its_own(user, word, tmp_path):
    user.made("do.datarequest.create", {"name": word, "query": f"source:later-{word}", "wait": True}, 0, X_Request_Id=f"call-{word}")
    assert log_of(user, f"call-{word}", "datarequest.waiting")[-1]["obj"]["blocked_by"]["code"] == "no_match"
    (tmp_path / "one.csv").write_text("one")
    user.made("fmdm.datasource.create", {"name": f"later-{word}", "adaptor": "file", "parameters": {"rootdir": str(tmp_path)}})
    told = [item["event"] for item in log_of(user, f"call-{word}", "datarequest.satisfied")]
    assert told[-2:] == ["datarequest.satisfied", "datarequest.updated"] and "datainstance.ready" in told


def test_what_breaks_with_its_data_belongs_to_the_call_that_found_it_gone(user, shelf, word, tmp_path):
    user.made("do.datarequest.create", {"name": word, "query": {"source": shelf, "name": "one.csv"}})
    (tmp_path / "shelf" / "one.csv").unlink()
    user.made("fmdm.datasource.scan", {"id": shelf}, X_Request_Id=f"scan-{word}")
    items = log_of(user, f"scan-{word}", "datainstance.broken")
    names = {item["id"]: item["event"] for item in items}
    assert [names.get(item["causation_id"]) for item in items if item["event"] == "datainstance.broken"] == ["data.destroy"]
