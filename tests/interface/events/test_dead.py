"""Dead letters on both databases: kept as they came, found, and handed to the queue they came from again."""
from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from services.events import dead, log, models, repository
from shared.bus.event import attempt_of, event_of
from shared.bus.failures import dead_letter
from shared.bus.message import Delivery
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import Invalid, Malformed, NotFound, Unavailable
from shared.kernel.ids import new_id
from tests.interface.events.conftest import ADMINISTRATOR, bodies, message, raw


def died(body: bytes | None = None, queue: str = "lab.scans", name: str = "datarequest.needed", error: Exception | None = None,
         attempt: int = 1, **headers: Any) -> Delivery:
    """A delivery of the dead-letter queue, as the entrypoints publish it."""
    before = message(name, "scans") if body is None else raw(name, body, message_id="m-1")
    before = replace(before, queue=queue, headers={"nameko.correlation_id": "corr", "x-attempt": attempt, **headers})
    after = dead_letter(before, error or Malformed("lab.odd", "It is odd."))
    return Delivery("edgemere.dead", after.exchange, after.routing_key, after.body,
                    {**before.properties, "correlation_id": after.correlation_id}, after.headers)


def listed(uses: Uses, **parameters: Any) -> list[dict[str, Any]]:
    return dead.find(uses, parameters)["items"]


def test_a_dead_letter_says_what_died_where_why_and_after_how_many_attempts(uses: Uses) -> None:
    dead.keep(uses, [died(attempt=5), died(error=ValueError("boom"))])
    first, second = listed(uses)
    assert (first["event"], first["queue"], first["code"], first["attempts"]) == ("datarequest.needed", "lab.scans", "lab.odd", 5)
    assert "It is odd." in first["reason"] and first["replayed_at"] is None
    assert (first["body"]["obj"], first["encoding"]) == ("scans", "json")
    assert (second["code"], second["reason"]) == ("internal", "ValueError: boom")


def test_one_that_the_broker_gave_up_says_so(uses: Uses) -> None:
    dead.keep(uses, [Delivery("edgemere.dead", "edgemere.dlx", "lab.scans", b"{}", {}, {
        "x-death": [{"queue": "lab.scans", "reason": "delivery_limit", "count": 1, "exchange": "edgemere.events",
                     "routing-keys": ["datarequest.needed"]}], "x-delivery-count": 31})])
    found, = listed(uses)
    assert (found["event"], found["queue"], found["code"]) == ("datarequest.needed", "lab.scans", "message.delivery_limit")


@pytest.mark.parametrize(("body", "shown", "encoding"), [
    (b'{"obj": "x"}', {"obj": "x"}, "json"), (b"not json", "not json", "text"), (b"\xff\x00\x01", "/wAB", "base64"), (b"", "", "text"),
    (b'{"obj": {"password": "p", "url": "http://a:b@c/"}}', {"obj": {"password": "•••", "url": "http://a:•••@c/"}}, "json"),
    (b"x" * 70_000, "x" * 65_536, "cut"),
])
def test_a_body_of_any_kind_is_kept_whole_and_shown(uses: Uses, body: bytes, shown: Any, encoding: str) -> None:
    dead.keep(uses, [died(body)])
    found, = listed(uses)
    assert (found["body"], found["encoding"]) == (shown, encoding)
    dead.replay(uses, {"id": found["id"]})
    again, = bodies(uses, "lab.scans")
    assert bytes(again.body if isinstance(again.body, bytes) else again.body.encode()) == body
    if encoding == "base64":
        assert base64.b64decode(shown) == body


def test_the_same_death_delivered_again_is_kept_once_and_another_death_of_the_same_message_too(uses: Uses) -> None:
    first = died()
    dead.keep(uses, [first])
    dead.keep(uses, [replace(first, redelivered=True), replace(first, redelivered=True, headers={**first.headers, "x-delivery-count": 2})])
    assert len(listed(uses)) == 1
    twin = replace(first)
    dead.keep(uses, [twin])
    assert len(listed(uses)) == 2


def test_dead_letters_are_listed_by_page_and_filter(uses: Uses) -> None:
    dead.keep(uses, [died(name="data.create" if at % 2 else "data.destroy", queue="lab.scans" if at % 3 else "other") for at in range(12)])
    assert len(listed(uses, event="data.create")) == 6
    assert len(listed(uses, queue="other")) == 4
    assert len(listed(uses, queue="other", event="data.create")) == 2
    assert len(listed(uses, code="lab.odd", limit=100)) == 12
    assert len(listed(uses, attr1="attempts:1 queue:other")) == 4
    page = dead.find(uses, {"limit": 5})
    rest = dead.find(uses, {"limit": 50, "cursor": page["next"]})
    assert (page["total"], len(page["items"]) + len(rest["items"]), rest["next"]) == (12, 12, None)
    one = page["items"][3]
    assert listed(uses, attr1=one["id"]) == listed(uses, id=one["id"]) == [one]


def test_a_replayed_message_is_as_it_was_before_its_first_attempt(uses: Uses) -> None:
    dead.keep(uses, [died(attempt=4, **{"x-mine": 1, "x-death": [{"queue": "edgemere.retry.200ms", "reason": "expired", "count": 3}]})])
    letter, = listed(uses)
    answer = dead.replay(uses, {"id": letter["id"]})
    assert [item["id"] for item in answer["items"]] == [letter["id"]] and answer["left"] == 0
    assert answer["items"][0]["replayed_at"] == listed(uses)[0]["replayed_at"] != None  # noqa: E711
    again, = bodies(uses, "lab.scans")
    properties = {key: value for key, value in again.properties.items() if key != "application_headers"}
    event = event_of(Delivery("lab.scans", "", "lab.scans", again.body.encode() if isinstance(again.body, str) else again.body,
                              {**properties, "content_type": again.content_type, "content_encoding": again.content_encoding},
                              again.headers))
    assert (event.name, event.obj, event.correlation_id, event.id) == ("datarequest.needed", "scans", "corr", letter["body"]["id"])
    assert attempt_of(again.headers) == 1
    assert again.headers["x-mine"] == 1
    assert not [name for name in again.headers if "death" in name or "error" in name or name == "x-attempts"]


def test_replays_take_what_was_not_replayed_yet_by_event_queue_or_all(uses: Uses) -> None:
    dead.keep(uses, [died(name="data.create" if at % 2 else "data.destroy") for at in range(6)])
    assert dead.replay(uses, {"event": "data.create"})["total"] == 3
    assert dead.replay(uses, {"event": "data.create"})["total"] == 0
    assert dead.replay(uses, {"queue": "nowhere"})["total"] == 0
    assert dead.replay(uses, {"all": True})["total"] == 3
    assert dead.replay(uses, {"all": True}) == {"items": [], "next": None, "total": 0, "left": 0}
    assert len(bodies(uses, "lab.scans")) == 6
    # By its id one is replayed again, because somebody says so.
    assert dead.replay(uses, {"id": listed(uses)[0]["id"]})["total"] == 1


def test_what_is_not_named_or_not_there_is_refused(uses: Uses) -> None:
    for parameters in ({}, {"all": False}, {"id": "", "queue": ""}):
        with pytest.raises(Invalid) as unnamed:
            dead.replay(uses, parameters)
        assert unnamed.value.code == "deadletter.unnamed"
    for ref in ("dead_01JD3Z6K8Q4N5W7X9Y2B3C4D5E", "nothing", "a\x00"):
        with pytest.raises(NotFound) as missing:
            dead.replay(uses, {"id": ref})
        assert missing.value.code == "deadletter.not_found"


def test_a_queue_that_is_gone_is_said_and_its_dead_letters_are_kept(uses: Uses) -> None:
    dead.keep(uses, [died(), died(queue="gone.queue"), died()])
    with pytest.raises(Unavailable, match="gone.queue"):
        dead.replay(uses, {"all": True})
    assert [letter["replayed_at"] is None for letter in listed(uses)] == [False, True, True]
    assert len(bodies(uses, "lab.scans")) == 1


def test_a_repeated_call_answers_with_the_replay_of_the_first(uses: Uses) -> None:
    dead.keep(uses, [died(), died()])
    keyed = replace(uses, context=ADMINISTRATOR.having(idempotency_key="k", fingerprint="f"))
    first = dead.replay(keyed, {"all": True})
    with uses.db.reading() as connection:
        kept = connection.execute(models.METADATA.tables["idempotency"].select()).mappings().one()
    assert kept["noun"] == "deadletter"
    again = dead.replayed(uses, {"id": kept["object_id"]})
    assert again["items"] == first["items"]


def test_only_what_was_replayed_is_forgotten(uses: Uses) -> None:
    dead.keep(uses, [died(), died()])
    dead.replay(uses, {"id": listed(uses)[0]["id"]})
    long_ago = clock.stamp(clock.utc_now() - timedelta(days=uses.config.events.retention_days + 1))
    with uses.db.transaction() as uow:
        repository.replayed(uow, [listed(uses)[0]["id"]], long_ago)
        uow.connection.execute(repository.deadletter_table.update().values(time=long_ago))
    log.forget(uses)
    kept, = listed(uses)
    assert kept["replayed_at"] is None
    with uses.db.reading() as connection:
        assert repository.dead_count(connection) == 1


def test_what_is_shown_is_json(uses: Uses) -> None:
    dead.keep(uses, [died(b'{"obj": "\\ud800"}'), died(**{"x-odd": b"\xff", "x-nan": float("nan")})])
    orjson.dumps(listed(uses))


def test_a_dead_letter_from_before_an_upgrade_is_handed_to_its_handler(uses: Uses) -> None:
    """The row is as release 0.1 wrote it: no version of the message's form in its headers."""
    body = (b'{"obj":{"id":"dreq_01KAV00000000000000000000A","name":"old","version":2,"state":"Needed"},"changed":["state"],'
            b'"event":"datarequest.needed","id":"evnt_01KAV00000000000000000000B","time":"2026-11-24T10:00:00.000000Z",'
            b'"correlation_id":"c","causation_id":null}')
    headers = {"nameko.correlation_id": "c", "cloudEvents_specversion": "1.0", "cloudEvents_type": "datarequest.needed",
               "x-attempt": 5, "x-attempts": 5, "x-error": "Unavailable: …", "x-error-code": "bus.unavailable", "x-queue": "lab.scans",
               "x-exchange": "edgemere.events", "x-routing-key": "datarequest.needed"}
    with uses.db.transaction() as uow:
        repository.keep_dead(uow, [{
            "id": "dead_01KAV00000000000000000000C", "death": "d" * 40, "event": "datarequest.needed", "queue": "lab.scans",
            "reason": "…", "code": "bus.unavailable", "attempts": 5, "time": "2026-11-24T10:00:05.000000Z", "body": body,
            "headers": headers, "properties": {"message_id": "evnt_01KAV00000000000000000000B", "content_type": "application/json",
                                               "content_encoding": None, "correlation_id": "c"},
            "exchange": "edgemere.events", "replayed_at": None}])
    assert dead.replay(uses, {"id": "dead_01KAV00000000000000000000C"})["left"] == 0
    again, = bodies(uses, "lab.scans")
    event = event_of(Delivery("lab.scans", "", "lab.scans", again.body if isinstance(again.body, bytes) else again.body.encode(),
                              {"content_type": "application/json"}, again.headers))
    assert (event.name, event.obj["name"], event.attempt) == ("datarequest.needed", "old", 1)


def held_up(uses: Uses) -> list[dict[str, Any]]:
    """What requests are told of steps that cannot be taken."""
    with uses.db.reading() as connection:
        rows = connection.execute(models.METADATA.tables["outbox"].select()).mappings()
        return [orjson.loads(row["body"])["obj"] for row in rows if row["name"] == "deadletter.kept"]


def test_a_dead_letter_about_a_request_tells_it_once_and_a_strangers_tells_nobody(uses: Uses) -> None:
    request = {"id": new_id("datarequest"), "name": "scans", "attempt": 2}

    def dead_of(said: Delivery, queue: str) -> Delivery:
        after = dead_letter(replace(said, queue=queue), ValueError("boom"))
        return Delivery("edgemere.dead", after.exchange, after.routing_key, after.body, said.properties, after.headers)
    step = dead_of(message("datarequest.needed", request), "reservations.datarequest.needed")
    dead.keep(uses, [step])
    dead.keep(uses, [replace(step, redelivered=True)])
    dead.keep(uses, [dead_of(message("instances.settled", {"request": request["id"], "attempt": 2}), "requests.instances.settled")])
    first, second = sorted(listed(uses), key=lambda kept: kept["id"])
    assert held_up(uses) == [
        {"request": request["id"], "attempt": 2, "deadletter": {
            "id": kept["id"], "event": kept["event"], "queue": kept["queue"], "code": "internal", "attempts": 1}} for kept in (first, second)]
    forged = raw("datarequest.needed", orjson.dumps({"obj": request}), message_id="m-2")
    dead.keep(uses, [dead_of(forged, "reservations.datarequest.needed"), died(),
                     dead_of(message("data.create", {"id": new_id("data")}), "requests.appeared"),
                     dead_of(message("deadletter.kept", {"request": request["id"]}), "requests.deadletter.kept")])
    assert len(held_up(uses)) == 2
