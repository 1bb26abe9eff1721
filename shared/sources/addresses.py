"""Which servers may be reached: no internal address unless the policy names it, judged for every connection.

A name is resolved once and the connection goes to the address that was judged, so that a name which answers
differently the second time gains nothing. Knows no HTTP.
"""
from __future__ import annotations

import ipaddress
import socket

from shared.kernel.errors import Denied, EdgemereError, Unavailable
from shared.sources.port import SourcePolicy

_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")


def connect(host: str, port: int, policy: SourcePolicy, timeout_s: float) -> socket.socket:
    """A connection to the first address of ``host`` that the policy allows and that answers.

    Raises:
        Denied: ``source.address_not_allowed``: before anything was sent anywhere but to the resolver.
        Unavailable: ``source.unreachable``.
    """
    refused: EdgemereError | None = None
    failed: OSError | None = None
    for family, kind, protocol, _, address in _resolve(host, port):
        if not is_allowed(host, str(address[0]), port, policy):
            refused = not_allowed(host)
            continue
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(timeout_s)
            connection.connect(address)
            return connection
        except OSError as error:
            connection.close()
            failed = error
    if failed is None and refused is not None:
        raise refused
    raise unreachable(host, failed or "it has no address")


def check_reachable(host: str, port: int, policy: SourcePolicy) -> None:
    """Judge a server that another client will connect to by itself: every address that it has now must be allowed.

    Raises:
        Denied: ``source.address_not_allowed``.
        Unavailable: ``source.unreachable``: it has no address.
    """
    for _, _, _, _, address in _resolve(host, port):
        if not is_allowed(host, str(address[0]), port, policy):
            raise not_allowed(host)


def _resolve(host: str, port: int) -> list[tuple]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise unreachable(host, error) from None


def is_allowed(host: str, address: str, port: int, policy: SourcePolicy) -> bool:
    """Whether ``address``, to which ``host`` resolved, is public or named by the policy."""
    found = _plain(address)
    return found.is_global and not found.is_multicast or any(_names(entry, host, found, port) for entry in policy.allowed_hosts)


def literal_allowed(host: str, port: int, policy: SourcePolicy) -> bool:
    """False only for an address, or ``localhost``, that the policy forbids; a name is judged when it is resolved."""
    if host.lower().rstrip(".") == "localhost" or host.lower().rstrip(".").endswith(".localhost"):
        return is_allowed(host, "127.0.0.1", port, policy)
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return True
    return is_allowed(host, host, port, policy)


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        # An IPv4 address in IPv6 clothes is judged as what it leads to.
        if found.ipv4_mapped:
            return found.ipv4_mapped
        if found.sixtofour:
            return found.sixtofour
        if found in _TRANSLATED:
            return ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    return found


def _names(entry: str, host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> bool:
    name, colon, number = entry.rpartition(":")
    if colon and number.isdigit() and (":" not in name or name.startswith("[")):
        if int(number) != port:
            return False
        entry = name.strip("[]")
    if entry.lower() == host.lower():
        return True
    try:
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def not_allowed(host: str) -> EdgemereError:
    """``source.address_not_allowed``."""
    return Denied("source.address_not_allowed", f"'{host}' is an internal address, which sources may not reach.",
                  next_step="Use a public server, or name this one in sources.allowed_hosts in the configuration.")


def unreachable(host: str, why: object) -> EdgemereError:
    """``source.unreachable``; another attempt can help."""
    return Unavailable("source.unreachable", f"'{host}' cannot be reached: {getattr(why, 'strerror', None) or why}.",
                       next_step="Look at the network and the server, then retry.")

