"""What the laws of a broker are tried with: a bench that says which broker, and a reader that keeps what came."""
from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import pytest
from amqp.exceptions import NotFound
from kombu import Connection, Consumer, Producer, Queue

from shared.bus import port
from shared.bus.topology import PUBLIC
from tests.support.servers import ROOT, project_environment

LIMIT_S = 120


class Bench(Protocol):
    """A broker to be tried. ``queue_age_s``: how old a queue has to be to survive a ``kill -9`` of the broker."""

    uri: str
    queue_age_s: float

    def let_go(self) -> None:
        """Give the broker free for another process, where only one can have it."""

    def crash(self, program: subprocess.Popen) -> None:
        """``kill -9`` of the program, and of the broker where that is another process; the broker comes back."""


class Reader:
    """Reads queues in a connection of its own and keeps what came."""

    def __init__(self, connection: Connection, *queues: str, ack: bool = True, prefetch: int | None = None,
                 no_ack: bool = False, priority: int = 0) -> None:
        self.connection = connection
        self.channel = connection.channel()
        self.got: list[Any] = []
        self.ack = ack and not no_ack
        favour = {"x-priority": priority} if priority else None
        self.consumer = Consumer(self.channel, [Queue(name, no_declare=True, consumer_arguments=favour) for name in queues], auto_declare=False,
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


class BrokerTrial:
    """What the laws have at hand; a subclass has a fixture ``bench``."""

    @pytest.fixture
    def connect(self, bench: Bench) -> Iterator[Callable[[], Connection]]:
        opened: list[Connection] = []

        def connect() -> Connection:
            opened.append(Connection(bench.uri, transport_options={"confirm_publish": True}, connect_timeout=60))
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

    @staticmethod
    def declare_base(channel: Any) -> bool:
        channel.exchange_declare(exchange=PUBLIC, type="topic", durable=True, auto_delete=False)
        return True

    @staticmethod
    def exists(connect: Callable[[], Connection], name: str) -> bool:
        with connect() as connection:
            try:
                connection.channel().queue_declare(queue=name, passive=True)
                return True
            except NotFound:
                return False
