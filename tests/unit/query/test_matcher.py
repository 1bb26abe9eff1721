"""Matching in memory: the meaning of each operator, held against the reference matcher and against mongoquery."""
from __future__ import annotations

from typing import Any

import mongoquery
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.query import DATA_FIELDS, Field, FieldSet, matches, parse
from shared.query.globs import glob_test
from shared.query.values import after_prefix, instant, stamp_of, storable, with_percent_as
from tests.support.query_examples import DATES, DOCUMENT, KINDS, MEANING, STAMPS, THINGS, documents, globs, queries, words
from tests.support.reference_matcher import _date, _glob, holds

@pytest.mark.parametrize(("expression", "expected"), MEANING, ids=[str(case[0]) for case in MEANING])
def test_the_meaning_of_each_operator(expression: dict[str, Any], expected: bool) -> None:
    assert matches(parse(expression, DATA_FIELDS))(DOCUMENT) is expected


@settings(max_examples=500, deadline=None)
@given(documents(), st.lists(queries, min_size=1, max_size=6))
def test_the_matcher_says_what_the_reference_matcher_says(document: dict[str, Any], expressions: list[dict[str, Any]]) -> None:
    for expression in expressions:
        assert matches(parse(expression, THINGS))(document) == holds(expression, document, KINDS), expression


# Where both languages agree: numbers and texts that are no dates, no null, no truth; $ne and $gt not on lists.
_scalar_tests = {
    "a": st.integers(-3, 3), "b": st.sampled_from(["x", "y", "xy", "z"]),
}
_mongo_clauses = st.one_of(
    *(st.tuples(st.just(name), st.one_of(
        operand, *(operand.map(lambda value, op=op: {op: value}) for op in ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte")),
        st.lists(operand, max_size=3).map(lambda found: {"$in": found}), st.lists(operand, max_size=3).map(lambda found: {"$nin": found}),
        st.booleans().map(lambda wanted: {"$exists": wanted}), operand.map(lambda value: {"$not": {"$gt": value}}),
    )) for name, operand in _scalar_tests.items()),
    st.tuples(st.just("c.d"), st.one_of(
        st.sampled_from(["x", "y", "z"]), st.lists(st.sampled_from(["x", "y"]), min_size=1, max_size=2).map(lambda found: {"$all": found}),
        st.integers(0, 3).map(lambda size: {"$size": size}),
    )),
).map(lambda pair: {pair[0]: pair[1]})
_mongo_queries = st.recursive(_mongo_clauses, lambda inner: st.sampled_from(["$and", "$or", "$nor"]).flatmap(
    lambda op: st.lists(inner, min_size=1, max_size=3).map(lambda parts: {op: parts})), max_leaves=4)


@settings(max_examples=500, deadline=None)
@given(
    st.fixed_dictionaries({"a": st.integers(-3, 3), "b": st.sampled_from(["x", "y", "xy"]), "c": st.fixed_dictionaries(
        {"d": st.lists(st.sampled_from(["x", "y"]), max_size=3)})}), _mongo_queries,
)
def test_the_matcher_says_what_mongoquery_says_where_the_languages_agree(tags: dict[str, Any], expression: dict[str, Any]) -> None:
    assert matches(parse(expression, DATA_FIELDS))({"tags": tags}) == mongoquery.Query(expression).match(tags)


@settings(max_examples=500, deadline=None)
@given(globs, words | st.text(alphabet="abc*\\?", max_size=8))
def test_globs_match_whole_texts(pattern: str, text: str) -> None:
    assert glob_test(with_percent_as(pattern, "*"))(text) == _glob(pattern, text)


@pytest.mark.parametrize(("pattern", "text", "expected"), [
    ("a*a", "a", False), ("a*a", "aa", True), ("ab*b*b", "abb", False), ("ab*b*b", "abbb", True), ("a?*?b", "axb", False), ("a?*?b", "axyb", True),
    ("*a*a*", "a", False), ("*", "", True), ("?", "", False), ("", "", True), ("", "a", False), ("\\*", "*", True), ("\\*", "x", False), ("?", "\n", True),
])
def test_the_pieces_of_a_glob_do_not_overlap(pattern: str, text: str, expected: bool) -> None:
    assert glob_test(pattern)(text) is expected


def test_a_glob_of_many_stars_takes_no_long_time() -> None:
    assert glob_test("a*" * 200 + "b")("a" * 20_000) is False
    assert glob_test("a?*" * 200 + "b")("a" * 20_000) is False


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(DATES + STAMPS) | st.datetimes().map(lambda moment: moment.isoformat()) | words)
def test_dates_are_instants(text: str) -> None:
    expected = _date(text)
    found = instant(text)
    assert (found is None) == (expected is None)
    if found is not None:
        assert stamp_of(found) == expected.strftime("%Y").rjust(4, "0") + expected.strftime("-%m-%dT%H:%M:%S.%fZ")


@given(words, words)
def test_the_end_of_a_prefix_comes_right_after_it(prefix: str, text: str) -> None:
    end = after_prefix(prefix)
    assert text.startswith(prefix) == (text >= prefix and (end is None or text < end))


def test_what_is_storable_has_no_nul_no_nan_and_one_form_of_each_number() -> None:
    assert storable({"a\x00": ["\ud800x", float("nan"), 2.0, 2**70, (1,)], 5: True}) == {"a\ufffd": ["\ufffdx", None, 2, float(2**70), [1]], "5": True}
    assert type(storable(2.0)) is int


def test_a_policy_sees_whole_objects_under_their_names() -> None:
    fields = FieldSet("policy", {"data": Field("ref", of=DATA_FIELDS), "labels": Field("json")})
    test = matches(parse("data.size>1MB data.owner:darren data.source:census data:a.csv -data.quality:*", fields))
    document = {"data": {**DOCUMENT, "tags": {"owner": "darren"}}}
    assert test(document) is True
    assert test({"data": {**DOCUMENT, "tags": {"owner": "darren", "quality": 1}}}) is False
    assert test({}) is False


@pytest.mark.parametrize("document", [{}, {"tags": None}, {"tags": "x"}, {"tags": [1]}, {"source": 5, "size": "x", "tags": {"a": object()}}])
def test_no_document_breaks_a_query(document: dict[str, Any]) -> None:
    for line in ("a:1", "a.b:x", "size>5", "source:x", "a:x*", "a~x", "a:2020-01-01", "-a:*", '{"a":{"$size":1}}', "a:1,x,true,null"):
        assert matches(parse(line, DATA_FIELDS))(document) in (True, False)
