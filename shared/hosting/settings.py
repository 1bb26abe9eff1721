"""Every setting of the product, with its type and bounds. Values and comments for people are in ``config.yaml``.

A new setting is one line here and one commented line there. Reads no file and no environment (see ``config.py``).
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import fields
from marshmallow.validate import OneOf, Range

from shared.hosting.setting_kinds import Address, Budgets, Networks, Quotas, Rates, Seconds, Waits, Words, count, key
from shared.kernel.digests import ALGORITHMS
from shared.kernel.rights import ROLES

ENVIRONMENTS = ("dev", "test", "prod")


@dataclass(frozen=True, kw_only=True)
class Web:
    host: str = key(fields.String())
    port: int = key(count(0, 65535))
    max_body_bytes: int = key(count(1024))
    max_depth: int = key(count(4, 200))
    max_connections: int = key(count(8))
    max_sockets: int = key(count(0))
    max_message_bytes: int = key(count(1024))
    socket_messages_per_s: float = key(fields.Float(validate=Range(min=1)))
    socket_timeout_s: float = key(Seconds(1))
    allowed_hosts: tuple[str, ...] = key(Words())
    allowed_origins: tuple[str, ...] = key(Words())
    trusted_proxies: tuple[str, ...] = key(Networks())


@dataclass(frozen=True, kw_only=True)
class Jwt:
    issuer: str = key(fields.String())
    audience: str = key(fields.String())
    jwks: str = key(fields.String())
    algorithms: tuple[str, ...] = key(Words("RS256", "ES256"))
    leeway_s: float = key(Seconds(0, 300))
    owner_claim: str = key(fields.String())
    roles_claim: str = key(fields.String())
    roles: Mapping[str, str] = key(fields.Dict(keys=fields.String(), values=fields.String(validate=OneOf(ROLES))))
    refetch_s: float = key(Seconds(1))


@dataclass(frozen=True, kw_only=True)
class Auth:
    mode: str = key(fields.String(validate=OneOf(["none", "required"])))
    keys: str = key(fields.String(validate=OneOf(["taken", "never"])))
    cache_s: float = key(Seconds(0, 60))
    session_s: float = key(Seconds(60, 30 * 86400))
    session_idle_s: float = key(Seconds(1, 30 * 86400))
    fresh_s: float = key(Seconds(0, 30 * 86400))
    bootstrap_key_file: str = key(fields.String())
    bootstrap_owner: str = key(fields.String())
    bootstrap_lifetime_s: float = key(Seconds(60, 30 * 86400))
    jwt: Jwt


@dataclass(frozen=True, kw_only=True)
class Limits:
    owner: tuple[str, ...] = key(Rates())
    address: tuple[str, ...] = key(Rates())
    wrong_credentials: tuple[str, ...] = key(Rates())
    wrong_of_key: tuple[str, ...] = key(Rates())


@dataclass(frozen=True, kw_only=True)
class Audit:
    retention_days: float = key(fields.Float(validate=Range(min=1)))
    key: str = key(fields.String(), secret=True)


@dataclass(frozen=True, kw_only=True)
class DigestSettings:
    made_with: str = key(fields.String(validate=OneOf(ALGORITHMS)))
    believed: tuple[str, ...] = key(Words(*ALGORITHMS))


@dataclass(frozen=True, kw_only=True)
class Tls:
    ca: str = key(fields.String())
    cert: str = key(fields.String())
    private_key: str = key(fields.String())
    verify: bool = key(fields.Boolean())


@dataclass(frozen=True, kw_only=True)
class DatabaseTls(Tls):
    required: bool = key(fields.Boolean())


@dataclass(frozen=True, kw_only=True)
class Broker:
    uri: str = key(Address("embedded", "amqp", "amqps", "pyamqp"))
    tls: Tls
    heartbeat_s: float = key(Seconds(1, 600))


@dataclass(frozen=True, kw_only=True)
class Foreign:
    owner: str = key(fields.String())
    roles: tuple[str, ...] = key(Words(*ROLES))


@dataclass(frozen=True, kw_only=True)
class Bus:
    secret: str = key(fields.String(), secret=True)
    secret_file: str = key(fields.String())
    also_secret: str = key(fields.String(), secret=True)
    also_secret_file: str = key(fields.String())
    foreign: Foreign


@dataclass(frozen=True, kw_only=True)
class DatabaseSettings:
    url: str = key(Address("sqlite", "postgresql+psycopg2", "postgresql", "postgres", empty=True))
    tls: DatabaseTls
    pool_size: int = key(count(1, 1000))
    statement_timeout_s: float = key(Seconds(0.1))


@dataclass(frozen=True, kw_only=True)
class HealthSettings:
    host: str = key(fields.String())
    port: int = key(count(0, 65535))
    stuck_s: float = key(Seconds(1))
    figures_every_s: float = key(Seconds(0.1))
    least_room_bytes: int = key(count(0))


@dataclass(frozen=True, kw_only=True)
class Supervision:
    backoff_s: tuple[float, ...] = key(Waits())
    settled_s: float = key(Seconds(0))
    start_s: float = key(Seconds(1))
    probe_every_s: float = key(Seconds(0.1))
    probe_timeout_s: float = key(Seconds(0.1))
    probe_failures: int = key(count(1, 100))
    stop_s: float = key(Seconds(0.1))


@dataclass(frozen=True, kw_only=True)
class Owner:
    default: str = key(fields.String())


@dataclass(frozen=True, kw_only=True)
class Rpc:
    timeout_s: float = key(Seconds(0.1, 600))
    max_workers: int = key(count(1, 1000))


@dataclass(frozen=True, kw_only=True)
class Requests:
    default_deadline_s: float = key(Seconds(1))
    default_wait_deadline_s: float = key(Seconds(1))
    wait_s: float = key(Seconds(0, 600))
    wait_retry_s: tuple[float, ...] = key(Waits())
    max_candidates: int = key(count(1))
    quiet_s: float = key(Seconds(1))
    assumed_mib_per_s: float = key(fields.Float(validate=Range(min=0.001)))
    swap_grace_s: float = key(Seconds(0))


@dataclass(frozen=True, kw_only=True)
class Reservations:
    claim_ttl_s: float = key(Seconds(1))
    backfill_s: float = key(Seconds(0))
    standbys: int = key(count(0, 100))


@dataclass(frozen=True, kw_only=True)
class Inspect:
    types: str = key(fields.String(validate=OneOf(["off", "warn", "refuse"])))
    scanner: str = key(Address("unix", "tcp", empty=True))
    # A mover of which nothing is heard for longer is given up.
    scanner_timeout_s: float = key(Seconds(1, 240))
    scanner_max_bytes: int = key(count(1))
    above: str = key(fields.String(validate=OneOf(["refuse", "pass"])))
    in_place: bool = key(fields.Boolean())


@dataclass(frozen=True, kw_only=True)
class Instances:
    grace_s: float = key(Seconds(0))
    expiring_s: float = key(Seconds(0))
    mover_workers: int = key(count(1, 64))
    copy_retries: int = key(count(0, 100))
    default_target: str = key(fields.String())
    content_host: str = key(fields.String())
    content_port: int = key(count(0, 65535))
    verify: str = key(fields.String(validate=OneOf(["cache", "device"])))
    fuse: str = key(fields.String(validate=OneOf(["auto", "never"])))
    inspect: Inspect


@dataclass(frozen=True, kw_only=True)
class Events:
    retention_days: float = key(fields.Float(validate=Range(min=0, min_inclusive=False)))
    retry_backoff_s: tuple[float, ...] = key(Waits())
    batch: int = key(count(1, 10_000))


@dataclass(frozen=True, kw_only=True)
class RetentionSettings:
    inbox_s: float = key(Seconds(3600))
    idempotency_s: float = key(Seconds(60))
    history_s: float = key(Seconds(60))
    removal_s: float = key(Seconds(0, 86400))


@dataclass(frozen=True, kw_only=True)
class Sources:
    allowed_roots: tuple[str, ...] = key(Words())
    allowed_hosts: tuple[str, ...] = key(Words())
    secret_variables: tuple[str, ...] = key(Words())
    allow_internal_addresses: bool = key(fields.Boolean())
    scan_on_start: bool = key(fields.Boolean())


@dataclass(frozen=True, kw_only=True)
class Reaping:
    every_s: float = key(Seconds(0))
    high: float = key(fields.Float(validate=Range(min=0, max=1)))
    low: float = key(fields.Float(validate=Range(min=0, max=1)))


@dataclass(frozen=True, kw_only=True)
class Policies:
    file: str = key(fields.String())


@dataclass(frozen=True, kw_only=True)
class Costs:
    weights: Mapping[str, float] = key(fields.Dict(
        keys=fields.String(validate=OneOf(["transfer", "storage", "requests", "time"])), values=fields.Float(validate=Range(min=0)),
    ))
    expected_reads: float = key(fields.Float(validate=Range(min=0, max=1e9)))


@dataclass(frozen=True, kw_only=True)
class Log:
    level: str = key(fields.String(validate=OneOf(["debug", "info", "warning", "error"])))
    format: str = key(fields.String(validate=OneOf(["auto", "text", "json"])))


@dataclass(frozen=True, kw_only=True)
class TracingSettings:
    endpoint: str = key(Address("http", "https", empty=True))
    sample: float = key(fields.Float(validate=Range(min=0, max=1)))


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of one process, checked and complete; ``environment`` is ``dev``, ``test`` or ``prod``."""

    environment: str = key(fields.String(validate=OneOf(ENVIRONMENTS)))
    data_dir: str = key(fields.String())
    web: Web
    auth: Auth
    limits: Limits
    audit: Audit
    digests: DigestSettings
    broker: Broker
    bus: Bus
    database: DatabaseSettings
    health: HealthSettings
    supervisor: Supervision
    owner: Owner
    rpc: Rpc
    requests: Requests
    reservations: Reservations
    instances: Instances
    events: Events
    retention: RetentionSettings
    sources: Sources
    reaping: Reaping
    policies: Policies
    costs: Costs
    budgets: Mapping[str, Mapping[str, Any]] = key(Budgets())
    quotas: Mapping[str, Mapping[str, int]] = key(Quotas())
    log: Log
    tracing: TracingSettings
