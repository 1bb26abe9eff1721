"""What could do much harm asks a person for a login that is not old, on every door; a program's key is never asked."""
from __future__ import annotations

import json
import time

import pytest

from shared.contracts.table import ACTIONS
from tests.interface.gateway.locked import DO, LIST, WHO, connected, eventually, heard, locked, refused, token

# Long enough for a slow machine to log in and act; only one test waits for all of it.
FRESH_S = 12
FMDM = "/edgemere/diml/dml/fmdm"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = locked(tmp_path_factory.mktemp("fresh"), auth={"fresh_s": FRESH_S})
    with running:
        running.old, running.old_since = log_in(running), time.monotonic()
        yield running
    running.provider.server.shutdown()


# What makes a call of a row harmful that is not always.
HARMFUL = {"fmdm.datasource.audit": {"repair": "dark"}}


def log_in(server):
    """The headers of the page after a login."""
    page = {"Origin": server.url, "Content-Type": "application/json"}
    answer = server.ask("/web/session", None, "POST", json={"credential": server.key}, headers=page)
    return {**page, "Cookie": answer.headers["Set-Cookie"].split(";")[0]}


def old_login(server):
    """The headers of the page some time after a login."""
    time.sleep(max(0, server.old_since + FRESH_S + 0.2 - time.monotonic()))
    return server.old


def make(server, name, headers):
    return server.ask(f"{DO}/apikey/create", None, "POST", json={"name": name}, headers=headers)


def test_a_person_whose_login_is_old_logs_in_again_before_what_could_do_much_harm_and_a_program_does_not(server):
    session = log_in(server)
    assert make(server, "young", session).status_code == 201
    time.sleep(FRESH_S + 0.2)
    answer = make(server, "old", session)
    problem = refused(answer, "auth.not_fresh")
    assert problem["next_step"] == "Log in again, and repeat." and problem["max_age_s"] == FRESH_S
    assert f'error="insufficient_user_authentication", error_description="auth.not_fresh", max_age="{FRESH_S}"' in answer.headers["WWW-Authenticate"]
    # What does no such harm goes on, and so does the session itself.
    assert server.ask(LIST, None, headers=session).status_code == 200
    assert server.ask(f"{DO}/apikey/list", None, params={"name": "old"}, headers=session).json()["items"] == []
    assert make(server, "again", log_in(server)).status_code == 201
    assert server.ask(f"{DO}/apikey/create", method="POST", json={"name": "of-a-program"}).status_code == 201
    eventually(lambda: server.audit(outcome="auth.not_fresh", action="do.apikey.create"), bool)


def test_an_old_login_is_refused_by_every_such_row_on_each_door(server):
    rows = [row for row in ACTIONS.values() if row.fresh]
    assert {"do.apikey.create", "do.apikey.rotate", "do.apikey.revoke", "fmdm.datasource.destroy", "fmdm.datasource.access",
            "fmdm.datasource.reap", "fmdm.datasource.audit", "fmdm.data.destroy"} <= {row.name for row in rows}
    session = old_login(server)
    sock = connected(server, header=[f"Cookie: {session['Cookie']}"], origin=server.url)
    for at, row in enumerate(rows):
        given = {**row.example, **HARMFUL.get(row.name, {})}
        refused(server.ask(row.address, None, "POST", json=given, headers=session), "auth.not_fresh")
        sock.send(f"42{at}" + json.dumps([row.name, given]))
        _, said, about = json.loads(heard(sock, f"43{at}")[len(f"43{at}"):])
        assert (said["code"], about["status"]) == ("auth.not_fresh", 401), row.name


def test_an_audit_that_repairs_nothing_asks_no_old_login_again_on_any_door(server):
    session = old_login(server)
    sock = connected(server, header=[f"Cookie: {session['Cookie']}"], origin=server.url)
    row = ACTIONS["fmdm.datasource.audit"]
    for given, code in (({}, "datasource.not_found"), ({"repair": False}, "datasource.not_found"), ({"repair": "none", "verify": True}, "datasource.not_found"),
                        ({"repair": "all"}, "auth.not_fresh"), ({"repair": True}, "auth.not_fresh"), ({"repair": "nothing"}, "parameter.invalid")):
        given = {"id": "nowhere", **given}
        assert server.ask(row.address, None, "POST", json=given, headers=session).json()["code"] == code, given
        sock.send("427" + json.dumps([row.name, given]))
        assert json.loads(heard(sock, "437")[3:])[1]["code"] == code, given


def test_a_token_says_when_its_person_logged_in(server):
    def asked(**claims):
        return server.ask(f"{DO}/apikey/create", token(**claims), "POST", json={})

    old = time.time() - FRESH_S - 60
    assert asked().status_code == 201
    # Renewed without a login of its person: the claim of the login counts.
    refused(asked(auth_time=old), "auth.not_fresh")
    refused(asked(iat=old), "auth.not_fresh")
    refused(asked(iat=None), "auth.not_fresh")
    assert asked(iat=old, auth_time=time.time()).status_code == 201
    assert server.ask(WHO, token(auth_time=old)).status_code == 200
