"""The laws of a broker, and the scenarios of the entrypoints, on a RabbitMQ of the run's own.

Those that crash the node or fill it, and the scenarios, need ``--long`` (see ``conftest``): they take minutes.
"""
from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection, Consumer, Queue

from shared.bus import port
from shared.bus.message import Message
from shared.bus.read_ahead import read_ahead
from tests.interface.bus.test_entrypoints import NAMES, run_scenarios
from tests.support.laws.broker import BrokerLaws
from tests.support.rabbitmq import RabbitNode


@pytest.fixture(scope="module")
def node() -> Iterator[RabbitNode]:
    node = RabbitNode.start()
    yield node
    node.stop()


class RabbitBench:
    """One node for all laws; queues have names of their own."""

    # RabbitMQ 3.10 writes down a new quorum queue some seconds late; one that it forgot in a crash hangs its readers.
    queue_age_s = 6.0

    def __init__(self, node: RabbitNode) -> None:
        self._node = node
        self.uri = node.uri
        port.prepare(self.uri)

    def let_go(self) -> None:
        """Any number of processes may use it."""

    def crash(self, program: subprocess.Popen) -> None:
        self._node.kill9()
        program.kill()
        program.wait()
        self._node.run()


class TestRabbitBroker(BrokerLaws):
    # Each crash is a start of the node: several seconds.
    seeds = (1,)

    @pytest.fixture
    def bench(self, node: RabbitNode) -> RabbitBench:
        return RabbitBench(node)


@pytest.fixture(scope="module")
def results(node: RabbitNode, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    folder: Path = tmp_path_factory.mktemp("mesh")
    return run_scenarios(folder, node.uri)


# Containers take a second or two to leave RabbitMQ, so that all of them take two minutes.
@pytest.mark.parametrize("name", NAMES)
def test_on_rabbitmq(results: dict[str, str | None], name: str) -> None:
    if results[name]:
        pytest.fail(results[name], pytrace=False)


def test_what_is_handed_over_after_a_restart_is_not_lost_on_an_old_connection(node: RabbitNode) -> None:
    broker = port.connect(node.uri)
    with Connection(node.uri) as connection:
        connection.channel().queue_declare("handed.over", durable=True, auto_delete=False)
    broker.send(Message("", "handed.over", b"before"))
    node.kill9()
    node.run()
    with Connection(node.uri) as connection:
        channel = connection.channel()
        # Declared again, as every reader does: a node that was killed right after it was told has been seen to forget a queue.
        channel.queue_declare("handed.over", durable=True, auto_delete=False)
        broker.send(Message("", "handed.over", b"after"))
        deadline, found = time.monotonic() + 120, []
        while b"after" not in found and time.monotonic() < deadline:
            if (message := channel.basic_get("handed.over", no_ack=True)) is not None:
                found.append(bytes(message.body.encode() if isinstance(message.body, str) else message.body))
    broker.close()
    assert b"after" in found


class Counted:
    """A socket that notes how often it was asked to receive, and there was something."""

    def __init__(self, sock: Any) -> None:
        self.sock, self.times = sock, 0

    def recv(self, *arguments: Any) -> bytes:
        received = self.sock.recv(*arguments)
        self.times += 1
        return received

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)


def test_what_is_read_ahead_comes_whole_and_in_order_and_the_system_is_asked_less_often_than_there_are_messages(node: RabbitNode) -> None:
    bodies = [bytes([number % 251]) * size for number, size in enumerate((0, 1, 300, 16_383, 16_384, 16_385, 131_072, 2_000_000, *[20] * 400))]
    with Connection(node.uri) as connection:
        channel = connection.channel()
        channel.queue_declare("read.ahead", durable=True, auto_delete=False)
        broker = port.connect(node.uri)
        broker.publish_many([Message("", "read.ahead", body, id=f"m{number}", headers={"n": number}, content_type=None, content_encoding="binary")
                             for number, body in enumerate(bodies)])
    with Connection(node.uri) as connection:
        connection.connect()
        transport = connection.connection.transport
        transport.sock = counted = Counted(transport.sock)
        transport._quick_recv = counted.recv
        read_ahead(connection.connection)
        got: list[Any] = []
        with Consumer(connection.default_channel, [Queue("read.ahead", no_declare=True)], on_message=got.append, auto_declare=False, no_ack=True):
            until = time.monotonic() + 240
            while len(got) < len(bodies) and time.monotonic() < until:
                if len(got) == 8:
                    counted.times = 0
                # So short that it ends in the middle of the large ones.
                with suppress(TimeoutError):
                    connection.drain_events(timeout=0.0005)
    assert [(message.headers["n"], message.body or b"") for message in got] == list(enumerate(bodies))
    assert counted.times < 400
