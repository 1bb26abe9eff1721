"""Every door of a server that wants a login: what is let in, what is refused, and how soon it ends."""
from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import time

import pytest
import websocket

from tests.interface.gateway.locked import CREATE, DO, LIST, WHO, connected, eventually, heard, refused, shaken_hands, token
from tests.support.servers import ROOT, project_environment

pytestmark = pytest.mark.usefixtures("its_own_address")


# --- keys

def test_without_a_credential_every_door_is_shut_but_health_and_the_login(server):
    for address in (WHO, LIST, f"{DO}/event/stream", f"{DO}/datainstance/content?id=x", "/metrics", "/docs", "/openapi.json", "/asyncapi.json"):
        refused(server.ask(address, None), "unauthenticated")
    refused(server.ask(CREATE, None, "POST", json={"query": "a:1"}), "unauthenticated")
    for address in ("/health/live", "/health/ready", "/web", "/web/table.json", "/web/app/main.js", "/edgemere.js"):
        assert server.ask(address, None).status_code == 200, address
    lead = server.ask("/docs", None, headers={"Accept": "text/html"})
    assert (lead.status_code, lead.headers["Location"]) == (303, "/web?next=/docs")
    assert server.ask("/docs").status_code == 200


def test_a_key_in_an_address_is_refused_and_logged_nowhere(server):
    made = server.make_key("in-the-url")
    for address in (f"{WHO}?key={made['key']}", f"{WHO}?access_token={token()}", f"/{made['key']}", f"{WHO}?api_key=x",
                    f"{WHO}?a=%65dk_{made['key'][4:]}", f"{DO}/event/stream?token={made['key']}"):
        problem = refused(server.ask(address), "credential.in_url", 400)
        assert made["key"][31:] not in json.dumps(problem)
    # As no library would write it: they tidy addresses up before they send them.
    for address in (f"{WHO}?a=%65dk_{made['key'][4:]}", f"{WHO}?a=%65%64%6b%5f{made['key'][4:]}", f"{WHO}?%61ccess_token=x", f"/%65dk_{made['key'][4:]}"):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        connection.request("GET", address, headers={"Authorization": f"Bearer {server.key}"})
        answer = connection.getresponse()
        said = answer.read().decode()
        connection.close()
        assert (answer.status, json.loads(said)["code"]) == (400, "credential.in_url") and made["key"][31:] not in said, address
    assert made["key"][31:] not in server.log_path.read_text(errors="replace")


def test_a_revoked_key_ends_at_once_on_every_door_it_has_open(server):
    made = server.make_key("to-revoke")
    key = made["key"]
    assert server.ask(WHO, key).status_code == 200
    stream = server.ask(f"{DO}/event/stream", key, stream=True)
    sock = connected(server, header=[f"Authorization: Bearer {key}"])
    later = connected(server)
    later.send("40" + json.dumps({"token": key}))
    assert heard(later, "40")
    assert server.ask(f"{DO}/apikey/revoke", method="POST", json={"id": made["id"]}).status_code == 200
    began = time.monotonic()
    refused(server.ask(WHO, key), "key.revoked")
    for one in (sock, later):
        name, said = json.loads(heard(one, "42")[2:])
        assert (name, said["code"]) == ("edgemere.dropped", "login_over") and "key.revoked" in said["detail"] and said["next_step"]
    text = stream.raw.read(100_000, decode_content=True).decode()
    assert "event: edgemere.dropped" in text and '"code":"key.revoked"' in text
    assert time.monotonic() - began < 30


def test_a_socket_ends_when_its_token_does(server):
    sock = connected(server, header=[f"Authorization: Bearer {token(exp=time.time() - 3)}"])
    name, said = json.loads(heard(sock, "42")[2:])
    assert (name, said["code"]) == ("edgemere.dropped", "login_over")


def test_a_socket_that_does_not_log_in_gets_no_further(server):
    sock = connected(server)
    sock.send("40")
    problem = json.loads(heard(sock, "44")[2:])["data"]
    assert (problem["code"], problem["status"]) == ("unauthenticated", 401)
    sock.send('420["do.datarequest.list",{}]')
    sock.send("40" + json.dumps({"token": "edk_nonsense"}))
    assert json.loads(heard(sock, "44")[2:])["data"]["code"] == "credential.malformed"
    with pytest.raises(websocket.WebSocketBadStatusException) as error:
        connected(server, header=["Authorization: Bearer edk_nonsense"])
    assert error.value.status_code == 401


def test_a_wrong_secret_and_an_unknown_key_are_told_alike(server):
    made = server.make_key("wrong-secret")
    answers = [refused(server.ask(WHO, key), "key.wrong") for key in (
        made["key"][:31] + "a" * 52, "edk_01M8BTZM922ZVET2PC8KXZ5BTZ_" + "b" * 52)]
    assert len({answer["detail"] for answer in answers}) == 1


def test_a_key_with_a_role_cannot_make_one_with_more(server):
    made = server.make_key("scientist", owner="ann", roles=["DataScientist"])
    refused(server.ask(f"{DO}/apikey/create", made["key"], "POST", json={"roles": ["Administrator"]}), "apikey.roles", 403)
    own = server.ask(f"{DO}/apikey/create", made["key"], "POST", json={"name": "mine"}).json()
    assert (own["owner"], own["roles"]) == ("ann", ["DataScientist"])
    assert server.ask(f"{DO}/audit/list", own["key"]).status_code == 403


def test_a_key_made_a_second_time_with_its_idempotency_key_is_the_first_one_without_its_secret(server):
    twice = [server.ask(f"{DO}/apikey/create", method="POST", json={"name": "once"}, headers={"Idempotency-Key": "k-1"}).json() for _ in "12"]
    assert twice[0]["id"] == twice[1]["id"] and twice[0]["key"] and twice[1]["key"] is None


def test_the_owner_of_a_key_hears_and_reads_what_an_administrator_does_with_it_until_he_has_seen_it(server, its_own_address):
    mine = server.make_key("of-the-told", owner="told", roles=["DataScientist"])
    untold = server.make_key("of-the-untold", owner="untold", roles=["DataScientist"])
    # What is on its way now they would hear, too.
    eventually(lambda: server.ask(f"{DO}/event/list", params={"event": "apikey.changed", "limit": 1000}).json()["items"],
               lambda items: {mine["id"], untold["id"]} <= {one["obj"]["id"] for one in items})
    assert server.ask(LIST, mine["key"]).headers["Edgemere-Notices"] == "1"
    sock = connected(server, header=[f"Authorization: Bearer {mine['key']}"])
    sock.send('420["subscribe",{"event":"apikey.*"}]')
    assert heard(sock, "430")
    other = connected(server, header=[f"Authorization: Bearer {untold['key']}"])
    other.send('420["subscribe",{"event":"apikey.*"}]')
    assert heard(other, "430")
    made = server.make_key("not-asked-for", owner="told", roles=["DataScientist"])
    name, said = json.loads(heard(sock, "42")[2:])[:2]
    assert name == "apikey.changed" and said["obj"]["id"] == made["id"] and made["key"][31:] not in json.dumps(said)
    notices = server.ask(WHO, mine["key"]).json()["notices"]
    assert [(one["what"], one["key"]["name"], one["by"], one["address"]) for one in notices] == [
        ("made", "of-the-told", "admin", its_own_address), ("made", "not-asked-for", "admin", its_own_address)]
    seen = server.ask(f"{DO}/identity/seen", mine["key"], "POST", json={"upto": notices[-1]["id"]})
    assert seen.status_code == 200 and seen.json()["notices"] == []
    eventually(lambda: server.ask(LIST, mine["key"]).headers, lambda headers: "Edgemere-Notices" not in headers)
    other.settimeout(0.5)
    with pytest.raises(websocket.WebSocketTimeoutException):
        heard(other, '42["apikey')


# --- the page

def test_a_login_on_the_page_is_a_cookie_that_no_script_reads_and_no_other_site_uses(server):
    page = {"Origin": server.url, "Content-Type": "application/json"}
    made = server.make_key("for-the-page")
    answer = server.ask("/web/session", None, "POST", json={"credential": made["key"]}, headers=page)
    assert answer.json()["caller"]["owner"] == "admin"
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; ")) and made["key"] not in cookie
    session = {"Cookie": cookie.split(";")[0]}
    assert server.ask(LIST, None, headers=session).status_code == 200
    change = {"query": "a:1"}
    assert server.ask(CREATE, None, "POST", json=change, headers={**session, **page}).status_code == 201
    assert server.ask(CREATE, None, "POST", json=change, headers={**session, "Sec-Fetch-Site": "same-origin"}).status_code == 201
    refused(server.ask(CREATE, None, "POST", json=change, headers=session), "session.cross_site", 403)
    refused(server.ask(CREATE, None, "POST", json=change, headers={**session, "Origin": "https://evil.example"}), "origin_not_allowed", 403)
    with pytest.raises(websocket.WebSocketBadStatusException):
        connected(server, header=[f"Cookie: {session['Cookie']}"], origin="https://evil.example")
    assert connected(server, header=[f"Cookie: {session['Cookie']}"], origin=server.url)
    assert server.ask("/web/session", None, "DELETE", headers={**session, **page}).json()["closed"]
    # A browser shows its page nothing of a refused handshake: the page hears why from socket.io.
    ended = shaken_hands(server, header=[f"Cookie: {session['Cookie']}"], origin=server.url)
    ended.send("40")
    assert json.loads(heard(ended, "44")[2:])["data"]["code"] == "key.revoked"
    refused(server.ask(LIST, None, headers=session), "key.revoked")


def test_each_login_on_the_page_is_a_session_of_its_own_and_one_that_was_brought_along_is_not_taken(server):
    page = {"Origin": server.url, "Content-Type": "application/json"}
    made = server.make_key("for-several-logins")

    def log_in(**more: str) -> str:
        answer = server.ask("/web/session", None, "POST", json={"credential": made["key"]}, headers={**page, **more})
        return answer.headers["Set-Cookie"].partition(";")[0]

    first = log_in()
    # Somebody who gave the browser a session of his own, to use it once its user has logged in.
    brought = log_in(Cookie=first)
    sessions = [cookie.partition("=")[2] for cookie in (first, brought, log_in(), log_in())]
    assert len(set(sessions)) == 4 and len({session[31:] for session in sessions}) == 4
    # 256 bits of which nobody chose one: 52 characters of base 32.
    assert all(re.fullmatch("edk_[0-9A-Z]{26}_[a-z2-7]{52}", session) for session in sessions)
    ours = server.ask(f"{DO}/apikey/list", params={"kind": "session", "state": "Active", "limit": 1000}).json()["items"]
    assert {f"akey_{session[4:30]}" for session in sessions} <= {one["id"] for one in ours}


def test_behind_a_proxy_with_tls_the_cookie_is_for_tls_alone(server):
    answer = server.ask("/web/session", None, "POST", json={"credential": server.key}, headers={
        "Origin": server.url.replace("http:", "https:"), "X-Forwarded-Proto": "https"})
    assert answer.status_code == 200 and answer.headers["Set-Cookie"].startswith("__Host-edgemere_session=")
    assert "Secure" in answer.headers["Set-Cookie"].split("; ") and "max-age=" in answer.headers["Strict-Transport-Security"]


@pytest.mark.parametrize(("body", "headers", "status"), [
    ("credential=edk_x", {"Content-Type": "application/x-www-form-urlencoded"}, 400), ("{", {"Content-Type": "application/json"}, 400),
    ("[]", {"Content-Type": "application/json"}, 422), ("{}", {"Content-Type": "application/json"}, 422),
    (json.dumps({"credential": "x" * 20_000}), {"Content-Type": "application/json"}, 413)])
def test_a_login_of_another_form_is_refused(server, body, headers, status):
    assert server.ask("/web/session", None, "POST", data=body, headers=headers).status_code == status


# --- the command line, and the clients

def test_the_command_line_logs_in_by_a_pipe_and_keeps_the_key_for_this_server_alone(server, tmp_path):
    def run(*words: str, given: str = "", **more: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-m", "gateway", *words], input=given, capture_output=True, text=True, cwd=ROOT, timeout=120,
                              env=project_environment(XDG_CONFIG_HOME=str(tmp_path), EDGEMERE_URL=server.url, **more))

    made = server.make_key("for-the-cli", owner="ann", roles=["DataScientist", "ApplicationDeveloper"])
    assert run("do", "datarequest", "list").returncode == 5
    assert "unauthenticated" in run("whoami").stderr
    wrong = run("login", given="edk_nonsense\n")
    assert wrong.returncode == 5 and not (tmp_path / "edgemere" / "credentials.json").exists()
    login = run("login", given=made["key"] + "\n")
    assert "as ann (DataScientist, ApplicationDeveloper, with the key 'for-the-cli')" in login.stdout, login.stderr
    kept = tmp_path / "edgemere" / "credentials.json"
    assert oct(kept.stat().st_mode & 0o777) == "0o600"
    assert run("do", "datarequest", "list").returncode == 0
    # Whoever uses a key that ends is told while there is time.
    soon = server.make_key("ends-in-days", owner="ann", roles=["DataScientist"], lifetime="3d")
    told = run("do", "datarequest", "list", EDGEMERE_KEY=soon["key"])
    assert told.returncode == 0 and f"The key that you log in with ends {soon['expires_at']}." in told.stderr and "apikey create" in told.stderr
    later = server.make_key("ends-in-months", owner="ann", roles=["DataScientist"], lifetime="90d")
    assert server.ask(LIST, soon["key"]).headers["Edgemere-Key-Ends"] == soon["expires_at"]
    assert not [key for key in (made, later) if "Edgemere-Key-Ends" in server.ask(LIST, key["key"]).headers]
    assert "ends" not in run("do", "datarequest", "list").stderr
    verbose = run("-v", "do", "datarequest", "list")
    assert made["key"][31:] not in verbose.stdout + verbose.stderr
    elsewhere = run("whoami", "--url", server.url.replace("127.0.0.1", "localhost"))
    assert elsewhere.returncode == 5
    far = run("whoami", "--url", "http://data.example.org", EDGEMERE_KEY=made["key"])
    assert far.returncode == 2 and "cli.insecure" in far.stderr
    whoami = run("whoami", EDGEMERE_KEY=made["key"]).stdout
    assert "ann" in whoami and "The key 'for-the-cli' was made, by admin from" in whoami and "identity seen --upto" in whoami
    assert "Logged out" in run("logout").stdout and run("do", "datarequest", "list").returncode == 5


def test_the_python_client_takes_a_key_and_says_when_it_has_ended(server):
    made = server.make_key("for-python", owner="ann", roles=["DataScientist"])
    program = ("import sys; sys.path.insert(0, 'gateway/clients/python')\nimport edgemere, os\n"
               f"do = edgemere.connect({server.url!r}, key=os.environ['K']).do\nprint(do.identity.show()['owner'], flush=True)\n"
               "for event in do.event.stream(event='datarequest.*', after=0):\n    print(event['event'], flush=True)\n")
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "K": made["key"]})
    try:
        assert process.stdout.readline().strip() == "ann"
        server.ask(CREATE, made["key"], "POST", json={"query": "a:1"})
        assert process.stdout.readline().startswith("datarequest.")
        server.ask(f"{DO}/apikey/revoke", method="POST", json={"id": made["id"]})
        _, said = process.communicate(timeout=120)
        assert "key.revoked" in said
    finally:
        process.kill()
