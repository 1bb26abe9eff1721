"""The accounts of the services at a RabbitMQ, each with the rights that its entrypoints, events and calls need, and no more.

Made from the tables and the service classes, as the definitions that a RabbitMQ takes (``load_definitions``, ``rabbitmqctl
import_definitions``), with the exchanges and queues that no service makes by itself. Talks to no broker.

What the rights are worth: a broker knows exchanges, queues and, of a topic exchange, routing keys. So an account reads its own queues
alone, says the facts of its own service alone, and calls the methods that it has to. Who an answer is for it cannot know: whoever
learned the name of a call's reply could answer it, and that name goes to the called service alone. On whose behalf something is said
is the seal's to judge, which is of the mesh as a whole.
"""
from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.bus.accounts import EVERYBODY, GATEWAY, name_of
from shared.bus.relay import OUTBOX_WAITS
from shared.bus.topology import (
    DEAD_LETTERS, INTERNAL, LATER, PUBLIC, READS_DEAD, REPLAY, RPC, QueueSpec, Topology, is_made_by, reply_queue, rpc_queue,
)
from shared.contracts import event as contract
from shared.contracts.calls import CALLS
from shared.contracts.event import EVENTS, HANDLED
from shared.contracts.table import ACTIONS, SERVICES
from shared.hosting.compose import topology_of_service, whole_topology
from shared.hosting.live import KEYS_REVOKED, LOG_ADVANCED
from shared.hosting.settings import Config
from shared.kernel.errors import Invalid

AUDITED = "audit.changed"
PASSWORD = "{}_amqp_password"
# An answer goes to a name of its caller's making; those of calls have a point.
_REPLY = "[^.]+"
# What the broker calls a queue whose maker left that to it. It is exclusive to the connection.
_NAMELESS = re.escape("amq.gen-") + ".*"
_NOTHING = "^$"


@dataclass(frozen=True)
class Account:
    """What one service may do: patterns of names (``configure``, ``write``, ``read``), and by topic exchange those of routing keys."""

    service: str
    configure: str
    write: str
    read: str
    topics: Mapping[str, tuple[str, str]]


def account(config: Config, service: str) -> Account:
    """The rights of one service, or of the gateway."""
    listens = service != GATEWAY
    topology = topology_of_service(service, config) if listens else Topology()
    queues = [queue for queue in topology.queues if is_made_by(service, queue.name)]
    later = [exchange.name for exchange in topology.exchanges if exchange.name.startswith(LATER)] if queues else []
    heard = _heard(service, queues)
    again = _any(re.escape(queue.name) for queue in queues)
    written = [RPC, *([PUBLIC, INTERNAL] if listens else []), *([DEAD_LETTERS, *later] if queues else []), *([REPLAY] if service == READS_DEAD else [])]
    own = [*(re.escape(queue.name) for queue in queues), *([re.escape(rpc_queue(service))] if listens else []),
           re.escape(reply_queue(service, "")) + ".*", _NAMELESS]
    return Account(service, _any(own), _any([*own, *map(re.escape, written)]), _any([*own, *map(re.escape, [RPC, *heard])]), {
        RPC: (_any([*_called(service), *([_REPLY] if listens else [])]), _any([re.escape(f"{service}.*"), _REPLY])),
        PUBLIC: (_any(_said(service, contract.PUBLIC)), _any(heard.get(PUBLIC, ()))),
        INTERNAL: (_any(_said(service, contract.INTERNAL)), _any(heard.get(INTERNAL, ()))),
        DEAD_LETTERS: (again, _any(heard.get(DEAD_LETTERS, ()))),
        **{name: (again, _NOTHING) for name in later},
    })


def definitions(config: Config, passwords: Mapping[str, str], vhost: str = "mesh") -> dict[str, Any]:
    """What RabbitMQ imports: the accounts of ``passwords`` (by service), their rights, and all exchanges and queues of these settings."""
    topology = whole_topology(config)
    mine = [account(config, service) for service in EVERYBODY if service in passwords]
    return {
        "vhosts": [{"name": vhost}],
        "users": [{"name": name_of(one.service), "password_hash": _hashed(passwords[one.service]),
                   "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": []} for one in mine],
        "permissions": [{"user": name_of(one.service), "vhost": vhost, "configure": one.configure, "write": one.write, "read": one.read}
                        for one in mine],
        "topic_permissions": [{"user": name_of(one.service), "vhost": vhost, "exchange": exchange, "write": write, "read": read}
                              for one in mine for exchange, (write, read) in one.topics.items()],
        "exchanges": [{"name": exchange.name, "vhost": vhost, "type": exchange.kind, "durable": True, "auto_delete": False, "internal": False,
                       "arguments": {}} for exchange in topology.exchanges],
        "queues": [{"name": queue.name, "vhost": vhost, "durable": True, "auto_delete": False, "arguments": dict(queue.arguments)}
                   for queue in topology.queues],
        "bindings": [{"source": exchange, "vhost": vhost, "destination": queue.name, "destination_type": "queue", "routing_key": key,
                      "arguments": {}} for queue in topology.queues for exchange, key in queue.bindings],
    }


def passwords_in(folder: str | Path) -> dict[str, str]:
    """The passwords of the accounts, each in a file of a folder, by service.

    Raises:
        Invalid: ``accounts.password_missing``.
    """
    found = {}
    for service in EVERYBODY:
        file = Path(folder, PASSWORD.format(service))
        try:
            found[service] = file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise Invalid("accounts.password_missing", f"The password of '{service}' cannot be read: {file}: {error.strerror}.",
                          next_step="Write one into the file, such as: python3 -c 'import secrets; print(secrets.token_hex(24))'") from error
    return found


def _heard(service: str, queues: Iterable[QueueSpec]) -> dict[str, list[str]]:
    """The keys with which a service binds queues, by exchange."""
    if service == GATEWAY:
        # Its clients may follow everything that is public; what each of them sees is decided by whose it is.
        return {PUBLIC: [".*"], INTERNAL: [re.escape(LOG_ADVANCED), re.escape(KEYS_REVOKED)]}
    found: dict[str, list[str]] = {INTERNAL: [re.escape(OUTBOX_WAITS.format(service))]}
    for queue in queues:
        for exchange, key in queue.bindings:
            found.setdefault(exchange, []).append(re.escape(key))
    return found


def _called(service: str) -> list[str]:
    """The calls that a service makes; the gateway's are the actions, too."""
    calls = {f"{whom}.{method}" for whom, methods in CALLS[service].items() for method in methods}
    if service == GATEWAY:
        calls |= {action.rpc for action in ACTIONS.values()}
        calls |= {".".join(action.wait.refresh[:2]) for action in ACTIONS.values() if action.wait is not None}
    return sorted(map(re.escape, calls))


def _said(service: str, exchange: str) -> list[str]:
    """The facts that a service says: its own, and what the audit log is told; the service ``events`` says the handled ones on behalf of others."""
    if service not in SERVICES:
        return []
    names = {event.name for event in EVENTS.values() if event.service == service and event.exchange == exchange}
    if exchange == contract.INTERNAL:
        names |= {AUDITED, OUTBOX_WAITS.format(service), *([LOG_ADVANCED] if service == READS_DEAD else [])}
    elif service == READS_DEAD:
        names |= HANDLED.keys()
    return sorted(map(re.escape, names))


def _any(patterns: Iterable[str]) -> str:
    patterns = list(patterns)
    return f"^({'|'.join(patterns)})$" if patterns else _NOTHING


def _hashed(password: str) -> str:
    """A salted SHA-256, https://www.rabbitmq.com/docs/passwords. The salt is the password's own, so that the same one is written the same way."""
    salt = hashlib.sha256(f"salt of {password}".encode()).digest()[:4]
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()

