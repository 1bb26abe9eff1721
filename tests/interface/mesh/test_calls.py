"""Calls on the production mesh that go wrong or come twice: by the headers that any AMQP client can send."""
from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import kombu
import pytest

from shared.hosting.rpc import MeshClient
from shared.kernel.context import Context
from shared.kernel.errors import EdgemereError, NotFound
from tests.support.supervised import SupervisedMesh


@pytest.fixture(scope="module")
def mesh(shared_production_mesh: SupervisedMesh) -> SupervisedMesh:
    return shared_production_mesh


@pytest.fixture(scope="module")
def client(mesh: SupervisedMesh) -> Iterator[MeshClient]:
    client = MeshClient(mesh.amqp_uri, timeout_s=120, name="test")
    yield client
    client.stop()


def send(mesh: SupervisedMesh, rpc: str, body: Any, *, headers: dict[str, Any] | None = None, **properties: Any) -> None:
    """A call as a bare AMQP client publishes it."""
    with kombu.Connection(mesh.amqp_uri) as connection:
        kombu.Producer(connection).publish(
            body if isinstance(body, (str, bytes)) else json.dumps(body), exchange="nameko-rpc", routing_key=rpc, headers=headers or {},
            **{"content_type": "application/json", "content_encoding": "utf-8", **properties})


def is_there(client: MeshClient, name: str) -> bool:
    try:
        client.call("requests", "show", id=name)
        return True
    except NotFound:
        return False


def created(name: str) -> dict[str, Any]:
    return {"args": [], "kwargs": {"name": name, "query": "owner:nobody", "fulfill": False}}


def test_a_call_that_is_repeated_with_its_key_is_carried_out_once_also_at_the_same_moment(client):
    name = f"once-{uuid.uuid4().hex[:8]}"
    context = Context(owner="ada", idempotency_key=uuid.uuid4().hex)

    def call(_: int) -> str:
        for _attempt in range(600):
            try:
                return client.call("requests", "create", context=context, name=name, query="owner:nobody", fulfill=False)["id"]
            except EdgemereError as error:
                assert error.code == "idempotency.in_progress", error
                time.sleep(0.2)
        raise AssertionError("it was in progress for too long")

    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(call, range(8)))
    assert len(ids) == 1
    with pytest.raises(EdgemereError, match=r"idempotency\.mismatch"):
        client.call("requests", "create", context=context, name=f"{name}-other", query="owner:nobody", fulfill=False)


def test_a_call_that_comes_after_its_deadline_or_that_nobody_waits_for_is_not_carried_out(mesh, client):
    late, unasked, good = (f"{word}-{uuid.uuid4().hex[:8]}" for word in ("late", "unasked", "good"))
    before = mesh.pids("requests")
    send(mesh, "requests.create", created(late), reply_to="nobody", headers={"nameko.deadline": time.time() - 1})
    send(mesh, "requests.create", created(unasked))
    send(mesh, "requests.create", created(good), reply_to="nobody", headers={"nameko.deadline": time.time() + 600})
    deadline = time.monotonic() + 120
    while not is_there(client, good):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not is_there(client, late) and not is_there(client, unasked)
    assert mesh.pids("requests") == before


def test_what_cannot_be_read_harms_nobody(mesh, client):
    before = mesh.pids()
    for body, more in (("{", {}), ("[1, 2]", {}), ("{}", {"content_type": "application/x-nothing"}), (b"\xff\xfe", {"content_encoding": "nonsense"})):
        send(mesh, "requests.create", body, reply_to="nobody", **more)
        with kombu.Connection(mesh.amqp_uri) as connection:
            kombu.Producer(connection).publish(body, exchange="edgemere.events", routing_key="datarequest.needed", **{
                "content_type": "application/json", "content_encoding": "utf-8", **more})
    deadline = time.monotonic() + 120
    while client.call("events", "dead_list", queue="reservations.datarequest.needed")["total"] < 4:
        assert time.monotonic() < deadline, client.call("events", "dead_list")
        time.sleep(0.2)
    assert client.call("requests", "list")["total"] >= 0 and mesh.pids() == before


def test_a_service_that_is_older_than_its_caller_leaves_out_what_it_does_not_know(mesh, client):
    with kombu.Connection(mesh.amqp_uri) as connection, connection.channel() as channel:
        answers: list[dict[str, Any]] = []
        queue = kombu.Queue("", kombu.Exchange("nameko-rpc", "topic", durable=True), exclusive=True, auto_delete=True)
        reply_to = uuid.uuid4().hex
        queue.routing_key = reply_to
        with kombu.Consumer(channel, [queue], no_ack=True, on_message=lambda message: answers.append(json.loads(message.body))):
            body = json.dumps({"args": [], "kwargs": {"request": "nobody", "of_the_future": 1}})
            for headers in ({"nameko.contract": 1_000_000}, {}):
                send(mesh, "requests.plain", body, headers=mesh.seal.sealed("requests.plain", headers, body.encode()),
                     reply_to=reply_to, correlation_id=uuid.uuid4().hex)
                deadline = time.monotonic() + 120
                wanted = len(answers) + 1
                while len(answers) < wanted:
                    assert time.monotonic() < deadline
                    try:
                        connection.drain_events(timeout=1)
                    except TimeoutError:
                        connection.heartbeat_check()
    newer, same = (answer["error"]["value"] for answer in answers)
    assert newer.startswith("datarequest.not_found") and same.startswith("parameter.invalid")
