"""Whatever comes in from outside is read or refused in the product's own words, and quickly; nothing else happens.

The short form runs always; ``./edgemere test tests/fuzz --long`` tries far more of each.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import tempfile
import time
from typing import Any

import orjson
import pyarrow
import pyarrow.parquet
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.events import rules as event_rules
from shared.bus.encoding import Undecodable, decode_as
from shared.bus.event import event_of, named_in
from shared.bus.failures import after_failure
from shared.bus.message import Delivery
from shared.contracts.action import load_parameters
from shared.contracts.table import ACTIONS
from shared.hosting.wire import context_of, error_from_wire
from shared.kernel.errors import EdgemereError
from shared.query import DATA_FIELDS, matches, parse
from shared.sources.listing import gather, load_file, load_value

# Of the process's own time. A refusal has to come sooner; far more than any of them takes on a slow machine.
LONGEST_S = 10.0
QUICK, PATIENT = 60, 20_000


def fuzzed(**strategies: Any) -> Any:
    """The test in a short form, and in a long one of the same name in brackets."""

    def both(work: Any) -> Any:
        @pytest.mark.parametrize("examples", [QUICK, pytest.param(PATIENT, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
        def run(examples: int) -> None:
            @settings(max_examples=examples, deadline=None, database=None, derandomize=examples == QUICK, suppress_health_check=list(HealthCheck))
            @given(**strategies)
            def timed(**values: Any) -> None:
                began = time.process_time()
                # The product's own words are what is wanted; anything else comes out and fails.
                with contextlib.suppress(EdgemereError):
                    work(**values)
                assert time.process_time() - began < LONGEST_S, "it took too long"

            timed()

        run.__name__, run.__doc__ = work.__name__, work.__doc__
        return run

    return both


# Each line nine of the line before: small to write, and billions when it is followed.
LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{','.join(9 * [f'*a{n - 1}'])}]\n" for n in range(1, 10))


# --- what people and programs may write ----------------------------------------------------------------------------

ODD = st.sampled_from(
    [
        "",
        "\x00",
        "\ud800",
        "\u202e",
        "é",
        "e\u0301",
        "💥" * 5,
        "$",
        "$and",
        "$where",
        "__proto__",
        "../../etc/passwd",
        "a" * 3000,
        "NaN",
        "Infinity",
        "-0",
        "1e999",
        "9" * 400,
        "2026-13-45T99:99",
        "((((((((((",
        "*" * 50,
        "(a+)+$",
        "<script>",
        "'; DROP TABLE x;--",
    ]
)
WORDS = st.one_of(ODD, st.text(max_size=40), st.sampled_from(["owner", "size", "tags.owner", "source", "name", "path", "modified_at", "type"]))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.integers(-(10**30), 10**30), st.floats(), WORDS)
KEYS = st.one_of(
    WORDS,
    st.sampled_from(
        [
            "$and",
            "$or",
            "$not",
            "$nor",
            "$in",
            "$nin",
            "$gt",
            "$lt",
            "$gte",
            "$lte",
            "$ne",
            "$eq",
            "$exists",
            "$regex",
            "$like",
            "$elemMatch",
            "$size",
            "$text",
        ]
    ),
)
JSON = st.recursive(SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=6), st.dictionaries(KEYS, inner, max_size=6)), max_leaves=25)
DEEP = st.builds(
    lambda depth, kind: '{"$not":' * depth + "1" + "}" * depth if kind else "(" * depth + "a:1" + ")" * depth, st.integers(1, 3000), st.booleans()
)
LINES = st.lists(
    st.one_of(
        WORDS,
        st.sampled_from([":", "=", "!=", ">", "<", ">=", "(", ")", "AND", "OR", "NOT", "-", "~", "/", "*", '"', "'", "\\", ",", "[", "]", "..", " "]),
    ),
    max_size=30,
).map("".join)


@fuzzed(expression=st.one_of(JSON, LINES, DEEP, st.binary(max_size=200).map(lambda raw: raw.decode("latin-1"))))
def test_the_query_language(expression):
    query = parse(expression, DATA_FIELDS)
    again = parse(query.to_json(), DATA_FIELDS)
    assert again.to_json() == query.to_json()
    matches(query)({"id": "data_1", "name": "x", "path": "a/x", "size": 5, "tags": {"owner": "darren"}})


@fuzzed(
    text=st.one_of(
        LINES,
        st.binary(max_size=400).map(lambda raw: raw.decode("utf-8", "replace")),
        JSON.map(lambda value: yaml.safe_dump(value, allow_unicode=True) if _is_plain(value) else ""),
        st.sampled_from(
            [
                "a: &a [*a]",
                "a: &x [1]\nb: [*x, *x]",
                "!!python/object/apply:os.system ['true']",
                "&a [&b [&c [*a,*b,*c]]]",
                "? [a]\n: b",
                "- " * 2000,
                "{" * 5000,
                LAUGHS,
            ]
        ),
    )
)
def test_listings_in_yaml(text):
    load_value(text, "here")
    _read(text.encode("utf-8", "surrogatepass"), "datasource.yaml")


@fuzzed(rows=st.lists(st.lists(st.one_of(WORDS, st.integers().map(str)), max_size=6), max_size=12), raw=st.binary(max_size=300), cooked=st.booleans())
def test_listings_in_csv(rows, raw, cooked):
    text = io.StringIO()
    csv.writer(text).writerows([["path", "size", "owner"], *rows])
    _read(text.getvalue().encode("utf-8", "surrogatepass") if cooked else raw, "datasource.csv")


@fuzzed(
    columns=st.dictionaries(
        st.one_of(st.sampled_from(["path", "size", "modified_at", "type"]), st.text(max_size=8)),
        st.lists(
            st.one_of(st.none(), st.integers(-(2**60), 2**60), st.text(max_size=10).filter(lambda text: text.isprintable())), min_size=3, max_size=3
        ),
        min_size=1,
        max_size=4,
    ),
    where=st.integers(0, 10_000),
    what=st.binary(max_size=8),
    raw=st.binary(max_size=200),
)
def test_listings_in_parquet(columns, where, what, raw):
    _read(b"PAR1" + raw + b"PAR1", "datasource.parquet")
    out = io.BytesIO()
    try:
        pyarrow.parquet.write_table(
            pyarrow.table({name: [None if value is None else str(value) for value in values] for name, values in columns.items()}), out
        )
    except (pyarrow.ArrowException, UnicodeEncodeError):
        return
    good = bytearray(out.getvalue())
    # A file that was right, with some bytes of it overwritten.
    place = where % len(good)
    good[place : place + len(what)] = what
    _read(bytes(good), "datasource.parquet")


def _read(content: bytes, name: str) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        with contextlib.suppress(EdgemereError):
            gather(load_file(file.fileno(), name), name, ("size", "modified_at", "type"), [])


def _is_plain(value: Any) -> bool:
    try:
        orjson.dumps(value)
        yaml.safe_dump(value)
    except (TypeError, ValueError, yaml.YAMLError):
        return False
    return True


# --- what may lie on the bus ---------------------------------------------------------------------------------------

HEADERS = st.dictionaries(
    st.one_of(
        st.sampled_from(
            [
                "x-attempt",
                "x-exchange",
                "x-routing-key",
                "x-death",
                "traceparent",
                "nameko.deadline",
                "nameko.owner",
                "nameko.roles",
                "nameko.contract",
                "nameko.correlation_id",
                "compression",
                "cloudEvents_time",
                "cloudEvents_type",
                "x-first-death-queue",
            ]
        ),
        st.text(max_size=10),
    ),
    JSON,
    max_size=6,
)
PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        "content_type": st.one_of(
            st.sampled_from(
                ["application/json", "text/plain", "application/x-python-serialize", "application/x-yaml", "application/json; charset=utf-16", ""]
            ),
            st.text(max_size=12),
        ),
        "content_encoding": st.sampled_from(["utf-8", "binary", "utf-16", "rot13", "idna", "zlib_codec", "nonsense", ""]),
        "message_id": st.one_of(WORDS, st.integers()),
        "correlation_id": st.one_of(WORDS, st.integers()),
    },
)
BODIES = st.one_of(
    st.binary(max_size=300),
    JSON.filter(_is_plain).map(orjson.dumps),
    st.builds(
        lambda obj, more: orjson.dumps({**more, "obj": obj}),
        JSON.filter(_is_plain),
        st.dictionaries(st.sampled_from(["id", "event", "time", "correlation_id", "changed"]), JSON.filter(_is_plain), max_size=4),
    ),
)
DELIVERIES = st.builds(
    lambda body, headers, properties, key, redelivered: Delivery("requests.x", "edgemere.events", key, body, properties, headers, redelivered),
    BODIES,
    HEADERS,
    PROPERTIES,
    st.one_of(WORDS, st.sampled_from([row for row in ("datarequest.needed", "data.create", "datareference.provisioning")])),
    st.booleans(),
)
NOW = "2026-01-01T00:00:00.000000Z"


@fuzzed(delivery=DELIVERIES)
def test_messages_as_handlers_get_them(delivery):
    with contextlib.suppress(EdgemereError):
        named_in(event_of(delivery))
    # Whatever it is, it can be put aside with its reason.
    put_aside = after_failure(delivery, ValueError("x" * 1000), (0.2, 1))
    assert put_aside.headers["x-queue"] == "requests.x"


@fuzzed(delivery=DELIVERIES)
def test_messages_as_the_log_and_the_dead_letters_keep_them(delivery):
    body = event_rules.body_of(delivery)
    its_id = event_rules.message_id(delivery, body) or event_rules.likeness(delivery)
    row = event_rules.entry(delivery, body, its_id, NOW, "")
    orjson.loads(row["body"])
    assert all("\x00" not in value for value in row.values() if isinstance(value, str))
    event_rules.death_of(delivery, NOW, "")


@fuzzed(
    raw=st.binary(max_size=400),
    properties=PROPERTIES,
    data=st.dictionaries(
        st.sampled_from(["owner", "roles", "deadline", "if_match", "traceparent", "correlation_id", "idempotency_key"]), JSON, max_size=7
    ),
    answer=JSON,
)
def test_calls_and_answers_on_the_bus(raw, properties, data, answer):
    with contextlib.suppress(Undecodable):
        decode_as(raw, properties.get("content_type"), properties.get("content_encoding"))
    context_of(data)
    if isinstance(answer, dict):
        assert isinstance(error_from_wire("requests", "create", answer), EdgemereError)


@fuzzed(
    row=st.sampled_from(sorted(ACTIONS)),
    chance=st.integers(0, 10**6),
    given_values=st.lists(JSON, max_size=8),
    extra=st.dictionaries(WORDS, JSON, max_size=2),
)
def test_the_parameters_of_every_action(row, chance, given_values, extra):
    names = list(ACTIONS[row].parameters._declared_fields)
    given_parameters = {names[(chance + index) % len(names)]: value for index, value in enumerate(given_values)} if names else {}
    load_parameters(ACTIONS[row], {**given_parameters, **(extra if chance % 3 == 0 else {})})
