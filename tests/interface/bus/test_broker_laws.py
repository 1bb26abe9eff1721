"""The laws of a broker, on each broker that the product has."""
from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from amqp.exceptions import RecoverableConnectionError

from shared.bus import port
from shared.bus.embedded import embedded_uri, engine_at, stop_broker
from shared.bus.message import Message
from shared.kernel.errors import EdgemereError
from tests.support.laws.broker import BrokerLaws
from tests.support.laws.broker_bench import Reader
from tests.support.servers import ROOT, project_environment


class EmbeddedBench:
    """The embedded broker on a file of its own; it lives and dies with the process that uses it."""

    queue_age_s = 0.0

    def __init__(self, folder: Path) -> None:
        self.uri = embedded_uri(folder / "broker.db")
        port.prepare(self.uri)

    def let_go(self) -> None:
        stop_broker(self.uri)

    def crash(self, program: subprocess.Popen) -> None:
        program.kill()
        program.wait()


class TestEmbeddedBroker(BrokerLaws):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[EmbeddedBench]:
        bench = EmbeddedBench(tmp_path)
        yield bench
        bench.let_go()

    def test_a_second_process_is_refused_the_file(self, bench: EmbeddedBench, connect, name) -> None:
        connect()
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.laws.broker_program", bench.uri, "publish", name], cwd=ROOT,
            env=project_environment(), capture_output=True, text=True, timeout=300)
        assert done.returncode == 1 and "bus.in_use" in done.stderr and "Another process" in done.stderr

    def test_whoever_waits_learns_that_the_broker_was_stopped(self, bench: EmbeddedBench, connect, name) -> None:
        connection = connect()
        self.queue(connection.channel(), name)
        reader = Reader(connection, name)
        threading.Timer(0.1, bench.let_go).start()
        with pytest.raises(RecoverableConnectionError):
            reader.connection.drain_events(timeout=120)
        with pytest.raises(RecoverableConnectionError):
            reader.channel.queue_declare(queue=name, passive=True)

    def test_a_full_disk_is_said_and_what_waited_is_kept(self, bench: EmbeddedBench, connect, broker, name) -> None:
        self.queue(connect().channel(), name)
        broker.publish_many([Message("", name, b"%d" % n, id=str(n)) for n in range(3)])
        journal = engine_at(bench.uri)._journal
        # A bound on the size of the file is what a full disk is to SQLite.
        pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
        journal._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(EdgemereError) as caught:
            broker.publish(Message("", name, b"x" * 1_000_000, id="big"))
        assert caught.value.code == "bus.disk"
        journal._db.execute("PRAGMA max_page_count = 1000000")
        broker.publish(Message("", name, b"3", id="3"))
        reader = Reader(connect(), name)
        reader.wait_for(4)
        assert reader.bodies == [b"0", b"1", b"2", b"3"]

    def test_alarms_of_expired_messages_are_set_again_after_a_restart(self, bench: EmbeddedBench, connect, name) -> None:
        channel = connect().channel()
        self.queue(channel, f"{name}.wait", message_ttl=300, dead_letter_exchange="", dead_letter_routing_key=name)
        self.queue(channel, name)
        self.send(channel, f"{name}.wait", *range(3))
        bench.let_go()
        reader = Reader(connect(), name)
        reader.wait_for(3)
        assert reader.bodies == [b"0", b"1", b"2"]
