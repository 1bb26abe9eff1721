"""Which addresses an http source may reach is decided by rule, before any connection."""
from __future__ import annotations

import pytest

from shared.kernel.errors import Denied, Invalid, Unavailable
from shared.sources.addresses import connect, is_allowed, literal_allowed
from shared.sources.http_client import judged
from shared.sources.port import SourcePolicy

CLOSED = SourcePolicy()
INTERNAL = ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::1", "::ffff:127.0.0.1", "fe80::1", "fd00::1",
            "64:ff9b::7f00:1", "2002:7f00:1::", "224.0.0.1", "255.255.255.255"]


@pytest.mark.parametrize("address", INTERNAL)
def test_internal_addresses_are_refused_in_every_dress(address: str) -> None:
    assert not is_allowed("name.example", address, 80, CLOSED)
    assert not literal_allowed(address, 80, CLOSED)


@pytest.mark.parametrize("host", ["localhost", "localhost.", "a.localhost", "127.1", "2130706433", "0x7f.1"])
def test_no_spelling_of_this_machine_is_connected_to(host: str) -> None:
    with pytest.raises((Denied, Unavailable)) as caught:
        connect(host, 9, CLOSED, 1)
    if isinstance(caught.value, Denied):
        assert caught.value.code == "source.address_not_allowed"


def test_public_addresses_need_no_permission() -> None:
    assert is_allowed("name.example", "93.184.216.34", 80, CLOSED)
    assert is_allowed("name.example", "2606:2800:220:1::1", 80, CLOSED)


@pytest.mark.parametrize("entry", ["127.0.0.1", "127.0.0.0/8", "127.0.0.1:8080", "box.lab"])
def test_a_policy_can_name_an_internal_address(entry: str) -> None:
    assert is_allowed("box.lab", "127.0.0.1", 8080, SourcePolicy(allowed_hosts=[entry]))
    assert not is_allowed("other", "10.0.0.1", 8080, SourcePolicy(allowed_hosts=[entry]))


def test_a_port_in_the_policy_is_the_only_one() -> None:
    policy = SourcePolicy(allowed_hosts=["127.0.0.1:8080", "[::1]:8080"])
    assert not is_allowed("x", "127.0.0.1", 22, policy)
    assert is_allowed("x", "::1", 8080, policy) and not is_allowed("x", "::1", 22, policy)


@pytest.mark.parametrize("url", ["ftp://example.org/a", "file:///etc/passwd", "http:///a", "http://user:secret@example.org/", "http://example.org/a b",
                                 "http://example.org/\r\nX: 1", "http://[bad/", "http://example.org:99999/", "nothing"])
def test_addresses_that_are_no_plain_http_are_refused(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        judged(url, CLOSED)
    assert "secret" not in caught.value.detail
