"""Every setting of the product, with its type and bounds. Values and comments for people are in ``config.yaml``.

A new setting is one line here and one commented line there. Reads no file and no environment (see ``config.py``).
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, fields
from marshmallow.validate import OneOf, Range

from shared.kernel.clock import parse_duration
from shared.kernel.rights import ROLES

ENVIRONMENTS = ("dev", "test", "prod")


class Words(fields.List):
    """A list of texts, written as a list or, as environment variables must, separated by commas; each one of ``known``, if any."""

    def __init__(self, *known: str) -> None:
        super().__init__(fields.String(validate=OneOf(known) if known else None))

    def _deserialize(self, value: Any, attr: Any, data: Any, **more: Any) -> tuple[str, ...]:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        return tuple(super()._deserialize(value, attr, data, **more))


class Networks(Words):
    """Addresses and networks, such as 10.0.0.0/8."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **more: Any) -> tuple[str, ...]:
        found = super()._deserialize(value, attr, data, **more)
        for text in found:
            try:
                ip_network(text, strict=False)
            except ValueError:
                raise ValidationError(f"'{text}' is no address or network such as 10.0.0.0/8.") from None
        return found


class Rates(Words):
    """How often something may be done: ``100/second``, ``6000/minute``, ``20 per 5 minutes``; none is no bound."""

    _RATE = re.compile(r"[1-9]\d{0,8}\s*(/|per)\s*(\d+\s*)?(second|minute|hour|day)s?", re.IGNORECASE)

    def _deserialize(self, value: Any, attr: Any, data: Any, **more: Any) -> tuple[str, ...]:
        found = super()._deserialize(value, attr, data, **more)
        for text in found:
            if not self._RATE.fullmatch(text.strip()):
                raise ValidationError(f"'{text}' is no rate such as 100/second or 6000/minute.")
        return found


class Seconds(fields.Field):
    """A duration as a number of seconds or as ``90m``; at least ``least``, at most ``most`` seconds."""

    def __init__(self, least: float = 0, most: float | None = None) -> None:
        super().__init__(validate=Range(min=least, max=most))

    def _deserialize(self, value: Any, attr: Any, data: Any, **more: Any) -> float:
        try:
            return parse_duration(float(value) if str(value).replace(".", "", 1).isdigit() else value)
        except (ValueError, TypeError) as error:
            raise ValidationError(str(error)) from error


class Waits(fields.List):
    """The seconds before each further attempt."""

    def __init__(self) -> None:
        super().__init__(Seconds())

    def _deserialize(self, value: Any, attr: Any, data: Any, **more: Any) -> tuple[float, ...]:
        return tuple(super()._deserialize(value.split(",") if isinstance(value, str) else value, attr, data, **more))


class Budgets(fields.Field):
    """Budgets by owner, ``*`` for everybody else: ``{owner: {period, bytes, money}}``; a figure that is not given has no bound.

    Becomes ``{owner: {"period_s", "bytes", "money"}}``. Bytes are a whole number, or a text such as ``10GiB``.
    """

    def _deserialize(self, value: Any, attr: Any, data: Any, **more: Any) -> dict[str, dict[str, Any]]:
        if not isinstance(value or {}, Mapping):
            raise ValidationError("Budgets are a mapping from owners, or '*', to {period, bytes, money}.")
        return {str(owner): self._budget(str(owner), given) for owner, given in (value or {}).items()}

    @staticmethod
    def _budget(owner: str, given: Any) -> dict[str, Any]:
        if not isinstance(given, Mapping):
            raise ValidationError(f"The budget of '{owner}' is a mapping {{period, bytes, money}}.")
        for name in given:
            if name not in ("period", "bytes", "money"):
                raise ValidationError(f"The budget of '{owner}' has no member '{name}'; it has period, bytes and money.")
        try:
            period_s = Seconds(1).deserialize(given.get("period", "30d"))
            size = given.get("bytes")
            size = None if size is None else size_of(size) if isinstance(size, str) else count().deserialize(size)
        except (ValidationError, ValueError) as error:
            said = " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
            raise ValidationError(f"The budget of '{owner}': {said}") from None
        money = given.get("money")
        if money is not None and (isinstance(money, (bool, str)) or not 0 <= money < float("inf")):
            raise ValidationError(f"The budget of '{owner}': money is a number from 0.")
        return {"period_s": period_s, "bytes": size, "money": money}


class Quotas(fields.Field):
    """What owners may have at a time, ``*`` for everybody else: ``{owner: {requests, instances, bytes}}``.

    Bytes are a whole number, or a text such as ``10GiB``. Becomes ``{owner: {name: number}}``; what is not given has no bound.
    """

    def _deserialize(self, value: Any, attr: Any, data: Any, **more: Any) -> dict[str, dict[str, int]]:
        if not isinstance(value or {}, Mapping):
            raise ValidationError("Quotas are a mapping from owners, or '*', to {requests, instances, bytes}.")
        return {str(owner): self._quota(str(owner), given) for owner, given in (value or {}).items()}

    @staticmethod
    def _quota(owner: str, given: Any) -> dict[str, int]:
        if not isinstance(given, Mapping) or not set(given) <= {"requests", "instances", "bytes"}:
            raise ValidationError(f"The quota of '{owner}' is a mapping {{requests, instances, bytes}}.")
        try:
            return {name: size_of(size) if isinstance(size, str) and name == "bytes" else count().deserialize(size)
                    for name, size in given.items() if size is not None}
        except (ValidationError, ValueError) as error:
            said = " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
            raise ValidationError(f"The quota of '{owner}': {said}") from None


def size_of(text: str) -> int:
    """Bytes in a text such as ``10GiB``, ``500MB`` or ``1024``.

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGTP]?)(i?)B?", text.strip(), re.IGNORECASE)
    if not found:
        raise ValueError(f"'{text}' is not a number of bytes such as 10GiB.")
    base = 1024 if found[3] else 1000
    return int(float(found[1]) * base ** " KMGTP".index(found[2].upper() or " "))


class Address(fields.String):
    """A URL with one of the given schemes; its password is never shown. Empty where ``empty`` allows it."""

    def __init__(self, *schemes: str, empty: bool = False) -> None:
        super().__init__()
        self.schemes, self.empty = schemes, empty

    def _deserialize(self, value: Any, attr: Any, data: Any, **more: Any) -> str:
        text = super()._deserialize(value, attr, data, **more).strip()
        if not text and self.empty:
            return text
        if urlsplit(text).scheme not in self.schemes:
            raise ValidationError(f"This is not a URL that begins with {', '.join(f'{s}://' for s in self.schemes)}.")
        return text


def count(least: int = 0, most: int | None = None) -> fields.Integer:
    """A whole number within bounds, both included."""
    return fields.Integer(validate=Range(min=least, max=most))


def key(kind: fields.Field, *, secret: bool = False) -> Any:
    """A setting that is checked as ``kind``; a secret one is never shown."""
    return field(metadata={"kind": kind, "secret": secret}, repr=not (secret or isinstance(kind, Address)))


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
    cache_s: float = key(Seconds(0, 60))
    session_s: float = key(Seconds(60, 30 * 86400))
    bootstrap_key_file: str = key(fields.String())
    bootstrap_owner: str = key(fields.String())
    jwt: Jwt


@dataclass(frozen=True, kw_only=True)
class Limits:
    owner: tuple[str, ...] = key(Rates())
    address: tuple[str, ...] = key(Rates())
    wrong_credentials: tuple[str, ...] = key(Rates())


@dataclass(frozen=True, kw_only=True)
class Audit:
    retention_days: float = key(fields.Float(validate=Range(min=1)))
    key: str = key(fields.String(), secret=True)


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
class Instances:
    grace_s: float = key(Seconds(0))
    expiring_s: float = key(Seconds(0))
    mover_workers: int = key(count(1, 64))
    copy_retries: int = key(count(0, 100))
    default_target: str = key(fields.String())
    content_host: str = key(fields.String())
    content_port: int = key(count(0, 65535))
    verify: str = key(fields.String(validate=OneOf(["cache", "device"])))


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
