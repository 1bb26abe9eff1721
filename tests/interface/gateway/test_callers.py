"""Every door of a server that wants a login, over real HTTP and real sockets: what is let in, what is refused, and how soon it ends."""
from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
import requests
import websocket
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.support.servers import ROOT, EdgemereServer, project_environment, run_edgemere

DO = "/edgemere/diml/dml/do"
WHO, CREATE, SHOW, LIST = f"{DO}/identity/show", f"{DO}/datarequest/create", f"{DO}/datarequest/show", f"{DO}/datarequest/list"
ISSUER, AUDIENCE = "https://login.example", "edgemere"
RSA, OTHER_RSA = rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())


def jwk(key: Any, kid: str) -> dict[str, Any]:
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig"}


class IdentityProvider:
    """Publishes keys at a loopback address; counts how often it is asked; can be away."""

    def __init__(self) -> None:
        self.keys = [jwk(RSA, "rsa-1"), jwk(EC, "ec-1")]
        self.asked, self.away = 0, False
        provider = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked += 1
                body = json.dumps({"keys": provider.keys}).encode()
                self.send_response(503 if provider.away else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server.server_port}/jwks.json"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def token(key: Any = RSA, kid: str | None = "rsa-1", algorithm: str = "RS256", **claims: Any) -> str:
    now = time.time()
    full = {"iss": ISSUER, "aud": AUDIENCE, "sub": "user-7", "name": "ann", "iat": now, "exp": now + 300,
            "groups": {"data": ["team-science"]}, **claims}
    return jwt.encode({name: value for name, value in full.items() if value is not None}, key, algorithm,
                      headers={"kid": kid} if kid else {})


def unsigned() -> str:
    return jwt.encode({"iss": ISSUER, "aud": AUDIENCE, "sub": "eve", "name": "eve", "exp": time.time() + 300}, None, "none", headers={"kid": "rsa-1"})


def signed_with_the_public_key() -> str:
    """The old trick: the public key as the secret of an HMAC."""
    import base64
    import hashlib
    import hmac

    def part(value: Any) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    public = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    head = part({"alg": "HS256", "typ": "JWT", "kid": "rsa-1"})
    body = part({"iss": ISSUER, "aud": AUDIENCE, "sub": "eve", "name": "eve", "exp": time.time() + 300})
    mark = base64.urlsafe_b64encode(hmac.new(public, head + b"." + body, hashlib.sha256).digest()).rstrip(b"=")
    return b".".join((head, body, mark)).decode()


class Locked(EdgemereServer):
    """A server that wants a login, its first key, and an identity provider."""

    provider: IdentityProvider
    key: str

    def ask(self, address: str, credential: str | None = "", method: str = "GET", **more: Any) -> requests.Response:
        """An exchange on a connection of its own; with the first key unless another credential, or None, is given."""
        headers = dict(more.pop("headers", {}))
        if credential is not None:
            headers["Authorization"] = f"Bearer {credential or self.key}"
        return requests.request(method, self.url + address, headers=headers, timeout=30, allow_redirects=False, **more)

    def make_key(self, name: str, **more: Any) -> dict[str, Any]:
        answer = self.ask(f"{DO}/apikey/create", method="POST", json={"name": name, **more})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def audit(self, **filters: Any) -> list[dict[str, Any]]:
        return self.ask(f"{DO}/audit/list", params={"sort": "-sequence", "limit": 1000, **filters}).json()["items"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("locked")
    provider = IdentityProvider()
    settings = folder / "settings.yaml"
    settings.write_text(json.dumps({
        "auth": {"mode": "required", "jwt": {
            "issuer": ISSUER, "audience": AUDIENCE, "jwks": provider.url, "owner_claim": "name", "roles_claim": "groups.data",
            "leeway_s": 5, "refetch_s": 1, "roles": {"team-science": "DataScientist", "team-data": "DataEngineer"}}},
        "limits": {"wrong_credentials": "100/minute"}, "web": {"trusted_proxies": "127.0.0.1"}}))
    made = run_edgemere("apikey", "bootstrap", "--data", str(folder / "data"))
    assert made.returncode == 0, made.stderr
    with Locked(folder, options=("--config", str(settings))) as running:
        running.key, running.provider = made.stdout.strip(), provider
        yield running
    provider.server.shutdown()


@pytest.fixture(autouse=True)
def its_own_address(request, server):
    """Each test comes from an address of its own, as a trusted proxy says: wrong credentials of one do not count for another."""
    number = abs(hash(request.node.name)) % 60_000
    address = f"10.9.{number // 250}.{number % 250 + 1}"
    original = requests.request

    def from_there(method: str, url: str, headers: Any = None, **more: Any) -> requests.Response:
        return original(method, url, headers={"X-Forwarded-For": address, **(headers or {})}, **more)

    requests.request = from_there
    yield address
    requests.request = original


def refused(answer: requests.Response, code: str, status: int = 401) -> dict[str, Any]:
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), problem
    assert problem["next_step"] and answer.headers["Content-Type"] == "application/problem+json"
    if status == 401:
        assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="edgemere"')
    return problem


# --- tokens

@pytest.mark.parametrize("make", [lambda: token(), lambda: token(EC, "ec-1", "ES256"), lambda: token(exp=time.time() - 2),
                                  lambda: token(groups={"data": ["team-science", "unknown"]})])
def test_a_token_of_the_issuer_names_owner_and_roles(server, make):
    who = server.ask(WHO, make()).json()
    assert (who["owner"], who["roles"], who["credential"]) == ("ann", ["DataScientist"], "token user-7")


@pytest.mark.parametrize(("make", "code"), [
    (lambda: token(exp=time.time() - 60), "token.expired"),
    (lambda: token(nbf=time.time() + 60), "token.not_yet_valid"),
    (lambda: token(iat=time.time() + 600), "token.not_yet_valid"),
    (unsigned, "token.algorithm"),
    (signed_with_the_public_key, "token.algorithm"),
    (lambda: token(OTHER_RSA), "token.wrong_signature"),
    (lambda: token()[:-8] + "AAAAAAAA", "token.wrong_signature"),
    (lambda: token(EC, "rsa-1", "ES256"), "token.algorithm"),
    (lambda: token(aud="somebody-else"), "token.wrong_audience"),
    (lambda: token(aud=None), "token.incomplete"),
    (lambda: token(iss="https://evil.example"), "token.wrong_issuer"),
    (lambda: token(exp=None), "token.incomplete"),
    (lambda: token(name=None), "token.incomplete"),
    (lambda: token(name="ann\r\nX-Evil: 1"), "token.incomplete"),
    (lambda: token(kid=None), "token.unknown_key"),
    (lambda: token(kid="../../etc/passwd"), "token.unknown_key"),
    (lambda: token(RSA, "rsa-1", "RS512"), "token.algorithm"),
    (lambda: token(padding="x" * 20_000), "credential.too_large"),
    (lambda: "a.b.c", "token.malformed"),
    (lambda: "hello", "credential.malformed"),
    (lambda: "eyJhbGciOiJSUzI1NiJ9..", "token.unknown_key"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_token_that_is_not_right_is_refused_and_says_why(server, make, code):
    credential = make()
    if code == "credential.too_large":
        # The web server has a bound of its own for a header line.
        assert server.ask(WHO, credential).status_code in (401, 431)
        return
    problem = refused(server.ask(WHO, credential), code)
    assert credential not in json.dumps(problem)


def test_keys_that_the_issuer_publishes_later_are_found_and_an_issuer_that_is_away_stops_nobody(server):
    new = rsa.generate_private_key(65537, 2048)
    assert server.ask(WHO, token()).status_code == 200
    server.provider.away = True
    time.sleep(1.1)
    refused(server.ask(WHO, token(new, "rsa-2")), "token.unknown_key")
    assert server.ask(WHO, token(jti="another")).status_code == 200
    server.provider.away = False
    server.provider.keys.append(jwk(new, "rsa-2"))
    time.sleep(1.1)
    assert server.ask(WHO, token(new, "rsa-2")).status_code == 200
    asked = server.provider.asked
    for number in range(30):
        refused(server.ask(WHO, token(OTHER_RSA, f"guess-{number}")), "token.unknown_key")
    assert server.provider.asked - asked <= 3


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
    assert time.monotonic() - began < 5


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
    refused(server.ask(LIST, None, headers=session), "key.revoked")


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
        return subprocess.run([sys.executable, "-m", "gateway", *words], input=given, capture_output=True, text=True, cwd=ROOT, timeout=60,
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
    verbose = run("-v", "do", "datarequest", "list")
    assert made["key"][31:] not in verbose.stdout + verbose.stderr
    elsewhere = run("whoami", "--url", server.url.replace("127.0.0.1", "localhost"))
    assert elsewhere.returncode == 5
    far = run("whoami", "--url", "http://data.example.org", EDGEMERE_KEY=made["key"])
    assert far.returncode == 2 and "cli.insecure" in far.stderr
    assert "ann" in run("whoami", EDGEMERE_KEY=made["key"]).stdout
    assert "Logged out" in run("logout").stdout and run("do", "datarequest", "list").returncode == 5


def test_the_python_client_takes_a_key_and_says_when_it_has_ended(server):
    made = server.make_key("for-python", owner="ann", roles=["DataScientist"])
    program = ("import sys; sys.path.insert(0, 'gateway/clients/python')\nimport edgemere, os\n"
               f"do = edgemere.connect({server.url!r}, key=os.environ['K']).do\nprint(do.identity.show()['owner'])\n"
               "for event in do.event.stream(after=0):\n    print(event['event'], flush=True)\n")
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "K": made["key"]})
    try:
        assert process.stdout.readline().strip() == "ann"
        server.ask(CREATE, made["key"], "POST", json={"query": "a:1"})
        assert process.stdout.readline().startswith("datarequest.")
        server.ask(f"{DO}/apikey/revoke", method="POST", json={"id": made["id"]})
        _, said = process.communicate(timeout=30)
        assert "key.revoked" in said
    finally:
        process.kill()


# --- the audit log

def test_the_audit_log_says_who_changed_what_from_where_and_what_he_was_told(server, its_own_address):
    made = server.make_key("audited", owner="ann", roles=["DataScientist", "ApplicationDeveloper"])
    done = server.ask(CREATE, made["key"], "POST", json={"name": "audited-1", "query": "a:1"}, headers={"X-Request-Id": "audited-call"})
    server.ask(CREATE, made["key"], "POST", json={"nome": "x"}, headers={"X-Request-Id": "audited-mistake"})
    server.ask(LIST, made["key"], headers={"X-Request-Id": "audited-question"})
    server.ask(WHO, made["key"][:31] + "a" * 52)
    lines = eventually(lambda: [line for line in server.audit(owner="ann") if line["credential"] == made["id"]], lambda found: len(found) >= 3)
    by_call = {(line["correlation_id"], line["kind"]): line for line in lines}
    change = by_call["audited-call", "changed"]
    assert change["objects"] == [done.json()["id"]] and change["action"] == "do.datarequest.create" and change["address"] == its_own_address
    assert by_call["audited-call", "answered"]["status"] == 201
    assert by_call["audited-mistake", "answered"]["outcome"] == "parameter.unknown"
    assert not [line for line in lines if line["correlation_id"] == "audited-question"]
    attempt = eventually(lambda: server.audit(kind="refused", address=its_own_address), bool)
    assert {(line["outcome"], line["credential"]) for line in attempt} == {("key.wrong", made["id"])}
    assert server.ask(f"{DO}/audit/verify").json()["intact"]


@pytest.mark.parametrize("name", ["evil\nSet-Cookie: a=1", "evil\r\nHTTP/1.1 200 OK", "evil\x00", "evil\x1b[31m"])
def test_nobody_writes_a_line_of_a_log_or_a_header_by_a_name(server, name):
    answer = server.ask(CREATE, method="POST", json={"name": name, "query": "a:1"})
    assert answer.status_code == 422 and "Set-Cookie" not in answer.headers
    raw_log = server.log_path.read_text(errors="replace")
    assert name not in raw_log


@pytest.mark.parametrize("given", ["x\ty", "a b", "<script>", "x" * 300, "ä", "x;y"])
def test_a_request_id_of_another_form_is_replaced(server, given):
    answer = server.ask(WHO, headers={"X-Request-Id": given.encode()})
    assert answer.status_code == 200 and answer.headers["X-Request-Id"] != given


def test_every_answer_has_the_headers_that_keep_a_browser_from_mischief(server):
    for answer in (server.ask(WHO), server.ask(WHO, None), server.ask("/web", None), server.ask("/docs"), server.ask("/nowhere"),
                   server.ask("/web/session", None), server.ask("/docs/try"), server.ask("/edgemere.js")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff" and answer.headers["Referrer-Policy"] == "no-referrer"
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe-eval" not in policy
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin" and answer.headers["X-Frame-Options"] == "DENY"
        assert "Server" not in answer.headers
    assert "unsafe-inline" not in server.ask("/web", None).headers["Content-Security-Policy"]


# --- floods

def test_a_flood_of_wrong_keys_is_answered_quickly_and_stops_nobody_else(server):
    good = server.make_key("in-the-flood", owner="ann", roles=["DataScientist"])["key"]
    assert server.ask(WHO, good).status_code == 200
    statuses: list[int] = []

    def flood(number: int) -> None:
        with requests.Session() as session:
            for turn in range(250):
                wrong = f"edk_01M8BTZM922ZVET2PC8KXZ5BTZ_{'abcdefgh234567'[number % 14]}{turn:03d}".translate(str.maketrans("0189", "abcd")).ljust(83, "a")
                answer = session.get(server.url + WHO, headers={"Authorization": f"Bearer {wrong}", "X-Forwarded-For": "10.66.6.6"}, timeout=30)
                statuses.append(answer.status_code)
                if answer.status_code == 429:
                    assert answer.json()["code"] == "credential.too_many_wrong" and int(answer.headers["Retry-After"]) > 0

    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        floods = [pool.submit(flood, number) for number in range(4)]
        slowest = 0.0
        while not all(one.done() for one in floods):
            for address in ("10.66.6.6", "10.66.6.7"):
                asked = time.monotonic()
                # The right one at the flooding address itself, too, since it was right before.
                assert server.ask(WHO, good, headers={"X-Forwarded-For": address}).status_code == 200
                slowest = max(slowest, time.monotonic() - asked)
        for one in floods:
            one.result()
    per_minute = len(statuses) / (time.monotonic() - began) * 60
    assert set(statuses) == {401, 429} and statuses.count(401) <= 110
    assert per_minute > 10_000 or slowest < 2, (per_minute, slowest)
    line = eventually(lambda: server.audit(kind="refused", address="10.66.6.6"), bool)
    assert len(line) <= 3


def test_a_body_of_gigabytes_from_nobody_is_not_read(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
        sock.sendall(f"POST {CREATE} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 2147483648\r\n\r\n".encode())
        sock.sendall(b"x" * 100_000)
        found = b""
        while chunk := sock.recv(65536):
            found += chunk
    assert found.startswith(b"HTTP/1.1 401") and b"Connection: close" in found


def eventually(ask: Any, holds: Any, seconds: float = 10) -> Any:
    end = time.monotonic() + seconds
    while not holds(found := ask()) and time.monotonic() < end:
        time.sleep(0.1)
    assert holds(found), found
    return found


def connected(server: EdgemereServer, header: list[str] | None = None, origin: str | None = None) -> websocket.WebSocket:
    """A WebSocket of socket.io, in the namespace where the handshake has logged in."""
    url = f"{server.url.replace('http', 'ws')}/web/socket.io/?EIO=4&transport=websocket"
    sock = websocket.create_connection(url, header=header or [], timeout=20, suppress_origin=origin is None, origin=origin)
    assert heard(sock, "0")
    if header:
        sock.send("40")
        assert heard(sock, "40")
    return sock


def heard(sock: websocket.WebSocket, kind: str) -> str:
    while True:
        packet = sock.recv()
        assert packet, "the connection has ended"
        if packet.startswith(kind):
            return packet
