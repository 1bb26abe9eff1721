"""Queries of one shape share their statements; what a statement depends on is part of the shape."""
from __future__ import annotations

from typing import Any

import pytest

from shared.query import parse
from shared.query.shapes import Shape, shape_of
from shared.query.sql import conjuncts
from tests.support.query_examples import THINGS


def shape(expression: Any) -> tuple[Shape, dict[str, Any]]:
    return shape_of(conjuncts(parse(expression, THINGS)))


def test_texts_that_tags_must_equal_are_handed_over_in_the_order_of_the_query() -> None:
    one, given = shape({"kind": "x", "$nor": [{"batch": "b1", "n": 1}], "$or": [{"side": "l"}, {"side": {"$gt": 4}}]})
    other, more = shape({"kind": "other", "$nor": [{"batch": "b2", "n": 1}], "$or": [{"side": "r"}, {"side": {"$gt": 4}}]})
    assert one == other and hash(one) == hash(other)
    assert list(given.values()) == ["x", "b1", "l"] and list(more.values()) == ["other", "b2", "r"] and list(given) == list(more)


@pytest.mark.parametrize("first, second", [
    ({"t": 1}, {"t": True}), ({"t": 0}, {"t": False}), ({"t": 1}, {"t": "1"}), ({"t": "x"}, {"u": "x"}), ({"t": "x"}, {"t": {"$gt": "x"}}),
    ({"t": "x"}, {"t": None}), ({"t": "x"}, {"t": "2026-01-01"}), ({"t": "2026-01-01"}, {"t": "2026-01-02"}), ({"t": "x"}, {"t": "x" * 300}),
    ({"t": "y" * 300}, {"t": "x" * 300}),
    ({"t": {"$in": ["a", "b"]}}, {"t": {"$in": ["a", "c"]}}), ({"t": {"$in": [1, "b"]}}, {"t": {"$in": [True, "b"]}}),
    ({"t": {"$gt": 1}}, {"t": {"$gt": 2}}), ({"t": {"$like": "a*"}}, {"t": {"$like": "b*"}}), ({"name": "a"}, {"name": "b"}),
    ({"t": "x", "u": "y"}, {"$or": [{"t": "x"}, {"u": "y"}]}), ({"t": "x"}, {"t": {"$ne": "x"}}), ({"t": "value_0"}, {"t": {"$gt": "value_0"}}),
], ids=str)
def test_what_a_statement_depends_on_is_part_of_the_shape(first: Any, second: Any) -> None:
    assert shape(first)[0] != shape(second)[0]
