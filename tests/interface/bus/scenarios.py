"""What services on the mesh can rely on: real containers, a real broker, in one green process. See ``green.py``."""
from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import kombu
import pytest
from kombu import Connection, Consumer, Exchange, Queue
from nameko.events import EventDispatcher, event_handler
from nameko.exceptions import MethodNotFound, RemoteError, UnknownService
from nameko.runners import ServiceRunner
from nameko.standalone.rpc import ClusterRpcProxy

from shared.bus import port
from shared.bus.dead_letters import dead_letter_of, replay, waiting
from shared.bus.encoding import encode
from shared.bus.message import Message
from shared.bus.topology import DEAD_QUEUE, INTERNAL, PUBLIC
from shared.hosting.entrypoints import batch_event, on_event, rpc, topology_of
from shared.hosting.rpc import Mesh, MeshClient, current_context
from shared.kernel.context import Context
from shared.kernel.errors import (
    Conflict, DeadlineExceeded, EdgemereError, Invalid, NotFound, NotYet, Unavailable,
)
from nameko.extensions import DependencyProvider


class Stage:
    """Services under names of their own, so that scenarios may share one broker."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.config = {"AMQP_URI": uri, "max_workers": 10, "retry_backoff_s": [0.05, 0.1]}
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
        client = MeshClient(self.uri, timeout_s=10, name=f"client-{self.tag}")
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


def until(condition: Callable[[], Any], limit_s: float = 15) -> Any:
    deadline = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
    return found


class CurrentContext(DependencyProvider):
    def get_dependency(self, worker_ctx: Any) -> Context:
        return current_context(worker_ctx)


def callee(tag: str) -> type:
    class Callee:
        name = f"callee-{tag}"
        context = CurrentContext()
        ran: list[Any] = []

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
            time.sleep(seconds)
            return "done"

    return Callee


def caller(tag: str) -> type:
    class Caller:
        name = f"caller-{tag}"
        mesh = Mesh()

        @rpc
        def pass_on(self):
            return self.mesh.call(f"callee-{tag}", "whoami", timeout_s=30)

        @rpc
        def pass_on_with_key(self):
            return self.mesh.having(idempotency_key="own").call(f"callee-{tag}", "whoami")

    return Caller


# --- calls ---------------------------------------------------------------------------------------------------------

def test_a_call_is_answered_with_the_value(stage):
    stage.run(callee(stage.tag))
    service = stage.client().bound(Context())
    for value in (None, 0, "", [1, {"a": []}], "ä \u2042 \x00", 2**80, "lone \ud800 surrogate", 1.5):
        assert getattr(service, f"callee-{stage.tag}").echo(value=value) == (float(value) if value == 2**80 else value)


def test_the_context_travels_with_the_call(stage):
    stage.run(callee(stage.tag))
    context = Context(owner="darren", roles=("DataEngineer",), request_id="r1", correlation_id="c1",
                      idempotency_key="k1", if_match=7)
    seen = stage.client().call(f"callee-{stage.tag}", "whoami", context=context, timeout_s=5)
    assert 4 < seen.pop("left") <= 5
    assert seen == {"owner": "darren", "roles": ["DataEngineer"], "request": "r1", "correlation": "c1", "key": "k1",
                    "if_match": 7}


def test_a_nested_call_inherits_the_deadline_but_not_the_key_of_its_caller(stage):
    stage.run(callee(stage.tag), caller(stage.tag))
    client = stage.client()
    context = Context(owner="darren", idempotency_key="k1", if_match=3)
    seen = client.call(f"caller-{stage.tag}", "pass_on", context=context, timeout_s=4)
    assert seen["left"] <= 4 and seen["owner"] == "darren" and seen["key"] == "" and seen["if_match"] is None
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
    with ClusterRpcProxy({"AMQP_URI": stage.uri}, timeout=10) as cluster:
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
            connection.drain_events(timeout=5)
    assert got[0]["error"]["exc_args"][0]["code"] == "message.malformed" and got[0]["result"] is None


def depth(stage: Stage, queue: str) -> int:
    with Connection(stage.uri) as connection:
        return connection.channel().queue_declare(queue=queue, passive=True).message_count


def test_a_call_without_an_answer_ends_at_its_deadline_and_leaves_nothing_behind(stage):
    stage.run(callee(stage.tag))
    client = stage.client()
    client.call(f"callee-{stage.tag}", "echo", value=1)
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        client.call(f"callee-{stage.tag}", "slow", seconds=2, timeout_s=0.3)
    assert 0.25 < time.monotonic() - began < 1.5
    with pytest.raises(DeadlineExceeded):
        client.call(f"callee-{stage.tag}", "echo", value=1, context=Context(deadline=time.time() - 1))
    assert not client._calls


def test_a_call_whose_deadline_passed_is_not_carried_out(stage):
    tag, ran, began, go_on = stage.tag, [], threading.Event(), threading.Event()

    class Slow:
        name = f"slow-{tag}"

        @on_event("edgemere", f"{tag}.said")
        def said(self, message):
            began.set()
            go_on.wait(10)

        @rpc
        def hold(self):
            go_on.wait(10)

        @rpc
        def note(self, value):
            ran.append(value)

    stage.run(Slow, max_workers=2)
    client = stage.client()
    # One worker for the event, one for the call: the next one has been handed over and waits for a worker.
    stage.tell(f"{tag}.said", 1)
    assert began.wait(5)
    blocker = threading.Thread(target=lambda: client.call(Slow.name, "hold"))
    blocker.start()
    time.sleep(0.1)
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
        assert time.monotonic() - began < 5
    assert service.ran == [1]


def test_calls_of_a_stopped_client_fail_and_do_not_hang(stage):
    stage.run(callee(stage.tag))
    client = stage.client()
    failed: list[Exception] = []

    def call() -> None:
        try:
            client.call(f"callee-{stage.tag}", "slow", seconds=3)
        except Exception as error:
            failed.append(error)

    client.call(f"callee-{stage.tag}", "echo", value=1)
    thread = threading.Thread(target=call)
    thread.start()
    time.sleep(0.1)
    client.stop()
    thread.join(2)
    assert isinstance(failed[0], Unavailable)


def test_stopping_waits_for_what_is_being_handled_and_acks_it(stage):
    tag, began, done = stage.tag, [], []

    class Steady:
        name = f"steady-{tag}"

        @on_event("edgemere", f"{tag}.told")
        def told(self, message):
            began.append(message.id)
            time.sleep(0.4)
            done.append(message.id)

    runner = stage.run(Steady)
    stage.tell(f"{tag}.told", 1, id="once")
    until(lambda: began)
    runner.stop()
    assert done == ["once"]
    stage.run(Steady)
    stage.tell(f"{tag}.told", 2, id="next")
    until(lambda: len(began) == 2)
    assert began == ["once", "next"], "the first was acked, so nobody gets it again"


# --- events --------------------------------------------------------------------------------------------------------

def test_each_service_gets_a_copy_and_replicas_share(stage):
    tag, got = stage.tag, []

    def service(which: str) -> type:
        class Hears:
            name = f"{which}-{tag}"

            @on_event("edgemere", f"{tag}.said")
            def said(self, message):
                got.append((which, message.obj))

        return Hears

    stage.run(service("one"), service("two"))
    stage.run(service("two"))
    for number in range(30):
        stage.tell(f"{tag}.said", number, id=f"m{number}")
    until(lambda: len(got) >= 60)
    time.sleep(0.1)
    assert sorted(got) == sorted([(which, number) for which in ("one", "two") for number in range(30)])


def test_an_event_tells_everything_that_came_with_it(stage):
    tag, got = stage.tag, []

    class Hears:
        name = f"hears-{tag}"
        context = CurrentContext()

        @on_event("edgemere", f"{tag}.said")
        def said(self, message):
            got.append((message, self.context))

        @on_event("edgemere", f"{tag}.inside", internal=True)
        def inside(self, message):
            got.append((message, self.context))

    stage.run(Hears)
    body = {"obj": {"id": "x"}, "event": f"{tag}.said", "id": "m1", "time": "2026-01-01T00:00:00.000000Z",
            "correlation_id": "corr", "causation_id": "cause"}
    stage.broker.publish(Message(PUBLIC, f"{tag}.said", encode(body), id="m1",
                                 headers={"nameko.correlation_id": "corr", "nameko.owner": "root", "own": 1}))
    until(lambda: got)
    message, context = got[0]
    assert (message.name, message.id, message.body, message.obj) == (f"{tag}.said", "m1", body, {"id": "x"})
    assert (message.correlation_id, message.causation_id, message.time) == ("corr", "cause", body["time"])
    assert (message.attempt, message.redelivered, message.headers["own"]) == (1, False, 1)
    assert (context.correlation_id, context.causation_id) == ("corr", "m1")
    assert context.owner == "", "who publishes cannot say on whose behalf"
    stage.tell(f"{tag}.inside", 5, exchange=INTERNAL)
    until(lambda: len(got) == 2)
    assert got[1][0].obj == 5 and got[1][0].id is None


def test_foreign_publishers_are_understood(stage):
    tag, got = stage.tag, []

    class Hears:
        name = f"hears-{tag}"

        @on_event("edgemere", f"{tag}.said")
        def said(self, message):
            got.append(message.obj)

        @on_event(f"foreign-{tag}", "happened")
        def happened(self, message):
            got.append(message.obj)

    class Foreign:
        name = f"foreign-{tag}"
        dispatch = EventDispatcher()

        @rpc
        def say(self):
            self.dispatch("happened", {"obj": "nameko"})

    stage.run(Hears, Foreign)
    stage.client().call(Foreign.name, "say")
    text = '{"obj": "%s"}'
    for number, options in enumerate((
        {"content_type": "application/json"}, {"content_type": "application/json; charset=utf-8"},
        {"content_type": "application/cloudevents+json"}, {"content_type": "application/json", "content_encoding": "binary"},
        {"content_type": "application/json; charset=utf-16", "body": (text % 4).encode("utf-16")},
    )):
        stage.send(options.pop("body", (text % number).encode()), f"{tag}.said", **options)
    stage.broker.publish(Message(PUBLIC, f"{tag}.said", b'{"obj": "bare"}', content_type=None, content_encoding=None))
    until(lambda: len(got) == 7)
    assert sorted(got) == ["0", "1", "2", "3", "4", "bare", "nameko"]


def test_a_foreign_nameko_service_can_listen_to_our_exchange(stage):
    tag, got = stage.tag, []

    class Foreign:
        name = f"foreign-{tag}"

        @event_handler("edgemere", f"{tag}.said")
        def said(self, payload):
            got.append(payload)

    stage.run(Foreign)
    stage.tell(f"{tag}.said", {"id": "x"}, headers={"nameko.correlation_id": "c"})
    until(lambda: got)
    assert got == [{"obj": {"id": "x"}}]


def test_a_failed_event_comes_again_with_pauses_and_does_not_block_others(stage):
    tag, got = stage.tag, []

    class Hears:
        name = f"hears-{tag}"

        @on_event("edgemere", f"{tag}.said")
        def said(self, message):
            got.append((message.obj, message.attempt, message.id, message.name, time.monotonic()))
            if message.obj == "bad" and message.attempt < 3:
                raise RuntimeError("not now")

    stage.run(Hears)
    stage.tell(f"{tag}.said", "bad", id="m1")
    stage.tell(f"{tag}.said", "good", id="m2")
    until(lambda: len(got) == 4)
    assert sorted((obj, attempt) for obj, attempt, *_ in got) == [("bad", 1), ("bad", 2), ("bad", 3), ("good", 1)]
    bad = [one for one in got if one[0] == "bad"]
    assert {(one[2], one[3]) for one in bad} == {("m1", f"{tag}.said")}
    assert bad[1][4] - bad[0][4] >= 0.04 and bad[2][4] - bad[1][4] >= 0.09
    assert not stage.letters(f"{Hears.name}.{tag}.said")


def test_an_event_that_fails_to_the_last_attempt_is_a_dead_letter_that_can_be_replayed(stage):
    tag, got, mended = stage.tag, [], []

    class Hears:
        name = f"hears-{tag}"

        @on_event("edgemere", f"{tag}.said")
        def said(self, message):
            got.append((message.attempt, message.name, message.id, message.headers.get("own")))
            if not mended:
                raise RuntimeError("never")

    stage.run(Hears)
    queue = f"{Hears.name}.{tag}.said"
    stage.tell(f"{tag}.said", "x", id="m1", headers={"own": "header"})
    letter = until(lambda: stage.letters(queue))[0]
    assert (letter.id, letter.event, letter.exchange, letter.attempts) == ("m1", f"{tag}.said", PUBLIC, 3)
    assert letter.code == "internal" and letter.reason == "RuntimeError: never" and letter.body == b'{"obj":"x"}'
    assert [attempt for attempt, *_ in got] == [1, 2, 3]
    mended.append(True)
    replay(stage.broker, letter)
    until(lambda: len(got) == 4)
    assert got[3] == (1, f"{tag}.said", "m1", "header")


def test_an_error_that_no_attempt_mends_is_a_dead_letter_at_once_unless_the_handler_says_otherwise(stage):
    tag, got = stage.tag, []

    class Hears:
        name = f"hears-{tag}"

        @on_event("edgemere", f"{tag}.permanent")
        def permanent(self, message):
            got.append("permanent")
            raise NotFound("thing.not_found", "No such thing.")

        @on_event("edgemere", f"{tag}.later", retry_on=(NotFound,))
        def later(self, message):
            got.append("later")
            raise NotFound("thing.not_found", "No such thing.")

    stage.run(Hears)
    stage.tell(f"{tag}.permanent", 1)
    stage.tell(f"{tag}.later", 1)
    letters = [until(lambda name=name: stage.letters(f"{Hears.name}.{tag}.{name}"))[0] for name in ("permanent", "later")]
    assert sorted(got) == ["later"] * 3 + ["permanent"]
    assert [(letter.code, letter.attempts) for letter in letters] == [("thing.not_found", 1), ("thing.not_found", 3)]


def test_what_cannot_be_read_is_a_dead_letter_and_never_lost(stage):
    tag, got = stage.tag, []

    class Hears:
        name = f"hears-{tag}"

        @on_event("edgemere", f"{tag}.said")
        def said(self, message):
            got.append(message.obj)

    stage.run(Hears)
    bad = [
        (b"{broken", "application/json", "utf-8"), (b"\xff\xfe\x00", "application/json", "utf-8"),
        (b"\x80\x04N.", "application/x-python-serialize", "binary"), (b"a: 1", "application/x-yaml", "utf-8"),
        (b"text", "text/plain", "utf-8"), (b"{}", "application/json; charset=klingon", "utf-8"),
        (b"", "application/json", "utf-8"), (b"[" * 100_000, "application/json", "utf-8"),
        (b"[1]", "application/json", "utf-8"), (b'{"object": 1}', "application/json", "utf-8"),
        (b"NaN", "application/json", "utf-8"),
    ]
    for body, content_type, content_encoding in bad:
        stage.broker.publish(Message(PUBLIC, f"{tag}.said", body, content_type=content_type,
                                     content_encoding=content_encoding))
    stage.send(b'{"obj": 1}', f"{tag}.said", content_type="application/json", compression="zlib")
    stage.tell(f"{tag}.said", "good")
    until(lambda: got == ["good"])
    letters = until(lambda: len(found := stage.letters(f"{Hears.name}.{tag}.said")) == len(bad) + 1 and found)
    assert {letter.code for letter in letters} == {"message.undecodable", "message.malformed"}
    assert sorted(letter.body for letter in letters)[:2] == sorted([body for body, _, _ in bad])[:2]


def test_a_flood_of_events_leaves_room_for_calls(stage):
    tag, hold, began = stage.tag, threading.Event(), []

    class Busy:
        name = f"busy-{tag}"

        @on_event("edgemere", f"{tag}.said")
        def said(self, message):
            began.append(message.obj)
            hold.wait(10)

        @rpc
        def ping(self):
            return "pong"

    stage.run(Busy)
    for number in range(40):
        stage.tell(f"{tag}.said", number)
    until(lambda: len(began) == 5)
    assert stage.client().call(Busy.name, "ping", timeout_s=3) == "pong"
    assert len(began) == 5, "half of the ten workers"
    hold.set()
    until(lambda: len(began) == 40)


# --- batches -------------------------------------------------------------------------------------------------------

def test_batches_come_in_order_with_all_that_is_there(stage):
    tag, got, hold = stage.tag, [], threading.Event()

    class Log:
        name = f"log-{tag}"

        @batch_event("edgemere", [f"{tag}.#"], batch=50, prefetch=100)
        def keep(self, messages):
            got.append([message.obj for message in messages])
            hold.wait(10)

    stage.run(Log)
    stage.tell(f"{tag}.first", -1)
    until(lambda: got)
    stage.broker.publish_many([Message(PUBLIC, f"{tag}.many.{n % 7}", encode({"obj": n}), id=str(n)) for n in range(200)])
    hold.set()
    until(lambda: sum(map(len, got)) == 201)
    assert got[0] == [-1] and [number for batch in got for number in batch] == list(range(-1, 200))
    assert max(map(len, got)) <= 50 and len(got) < 20
    until(lambda: depth(stage, f"log-{tag}.keep") == 0)


def test_a_second_replica_of_a_batch_reader_waits_until_the_first_is_gone(stage):
    tag, got = stage.tag, []

    def log(which: int) -> type:
        class Log:
            name = f"log-{tag}"

            @batch_event("edgemere", [f"{tag}.#"])
            def keep(self, messages):
                got.extend((which, message.obj) for message in messages)

        return Log

    first = stage.run(log(1))
    stage.run(log(2))
    for number in range(10):
        stage.tell(f"{tag}.x", number)
    until(lambda: len(got) == 10)
    assert {which for which, _ in got} == {1}
    first.stop()
    stage.tell(f"{tag}.x", 10)
    until(lambda: len(got) == 11)
    assert got[10] == (2, 10)


def test_one_bad_message_does_not_block_its_batch(stage):
    tag, got = stage.tag, []

    class Log:
        name = f"log-{tag}"

        @batch_event("edgemere", [f"{tag}.#"], pauses_s=(0.01,))
        def keep(self, messages):
            if any(message.obj == "bad" for message in messages):
                raise Invalid("thing.bad", "No.")
            got.extend(message.obj for message in messages)

    stage.broker.declare(topology_of(Log, stage.config["retry_backoff_s"]))
    bodies = [encode({"obj": 1}), encode({"obj": "bad"}), b"{undecodable", encode({"obj": 2})]
    stage.broker.publish_many([Message(PUBLIC, f"{tag}.x", body, id=str(n)) for n, body in enumerate(bodies)])
    stage.run(Log)
    until(lambda: got == [1, 2])
    letters = until(lambda: len(found := stage.letters(f"log-{tag}.keep")) == 2 and found)
    assert {(letter.id, letter.code) for letter in letters} == {("1", "thing.bad"), ("2", "message.undecodable")}


def test_a_batch_waits_for_what_passes_and_loses_nothing(stage):
    tag, got, attempts, away = stage.tag, [], [], [True]

    class Log:
        name = f"log-{tag}"

        @batch_event("edgemere", [f"{tag}.#"], pauses_s=(0.01,))
        def keep(self, messages):
            attempts.append(len(messages))
            if away:
                raise Unavailable("database.unavailable", "Not now.")
            got.extend(message.obj for message in messages)

    stage.run(Log)
    for number in range(5):
        stage.tell(f"{tag}.x", number)
    until(lambda: len(attempts) > 10)
    away.clear()
    until(lambda: got == list(range(5)))
    assert not stage.letters(f"log-{tag}.keep")


def test_dead_letters_can_be_read_in_batches_as_they_came(stage):
    tag, got = stage.tag, []

    class Hears:
        name = f"hears-{tag}"

        @on_event("edgemere", f"{tag}.said")
        def said(self, message):
            raise NotFound("thing.not_found", "No such thing.")

    class Undertaker:
        name = f"undertaker-{tag}"

        @batch_event(queue=DEAD_QUEUE, raw=True)
        def bury(self, deliveries):
            got.extend(letter for letter in map(dead_letter_of, deliveries) if tag in letter.queue)

    stage.run(Hears, Undertaker)
    stage.tell(f"{tag}.said", 1, id="m1")
    stage.broker.publish(Message(PUBLIC, f"{tag}.said", b"\x00\xff", id="m2"))
    until(lambda: len(got) == 2)
    assert {(letter.id, letter.code, letter.body) for letter in got} == {
        ("m1", "thing.not_found", b'{"obj":1}'), ("m2", "message.undecodable", b"\x00\xff")}


def test_a_dead_letter_that_cannot_be_read_now_comes_again_with_its_own_reason(stage):
    tag, got, attempts = stage.tag, [], []

    class Hears:
        name = f"hears-{tag}"

        @on_event("edgemere", f"{tag}.said")
        def said(self, message):
            raise NotFound("thing.not_found", "No such thing.")

    class Undertaker:
        name = f"undertaker-{tag}"

        @batch_event(queue=DEAD_QUEUE, raw=True, pauses_s=(0.01,))
        def bury(self, deliveries):
            letters = [letter for letter in map(dead_letter_of, deliveries) if tag in letter.queue]
            if letters:
                attempts.append(len(letters))
                if len(attempts) < 3:
                    raise Invalid("thing.bad", "Not this one.")
            got.extend(letters)

    stage.run(Hears, Undertaker)
    stage.tell(f"{tag}.said", 1, id="m1")
    until(lambda: got)
    assert [(letter.id, letter.code, letter.attempts, letter.event) for letter in got] == [
        ("m1", "thing.not_found", 1, f"{tag}.said")]


def test_a_container_stops_at_once_when_nothing_is_under_way(stage):
    tag = stage.tag

    class Log:
        name = f"log-{tag}"
        mesh = Mesh()

        @batch_event("edgemere", [f"{tag}.#"])
        def keep(self, messages):
            pass

        @on_event("edgemere", f"{tag}.x")
        def said(self, message):
            pass

        @rpc
        def ping(self):
            return "pong"

    runner = stage.run(Log)
    assert stage.client().call(Log.name, "ping") == "pong"
    began = time.monotonic()
    runner.stop()
    assert time.monotonic() - began < 5
