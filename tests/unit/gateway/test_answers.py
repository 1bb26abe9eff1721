"""From a request to an answer: who is let in, which headers come and go, and what a problem looks like."""
from __future__ import annotations

import gzip
import json
import logging

import pytest
from werkzeug.test import Client

from gateway.app import create_app
from gateway.auth import is_loopback
from gateway.live import Live
from gateway.settings import Settings
from shared.contracts.table import ACTIONS
from shared.kernel.errors import Conflict, PreconditionFailed
from shared.kernel.ids import new_id
from tests.support.answering import Answering

SHOW = ACTIONS["do.datarequest.show"].address
CREATE = ACTIONS["do.datarequest.create"].address
CANCEL = ACTIONS["do.datarequest.cancel"].address
PROVISION = ACTIONS["do.datainstance.create"].address
LIST = ACTIONS["do.datarequest.list"].address
ROW = {"id": new_id("datarequest"), "name": "scans", "state": "Satisfied", "version": 7}


class World:
    def __init__(self, **settings):
        self.mesh = Answering(
            requests__show=lambda id: ROW, requests__create=lambda **_: ROW, requests__cancel=lambda **_: ROW,
            requests__list=lambda **_: {"items": [ROW] * 50, "next": None, "total": 50},
            instances__create=lambda **_: {"reference": None, "request": ROW, "items": []},
        )
        self.client = Client(create_app(self.mesh, Live(), Settings(owner="darren", **settings)))

    def ask(self, address, method="GET", host="127.0.0.1:3000", body=None, **headers):
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if host is not None:
            given["Host"] = host
        return self.client.open(address, method=method, json=body, headers=given)

    @property
    def context(self):
        return self.mesh.calls[-1][2]


@pytest.fixture
def world():
    return World()


@pytest.mark.parametrize("host", ["127.0.0.1:3000", "localhost", "LOCALHOST:8080", "[::1]:3000", "data.example:3000", "gate.example"])
def test_own_and_allowed_hosts_are_answered(host):
    world = World(allowed_hosts=("data.example:3000", "gate.example"))
    assert world.ask("/health/live", host=host).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost:3000@evil.example", "data.example:1", "[::2]", "0.0.0.0"])
def test_another_host_is_refused(host):
    answer = World(allowed_hosts=("data.example:3000",)).ask(SHOW + "?id=a", host=host)
    assert (answer.status_code, answer.json["code"]) == (403, "host_not_allowed")


@pytest.mark.parametrize(("headers", "status"), [
    ({}, 201), ({"Origin": "http://127.0.0.1:3000"}, 201), ({"Origin": "https://page.example"}, 201),
    ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403), ({"Origin": "http://127.0.0.1:4000"}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Sec-Fetch-Site": "same-origin"}, 201),
])
def test_only_pages_of_this_server_may_change_something(headers, status):
    world = World(allowed_origins=("https://page.example",))
    answer = world.ask(CREATE, "POST", body={"query": "a:1"}, **headers)
    assert answer.status_code == status
    assert bool(world.mesh.calls) == (status == 201)
    if status == 403:
        assert answer.json["code"] == "origin_not_allowed"
    assert world.ask(SHOW + "?id=a", **headers).status_code == 200


def test_no_page_of_another_origin_may_read_an_answer(world):
    assert not [name for name, _ in world.ask(SHOW + "?id=a", Origin="http://evil.example").headers if "access-control" in name.lower()]


@pytest.mark.parametrize(("host", "expected"), [
    ("127.0.0.1", True), ("127.9.9.9", True), ("localhost", True), ("::1", True), ("[::1]", True), ("0.0.0.0", False),
    ("", False), ("::", False), ("10.0.0.1", False), ("example.org", False),
])
def test_the_loopback_interface_is_known(host, expected):
    assert is_loopback(host) is expected


def test_calls_run_for_the_configured_owner(world):
    world.ask(CREATE, "POST", body={"query": "a:1"})
    assert (world.context.owner, "DataEngineer" in world.context.roles) == ("darren", True)


def test_what_is_made_has_a_place_and_a_version(world):
    answer = world.ask(CREATE, "POST", body={"query": "a:1"})
    assert (answer.status_code, answer.headers["Location"], answer.headers["ETag"]) == (201, f"{SHOW}?id={ROW['id']}", '"7"')
    made = world.ask(PROVISION, "POST", body={"dataref": "r"})
    assert (made.status_code, made.headers["Location"]) == (201, f"{SHOW}?id={ROW['id']}")
    assert world.ask(CANCEL, "POST", body={"id": "a"}).status_code == 200


@pytest.mark.parametrize(("given", "seen"), [('"7"', 7), ('W/"7"', 7), ("*", None)])
def test_if_match_travels_to_the_service(world, given, seen):
    world.ask(CANCEL, "POST", body={"id": "a"}, If_Match=given)
    assert world.context.if_match == seen


@pytest.mark.parametrize(("given", "status"), [('"abc"', 412), ("7", 400), ('"7", "8"', 400)])
def test_if_match_that_can_match_nothing_is_refused(world, given, status):
    assert world.ask(CANCEL, "POST", body={"id": "a"}, If_Match=given).status_code == status
    assert world.mesh.calls == []


def test_a_service_that_sees_another_version_is_a_412(world):
    def refuse(**_):
        raise PreconditionFailed("precondition_failed", "It has version 8.")

    world.mesh.functions["requests.cancel"] = refuse
    assert world.ask(CANCEL, "POST", body={"id": "a"}, If_Match='"7"').status_code == 412


def test_a_known_version_is_not_sent_again(world):
    answer = world.ask(SHOW + "?id=a", If_None_Match='"6", W/"7"')
    assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", '"7"')


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_an_idempotency_key_has_its_length(world, key):
    answer = world.ask(CREATE, "POST", body={"query": "a"}, Idempotency_Key=key)
    assert (answer.status_code, answer.json["code"]) == (422, "idempotency.invalid")


def test_an_idempotency_key_travels_with_what_changes(world):
    world.ask(CREATE, "POST", body={"query": "a"}, Idempotency_Key="k" * 255)
    assert world.context.idempotency_key == "k" * 255
    world.ask(SHOW + "?id=a", Idempotency_Key="k")
    assert world.context.idempotency_key == ""


def test_a_request_id_is_kept_where_it_is_clean_and_made_where_not(world):
    assert world.ask(SHOW + "?id=a", X_Request_Id="abc-1").headers["X-Request-Id"] == "abc-1"
    assert world.context.request_id == "abc-1"
    made = world.ask(SHOW + "?id=a", X_Request_Id="a b<script>").headers["X-Request-Id"]
    assert len(made) == 32 and world.context.request_id == made


def test_large_answers_are_compressed_for_those_who_can_read_it(world):
    plain, small = world.ask(LIST), world.ask(SHOW + "?id=a", Accept_Encoding="gzip")
    packed = world.ask(LIST, Accept_Encoding="br, gzip;q=0.5")
    assert "Content-Encoding" not in plain.headers and "Content-Encoding" not in small.headers
    assert packed.headers["Content-Encoding"] == "gzip" and json.loads(gzip.decompress(packed.data)) == plain.json
    assert "Content-Encoding" not in world.ask(LIST, Accept_Encoding="gzip;q=0").headers


def test_the_wish_to_wait_is_echoed(world):
    assert world.ask(CREATE, "POST", body={"query": "a"}, Prefer="wait=5").headers["Preference-Applied"] == "wait=5"
    assert world.ask(CREATE, "POST", body={"query": "a"}, Prefer="respond-async").headers["Preference-Applied"] == "respond-async"
    assert world.ask(CREATE, "POST", body={"query": "a"}, Prefer='foo="wait=5x"').status_code == 201
    assert "Preference-Applied" not in world.ask(CREATE, "POST", body={"query": "a"}).headers


def test_a_problem_has_every_member_and_hides_none_of_the_errors_own(world):
    def refuse(**_):
        raise Conflict("datarequest.illegal_move", "It is Failed.", next_step="Retry it.", legal=[{"event": "retry"}], status="mine")

    world.mesh.functions["requests.cancel"] = refuse
    answer = world.ask(CANCEL, "POST", body={"id": "a"}, X_Request_Id="r1")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json == {
        "type": "/docs#datarequest.illegal_move", "status": 409, "code": "datarequest.illegal_move", "instance": CANCEL,
        "title": "The state of the request does not allow this; `legal` lists what it allows.", "detail": "It is Failed.",
        "next_step": "Retry it.", "errors": [], "legal": [{"event": "retry"}], "request_id": "r1",
    }


def test_what_nobody_foresaw_is_a_500_that_tells_only_its_number(world, caplog):
    def fail(**_):
        raise RuntimeError("the password is hunter2")

    world.mesh.functions["requests.show"] = fail
    with caplog.at_level(logging.ERROR):
        answer = world.ask(SHOW + "?id=a", X_Request_Id="r2")
    assert (answer.status_code, answer.json["code"], answer.json["request_id"]) == (500, "internal", "r2")
    assert "hunter2" not in answer.text and "r2" in caplog.text


@pytest.mark.parametrize("path", ["/", "/docs", "/web", "/openapi.json", "/metrics", "/health/live", "/nowhere/<b>", SHOW])
def test_every_answer_has_its_security_headers(world, path):
    answer = world.ask(path)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    kind = answer.headers["Content-Type"]
    assert kind.startswith(("application/json", "application/problem+json")) or kind.startswith("text/") and "charset=utf-8" in kind, kind


def test_answers_of_the_api_are_not_stored(world):
    assert world.ask(SHOW + "?id=a").headers["Cache-Control"] == "no-store"


def test_options_says_what_is_allowed(world):
    answer = world.ask(CREATE, "OPTIONS")
    assert (answer.status_code, answer.headers["Allow"]) == (204, "POST, OPTIONS")


def test_readiness_asks_every_service_and_says_who_is_away():
    world = World(services=("requests", "events"))
    world.mesh.functions["requests.health"] = lambda: {"service": "requests", "ok": True}
    answer = world.ask("/health/ready")
    assert answer.status_code == 503 and answer.json["detail"].startswith("Not ready: events.")
    world.mesh.functions["events.health"] = lambda: {"service": "events", "ok": True}
    assert world.ask("/health/ready").status_code == 200
    asked = len(world.mesh.asked("events.health"))
    world.ask("/health/ready")
    assert len(world.mesh.asked("events.health")) == asked


def test_the_figures_name_actions_and_never_what_was_asked(world):
    world.ask(SHOW + "?id=a")
    world.ask("/secret-path")
    text = world.ask("/metrics").text
    assert 'edgemere_http_requests_total{action="do.datarequest.show",status="200"} 1.0' in text
    assert 'edgemere_http_requests_total{action="other",status="404"} 1.0' in text and "secret-path" not in text


def test_a_number_too_large_for_json_libraries_is_still_answered(world):
    world.mesh.functions["requests.show"] = lambda id: {**ROW, "lifetime": 2**70, "name": "half \ud800"}
    answer = world.ask(SHOW + "?id=a")
    assert answer.status_code == 200 and json.loads(answer.data)["lifetime"] == 2**70
