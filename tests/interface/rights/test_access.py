"""Access to data: what a rule hides is nowhere for those whom it does not name, is counted, and decides for the owner of a request."""
from __future__ import annotations

import json
from typing import Any

import pytest

from tests.interface.rights.conftest import ADMINISTRATOR, ENGINEER, SCIENTIST, Caller, House
from tests.support.awaiting import until

HIDDEN = "quetzal"
RULES = [{"when": f"ward:{HIDDEN}", "owners": ["doctor"]}, {"when": "kind:draft", "roles": [ENGINEER]}, {"when": {}, "owners": ["*"]}]


def rows() -> dict[str, Any]:
    listing: dict[str, Any] = {f"open/{n}.csv": {"size": 10 + n, "tags": {"kind": "table", "ward": "east"}} for n in range(3)}
    listing |= {f"ward/{HIDDEN}-{n}.csv": {"size": 1, "tags": {
        "kind": "table", "ward": HIDDEN, f"{HIDDEN}_level": n, "code": f"{HIDDEN}9"}} for n in range(2)}
    listing["drafts/d.csv"] = {"size": 1, "tags": {"kind": "draft", "ward": "east"}}
    return listing


@pytest.fixture(scope="module")
def engineer(house: House) -> Caller:
    engineer = house.caller("curator", ENGINEER, SCIENTIST)
    engineer("catalog.datasource_simulate", name="clinic", listing=rows(), access=RULES)
    until(lambda: engineer("catalog.query", expression={"source": "clinic"})["total"] == 6)
    return engineer


@pytest.fixture(scope="module")
def guest(house: House, engineer: Caller) -> Caller:
    return house.caller("guest", SCIENTIST)


@pytest.fixture(scope="module")
def doctor(house: House, engineer: Caller) -> Caller:
    return house.caller("doctor", SCIENTIST)


def test_what_a_rule_hides_is_counted_and_never_named(guest, doctor, engineer, house):
    page = guest("catalog.query", expression={"source": "clinic"})
    assert page["total"] == page["funnel"]["steps"][-1]["remaining"] == 3 and page["funnel"]["hidden_by_access"] == 3
    assert [one["detail"] for one in page["warnings"]] == ["3 Data are hidden by access: not looked at for this query."]
    assert HIDDEN not in json.dumps(page)
    assert doctor("catalog.query", expression=f"ward:{HIDDEN}")["total"] == 2
    # An engineer sees drafts by his role, a source's owner and an Administrator see all of it.
    assert house.caller("other", ENGINEER)("catalog.query", expression={"source": "clinic"})["total"] == 4
    for one in (engineer, house.caller("root", ADMINISTRATOR)):
        whole = one("catalog.query", expression={"source": "clinic"})
        assert whole["total"] == 6 and "hidden_by_access" not in whole["funnel"]


def test_how_much_is_hidden_says_nothing_of_what_it_is(guest):
    # Else a query could be made to tell, value by value.
    counts = {guest("catalog.query", expression=one)["funnel"].get("hidden_by_access") for one in (
        f"ward:{HIDDEN}", "ward:nobody", f"{HIDDEN}_level:1", {}, {"name": {"$prefix": HIDDEN}})}
    assert counts == {3}


@pytest.mark.parametrize(("rpc", "given"), [
    ("catalog.query", {"expression": f"{HIDDEN}_level>0"}), ("catalog.query", {"expression": "quetzl_level:1"}),
    ("catalog.query", {"expression": "ward:quetzl"}), ("catalog.query", {"expression": {"name": {"$regex": f"^{HIDDEN}"}}}),
    ("catalog.query", {"complete": {"field": "quet"}}), ("catalog.query", {"complete": {"field": "quetzl_levl"}}),
    ("catalog.query", {"complete": {"value": "q", "of": "ward"}}), ("catalog.query", {"complete": {"value": "q", "of": "code"}}),
    ("catalog.query", {"complete": {"value": "q", "of": "name"}}), ("catalog.data_list", {}), ("catalog.data_list", {"attr1": "ward:quetza"}),
    ("catalog.data_find", {"attr1": "quetzl-0.csv"}), ("catalog.data_show", {"id": "quetzl-0.csv"}), ("catalog.data_show", {"id": f"{HIDDEN}-0.csv"}),
    ("catalog.datasource_show", {"id": "clinic"}), ("requests.plan", {"query": "ward:quetzl kind:table size>0"}),
    ("requests.plan", {"query": "kind:table size>1000"}), ("requests.plan", {"query": {"source": "clinic"}}),
    ("events.list", {"event": "data.*", "limit": 1000}),
])
def test_no_answer_hint_or_near_name_has_anything_of_it(guest, rpc, given):
    try:
        said = json.dumps(guest(rpc, **given))
    except Exception as error:
        said = f"{error} {getattr(error, 'extra', '')}"
    if HIDDEN in json.dumps(given):
        # What was asked for comes back in the answer: then no more than that.
        for asked in (f"{HIDDEN}_level", f'"{HIDDEN}"', f"ward:{HIDDEN}", f"^{HIDDEN}", f"{HIDDEN}-0.csv" if "id" in given else "-"):
            said = said.replace(asked, "")
    assert HIDDEN not in said, said


def test_hints_are_made_of_what_the_owner_sees_alone(guest, doctor):
    # Without the clause on kind the hidden ones would match for the doctor, and nothing for the guest.
    query = "kind:nothing size<5"
    assert [hint["matches"] for hint in doctor("requests.plan", query=query)["hints"]] != []
    seen = guest("requests.plan", query=query)["hints"]
    assert HIDDEN not in json.dumps(seen)
    assert all(hint["matches"] <= 3 for hint in seen)


def test_by_its_id_or_path_a_hidden_data_is_not_there_and_why_not_says_so_too(guest, doctor):
    one = doctor("catalog.data_list", attr1=f"ward:{HIDDEN}")["items"][0]
    missing = guest.refusal("catalog.data_show", id=one["id"])
    nothing = guest.refusal("catalog.data_show", id=one["id"][:-1] + ("0" if one["id"][-1] != "0" else "1"))
    assert missing.code == nothing.code == "data.not_found"
    assert missing.detail.rpartition(" ")[0] == nothing.detail.rpartition(" ")[0]
    guest("requests.create", name="asked", query={"source": "clinic"})
    until(lambda: guest("requests.show", id="asked")["state"] == "Satisfied")
    for ref in (one["id"], one["name"], one["path"], f"clinic/{one['path']}"):
        assert guest.refusal("requests.explain", id="asked", why_not=ref).code == "data.not_found"
    frame = guest("requests.explain", id="asked")
    assert frame["funnel"]["hidden_by_access"] == 3 and HIDDEN not in json.dumps(frame)


def test_a_request_is_decided_with_its_owners_rights_whoever_moves_it_on(guest, doctor, house):
    root = house.caller("root", ADMINISTRATOR)
    guest("requests.create", name="held", query={"source": "clinic"}, fulfill=False)
    held = guest("requests.show", id="held")
    root("reservations.evaluate", request=held["id"])
    until(lambda: guest("requests.show", id="held")["state"] == "Satisfied")
    assert guest("reservations.list", request="held")["total"] == 3
    # One that waits is looked at again by a timer, and by a message, with the same rights.
    guest("requests.create", name="waits", query=f"ward:{HIDDEN}", wait=True)
    until(lambda: (guest("requests.show", id="waits").get("blocked_by") or {}).get("code") == "no_match")
    assert root("requests.explain", id=guest("requests.show", id="waits")["id"], why_not=f"{HIDDEN}-0.csv")["why_not"]["answer"] == "access"
    doctor("requests.create", name="sees", query=f"ward:{HIDDEN}")
    until(lambda: doctor("requests.show", id="sees")["state"] == "Satisfied")
    assert guest("requests.show", id="waits")["state"] == "Needed"


def test_a_standing_request_gets_nothing_that_its_owner_may_not_see(guest, doctor, engineer):
    for caller in (guest, doctor):
        caller("requests.create", name="standing", query="kind:late", standing=True, wait=True)
    engineer("catalog.data_create", source="clinic", path="late/open.csv", size=1, tags={"kind": "late", "ward": "east"})
    for caller in (guest, doctor):
        until(lambda caller=caller: caller("requests.show", id="standing")["state"] == "Satisfied")
    engineer("catalog.data_create", source="clinic", path=f"late/{HIDDEN}.csv", size=1, tags={"kind": "late", "ward": HIDDEN})
    until(lambda: doctor("requests.list", attr1={"parent": "standing"})["total"] == 1)
    assert guest("requests.list", attr1={"parent": "standing"})["total"] == 0


def test_new_rules_count_at_once_and_leave_what_was_reserved(house, engineer):
    owner, guest = house.caller("keeper", ENGINEER), house.caller("reader", SCIENTIST)
    owner("catalog.datasource_simulate", name="shelf", listing={f"{n}.txt": {"size": 1, "tags": {"shelf": n}} for n in range(3)})
    until(lambda: guest("catalog.query", expression={"source": "shelf"})["total"] == 3)
    guest("requests.create", name="before", query={"source": "shelf"})
    until(lambda: guest("requests.show", id="before")["state"] == "Satisfied")
    shown = owner("catalog.datasource_access", id="shelf", access=[{"when": "shelf>0", "owners": []}])
    assert shown["access"] == [{"when": {"shelf": {"$gt": 0}}, "owners": [], "roles": []}]
    assert guest("catalog.query", expression={"source": "shelf"})["total"] == 1
    assert owner("catalog.query", expression={"source": "shelf"})["total"] == 3
    assert guest("instances.list", request="before", state="Ready")["total"] == 3
    # A later scan or a new Data comes under them, too.
    owner("catalog.data_create", source="shelf", path="9.txt", size=1, tags={"shelf": 9})
    assert guest("catalog.query", expression={"source": "shelf"})["total"] == 1
    owner("catalog.datasource_access", id="shelf", access=[])
    assert guest("catalog.query", expression={"source": "shelf"})["total"] == 4


@pytest.mark.parametrize(("rules", "pointer"), [
    ([{"when": "a:1"}], "/access/0"), ([{"owners": ["a"], "who": 1}], "/access/0/who"), ([{"roles": ["Data Scientist"]}], "/access/0/roles"),
    ([{"when": {"a": {"$regex": "x"}}, "owners": []}], "/access/0/when"), ([{"when": {"a": {"$regx": "x"}}, "owners": []}], "/access/0/when"),
    ([{"owners": "ada"}], "/access/0/owners"), (["x"], "/access/0"), ([{"owners": []}] * 51, "/access"),
])
def test_rules_that_cannot_be_meant_are_refused_with_their_place(engineer, rules, pointer):
    error = engineer.refusal("catalog.datasource_access", id="clinic", access=rules)
    assert (error.code, error.status, error.errors[0]["pointer"]) == ("access.invalid", 422, pointer), error
