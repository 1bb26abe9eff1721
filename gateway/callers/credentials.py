"""The credential of a request as it came: in the header Authorization, or in the cookie of a session; never in an address.

Reads; believes nothing yet. What is found here is in no log and no answer.
"""
from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from shared.kernel.errors import Malformed, Unauthenticated

MAX_BYTES = 8 * 1024
IN_URL = "credential.in_url"
COOKIE = "edgemere_session"
SECURE_COOKIE = "__Host-edgemere_session"
"""Behind TLS: browsers take a cookie of this name only from its own host, over TLS, for every path."""
_IN_URL = re.compile(
    r"edk_[0-9A-Z]{26}_[a-z2-7]{16}|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]+\.|"
    r"(?:^|[&?])(?:access_token|api_?key|apikey|auth_token|id_token|bearer|authorization)=", re.IGNORECASE)
_HINTS = ("edk_", "eyj", "token=", "key=", "bearer=", "authorization=", "%")


def check_address(path: str, query: str) -> None:
    """Refuse an address with a key or token in it: addresses are kept by proxies, browsers and logs.

    Raises:
        Malformed: ``credential.in_url``. It repeats nothing of the address.
    """
    text = f"{path}?{query}" if query else path
    folded = text.lower()
    if not any(hint in folded for hint in _HINTS):
        return
    if _IN_URL.search(text) or "%" in text and _IN_URL.search(unquote_plus(text)):
        raise Malformed(IN_URL, "A key or token does not belong into an address: proxies, browsers and logs keep it.",
                        next_step="Send it as 'Authorization: Bearer …', and revoke the one that was in the address.")


def credential_of(environ: Mapping[str, Any]) -> tuple[str, bool]:
    """(credential, whether it is the cookie of a session); an empty text where none came.

    Raises:
        Unauthenticated: ``credential.malformed``, another scheme than Bearer; ``credential.too_large``.
    """
    header = environ.get("HTTP_AUTHORIZATION", "")
    if header:
        scheme, _, credential = header.strip().partition(" ")
        if scheme.lower() != "bearer" or not credential.strip():
            raise Unauthenticated("credential.malformed", "The header Authorization has another form than 'Bearer <key or token>'.",
                                  next_step="Send 'Authorization: Bearer <key or token>'.")
        return checked(credential.strip()), False
    return checked(_cookie(environ.get("HTTP_COOKIE", ""))), True


def checked(credential: str) -> str:
    """The credential, if it is not longer than any can be.

    Raises:
        Unauthenticated: ``credential.too_large``.
    """
    if len(credential) > MAX_BYTES:
        raise Unauthenticated("credential.too_large", f"The credential has {len(credential)} characters; at most {MAX_BYTES} are read.",
                              next_step="Ask the issuer for tokens with fewer claims.")
    return credential


def _cookie(header: str) -> str:
    for part in header.split(";") if "edgemere_session=" in header else ():
        name, _, value = part.strip().partition("=")
        if name in (COOKIE, SECURE_COOKIE):
            return value.strip('"')
    return ""


class Origin:
    """Where a request really came from, behind the proxies that are trusted (addresses or networks)."""

    def __init__(self, trusted: tuple[str, ...]) -> None:
        self._trusted = [ipaddress.ip_network(text, strict=False) for text in trusted]

    def address(self, environ: Mapping[str, Any]) -> str:
        """The address of the client: of what the proxies say, the last one that is not a proxy itself."""
        address = str(environ.get("REMOTE_ADDR") or "")
        if not self._trusted or not self._is_trusted(address):
            return address
        for said in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
            said = said.strip().strip("[]")
            if not _is_address(said):
                return address
            address = said
            if not self._is_trusted(said):
                break
        return address

    def scheme(self, environ: Mapping[str, Any]) -> str:
        """``https`` where the client speaks TLS with the proxy, as that says."""
        said = environ.get("HTTP_X_FORWARDED_PROTO", "").strip().lower()
        if said in ("http", "https") and self._trusted and self._is_trusted(str(environ.get("REMOTE_ADDR") or "")):
            return said
        return str(environ.get("wsgi.url_scheme") or "http")

    def _is_trusted(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._trusted if network.version == found.version)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def neighbourhood(address: str) -> str:
    """What counts as one address: of IPv6 the network of 64 bits, which one household has."""
    if ":" not in address:
        return address
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped) if mapped else str(ipaddress.ip_network(f"{address}/64", strict=False).network_address)
