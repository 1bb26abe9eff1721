"""The gateway's ear on the bus: hears what it is bound to, and hears again after the broker was away."""
from __future__ import annotations

import threading

import orjson
import pytest

from gateway.live import Live
from shared.bus.embedded import embedded_uri, stop_broker
from shared.bus.message import Message
from shared.bus.port import connect
from shared.bus.topology import BASE, INTERNAL, PUBLIC
from shared.hosting.live import LiveFeed, LiveFeeds
from tests.support.awaiting import until


class Bus:
    def __init__(self, folder):
        self.uri = embedded_uri(folder / "broker.db")
        self.open()

    def open(self):
        self.broker = connect(self.uri)
        self.broker.declare(BASE)

    def say(self, key, body, exchange=PUBLIC):
        self.broker.publish(Message(exchange, key, body if isinstance(body, bytes) else orjson.dumps(body), persistent=False))

    def close(self):
        self.broker.close()
        stop_broker(self.uri)


@pytest.fixture
def bus(tmp_path):
    made = Bus(tmp_path)
    yield made
    made.close()


def test_a_feed_hears_what_it_is_bound_to_and_nothing_else(bus):
    heard = []
    feed = LiveFeed(bus.uri, [(PUBLIC, "datarequest.*")], lambda key, body: heard.append((key, body)), lambda: None).start()
    assert feed.listening
    bus.say("datainstance.ready", {"obj": {"id": "i"}})
    bus.say("datarequest.needed", b"{ no json")
    bus.say("datarequest.needed", {"obj": {"id": "r"}})
    assert until(lambda: heard)
    assert heard == [("datarequest.needed", {"obj": {"id": "r"}})]
    feed.close()


def test_a_feed_hears_again_after_the_broker_was_away(bus):
    heard, resumed = [], []
    feed = LiveFeed(bus.uri, [(PUBLIC, "datarequest.*")], lambda key, body: heard.append(body), lambda: resumed.append(1)).start()
    bus.close()
    assert until(lambda: not feed.listening)
    bus.open()
    assert until(lambda: len(resumed) == 2)
    bus.say("datarequest.needed", {"n": 2})
    assert until(lambda: heard == [{"n": 2}])
    feed.close()


def test_the_log_and_the_classes_reach_the_sleepers(bus):
    live, woken = Live(), threading.Event()
    feeds = LiveFeeds(bus.uri, live).start()
    live.listen_to_log(woken)
    bus.say("log.advanced", {"last_sequence": 41}, INTERNAL)
    assert woken.wait(120) and live.last_sequence == 41
    with live.watch("datasource", "dsrc_1") as watch:
        bus.say("datasource.updated", {"obj": {"id": "dsrc_1", "state": "Ready"}})
        assert watch.sleep(120) == (True, {"id": "dsrc_1", "state": "Ready"})
    feeds.close()


def test_a_class_with_many_messages_is_heard_while_somebody_watches(bus):
    live = Live()
    feeds = LiveFeeds(bus.uri, live).start()
    with live.watch("datainstance", "dins_1") as watch:
        # Opening the feed makes everybody look once.
        watch.sleep(30)
        bus.say("datainstance.ready", {"obj": {"id": "dins_1"}})
        assert watch.sleep(120) == (True, {"id": "dins_1"})
    feeds.close()
