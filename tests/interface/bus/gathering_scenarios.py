"""What a handler can rely on that takes several messages at once."""
from __future__ import annotations

import threading
import time

from shared.bus.encoding import encode
from shared.bus.message import Message
from shared.bus.topology import PUBLIC
from shared.hosting.entrypoints import on_event
from shared.hosting.gathering import on_events
from shared.kernel.errors import NotFound
from tests.interface.bus.stage import depth
from tests.support.awaiting import until


def test_what_waits_is_handled_together_and_what_comes_alone_at_once(stage):
    tag, got, hold = stage.tag, [], threading.Event()

    class Takes:
        name = f"takes-{tag}"

        @on_events("edgemere", f"{tag}.said", most=8)
        def said(self, messages):
            got.append([message.obj for message in messages])
            if len(got) == 1:
                hold.wait(120)

    stage.run(Takes)
    stage.tell(f"{tag}.said", "first")
    until(lambda: got)
    assert got == [["first"]]
    stage.broker.publish_many([Message(PUBLIC, f"{tag}.said", encode({"obj": n}), id=f"{tag}-{n}") for n in range(8)])
    until(lambda: depth(stage, f"takes-{tag}.{tag}.said") == 0, what="they are not handed over")
    time.sleep(0.1)
    hold.set()
    until(lambda: sum(map(len, got)) == 9)
    assert got[1] == list(range(8)), "they waited for the first, and came in their order"
    until(lambda: depth(stage, f"takes-{tag}.{tag}.said") == 0)


def test_one_that_fails_takes_none_of_the_others_along(stage):
    tag, done, hold = stage.tag, [], threading.Event()

    class Takes:
        name = f"takes-{tag}"

        @on_events("edgemere", f"{tag}.said")
        def said(self, messages):
            hold.wait(120)
            for message in messages:
                if message.obj == 3:
                    raise NotFound("data.not_found", "There is none of that name.")
            done.extend(message.obj for message in messages)

    stage.run(Takes)
    for n in range(6):
        stage.tell(f"{tag}.said", n, id=f"{tag}-{n}")
    time.sleep(0.2)
    hold.set()
    letter, = until(lambda: stage.letters(f"takes-{tag}.{tag}.said"))
    assert letter.id == f"{tag}-3" and letter.code == "data.not_found"
    until(lambda: sorted(set(done)) == [0, 1, 2, 4, 5])


def test_what_takes_long_does_not_keep_the_others_waiting(stage):
    tag, done, hold = stage.tag, [], threading.Event()

    class Takes:
        name = f"takes-{tag}"

        @on_events("edgemere", f"{tag}.said")
        def said(self, messages):
            if any(message.obj == "long" for message in messages):
                hold.wait(120)
            done.extend(message.obj for message in messages)

    stage.run(Takes)
    stage.tell(f"{tag}.said", "long")
    time.sleep(0.1)
    stage.tell(f"{tag}.said", "short")
    until(lambda: done == ["short"])
    hold.set()
    until(lambda: done == ["short", "long"])


def test_each_message_keeps_what_it_belongs_to(stage):
    tag, got, hold = stage.tag, {}, threading.Event()

    class Takes:
        name = f"takes-{tag}"

        @on_events("edgemere", f"{tag}.said")
        def said(self, messages):
            hold.wait(120)
            got.update({message.id: message.context for message in messages})

        @on_events("edgemere", f"{tag}.inside", internal=True)
        def inside(self, messages):
            got.update({message.id: message.context for message in messages})

    stage.run(Takes)
    for n in range(3):
        stage.tell(f"{tag}.said", n, id=f"{tag}-{n}", headers={"nameko.correlation_id": f"call-{n}"})
    hold.set()
    until(lambda: len(got) == 3)
    assert {name: (one["correlation_id"], one["causation_id"]) for name, one in got.items()} == {
        f"{tag}-{n}": (f"call-{n}", f"{tag}-{n}") for n in range(3)}
    stage.broker.publish(Message("edgemere.internal", f"{tag}.inside", encode({"obj": 1, "correlation_id": "call", "causation_id": "cause"}),
                                 id="inner"), mandatory=True)
    until(lambda: "inner" in got)
    assert (got["inner"]["correlation_id"], got["inner"]["causation_id"]) == ("call", "cause"), "it stands in no log"


def test_stopping_ends_what_is_being_handled_and_leaves_the_rest_for_the_next(stage):
    tag, began, done, hold = stage.tag, [], [], threading.Event()

    class Takes:
        name = f"takes-{tag}"

        @on_events("edgemere", f"{tag}.said", most=1)
        def said(self, messages):
            began.extend(message.id for message in messages)
            hold.wait(120)
            done.extend(message.id for message in messages)

    runner = stage.run(Takes)
    for n in range(5):
        stage.tell(f"{tag}.said", n, id=f"m{n}")
    until(lambda: began == ["m0"])
    stopping = threading.Thread(target=runner.stop)
    stopping.start()
    time.sleep(0.1)
    hold.set()
    stopping.join(120)
    assert not stopping.is_alive() and done == ["m0"], "what had begun came to its end, and nothing else began"
    stage.run(Takes)
    until(lambda: sorted(done) == [f"m{n}" for n in range(5)])


def test_what_is_still_being_handled_is_not_acked_with_what_came_after_it(stage):
    tag, began, done, hold = stage.tag, [], [], threading.Event()

    class Takes:
        name = f"takes-{tag}"

        @on_event("edgemere", f"{tag}.slow")
        def slow(self, message):
            began.append(message.obj)
            if len(began) == 1:
                hold.wait(120)

        @on_events("edgemere", f"{tag}.said")
        def said(self, messages):
            done.append([message.obj for message in messages])

    runner = stage.run(Takes)
    stage.tell(f"{tag}.slow", "long")
    until(lambda: began)
    for batch in range(3):
        stage.broker.publish_many([Message(PUBLIC, f"{tag}.said", encode({"obj": n}), id=f"{tag}-{batch}-{n}") for n in range(6)])
        until(lambda: sum(map(len, done)) == 6 * (batch + 1))
    time.sleep(0.2)
    runner.kill()
    stage.run(Takes)
    until(lambda: began == ["long", "long"])
    time.sleep(0.2)
    hold.set()
    assert sum(map(len, done)) == 18, "what was handled was acked"


def test_of_two_replicas_one_has_what_there_is_so_that_batches_stay_whole(stage):
    tag, got = stage.tag, []

    def takes(which: int) -> type:
        class Takes:
            name = f"takes-{tag}"

            @on_events("edgemere", f"{tag}.said")
            def said(self, messages):
                got.extend((which, message.obj) for message in messages)

        return Takes

    replicas = {which: stage.run(takes(which)) for which in (1, 2)}
    for number in range(10):
        stage.tell(f"{tag}.said", number, id=f"{tag}-{number}")
        until(lambda count=number + 1: len(got) == count)
    first, = {which for which, _ in got}
    replicas[first].stop()
    stage.tell(f"{tag}.said", 10, id=f"{tag}-10")
    until(lambda: len(got) == 11)
    assert got[10] == (3 - first, 10)
