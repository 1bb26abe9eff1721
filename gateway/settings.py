"""What the gateway is told by the composition root. Every figure has its unit in its name; nothing is read from files here."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.kernel.rights import ROLES
from shared.kernel.errors import Invalid
from shared.kernel.version import VERSION


@dataclass(frozen=True)
class JwtSettings:
    """Which tokens are taken; ``jwks`` empty takes none. ``roles`` maps what the issuer calls roles to ours."""

    issuer: str = ""
    audience: str = ""
    jwks: str = ""
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    leeway_s: float = 30
    owner_claim: str = "sub"
    roles_claim: str = "roles"
    roles: Mapping[str, str] = field(default_factory=dict)
    refetch_s: float = 30


@dataclass(frozen=True)
class Settings:
    """The settings of one gateway.

    ``owner`` is whom calls without credentials belong to (embedded: the user's name). ``host`` and ``port`` are
    where it listens; a host that is not the loopback interface needs ``authenticated``: everybody shows a key
    (but not where they are not taken: ``takes_keys``), a token or a session. ``*_rates`` are rates such as ``100/second``. ``allowed_hosts`` are
    further names that the ``Host`` header may have (with or without port), ``allowed_origins`` further origins whose
    pages may change something. ``services`` must answer ``health`` before the gateway is ready; empty means every
    service of the action table. ``wait_s`` replaces the wait of the rows that wait without being asked to.
    For a WebSocket, ``socket_calls`` is how many calls it may have under way, ``max_waiting_*`` what may lie unread for
    it, ``slow_s`` how long it may take to read half of that before it is dropped, and ``goodbye_s`` how long to hear why.
    """

    owner: str
    roles: tuple[str, ...] = ROLES
    host: str = "127.0.0.1"
    port: int = 3000
    authenticated: bool = False
    takes_keys: bool = True
    key_cache_s: float = 5
    session_s: float = 12 * 3600
    fresh_s: float = 900
    jwt: JwtSettings = JwtSettings()
    owner_rates: tuple[str, ...] = ()
    address_rates: tuple[str, ...] = ()
    wrong_rates: tuple[str, ...] = ("20/minute",)
    wrong_of_key_rates: tuple[str, ...] = ("100/hour",)
    trusted_proxies: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    version: str = VERSION
    query_timeout_s: float = 10
    command_timeout_s: float = 30
    health_timeout_s: float = 2
    wait_s: float | None = None
    max_wait_s: float = 300
    recheck_s: float = 5
    heartbeat_s: float = 15
    socket_timeout_s: float = 30
    max_body_bytes: int = 1024 * 1024
    max_url_bytes: int = 64 * 1024
    max_depth: int = 32
    max_connections: int = 1000
    max_streams: int = 500
    max_sockets: int = 1200
    max_message_bytes: int = 1024 * 1024
    socket_messages_per_s: float = 100
    socket_calls: int = 16
    socket_subscriptions: int = 32
    max_waiting_messages: int = 1000
    max_waiting_bytes: int = 4 * 1024 * 1024
    slow_s: float = 15
    goodbye_s: float = 5
    ping_s: float = 60
    stop_s: float = 3


def from_config(config: Any) -> Settings:
    """The gateway's settings out of those of the product (``shared.hosting.settings.Config``).

    Raises:
        Invalid: ``config.invalid``, tokens are to be taken, and it is not said whose or for whom; or neither keys nor tokens are taken.
    """
    web, auth, given = config.web, config.auth, config.auth.jwt
    if given.jwks and not (given.issuer and given.audience and given.algorithms):
        raise Invalid("config.invalid", "auth.jwt.jwks is given, and one of issuer, audience and algorithms is not: any token "
                      "of anybody's could be meant.", next_step="Give auth.jwt.issuer and auth.jwt.audience.")
    if auth.keys == "never" and not given.jwks:
        raise Invalid("config.invalid", "auth.keys is 'never', and no tokens are taken either: nobody could log in.",
                      next_step="Give auth.jwt.jwks, or take keys (auth.keys: taken).")
    tokens = JwtSettings(given.issuer, given.audience, given.jwks, given.algorithms, given.leeway_s, given.owner_claim,
                         given.roles_claim, given.roles, given.refetch_s)
    return Settings(
        owner=config.owner.default, host=web.host, port=web.port, allowed_hosts=web.allowed_hosts,
        allowed_origins=web.allowed_origins, query_timeout_s=config.rpc.timeout_s,
        command_timeout_s=max(config.rpc.timeout_s, Settings.command_timeout_s), wait_s=config.requests.wait_s,
        socket_timeout_s=web.socket_timeout_s, max_body_bytes=web.max_body_bytes, max_depth=web.max_depth,
        max_connections=web.max_connections, max_sockets=web.max_sockets, max_message_bytes=web.max_message_bytes,
        socket_messages_per_s=web.socket_messages_per_s, authenticated=auth.mode == "required", takes_keys=auth.keys == "taken", key_cache_s=auth.cache_s,
        session_s=auth.session_s, fresh_s=auth.fresh_s, jwt=tokens, owner_rates=config.limits.owner, address_rates=config.limits.address,
        wrong_rates=config.limits.wrong_credentials, wrong_of_key_rates=config.limits.wrong_of_key, trusted_proxies=web.trusted_proxies,
    )
