"""Where the scenarios play: real containers on a real broker, in one green process. See ``green.py``."""
from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import kombu
from kombu import Connection
from nameko.extensions import DependencyProvider
from nameko.runners import ServiceRunner

from shared.bus import port
from shared.bus.dead_letters import waiting
from shared.bus.encoding import encode
from shared.bus.message import Message
from shared.bus.topology import PUBLIC
from shared.hosting.entrypoints import topology_of
from shared.hosting.here import Here
from shared.hosting.rpc import MeshClient, current_context
from shared.kernel.context import Context


class Stage:
    """Services under names of their own, so that scenarios may share one broker.

    With ``here`` clients and services of this process ask each other directly, as in the product.
    """

    def __init__(self, uri: str, here: bool = False) -> None:
        self.uri = uri
        self.here = Here() if here else None
        self.config = {"AMQP_URI": uri, "max_workers": 10, "retry_backoff_s": [0.05, 0.1], "HERE": self.here}
        self.broker = port.connect(uri)
        self.tag = uuid.uuid4().hex[:8]
        self._ends: list[Callable[[], Any]] = [self.broker.close]

    def run(self, *services: type, **config: Any) -> ServiceRunner:
        for service in services:
            self.broker.declare(topology_of(service, self.config["retry_backoff_s"]))
        runner = ServiceRunner({**self.config, **config})
        for service in services:
            runner.add_service(service)
        runner.start()
        self._ends.insert(0, runner.kill)
        return runner

    def client(self) -> MeshClient:
        client = MeshClient(self.uri, timeout_s=60, name=f"client-{self.tag}", here=self.here)
        self._ends.insert(0, client.stop)
        return client

    def tell(self, name: str, obj: Any, *, id: str | None = None, exchange: str = PUBLIC, **more: Any) -> None:
        self.broker.publish(Message(exchange, name, encode({"obj": obj}), id=id, **more), mandatory=True)

    def send(self, body: Any, key: str, exchange: str = PUBLIC, **properties: Any) -> None:
        """As a foreign AMQP client does it."""
        with Connection(self.uri) as connection:
            kombu.Producer(connection).publish(body, exchange=exchange, routing_key=key, **properties)

    def letters(self, queue: str) -> list[Any]:
        return [letter for letter in waiting(self.broker, 1000) if letter.queue == queue]

    def stop(self) -> None:
        for end in self._ends:
            end()


def depth(stage: Stage, queue: str) -> int:
    with Connection(stage.uri) as connection:
        return connection.channel().queue_declare(queue=queue, passive=True).message_count


class CurrentContext(DependencyProvider):
    def get_dependency(self, worker_ctx: Any) -> Context:
        return current_context(worker_ctx)
