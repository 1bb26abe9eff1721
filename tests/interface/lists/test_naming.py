"""Which row a ref means, on both databases."""
from __future__ import annotations

import pytest

from shared.kernel.context import Context
from shared.kernel.errors import Conflict, NotFound
from shared.kernel.ids import new_id
from shared.lists import resolve
from shared.lists.naming import ambiguous
from shared.storage.database import Database
from tests.interface.lists.conftest import INSTANCE, LISTER


def test_an_id_or_a_name_means_its_row(database: Database, rows: list) -> None:
    with database.reading() as connection:
        assert LISTER.resolve(connection, rows[45]["id"])["id"] == rows[45]["id"]
        assert LISTER.resolve(connection, rows[45]["name"], "ann")["id"] == rows[45]["id"]
        with pytest.raises(NotFound):
            LISTER.resolve(connection, rows[45]["id"], "bob")


def test_what_is_another_owners_is_not_there_and_of_equal_names_the_callers_own_is_meant(database: Database, rows: list) -> None:
    root = Context("bob", ("Administrator",))
    with database.transaction() as uow:
        own, = uow.create(INSTANCE, [{"id": new_id("datainstance"), "owner": "bob", "name": rows[45]["name"]}])
    with database.reading() as connection:
        assert LISTER.named(connection, rows[45]["name"], Context("ann", ("DataScientist",)))["id"] == rows[45]["id"]
        assert LISTER.named(connection, rows[45]["name"], root)["id"] == own["id"]
        assert LISTER.named(connection, rows[45]["id"], root)["owner"] == "ann"
        with pytest.raises(NotFound) as refusal:
            LISTER.named(connection, rows[45]["name"], Context("", ()))
        assert refusal.value.extra["nearest"] == []


def test_a_name_that_several_have_is_refused_with_the_candidates(database: Database, rows: list) -> None:
    double = [row for row in rows if row["name"] == rows[3]["name"]]
    assert len(double) == 2
    with database.reading() as connection, pytest.raises(Conflict) as refusal:
        resolve(connection, INSTANCE, rows[3]["name"])
    assert refusal.value.code == "datainstance.ambiguous"
    assert refusal.value.extra["candidates"] == [{"id": row["id"], "name": row["name"]} for row in double]


def test_candidates_say_what_tells_them_apart_and_nothing_that_does_not() -> None:
    rows = [{"id": f"data_{place}", "name": "x.csv", "owner": "ann", "source_name": place, "path": "in/x.csv"} for place in ("lab", "archive")]
    assert ambiguous(INSTANCE, "x.csv", rows).extra["candidates"] == [
        {"id": "data_lab", "name": "x.csv", "source": "lab"}, {"id": "data_archive", "name": "x.csv", "source": "archive"}]


def test_a_destroyed_one_is_found_only_when_asked_for_and_after_the_living(database: Database, rows: list) -> None:
    with database.transaction() as uow:
        uow.destroy(INSTANCE, [rows[50]])
    with database.reading() as connection:
        for ref in (rows[50]["id"], rows[50]["name"]):
            with pytest.raises(NotFound):
                LISTER.resolve(connection, ref)
            assert LISTER.resolve(connection, ref, destroyed=True)["destroyed_at"]
    with database.transaction() as uow:
        heir, = uow.create(INSTANCE, [{"id": new_id("datainstance"), "owner": "ann", "name": rows[50]["name"]}])
    with database.reading() as connection:
        assert LISTER.resolve(connection, rows[50]["name"], destroyed=True)["id"] == heir["id"]


def test_what_is_not_there_is_not_found_with_what_was_probably_meant(database: Database, rows: list) -> None:
    with database.reading() as connection:
        with pytest.raises(NotFound, match="Did you mean 'beta-59'") as refusal:
            LISTER.resolve(connection, "betta-59")
        assert refusal.value.code == "datainstance.not_found"
        with pytest.raises(NotFound, match="is the id of a datarequest"):
            LISTER.resolve(connection, new_id("datarequest"))
        for odd in ("a\x00b", "\ud800", "", "x" * 10_000):
            with pytest.raises(NotFound):
                LISTER.resolve(connection, odd)
