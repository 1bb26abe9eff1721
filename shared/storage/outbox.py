"""The outbox as the relay sees it: what is to be published, shard by shard, and who holds a shard."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, MetaData, bindparam, func, select

from shared.storage import leases
from shared.storage.schema import SHARDS

__all__ = ["SHARDS", "Outbox"]


class Outbox:
    """Reads and clears the outbox of one service's database."""

    shards = SHARDS

    def __init__(self, metadata: MetaData) -> None:
        self._outbox = table = metadata.tables["outbox"]
        self._lease = metadata.tables["lease"]
        # Asked at every turn of the relay: built once.
        self._oldest = select(table).order_by(table.c.seq).limit(bindparam("most"))

    def oldest(self, connection: Connection, limit: int) -> list[Any]:
        """The oldest messages of all shards, as ``pending`` gives them."""
        return list(connection.execute(self._oldest, {"most": limit}))

    def pending(self, connection: Connection, shard: int, limit: int) -> list[Any]:
        """The oldest messages of a shard: rows with seq, id, exchange, name, object_id, headers, body."""
        table = self._outbox
        return list(connection.execute(
            select(table).where(table.c.shard == shard).order_by(table.c.seq).limit(limit)))

    def busy_shards(self, connection: Connection) -> list[int]:
        """The shards that have something to publish."""
        table = self._outbox
        # A walk along the index, one step a shard: cheap even with a hundred thousand rows waiting.
        found, last = [], -1
        while True:
            shard = connection.execute(select(func.min(table.c.shard)).where(table.c.shard > last)).scalar()
            if shard is None:
                return found
            found.append(shard)
            last = shard

    def confirmed(self, connection: Connection, seqs: Sequence[int]) -> None:
        """Forget messages that the broker has confirmed."""
        # One text for any number of them.
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("DELETE FROM outbox WHERE seq = ANY(%(seqs)s)", {"seqs": list(seqs)})
        else:
            connection.exec_driver_sql("DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each(?))", (orjson.dumps(list(seqs)).decode(),))

    def depth(self, connection: Connection) -> int:
        return connection.execute(select(func.count()).select_from(self._outbox)).scalar_one()

    def lease(self, connection: Connection, shards: Sequence[int], holder: str, ttl_s: float) -> set[int]:
        """Take or keep the right to publish shards, those that are to be had; one holder at a time, so that their order is kept."""
        taken = leases.take_all(connection, self._lease, [f"outbox.{shard}" for shard in sorted(shards)], holder, ttl_s)
        return {int(name.partition(".")[2]) for name in taken}

    def release(self, connection: Connection, shards: Sequence[int], holder: str) -> None:
        leases.give_back_all(connection, self._lease, [f"outbox.{shard}" for shard in shards], holder)
