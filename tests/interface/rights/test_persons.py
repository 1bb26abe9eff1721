"""A person is told all that is kept of him, and is removed: afterwards his name stands nowhere but in the audit log."""
from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, text

from shared.contracts.table import SERVICES
from shared.lists import cursor as cursors
from tests.interface.rights.conftest import ADMINISTRATOR, DEVELOPER, ENGINEER, SCIENTIST, Caller, House
from tests.support.awaiting import until
from tests.support.postgres import plain_url

ANN = "annabel.nightingale"
QUOTED = 'o"neil'


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    server = request.getfixturevalue("postgres_server") if request.param == "postgresql" else None
    house = House(tmp_path_factory.mktemp("persons") / "data", server.create_database() if server else "", {"retention.removal_s": 0.3})
    yield house
    house.stop()


@pytest.fixture(scope="module")
def root(house: House) -> Caller:
    root = house.caller("root", ADMINISTRATOR, SCIENTIST, ENGINEER)
    # Of another owner, and names Ann among those who may see it.
    root("catalog.datasource_simulate", name="lab", listing={"a.csv": {"size": 1, "tags": {"on": "it"}}},
         access=[{"when": {}, "owners": ["ben", "carla", ANN, QUOTED]}])
    until(lambda: root("catalog.query", expression="on:it")["total"] == 1)
    ben = house.caller("ben", SCIENTIST)
    made = ben("requests.create", name="of-ben", query="on:it")
    until(lambda: ben("requests.show", id=made["id"])["state"] == "Satisfied")
    return root


def lives(house: House, root: Caller, name: str) -> Caller:
    """Somebody who leaves something in every service; one of his requests is open."""
    person = house.caller(name, SCIENTIST, DEVELOPER, ENGINEER)
    person("catalog.datasource_simulate", name=f"shelf-{len(name)}", listing={"b.csv": {"size": 1, "tags": {"of": "hers"}}})
    until(lambda: person("catalog.query", expression="of:hers")["total"])
    made = person("requests.create", key="once", query="on:it")
    until(lambda: person("requests.show", id=made["id"])["state"] == "Satisfied")
    person("instances.pin", id=person("instances.list", request=made["id"])["items"][0]["id"], reason="needed")
    person("requests.datareference_create", name="kept", query="of:hers")
    person("events.apikey_create", name="nightly")
    root("events.apikey_create", owner=name, name="given")
    person("events.send", event="datarequest.needed", obj="nowhere-at-all")
    until(lambda: person("events.dead_list")["total"])
    return person


def ends(person: Caller) -> None:
    for one in person("instances.list", owner=person.owner)["items"]:
        person("instances.unpin", id=one["id"])
    for one in person("requests.list")["items"]:
        person("requests.complete", id=one["id"])
    for one in person("requests.datareference_list")["items"]:
        person("requests.datareference_destroy", id=one["id"])
    for one in person("instances.list", owner=person.owner)["items"]:
        person("instances.destroy", id=one["id"])


def mentions(house: House, name: str) -> dict[str, str]:
    """Every row of every table of every service in which a text stands: the table, and one of them."""
    found, escaped = {}, json.dumps(name)[1:-1]
    for service, table, row in rows(house):
        if table != "outbox" and any(one in row for one in (name, escaped, escaped.replace("\\", "\\\\"))):
            found[f"{service}.{table}"] = row
    return found


def rows(house: House) -> Iterator[tuple[str, str, str]]:
    if not house.database:
        for service in SERVICES:
            with closing(sqlite3.connect(f"file:{house.folder / f'{service}.db'}?mode=ro", uri=True)) as connection:
                for table, in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                    yield from ((service, table, repr(row)) for row in connection.execute(f'SELECT * FROM "{table}"').fetchall())
        return
    engine = create_engine(plain_url(house.database).replace("postgresql://", "postgresql+psycopg2://"))
    with engine.connect() as connection:
        for service in SERVICES:
            for table in inspect(connection).get_table_names(schema=service):
                yield from ((service, table, repr(row)) for row in connection.execute(text(f'SELECT * FROM {service}."{table}"')))
    engine.dispose()


def everything(person: Caller, **asked: Any) -> list[dict[str, Any]]:
    found, cursor = [], None
    while True:
        page = person("events.person_export", limit=3, cursor=cursor, **asked)
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            return found


@pytest.mark.parametrize("name", [ANN, QUOTED])
def test_a_person_is_removed_once_nothing_of_his_is_open_and_his_name_is_nowhere_then(house, root, name):
    person = lives(house, root, name)
    before = mentions(house, "ben")
    assert len({table.split(".")[0] for table in mentions(house, name)}) == 5
    # What is open is ended by somebody who knows what for; a preview changes nothing.
    refused = root.refusal("events.person_remove", owner=name)
    assert (refused.code, refused.status) == ("person.in_use", 409)
    assert refused.extra["open"] == {"datareference": 1, "datarequest": 1, "datainstance": 1}
    ends(person)
    preview = root("events.person_remove", owner=name, preview=True)
    assert preview["state"] == "Preview" and preview["open"] == {} and preview["credentials"] == 2
    assert preview["kept"]["requests"]["datarequest"] == 1 and person("requests.list")["total"] == 1
    # Done again until it is over: what was on its way is found by then.
    first = root("events.person_remove", owner=name)
    assert first["state"] in ("Removing", "Removed") and first["replaced"]["requests"]["datarequest"] == 1 and first["alias"].startswith("removed-")
    until(lambda: removed(root, name), limit_s=120, pause_s=0.4)
    assert mentions(house, name) == {}
    # Nothing of it can be got at, by him or about him; and it is there, under another name.
    assert person("requests.list")["total"] == 0 and root("events.apikey_list", owner=name)["total"] == 0
    assert root("requests.list", owner=first["alias"])["total"] == 1
    assert mentions(house, "ben").keys() == before.keys()
    assert house.caller("ben", SCIENTIST)("requests.list")["items"][0]["state"] == "Satisfied"
    assert root("catalog.datasource_show", id="lab")["access"][0]["owners"][0] == "ben"


def removed(root: Caller, name: str) -> bool:
    """Whether the removal is over; asked again, it goes on."""
    try:
        return root("events.person_remove", owner=name)["state"] == "Removed"
    except Exception as error:
        return getattr(error, "code", "") == "person.not_found"


def test_a_person_gets_all_that_is_kept_of_him_and_nothing_of_anybody_else(house, root):
    person = lives(house, root, "carla")
    found = everything(person)
    assert {(one["service"], one["table"]) for one in found} >= {
        ("requests", "datarequest"), ("requests", "datareference"), ("reservations", "datareservation"), ("instances", "datainstance"),
        ("catalog", "datasource"), ("catalog", "data"), ("events", "apikey"), ("events", "notice"), ("events", "event"), ("events", "deadletter")}
    assert {one["row"].get("owner") for one in found} - {None} == {"carla"}
    assert not [one for one in found if "digest" in one["row"]] and len({repr(one) for one in found}) == len(found)
    assert person.refusal("events.person_export", owner="ben").code == "person.denied"
    assert person.refusal("events.person_show", owner="ben").code == "person.denied"
    assert everything(root, owner="carla") == everything(person)
    # A cursor is input like any other.
    of = cursors.fingerprint("person", "carla")
    for place in ([0, "x"], [0, 99], [0, -1], [0, 0, 5], [0, 0, "a", "b"], [True, 0], [9], [4, 0, "not\0a key"], [0, True]):
        assert person.refusal("events.person_export", cursor=cursors.write(of, "", place)).code == "cursor.invalid", place
    shown = person("events.person_show")
    assert shown["open"]["datarequest"] == 1 and shown["kept"]["events"]["apikey"] == 2


def test_nobody_removes_himself_and_only_an_administrator_removes_anybody(house, root):
    assert root.refusal("events.person_remove", owner="root").code == "person.oneself"
    assert root.refusal("events.person_remove", owner="nobody-of-this-name").code == "person.not_found"
    assert house.caller("ben", SCIENTIST, ENGINEER).refusal("events.person_remove", owner="carla").code == "denied"
