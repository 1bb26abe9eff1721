"""What a handler of batches can rely on."""
from __future__ import annotations

import threading
import time

from shared.bus.dead_letters import dead_letter_of
from shared.bus.encoding import encode
from shared.bus.message import Message
from shared.bus.topology import DEAD_QUEUE, PUBLIC
from shared.hosting.entrypoints import batch_event, on_event, rpc, topology_of
from shared.hosting.rpc import Mesh
from shared.kernel.errors import Invalid, NotFound, Unavailable
from tests.interface.bus.stage import depth
from tests.support.awaiting import until


def test_batches_come_in_order_with_all_that_is_there(stage):
    tag, got, hold = stage.tag, [], threading.Event()

    class Log:
        name = f"log-{tag}"

        @batch_event("edgemere", [f"{tag}.#"], batch=50, prefetch=100)
        def keep(self, messages):
            got.append([message.obj for message in messages])
            hold.wait(120)

    stage.run(Log)
    stage.tell(f"{tag}.first", -1)
    until(lambda: got)
    stage.broker.publish_many([Message(PUBLIC, f"{tag}.many.{n % 7}", encode({"obj": n}), id=str(n)) for n in range(200)])
    hold.set()
    until(lambda: sum(map(len, got)) == 201)
    assert got[0] == [-1] and [number for batch in got for number in batch] == list(range(-1, 200))
    assert max(map(len, got)) <= 50 and len(got) < 20
    until(lambda: depth(stage, f"log-{tag}.keep") == 0)


def test_a_batch_is_as_large_as_the_settings_say(stage):
    tag, got, hold = stage.tag, [], threading.Event()

    class Log:
        name = f"log-{tag}"

        @batch_event("edgemere", [f"{tag}.#"])
        def keep(self, messages):
            got.append(len(messages))
            hold.wait(120)

    stage.run(Log, event_batch=7)
    stage.tell(f"{tag}.first", -1)
    until(lambda: got)
    stage.broker.publish_many([Message(PUBLIC, f"{tag}.x", encode({"obj": n}), id=str(n)) for n in range(30)])
    hold.set()
    until(lambda: sum(got) == 31)
    assert max(got) == 7


def test_a_second_replica_of_a_batch_reader_waits_until_the_first_is_gone(stage):
    tag, got = stage.tag, []

    def log(which: int) -> type:
        class Log:
            name = f"log-{tag}"

            @batch_event("edgemere", [f"{tag}.#"])
            def keep(self, messages):
                got.extend((which, message.obj) for message in messages)

        return Log

    first = stage.run(log(1))
    stage.run(log(2))
    for number in range(10):
        stage.tell(f"{tag}.x", number)
    until(lambda: len(got) == 10)
    assert {which for which, _ in got} == {1}
    first.stop()
    stage.tell(f"{tag}.x", 10)
    until(lambda: len(got) == 11)
    assert got[10] == (2, 10)


def test_one_bad_message_does_not_block_its_batch(stage):
    tag, got = stage.tag, []

    class Log:
        name = f"log-{tag}"

        @batch_event("edgemere", [f"{tag}.#"], pauses_s=(0.01,))
        def keep(self, messages):
            if any(message.obj == "bad" for message in messages):
                raise Invalid("thing.bad", "No.")
            got.extend(message.obj for message in messages)

    stage.broker.declare(topology_of(Log, stage.config["retry_backoff_s"]))
    bodies = [encode({"obj": 1}), encode({"obj": "bad"}), b"{undecodable", encode({"obj": 2})]
    stage.broker.publish_many([Message(PUBLIC, f"{tag}.x", body, id=str(n)) for n, body in enumerate(bodies)])
    stage.run(Log)
    until(lambda: got == [1, 2])
    letters = until(lambda: len(found := stage.letters(f"log-{tag}.keep")) == 2 and found)
    assert {(letter.id, letter.code) for letter in letters} == {("1", "thing.bad"), ("2", "message.undecodable")}


def test_a_batch_waits_for_what_passes_and_loses_nothing(stage):
    tag, got, attempts, away = stage.tag, [], [], [True]

    class Log:
        name = f"log-{tag}"

        @batch_event("edgemere", [f"{tag}.#"], pauses_s=(0.01,))
        def keep(self, messages):
            attempts.append(len(messages))
            if away:
                raise Unavailable("database.unavailable", "Not now.")
            got.extend(message.obj for message in messages)

    stage.run(Log)
    for number in range(5):
        stage.tell(f"{tag}.x", number)
    until(lambda: len(attempts) > 10)
    away.clear()
    until(lambda: got == list(range(5)))
    assert not stage.letters(f"log-{tag}.keep")


def test_dead_letters_can_be_read_in_batches_as_they_came(stage):
    tag, got = stage.tag, []

    class Hears:
        name = f"hears-{tag}"

        @on_event("edgemere", f"{tag}.said")
        def said(self, message):
            raise NotFound("thing.not_found", "No such thing.")

    class Undertaker:
        name = f"undertaker-{tag}"

        @batch_event(queue=DEAD_QUEUE, raw=True)
        def bury(self, deliveries):
            got.extend(letter for letter in map(dead_letter_of, deliveries) if tag in letter.queue)

    stage.run(Hears, Undertaker)
    stage.tell(f"{tag}.said", 1, id="m1")
    stage.broker.publish(Message(PUBLIC, f"{tag}.said", b"\x00\xff", id="m2"))
    stage.broker.publish(Message(PUBLIC, f"{tag}.said", b"unpacked", id="m3", headers={"compression": "zlib"}))
    until(lambda: len(got) == 3)
    assert {(letter.id, letter.code, letter.body) for letter in got} == {
        ("m1", "thing.not_found", b'{"obj":1}'), ("m2", "message.undecodable", b"\x00\xff"),
        ("m3", "message.undecodable", b"unpacked")}


def test_a_dead_letter_that_cannot_be_read_now_comes_again_with_its_own_reason(stage):
    tag, got, attempts = stage.tag, [], []

    class Hears:
        name = f"hears-{tag}"

        @on_event("edgemere", f"{tag}.said")
        def said(self, message):
            raise NotFound("thing.not_found", "No such thing.")

    class Undertaker:
        name = f"undertaker-{tag}"

        @batch_event(queue=DEAD_QUEUE, raw=True, pauses_s=(0.01,))
        def bury(self, deliveries):
            letters = [letter for letter in map(dead_letter_of, deliveries) if tag in letter.queue]
            if letters:
                attempts.append(len(letters))
                if len(attempts) < 3:
                    raise Invalid("thing.bad", "Not this one.")
            got.extend(letters)

    stage.run(Hears, Undertaker)
    stage.tell(f"{tag}.said", 1, id="m1")
    until(lambda: got)
    assert [(letter.id, letter.code, letter.attempts, letter.event) for letter in got] == [
        ("m1", "thing.not_found", 1, f"{tag}.said")]


def test_a_container_stops_at_once_when_nothing_is_under_way(stage):
    tag = stage.tag

    class Log:
        name = f"log-{tag}"
        mesh = Mesh()

        @batch_event("edgemere", [f"{tag}.#"])
        def keep(self, messages):
            pass

        @on_event("edgemere", f"{tag}.x")
        def said(self, message):
            pass

        @rpc
        def ping(self):
            return "pong"

    runner = stage.run(Log)
    assert stage.client().call(Log.name, "ping") == "pong"
    began = time.monotonic()
    runner.stop()
    assert time.monotonic() - began < 30
