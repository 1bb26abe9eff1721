"""What is read of credentials and addresses before anybody is asked: plain functions and real clocks."""
from __future__ import annotations

import pytest

from gateway.callers.credentials import Origin, check_address, credential_of, neighbourhood
from gateway.callers.issuer import check_place, keys_in
from gateway.callers.keys import Keys
from gateway.callers.rates import Rates
from shared.kernel.errors import EdgemereError, Invalid, Malformed, TooMany, Unauthenticated, Unavailable

KEY = "edk_01M8BTZM922ZVET2PC8KXZ5BTZ_" + "a" * 52


def test_what_a_proxy_says_is_believed_of_a_trusted_one_alone():
    origin = Origin(("10.0.0.0/8", "::1"))
    said = {"HTTP_X_FORWARDED_FOR": "6.6.6.6, 1.2.3.4, 10.0.0.9", "HTTP_X_FORWARDED_PROTO": "https", "wsgi.url_scheme": "http"}
    assert origin.address({"REMOTE_ADDR": "10.0.0.1", **said}) == "1.2.3.4"
    assert origin.scheme({"REMOTE_ADDR": "10.0.0.1", **said}) == "https"
    for stranger in ("11.0.0.1", "fe80::1", ""):
        assert origin.address({"REMOTE_ADDR": stranger, **said}) == stranger
        assert origin.scheme({"REMOTE_ADDR": stranger, **said}) == "http"
    assert origin.address({"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "nonsense"}) == "10.0.0.1"
    assert Origin(()).address({"REMOTE_ADDR": "127.0.0.1", **said}) == "127.0.0.1"


@pytest.mark.parametrize(("header", "code"), [("Basic YWRtaW46YWRtaW4=", "credential.malformed"), ("Bearer", "credential.malformed"),
                                              ("edk_x", "credential.malformed"), ("Bearer " + "x" * 9000, "credential.too_large")])
def test_another_header_than_bearer_is_refused(header, code):
    with pytest.raises(Unauthenticated, match=code):
        credential_of({"HTTP_AUTHORIZATION": header})


def test_the_header_comes_before_the_cookie_and_other_cookies_are_none():
    assert credential_of({"HTTP_AUTHORIZATION": "bearer abc", "HTTP_COOKIE": "edgemere_session=x"}) == ("abc", False)
    assert credential_of({"HTTP_COOKIE": "a=b; __Host-edgemere_session=x; c=d"}) == ("x", True)
    assert credential_of({"HTTP_COOKIE": "not_edgemere_session=x"}) == ("", True)


@pytest.mark.parametrize("query", ["a=1&b=%20c", "attr1=owner:ann", "query=%7B%22key%22%3A1%7D", "name=edk_", "monkey=1", "id=eyJx"])
def test_an_address_without_a_credential_is_taken(query):
    check_address("/edgemere/diml/dml/do/datarequest/list", query)


@pytest.mark.parametrize("query", [f"x={KEY}", f"a=1&q=%65dk_{KEY[4:]}", "access_token=1", "a=1&API_KEY=1", "x=eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.abc"])
def test_an_address_with_a_credential_is_refused(query):
    with pytest.raises(Malformed, match="credential.in_url"):
        check_address("/x", query)


def test_a_household_of_addresses_counts_as_one():
    assert neighbourhood("2001:db8:1:2:3::4") == neighbourhood("2001:db8:1:2:ffff::1") != neighbourhood("2001:db8:1:3::1")
    assert neighbourhood("::ffff:1.2.3.4") == neighbourhood("1.2.3.4") == "1.2.3.4"


@pytest.mark.parametrize("place", ["http://login.example/jwks", "ftp://x/jwks", "http://169.254.169.254/", "http://10.0.0.1/k"])
def test_keys_are_not_taken_over_a_way_that_others_can_change(place):
    with pytest.raises(Invalid, match="config.invalid"):
        check_place(place)


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"keys": 1}', b'{"keys": [1, {}]}', b'{"keys": [{"kty": "oct", "kid": "a", "k": "c2VjcmV0"}]}'])
def test_a_set_without_a_key_that_can_be_used_is_none(text):
    with pytest.raises(ValueError):
        keys_in(text)


class Mesh:
    """Answers ``identify`` with what it holds, or does not answer."""

    def __init__(self):
        self.asked = 0
        self.answer = {"id": "akey_01M8BTZM922ZVET2PC8KXZ5BTZ", "owner": "ann", "roles": ["DataScientist"], "kind": "key", "expires_at": None}

    def call(self, service, method, **parameters):
        self.asked += 1
        assert KEY[31:] not in str(parameters), "the secret itself is on the bus"
        if isinstance(self.answer, EdgemereError):
            raise self.answer
        return self.answer


def test_a_key_that_is_known_holds_while_nobody_can_be_asked_and_not_when_it_was_revoked():
    mesh = Mesh()
    keys = Keys(mesh, fresh_s=0.0, timeout_s=1)
    assert keys.caller(KEY).context.owner == "ann"
    mesh.answer = Unavailable("rpc.service_unavailable", "It is away.")
    assert keys.caller(KEY).context.owner == "ann"
    keys.revoked(["akey_01M8BTZM922ZVET2PC8KXZ5BTZ"])
    with pytest.raises(Unavailable, match="credential.unavailable"):
        keys.caller(KEY)
    mesh.answer = Unauthenticated("key.revoked", "It was revoked.")
    with pytest.raises(Unauthenticated, match="key.revoked"):
        keys.caller(KEY)
    assert keys.refused(KEY) is not None and keys.was_good(KEY)


def test_a_fresh_answer_is_not_asked_for_again_until_there_is_doubt():
    mesh = Mesh()
    keys = Keys(mesh, fresh_s=60, timeout_s=1)
    for _ in range(3):
        keys.caller(KEY)
    assert mesh.asked == 1
    keys.doubt()
    keys.caller(KEY)
    assert mesh.asked == 2


def test_rates_say_what_remains_and_when_there_is_room_again():
    rates = Rates(owner=("3/minute",))
    said = [rates.headers(rates.check_owner("ann")) for _ in range(3)]
    assert [dict(one)["RateLimit"].split(";")[1] for one in said] == ["r=2", "r=1", "r=0"]
    with pytest.raises(TooMany) as refused:
        rates.check_owner("ann")
    assert refused.value.code == "rate.exceeded" and 1 <= refused.value.extra["retry_after_s"] <= 60
    rates.check_owner("ben")
    assert Rates().headers([]) == []
