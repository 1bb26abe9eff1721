"""What is looked at for the figures of a service: its outbox, its database, its objects; and of the whole mesh, its queues."""
from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, text

from shared.bus.port import Broker, Seen
from shared.bus.relay import born
from shared.bus.topology import DEAD_QUEUE, RETRY, rpc_queue
from shared.contracts.table import SERVICES
from shared.hosting.samples import Sample, Values
from shared.nets import NETS
from shared.storage.database import Database
from shared.storage.outbox import Outbox
from shared.storage.patience import at_most

LOOK_S = 5.0
# Counting the states of many objects is worth a look once in a while only.
COUNT_EVERY_S = 15.0
_OF_SERVICE = ("service",)


def outbox(service: str, db: Database) -> Sample:
    """How many messages wait to be published, and since when."""
    table = Outbox(db.metadata)

    def read() -> Mapping[str, Values]:
        with at_most(LOOK_S), db.reading() as connection:
            rows, first = table.depth(connection), table.oldest(connection, 1)
        return {"edgemere_outbox_messages": {(service,): rows},
                "edgemere_outbox_lag_seconds": {(service,): born(first[0].id) if first else 0.0}}

    return Sample({
        "edgemere_outbox_messages": ("Messages that wait to be published.", _OF_SERVICE),
        "edgemere_outbox_lag_seconds": ("Age of the oldest message that waits to be published.", _OF_SERVICE),
    }, read, ages=frozenset({"edgemere_outbox_lag_seconds"}))


def clock_skew(service: str, db: Database) -> Sample:
    """How far the clock of this machine is before that of the database's."""
    def read() -> Mapping[str, Values]:
        began = time.time()
        with at_most(LOOK_S), db.reading() as connection:
            there = float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
        return {"edgemere_clock_skew_seconds": {(service,): (began + time.time()) / 2 - there}}

    return Sample({"edgemere_clock_skew_seconds": ("Seconds that this machine's clock is before the database's.", _OF_SERVICE)}, read)


def objects(db: Database) -> Sample | None:
    """How many objects of each class are in which state; None for a service whose classes have no states."""
    tables = {noun: db.metadata.tables[noun] for noun in NETS if noun in db.metadata.tables}
    if not tables:
        return None
    due = [0.0]

    def read() -> Mapping[str, Values]:
        if time.monotonic() < due[0]:
            return {}
        found = {(noun, state): 0.0 for noun in tables for state in NETS[noun].states}
        with at_most(LOOK_S), db.reading() as connection:
            for noun, table in tables.items():
                counted = select(table.c.state, func.count()).where(table.c.destroyed_at.is_(None)).group_by(table.c.state)
                for state, number in connection.execute(counted):
                    found[noun, state] = number
        due[0] = time.monotonic() + COUNT_EVERY_S
        return {"edgemere_objects": found}

    return Sample({"edgemere_objects": ("Objects by class and state; destroyed ones are left out.", ("class", "state"))}, read)


def queues(broker: Broker) -> Sample:
    """How many messages each queue holds, and how many consumers it has. Of the whole mesh, so one service looks."""
    rpc = [rpc_queue(service) for service in SERVICES]

    def read() -> Mapping[str, Values]:
        declared = broker.seen()
        called = dict.fromkeys(rpc, Seen(0, 0)) | broker.seen(rpc)
        # Retry queues have no consumers on purpose: their messages leave by their age.
        return {"edgemere_queue_messages": {(name,): float(queue.messages) for name, queue in declared.items()},
                "edgemere_queue_consumers": {(name,): float(queue.readers) for name, queue in (declared | called).items() if not name.startswith(RETRY)}}

    return Sample({
        "edgemere_queue_messages": (f"Messages that wait in each queue; those in {DEAD_QUEUE} are about to be put aside.", ("queue",)),
        "edgemere_queue_consumers": ("Consumers of each queue.", ("queue",)),
    }, read)


def room(data_dir: str, least_bytes: int) -> Sample:
    """The room where the process keeps its state, and how little is told as too little."""
    def read() -> Mapping[str, Values]:
        folder = Path(data_dir)
        nearest = next(path for path in (folder, *folder.parents) if path.exists())
        return {"edgemere_data_free_bytes": {(): float(shutil.disk_usage(nearest).free)},
                "edgemere_data_least_room_bytes": {(): float(least_bytes)}}

    return Sample({
        "edgemere_data_free_bytes": ("Bytes free in the file system of the data folder.", ()),
        "edgemere_data_least_room_bytes": ("Less than this is too little (health.least_room_bytes).", ()),
    }, read)


def states(name: str, about: str, label: str, read: Any) -> Sample:
    """One family with one label, read by a function that gives {label value: value}."""
    return Sample({name: (about, (label,))}, lambda: {name: {(key,): float(value) for key, value in read().items()}})
