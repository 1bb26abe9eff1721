"""From where one may speak to the gateway: the address that it listens on, and checks of Host and Origin.

Who is calling is found out in ``gateway.callers``. Without a login the gateway answers on the loopback interface alone.
"""
from __future__ import annotations

import ipaddress
from typing import Any

from gateway.callers.credentials import Origin
from gateway.settings import Settings
from shared.kernel.errors import Denied

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})


def is_loopback(host: str) -> bool:
    """Whether an address or name to listen on is the loopback interface."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_binding(settings: Settings) -> None:
    """Refuse to listen where strangers could reach a server that asks nobody who they are.

    Raises:
        Denied: ``denied``, when ``settings.host`` is not the loopback interface and there is no authentication.
    """
    if settings.authenticated or is_loopback(settings.host):
        return
    raise Denied(
        "denied", f"The gateway does not listen on {settings.host or 'every interface'} without authentication: "
        "everybody who reaches that address could use the data.",
        next_step="Set auth.mode to required (EDGEMERE_AUTH=required; docs/security.md), or use --host 127.0.0.1.",
    )


class Admission:
    """Decides for each call whether its Host and Origin are welcome."""

    def __init__(self, settings: Settings) -> None:
        self._origin = Origin(settings.trusted_proxies)
        own = settings.host if ":" not in settings.host else f"[{settings.host.strip('[]')}]"
        self._hosts = LOOPBACK_NAMES | {name.lower() for name in settings.allowed_hosts} | {own.lower()}
        self._origins = frozenset(origin.lower().rstrip("/") for origin in settings.allowed_origins)

    def check_host(self, environ: dict[str, Any]) -> None:
        """Refuse a Host that is not this server's: a page of another site cannot reach it through its own name.

        Raises:
            Denied: ``host_not_allowed``.
        """
        host = environ.get("HTTP_HOST", "").lower()
        if host in self._hosts or _without_port(host) in self._hosts:
            return
        raise Denied("host_not_allowed", f"This server does not answer for the host '{host[:100]}'.",
                     next_step="Use http://127.0.0.1 or http://localhost, or add the name to web.allowed_hosts.")

    def check_origin(self, environ: dict[str, Any]) -> None:
        """Refuse a changing call that a page of another site makes.

        Raises:
            Denied: ``origin_not_allowed``.
        """
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None:
            origin = origin.lower()
            if origin == self.own_origin(environ) or origin in self._origins:
                return
        elif environ.get("HTTP_SEC_FETCH_SITE", "").lower() != "cross-site":
            return
        raise Denied("origin_not_allowed", f"A page of {(origin or 'another site')[:100]} may not change anything here.",
                     next_step="Open the page from this server, or add its origin to web.allowed_origins.")

    def check_own_page(self, environ: dict[str, Any]) -> None:
        """Refuse a changing call with the cookie of a session that does not show that the server's own page makes it.

        The cookie is SameSite=Strict already; this holds also where a browser, or a sibling domain, gets around that.

        Raises:
            Denied: ``session.cross_site``.
        """
        origin = environ.get("HTTP_ORIGIN", "").lower()
        if origin:
            if origin == self.own_origin(environ) or origin in self._origins:
                return
        elif environ.get("HTTP_SEC_FETCH_SITE", "").lower() == "same-origin":
            return
        raise Denied("session.cross_site", "The cookie of a session is for the server's own page alone.",
                     next_step="Programs send a key: 'Authorization: Bearer …'.")

    def own_origin(self, environ: dict[str, Any]) -> str:
        """The origin of the server's own page, as this client sees it."""
        return f"{self._origin.scheme(environ)}://{environ.get('HTTP_HOST', '').lower()}"


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[: host.find("]") + 1]
    name, _, port = host.partition(":")
    return name if not port or port.isdigit() else host
