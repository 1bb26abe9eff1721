"""Digests of whom has a key, against the standard library's own."""
from __future__ import annotations

import hmac

import pytest

from shared.kernel.digests import mac


@pytest.mark.parametrize("key", [b"", b"k", b"k" * 64, b"k" * 65])
@pytest.mark.parametrize("content", [b"", b"content" * 1000])
def test_a_mac_is_the_hmac_of_rfc_2104_however_long_the_key_is(key: bytes, content: bytes) -> None:
    for _ in range(2):
        assert mac("sha256", key, content) == hmac.new(key, content, "sha256").hexdigest()
