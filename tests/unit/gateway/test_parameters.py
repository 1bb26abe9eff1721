"""Query string, JSON body and form body say the same, and what cannot be read is refused with its place."""
from __future__ import annotations

import io
import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.problems import UnsupportedMediaType
from gateway.rest import read_parameters
from gateway.settings import Settings
from shared.contracts.table import ACTIONS
from shared.kernel.errors import Invalid, Malformed, TooLarge

CREATE = ACTIONS["do.datarequest.create"]
SETTINGS = Settings(owner="darren", max_body_bytes=8192)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)


def read(query: str = "", body: bytes = b"", kind: str = "application/json", row=CREATE):
    return read_parameters(row, {"QUERY_STRING": query, "CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(body)),
                                 "wsgi.input": io.BytesIO(body)}, SETTINGS)


@given(st.dictionaries(st.sampled_from(["name", "query", "workload", "target"]), TEXT, max_size=4))
def test_all_three_ways_mean_the_same(parameters):
    form = urlencode(parameters)
    assert read(query=form) == parameters
    assert read(body=form.encode(), kind="application/x-www-form-urlencoded") == parameters
    assert read(body=json.dumps(parameters).encode()) == parameters


def test_a_multipart_form_is_a_form():
    body = (b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nscans\r\n'
            b'--x\r\nContent-Disposition: form-data; name="query"; filename="q.json"\r\n\r\n{"a": 1}\r\n--x--\r\n')
    assert read(body=body, kind="multipart/form-data; boundary=x") == {"name": "scans", "query": '{"a": 1}'}


def test_the_same_parameter_in_two_places_may_say_the_same():
    assert read("limit=5", b'{"limit": 5}', row=ACTIONS["do.datarequest.list"]) == {"limit": "5"}


@pytest.mark.parametrize(("query", "body"), [("name=a&name=b", b""), ("name=a", b'{"name": "b"}'), ("", b'{"name": "a", "name": "b"}')])
def test_two_values_for_one_parameter_are_refused(query, body):
    with pytest.raises(Invalid) as refused:
        read(query, body)
    assert refused.value.code == "parameter.invalid"
    assert refused.value.errors[0]["pointer"] == "/name"


def test_a_seed_spelling_is_the_parameter_it_stands_for():
    with pytest.raises(Invalid):
        read("dataReference=a", b'{"data_reference": "b"}')
    assert read("dataReference=a") == {"data_reference": "a"}


def test_json_from_curl_needs_no_header():
    assert read(body=b'{"name": "a=b"}', kind="application/x-www-form-urlencoded") == {"name": "a=b"}


def test_broken_json_says_where():
    with pytest.raises(Malformed) as refused:
        read(body=b'{"name": \n oops}')
    assert (refused.value.code, refused.value.extra["line"], refused.value.extra["column"]) == ("malformed", 2, 2)


@pytest.mark.parametrize("body", [b"[1]", b'"text"', b"null", b"7"])
def test_a_json_body_that_is_no_object_is_refused(body):
    with pytest.raises(Invalid):
        read(body=body)


@pytest.mark.parametrize(("query", "body"), [
    ("name=%ff", b""), ("", b'{"name": "\xff"}'), ("", b'{"name": NaN}'), ("", b'{"name": 1e400}'), ("", b'{"name": "\\ud800"}'),
    ("", b'{"attempt": ' + b"9" * 4000 + b"9" * 400 + b"}"),
])
def test_what_is_not_text_or_json_is_malformed(query, body):
    with pytest.raises((Malformed, TooLarge)):
        read(query, body)


@pytest.mark.parametrize(("query", "body", "pointer"), [
    ("name=a%00b", b"", "/name"), ("", b'{"labels": {"a": ["\\u0000"]}}', "/labels/a/0"), ("", b'{"labels": {"\\u0000": 1}}', "/labels"),
])
def test_a_nul_byte_is_refused_with_its_place(query, body, pointer):
    with pytest.raises(Invalid) as refused:
        read(query, body)
    assert refused.value.errors[0]["pointer"] == pointer


def test_depth_is_bounded():
    deep = lambda levels: b'{"labels": ' + b'{"a":' * levels + b"1" + b"}" * levels + b"}"  # noqa: E731
    assert read(body=deep(SETTINGS.max_depth))
    for levels in (SETTINGS.max_depth + 1, 600):
        with pytest.raises(TooLarge):
            read(body=deep(levels))


def test_size_is_bounded():
    with pytest.raises(TooLarge):
        read(body=b'{"name": "' + b"x" * 9000 + b'"}')


def test_a_body_of_another_kind_is_refused():
    with pytest.raises(UnsupportedMediaType):
        read(body=b"<a/>", kind="application/xml")


def test_a_body_that_ends_early_is_malformed():
    with pytest.raises(Malformed):
        read_parameters(CREATE, {"CONTENT_LENGTH": "50", "CONTENT_TYPE": "application/json", "wsgi.input": io.BytesIO(b"{}")}, SETTINGS)
