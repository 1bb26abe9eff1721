"""What every broker of this product promises, as tests. Run by subclasses that say which broker.

A law speaks kombu and the port only, so that it means the same for each adapter. Here: nothing is lost, order, sharing,
routing, and what becomes of what cannot be delivered.
"""
from __future__ import annotations

import random
import time

import pytest
from amqp.exceptions import ChannelError
from kombu import Exchange

from shared.bus import port
from shared.bus.message import Message
from shared.bus.topology import BASE, DEAD_QUEUE, PUBLIC, event_queue, later_name
from shared.kernel.errors import Unavailable
from tests.support.awaiting import until
from tests.support.laws.broker_bench import LIMIT_S, BrokerTrial, Reader
from tests.support.laws.broker_queues import QueueLaws

ACKS_KNOWN_S = 0.5


class DeliveryLaws(BrokerTrial):
    """A subclass has a fixture ``bench``."""

    # --- nothing is lost ---------------------------------------------------------------------------------------

    seeds = (1, 2, 3)

    def pytest_generate_tests(self, metafunc):
        if "seed" in metafunc.fixturenames:
            metafunc.parametrize("seed", metafunc.cls.seeds)

    @pytest.mark.parametrize("mode", ["publish", "batches"])
    def test_a_confirmed_publish_survives_kill_9_at_any_moment(self, bench, connect, name, mode, seed):
        self.queue(connect().channel(), name, queue_type="quorum")
        time.sleep(bench.queue_age_s)
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

    def test_what_a_killed_reader_held_is_delivered_again_and_says_so(self, bench, connect, broker, name, seed):
        self.queue(connect().channel(), name, queue_type="quorum")
        time.sleep(bench.queue_age_s)
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

    def test_what_is_handed_over_without_a_confirm_arrives_in_its_order(self, connect, channel, broker, name):
        self.queue(channel, name)
        for number in range(50):
            broker.send(Message("", name, b"%d" % number, persistent=False))
        reader = Reader(connect(), name)
        reader.wait_for(50)
        assert reader.bodies == [b"%d" % number for number in range(50)]

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

    def test_the_reader_of_higher_priority_has_what_there_is_and_the_others_what_is_more_than_it_may_hold(self, connect, channel, name):
        self.queue(channel, name, queue_type="quorum")
        first = connect()
        low, high = Reader(connect(), name, ack=False, prefetch=3, priority=1), Reader(first, name, ack=False, prefetch=4, priority=2)
        self.send(channel, name, *range(3))
        high.wait_for(3)
        assert low.settle_down() == []
        self.send(channel, name, *range(3, 7))
        high.wait_for(4)
        low.wait_for(3)
        for message in high.got:
            message.ack()
        # Nobody knows when an ack counts; the other reader has no room meanwhile.
        self.send(channel, name, "again")
        assert high.wait_for(5) and high.bodies[-1] == b"again" and len(low.settle_down()) == 3
        for message in low.got:
            message.ack()
        # With its connection goes what it held, and its turn.
        first.release()
        low.wait_for(4)

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
        # Its time begins when the broker has it, which by this answer it has.
        channel.queue_declare(queue=name, passive=True)
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
        broker.publish(Message(later_name(0.1), name, b"again"), mandatory=True)
        reader = Reader(connect(), name, ack=False)
        assert reader.wait_for(1)[0].headers["x-death"][0]["reason"] == "expired"
        reader.got[0].reject(requeue=False)
        until(lambda: any(letter.routing_key == name for letter in broker.peek(DEAD_QUEUE, 1000)))


class BrokerLaws(DeliveryLaws, QueueLaws):
    """All of them."""
