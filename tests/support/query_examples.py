"""Documents and queries for the laws of the query language, as hypothesis strategies.

The pools are small, so that queries often match, and hold every value that has ever made two engines differ.
"""
from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from shared.query.fields import Field, FieldSet

THINGS = FieldSet(
    "thing",
    {
        "id": Field(), "name": Field(), "path": Field(), "size": Field("number", unit="bytes"),
        "ready": Field("boolean"), "at": Field("time"), "source": Field("ref"), "target": Field("ref"),
        "data": Field("refs"), "labels": Field("json"), "access": Field("list"),
    },
    open_tags=True,
    search=("name", "path"),
)
KINDS = {name: field.kind for name, field in THINGS.fields.items()}

LONG = "long " * 60
WORDS = [
    "", "a", "b", "ab", "abc", "B", "a.b", "1", "true", "null", "x y", 'q"uo', "it's", "%", "_", "a_c", "a%c", "*", "a*c", "[a]",
    "\\", "a\\", "é", "\uffff", "\ue000", "\U0001f600", "\U0010ffff", "a\U0001f600", "\ud7ff", "line\nbreak", "5GB", "OR",
    LONG, LONG + "x", LONG + "y", LONG[:256], LONG[:255], "$eq", "-a", ":", "a,b", "(a)", "{}", "\t", "\x01", "\x85", "~", "İ",
]
DATES = [
    "2020-07-01", "2020-07-01T00:00:00Z", "2020-07-01T02:00:00+02:00", "2020-07-01 00:00", "2020-07-01T00:00:00.000001Z",
    "2020-06-30T23:59:59.999999Z", "2020-07-01T00:00:00.0000019", "2020-13-01", "2020-7-1", "0001-01-01T00:00:00+05:00",
    "9999-12-31T23:59:59Z", "2020-07-01T24:00:00Z", "2020-07-01T10:00:00-0530", "1969-12-31T23:59:59.5Z",
]
NUMBERS = [
    0, 1, -1, 2, 5, 1.5, -1.5, 0.1, 1e-7, 2.0, 2**53, 2**53 + 1, 2**53 - 1, float(2**53), 2**62, 2**62 + 1, float(2**62),
    2**63 - 1, -(2**63), float(2**63), 1e300, -1e300, 10**9, 1500000000, 2**30, 5e-324, 2**53 + 0.0, 123456789.125,
]
STAMPS = ["2020-07-01T00:00:00.000000Z", "2020-06-30T23:59:59.999999Z", "2021-01-01T12:00:00.250000Z"]
KEYS = ["a", "b", "a.b", "b.a", "c", "é", "\U0001f600", "$x", "", "name", "tags", "x y", "k" * 300, "k" * 299 + "l", 'q"', "-n", "*"]
NAMES = ["a", "b", "a.b", "b.a", "a.b.c", "c", "é", "\U0001f600", "tags.$x", "tags.", "tags.name", "tags.tags", "x y", "k" * 300,
         'q"', "-n", "*", "tags.a", "a.a", "c.c.c"]

words = st.sampled_from(WORDS) | st.text(max_size=4).filter(lambda text: not any(
    char == "\x00" or 0xD800 <= ord(char) <= 0xDFFF for char in text))
numbers = st.sampled_from(NUMBERS) | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | words | st.sampled_from(DATES)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3), max_leaves=6
)
_inner = st.dictionaries(st.sampled_from(["a", "b", "c", "b.c", "c.c"]), scalars | st.lists(scalars, max_size=2), max_size=3)
# Things inside things, so that dotted names often find something.
_nested = _inner | st.dictionaries(st.sampled_from(["a", "b", "c"]), _inner, max_size=2) | st.lists(_inner, max_size=2)
tags = st.dictionaries(st.sampled_from(KEYS), values, max_size=5) | st.dictionaries(
    st.sampled_from(["a", "b", "c", "a.b"]), _nested | values, min_size=1, max_size=3)
nothing = st.none()
refs = st.fixed_dictionaries({"id": st.sampled_from(["s1", "s2"]), "name": st.sampled_from([None, "s2", "é", "B", "null"])})


@st.composite
def documents(draw: Any) -> dict[str, Any]:
    """A document of ``THINGS`` as on the wire."""
    return {
        "name": draw(nothing | words), "path": draw(words), "size": draw(nothing | numbers), "ready": draw(nothing | st.booleans()),
        "at": draw(nothing | st.sampled_from(STAMPS)), "source": draw(nothing | refs), "target": draw(nothing | refs),
        "data": draw(st.lists(refs, max_size=3, unique_by=lambda ref: ref["id"])),
        "labels": draw(nothing | tags), "access": draw(nothing | st.lists(tags | refs | scalars, max_size=3)), "tags": draw(tags),
    }


globs = st.lists(st.sampled_from(["a", "b", "*", "?", "\\*", "\\\\", "c", "%", "_", "[", "é", "\U0001f600", " "]), max_size=6).map("".join)
regexes = st.sampled_from(["a", "^a", "b$", "[a-c]+", "a|é", "^$", "\\d", "x y", "a.c", "(?i)B"])


def _operators(operand: Any, ordered: Any, text: bool, many: bool) -> Any:
    choices = [
        operand, st.fixed_dictionaries({"$eq": operand}), st.fixed_dictionaries({"$ne": operand}),
        st.fixed_dictionaries({"$in": st.lists(operand, max_size=4)}), st.fixed_dictionaries({"$nin": st.lists(operand, max_size=4)}),
        st.fixed_dictionaries({"$all": st.lists(operand, min_size=1, max_size=3)}), st.fixed_dictionaries({"$exists": st.booleans()}),
    ]
    if ordered is not None:
        for op in ("$gt", "$gte", "$lt", "$lte"):
            choices.append(st.fixed_dictionaries({op: ordered}))
        choices.append(st.fixed_dictionaries({"$gte": ordered, "$lt": ordered}))
        choices.append(st.fixed_dictionaries({"$not": st.fixed_dictionaries({"$gt": ordered, "$lte": ordered})}))
    if text:
        choices.append(st.fixed_dictionaries({"$prefix": words}))
        choices.append(st.fixed_dictionaries({"$like": globs}))
        choices.append(st.fixed_dictionaries({"$not": st.fixed_dictionaries({"$like": globs})}))
        choices.append(st.fixed_dictionaries({"$regex": regexes}))
    if many:
        choices.append(st.fixed_dictionaries({"$size": st.integers(0, 3)}))
    return st.one_of(choices)


def _named(names: list[str], conditions: Any) -> Any:
    return st.tuples(st.sampled_from(names), conditions).map(lambda pair: {pair[0]: pair[1]})


texts = words | st.sampled_from(DATES)
moments = st.sampled_from([date for date in DATES if date not in ("2020-13-01", "2020-7-1", "0001-01-01T00:00:00+05:00", "2020-07-01T24:00:00Z")])
ref_words = st.sampled_from(["s1", "s2", "é", "B", "nobody", "null"])
clauses = st.one_of(
    _named(NAMES, _operators(scalars, numbers | texts, True, True)),
    _named(NAMES[:5], _operators(scalars, numbers | texts, True, True)),
    _named(["name", "path"], _operators(nothing | texts, texts, True, False)),
    _named(["size"], _operators(nothing | numbers, numbers, False, False)),
    _named(["ready"], _operators(nothing | st.booleans(), None, False, False)),
    _named(["at"], _operators(nothing | moments, moments, False, False)),
    _named(["source", "target"], _operators(nothing | ref_words, ref_words, True, False)),
    _named(["data"], _operators(ref_words, ref_words, True, True)),
    _named(["labels.a", "labels.a.b", "labels.b", "labels.é", "labels.a.b.c", "labels.", 'labels.q"', "labels"],
           _operators(scalars, numbers | texts, True, True)),
    _named(["access", "access.a", "access.a.b", "access.id"], _operators(scalars | ref_words, numbers | texts, True, True)),
)
queries = st.recursive(
    clauses,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"$and": parts}),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"$or": parts}),
        st.lists(inner, min_size=1, max_size=2).map(lambda parts: {"$nor": parts}),
        inner.map(lambda part: {"$not": part}),
        st.tuples(inner, inner).map(lambda pair: {**pair[0], **pair[1]}),
    ),
    max_leaves=5,
)

# One document, and what each operator means for it.
DOCUMENT = {
    "id": "data_1", "name": "a.csv", "path": "x/a.csv", "size": 2**53 + 1, "modified_at": "2020-07-01T00:00:00.000000Z",
    "source": {"id": "dsrc_1", "name": "census"}, "media_type": None,
    "tags": {
        "n": 1, "t": "1", "yes": True, "none": None, "list": ["x", 2, None], "empty": [], "when": "2020-07-01T02:00:00+02:00",
        "deep": {"er": {"x": 5}}, "dotted.key": 7, "rows": [{"k": 1}, {"k": 2}], "pairs": [[1, 2]],
    },
}
MEANING = [
    ({"n": 1}, True), ({"n": 1.0}, True), ({"n": "1"}, False), ({"n": True}, False), ({"yes": 1}, False), ({"yes": True}, True),
    ({"t": "1"}, True), ({"t": 1}, False), ({"t": {"$gt": 0}}, False), ({"t": {"$gt": "0"}}, True),
    ({"none": None}, True), ({"absent": None}, False), ({"none": {"$exists": True}}, True), ({"absent": {"$exists": False}}, True),
    ({"absent": {"$ne": 5}}, True), ({"absent": {"$nin": [5]}}, True), ({"absent": {"$not": {"$gt": 5}}}, True), ({"absent": {"$gt": 5}}, False),
    ({"list": "x"}, True), ({"list": {"$gt": 1}}, True), ({"list": {"$ne": "x"}}, False), ({"list": None}, True),
    ({"list": {"$all": ["x", 2]}}, True), ({"list": {"$all": ["x", 3]}}, False), ({"list": {"$size": 3}}, True), ({"n": {"$size": 1}}, False),
    ({"empty": {"$exists": True}}, True), ({"empty": {"$size": 0}}, True), ({"empty": None}, False), ({"empty": {"$in": []}}, False),
    ({"n": {"$nin": []}}, True), ({"when": "2020-07-01"}, True), ({"when": {"$gte": "2020-07-01T00:00:00Z"}}, True),
    ({"when": {"$gt": "2020-07-01"}}, False), ({"when": {"$prefix": "2020-07-01T02"}}, True), ({"when": {"$gt": "2019"}}, True),
    ({"deep.er.x": 5}, True), ({"deep": {"$exists": True}}, True), ({"deep.er": {"$exists": True}}, True), ({"deep.x": 5}, False),
    ({"dotted.key": 7}, True), ({"dotted": {"$exists": True}}, False), ({"rows.k": 2}, True), ({"rows.k": {"$gt": 2}}, False), ({"pairs": 1}, False),
    ({"size": 2**53 + 1}, True), ({"size": 2**53}, False), ({"size": {"$gt": 2**53}}, True), ({"size": {"$gt": float(2**53)}}, True),
    ({"media_type": None}, True), ({"checksum": None}, True), ({"media_type": {"$exists": True}}, False), ({"name": {"$exists": True}}, True),
    ({"source": "census"}, True), ({"source": "dsrc_1"}, True), ({"source.name": "census"}, True), ({"source": {"$ne": "census"}}, False),
    ({"name": {"$like": "*.csv"}}, True), ({"name": {"$like": "%.csv"}}, True),
    ({"name": {"$like": "*.CSV"}}, False), ({"name": {"$like": "?.csv"}}, True),
    ({"name": {"$regex": r"^a\."}}, True), ({"name": {"$regex": r"\.c"}}, True), ({"modified_at": {"$lt": "2020-07-02"}}, True),
    ({"$nor": [{"n": 2}, {"t": 5}]}, True), ({"$not": {"n": 1}}, False), ({"$or": [{"n": 2}, {"t": "1"}]}, True), ({}, True),
]

