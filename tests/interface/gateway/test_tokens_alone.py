"""A server that takes no static keys: people and programs come with tokens of the identity provider, and with the logins that they open."""
from __future__ import annotations

import json

import pytest

from tests.interface.gateway.locked import DO, WHO, connected, heard, locked, refused, token
from tests.support.servers import run_edgemere


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = locked(tmp_path_factory.mktemp("tokens"), auth={"keys": "never"})
    with running:
        yield running
    running.provider.server.shutdown()


def log_in(server, credential):
    page = {"Origin": server.url, "Content-Type": "application/json"}
    return page, server.ask("/web/session", None, "POST", json={"credential": credential}, headers=page)


def test_a_key_opens_no_door_and_a_token_and_its_login_do(server):
    problem = refused(server.ask(WHO), "key.not_taken")
    assert "token" in problem["next_step"] and server.key not in str(problem)
    refused(log_in(server, server.key)[1], "key.not_taken")
    sock = connected(server)
    sock.send("40" + json.dumps({"token": server.key}))
    assert "key.not_taken" in heard(sock, "44")
    assert server.ask(WHO, token()).json()["owner"] == "ann"
    page, answer = log_in(server, token())
    cookie = answer.headers["Set-Cookie"].split(";")[0]
    assert server.ask(WHO, None, headers={**page, "Cookie": cookie}).json()["owner"] == "ann"
    # A key that somebody makes all the same is worth nothing.
    made = server.ask(f"{DO}/apikey/create", None, "POST", json={"name": "of-a-program"}, headers={**page, "Cookie": cookie}).json()
    refused(server.ask(WHO, made["key"]), "key.not_taken")


def test_a_server_that_would_let_nobody_in_does_not_start(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text('{"auth": {"mode": "required", "keys": "never"}}')
    done = run_edgemere("up", "--port", "0", "--data", str(tmp_path / "data"), "--config", str(file))
    assert done.returncode != 0 and "auth.keys is 'never'" in done.stderr and "auth.jwt.jwks" in done.stderr
