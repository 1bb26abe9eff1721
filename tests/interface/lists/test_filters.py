"""What lists and finds leave in: filters, attr1, destroyed objects, owners, on both databases."""
from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, Table

from shared.contracts.objects import OBJECTS
from shared.kernel.errors import Invalid, Malformed, NotFound
from shared.kernel.ids import new_id
from shared.lists import Lister, fieldset
from shared.storage.database import Database
from shared.storage.record import Record
from shared.storage.schema import Word, object_columns
from sqlalchemy import MetaData
from tests.interface.lists.conftest import INSTANCE, LISTER, TABLE, all_pages


def names(database: Database, parameters: dict[str, Any], **more: Any) -> list[str]:
    return sorted(row["id"] for row in all_pages(database, parameters, **more)[0])


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(row["id"] for row in rows)


def test_a_ref_is_filtered_by_its_name_or_its_id(database: Database, rows: list) -> None:
    in_lab = [row for row in rows if row["at_name"] == "lab"]
    assert names(database, {"source": "lab"}, owner="ann") == ids(in_lab)
    assert names(database, {"source": in_lab[0]["at_id"]}, owner="ann") == ids(in_lab)
    assert names(database, {"source": new_id("datasource")}) == []
    assert names(database, {"reference": "training", "source": "lab"}) == ids([row for row in in_lab if row["reference_id"]])


def test_several_states_are_named_with_commas_in_any_case(database: Database, rows: list) -> None:
    assert names(database, {"state": "Ready"}) == ids(rows[:10])
    assert names(database, {"state": "ready, PROVISIONING"}) == ids(rows)


def test_a_state_that_does_not_exist_is_refused_with_the_nearest(database: Database, rows: list) -> None:
    for given in ("Redy", "Ready,Redy", "", "Ready,,Broken"):
        with database.reading() as connection, pytest.raises(Invalid) as refusal:
            LISTER.page(connection, {"state": given})
        assert refusal.value.code == "parameter.invalid"
        assert refusal.value.errors[0]["pointer"] == "/state"
    with database.reading() as connection, pytest.raises(Invalid, match="Did you mean 'Ready'"):
        LISTER.page(connection, {"state": "Redy"})


def test_text_that_no_database_can_hold_is_refused_and_not_asked_for(database: Database, rows: list) -> None:
    for parameters in ({"name": "a\x00"}, {"workload": "\ud800"}, {"source": "\x00"}, {"attr1": "a\x00"}):
        with database.reading() as connection, pytest.raises(Invalid) as refusal:
            LISTER.page(connection, parameters)
        assert refusal.value.code == "parameter.invalid"


def test_attr1_is_an_exact_name_first_whatever_is_in_it(database: Database, rows: list) -> None:
    with database.transaction() as uow:
        odd, = uow.create(INSTANCE, [{"id": new_id("datainstance"), "owner": "ann", "name": "state:Ready"}])
    assert names(database, {"attr1": "state:Ready"}) == [odd["id"]]
    assert names(database, {"attr1": "state:Ready"}, owner="bob") == []
    assert names(database, {"attr1": " " + rows[40]["name"] + " "}) == [rows[40]["id"]]
    assert names(database, {"attr1": rows[3]["id"]}) == [rows[3]["id"]]


def test_attr1_is_a_query_over_the_fields_when_it_is_no_name(database: Database, rows: list) -> None:
    cases: list[tuple[Any, Any]] = [
        ("source:lab", lambda row: row["at_name"] == "lab"),
        ({"source": rows[0]["at_id"]}, lambda row: row["at_id"] == rows[0]["at_id"]),
        ("bytes_total>5TiB", lambda row: (row["bytes_total"] or 0) > 5 * 2**40),
        ('{"bytes_total": null, "pinned": true}', lambda row: row["bytes_total"] is None and row["pinned"]),
        ({"access.size": {"$gte": 58}}, lambda row: row["access"][0]["size"] >= 58),
        ({"attempt": 3, "pinned": True}, lambda row: row["pinned"]),
        ("created_at>=2026-11-24T10:00:06Z -source:lab", lambda row: row["created_at"][18] == "6" and row["at_name"] != "lab"),
        ({}, lambda row: True),
        ("  ", lambda row: True),
    ]
    for expression, expected in cases:
        assert names(database, {"attr1": expression}, owner="ann") == ids([row for row in rows if expected(row)]), expression


def test_a_plain_name_or_id_that_is_not_there_is_not_found_and_a_query_without_matches_is_empty(
    database: Database, rows: list,
) -> None:
    for missing in ("alpha-99", new_id("datainstance"), new_id("datarequest"), "two words"):
        with database.reading() as connection, pytest.raises(NotFound) as refusal:
            LISTER.page(connection, {"attr1": missing})
        assert refusal.value.code == "datainstance.not_found"
    with database.reading() as connection, pytest.raises(NotFound) as refusal:
        LISTER.page(connection, {"attr1": "alpah-0"})
    assert "alpha-0" in refusal.value.extra["nearest"]
    assert names(database, {"attr1": "name:alpha-99"}) == []
    with database.reading() as connection, pytest.raises(Malformed) as unknown:
        LISTER.page(connection, {"attr1": "nmae:x"})
    assert unknown.value.code == "query.unknown_field"


@pytest.mark.parametrize("query", ["state:ready", "-state:ready", "name:a state:Ready,ready", {"$or": [{"state": {"$in": ["Ready", "ready"]}}, {"name": "x"}]}])
def test_a_query_for_a_state_that_the_class_does_not_have_is_refused_with_the_one_meant(database: Database, query: Any) -> None:
    with database.reading() as connection, pytest.raises(Malformed) as refused:
        LISTER.page(connection, {"attr1": query})
    assert refused.value.code == "query.bad_operand" and "Did you mean 'Ready'?" in refused.value.detail
    assert refused.value.errors[0]["pointer"] == "/attr1" and "Provisioning" in refused.value.next_step
    assert names(database, {"attr1": "state:*eady"}) == names(database, {"attr1": "state:Ready"})


def test_destroyed_objects_are_hidden_unless_the_state_asks_for_them(database: Database, rows: list) -> None:
    with database.transaction() as uow:
        uow.destroy(INSTANCE, rows[:4])
    gone, there = ids(rows[:4]), ids(rows[4:])
    assert names(database, {}, owner="ann") == there
    assert names(database, {"state": "Destroyed"}) == gone
    assert names(database, {"state": "Destroyed,Ready"}) == ids(rows[:10])
    assert names(database, {"attr1": "state:Destroyed"}) == gone
    assert names(database, {"attr1": "state:Ready,Destroyed"}) == ids(rows[:10])
    assert names(database, {"attr1": "-state:Destroyed"}, owner="ann") == there
    assert names(database, {"attr1": rows[0]["name"], "state": "Destroyed"}) == [rows[0]["id"]]
    with database.reading() as connection, pytest.raises(NotFound, match="was destroyed"):
        LISTER.page(connection, {"attr1": rows[0]["id"]})


def test_an_owner_sees_only_their_own_and_where_narrows_further(database: Database, rows: list) -> None:
    everybody, totals = all_pages(database, {"limit": 1000})
    assert len(everybody) == 61 and totals == [61]
    assert {row["owner"] for row in all_pages(database, {}, owner="bob")[0]} == {"bob"}
    assert names(database, {}, where=TABLE.c.workload == "w0", owner="ann") == ids([row for row in rows if row["workload"] == "w0"])


def test_a_filter_without_a_column_is_said_when_the_lister_is_made() -> None:
    table = Table("datainstance", MetaData(), *object_columns(), Column("name", Word), Column("state", Word))
    with pytest.raises(ValueError, match="reference, request, source, workload"):
        Lister(Record("datainstance", table, dict, INSTANCE.net))


def test_every_class_has_a_field_set() -> None:
    for noun in OBJECTS:
        assert fieldset(noun).noun == noun
