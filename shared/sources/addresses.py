"""Which servers may be reached: no internal address unless the policy names it, judged for every connection.

A name is resolved once and the connection goes to the address that was judged, so that a name which answers
differently the second time gains nothing. Clients that resolve and connect by themselves are judged where they connect: a worker
process stands guard over every connection that it makes (``stand_guard``). Knows no HTTP.
"""
from __future__ import annotations

import ipaddress
import socket
import sys
import threading
from typing import Any

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
        _named.add((_plain(str(address[0])), port))
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


def check_reachable(host: str, port: int, policy: SourcePolicy) -> str:
    """Judge a server that another client will connect to by itself: every address that it has now must be allowed. Gives the first.

    Raises:
        Denied: ``source.address_not_allowed``.
        Unavailable: ``source.unreachable``: it has no address.
    """
    found = [str(address[0]) for _, _, _, _, address in _resolve(host, port)]
    for address in found:
        if not is_allowed(host, address, port, policy):
            raise not_allowed(host)
    if len(_named) > MOST_NAMED:
        _named.clear()
    # What the policy names is allowed at the address that it has now, and at no other that it may have a moment later.
    _named.update((_plain(address), port) for address in found)
    return found[0]


# --- the guard of a worker process -----------------------------------------------------------------------------------

class Forbidden(PermissionError):
    """A connection to an internal address that no source may reach, refused before it was tried."""


MOST_NAMED = 10_000
_named: set[tuple[Any, int]] = set()
_policy: SourcePolicy | None = None
_stands = False
_own = threading.local()


def stand_guard() -> None:
    """Judge every connection that this process makes over IP from now on, whichever client makes it. For worker processes, for good.

    Until ``guarded_by`` says by which policy, none is made.
    """
    global _stands
    if not _stands:
        _stands = True
        sys.addaudithook(_judge)


def guarded_by(policy: SourcePolicy) -> None:
    """The policy by which connections are judged where a guard stands; it is one for all sources of a process."""
    global _policy
    _policy = policy


def connect_own(host: str, port: int, timeout_s: float) -> socket.socket:
    """A connection to what the settings name, and no source: the guard lets this one pass, and no other to the same place. Raises OSError."""
    _own.connects = True
    try:
        return socket.create_connection((host, port), timeout_s)
    finally:
        _own.connects = False


def _judge(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect" or arguments[0].family not in (socket.AF_INET, socket.AF_INET6) or getattr(_own, "connects", False):
        return
    host, port = arguments[1][:2]
    try:
        address = _plain(str(host))
    except ValueError:
        # A name: the system resolves it in the same step, so that there is nothing to judge.
        raise Forbidden(f"'{host}' was to be connected to by its name") from None
    if (address, port) not in _named and (_policy is None or not is_allowed("", str(host), port, _policy)):
        raise Forbidden(f"{host} is an internal address, which sources may not reach")


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

