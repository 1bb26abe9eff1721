"""The laws of a broker on queues, on messages as such, and on what they may cost. See ``broker``."""
from __future__ import annotations

import gc
import os
import threading
import time

import psutil
import pytest
from amqp.exceptions import NotFound, PreconditionFailed, ResourceLocked
from kombu import Producer

from shared.bus.message import Message
from shared.bus.port import Seen
from shared.bus.topology import PUBLIC, event_queue
from tests.support.awaiting import until
from tests.support.laws.broker_bench import BrokerTrial, Reader


class QueueLaws(BrokerTrial):
    """A subclass has a fixture ``bench``."""

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
        self.queue(channel, name, expires=2000)
        assert self.exists(connect, name)
        time.sleep(2.5)
        # Whoever asks uses it.
        until(lambda: not self.exists(connect, name), pause_s=3)

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
                                  **sent)
        if restart:
            bench.let_go()
        message = Reader(connect(), name).wait_for(1)[0]
        assert bytes(message.body) == body
        assert {key: message.headers.get(key, "absent") for key in headers} == headers
        assert {key: message.properties[key] for key in sent} == sent
        assert message.properties["delivery_mode"] == 2
        assert message.content_type == "application/x-own" and message.delivery_info["routing_key"] == name

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
        assert broker.is_reachable() and broker.seen([name, f"{name}.none"]) == {name: Seen(0, 0)}
        broker.publish_many([Message(PUBLIC, name, b"1", id="1"), Message(PUBLIC, name, b"2", id="2")])
        until(lambda: broker.seen().get(name) == Seen(2, 0))
        Reader(connect(), name)
        until(lambda: broker.seen([f"{name}.none", name])[name].readers == 1)

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
            assert idle.user + idle.system - used.user - used.system < 0.25
            took = []
            for number in range(30):
                sent = time.perf_counter()
                self.send(channel, name, number)
                until(lambda number=number: len(arrived) > number)
                took.append(arrived[number] - sent)
            assert min(took) < 0.2
        finally:
            stop.set()
            thread.join()
