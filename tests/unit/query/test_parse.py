"""Reading queries: both notations, one canonical form, and refusals that say where and what."""
from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.kernel.errors import Malformed
from shared.query import DATA_FIELDS, Field, FieldSet, Limits, matches, parse, plain_name
from tests.support.query_examples import THINGS, queries

CLOSED = FieldSet("datainstance", {"name": Field(), "state": Field(), "bytes_total": Field("number", unit="bytes"),
                                   "pinned": Field("boolean"), "labels": Field("json"), "source": Field("ref")}, search=("name",))

SHORTHAND = [
    ("owner:darren", {"owner": "darren"}),
    ("tags.owner:darren", {"owner": "darren"}),
    ("owner=darren", {"owner": "darren"}),
    ("-package:SML", {"package": {"$ne": "SML"}}),
    ("package!=SML", {"package": {"$ne": "SML"}}),
    ("NOT package:SML", {"package": {"$ne": "SML"}}),
    ("size>1GB", {"size": {"$gt": 10**9}}),
    ("size:>=10MiB", {"size": {"$gte": 10 * 2**20}}),
    ("size>1.5kB", {"size": {"$gt": 1500}}),
    ("size:5", {"size": 5}),
    ("modified_at>=2020-07-01", {"modified_at": {"$gte": "2020-07-01"}}),
    ("modified_at:2020-07-01", {"modified_at": {"$gte": "2020-07-01", "$lt": "2020-07-02"}}),
    ('modified_at:"2020-07-01"', {"modified_at": "2020-07-01"}),
    ("name:*.csv", {"name": {"$like": "*.csv"}}),
    ("name:data*", {"name": {"$prefix": "data"}}),
    (r"name:a\*b", {"name": "a*b"}),
    (r"name:a\**", {"name": {"$prefix": "a*"}}),
    ('name:"*.csv"', {"name": "*.csv"}),
    ("a:1 OR b:2", {"$or": [{"a": 1}, {"b": 2}]}),
    ("x:y (a:1 OR b:2 c:3)", {"x": "y", "$or": [{"a": 1}, {"b": 2, "c": 3}]}),
    ("a:1 AND b:2", {"a": 1, "b": 2}),
    ("-(a:1 OR b:2)", {"$nor": [{"a": 1}, {"b": 2}]}),
    ("a:x,y", {"a": {"$in": ["x", "y"]}}),
    ("-a:x,y", {"a": {"$nin": ["x", "y"]}}),
    ("name:*.csv,*.tsv", {"$or": [{"name": {"$like": "*.csv"}}, {"name": {"$like": "*.tsv"}}]}),
    ("a:*", {"a": {"$exists": True}}),
    ("-a:*", {"a": {"$exists": False}}),
    ("a:1", {"a": 1}),
    ('a:"1"', {"a": "1"}),
    ("a:007", {"a": "007"}),
    ("a:-1.5e3", {"a": -1500}),
    ("a:true b:null", {"a": True, "b": None}),
    ("name:123", {"name": "123"}),
    ("name:true", {"name": "true"}),
    ('title:"two words"', {"title": "two words"}),
    ('"a b":1', {"a b": 1}),
    ("uri:s3://bucket/key", {"uri": "s3://bucket/key"}),
    ("name:copy(1).csv", {"name": "copy(1).csv"}),
    (r'name~"^a\d+\.csv$"', {"name": {"$regex": r"^a\d+\.csv$"}}),
    ("titanic", {"$or": [{"name": {"$like": "*titanic*"}}, {"path": {"$like": "*titanic*"}}]}),
    ('{"a": {"$size": 2}} b:1', {"a": {"$size": 2}, "b": 1}),
    ("sensor.kind:lidar", {"sensor.kind": "lidar"}),
    ("tags.size:small", {"tags.size": "small"}),
    ("größe:5", {"größe": 5}),
    ("", {}),
    ("   ", {}),
]


@pytest.mark.parametrize(("line", "form"), SHORTHAND, ids=[line for line, _ in SHORTHAND])
def test_shorthand_compiles_to_the_json_form(line: str, form: dict[str, Any]) -> None:
    assert parse(line, DATA_FIELDS).to_json() == form
    assert json.dumps(parse(line, DATA_FIELDS).to_json()) == json.dumps(form)


@settings(max_examples=400, deadline=None)
@given(queries)
def test_the_canonical_form_and_the_shorthand_both_read_as_the_same_query(expression: dict[str, Any]) -> None:
    query = parse(expression, THINGS)
    assert parse(query.to_json(), THINGS) == query
    assert parse(json.dumps(query.to_json()), THINGS) == query
    assert parse(query.to_shorthand(), THINGS) == query
    for clause in query.clauses:
        assert parse(clause.label, THINGS) == parse(clause.json, THINGS)


def test_conjuncts_keep_their_order_and_are_labelled_in_shorthand() -> None:
    query = parse("size>1GB owner:darren size<2GB (a:1 OR b:2) -package:SML", DATA_FIELDS)
    assert [clause.label for clause in query.clauses] == ["size>1GB", "owner:darren", "size<2GB", "(a:1 OR b:2)", "-package:SML"]
    assert parse(query.to_json(), DATA_FIELDS).clauses == query.clauses
    assert query.fields() == {"size", "owner", "a", "b", "package"}


def test_two_queries_are_joined_by_and() -> None:
    both = parse("owner:darren", DATA_FIELDS) & parse("size>1GB", DATA_FIELDS)
    assert both.to_json() == {"owner": "darren", "size": {"$gt": 10**9}}
    assert (both & parse(None, DATA_FIELDS)) == both
    assert parse(None, DATA_FIELDS).is_empty and parse({}, DATA_FIELDS).is_empty and not both.is_empty


def test_numbers_and_truths_of_the_same_value_make_different_queries() -> None:
    assert parse({"a": 1}, DATA_FIELDS) != parse({"a": True}, DATA_FIELDS)
    assert parse({"a": 1}, DATA_FIELDS) == parse({"a": 1.0}, DATA_FIELDS)
    assert parse({"a": 1}, DATA_FIELDS) != parse({"a": "1"}, DATA_FIELDS)


@pytest.mark.parametrize(("pattern", "canonical"), [
    ("%.csv", "*.csv"), ("a%b%", "a*b*"), ("*x%", "*x*"), (r"100\%", r"100\%"), (r"\\%", r"\\*"), ("a_b", "a_b"),
])
def test_in_json_a_percent_sign_means_what_it_means_in_sql(pattern: str, canonical: str) -> None:
    query = parse({"name": {"$like": pattern}}, DATA_FIELDS)
    assert query.to_json() == {"name": {"$like": canonical}}
    assert parse(query.to_shorthand(), DATA_FIELDS) == query == parse(query.to_json(), DATA_FIELDS)


def test_in_shorthand_a_percent_sign_is_a_character_as_any_other() -> None:
    query = parse("name:50%*?", DATA_FIELDS)
    assert query.to_json() == {"name": {"$like": r"50\%*?"}} and query.to_shorthand() == "name:50%*?"
    assert matches(query)({"name": "50% off"}) and not matches(query)({"name": "500 off"})
    assert parse("50%", DATA_FIELDS).to_json()["$or"][0] == {"name": {"$like": r"*50\%*"}}


REFUSED = [
    ({"a": {"$regx": "x"}}, "query.unknown_operator", "/a/$regx", "$regex"),
    ({"$xor": []}, "query.unknown_operator", "/$xor", "$or"),
    ({"$gt": 5}, "query.syntax", "/$gt", "inside"),
    ({"a": {"b": 1}}, "query.bad_operand", "/a", "a.b"),
    ({"a": [1, 2]}, "query.bad_operand", "/a", "$in"),
    ({"tags": {"owner": "x"}}, "query.bad_operand", "/tags", "tags.owner"),
    ({"size": "1GB"}, "query.bad_operand", "/size", "number"),
    ({"name": 5}, "query.bad_operand", "/name", "text"),
    ({"modified_at": "yesterday"}, "query.bad_operand", "/modified_at", "date"),
    ({"size": {"$like": "1*"}}, "query.bad_operand", "/size/$like", "text"),
    ({"name": {"$size": 1}}, "query.bad_operand", "/name/$size", "$size"),
    ({"a": {"$size": -1}}, "query.bad_operand", "/a/$size", "from 0"),
    ({"a": {"$size": True}}, "query.bad_operand", "/a/$size", "from 0"),
    ({"a": {"$exists": 1}}, "query.bad_operand", "/a/$exists", "true or false"),
    ({"a": {"$in": "x"}}, "query.bad_operand", "/a/$in", "list"),
    ({"a": {"$in": [1, {"x": 1}]}}, "query.bad_operand", "/a/$in/1", "object"),
    ({"a": {"$all": []}}, "query.bad_operand", "/a/$all", "at least one"),
    ({"a": {"$gt": None}}, "query.bad_operand", "/a/$gt", "order"),
    ({"a": {"$gt": True}}, "query.bad_operand", "/a/$gt", "order"),
    ({"a": float("nan")}, "query.bad_operand", "/a", "NaN"),
    ({"a": 2**63}, "query.bad_operand", "/a", "64 bits"),
    ({"a": "x\x00y"}, "query.bad_operand", "/a", "NUL"),
    ({"a": "\ud800"}, "query.bad_operand", "/a", "surrogate"),
    ({"a": {}}, "query.bad_operand", "/a", "empty"),
    ({"$and": []}, "query.bad_operand", "/$and", "at least one"),
    ({"$or": [{"a": 1}, {}]}, "query.bad_operand", "/$or/1", "not empty"),
    ({"$or": [{"a": 1}, 5]}, "query.bad_operand", "/$or/1", "object"),
    ({"a/b~c": {"$x": 1}}, "query.unknown_operator", "/a~1b~0c/$x", "$x"),
    ({"a": {"$regex": "(a"}}, "query.bad_regex", "/a/$regex", "missing"),
    ({"a": {"$regex": "(?=a)"}}, "query.bad_regex", "/a/$regex", "refused"),
    ({"a": {"$regex": "((a{100}){100}){100}"}}, "query.regex_too_costly", "/a/$regex", "regular expression"),
    ({"a": {"$regex": "(.{50}){19}"}}, "query.regex_too_costly", "/a/$regex", "instructions"),
    ({"a": {"$regex": "x" * 1001}}, "query.regex_too_costly", "/a/$regex", "1000"),
    ({"a": {"$like": "x" * 1001}}, "query.too_long", "/a/$like", "1000"),
    ({"a" * 1025: 1}, "query.too_long", "/" + "a" * 1025, "1024"),
    ({".".join("a" * 17): 1}, "query.too_deep", "/" + ".".join("a" * 17), "16"),
    ({"a": {"$in": list(range(10_001))}}, "query.too_long", "/a/$in", "10000"),
    ({"$or": [{"a": n} for n in range(501)]}, "query.too_long", "/$or/500/a", "500"),
    ("x" * 65_537, "query.too_long", "", "65536"),
    (5, "query.syntax", "", "object or a text"),
    ('{"a": 1', "query.syntax", "column 8", "JSON"),
    ('{"a": 1, "a": 2}', "query.syntax", "", "twice"),
    ('{"a": NaN}', "query.bad_operand", "column 1", "NaN"),
    ('{"a": {"$lt": -1e400}}', "query.bad_operand", "column 1", "1e400"),
    ("{" + '"a":{' * 12_000, "query.too_deep", "column 1", "deep"),
    ("(a:1", "query.syntax", "column 1", "never closed"),
    ("a:1)", "query.syntax", "column 4", "never opened"),
    ('a:1 b:"x', "query.syntax", "column 7", "never closed"),
    ("a:1 b:", "query.syntax", "column 7", "missing"),
    (":x", "query.syntax", "column 1", "name is missing"),
    ("a:1 OR", "query.syntax", "column 7", "missing"),
    ("AND a:1", "query.syntax", "column 1", "AND"),
    ("size>huge", "query.bad_operand", "column 6", "10MB"),
    ("a:1 modified_at>=soon", "query.bad_operand", "column 5", "date"),
    ("a:1e999", "query.bad_operand", "column 1", "Infinity"),
]


@pytest.mark.parametrize(("expression", "code", "pointer", "word"), REFUSED, ids=[str(case[0])[:40] for case in REFUSED])
def test_what_is_wrong_is_refused_with_code_place_and_reason(expression: Any, code: str, pointer: str, word: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse(expression, DATA_FIELDS)
    assert refused.value.code == code and refused.value.status == 400
    assert [error["pointer"] for error in refused.value.errors] == [pointer]
    assert word in f"{refused.value.detail} {refused.value.next_step}"


def test_an_unknown_field_of_a_closed_class_is_refused_with_the_nearest() -> None:
    with pytest.raises(Malformed) as refused:
        parse({"$and": [{"stat": "Ready"}]}, CLOSED)
    assert refused.value.code == "query.unknown_field" and "'state'" in refused.value.detail
    assert refused.value.errors == [{"pointer": "/$and/0/stat", "detail": "unknown field 'stat'"}]
    assert parse("labels.team:x bytesTotal>1KB source.name:y", CLOSED).to_json() == {
        "labels.team": "x", "bytes_total": {"$gt": 1000}, "source.name": "y"}


def test_nesting_is_bounded_by_the_tree_and_not_by_its_spelling() -> None:
    def nested(levels: int) -> dict[str, Any]:
        body: dict[str, Any] = {"a": 1}
        for level in range(levels):
            body = {"$or": [body, {"b": 1}]} if level % 2 else {"$and": [body, {"c": 1}]}
        return body

    query = parse(nested(16), DATA_FIELDS)
    assert parse(query.to_json(), DATA_FIELDS) == query
    for body in (nested(17), nested(5000)):
        with pytest.raises(Malformed) as refused:
            parse(body, DATA_FIELDS)
        assert refused.value.code == "query.too_deep"
    with pytest.raises(Malformed) as refused:
        parse("(" * 30_000 + "a:1" + ")" * 30_000, DATA_FIELDS)
    assert refused.value.code == "query.too_deep"


def test_programs_may_raise_a_limit() -> None:
    wide = {"id": {"$in": [f"data_{n}" for n in range(20_000)]}}
    assert len(parse(wide, DATA_FIELDS, limits=Limits(values=50_000, length=2**22)).to_json()["id"]["$in"]) == 20_000


@settings(max_examples=600, deadline=None)
@given(st.text(alphabet=st.sampled_from(list("ab:1,*?\\\"'(){}[]-<>=~! ORAND$.\n\x00\ud800é\U0001f600"), ), max_size=30) | st.text(max_size=40))
def test_no_line_of_text_does_anything_but_parse_or_be_refused(line: str) -> None:
    try:
        query = parse(line, DATA_FIELDS)
    except Malformed as refused:
        assert refused.code.startswith("query.") and refused.errors
    else:
        assert parse(query.to_shorthand(), DATA_FIELDS) == query


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["a", "size", "tags", "$and", "$or", "$not", "$nor", "$in", "$gt", "$size", "$regex", "$exists", "$all", "$what", ""]),
        inner, max_size=3), max_leaves=8,
)


@settings(max_examples=600, deadline=None)
@given(anything)
def test_no_json_does_anything_but_parse_or_be_refused(expression: Any) -> None:
    try:
        query = parse(expression, DATA_FIELDS)
    except Malformed as refused:
        assert refused.code.startswith("query.") and refused.errors
    else:
        assert parse(query.to_json(), DATA_FIELDS) == query


@pytest.mark.parametrize(("text", "name"), [
    ("census-0", "census-0"), (" dins_01JD3Z6K8Q4N5W7X9Y2B3C4D5E ", "dins_01JD3Z6K8Q4N5W7X9Y2B3C4D5E"), ("two words", "two words"),
    ("a:b", None), ("*.csv", None), ("-x", None), ("a OR b", None), ("", None), ('{"a": 1}', None), ("size>5", None),
])
def test_a_plain_name_is_told_from_a_query(text: str, name: str | None) -> None:
    assert plain_name(text) == name
