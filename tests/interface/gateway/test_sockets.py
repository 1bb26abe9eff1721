"""The WebSocket: actions and messages over socket.io, resumed without gap or double; floods, garbage and slowness are borne."""
from __future__ import annotations

import json
import socket
import threading
import time

import pytest
import requests
import socketio
import websocket

from shared.contracts.action import TREES
from shared.contracts.table import ACTIONS
from tests.interface.gateway.conftest import World

PATH = "/web/socket.io"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World("alone", tmp_path_factory.mktemp("alone"), max_message_bytes=20_000)
    made.do("put", row={"id": "a", "name": "scans", "state": "Needed", "version": 3})
    yield made
    made.stop()


class Socket:
    """A socket.io client that remembers what it was told."""

    def __init__(self, world: World, **headers: str) -> None:
        self.heard: list[tuple[str, dict]] = []
        self.changed = threading.Condition()
        self.client = socketio.Client(reconnection=False)
        self.client.on("*", self._hear)
        # As they came: the client hands each message to a thread of its own, where one may overtake another.
        self.sequences: list[int] = []
        hand_on = self.client.eio._trigger_event
        self.client.eio._trigger_event = lambda event, *given, **how: self._note(event, *given) or hand_on(event, *given, **how)
        self.client.connect(world.url, socketio_path=PATH, transports=["websocket"], headers=headers)

    def _hear(self, event, *body):
        with self.changed:
            self.heard.append((event, body[0] if body else None))
            self.changed.notify_all()

    def call(self, event, *arguments):
        """(answer, problem, about)"""
        return self.client.call(event, arguments, timeout=120)

    def until(self, count, limit_s=120):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.heard) >= count, limit_s), self.heard[-5:]
        return self.heard

    def _note(self, event, *given):
        if event == "message" and isinstance(given[0], str) and given[0].startswith("2["):
            body = json.loads(given[0][1:])[1:]
            self.sequences += [one["sequence"] for one in body if isinstance(one, dict) and "sequence" in one]


@pytest.fixture
def connect(world):
    made = []

    def start(to=world, **headers):
        made.append(Socket(to, **headers))
        return made[-1]

    yield start
    for one in made:
        one.client.disconnect()


def raw(world, **more):
    """A plain WebSocket that has joined."""
    sock = websocket.create_connection(f"ws://127.0.0.1:{world.port}{PATH}/?EIO=4&transport=websocket", timeout=120, **more)
    assert sock.recv().startswith("0")
    sock.send("40")
    assert sock.recv().startswith("40")
    return sock


def test_an_action_is_emitted_and_acknowledged_as_over_rest(world, connect):
    body, problem, about = connect().call("do.datarequest.show", {"id": "a"})
    over_rest = requests.get(f"{world.url}{ACTIONS['do.datarequest.show'].address}?id=a", timeout=120)
    assert (body, problem) == (over_rest.json(), None)
    assert about["status"] == 200 and f'"{about["version"]}"' == over_rest.headers["ETag"]


def test_what_makes_something_says_where_it_is(connect):
    body, problem, about = connect().call("do.datarequest.create", {"query": "a:1"}, {"idempotency_key": "k"})
    assert problem is None and about["status"] == 201 and about["location"].endswith(f"?id={body['id']}")


def test_a_wait_is_an_option_and_the_answer_is_the_end(world, connect):
    body, problem, _ = connect().call("do.datarequest.create", {"name": "quick", "query": "a:1"}, {"wait": 15})
    assert problem is None and body["state"] == "Satisfied"


@pytest.mark.parametrize("row", ACTIONS.values(), ids=list(ACTIONS))
def test_every_row_answers_under_both_its_names_with_an_answer_or_a_problem(row, every_row):
    for name in (row.name, ".".join((TREES[row.tree], *row.path))):
        body, problem, about = every_row.call(name, dict(row.example))
        assert (body is None) != (problem is None)
        assert about["status"] < 300 if problem is None else problem["code"] not in ("not_found", "internal"), problem


@pytest.fixture(scope="module")
def every_row(world):
    made = Socket(world)
    yield made
    made.client.disconnect()


@pytest.mark.parametrize(("event", "arguments", "code", "pointer"), [
    ("do.datarequest.shwo", [{"id": "a"}], "not_found", None),
    ("connect", [{}], "not_found", None),
    ("do.datarequest.show", [], "parameter.missing", "/id"),
    ("do.datarequest.show", ["a"], "parameter.invalid", ""),
    ("do.datarequest.show", [{"id": "a", "colour": "red"}], "parameter.unknown", "/colour"),
    ("do.datarequest.show", [{"id": "a"}, {"wiat": 3}], "parameter.unknown", "/options/wiat"),
    ("do.datarequest.show", [{"id": "a"}, {"wait": "long"}], "parameter.invalid", "/options/wait"),
    ("do.datarequest.create", [{"name": "a\0b", "query": "a:1"}], "parameter.invalid", "/name"),
    ("do.datarequest.create", [{"name": "x", "query": "a:1"}, {"idempotency_key": "k" * 300}], "idempotency.invalid", None),
    ("do.datarequest.show", [{"id": "a"}, {}, {}], "parameter.invalid", ""),
    ("subscribe", [{"event": "datarequest.neded"}], "parameter.invalid", "/event"),
    ("subscribe", [{"class": "datarequests"}], "parameter.invalid", "/class"),
    ("subscribe", [{"class": "datarequest", "query": {"state": {"$lik": "R"}}}], "query.unknown_operator", "/query/state/$lik"),
    ("subscribe", [{"class": "datarequest", "query": "colour:red"}], "query.unknown_field", "/query"),
    ("subscribe", [{"query": "state:Ready"}], "parameter.invalid", "/query"),
    ("subscribe", [{"after": -1}], "parameter.invalid", "/after"),
    ("subscribe", [{"agter": 1}], "parameter.unknown", "/agter"),
    ("subscribe", [["datarequest.*"]], "parameter.invalid", ""),
    ("unsubscribe", [{"subscription": "s99"}], "not_found", None),
    ("unsubscribe", [], "parameter.missing", "/subscription"),
])
def test_what_cannot_be_done_is_a_problem_with_its_place(connect, event, arguments, code, pointer):
    body, problem, about = connect().call(event, *arguments)
    assert body is None and problem["code"] == code and about["status"] == problem["status"] >= 400
    assert problem["detail"] and problem.get("next_step")
    if pointer is not None:
        assert pointer in [error["pointer"] for error in problem["errors"]], problem["errors"]


def test_messages_come_under_their_names_with_their_sequence(world, connect):
    one = connect()
    subscribed, _, _ = one.call("subscribe", {"class": "datarequest"})
    first = world.do("say", event="datarequest.needed", obj={"id": "dreq_1", "name": "one"})
    world.do("say", event="datainstance.ready", obj={"id": "dins_1"})
    last = world.do("say", event="datarequest.failed", obj={"id": "dreq_1", "name": "one"})
    heard = one.until(2)
    assert [name for name, _ in heard] == ["datarequest.needed", "datarequest.failed"]
    assert one.sequences == [first, last] and subscribed["after"] == first - 1
    assert heard[0][1]["obj"] == {"id": "dreq_1", "name": "one"}


@pytest.mark.parametrize(("subscription", "expected"), [
    ({"event": "datarequest.*"}, ["a", "c"]),
    ({"event": ["datainstance.ready", "datarequest.failed"]}, ["b", "c"]),
    ({"object": "n-b"}, ["b"]), ({"object": {"id": "c"}}, ["c"]),
    ({"owner": "eve"}, ["b", "c"]),
    ({"class": "datarequest", "query": "state:Failed OR owner:darren"}, ["a", "c"]),
    ({"class": "datarequest", "query": {"labels.urgent": True}}, ["a"]),
    ({"event": "datarequest.failed", "query": "owner:eve"}, ["c"]),
    ({"class": ["datarequest", "datainstance"], "owner": "darren"}, ["a"]),
    ({}, ["a", "b", "c"]),
])
def test_a_subscription_lets_through_what_it_names(world, connect, subscription, expected):
    one = connect()
    assert one.call("subscribe", subscription)[1] is None
    world.do("say", event="datarequest.needed", obj={"id": "a", "name": "n-a", "owner": "darren", "labels": {"urgent": True}})
    world.do("say", event="datainstance.ready", obj={"id": "b", "name": "n-b", "owner": "eve"})
    world.do("say", event="datarequest.failed", obj={"id": "c", "name": "n-c", "owner": "eve", "state": "Failed"})
    assert one.call("subscribe", {"event": "datasource.ready"})[1] is None
    world.do("say", event="datasource.ready", obj={"id": "end"})
    heard = one.until(len(expected) + 1)
    assert [body["obj"]["id"] for _, body in heard if body["obj"]["id"] != "end"] == expected


def test_it_resumes_without_a_gap_and_without_a_double_while_messages_go_on(world, connect):
    begin = world.do("say", event="datarequest.needed", obj={"id": "r"})
    for _ in range(1200):
        world.do("say", event="datarequest.updated", obj={"id": "r"})
    one = connect()
    one.call("subscribe", {"event": "datarequest.*", "after": begin})
    for _ in range(300):
        last = world.do("say", event="datarequest.updated", obj={"id": "r"})
    one.until(last - begin)
    assert one.sequences == list(range(begin + 1, last + 1))
    one.client.disconnect()
    for _ in range(50):
        last = world.do("say", event="datarequest.updated", obj={"id": "r"})
    again = connect()
    again.call("subscribe", {"event": "datarequest.*", "after": one.sequences[-1]})
    again.until(50)
    assert one.sequences + again.sequences == list(range(begin + 1, last + 1))


def test_several_subscriptions_send_each_message_once(world, connect):
    begin = world.do("say", event="datarequest.needed", obj={"id": "r"})
    for _ in range(100):
        world.do("say", event="datarequest.updated", obj={"id": "r"})
    one = connect()
    one.call("subscribe", {"class": "datarequest", "after": begin + 50})
    one.call("subscribe", {"object": "r", "after": begin})
    one.call("subscribe", {"event": "*.updated"})
    for _ in range(100):
        last = world.do("say", event="datarequest.updated", obj={"id": "r"})
    one.until(last - begin)
    time.sleep(0.2)
    assert sorted(one.sequences) == list(range(begin + 1, last + 1))


def test_after_unsubscribe_nothing_comes(world, connect):
    one = connect()
    name = one.call("subscribe", {"class": "datarequest"})[0]["subscription"]
    world.do("say", event="datarequest.needed", obj={"id": "x"})
    one.until(1)
    assert one.call("unsubscribe", {"subscription": name})[0]["subscription"] == name
    world.do("say", event="datarequest.needed", obj={"id": "y"})
    one.call("subscribe", {"class": "datasource"})
    world.do("say", event="datasource.ready", obj={"id": "z"})
    assert [body["obj"]["id"] for _, body in one.until(2)] == ["x", "z"]


@pytest.mark.parametrize(("headers", "allowed"), [
    ({}, True), ({"Origin": "OWN"}, True), ({"Origin": "http://evil.example"}, False), ({"Host": "evil.example"}, False),
    ({"Sec-Fetch-Site": "cross-site"}, False),
])
def test_host_and_origin_are_checked_as_over_rest(world, headers, allowed):
    headers = {name: world.url if value == "OWN" else value for name, value in headers.items()}
    ask = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
           "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", **headers}
    answer = requests.get(f"{world.url}{PATH}/?EIO=4&transport=websocket", headers=ask, timeout=120, stream=True)
    answer.close()
    assert answer.status_code == (101 if allowed else 403)


@pytest.mark.parametrize("query", ["EIO=4&transport=polling", "EIO=3&transport=websocket", ""])
def test_what_is_no_handshake_is_refused_with_a_problem(world, query):
    headers = {"Connection": "Upgrade", "Upgrade": "websocket"} if "polling" not in query and query else {}
    answer = requests.get(f"{world.url}{PATH}/?{query}", headers=headers, timeout=120)
    assert answer.status_code == 400 and answer.json()["code"] == "malformed" and "transports" in answer.json()["next_step"]


GARBAGE = [
    "nonsense", "", "9", "4", "42", "42{}", '42["x"', "42[]", "42[5]", '42["connect",{}]', '42["disconnect"]', "43[]", "43999[]",
    '451-["x",{"_placeholder":true,"num":0}]', "40/other,", "4" + "[" * 5000, '42["do.datarequest.show",' + "[" * 5000, "3[[[[",
    '42["subscribe",NaN]', '42["subscribe",1e400]', "6", "5", "2probe", '42' + "9" * 200 + '["x"]', "41",
]


@pytest.mark.parametrize("packet", GARBAGE)
def test_garbage_is_borne(world, packet):
    sock = raw(world)
    sock.send(packet)
    sock.close()
    assert requests.get(f"{world.url}/health/live", timeout=120).status_code == 200
    other = raw(world)
    other.send('420["do.datarequest.show",{"id":"a"}]')
    assert json.loads(other.recv()[3:])[0]["id"] == "a"
    other.close()


def test_bytes_that_are_no_frames_are_borne(world):
    sock = raw(world)
    sock.sock.sendall(b"\xff" * 4096)
    sock.shutdown()
    sock = raw(world)
    sock.send_binary(b"\x00\x01")
    sock.close()
    with socket.create_connection(("127.0.0.1", world.port)) as plain:
        plain.sendall(b"GET /web/socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                      b"Connection: upgrade\r\n\r\n")
        assert b"400" in plain.recv(1000)
    assert requests.get(f"{world.url}/health/live", timeout=120).status_code == 200


def test_a_message_that_is_too_large_ends_the_connection_and_no_other(world, connect):
    other = connect()
    for parts in (1, 10):
        sock = raw(world)
        text = '42["do.datarequest.show",{"id":"' + "x" * 30_000 + '"}]'
        try:
            step = len(text) // parts
            for number in range(parts):
                piece = text[number * step:(number + 1) * step if number + 1 < parts else None]
                sock.send_frame(websocket.ABNF(fin=int(number == parts - 1), opcode=1 if number == 0 else 0, data=piece.encode()))
            while sock.recv():
                pass
        except websocket.WebSocketTimeoutException:
            pytest.fail("the connection stays open")
        except (websocket.WebSocketException, OSError):
            # Ended while it was still being sent to.
            pass
    assert other.call("do.datarequest.show", {"id": "a"})[0]["id"] == "a"


def test_who_floods_is_refused_then_told_and_dropped(serve):
    world = serve(socket_messages_per_s=4)
    world.do("put", row={"id": "a", "name": "scans", "version": 3})
    sock = raw(world)
    for number in range(60):
        sock.send(f'42{number}["do.datarequest.show",{{"id":"a"}}]')
    refused = [answer for answer in (sock.recv() for _ in range(60)) if '"too_many"' in answer]
    assert 10 <= len(refused) <= 57
    said = []
    try:
        for _ in range(600):
            sock.send('42["do.datarequest.show",{"id":"a"}]')
        while True:
            text = sock.recv()
            if not text:
                break
            said.append(text)
    except (websocket.WebSocketException, OSError):
        pass
    assert any("edgemere.dropped" in text and '"flooding"' in text for text in said), said[-3:]
    assert requests.get(f"{world.url}/health/live", timeout=120).status_code == 200


def test_who_reads_too_slowly_is_dropped_and_the_others_are_not_held_up(serve):
    world = serve(max_waiting_messages=50, slow_s=10, goodbye_s=60)
    lazy = raw(world, sockopt=((socket.SOL_SOCKET, socket.SO_RCVBUF, 4096),))
    lazy.send('420["subscribe",{"class":"datarequest"}]')
    assert lazy.recv().startswith("430")
    one = Socket(world)
    one.call("subscribe", {"class": "datarequest"})
    for _ in range(400):
        last = world.do("say", event="datarequest.updated", obj={"id": "r", "name": "x" * 20_000})
    one.until(400)
    assert one.sequences == list(range(1, last + 1))
    end = time.monotonic() + 120
    while 'edgemere_sockets_dropped_total{reason="slow_consumer"} 1.0' not in (figures := requests.get(f"{world.url}/metrics", timeout=120).text):
        assert time.monotonic() < end, figures
        time.sleep(0.1)
    # It learns why when it reads on.
    said = ""
    while "edgemere.dropped" not in said:
        said = lazy.recv()
        assert said, "the connection ended without a reason"
    assert '"slow_consumer"' in said and "after" in said
    end = time.monotonic() + 120
    while "edgemere_sockets 1.0" not in requests.get(f"{world.url}/metrics", timeout=120).text:
        assert time.monotonic() < end, "the slow one still holds its place"
        time.sleep(0.1)
    one.client.disconnect()
    lazy.shutdown()


def test_who_only_pauses_misses_nothing(serve):
    world = serve(max_waiting_messages=50, slow_s=20)
    lazy = raw(world, sockopt=((socket.SOL_SOCKET, socket.SO_RCVBUF, 4096),))
    lazy.send('420["subscribe",{"class":"datarequest"}]')
    lazy.recv()
    for _ in range(400):
        last = world.do("say", event="datarequest.updated", obj={"id": "r", "name": "x" * 20_000})
    found = [json.loads(lazy.recv()[2:])[1]["sequence"] for _ in range(400)]
    assert found == list(range(1, last + 1))
    lazy.close()


def test_the_sockets_are_bounded_and_a_thousand_reconnections_leave_nothing(serve):
    world = serve(max_sockets=30)
    held = [raw(world) for _ in range(30)]
    with pytest.raises(websocket.WebSocketBadStatusException, match="503"):
        raw(world)
    for sock in held:
        sock.close()
    for _ in range(1000):
        end = time.monotonic() + 120
        while True:
            try:
                raw(world).shutdown()
                break
            except websocket.WebSocketBadStatusException:
                assert time.monotonic() < end
                time.sleep(0.01)
    end = time.monotonic() + 120
    while "edgemere_sockets 0.0" not in (figures := requests.get(f"{world.url}/metrics", timeout=120).text):
        assert time.monotonic() < end, figures
        time.sleep(0.05)


def test_a_server_that_stops_says_so(serve):
    world = serve()
    one = Socket(world)
    world.do("stop", service="gateway")
    assert one.until(1)[0][0] == "edgemere.dropped" and one.heard[0][1]["code"] == "closing"
