"""The stream has every message once and in order, wherever a client begins and however often it comes back."""
from __future__ import annotations

import random
import re
import threading
import time

import orjson
import pytest

from gateway import sse
from gateway.live import Live
from gateway.settings import Settings
from gateway.wanted import wanted
from shared.kernel.errors import Invalid, Unavailable
from tests.support.answering import Answering, EventLog


class World:
    """A log that grows, with a reader and its streams."""

    def __init__(self, **settings):
        self.log, self.live = EventLog(), Live()
        self.mesh = Answering(events__list=self.log.list, events__head=self.log.head)
        self.settings = Settings(owner="darren", **settings)
        self.reader = sse.LogReader(self.mesh, self.live, self.settings)

    def say(self, event="datarequest.needed", **obj):
        self.live.advanced(self.log.append(event, **obj))

    def stream(self, after=None, event=None, obj=None, heartbeat_s=30.0):
        return sse.Stream(self.reader, self.live, wanted({"event": event, "object": obj})[0], after, heartbeat_s)


@pytest.fixture
def world():
    made = World()
    yield made
    made.live.close()


def sequences(chunk: bytes) -> list[int]:
    return [orjson.loads(line[6:])["sequence"] for line in chunk.split(b"\n") if line.startswith(b"data: ")]


def collect(stream, count: int, limit_s: float = 120) -> list[int]:
    found: list[int] = []
    end = time.monotonic() + limit_s
    for chunk in stream:
        found += sequences(chunk)
        if len(found) >= count or time.monotonic() > end:
            break
    stream.close()
    return found


def test_a_stream_without_a_position_begins_at_the_head(world):
    world.say()
    stream = world.stream()
    chunks = iter(stream)
    assert next(chunks).startswith(b"retry:")
    assert next(chunks) == b"id: 1\n\n"
    threading.Timer(0.05, world.say).start()
    assert sequences(next(chunks)) == [2]
    stream.close()


def test_an_event_has_id_name_and_body(world):
    world.say("datarequest.failed", id="dreq_1", name="a\nb")
    chunks = iter(world.stream(after=0))
    event = [next(chunks) for _ in range(3)][2]
    assert re.fullmatch(rb"id: 1\nevent: datarequest.failed\ndata: [^\n]+\n\n", event)
    assert orjson.loads(event.split(b"data: ")[1])["obj"] == {"id": "dreq_1", "name": "a\nb"}


@pytest.mark.parametrize("memory", [16, 4096])
def test_every_message_comes_once_while_the_log_grows(world, monkeypatch, memory):
    monkeypatch.setattr(sse, "MEMORY", memory)
    monkeypatch.setattr(sse, "PAGE", 7)
    chance = random.Random(memory)
    for _ in range(100):
        world.say()
    starts = [0, 3, 50, 99, 100]
    streams = [world.stream(after=after) for after in starts]
    found: list[list[int]] = [[] for _ in starts]
    readers = [threading.Thread(target=lambda n=n: found[n].extend(collect(streams[n], 300 - starts[n])))
               for n in range(len(starts))]
    for reader in readers:
        reader.start()
    for _ in range(200):
        world.say()
        if chance.random() < 0.1:
            time.sleep(0.002)
    for reader in readers:
        reader.join(120)
    assert found == [list(range(after + 1, 301)) for after in starts]


def test_a_client_that_comes_back_misses_nothing(world):
    position, found = 0, []
    for _ in range(10):
        for _ in range(5):
            world.say()
        found += collect(world.stream(after=position), 3)
        position = found[-1]
    assert found == list(range(1, position + 1))


def test_a_filter_by_patterns_and_object_lets_through_what_it_names(world):
    for event, name in [("datarequest.needed", "a"), ("datainstance.ready", "a"), ("datarequest.failed", "b"), ("datasource.ready", "a")]:
        world.say(event, id=f"x_{name}", name=name)
    assert collect(world.stream(0, "datarequest.*"), 2) == [1, 3]
    assert collect(world.stream(0, "datarequest.failed, datasource.*"), 2) == [3, 4]
    assert collect(world.stream(0, "datarequest.#", "a"), 1) == [1]
    assert collect(world.stream(0, None, "x_b"), 1) == [3]


def test_many_streams_share_one_reader(world):
    streams = [world.stream() for _ in range(50)]
    iterators = [iter(stream) for stream in streams]
    for iterator in iterators:
        next(iterator)
        next(iterator)
    world.say()
    assert [sequences(next(iterator)) for iterator in iterators] == [[1]] * 50
    assert len(world.mesh.asked("events.list")) <= 3
    for stream in streams:
        stream.close()
    assert world.reader.streams == 0


def test_silence_is_broken_by_a_heartbeat_that_carries_the_position(world):
    world.say()
    chunks = iter(world.stream(after=1, heartbeat_s=0.05))
    next(chunks)
    next(chunks)
    assert next(chunks) == b": still here\nid: 1\n\n"


def test_a_filter_that_lets_nothing_through_still_has_its_heartbeat(world):
    chunks = iter(world.stream(event="datasource.shutdown", heartbeat_s=0.1))
    next(chunks)
    next(chunks)
    stop = threading.Event()

    def chatter():
        while not stop.wait(0.01):
            world.say()

    threading.Thread(target=chatter, daemon=True).start()
    assert next(chunks).startswith(b": still here\nid: ")
    stop.set()


def test_a_position_beyond_the_log_goes_on_from_its_end(world):
    world.say()
    chunks = iter(world.stream(after=5000))
    next(chunks)
    assert b"the log ends at 1" in next(chunks)
    assert next(chunks) == b"id: 1\n\n"


def test_streams_are_bounded():
    world = World(max_streams=2)
    one, two = world.stream(), world.stream()
    with pytest.raises(Unavailable):
        world.stream()
    one.close()
    one.close()
    three = world.stream()
    assert world.reader.streams == 2
    two.close()
    three.close()
    world.live.close()


def test_a_log_that_does_not_answer_refuses_and_keeps_no_place(world):
    del world.mesh.functions["events.head"]
    with pytest.raises(Unavailable):
        world.stream()
    assert world.reader.streams == 0


def test_a_gateway_that_stops_ends_its_streams(world):
    stream = world.stream()
    threading.Timer(0.1, world.live.close).start()
    assert collect(stream, 1) == []


def test_the_header_of_a_reconnecting_browser_wins():
    assert sse.position_of({"HTTP_LAST_EVENT_ID": "7"}, 3) == 7
    assert sse.position_of({}, 3) == 3
    with pytest.raises(Invalid):
        sse.position_of({"HTTP_LAST_EVENT_ID": "x7"}, 3)


def test_a_filter_that_matches_nothing_far_back_reads_the_log_once(world, monkeypatch):
    monkeypatch.setattr(sse, "MEMORY", 4)
    live = world.stream()
    for _ in range(20):
        world.say()
    assert collect(live, 20) == list(range(1, 21))
    keeper = world.stream()
    chunks = iter(world.stream(after=0, event="datasource.shutdown", heartbeat_s=0.3))
    next(chunks)
    next(chunks)
    before = len(world.mesh.calls)
    assert next(chunks) == b": still here\nid: 20\n\n"
    assert len(world.mesh.calls) - before <= 2
    keeper.close()
