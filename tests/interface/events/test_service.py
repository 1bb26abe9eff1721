"""The service in a real process on the embedded broker: messages that go through it, dead letters, operations, ``kill -9``."""
from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from shared.kernel.errors import Conflict, Invalid, NotFound
from shared.kernel.ids import with_noun
from tests.interface.events.conftest import World
from tests.support.awaiting import until


def whole_log(world: World, **parameters: Any) -> list[dict[str, Any]]:
    found, cursor = [], None
    while True:
        page = world.call("events.list", limit=1000, **parameters, **({"cursor": cursor} if cursor else {}))
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            return found


def test_the_messages_of_a_request_are_in_the_log_in_order(world: Callable[[], World]) -> None:
    one = world()
    made = one.call("requests.create", name="scans", query="owner:x")
    one.call("requests.cancel", id="scans")
    found = until(lambda: len(whole_log(one)) >= 4 and whole_log(one))
    assert [item["event"] for item in found] == [
        "datarequest.create", "datarequest.needed", "datarequest.failed", "datarequest.updated"]
    assert [item["obj"]["version"] for item in found] == [1, 1, 2, 2]
    assert {item["obj"]["id"] for item in found} == {made["id"]}
    assert one.call("events.head") == {"last_sequence": found[-1]["sequence"]}
    assert one.call("events.stream", event="datarequest.failed")["items"] == [found[2]]
    health = one.call("events.health")
    assert (health["ok"], health["lag"], health["dead_letters"]) == (True, 0, 0)


def test_a_message_that_is_sent_reaches_its_handler_and_the_log(world: Callable[[], World]) -> None:
    one = world()
    key = {"idempotency_key": "once"}
    first = one.call("events.send", event="datarequest.needed", obj={"name": "lab", "owner": "eve"}, context=key)
    assert one.call("events.send", event="datarequest.needed", obj={"name": "lab", "owner": "eve"}, context=key) == first
    found, = until(lambda: whole_log(one))
    assert (found["id"], found["event"], found["obj"]) == (first["id"], "datarequest.needed", {"name": "lab"})
    handled = one.folder / "handled"
    assert until(lambda: handled.exists() and handled.read_text()) == "lab 1\n"
    with pytest.raises(Invalid) as refusal:
        one.call("events.send", event="datarequest.created", obj="lab")
    assert refusal.value.code == "event.not_handled"


def test_a_dead_letter_is_listed_and_handled_when_it_is_replayed(world: Callable[[], World]) -> None:
    one = world()
    handled = one.folder / "handled"
    handled.touch()
    (one.folder / "fragile").touch()
    one.do(publish="datarequest.needed", body='{"obj": "bad"}', id="m-1")
    one.do(publish="datarequest.needed", body="{broken", id="m-2")
    one.do(publish="datarequest.needed", body='{"obj": "good"}', id="m-3")
    until(lambda: one.call("events.dead_list")["total"] == 2)
    letters = {letter["code"]: letter for letter in one.call("events.dead_list", sort="time")["items"]}
    assert set(letters) == {"test.fragile", "message.undecodable"}
    assert {letter["queue"] for letter in letters.values()} == {"fragile.datarequest.needed"}
    assert letters["message.undecodable"]["body"] == "{broken"
    # It did not block the one behind it.
    until(lambda: "good 1" in handled.read_text())
    # A health that did not get to count in its time says so instead.
    until(lambda: one.call("events.health").get("dead_letters") == 2)
    (one.folder / "fragile").unlink()
    assert one.call("events.dead_replay", id=letters["test.fragile"]["id"])["total"] == 1
    until(lambda: "bad 1" in handled.read_text())
    assert one.call("events.dead_list", event="datarequest.needed", id=letters["test.fragile"]["id"])["items"][0]["replayed_at"]
    # The broken one dies again, as another dead letter.
    assert one.call("events.dead_replay", queue="fragile.datarequest.needed")["total"] == 1
    until(lambda: one.call("events.dead_list")["total"] == 3)
    with pytest.raises(NotFound):
        one.call("events.dead_replay", id="dead_01JD3Z6K8Q4N5W7X9Y2B3C4D5E")


def test_kill_9_at_any_moment_loses_nothing_and_logs_nothing_twice(world: Callable[[], World]) -> None:
    known: list[str] = []
    seen: list[int] = []
    for delay_s in (0, 0.02, 0.05, 0.1, 0.2):
        one = world()
        known += one.do(burst=1200)
        time.sleep(delay_s)
        one.kill9()
    one = world()
    until(lambda: one.call("events.health")["lag"] == 0)
    found = whole_log(one, event="data.create")
    assert [item["id"] for item in found] == known
    seen = [item["sequence"] for item in found]
    assert seen == sorted(set(seen))


def test_operations_are_requests_and_scans_newest_first(world: Callable[[], World]) -> None:
    one = world()
    for name in ("a", "b", "c", "d"):
        one.call("requests.create", name=name, query="owner:x")
    one.call("requests.cancel", id="b")
    operations = one.call("events.operation_list")
    assert [(item["kind"], item["subject"]["name"], item["status"]) for item in operations["items"]] == [
        ("datarequest", "d", "running"), ("datarequest", "c", "running"), ("datarequest", "b", "cancelled"),
        ("datarequest", "a", "running"), ("scan", "archive", "running"), ("scan", "lab", "succeeded")]
    assert (operations["total"], operations["next"]) == (6, None)
    for limit in (1, 2, 3, 5):
        found, cursor = [], None
        while True:
            page = one.call("events.operation_list", limit=limit, **({"cursor": cursor} if cursor else {}))
            found += page["items"]
            cursor = page["next"]
            assert page["total"] == 6 and len(found) <= 6
            if cursor is None:
                break
        assert found == operations["items"]

    def named(**parameters: Any) -> list[str]:
        return [item["subject"]["name"] for item in one.call("events.operation_list", **parameters)["items"]]
    assert named(status="running") == ["d", "c", "a", "archive"]
    assert named(status="running", kind="scan") == ["archive"]
    assert named(status="cancelled") == ["b"]
    assert named(status="failed") == named(status="waiting") == []
    assert named(status="succeeded") == ["lab"]
    assert named(kind="datarequest", limit=2) == ["d", "c"]
    for parameters in ({"status": "runing"}, {"kind": "request"}):
        with pytest.raises(Invalid) as refusal:
            one.call("events.operation_list", **parameters)
        assert refusal.value.code == "parameter.invalid"


def test_an_operation_is_shown_and_cancelled_by_its_id_or_that_of_what_it_follows(world: Callable[[], World]) -> None:
    one = world()
    request = one.call("requests.create", name="scans", query="owner:x")
    operation = with_noun(request["id"], "operation")
    shown = one.call("events.operation_show", id=operation)
    assert (shown["id"], shown["status"], shown["subject"]) == (operation, "running", {"id": request["id"], "name": "scans"})
    assert shown["result"] == f"/edgemere/diml/dml/do/datarequest/show?id={request['id']}"
    assert one.call("events.operation_show", id=request["id"]) == shown
    for _ in range(2):
        assert one.call("events.operation_cancel", id=operation)["status"] == "cancelled"
    assert one.call("events.operation_show", id=operation)["reason"]["code"] == "cancelled"

    running, done = one.call("events.operation_list", kind="scan")["items"]
    assert one.call("events.operation_show", id=running["id"]) == running
    assert one.call("events.operation_show", id=with_noun(running["id"], "scan")) == running
    assert one.call("events.operation_cancel", id=running["id"])["status"] == "cancelled"
    with pytest.raises(Conflict) as over:
        one.call("events.operation_cancel", id=done["id"])
    assert over.value.code == "operation.over"
    for ref in ("oper_01JD3Z6K8Q4N5W7X9Y2B3C4D5E", "dins_01JD3Z6K8Q4N5W7X9Y2B3C4D5E", "scans"):
        for method in ("events.operation_show", "events.operation_cancel"):
            with pytest.raises(NotFound) as refusal:
                one.call(method, id=ref)
            assert refusal.value.code == "operation.not_found"
