"""What who calls, and who is called, can rely on."""
from __future__ import annotations

import threading
import time
import uuid
from typing import Any

import pytest
from kombu import Connection, Consumer, Exchange, Queue
from nameko.exceptions import MethodNotFound, RemoteError, UnknownService
from nameko.standalone.rpc import ClusterRpcProxy

from shared.bus.encoding import encode
from shared.bus.message import Message
from shared.hosting.entrypoints import on_event, rpc, topology_of
from shared.hosting.rpc import Mesh
from shared.kernel.context import Context
from shared.kernel.errors import Conflict, DeadlineExceeded, EdgemereError, Invalid, NotYet, Unavailable
from tests.interface.bus.stage import CurrentContext, depth
from tests.support.awaiting import until


def callee(tag: str) -> type:
    class Callee:
        name = f"callee-{tag}"
        context = CurrentContext()
        ran: list[Any] = []
        began: list[float] = []

        @rpc
        def echo(self, value):
            self.ran.append(value)
            return value

        @rpc
        def whoami(self):
            context = self.context
            return {"owner": context.owner, "roles": list(context.roles), "request": context.request_id,
                    "correlation": context.correlation_id, "key": context.idempotency_key,
                    "if_match": context.if_match, "left": context.seconds_left(99)}

        @rpc
        def refuse(self):
            raise Conflict("thing.in_the_way", "It is in the way.", next_step="Move it.", legal=["a", 1, None],
                           errors=[{"pointer": "/a", "detail": "b"}])

        @rpc
        def fall_over(self):
            raise RuntimeError("the password is swordfish")

        @rpc
        def unsendable(self):
            return object()

        @rpc
        def slow(self, seconds):
            self.began.append(seconds)
            time.sleep(seconds)
            return "done"

    return Callee


def held(tag: str, holds: threading.Event, go_on: threading.Event, ran: list[Any]) -> type:
    """A service whose workers can be held until ``go_on``; ``holds`` is set when one is, ``ran`` gets what it was told to note."""
    class Held:
        name = f"held-{tag}"

        @rpc
        def hold(self):
            holds.set()
            go_on.wait(200)

        @rpc
        def note(self, value):
            ran.append(value)

    return Held


def caller(tag: str) -> type:
    class Caller:
        name = f"caller-{tag}"
        mesh = Mesh()

        @rpc
        def pass_on(self):
            return self.mesh.call(f"callee-{tag}", "whoami", timeout_s=300)

        @rpc
        def pass_on_with_key(self):
            return self.mesh.having(idempotency_key="own").call(f"callee-{tag}", "whoami")

    return Caller


def test_a_call_is_answered_with_the_value(stage):
    stage.run(callee(stage.tag))
    service = stage.client().bound(Context())
    for value in (None, 0, "", [1, {"a": []}], "ä \u2042 \x00", 2**80, "lone \ud800 surrogate", 1.5):
        assert getattr(service, f"callee-{stage.tag}").echo(value=value) == (float(value) if value == 2**80 else value)


def test_the_context_travels_with_the_call(stage):
    stage.run(callee(stage.tag))
    context = Context(owner="darren", roles=("DataEngineer",), request_id="r1", correlation_id="c1",
                      idempotency_key="k1", if_match=7)
    seen = stage.client().call(f"callee-{stage.tag}", "whoami", context=context, timeout_s=100)
    assert 10 < seen.pop("left") <= 100
    assert seen == {"owner": "darren", "roles": ["DataEngineer"], "request": "r1", "correlation": "c1", "key": "k1",
                    "if_match": 7}


def test_a_nested_call_inherits_the_deadline_but_not_the_key_of_its_caller(stage):
    stage.run(callee(stage.tag), caller(stage.tag))
    client = stage.client()
    context = Context(owner="darren", idempotency_key="k1", if_match=3)
    seen = client.call(f"caller-{stage.tag}", "pass_on", context=context, timeout_s=100)
    assert seen["left"] <= 100 and seen["owner"] == "darren" and seen["key"] == "" and seen["if_match"] is None
    assert client.call(f"caller-{stage.tag}", "pass_on_with_key", context=context)["key"] == "own"


def test_an_error_keeps_its_code_and_everything_it_says(stage):
    stage.run(callee(stage.tag))
    with pytest.raises(Conflict) as caught:
        stage.client().call(f"callee-{stage.tag}", "refuse")
    error = caught.value
    assert (error.code, error.detail, error.next_step) == ("thing.in_the_way", "It is in the way.", "Move it.")
    assert error.extra == {"legal": ["a", 1, None]} and error.errors == [{"pointer": "/a", "detail": "b"}]


def test_an_unforeseen_error_says_nothing_of_the_inside(stage):
    stage.run(callee(stage.tag))
    with pytest.raises(EdgemereError) as caught:
        stage.client().call(f"callee-{stage.tag}", "fall_over")
    assert caught.value.code == "internal" and "swordfish" not in str(caught.value.payload())


def test_wrong_parameters_and_a_wrong_method_are_the_callers_errors(stage):
    stage.run(callee(stage.tag))
    client = stage.client()
    with pytest.raises(Invalid):
        client.call(f"callee-{stage.tag}", "echo")
    with pytest.raises(Invalid):
        client.call(f"callee-{stage.tag}", "echo", value=1, unknown=2)
    with pytest.raises(NotYet):
        client.call(f"callee-{stage.tag}", "no_such_method")


def test_a_foreign_nameko_program_can_call_and_reads_the_code_first(stage):
    stage.run(callee(stage.tag))
    with ClusterRpcProxy({"AMQP_URI": stage.uri}, timeout=120) as cluster:
        service = cluster[f"callee-{stage.tag}"]
        assert service.echo(value=[1]) == [1] and service.echo("by place") == "by place"
        with pytest.raises(RemoteError) as caught:
            service.refuse()
        assert caught.value.value.startswith("thing.in_the_way: It is in the way.")
        assert caught.value.exc_type == "Conflict"
        with pytest.raises(MethodNotFound):
            service.no_such_method()
        with pytest.raises(UnknownService):
            cluster[f"nobody-{stage.tag}"].echo(value=1)


def test_an_answer_that_is_not_json_is_an_internal_error_and_the_service_lives(stage):
    stage.run(callee(stage.tag))
    client = stage.client()
    with pytest.raises(EdgemereError) as caught:
        client.call(f"callee-{stage.tag}", "unsendable")
    assert caught.value.code == "internal"
    assert client.call(f"callee-{stage.tag}", "echo", value=1) == 1


def test_malformed_calls_change_nothing_and_the_service_lives(stage):
    service = callee(stage.tag)
    stage.run(service)
    client = stage.client()
    assert client.call(service.name, "echo", value="first") == "first"
    for body in (b"", b"{", b"[]", b'"x"', b'{"args": 1, "kwargs": {}}', b'{"args": []}', b'{"args": [1], "kwargs": []}'):
        for reply_to in ("", "nobody-there"):
            stage.broker.publish(Message("nameko-rpc", f"{service.name}.echo", body, reply_to=reply_to or None,
                                         persistent=False))
    stage.send({"args": [9], "kwargs": {}}, f"{service.name}.echo", "nameko-rpc", serializer="json")
    stage.send(b"\x80\x04", f"{service.name}.echo", "nameko-rpc", content_type="application/x-python-serialize",
               content_encoding="binary", reply_to="nobody")
    assert client.call(service.name, "echo", value="last") == "last"
    assert service.ran == ["first", "last"]
    until(lambda: depth(stage, f"rpc-{service.name}") == 0)


def test_an_answer_is_never_somebodys_call(stage):
    service = callee(stage.tag)
    stage.run(service)
    client = stage.client()
    # Whoever asks so would have the service call itself, in its own name.
    stage.broker.publish(Message("nameko-rpc", f"{service.name}.echo", encode({"args": [], "kwargs": {"value": "asked"}}),
                                 reply_to=f"{service.name}.echo", persistent=False))
    assert client.call(service.name, "echo", value="last") == "last"
    assert service.ran == ["last"]


def test_a_malformed_call_that_can_be_answered_is(stage):
    service = callee(stage.tag)
    stage.run(service)
    stage.broker.declare(topology_of(service))
    with Connection(stage.uri) as connection:
        channel = connection.channel()
        reply_to = uuid.uuid4().hex
        queue = Queue(f"answers-{reply_to}", Exchange("nameko-rpc", type="topic", durable=True), reply_to,
                      durable=False, exclusive=True, auto_delete=True)
        got: list[Any] = []
        with Consumer(channel, [queue], callbacks=[lambda body, message: got.append(body)], no_ack=True):
            stage.broker.publish(Message("nameko-rpc", f"{service.name}.echo", b"[1]", reply_to=reply_to))
            connection.drain_events(timeout=120)
    assert got[0]["error"]["exc_args"][0]["code"] == "message.malformed" and got[0]["result"] is None


def test_a_call_without_an_answer_ends_at_its_deadline_and_leaves_nothing_behind(stage):
    stage.run(callee(stage.tag))
    client = stage.client()
    client.call(f"callee-{stage.tag}", "echo", value=1)
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        client.call(f"callee-{stage.tag}", "slow", seconds=100, timeout_s=0.3)
    assert 0.25 < time.monotonic() - began < 60
    with pytest.raises(DeadlineExceeded):
        client.call(f"callee-{stage.tag}", "echo", value=1, context=Context(deadline=time.time() - 1))
    assert not client._calls


def test_a_call_whose_deadline_passed_is_not_carried_out(stage):
    tag, ran, began, holds, go_on = stage.tag, [], threading.Event(), threading.Event(), threading.Event()

    class Slow(held(tag, holds, go_on, ran)):
        @on_event("edgemere", f"{tag}.said")
        def said(self, message):
            began.set()
            go_on.wait(200)

    stage.run(Slow, max_workers=2)
    client = stage.client()
    # One worker for the event, one for the call: the next one has been handed over and waits for a worker.
    stage.tell(f"{tag}.said", 1)
    assert began.wait(120)
    blocker = threading.Thread(target=lambda: client.call(Slow.name, "hold"))
    blocker.start()
    assert holds.wait(120)
    with pytest.raises(DeadlineExceeded):
        client.call(Slow.name, "note", value="late", timeout_s=0.2)
    with pytest.raises(DeadlineExceeded):
        client.call(Slow.name, "note", value="late, still in the queue", timeout_s=0.2)
    go_on.set()
    blocker.join()
    client.call(Slow.name, "note", value="in time")
    # A caller that keeps no time itself says only in the header until when.
    for left_s in (-1, 60):
        stage.broker.publish(Message("nameko-rpc", f"{Slow.name}.note", encode({"args": [left_s], "kwargs": {}}),
                                     headers={"nameko.deadline": time.time() + left_s}, reply_to="nobody"))
    until(lambda: 60 in ran)
    assert ran == ["in time", 60]


def test_a_service_that_does_not_exist_or_was_stopped_is_unavailable_in_seconds(stage):
    client = stage.client()
    service = callee(stage.tag)
    runner = stage.run(service)
    client.call(service.name, "echo", value=1)
    runner.stop()
    for name in (f"nobody-{stage.tag}", service.name):
        began = time.monotonic()
        with pytest.raises(Unavailable):
            client.call(name, "echo", value=2)
        assert time.monotonic() - began < 30
    assert service.ran == [1]


def test_calls_of_a_stopped_client_fail_and_do_not_hang(stage):
    service = callee(stage.tag)
    stage.run(service)
    client = stage.client()
    failed: list[Exception] = []

    def call() -> None:
        try:
            client.call(f"callee-{stage.tag}", "slow", seconds=100)
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    until(lambda: service.began)
    client.stop()
    thread.join(120)
    assert isinstance(failed[0], Unavailable)
