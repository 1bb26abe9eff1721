"""The relay between a real outbox and a real broker, on both databases."""
from __future__ import annotations

import itertools
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, insert, text, update

from shared.bus import port
from shared.bus.embedded import embedded_uri, stop_broker
from shared.bus.message import Message
from shared.bus.relay import FREE, SHARE, Calls, Relay
from shared.bus.topology import BASE, INTERNAL, PUBLIC, QueueSpec, Topology
from shared.hosting.live import LiveFeed
from shared.kernel import clock
from shared.kernel.ids import new_id
from shared.storage.database import Database, make_engine
from shared.storage.outbox import Outbox
from shared.storage.schema import SHARDS, service_tables
from tests.support.awaiting import until
from tests.support.ports import free_port

METADATA = MetaData()
service_tables(METADATA)
QUEUE = "heard"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    engine = make_engine(database_url, "relayed")
    with engine.execution_options(writes=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("CREATE SCHEMA relayed"))
        METADATA.create_all(connection)
    yield Database(engine, METADATA)
    engine.dispose()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[port.Broker]:
    uri = embedded_uri(tmp_path / "broker.db")
    broker = port.connect(uri)
    broker.declare(BASE + Topology(queues=(QueueSpec(QUEUE, {}, ((PUBLIC, "#"), (INTERNAL, "#"))),)))
    yield broker
    stop_broker(uri)


@pytest.fixture
def relay(database: Database) -> Iterator[Callable[..., Relay]]:
    made: list[Relay] = []

    def make(broker: port.Broker, **options: Any) -> Relay:
        made.append(Relay(database, Outbox(METADATA), broker, name="relayed", **options))
        return made[-1]

    yield make
    for one in made:
        one.stop(limit_s=1)


def say(database: Database, count: int, objects: int = 5, start: int = 0, exchange: str = "public") -> None:
    """Put messages about a few objects into the outbox, numbered per object."""
    rows = []
    for number in range(start, start + count):
        object_id = f"object-{number % objects}"
        rows.append({
            "id": new_id("event"), "shard": zlib.crc32(object_id.encode()) % SHARDS, "exchange": exchange,
            "name": "thing.said", "object_id": object_id, "headers": '{"nameko.correlation_id":"corr"}',
            "body": f'{{"obj":{{"id":"{object_id}","number":{number}}},"time":"{clock.stamp()}","correlation_id":"c"}}'})
    with database.transaction() as uow:
        uow.connection.execute(insert(METADATA.tables["outbox"]), rows)


def heard(broker: port.Broker) -> list[Any]:
    return broker.peek(QUEUE, 100_000)


def numbers_by_object(deliveries: list[Any]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for delivery in deliveries:
        subject = delivery.headers["cloudEvents_subject"]
        found.setdefault(subject, []).append(int(delivery.body.split(b'"number":')[1].split(b"}")[0]))
    return found


def test_what_was_committed_is_published_once_in_order_per_object_and_forgotten(database, broker, relay):
    say(database, 1000)
    one = relay(broker, batch=64)
    one.start()
    # The outbox is empty a moment before the relay has counted its last batch.
    until(lambda: one.depth() == 0 and one.published >= 1000)
    found = numbers_by_object(heard(broker))
    assert sum(map(len, found.values())) == 1000
    assert all(numbers == sorted(numbers) for numbers in found.values())
    assert one.published == 1000 and one.failures == 0


def test_a_message_carries_its_id_its_context_and_the_cloudevents_attributes(database, broker, relay):
    say(database, 1, objects=1)
    say(database, 1, objects=1, exchange="internal", start=1)
    relay(broker).turn()
    public, internal = heard(broker)
    assert (public.exchange, internal.exchange) == (PUBLIC, INTERNAL)
    assert public.properties["message_id"] == public.headers["cloudEvents_id"]
    assert public.headers["nameko.correlation_id"] == "corr" and public.properties["content_type"] == "application/json"
    assert public.headers["cloudEvents_type"] == public.routing_key == "thing.said"
    assert public.headers["cloudEvents_time"].encode() in public.body


def test_a_commit_wakes_the_relay_without_waiting_for_its_next_look(database, broker, relay):
    one = relay(broker, idle_s=3600)
    database.on_commit = one.wake
    one.start()
    time.sleep(0.2)
    say(database, 1)
    one.wake()
    until(lambda: heard(broker))


def test_a_relay_that_nobody_wakes_looks_by_itself(database, broker, relay):
    one = relay(broker, idle_s=0.05)
    one.start()
    say(database, 1)
    until(lambda: heard(broker))


def test_nothing_is_forgotten_while_the_broker_is_away_and_all_is_sent_when_it_is_back(database, broker, relay):
    say(database, 10)
    away = relay(port.connect(f"amqp://guest:guest@127.0.0.1:{free_port()}//"), lease_s=0.5)
    away.start()
    until(lambda: away.failures >= 2)
    assert away.depth() == 10 and away.published == 0
    away.stop(limit_s=0)
    back = relay(broker, idle_s=0.05)
    back.start()
    until(lambda: back.depth() == 0)
    assert len(heard(broker)) == 10


class HalfDeaf:
    """A broker that takes messages and confirms only those with an even place, as a broker in trouble may."""

    def __init__(self, broker: port.Broker) -> None:
        self.broker = broker
        self.in_trouble = True

    def publish_many(self, messages: list[Message], *, timeout_s: float) -> list[str]:
        ids = self.broker.publish_many(messages, timeout_s=timeout_s)
        return ids[::2] if self.in_trouble else ids


def test_a_shard_stops_at_what_was_not_confirmed_so_that_nothing_overtakes(database, broker, relay):
    say(database, 40, objects=1)
    deaf = HalfDeaf(broker)
    one = relay(deaf)
    one.turn()
    with database.reading() as connection:
        waiting = Outbox(METADATA).depth(connection)
    assert waiting == 39, "only what came before the first gap is forgotten"
    deaf.in_trouble = False
    one.turn()
    order = numbers_by_object(heard(broker))["object-0"]
    last = {number: place for place, number in enumerate(order)}
    assert sorted(last, key=last.__getitem__) == list(range(40)), "the last word on each is in order"


def test_two_relays_share_the_shards_and_keep_the_order(database, broker, relay):
    say(database, 600, objects=50)
    relays = [relay(broker, batch=40, idle_s=0.02) for _ in range(2)]
    for one in relays:
        one.start()
    until(lambda: relays[0].depth() == 0)
    found = numbers_by_object(heard(broker))
    assert sum(map(len, found.values())) == 600
    assert all(numbers == sorted(numbers) for numbers in found.values())


@pytest.fixture
def in_company(broker: port.Broker, relay: Callable[..., Relay]) -> Iterator[Callable[..., Relay]]:
    """Makes relays as processes of their own have them, whose words are also noted in ``said``."""
    feeds: list[LiveFeed] = []

    def make(said: list[str], **options: Any) -> Relay:
        calls = Calls(broker, "relayed")

        def say_and_note(word: str) -> None:
            said.append(word)
            calls.say(word)

        one = relay(broker, call_others=say_and_note, **options)
        feeds.append(LiveFeed(broker.uri, [(INTERNAL, calls.key)], lambda key, body: calls.heard(body, one), one.wake).start())
        return one

    yield make
    for feed in feeds:
        feed.close()


def test_who_has_the_shards_is_called_by_who_commits_and_publishes_all_while_it_is_little(database, in_company):
    said: list[str] = []
    holder, other = (in_company(said, idle_s=3600) for _ in range(2))
    say(database, 1, objects=1)
    holder.start()
    until(lambda: holder.published == 1)
    other.start()
    for number in range(1, 20):
        say(database, 1, objects=20, start=number)
        other.wake()
        until(lambda wanted=number + 1: holder.published == wanted)
    assert other.published == 0 and other.depth() == 0 and set(said) == {"waits"}, "also of objects that nobody spoke of before"


def test_of_much_another_relay_takes_a_part_and_one_has_all_when_it_is_little_again(database, broker, in_company):
    said: list[str] = []
    one, other = (in_company(said, batch=40, idle_s=3600) for _ in range(2))
    say(database, 2000, objects=50)
    one.turn()
    assert one.published > 0 and other.turn() == 0 and said == [SHARE]
    until(lambda: one._is_to_share)
    one.turn()
    assert said == [SHARE, FREE]
    # As soon as the word is heard that shards are to be had.
    until(other.turn)
    assert one.depth() > 0 and one.turn() > 0, "both publish"
    while one.depth():
        one.turn()
        other.turn()
    starts = itertools.count(2000, 30)

    def shares() -> tuple[int, int]:
        before = one.published, other.published
        say(database, 30, objects=30, start=next(starts))
        while one.depth():
            one.turn()
            other.turn()
        return one.published - before[0], other.published - before[1]

    until(lambda: 0 in shares())
    assert sorted(shares()) == [0, 30] == sorted(shares()), "one of them publishes all"
    found = numbers_by_object([delivery for delivery in heard(broker) if delivery.routing_key == "thing.said"])
    assert found == {f"object-{number}": sorted(found[f"object-{number}"]) for number in range(50)}, "in order per object"


def test_a_relay_whose_broker_does_not_answer_lets_another_publish(database, broker, relay):
    say(database, 5)
    deaf = relay(port.connect(f"amqp://guest:guest@127.0.0.1:{free_port()}//"), lease_s=3600)
    deaf.start()
    until(lambda: deaf.failures)
    other = relay(broker)
    until(other.turn)
    assert other.depth() == 0


def test_a_shard_goes_to_another_relay_when_its_holder_is_gone(database, broker, relay):
    say(database, 5, objects=1)
    gone = relay(broker, lease_s=60, batch=2)
    assert gone.turn() == 2
    other = relay(broker, lease_s=60)
    assert other.turn() == 0, "the lease still runs"
    with database.transaction() as uow:
        uow.connection.execute(update(METADATA.tables["lease"]).values(until=clock.stamp_in(-1)))
    until(other.turn)
    assert other.depth() == 0
    assert numbers_by_object(heard(broker)) == {"object-0": [0, 1, 2, 3, 4]}


def test_stopping_publishes_what_is_there_and_gives_the_shards_free(database, broker, relay):
    one = relay(broker, idle_s=30)
    one.start()
    say(database, 500)
    assert one.stop(limit_s=120) is True
    assert len(heard(broker)) == 500
    with database.reading() as connection:
        assert not connection.execute(METADATA.tables["lease"].select()).all()


def test_the_lag_is_the_age_of_the_oldest_that_waits(database, broker, relay):
    say(database, 30, objects=1)
    time.sleep(0.2)
    one = relay(broker, batch=10)
    one.turn()
    assert 0.15 < one.lag_s < 100
    while one.turn():
        pass
    assert one.lag_s == 0.0
