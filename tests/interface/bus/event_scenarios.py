"""What a handler of events can rely on, whoever publishes them."""
from __future__ import annotations

import threading
import time

from nameko.events import EventDispatcher, event_handler

from shared.bus.dead_letters import replay
from shared.bus.encoding import encode
from shared.bus.message import Message
from shared.bus.topology import INTERNAL, PUBLIC
from shared.hosting.entrypoints import on_event, rpc
from shared.kernel.errors import NotFound
from tests.interface.bus.stage import CurrentContext
from tests.support.awaiting import until


def test_stopping_waits_for_what_is_being_handled_and_acks_it(stage):
    tag, began, done = stage.tag, [], []

    class Steady:
        name = f"steady-{tag}"

        @on_event("edgemere", f"{tag}.told")
        def told(self, message):
            began.append(message.id)
            time.sleep(0.4)
            done.append(message.id)

    runner = stage.run(Steady)
    stage.tell(f"{tag}.told", 1, id="once")
    until(lambda: began)
    runner.stop()
    assert done == ["once"]
    stage.run(Steady)
    stage.tell(f"{tag}.told", 2, id="next")
    until(lambda: len(began) == 2)
    assert began == ["once", "next"], "the first was acked, so nobody gets it again"


def test_each_service_gets_a_copy_and_replicas_share(stage):
    tag, got = stage.tag, []

    def service(which: str) -> type:
        class Hears:
            name = f"{which}-{tag}"

            @on_event("edgemere", f"{tag}.said")
            def said(self, message):
                got.append((which, message.obj))

        return Hears

    stage.run(service("one"), service("two"))
    stage.run(service("two"))
    for number in range(30):
        stage.tell(f"{tag}.said", number, id=f"m{number}")
    until(lambda: len(got) >= 60)
    time.sleep(0.1)
    assert sorted(got) == sorted([(which, number) for which in ("one", "two") for number in range(30)])


def test_an_event_tells_everything_that_came_with_it(stage):
    tag, got = stage.tag, []

    class Hears:
        name = f"hears-{tag}"
        context = CurrentContext()

        @on_event("edgemere", f"{tag}.said")
        def said(self, message):
            got.append((message, self.context))

        @on_event("edgemere", f"{tag}.inside", internal=True)
        def inside(self, message):
            got.append((message, self.context))

    stage.run(Hears)
    body = {"obj": {"id": "x"}, "event": f"{tag}.said", "id": "m1", "time": "2026-01-01T00:00:00.000000Z",
            "correlation_id": "corr", "causation_id": "cause"}
    stage.broker.publish(Message(PUBLIC, f"{tag}.said", encode(body), id="m1",
                                 headers={"nameko.correlation_id": "corr", "nameko.owner": "root", "own": 1}))
    until(lambda: got)
    message, context = got[0]
    assert (message.name, message.id, message.body, message.obj) == (f"{tag}.said", "m1", body, {"id": "x"})
    assert (message.correlation_id, message.causation_id, message.time) == ("corr", "cause", body["time"])
    assert (message.attempt, message.redelivered, message.headers["own"]) == (1, False, 1)
    assert (context.correlation_id, context.causation_id) == ("corr", "m1")
    assert context.owner == "", "who publishes cannot say on whose behalf"
    stage.tell(f"{tag}.inside", 5, exchange=INTERNAL)
    until(lambda: len(got) == 2)
    assert got[1][0].obj == 5 and got[1][0].id is None


def test_foreign_publishers_are_understood(stage):
    tag, got = stage.tag, []

    class Hears:
        name = f"hears-{tag}"

        @on_event("edgemere", f"{tag}.said")
        def said(self, message):
            got.append(message.obj)

        @on_event(f"foreign-{tag}", "happened")
        def happened(self, message):
            got.append(message.obj)

    class Foreign:
        name = f"foreign-{tag}"
        dispatch = EventDispatcher()

        @rpc
        def say(self):
            self.dispatch("happened", {"obj": "nameko"})

    stage.run(Hears, Foreign)
    stage.client().call(Foreign.name, "say")
    text = '{"obj": "%s"}'
    for number, options in enumerate((
        {"content_type": "application/json"}, {"content_type": "application/json; charset=utf-8"},
        {"content_type": "application/cloudevents+json"}, {"content_type": "application/json", "content_encoding": "binary"},
        {"content_type": "application/json; charset=utf-16", "body": (text % 4).encode("utf-16")},
    )):
        stage.send(options.pop("body", (text % number).encode()), f"{tag}.said", **options)
    stage.broker.publish(Message(PUBLIC, f"{tag}.said", b'{"obj": "bare"}', content_type=None, content_encoding=None))
    stage.send(b'{"obj": "packed"}', f"{tag}.said", content_type="application/json", compression="zlib")
    until(lambda: len(got) == 8)
    assert sorted(got) == ["0", "1", "2", "3", "4", "bare", "nameko", "packed"]


def test_a_foreign_nameko_service_can_listen_to_our_exchange(stage):
    tag, got = stage.tag, []

    class Foreign:
        name = f"foreign-{tag}"

        @event_handler("edgemere", f"{tag}.said")
        def said(self, payload):
            got.append(payload)

    stage.run(Foreign)
    stage.tell(f"{tag}.said", {"id": "x"}, headers={"nameko.correlation_id": "c"})
    until(lambda: got)
    assert got == [{"obj": {"id": "x"}}]


def test_a_failed_event_comes_again_with_pauses_and_does_not_block_others(stage):
    tag, got = stage.tag, []

    class Hears:
        name = f"hears-{tag}"

        @on_event("edgemere", f"{tag}.said")
        def said(self, message):
            got.append((message.obj, message.attempt, message.id, message.name, time.monotonic()))
            if message.obj == "bad" and message.attempt < 3:
                raise RuntimeError("not now")

    stage.run(Hears)
    stage.tell(f"{tag}.said", "bad", id="m1")
    stage.tell(f"{tag}.said", "good", id="m2")
    until(lambda: len(got) == 4)
    assert sorted((obj, attempt) for obj, attempt, *_ in got) == [("bad", 1), ("bad", 2), ("bad", 3), ("good", 1)]
    bad = [one for one in got if one[0] == "bad"]
    assert {(one[2], one[3]) for one in bad} == {("m1", f"{tag}.said")}
    assert bad[1][4] - bad[0][4] >= 0.04 and bad[2][4] - bad[1][4] >= 0.09
    assert not stage.letters(f"{Hears.name}.{tag}.said")


def test_an_event_that_fails_to_the_last_attempt_is_a_dead_letter_that_can_be_replayed(stage):
    tag, got, mended = stage.tag, [], []

    class Hears:
        name = f"hears-{tag}"

        @on_event("edgemere", f"{tag}.said")
        def said(self, message):
            got.append((message.attempt, message.name, message.id, message.headers.get("own")))
            if not mended:
                raise RuntimeError("never")

    stage.run(Hears)
    queue = f"{Hears.name}.{tag}.said"
    stage.tell(f"{tag}.said", "x", id="m1", headers={"own": "header"})
    letter = until(lambda: stage.letters(queue))[0]
    assert (letter.id, letter.event, letter.exchange, letter.attempts) == ("m1", f"{tag}.said", PUBLIC, 3)
    assert letter.code == "internal" and letter.reason == "RuntimeError: never" and letter.body == b'{"obj":"x"}'
    assert [attempt for attempt, *_ in got] == [1, 2, 3]
    mended.append(True)
    replay(stage.broker, letter)
    until(lambda: len(got) == 4)
    assert got[3] == (1, f"{tag}.said", "m1", "header")


def test_an_error_that_no_attempt_mends_is_a_dead_letter_at_once_unless_the_handler_says_otherwise(stage):
    tag, got = stage.tag, []

    class Hears:
        name = f"hears-{tag}"

        @on_event("edgemere", f"{tag}.permanent")
        def permanent(self, message):
            got.append("permanent")
            raise NotFound("thing.not_found", "No such thing.")

        @on_event("edgemere", f"{tag}.later", retry_on=(NotFound,))
        def later(self, message):
            got.append("later")
            raise NotFound("thing.not_found", "No such thing.")

    stage.run(Hears)
    stage.tell(f"{tag}.permanent", 1)
    stage.tell(f"{tag}.later", 1)
    letters = [until(lambda name=name: stage.letters(f"{Hears.name}.{tag}.{name}"))[0] for name in ("permanent", "later")]
    assert sorted(got) == ["later"] * 3 + ["permanent"]
    assert [(letter.code, letter.attempts) for letter in letters] == [("thing.not_found", 1), ("thing.not_found", 3)]


def test_what_cannot_be_read_is_a_dead_letter_and_never_lost(stage):
    tag, got = stage.tag, []

    class Hears:
        name = f"hears-{tag}"

        @on_event("edgemere", f"{tag}.said")
        def said(self, message):
            got.append(message.obj)

    stage.run(Hears)
    bad = [
        (b"{broken", "application/json", "utf-8"), (b"\xff\xfe\x00", "application/json", "utf-8"),
        (b"\x80\x04N.", "application/x-python-serialize", "binary"), (b"a: 1", "application/x-yaml", "utf-8"),
        (b"text", "text/plain", "utf-8"), (b"{}", "application/json; charset=klingon", "utf-8"),
        (b"", "application/json", "utf-8"), (b"[" * 100_000, "application/json", "utf-8"),
        (b"[1]", "application/json", "utf-8"), (b'{"object": 1}', "application/json", "utf-8"),
        (b"NaN", "application/json", "utf-8"),
    ]
    for body, content_type, content_encoding in bad:
        stage.broker.publish(Message(PUBLIC, f"{tag}.said", body, content_type=content_type,
                                     content_encoding=content_encoding))
    for scheme in ("zlib", "klingon"):
        stage.send(b'{"obj": 1}', f"{tag}.said", content_type="application/json", headers={"compression": scheme})
    stage.tell(f"{tag}.said", "good")
    until(lambda: got == ["good"])
    letters = until(lambda: len(found := stage.letters(f"{Hears.name}.{tag}.said")) == len(bad) + 2 and found)
    assert {letter.code for letter in letters} == {"message.undecodable", "message.malformed"}
    assert sorted(letter.body for letter in letters)[:2] == sorted([body for body, _, _ in bad])[:2]


def test_a_flood_of_events_leaves_room_for_calls(stage):
    tag, hold, began = stage.tag, threading.Event(), []

    class Busy:
        name = f"busy-{tag}"

        @on_event("edgemere", f"{tag}.said")
        def said(self, message):
            began.append(message.obj)
            hold.wait(120)

        @rpc
        def ping(self):
            return "pong"

    stage.run(Busy)
    for number in range(40):
        stage.tell(f"{tag}.said", number)
    until(lambda: len(began) == 5)
    assert stage.client().call(Busy.name, "ping", timeout_s=60) == "pong"
    assert len(began) == 5, "half of the ten workers"
    hold.set()
    until(lambda: len(began) == 40)
