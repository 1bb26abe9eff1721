"""Who may speak to the gateway, and for whom a call runs: Host and Origin checks, the owner, the bound address.

There is no password or token here: without authentication the gateway answers on the loopback interface alone.
"""
from __future__ import annotations

import ipaddress
from typing import Any

from gateway.settings import Settings
from shared.kernel.context import Context
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
        next_step="Use --host 127.0.0.1, and a tunnel (ssh -L) to reach it from elsewhere.",
    )


class Admission:
    """Decides for each call whether its Host and Origin are welcome, and on whose behalf it runs."""

    def __init__(self, settings: Settings) -> None:
        self._context = Context(owner=settings.owner, roles=settings.roles)
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
            own = f"{environ.get('wsgi.url_scheme', 'http')}://{environ.get('HTTP_HOST', '').lower()}"
            if origin == own or origin in self._origins:
                return
        elif environ.get("HTTP_SEC_FETCH_SITE", "").lower() != "cross-site":
            return
        raise Denied("origin_not_allowed", f"A page of {(origin or 'another site')[:100]} may not change anything here.",
                     next_step="Open the page from this server, or add its origin to web.allowed_origins.")

    def context(self, environ: dict[str, Any]) -> Context:
        """For whom the call runs: the configured owner, with all roles."""
        return self._context


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[: host.find("]") + 1]
    name, _, port = host.partition(":")
    return name if not port or port.isdigit() else host
