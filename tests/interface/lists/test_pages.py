"""Pages of a list: order, cursors and totals, on both databases."""
from __future__ import annotations

import base64
import functools
from typing import Any

import orjson
import pytest

from shared.contracts.objects import OBJECTS
from shared.kernel.errors import EdgemereError, Invalid, Malformed
from shared.kernel.ids import new_id
from shared.lists import Estimate, envelope
from shared.lists import lister as listers
from shared.query.parse import parse
from shared.storage.database import Database
from tests.interface.lists.conftest import INSTANCE, LISTER, all_pages, render

ORDERS = ["id", "-id", "name", "-name", "created_at", "-created_at,name", "bytes_total", "-bytes_total,-name", "workload,-bytes_total",
          "pinned,-id", "source,workload", "-reference,created_at", "state,name", "expires_at"]


def expected(rows: list[dict[str, Any]], sort: str) -> list[str]:
    """The ids in the order that the words ask for: by code point, missing values last, ties by id."""
    keys = sort.split(",")
    if "id" not in [key.lstrip("-") for key in keys]:
        keys.append("-id" if keys[-1].startswith("-") else "id")

    def value(row: dict[str, Any], key: str) -> Any:
        found = render(row)[key]
        return found["name"] if isinstance(found, dict) else found

    def compare(a: dict[str, Any], b: dict[str, Any]) -> int:
        for key in keys:
            x, y = value(a, key.lstrip("-")), value(b, key.lstrip("-"))
            if x == y:
                continue
            if x is None or y is None:
                return 1 if x is None else -1
            return (1 if x > y else -1) * (-1 if key.startswith("-") else 1)
        return 0

    return [row["id"] for row in sorted(rows, key=functools.cmp_to_key(compare))]


@pytest.mark.parametrize("sort", ORDERS)
def test_pages_of_any_order_hold_every_row_once_and_in_that_order(database: Database, rows: list, sort: str) -> None:
    for limit in (7, 60, 61):
        found, totals = all_pages(database, {"sort": sort, "limit": limit}, owner="ann")
        assert [row["id"] for row in found] == expected(rows, sort)
        assert set(totals) == {60}


def test_a_page_ends_where_the_list_ends(database: Database, rows: list) -> None:
    with database.reading() as connection:
        page, following, total = LISTER.page(connection, {"limit": 60}, owner="ann")
    assert (len(page), following, total) == (60, None, 60)
    assert set(page[0]) == {column.name for column in INSTANCE.table.columns}


def test_rows_that_come_and_go_do_not_shift_the_pages(database: Database, rows: list) -> None:
    with database.reading() as connection:
        page, following, _ = LISTER.page(connection, {"limit": 30}, owner="ann")
    with database.transaction() as uow:
        uow.destroy(INSTANCE, [page[3], page[29]])
        uow.create(INSTANCE, [{"id": new_id("datainstance"), "owner": "ann", "name": "late"}])
    with database.reading() as connection:
        rest, end, total = LISTER.page(connection, {"limit": 40, "cursor": following}, owner="ann")
    assert [row["id"] for row in rest[:30]] == [row["id"] for row in rows[30:]]
    assert [row["name"] for row in rest[30:]] == ["late"]
    assert (end, total) == (None, 59)


def test_a_cursor_goes_on_in_its_own_order_when_none_is_named(database: Database, rows: list) -> None:
    with database.reading() as connection:
        _, following, _ = LISTER.page(connection, {"limit": 20, "sort": "-name"}, owner="ann")
        page, _, _ = LISTER.page(connection, {"limit": 20, "cursor": following}, owner="ann")
    assert [row["id"] for row in page] == expected(rows, "-name")[20:40]


@pytest.mark.parametrize("change", [
    {"sort": "name"}, {"state": "Ready"}, {"attr1": "attempt:3"}, {"workload": "w0"},
])
def test_a_cursor_of_another_list_or_order_is_refused(database: Database, rows: list, change: dict) -> None:
    with database.reading() as connection:
        _, following, _ = LISTER.page(connection, {"limit": 5, "sort": "-name"}, owner="ann")
        with pytest.raises(Invalid) as refusal:
            LISTER.page(connection, {"limit": 5, "sort": "-name", "cursor": following, **change}, owner="ann")
        assert refusal.value.code == "cursor.invalid"
        with pytest.raises(Invalid):
            LISTER.page(connection, {"limit": 5, "cursor": following}, owner="bob")


def test_a_cursor_that_was_changed_is_refused(database: Database, rows: list) -> None:
    with database.reading() as connection:
        _, following, _ = LISTER.page(connection, {"limit": 5, "sort": "bytes_total"}, owner="ann")
        body = orjson.loads(base64.urlsafe_b64decode(following + "=="))
        forged = [{**body, "after": ["no number", body["after"][1]]}, {**body, "after": [None]}, {**body, "sum": 1},
                  {"after": []}, [], 7, {**body, "after": [2**70, "x"]}]
        spellings = [base64.urlsafe_b64encode(orjson.dumps(one) if one != forged[-1] else b'{"of":').decode() for one in forged]
        for text in [*spellings, "x", "é", "\x00", following[:-4], following[5:], "A" * 9000]:
            with pytest.raises(Malformed) as refusal:
                LISTER.page(connection, {"sort": "bytes_total", "cursor": text}, owner="ann")
            assert refusal.value.code == "cursor.invalid"


def test_a_cursor_forged_with_a_right_sum_still_cannot_reach_the_database(database: Database, rows: list) -> None:
    from shared.lists import cursor

    with database.reading() as connection:
        _, following, _ = LISTER.page(connection, {"limit": 5, "sort": "bytes_total"}, owner="ann")
        body = orjson.loads(base64.urlsafe_b64decode(following + "=="))
        for after in (["text", "x"], [1.5, 7], [True, "x"], [1], [1, "a\x00"]):
            with pytest.raises(Malformed):
                LISTER.page(connection, {"cursor": cursor.write(body["of"], body["sort"], after)}, owner="ann")
        with pytest.raises(EdgemereError) as refusal:
            LISTER.page(connection, {"cursor": cursor.write(body["of"], "nothing", [1])}, owner="ann")
        assert refusal.value.code == "sort.invalid"


@pytest.mark.parametrize(("sort", "near"), [("nmae", "name"), ("-Created_at", "created_at"), ("access", None), ("data", None)])
def test_an_order_that_does_not_exist_is_refused_with_the_nearest(database: Database, rows: list, sort: str, near: str) -> None:
    with database.reading() as connection, pytest.raises(Invalid) as refusal:
        LISTER.page(connection, {"sort": sort})
    assert refusal.value.code == "sort.invalid"
    if near:
        assert f"Did you mean '{near}'?" in refusal.value.detail


def test_what_memory_decides_is_paged_like_the_rest(database: Database, rows: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listers, "STRETCH", 7)
    wanted = [row["id"] for row in rows if row["name"].lower().startswith("z")]
    for limit in (1, 4, len(wanted), 50):
        found, totals = all_pages(database, {"attr1": {"name": {"$regex": "^[zZ]"}}, "limit": limit}, owner="ann")
        assert [row["id"] for row in found] == wanted
        assert set(totals) == {len(wanted)}
    assert all_pages(database, {"attr1": {"name": {"$regex": "^nothing"}}}, owner="ann") == ([], [0])


def test_a_search_through_memory_is_bounded_and_says_that_its_total_is_an_estimate(
    database: Database, rows: list, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listers, "STRETCH", 5)
    monkeypatch.setattr(listers, "LOOKED_AT", 10)
    monkeypatch.setattr(listers, "COUNTED", 20)
    wanted = [row["id"] for row in rows if row["name"].endswith("9")]
    found, totals = all_pages(database, {"attr1": {"name": {"$regex": "9$"}}, "limit": 50}, owner="ann")
    assert [row["id"] for row in found] == wanted
    assert len(totals) == 6
    assert isinstance(totals[0], Estimate)
    assert envelope([], None, totals[0]) == {"items": [], "next": None, "total": totals[0], "total_is_estimate": True}


def test_an_answer_is_rendered_in_the_shape_of_the_contract(database: Database, rows: list) -> None:
    with database.reading() as connection:
        answer = LISTER.answer(connection, {"limit": 2, "sort": "name"}, owner="ann")
    assert list(answer) == ["items", "next", "total"]
    assert answer["total"] == 60
    assert [item["id"] for item in answer["items"]] == expected(rows, "name")[:2]
    assert set(answer["items"][0]) <= {attribute.name for attribute in OBJECTS["datainstance"].attributes}


def test_a_query_that_was_parsed_already_is_the_same_list_as_its_json(database: Database, rows: list) -> None:
    with database.reading() as connection:
        for given in ({}, {"bytes_total": {"$gte": 0}}):
            query = parse(given, LISTER.fields)
            found, following, total = LISTER.page(connection, {"attr1": query, "limit": 5}, owner="ann")
            assert found and (found, following, total) == LISTER.page(connection, {"attr1": query.to_json(), "limit": 5}, owner="ann")
            assert LISTER.page(connection, {"attr1": query.to_json(), "cursor": following}, owner="ann")[0] == LISTER.page(
                connection, {"attr1": query, "cursor": following}, owner="ann")[0]
