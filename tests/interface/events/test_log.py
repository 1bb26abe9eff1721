"""The event log on both databases: written once, in order, whatever arrives; and read by everything it can be asked for."""
from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from services.events import handlers, log, models, repository
from services.events.models import event_table
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.context import Context
from shared.kernel.errors import Invalid, Malformed
from shared.kernel.ids import new_id
from tests.interface.events.conftest import bodies, message, raw


def listed(uses: Uses, **parameters: Any) -> list[dict[str, Any]]:
    return handlers.find(uses, parameters)["items"]


def sequences(uses: Uses, **parameters: Any) -> list[int]:
    return [item["sequence"] for item in listed(uses, **parameters)]


@pytest.fixture
def arc(uses: Uses) -> list[dict[str, Any]]:
    """A request and two of its instances, as ten messages of the log."""
    request = {"id": new_id("datarequest"), "name": "scans", "owner": "ann"}
    instances = [{"id": new_id("datainstance"), "name": f"scans-{at}", "owner": "ann"} for at in range(2)]
    said = [("datarequest.create", request), ("datarequest.needed", request),
            *((f"datainstance.{word}", instance) for word in ("create", "ready", "updated") for instance in instances),
            ("datarequest.satisfied", {**request, "owner": "bob"}), ("data.create", {"id": new_id("data"), "name": "scans"})]
    log.append(uses, [message(name, obj, correlation_id="first" if at < 5 else "second",
                              time=f"2026-11-24T10:00:{at:02}.000000Z") for at, (name, obj) in enumerate(said)])
    return [obj for _, obj in said]


def test_what_was_sent_is_shown_as_it_was_with_its_place_in_the_log(uses: Uses) -> None:
    sent = message("datarequest.needed", {"id": new_id("datarequest"), "name": "ä \u0000 scans", "size": 2**63 - 1, "x": 1.5},
                   changed=["state"], more={"a": [1]})
    log.append(uses, [sent])
    assert listed(uses) == [{"sequence": 1, **orjson.loads(sent.body)}]


def test_a_message_that_comes_twice_is_logged_once_and_the_sequence_only_rises(uses: Uses) -> None:
    sent = [message("data.create", {"id": new_id("data")}) for _ in range(40)]
    log.append(uses, sent[:20])
    log.append(uses, [*sent[10:30], *sent[10:30], sent[0]])
    log.append(uses, sent)
    found = listed(uses, limit=100)
    assert [item["id"] for item in found] == [orjson.loads(one.body)["id"] for one in sent]
    places = [item["sequence"] for item in found]
    assert places == sorted(set(places))
    log.append(uses, [message("data.create", {"id": new_id("data")})])
    assert handlers.head(uses)["last_sequence"] > places[-1]


def test_readers_are_told_after_each_batch_how_far_the_log_is(uses: Uses) -> None:
    for _ in range(3):
        log.append(uses, [message("data.create", {"id": new_id("data")}) for _ in range(5)])
    told = bodies(uses, "heard.advanced")
    assert [json.loads(one.body) for one in told] == [{"last_sequence": 5}, {"last_sequence": 10}, {"last_sequence": 15}]
    assert {one.properties["delivery_mode"] for one in told} == {1}


def test_a_broker_that_is_away_does_not_keep_the_log_from_growing(uses: Uses) -> None:
    from shared.bus.port import connect

    # Nobody listens on this port: what is published there fails as with a broker that went away.
    away = replace(uses, parts={**uses.parts, "broker": connect("amqp://127.0.0.1:9/")})
    log.append(away, [message("data.create", {"id": new_id("data")})])
    assert handlers.head(uses) == {"last_sequence": 1}


def test_a_message_of_a_stranger_gets_what_every_message_of_the_log_has(uses: Uses) -> None:
    log.append(uses, [
        message("datarequest.needed", "scans", message_id=None),
        raw("lab.finished", b'{"obj": {"id": "sample-7", "name": "s"}, "time": "2026-07-01", "id": "m-1", "more": 1}'),
        raw("lab.finished", b'{"time": "yesterday", "obj": 7, "correlation_id": 5}', message_id="x" * 500),
    ])
    first, second, third = listed(uses)
    assert (first["obj"], first["event"], first["causation_id"], first["changed"]) == ("scans", "datarequest.needed", None, [])
    assert first["id"].startswith("foreign_") and first["time"][:2] == "20" and first["correlation_id"] == first["id"]
    assert (second["id"], second["time"], second["more"]) == ("m-1", "2026-07-01T00:00:00.000000Z", 1)
    assert third["id"].startswith("long_") and third["time"] > "2026-11"
    assert sequences(uses, object="scans") == [1]
    assert sequences(uses, object="sample-7") == []
    assert sequences(uses, object="s") == [2]
    assert sequences(uses, event="lab.*") == [2, 3]


@pytest.mark.parametrize("body", [
    b"", b"{", b"[1]", b"null", b"\xff\xfe", b'{"obj": "\\ud800"}', b"[" * 5000, b'{"obj": {"name": "a\\u0000b", "n": NaN}}',
    b'{"obj": {"name": "' + b"n" * 100_000 + b'"}}', b'{"obj": 123456789012345678901234567890}',
])
def test_whatever_arrives_is_logged_and_can_be_shown(uses: Uses, body: bytes) -> None:
    log.append(uses, [raw("odd.one", body, message_id="odd"), raw("odd.two", body), raw("", b"{}", content_type="image/png"),
                      raw("x" * 255, b"{}", content_type=None)])
    found = listed(uses)
    assert [item["event"] for item in found] == ["odd.one", "odd.two", "", "x" * 255]
    orjson.dumps(found)


def test_a_message_without_an_id_is_logged_each_time_it_is_sent_but_once_when_it_is_delivered_again(uses: Uses) -> None:
    one = message("datarequest.needed", "scans", message_id=None)
    log.append(uses, [one])
    log.append(uses, [one])
    log.append(uses, [replace(one, redelivered=True), replace(one, redelivered=True, headers={"x-delivery-count": 1})])
    assert sequences(uses) == [1, 2]
    log.append(uses, [message("datarequest.needed", "other", message_id=None, redelivered=True)])
    assert len(sequences(uses)) == 3


@pytest.mark.parametrize(("parameters", "expected"), [
    ({}, range(1, 11)), ({"event": "datarequest.needed"}, [2]), ({"event": "datarequest.*"}, [1, 2, 9]),
    ({"event": "datarequest.#"}, [1, 2, 9]), ({"event": "#"}, range(1, 11)), ({"event": "*"}, range(1, 11)),
    ({"event": "*.create"}, [1, 3, 4, 10]), ({"event": "data*.create,datarequest.satisfied"}, [1, 3, 4, 9, 10]),
    ({"event": "datainstance.re*"}, [5, 6]), ({"event": "datareference.create"}, []), ({"event": "lab.finished"}, []),
    ({"object": "scans"}, [1, 2, 9, 10]), ({"object": "scans", "event": "data.*"}, [10]), ({"object": "scans-1"}, [4, 6, 8]),
    ({"correlation_id": "first"}, range(1, 6)), ({"since": "2026-11-24T10:00:07Z"}, [8, 9, 10]), ({"since": "2026-11-25"}, []),
    ({"after": 8}, [9, 10]), ({"after": 99}, []), ({"sort": "-sequence", "limit": 3}, [10, 9, 8]), ({"limit": 2, "after": 3}, [4, 5]),
])
def test_the_log_is_read_by(uses: Uses, arc: list, parameters: dict, expected: Any) -> None:
    assert sequences(uses, **parameters) == list(expected)


def test_an_object_is_found_by_its_id(uses: Uses, arc: list) -> None:
    assert sequences(uses, object=arc[2]["id"]) == [3, 5, 7]


def test_since_takes_how_long_ago(uses: Uses) -> None:
    log.append(uses, [message("data.create", {}, time=clock.stamp_in(-7200)), message("data.create", {}, time=clock.stamp_in(-60))])
    assert sequences(uses, since="90m") == [2]
    assert sequences(uses, since="PT3H") == [1, 2]


@pytest.mark.parametrize("sort", ["sequence", "-sequence"])
@pytest.mark.parametrize("filters", [{}, {"event": "data*.*"}, {"after": 2}])
def test_pages_go_through_the_whole_log_while_it_grows(uses: Uses, arc: list, sort: str, filters: dict) -> None:
    whole = sequences(uses, sort=sort, **filters)
    found, cursor = [], None
    while True:
        page = handlers.find(uses, {**filters, "limit": 3, "sort": sort, **({"cursor": cursor} if cursor else {})})
        found += [item["sequence"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
        if sort == "-sequence":
            log.append(uses, [message("data.create", {"id": new_id("data")})])
    assert found == whole


def test_totals_are_exact_where_they_are_cheap(uses: Uses, arc: list, monkeypatch: pytest.MonkeyPatch) -> None:
    assert handlers.find(uses, {})["total"] == 10
    assert handlers.find(uses, {"limit": 1, "event": "datainstance.*"})["total"] == 6
    assert handlers.find(uses, {"limit": 1, "after": 4})["total"] == 6
    monkeypatch.setattr(repository, "COUNTED", 4)
    page = handlers.find(uses, {"limit": 1, "event": "datainstance.*"})
    assert (page["total"], page["total_is_estimate"]) == (4, True)


def test_an_owner_sees_what_is_theirs_and_what_is_nobodys(uses: Uses, arc: list) -> None:
    def seen_by(owner: str, *roles: str) -> list[int]:
        return sequences(replace(uses, context=Context(owner=owner, roles=roles)))
    assert seen_by("bob") == [9, 10]
    assert seen_by("ann") == [1, 2, 3, 4, 5, 6, 7, 8, 10]
    assert seen_by("eve") == [10]
    assert seen_by("eve", "Administrator") == list(range(1, 11))
    assert seen_by("") == [10]


def test_a_message_that_the_mesh_did_not_seal_is_the_foreigners_whatever_it_says(uses: Uses) -> None:
    obj = {"id": new_id("datarequest"), "name": "scans", "owner": "ann"}
    whole = message("datarequest.failed", obj)
    log.append(uses, [raw("datarequest.failed", whole.body, message_id="foreign-1"),
                      raw("datarequest.satisfied", whole.body, message_id=whole.properties["message_id"], **whole.headers),
                      raw("datarequest.failed", whole.body + b" ", message_id=whole.properties["message_id"], **whole.headers)])
    names = [item["event"] for item in listed(replace(uses, context=Context("stranger", ("DataScientist",))))]
    assert names == ["datarequest.failed", "datarequest.satisfied"]
    assert listed(replace(uses, context=Context("ann", ("DataScientist",)))) == []


@pytest.mark.parametrize(("parameters", "code", "pointer"), [
    ({"sort": "time"}, "sort.invalid", "/sort"), ({"sort": "sequnce"}, "sort.invalid", "/sort"),
    ({"since": "yesterday"}, "parameter.invalid", "/since"), ({"event": "datarequest.neded"}, "parameter.invalid", "/event"),
    ({"event": "datareqest.*"}, "parameter.invalid", "/event"), ({"object": "a\x00"}, "parameter.invalid", "/object"),
    ({"event": "\ud800"}, "parameter.invalid", "/event"), ({"correlation_id": "\x00"}, "parameter.invalid", "/correlation_id"),
])
def test_what_cannot_be_meant_is_refused_with_its_place(uses: Uses, arc: list, parameters: dict, code: str, pointer: str) -> None:
    with pytest.raises(Invalid) as refusal:
        handlers.find(uses, parameters)
    assert (refusal.value.code, refusal.value.errors[0]["pointer"]) == (code, pointer)


def test_a_cursor_of_another_stretch_of_the_log_is_refused(uses: Uses, arc: list) -> None:
    cursor = handlers.find(uses, {"limit": 2, "event": "data*.*"})["next"]
    for parameters in ({"event": "data.*"}, {"event": "data*.*", "sort": "-sequence"}, {"event": "data*.*", "after": 1}):
        with pytest.raises(Invalid) as refusal:
            handlers.find(uses, {**parameters, "cursor": cursor})
        assert refusal.value.code == "cursor.invalid"
    with pytest.raises(Malformed):
        handlers.find(uses, {"event": "data*.*", "cursor": cursor[:-3]})


def test_what_is_older_than_the_retention_goes_and_the_sequence_goes_on(uses: Uses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "FORGET_AT_ONCE", 3)
    days = uses.config.events.retention_days
    old = clock.stamp(clock.utc_now() - timedelta(days=days + 1))
    log.append(uses, [message("data.create", {}, time=old) for _ in range(8)])
    log.append(uses, [message("data.create", {}), message("data.create", {}, time=old)])
    assert log.forget(uses) == 8
    assert sequences(uses) == [9, 10]
    assert log.forget(uses) == 0
    with uses.db.transaction() as uow:
        uow.connection.execute(event_table.delete())
    log.append(uses, [message("data.create", {})])
    assert sequences(uses) == [11]


@pytest.mark.parametrize(("event", "obj"), [
    ("datarequest.needed", "scans"), ("datarequest.selected", {"id": "dreq_01JD3Z6K8Q4N5W7X9Y2B3C4D5E"}),
    ("datareference.provisioning", {"name": "training", "query": {"a": 1}}), ("datarequest.needed", '{"name": "scans"}'),
])
def test_a_handled_message_is_sent_through_the_outbox_and_never_says_whose_it_is(uses: Uses, event: str, obj: Any) -> None:
    given = {**obj, "owner": "eve"} if isinstance(obj, dict) else obj
    answer = handlers.send(replace(uses, context=Context(owner="ann", correlation_id="c")), {"event": event, "obj": given})
    with uses.db.reading() as connection:
        row, = connection.execute(models.METADATA.tables["outbox"].select()).mappings()
    body = orjson.loads(row["body"])
    assert answer == {"event": event, "id": row["id"], "sent": True}
    assert (row["name"], row["exchange"], body["event"], body["correlation_id"]) == (event, "public", event, "c")
    assert body["obj"] == (json.loads(obj) if isinstance(obj, str) and obj.startswith("{") else obj)
    assert handlers.sent(uses, {"event": event, "obj": obj, "id": answer["id"]}) == answer


@pytest.mark.parametrize(("event", "obj", "code"), [
    ("datarequest.neded", "x", "event.not_handled"), ("datarequest.create", "x", "event.not_handled"),
    ("datarequest.needed", "", "parameter.invalid"), ("datarequest.needed", {}, "parameter.invalid"),
    ("datarequest.needed", 7, "parameter.invalid"), ("datarequest.needed", ["a"], "parameter.invalid"),
    ("datarequest.needed", None, "parameter.invalid"), ("datarequest.needed", "{broken", "parameter.invalid"),
    ("datarequest.needed", "a\x00", "parameter.invalid"), ("datarequest.needed", "x" * 201, "parameter.invalid"),
    ("datarequest.needed", "dins_01JD3Z6K8Q4N5W7X9Y2B3C4D5E", "parameter.invalid"),
    ("datareference.provisioning", {"id": "dreq_01JD3Z6K8Q4N5W7X9Y2B3C4D5E"}, "parameter.invalid"),
])
def test_nothing_else_is_sent(uses: Uses, event: str, obj: Any, code: str) -> None:
    with pytest.raises(Invalid) as refusal:
        handlers.send(uses, {"event": event, "obj": obj})
    assert refusal.value.code == code
    if event == "datarequest.neded":
        assert "datarequest.needed" in refusal.value.extra["nearest"]
    with uses.db.reading() as connection:
        assert connection.execute(models.METADATA.tables["outbox"].select()).first() is None
