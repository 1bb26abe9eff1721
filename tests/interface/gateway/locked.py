"""A server that wants a login, its identity provider with real keys, and what its tests ask of it. Real HTTP, real sockets."""
from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import requests
import websocket
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.support.servers import EdgemereServer, run_edgemere

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
        return requests.request(method, self.url + address, headers=headers, timeout=120, allow_redirects=False, **more)

    def make_key(self, name: str, **more: Any) -> dict[str, Any]:
        answer = self.ask(f"{DO}/apikey/create", method="POST", json={"name": name, **more})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def audit(self, **filters: Any) -> list[dict[str, Any]]:
        return self.ask(f"{DO}/audit/list", params={"sort": "-sequence", "limit": 1000, **filters}).json()["items"]


def locked(folder: Path, **settings: Any) -> Locked:
    """A server with its first key, not started yet; ``settings`` are merged over those of the tests, ``auth`` member by member."""
    provider = IdentityProvider()
    file = folder / "settings.yaml"
    file.write_text(json.dumps({
        "auth": {"mode": "required", "jwt": {
            "issuer": ISSUER, "audience": AUDIENCE, "jwks": provider.url, "owner_claim": "name", "roles_claim": "groups.data",
            "leeway_s": 5, "refetch_s": 1, "roles": {"team-science": "DataScientist", "team-data": "DataEngineer"}}, **settings.pop("auth", {})},
        "limits": {"wrong_credentials": "100/minute"}, "web": {"trusted_proxies": "127.0.0.1"}, **settings}))
    made = run_edgemere("apikey", "bootstrap", "--data", str(folder / "data"))
    assert made.returncode == 0, made.stderr
    server = Locked(folder, options=("--config", str(file)))
    server.key, server.provider = made.stdout.strip(), provider
    return server


def refused(answer: requests.Response, code: str, status: int = 401) -> dict[str, Any]:
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), problem
    assert problem["next_step"] and answer.headers["Content-Type"] == "application/problem+json"
    if status == 401:
        assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="edgemere"')
    return problem


def eventually(ask: Any, holds: Any, seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while not holds(found := ask()) and time.monotonic() < end:
        time.sleep(0.1)
    assert holds(found), found
    return found


def shaken_hands(server: EdgemereServer, header: list[str] | None = None, origin: str | None = None) -> websocket.WebSocket:
    """A WebSocket of engine.io, in no namespace of socket.io yet."""
    url = f"{server.url.replace('http', 'ws')}/web/socket.io/?EIO=4&transport=websocket"
    sock = websocket.create_connection(url, header=header or [], timeout=120, suppress_origin=origin is None, origin=origin)
    assert heard(sock, "0")
    return sock


def connected(server: EdgemereServer, header: list[str] | None = None, origin: str | None = None) -> websocket.WebSocket:
    """A WebSocket of socket.io, in the namespace where the handshake has logged in."""
    sock = shaken_hands(server, header, origin)
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
