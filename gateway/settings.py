"""What the gateway is told by the composition root. Every figure has its unit in its name; nothing is read from files here."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ROLES = ("DataScientist", "ApplicationDeveloper", "DataEngineer", "Administrator")


@dataclass(frozen=True)
class Settings:
    """The settings of one gateway.

    ``owner`` is whom calls without credentials belong to (embedded: the user's name). ``host`` and ``port`` are
    where it listens; a host that is not the loopback interface needs ``authenticated``. ``allowed_hosts`` are
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
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    version: str = "0.1.0"
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
    """The gateway's settings out of those of the product (``shared.hosting.settings.Config``)."""
    web = config.web
    return Settings(
        owner=config.owner.default, host=web.host, port=web.port, allowed_hosts=web.allowed_hosts,
        allowed_origins=web.allowed_origins, query_timeout_s=config.rpc.timeout_s,
        command_timeout_s=max(config.rpc.timeout_s, Settings.command_timeout_s), wait_s=config.requests.wait_s,
        socket_timeout_s=web.socket_timeout_s, max_body_bytes=web.max_body_bytes, max_depth=web.max_depth,
        max_connections=web.max_connections, max_sockets=web.max_sockets, max_message_bytes=web.max_message_bytes,
        socket_messages_per_s=web.socket_messages_per_s,
    )
