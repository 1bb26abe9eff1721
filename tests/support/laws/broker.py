"""What every broker of this product promises, as tests. Run by subclasses that say which broker.

A law speaks kombu and the port only, so that it means the same for each adapter.
"""
from __future__ import annotations

import gc
import os
import random
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import psutil
import pytest
from amqp.exceptions import ChannelError, NotFound, PreconditionFailed, ResourceLocked
from kombu import Connection, Consumer, Exchange, Producer, Queue

from shared.bus import port
from shared.bus.message import Message
from shared.bus.topology import BASE, DEAD_QUEUE, PUBLIC, event_queue, retry_name
from shared.kernel.errors import Unavailable
from tests.support.servers import ROOT, project_environment

LIMIT_S = 15
ACKS_KNOWN_S = 0.5


class Bench(Protocol):
    """A broker to be tried."""

    uri: str

    def let_go(self) -> None:
        """Give the broker free for another process, where only one can have it."""

    def crash(self, program: subprocess.Popen) -> None:
        """``kill -9`` of the program, and of the broker where that is another process; the broker comes back."""


def until(condition: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
    """The first true value of ``condition``, asked again and again."""
    deadline = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
    return found


class Reader:
    """Reads queues in a connection of its own and keeps what came."""

    def __init__(self, connection: Connection, *queues: str, ack: bool = True, prefetch: int | None = None,
                 no_ack: bool = False) -> None:
        self.connection = connection
        self.channel = connection.channel()
        self.got: list[Any] = []
        self.ack = ack and not no_ack
        self.consumer = Consumer(self.channel, [Queue(name, no_declare=True) for name in queues], auto_declare=False,
                                 on_message=self._on_message, prefetch_count=prefetch, no_ack=no_ack)
        self.consumer.consume()

    def _on_message(self, message: Any) -> None:
        self.got.append(message)
        if self.ack:
            message.ack()

    def wait_for(self, count: int, limit_s: float = LIMIT_S) -> list[Any]:
        """Read until ``count`` messages came."""
        deadline = time.monotonic() + limit_s
        while len(self.got) < count:
            assert time.monotonic() < deadline, f"{len(self.got)} of {count} messages came"
            try:
                self.connection.drain_events(timeout=0.2)
            except TimeoutError:
                self.connection.heartbeat_check()
        return self.got

    def settle_down(self, quiet_s: float = 0.3) -> list[Any]:
        """Read until nothing has come for a while."""
        try:
            while True:
                self.connection.drain_events(timeout=quiet_s)
        except TimeoutError:
            return self.got

    @property
    def bodies(self) -> list[bytes]:
        return [bytes(message.body) if not isinstance(message.body, str) else message.body.encode() for message in self.got]


class BrokerLaws:
    """A subclass has a fixture ``bench``."""

    # --- tools -------------------------------------------------------------------------------------------------

    @pytest.fixture
    def connect(self, bench: Bench) -> Iterator[Callable[[], Connection]]:
        opened: list[Connection] = []

        def connect() -> Connection:
            opened.append(Connection(bench.uri, transport_options={"confirm_publish": True}, connect_timeout=10))
            opened[-1].connect()
            return opened[-1]

        yield connect
        for connection in opened:
            connection.release()

    @pytest.fixture
    def connection(self, connect: Callable[[], Connection]) -> Connection:
        return connect()

    @pytest.fixture
    def channel(self, connection: Connection) -> Any:
        return connection.channel()

    @pytest.fixture
    def broker(self, bench: Bench) -> Iterator[port.Broker]:
        broker = port.connect(bench.uri)
        yield broker
        broker.close()

    @pytest.fixture
    def name(self) -> str:
        return f"law.{uuid.uuid4().hex[:12]}"

    @staticmethod
    def queue(channel: Any, name: str, *bindings: tuple[str, str], **arguments: Any) -> str:
        arguments = {f"x-{key.replace('_', '-')}": value for key, value in arguments.items()}
        channel.queue_declare(queue=name, durable=True, exclusive=False, auto_delete=False, arguments=arguments)
        for exchange, key in bindings:
            channel.queue_bind(queue=name, exchange=exchange, routing_key=key)
        return name

    @staticmethod
    def send(channel: Any, key: str, *bodies: Any, exchange: str = "", **options: Any) -> None:
        producer = Producer(channel)
        for body in bodies:
            producer.publish(str(body).encode(), exchange=exchange, routing_key=key, delivery_mode=2,
                             **{"content_type": "text/plain", "content_encoding": "binary", **options})

    @contextmanager
    def program(self, bench: Bench, mode: str, queue: str) -> Iterator[subprocess.Popen]:
        bench.let_go()
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.support.laws.broker_program", bench.uri, mode, queue], cwd=ROOT,
            env=project_environment(), stdout=subprocess.PIPE, text=True)
        try:
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            child.kill()
            child.wait()
            child.stdout.close()

    # --- nothing is lost ---------------------------------------------------------------------------------------

    @pytest.mark.parametrize("mode", ["publish", "batches"])
    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_a_confirmed_publish_survives_kill_9_at_any_moment(self, bench, connect, name, mode, seed):
        self.queue(connect().channel(), name, queue_type="quorum")
        chance = random.Random(seed)
        known = 0
        with self.program(bench, mode, name) as child:
            # The moment is counted in confirmed messages, so that a slow machine tries the same ones.
            for _ in range(chance.randrange(1, 400)):
                known = int(child.stdout.readline())
            time.sleep(chance.random() / 200)
            bench.crash(child)
            for line in child.stdout:
                if line.endswith("\n"):
                    known = max(known, int(line))
        reader = Reader(connect(), name)
        reader.wait_for(known + 1)
        numbers = [int(body) for body in reader.bodies]
        assert numbers == list(range(len(numbers)))

    @pytest.mark.parametrize("seed", [1, 2])
    def test_what_a_killed_reader_held_is_delivered_again_and_says_so(self, bench, connect, broker, name, seed):
        self.queue(connect().channel(), name, queue_type="quorum")
        broker.publish_many([Message("", name, b"%d" % n, id=str(n)) for n in range(300)])
        acked, held = set(), set()
        with self.program(bench, "read", name) as child:
            for _ in range(random.Random(seed).randrange(20, 200)):
                word, number = child.stdout.readline().split()
                (acked if word == "acked" else held).add(int(number))
            time.sleep(ACKS_KNOWN_S)
            long_acked = set(acked)
            bench.crash(child)
            for line in child.stdout:
                word, number = line.split()
                (acked if word == "acked" else held).add(int(number))
        reader = Reader(connect(), name)
        reader.settle_down(1)
        again = {int(message.body): message.delivery_info["redelivered"] for message in reader.got}
        assert held <= set(again), "what was held came back"
        assert all(again[number] for number in held), "and says that it was handed out before"
        assert set(range(300)) == acked | set(again), "nothing is missing"
        assert not long_acked & set(again), "what was acked some time ago is done with"
        assert list(again) == sorted(again), "in the old order"

    def test_what_a_closed_connection_held_is_delivered_again_and_says_so(self, connect, channel, name):
        self.send(channel, self.queue(channel, name), 1, 2, 3)
        leaving = connect()
        assert len(Reader(leaving, name, ack=False).wait_for(3)) == 3
        leaving.release()
        reader = Reader(connect(), name)
        reader.wait_for(3)
        assert reader.bodies == [b"1", b"2", b"3"]
        assert [message.delivery_info["redelivered"] for message in reader.got] == [True, True, True]

    def test_what_nobody_acked_is_there_after_the_broker_was_restarted(self, bench, connect, name):
        channel = connect().channel()
        self.send(channel, self.queue(channel, name, (PUBLIC, name)) if self.declare_base(channel) else name, 1, 2)
        bench.let_go()
        channel = connect().channel()
        self.send(channel, name, 3, exchange=PUBLIC)
        reader = Reader(connect(), name)
        reader.wait_for(3)
        assert reader.bodies == [b"1", b"2", b"3"]

    @staticmethod
    def declare_base(channel: Any) -> bool:
        channel.exchange_declare(exchange=PUBLIC, type="topic", durable=True, auto_delete=False)
        return True

    # --- order, sharing ----------------------------------------------------------------------------------------

    def test_one_queue_keeps_the_order_of_its_messages(self, connect, channel, name):
        self.queue(channel, name)
        self.send(channel, name, *range(200))
        reader = Reader(connect(), name, prefetch=7)
        reader.wait_for(200)
        assert reader.bodies == [b"%d" % n for n in range(200)]

    def test_a_message_given_back_goes_to_its_old_place(self, connect, channel, name):
        self.queue(channel, name, queue_type="quorum")
        self.send(channel, name, *range(5))
        reader = Reader(connect(), name, ack=False, prefetch=3)
        reader.wait_for(3)
        first, second, third = reader.got
        reader.consumer.cancel()
        third.reject(requeue=True)
        first.reject(requeue=True)
        second.ack()
        time.sleep(0.05)
        late = Reader(connect(), name)
        late.wait_for(4)
        assert sorted(late.bodies) == [b"0", b"2", b"3", b"4"]
        assert [message.delivery_info["redelivered"] for message in sorted(late.got, key=lambda one: bytes(one.body))] \
            == [True, True, False, False]

    def test_prefetch_bounds_what_a_reader_holds(self, connect, channel, name):
        self.queue(channel, name)
        self.send(channel, name, *range(20))
        reader = Reader(connect(), name, ack=False, prefetch=4)
        reader.wait_for(4)
        assert len(reader.settle_down()) == 4
        reader.got[0].ack()
        reader.wait_for(5)
        assert len(reader.settle_down()) == 5

    def test_two_readers_of_one_queue_share_its_messages(self, connect, channel, name):
        self.queue(channel, name)
        one, two = Reader(connect(), name, prefetch=1), Reader(connect(), name, prefetch=1)
        self.send(channel, name, *range(20))
        deadline = time.monotonic() + LIMIT_S
        while len(one.got) + len(two.got) < 20 and time.monotonic() < deadline:
            for reader in (one, two):
                try:
                    reader.connection.drain_events(timeout=0.01)
                except TimeoutError:
                    pass
        assert one.got and two.got
        assert sorted(int(body) for body in one.bodies + two.bodies) == list(range(20))

    def test_only_one_of_several_readers_is_active_where_the_queue_says_so(self, connect, channel, name):
        self.queue(channel, name, single_active_consumer=True, queue_type="quorum")
        first, second = connect(), connect()
        one, two = Reader(first, name), Reader(second, name)
        self.send(channel, name, *range(10))
        one.wait_for(10)
        assert two.settle_down() == []
        first.release()
        self.send(channel, name, "next")
        assert two.wait_for(1) and two.bodies == [b"next"]

    def test_a_message_goes_to_every_bound_queue_once(self, connect, channel, name):
        self.declare_base(channel)
        queues = [self.queue(channel, f"{name}.{n}", (PUBLIC, f"{name}.*"), (PUBLIC, f"{name}.#")) for n in range(2)]
        self.send(channel, f"{name}.said", "hello", exchange=PUBLIC)
        for queue in queues:
            reader = Reader(connect(), queue)
            reader.wait_for(1)
            assert reader.settle_down() and reader.bodies == [b"hello"]

    @pytest.mark.parametrize(("pattern", "key", "fits"), [
        ("a.b", "a.b", True), ("a.b", "a.b.c", False), ("a.*", "a.b", True), ("a.*", "a", False),
        ("a.*", "a.b.c", False), ("#", "a.b.c", True), ("#", "", True), ("a.#", "a", True), ("a.#", "a.b.c", True),
        ("*.b.#", "a.b", True), ("#.c", "a.b.c", True), ("a.#.d", "a.d", True), ("a.#.d", "a.b.c.d", True),
        ("a.#.d", "a.b.c", False), ("*", "a", True), ("*", "", False), ("#.#", "a", True), ("*.*", "a..b", False),
        ("a.*.b", "a..b", True),
    ])
    def test_a_topic_pattern_means_a_word_by_a_star_and_any_words_by_a_hash(self, channel, name, pattern, key, fits):
        exchange = Exchange(name, type="topic", durable=False, auto_delete=True)
        exchange(channel).declare()
        queue = channel.queue_declare(queue="", exclusive=True, durable=False, auto_delete=True).queue
        channel.queue_bind(queue=queue, exchange=name, routing_key=pattern)
        self.send(channel, key, "x", exchange=name)
        assert (channel.basic_get(queue, no_ack=True) is not None) == fits

    def test_direct_and_fanout_exchanges_do_what_their_names_say(self, channel, name):
        for kind, expected in (("direct", [True, False]), ("fanout", [True, True])):
            exchange = f"{name}.{kind}"
            Exchange(exchange, type=kind, durable=False, auto_delete=True)(channel).declare()
            queues = [channel.queue_declare(queue="", exclusive=True, durable=False, auto_delete=True).queue for _ in "ab"]
            for queue, key in zip(queues, "ab"):
                channel.queue_bind(queue=queue, exchange=exchange, routing_key=key)
            self.send(channel, "a", "x", exchange=exchange)
            assert [channel.basic_get(queue, no_ack=True) is not None for queue in queues] == expected

    def test_an_unbound_queue_gets_nothing_more(self, channel, name):
        self.declare_base(channel)
        self.queue(channel, name, (PUBLIC, name))
        channel.queue_unbind(queue=name, exchange=PUBLIC, routing_key=name)
        self.send(channel, name, "x", exchange=PUBLIC)
        assert channel.basic_get(name) is None

    # --- what cannot be delivered ------------------------------------------------------------------------------

    def test_a_mandatory_message_that_no_queue_takes_comes_back(self, channel, broker, name):
        self.declare_base(channel)
        with pytest.raises(ChannelError, match="NO_ROUTE"):
            self.send(channel, name, "x", exchange=PUBLIC, mandatory=True)
        with pytest.raises(Unavailable) as caught:
            broker.publish(Message(PUBLIC, name, b"x"), mandatory=True)
        assert caught.value.code == port.UNROUTABLE
        broker.publish(Message(PUBLIC, name, b"x"))

    def test_an_expired_message_goes_to_the_dead_letter_exchange_and_back_to_its_queue(self, connect, channel, name):
        self.queue(channel, f"{name}.wait", message_ttl=100, dead_letter_exchange="", dead_letter_routing_key=name)
        self.queue(channel, name)
        sent = time.monotonic()
        self.send(channel, f"{name}.wait", 1, 2, headers={"kept": "yes"})
        reader = Reader(connect(), name)
        reader.wait_for(2)
        assert time.monotonic() - sent >= 0.09
        assert reader.bodies == [b"1", b"2"]
        headers = reader.got[0].headers
        assert headers["kept"] == "yes"
        assert headers["x-death"][0]["reason"] == "expired" and headers["x-death"][0]["queue"] == f"{name}.wait"
        assert channel.basic_get(f"{name}.wait") is None

    def test_a_message_with_its_own_expiration_is_gone_after_it(self, channel, name):
        self.queue(channel, name)
        self.send(channel, name, "short", expiration=0.05)
        self.send(channel, name, "stays")
        time.sleep(0.2)
        assert bytes(channel.basic_get(name, no_ack=True).body) == b"stays"

    def test_a_rejected_message_goes_to_the_dead_letter_exchange_with_its_reason(self, connect, channel, name):
        self.queue(channel, f"{name}.dead")
        self.queue(channel, name, dead_letter_exchange="", dead_letter_routing_key=f"{name}.dead")
        self.send(channel, name, "bad")
        Reader(connect(), name, ack=False).wait_for(1)[0].reject(requeue=False)
        dead = Reader(connect(), f"{name}.dead").wait_for(1)[0]
        assert dead.headers["x-death"][0]["reason"] == "rejected"
        assert dead.headers["x-first-death-queue"] == name

    def test_a_message_given_back_too_often_is_a_dead_letter(self, connect, channel, name):
        self.queue(channel, f"{name}.dead")
        self.queue(channel, name, queue_type="quorum", delivery_limit=2, dead_letter_exchange="",
                   dead_letter_routing_key=f"{name}.dead")
        self.send(channel, name, "poison")
        reader = Reader(connect(), name, ack=False)
        for attempt in range(1, 4):
            reader.wait_for(attempt)[-1].reject(requeue=True)
        dead = Reader(connect(), f"{name}.dead").wait_for(1)[0]
        assert dead.headers["x-death"][0]["reason"] == "delivery_limit"
        assert len(reader.settle_down()) == 3

    def test_the_house_topology_retries_to_the_same_queue_and_buries_in_the_dead_queue(self, connect, broker, name):
        broker.declare(BASE + event_queue(name, [(PUBLIC, f"{name}.x")], delays_s=(0.1,)))
        broker.publish(Message(retry_name(0.1), name, b"again"), mandatory=True)
        reader = Reader(connect(), name, ack=False)
        assert reader.wait_for(1)[0].headers["x-death"][0]["reason"] == "expired"
        reader.got[0].reject(requeue=False)
        until(lambda: any(letter.routing_key == name for letter in broker.peek(DEAD_QUEUE, 1000)))

    # --- queues ------------------------------------------------------------------------------------------------

    def test_an_exclusive_queue_is_its_connections_own_and_goes_with_it(self, connect, name):
        owner = connect()
        owner.channel().queue_declare(queue=name, exclusive=True, durable=False, auto_delete=False)
        with pytest.raises(ResourceLocked):
            connect().channel().queue_declare(queue=name, exclusive=True, durable=False, auto_delete=False)
        owner.release()
        until(lambda: not self.exists(connect, name))

    def test_an_auto_delete_queue_goes_with_its_last_reader(self, connect, channel, name):
        channel.queue_declare(queue=name, exclusive=False, durable=False, auto_delete=True)
        leaving = connect()
        Reader(leaving, name)
        assert self.exists(connect, name)
        leaving.release()
        until(lambda: not self.exists(connect, name))

    def test_a_queue_that_expires_goes_when_it_is_not_used(self, connect, channel, name):
        self.queue(channel, name, expires=300)
        assert self.exists(connect, name)
        time.sleep(0.5)
        until(lambda: not self.exists(connect, name))

    @staticmethod
    def exists(connect: Callable[[], Connection], name: str) -> bool:
        with connect() as connection:
            try:
                connection.channel().queue_declare(queue=name, passive=True)
                return True
            except NotFound:
                return False

    def test_a_queue_declared_again_with_other_arguments_is_refused(self, connect, channel, name):
        self.queue(channel, name, message_ttl=1000)
        self.queue(channel, name, message_ttl=1000)
        with pytest.raises(PreconditionFailed):
            self.queue(connect().channel(), name, message_ttl=2000)
        with pytest.raises(PreconditionFailed):
            connect().channel().queue_declare(queue=name, durable=False, auto_delete=False,
                                              arguments={"x-message-ttl": 1000})

    def test_a_passive_declaration_counts_and_makes_nothing(self, connect, channel, name):
        with pytest.raises(NotFound):
            connect().channel().queue_declare(queue=name, passive=True)
        self.queue(channel, name)
        self.send(channel, name, 1, 2)
        until(lambda: channel.queue_declare(queue=name, passive=True).message_count == 2)

    def test_purge_and_delete_say_how_much_went(self, connect, channel, name):
        self.queue(channel, name)
        self.send(channel, name, 1, 2, 3)
        assert channel.queue_purge(name) == 3
        self.send(channel, name, 4)
        assert channel.queue_delete(name) == 1
        assert not self.exists(connect, name)

    # --- messages ----------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("restart", [False, True], ids=["at once", "after a restart"])
    def test_the_properties_of_a_message_arrive_as_they_were_sent(self, bench, connect, name, restart):
        channel = connect().channel()
        self.queue(channel, name)
        headers = {"text": "ä ⁂", "number": 7, "big": 2**40, "half": 0.5, "yes": True, "none": None,
                   "list": ["a", 1], "table": {"deep": "er"}}
        sent = {"content_type": "application/x-own", "content_encoding": "binary", "correlation_id": "corr",
                "reply_to": "someone", "message_id": "id-1", "timestamp": 1_700_000_000, "priority": 3, "type": "kind",
                "app_id": "law"}
        body = bytes(range(256)) + b"\x00" * 10
        Producer(channel).publish(body, exchange="", routing_key=name, delivery_mode=2, headers=headers,
                                  **{**sent, "timestamp": self.timestamp(sent["timestamp"])})
        if restart:
            bench.let_go()
        message = Reader(connect(), name).wait_for(1)[0]
        assert bytes(message.body) == body
        assert {key: message.headers.get(key, "absent") for key in headers} == headers
        got = {**message.properties, "timestamp": self.seconds(message.properties["timestamp"])}
        assert {key: got[key] for key in sent} == sent
        assert message.properties["delivery_mode"] == 2
        assert message.content_type == "application/x-own" and message.delivery_info["routing_key"] == name

    @staticmethod
    def timestamp(seconds: int) -> Any:
        return seconds

    @staticmethod
    def seconds(value: Any) -> int:
        return int(value)

    def test_an_empty_body_and_a_large_one_arrive(self, connect, broker, name):
        self.queue(connect().channel(), name)
        large = os.urandom(1 << 20) * 3
        broker.publish_many([Message("", name, b"", id="a", content_encoding="binary"),
                             Message("", name, large, id="b", content_encoding="binary")])
        reader = Reader(connect(), name)
        reader.wait_for(2)
        assert reader.bodies == [b"", large]

    def test_publish_many_keeps_the_order_and_names_what_was_taken(self, connect, broker, name):
        self.queue(connect().channel(), name, queue_type="quorum")
        messages = [Message("", name, b"%d" % n, id=f"m{n}") for n in range(500)]
        assert broker.publish_many(messages, timeout_s=20) == [message.id for message in messages]
        reader = Reader(connect(), name)
        reader.wait_for(500)
        assert reader.bodies == [b"%d" % n for n in range(500)]
        assert [message.properties["message_id"] for message in reader.got] == [message.id for message in messages]

    def test_looking_at_a_queue_changes_nothing(self, connect, broker, name):
        self.queue(connect().channel(), name)
        broker.publish_many([Message("", name, b"%d" % n, id=str(n)) for n in range(5)])
        assert [delivery.body for delivery in broker.peek(name, 3)] == [b"0", b"1", b"2"]
        reader = Reader(connect(), name)
        reader.wait_for(5)
        assert reader.bodies == [b"0", b"1", b"2", b"3", b"4"]

    def test_the_broker_says_how_much_waits_and_who_reads(self, connect, broker, name):
        topology = event_queue(name, [(PUBLIC, name)], delays_s=())
        broker.declare(topology)
        assert broker.is_reachable() and broker.readers(name) == 0 and broker.readers(f"{name}.none") == 0
        broker.publish_many([Message(PUBLIC, name, b"1", id="1"), Message(PUBLIC, name, b"2", id="2")])
        until(lambda: broker.depths().get(name) == 2)
        Reader(connect(), name)
        until(lambda: broker.readers(name) == 1)

    # --- cost --------------------------------------------------------------------------------------------------

    def test_a_big_backlog_stays_out_of_memory(self, connect, broker, name):
        self.queue(connect().channel(), name)
        body = b"x" * 1000
        gc.collect()
        before = psutil.Process().memory_info().rss
        count = 60_000
        for start in range(0, count, 500):
            broker.publish_many([Message("", name, b"%d " % n + body, id=str(n)) for n in range(start, start + 500)])
        assert psutil.Process().memory_info().rss - before < 40 << 20
        reader = Reader(connect(), name, ack=False, prefetch=500)
        seen = 0
        while seen < count:
            reader.wait_for(1, 60)
            assert [int(text.split()[0]) for text in reader.bodies] == list(range(seen, seen + len(reader.got)))
            seen += len(reader.got)
            reader.channel.basic_ack(reader.got[-1].delivery_tag, multiple=True)
            reader.got.clear()
        assert psutil.Process().memory_info().rss - before < 60 << 20

    def test_a_waiting_reader_wakes_at_once_and_costs_nothing_until_then(self, connect, channel, name):
        self.queue(channel, name)
        reader = Reader(connect(), name)
        arrived: list[float] = []
        stop = threading.Event()

        def read() -> None:
            while not stop.is_set():
                count = len(reader.got)
                try:
                    reader.connection.drain_events(timeout=2)
                except TimeoutError:
                    continue
                arrived.extend([time.perf_counter()] * (len(reader.got) - count))

        thread = threading.Thread(target=read)
        thread.start()
        try:
            used = psutil.Process().cpu_times()
            time.sleep(0.5)
            idle = psutil.Process().cpu_times()
            assert idle.user + idle.system - used.user - used.system < 0.1
            took = []
            for number in range(30):
                sent = time.perf_counter()
                self.send(channel, name, number)
                until(lambda number=number: len(arrived) > number)
                took.append(arrived[number] - sent)
            assert statistics.median(took) < 0.03
        finally:
            stop.set()
            thread.join()
