"""What the tag index holds of a Data: one small row per value, and nothing that a database refuses."""
from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.query.tag_index import BOOLEAN, LIST, NULL, NUMBER, OBJECT, TEXT, TEXT_BOUND, TIME, tag_rows


def entries(tags: dict[str, Any]) -> set[tuple]:
    return {(row["key"], row["kind"], row["text"], row["number"]) for row in tag_rows("d", tags)}


def test_each_value_has_a_row_of_its_type() -> None:
    assert entries({"t": "x", "n": 1.5, "w": 2.0, "b": True, "z": None, "d": "1970-01-01T00:00:01Z", "o": {"k": "v"}}) == {
        ("t", TEXT, "x", None), ("n", NUMBER, None, 1.5), ("w", NUMBER, None, 2), ("b", BOOLEAN, None, 1), ("z", NULL, None, 0),
        ("d", TIME, "1970-01-01T00:00:01Z", 1_000_000), ("o", OBJECT, None, 0), ("o.k", TEXT, "v", None),
    }


def test_a_list_has_its_length_and_each_different_element_once() -> None:
    rows = tag_rows("d", {"a": ["x", "x", 1, True, {"k": 1}, {"k": 2}, [9]]})
    assert [(row["key"], row["kind"], row["text"], row["number"]) for row in rows if row["kind"] == LIST] == [("a", LIST, None, 7)]
    assert [row["number"] for row in rows if row["key"] == "a.k"] in ([1, 2], [2, 1])
    assert sum(row["text"] == "x" for row in rows) == 1 and not any(row["number"] == 9 for row in rows)


def test_long_texts_and_names_leave_small_rows_that_are_still_told_apart() -> None:
    (one,), (two,) = tag_rows("d", {"k" * 500: "v" * 1000}), tag_rows("d", {"k" * 499 + "l": "v" * 1000})
    assert len(one["text"]) == TEXT_BOUND + 1 and one["long"] == "v" * 1000
    assert len(one["key"]) <= 160 and one["key"] != two["key"]


json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), lambda inner: st.lists(
    inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4), max_leaves=10)


@given(st.dictionaries(st.text(max_size=4), json_values, max_size=5))
def test_every_row_can_be_stored_and_no_two_have_one_key(tags: dict[str, Any]) -> None:
    rows = tag_rows("d", tags)
    assert len({(row["key"], row["n"]) for row in rows}) == len(rows)
    for row in rows:
        for text in (row["key"], row["text"] or "", row["long"] or ""):
            text.encode("utf-8")
            assert "\x00" not in text
        assert row["number"] is None or abs(row["number"]) < float("inf")


def test_nesting_without_end_is_cut_off() -> None:
    deep: Any = "x"
    for _ in range(5000):
        deep = {"a": deep}
    assert len(tag_rows("d", deep)) == 64
