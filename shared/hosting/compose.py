"""The composition root: which parts a process has and what each is given. The only place that knows them all.

Services are found by name, so that nothing in ``shared`` imports upward.
"""
from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from sqlalchemy import delete

from shared.bus.pace import Pace
from shared.bus.relay import Calls, Relay
from shared.bus.seal import Seal
from shared.bus.topology import BASE, INTERNAL, Topology
from shared.contracts.table import SERVICES
from shared.hosting import looks
from shared.hosting.config import database_url
from shared.hosting.entrypoints import topology_of
from shared.hosting.figures import Figures
from shared.hosting.here import Here
from shared.hosting.live import LiveFeed
from shared.hosting.settings import Config
from shared.hosting.source_policy import source_policy
from shared.hosting.tracing import Tracing
from shared.hosting.uses import Uses
from shared.hosting.vitals import Vitals
from shared.hosting.workers import WorkerPool
from shared.kernel.trace import NO_TRACER
from shared.storage.database import Database, make_engine
from shared.storage.group_commit import GroupCommit
from shared.storage.migrate import migrate
from shared.storage.outbox import Outbox
from shared.storage.retention import Retention


@dataclass
class Service:
    """One composed service: its Nameko class, what its handlers use, and what must be stopped with it."""

    name: str
    kind: type
    uses: Uses
    relay: Relay
    stops: list[Callable[[], None]] = field(default_factory=list)


def open_database(config: Config, service: str) -> Database:
    """A service's database, brought to the current schema.

    Raises:
        Unavailable: ``database.unavailable``. Invalid: ``database.newer``.
    """
    module = importlib.import_module(f"services.{service}.models")
    engine = make_engine(database_url(config, service), service, pool_size=config.database.pool_size,
                         statement_timeout_s=config.database.statement_timeout_s)
    database = Database(engine, module.METADATA)
    try:
        with database.translating():
            migrate(service, engine)
    except BaseException:
        database.close()
        raise
    if database.is_sqlite:
        # The data folder is ours alone, so whoever held a lease is dead; nobody need wait for its end.
        with database.transaction() as uow:
            uow.connection.execute(delete(module.METADATA.tables["lease"]))
    return database


def compose(config: Config, name: str, broker: Any, pace: Pace, vitals: Vitals, figures: Figures, seal: Seal,
            tracing: Tracing | None = None) -> Service:
    """One service with its database, relay and workers; nothing of it runs yet.

    Raises:
        Unavailable: its database does not answer. EdgemereError: its database is of a newer version, or its policy
            file cannot be used.
    """
    db = open_database(config, name)
    calls = Calls(broker, name)
    relay = Relay(db, Outbox(db.metadata), broker, name=name, pace=pace, seal=seal, call_others=calls.say)
    db.on_commit = relay.wake
    vitals.use("database", db.look, apart=lambda: db.is_there_for_others())
    _count(figures, name, relay, db, vitals)
    uses = Uses(name, db, config, retention=Retention(db, config.retention), vitals=vitals, figures=figures,
                tracer=tracing.tracer(name) if tracing else NO_TRACER)
    service = Service(name, _class_of(name), uses, relay)
    parts = PARTS.get(name)
    if parts:
        parts(service, config, broker, seal)
    if not db.is_sqlite:
        # There may be replicas.
        feed = LiveFeed(broker.uri, [(INTERNAL, calls.key)], lambda key, body: calls.heard(body, relay), relay.wake)
        feed.start(wait_s=0)
        service.stops.append(feed.close)
    service.stops.append(db.close)
    return service


def _count(figures: Figures, name: str, relay: Relay, db: Database, vitals: Vitals) -> None:
    figures.counter("edgemere_outbox_published", "Messages that this process has published.", name, lambda: relay.published)
    figures.counter("edgemere_outbox_failures", "Times that broker or database refused this process's relay.", name, lambda: relay.failures)
    figures.gauge("edgemere_ready", "Whether the service can work now: 1, else 0.", name, lambda: float(vitals.ready()[0]))
    if not db.is_sqlite:
        figures.gauge("edgemere_database_connections", "Connections in use.", name, lambda: db.connections_in_use())
        figures.gauge("edgemere_database_connections_max", "Connections that the service may have in use.", name, lambda: db.most_connections())
        figures.samples.add(looks.clock_skew(name, db))
    figures.samples.add(looks.outbox(name, db))
    # A counter that begins with its first count shows no increase at it.
    for what in SWEPT.get(name, ()):
        figures.caught(name, what, 0)
    counted = looks.objects(db)
    if counted is not None:
        figures.samples.add(counted)


SWEPT = {
    "requests": ("announced_again",), "catalog": ("scans_resumed",),
    "instances": ("moves_resumed", "removals_finished", "undos_given_up"),
}
"""What the sweepers of each service count, under the names that ``Uses.caught`` is given."""


def _class_of(name: str) -> type:
    return getattr(importlib.import_module(f"services.{name}.service"), name.capitalize())


def _worker(module: str) -> list[str]:
    return [sys.executable, "-m", module]


def _requests(service: Service, config: Config, broker: Any, seal: Seal) -> None:
    creating = importlib.import_module("services.requests.creating")
    turns = importlib.import_module("services.requests.turns")
    service.uses = replace(service.uses, parts={"numbered": GroupCommit(partial(creating.create, service.uses.db)), "health": turns.Health()})


def _instances(service: Service, config: Config, broker: Any, seal: Seal) -> None:
    content = importlib.import_module("services.instances.content")
    moving = importlib.import_module("services.instances.moving")
    policy = source_policy(config)
    pool = WorkerPool(_worker("services.instances.mover"), size=config.instances.mover_workers, name="mover")
    bytes_server = content.ByteServer(policy, pool)
    keeper = importlib.import_module("services.instances.fuse.keeper").Keeper(
        _worker("services.instances.fuse"), os.path.join(config.data_dir, "fuse"), config.instances.fuse, policy.as_json(),
        1 / config.instances.mover_workers)
    movers = moving.Movers(pool, policy.as_json(), os.path.join(config.data_dir, "mounts"), keeper)
    service.uses = replace(service.uses, parts={"movers": movers, "bytes": bytes_server})
    for op in ("verify", "copy", "mount", "restore"):
        service.uses.figures.moved(op, 0, 0, 0)
    service.stops += [pool.stop, keeper.stop]


def _catalog(service: Service, config: Config, broker: Any, seal: Seal) -> None:
    policy = source_policy(config)
    pool = WorkerPool(_worker("services.catalog.scanner"), size=1, name="scanner")
    claims = importlib.import_module("services.catalog.claims")
    service.uses = replace(service.uses, parts={
        "scanner": pool, "policy": policy, "claims": GroupCommit(partial(claims.grant, service.uses.db)),
        "readers": importlib.import_module("services.catalog.reading").Readers()})
    service.uses.figures.samples.add(importlib.import_module("services.catalog.figures").look(service.uses.db))
    service.stops.append(pool.stop)


def _reservations(service: Service, config: Config, broker: Any, seal: Seal) -> None:
    live = importlib.import_module("services.reservations.policy.live")
    together = importlib.import_module("services.reservations.together")
    policies = live.PolicyFile(config.policies.file or None)
    no_fuse = importlib.import_module("services.reservations.mounting").NoFuse()
    service.uses = replace(service.uses, parts={
        "policies": policies, "no_fuse": no_fuse, "done": together.Done(), "under_way": together.UnderWay(), "calls": GroupCommit(together.take),
        "stored": importlib.import_module("services.reservations.keeping").Stored()})
    service.stops.append(policies.stop)


def _events(service: Service, config: Config, broker: Any, seal: Seal) -> None:
    uses = service.uses
    importlib.import_module("shared.hosting.first_key").take_from_file(config, uses.db)
    durations = importlib.import_module("services.events.durations").Durations(uses.figures.lasted)
    dead = importlib.import_module("services.events.dead")
    uses.figures.samples.add(looks.queues(broker))
    uses.figures.samples.add(looks.states("edgemere_dead_letters", "Dead letters that were not replayed.", "queue", lambda: dead.by_queue(uses)))
    service.uses = replace(uses, parts={"broker": broker, "durations": durations, "seal": seal})


PARTS: dict[str, Callable[[Service, Config, Any, Seal], None]] = {
    "requests": _requests, "instances": _instances, "catalog": _catalog, "reservations": _reservations, "events": _events,
}


def whole_topology(config: Config) -> Topology:
    """What every service needs on the broker, wherever it runs: declared before the first message of any of them."""
    found = BASE
    for name in SERVICES:
        found += topology_of_service(name, config)
    return found


def topology_of_service(name: str, config: Config) -> Topology:
    """What one service needs on the broker."""
    return topology_of(_class_of(name), config.events.retry_backoff_s)


def nameko_config(config: Config, pace: Pace, vitals: Mapping[str, Vitals], figures: Figures, seal: Seal,
                  tracing: Tracing | None = None) -> dict[str, Any]:
    """What Nameko's containers read, with the parts of our own under keys in capitals; ``USES`` is filled as services are composed."""
    return {
        "AMQP_URI": config.broker.uri, "HEARTBEAT": round(config.broker.heartbeat_s), "serializer": "json",
        "max_workers": config.rpc.max_workers, "rpc_timeout_s": config.rpc.timeout_s,
        "retry_backoff_s": config.events.retry_backoff_s, "event_batch": config.events.batch, "parent_calls_tracked": 5,
        "USES": {}, "CONFIG": config, "PACE": pace, "VITALS": vitals, "FIGURES": figures, "SEAL": seal, "TRACING": tracing, "HERE": Here(),
    }
