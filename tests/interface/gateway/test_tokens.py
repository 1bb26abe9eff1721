"""Tokens of an identity provider, with real keys over real HTTP: which are believed, and what is said of the others."""
from __future__ import annotations

import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.interface.gateway.locked import EC, OTHER_RSA, RSA, WHO, jwk, refused, signed_with_the_public_key, token, unsigned

pytestmark = pytest.mark.usefixtures("its_own_address")


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
    asked, began = server.provider.asked, time.monotonic()
    for number in range(30):
        refused(server.ask(WHO, token(OTHER_RSA, f"guess-{number}")), "token.unknown_key")
    assert server.provider.asked - asked <= 3 + time.monotonic() - began, "at most once a second"


def test_keys_that_are_too_weak_or_of_another_curve_sign_nothing_though_the_issuer_publishes_them(server):
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that is what is refused
    other, good = ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)
    curve = {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(other.public_key())), "kid": "ec-384", "use": "sig"}
    server.provider.keys += [jwk(weak, "rsa-weak"), curve, {**jwk(good, "for-encryption"), "use": "enc"}, jwk(good, "good-beside")]
    time.sleep(1.1)
    assert server.ask(WHO, token(good, "good-beside")).status_code == 200
    for key, kid, algorithm in ((weak, "rsa-weak", "RS256"), (good, "for-encryption", "RS256")):
        refused(server.ask(WHO, token(key, kid, algorithm)), "token.unknown_key")
    refused(server.ask(WHO, token(other, "ec-384", "ES384")), "token.algorithm")
    # The other curve under the name of the taken algorithm.
    refused(server.ask(WHO, jwt.api_jws.encode(b"{}", EC, "ES256", headers={"kid": "ec-384"})), "token.unknown_key")
