"""A call repeated with its Idempotency-Key answers what the first one did, whatever services it went through."""
from __future__ import annotations

import pytest

# An action, its parameters with the test's word, those of another call, and what of the answer is the same object.
CALLS = [
    ("do.datarequest.create", {"name": "{word}", "query": "source:{shelf}"}, {"name": "{word}x", "query": "source:{shelf}"}, "id"),
    ("do.datareference.create", {"name": "{word}", "query": "source:{shelf}"}, {"name": "{word}", "query": "a:1"}, "id"),
    ("do.datainstance.create", {"dataref": {"name": "{word}", "query": "source:{shelf}"}},
     {"dataref": {"name": "{word}x", "query": "source:{shelf}"}}, "request.id"),
    ("do.reserve", {"request": {"name": "{word}", "query": "source:{shelf}"}},
     {"request": {"name": "{word}x", "query": "source:{shelf}"}}, "id"),
    ("do.evaluate", {"request": {"name": "{word}", "query": "source:{shelf}"}},
     {"request": {"name": "{word}x", "query": "source:{shelf}"}}, "id"),
    ("do.event.send", {"event": "datarequest.needed", "obj": {"name": "{word}", "query": "source:{shelf}"}},
     {"event": "datarequest.needed", "obj": {"name": "{word}x", "query": "source:{shelf}"}}, "id"),
]


def filled(value, **words):
    if isinstance(value, dict):
        return {key: filled(inner, **words) for key, inner in value.items()}
    return value.format(**words)


def at(body, path):
    for name in path.split("."):
        body = body[name]
    return body


@pytest.mark.parametrize(("action", "parameters", "others", "path"), CALLS, ids=[call[0] for call in CALLS])
def test_the_second_call_finds_what_the_first_one_made_and_another_call_is_refused(
        user, shelf, word, action, parameters, others, path):
    parameters, others = filled(parameters, word=word, shelf=shelf), filled(others, word=word, shelf=shelf)
    first = user.call(action, parameters, Idempotency_Key=f"key-{word}")
    again = user.call(action, parameters, Idempotency_Key=f"key-{word}")
    assert first.status in (200, 201, 202) and again.status == first.status, again.text
    assert at(again.body, path) == at(first.body, path)
    refused = user.call(action, others, Idempotency_Key=f"key-{word}")
    assert (refused.status, refused.code) == (422, "idempotency.mismatch")
    assert user.call("do.datarequest.list", {"name": f"{word}x"}).body["total"] == 0


def test_what_starts_a_new_request_starts_it_once(user, shelf, word):
    user.made("do.datainstance.create", {"dataref": {"name": word, "query": {"source": shelf, "name": "one.csv"}}})
    answers = [user.made("do.datareference.provision", {"id": word}, Idempotency_Key=f"key-{word}") for _ in range(2)]
    assert answers[0]["id"] == answers[1]["id"] and answers[0]["request"] == answers[1]["request"]
    names = [item["name"] for item in user.call("do.datainstance.list", {"reference": word, "sort": "name"}).body["items"]]
    assert names == [f"{word}-0", f"{word}-1"]


@pytest.mark.parametrize("action", ["do.datarequest.complete", "do.datarequest.destroy"])
def test_a_move_is_made_once(user, shelf, word, action):
    made = user.made("do.datarequest.create", {"name": word, "query": f"source:{shelf}"})
    user.made("do.datarequest.complete", {"id": made["id"]})
    answers = [user.made(action, {"id": made["id"]}, Idempotency_Key=f"key-{word}") for _ in range(2)]
    assert answers[0]["version"] == answers[1]["version"]
