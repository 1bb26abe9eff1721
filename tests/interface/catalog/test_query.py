"""What a query finds, counts and warns of."""
from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event

from services.catalog import search
from shared.kernel.errors import Invalid, Malformed
from tests.interface.catalog.world import Catalogue


@pytest.fixture
def lab(catalogue: Catalogue) -> Catalogue:
    source = catalogue.source(location="Oslo", cost={"per_gib_out": 1.5})
    catalogue.holding(source, *({"path": f"d{number % 3}/f{number}.csv", "size": number, "tags": {
        "owner": "darren" if number % 2 else "ada", "n": number}} for number in range(30)))
    return catalogue


def test_the_funnel_adds_up_to_the_total(lab: Catalogue) -> None:
    page = lab.call("query", expression="owner:darren n>=20 name:f2*", limit=2)
    assert page["funnel"]["base"] == 30
    assert [(step["clause"], step["remaining"]) for step in page["funnel"]["steps"]] == [
        ("owner:darren", 15), ("n>=20", 5), ("name:f2*", 5)]
    assert page["total"] == 5 and len(page["items"]) == 2 and page["next"]


def test_pages_give_everything_once_in_one_order(lab: Catalogue) -> None:
    for sort in (None, "-size", "path,size"):
        seen, cursor = [], None
        while True:
            page = lab.call("query", expression="owner:darren", limit=4, cursor=cursor, sort=sort, funnel=cursor is None)
            seen += [item["id"] for item in page["items"]]
            assert page["total"] == 15
            cursor = page["next"]
            if cursor is None:
                break
        assert len(seen) == len(set(seen)) == 15


def test_a_cursor_belongs_to_its_query(lab: Catalogue) -> None:
    cursor = lab.call("query", expression="owner:darren", limit=4)["next"]
    with pytest.raises(Invalid, match="cursor.invalid"):
        lab.call("query", expression="owner:ada", limit=4, cursor=cursor)
    with pytest.raises(Malformed, match="cursor.invalid"):
        lab.call("query", cursor="nonsense")


def test_an_item_says_where_it_lies_and_the_page_what_its_sources_are(lab: Catalogue) -> None:
    page = lab.call("query", expression={"n": 7})
    item, = page["items"]
    assert item["name"] == "f7.csv" and item["location"] == "Oslo" and item["tags"] == {"owner": "darren", "n": 7}
    source = page["sources"][item["source"]["id"]]
    assert (source["name"], source["cost"], source["writable"], source["state"]) == ("lab", {"per_gib_out": 1.5}, True, "Ready")


def test_a_source_is_named_by_name_or_id(lab: Catalogue) -> None:
    source = lab.call("datasource_show", id="lab")
    assert len(lab.found("source:lab")) == len(lab.found({"source": source["id"]})) == 30
    assert lab.found("source:other") == []


def test_a_tag_that_no_data_has_is_a_warning(lab: Catalogue) -> None:
    page = lab.call("query", expression="ownr:darren")
    assert page["total"] == 0
    warning, = page["warnings"]
    assert (warning["code"], warning["field"], warning["nearest"]) == ("unknown_tag", "ownr", ["owner"])


@pytest.mark.parametrize("expression", ['owner:"dar*"', {"owner": "dar*"}, {"owner": {"$in": ["dar*"]}}])
def test_a_star_that_stands_for_itself_is_a_warning_where_nothing_is_found(lab: Catalogue, expression: Any) -> None:
    page = lab.call("query", expression=expression)
    warning, = page["warnings"]
    assert page["total"] == 0 and (warning["code"], warning["field"]) == ("no_pattern", "owner")
    assert "$like" in warning["detail"] and '"dar*"' in warning["detail"]
    found = lab.call("query", expression="owner:dar*")
    assert found["total"] and not found["warnings"]


def test_data_of_a_source_out_of_use_does_not_match(lab: Catalogue) -> None:
    other = lab.source("other")
    lab.holding(other, {"path": "x.csv", "tags": {"owner": "darren"}})
    lab.call("datasource_suspend", id="lab")
    page = lab.call("query", expression="owner:darren")
    assert [item["path"] for item in page["items"]] == ["x.csv"]
    assert page["funnel"]["base"] == 1 and page["total"] == 1
    warning, = page["warnings"]
    assert warning["code"] == "source_out_of_use" and "'lab' (Suspended)" in warning["detail"]
    lab.messages()
    lab.call("datasource_resume", id="lab")
    assert [message["name"] for message in lab.messages("capacity.freed")] == ["capacity.freed"]
    assert lab.call("query")["total"] == 31
    lab.call("datasource_shutdown", id="lab")
    assert lab.call("query")["total"] == 1


def test_a_regular_expression_looks_at_what_the_rest_leaves(lab: Catalogue) -> None:
    page = lab.call("query", expression={"owner": "ada", "name": {"$regex": "^f1.\\."}})
    assert page["total"] == 5 and page["funnel"]["steps"][-1]["remaining"] == 5 and not page["funnel"]["estimate"]


def test_an_error_names_the_place_and_what_was_meant(lab: Catalogue) -> None:
    with pytest.raises(Malformed) as refusal:
        lab.call("query", expression={"name": {"$regx": "a"}})
    assert refusal.value.code == "query.unknown_operator" and "$regex" in str(refusal.value)
    assert refusal.value.errors[0]["pointer"] == "/expression/name/$regx"
    with pytest.raises(Invalid, match="sort.invalid"):
        lab.call("query", sort="siz")


def test_data_is_listed_and_found_by_name_id_and_query(lab: Catalogue) -> None:
    assert lab.call("data_list", limit=5)["total"] == 30
    one, = lab.call("data_find", attr1="f7.csv")["items"]
    assert lab.call("data_find", attr1=one["id"])["items"] == [one] == [lab.call("data_show", id="f7.csv")]
    assert lab.call("data_find", attr1="owner:ada n<4", source="lab")["total"] == 2
    assert lab.call("data_list", path="d1/f7.csv")["total"] == 1


def test_what_is_typed_is_completed_with_fields_and_values_that_exist(lab: Catalogue) -> None:
    def offered(**complete: str) -> dict[str, int | None]:
        return {item["text"]: item["count"] for item in lab.call("query", complete=complete)["completions"]}
    assert offered(field="o") == {"owner": None}
    assert list(offered(field="")) [:2] == ["id", "name"] and {"owner", "n", "size"} <= set(offered(field=""))
    assert "owner" in offered(field="ownr")
    assert offered(value="", of="owner") == {"ada": 15, "darren": 15}
    assert offered(value="d", of="owner") == offered(value="d", of="tags.owner") == {"darren": 15}
    assert offered(value="x", of="owner") == offered(value="", of="no.such.tag") == {}
    assert offered(value="f1", of="name") == {name: 1 for name in ("f1.csv", *(f"f1{n}.csv" for n in range(10)))}
    assert offered(value="l", of="source") == {"lab": None} and offered(value="", of="location") == {"Oslo": None}
    assert offered(value="f", of="type") == {"file": None}
    for wrong in ({}, {"value": "a"}, {"field": 3}, {"field": "a", "also": "b"}):
        with pytest.raises(Invalid, match="parameter.invalid"):
            lab.call("query", complete=wrong)


def test_a_query_is_a_statement_for_its_basis_one_for_its_page_and_one_for_its_sources(lab: Catalogue) -> None:
    asked: list[str] = []
    event.listen(lab.engine, "before_cursor_execute", lambda connection, cursor, statement, *more: asked.append(statement))
    for owner in ("ada", "darren"):
        del asked[:]
        assert len(lab.call("query", expression=f"owner:{owner} n>=0", funnel=False)["items"]) == 15
        assert len(asked) == 3
    del asked[:]
    found = search.query_all(lab.uses, ["owner:darren", "n>=20", "owner:", "owner:ada"], 100)
    assert [one and one["total"] for one in found] == [15, 10, None, 15]
    assert len(asked) == 1 + 3 + 1


def test_a_query_that_was_asked_before_leaves_out_a_source_from_the_moment_when_it_is_suspended(lab: Catalogue) -> None:
    other = lab.source("other")
    lab.holding(other, {"path": "x.csv", "size": 1, "tags": {"owner": "ada"}})
    for _ in range(2):
        for expected, action in ((16, "datasource_suspend"), (15, "datasource_resume")):
            assert len(lab.found("owner:ada")) == expected
            lab.call(action, id=other["id"])
