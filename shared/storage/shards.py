"""Which shards of an outbox a relay may publish: leases that one relay has at a time, so that the order per object is kept."""
from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from shared.storage.database import Database
from shared.storage.outbox import Outbox

# Where a relay died, its shards wait until this is over.
LEASE_S = 15.0
# Who has a shard keeps it for long; so often is looked whether it is to be had.
REFUSED_S = 0.5


class Shards:
    """The shards of ``holder``, each held for ``lease_s`` seconds from when it was last taken or kept, and counted as its own while it
    lasts for ``use_s`` more. Used by one thread, but for ``look_again``.
    """

    def __init__(self, database: Database, outbox: Outbox, holder: str, *, lease_s: float = LEASE_S, use_s: float) -> None:
        self._database, self._outbox = database, outbox
        self._holder, self._lease_s, self._use_s = holder, lease_s, min(use_s, lease_s / 3)
        self._held: dict[int, float] = {}
        self._refused: dict[int, float] = {}

    def __len__(self) -> int:
        now = time.monotonic()
        return sum(until > now for until in self._held.values())

    def are_ours(self, shards: Iterable[int]) -> bool:
        """Whether all of them are ours for so long that nothing need be asked."""
        now = time.monotonic()
        return all(self._held.get(shard, 0) - now > self._lease_s / 2 for shard in shards)

    def take(self, shards: Sequence[int]) -> list[int]:
        """Those of the shards that are ours for long enough, after those were taken that are to be had."""
        now = time.monotonic()
        ending = [shard for shard in shards if self._held.get(shard, 0) - now < self._lease_s / 2 and self._refused.get(shard, 0) <= now]
        if ending:
            # Those that are held will be needed again: one statement keeps them all.
            wanted = sorted({*ending, *(shard for shard, until in self._held.items() if until > now)})
            with self._database.at_once() as connection:
                taken = self._outbox.lease(connection, wanted, self._holder, self._lease_s)
            for shard in wanted:
                if shard in taken:
                    self._held[shard] = now + self._lease_s
                else:
                    self._held.pop(shard, None)
                    self._refused[shard] = now + min(REFUSED_S, self._lease_s / 3)
        return [shard for shard in shards if self._held.get(shard, 0) - now > self._use_s]

    def look_again(self) -> None:
        """What was refused a moment ago may be had now."""
        self._refused.clear()

    def give_back(self, part: float = 1.0) -> None:
        """Let others have them, or this part of them, at once; nothing of theirs may be on its way to the broker."""
        given = sorted(self._held)[:round(len(self._held) * part)]
        if given:
            with self._database.at_once() as connection:
                self._outbox.release(connection, given, self._holder)
        for shard in given:
            del self._held[shard]
            if part < 1:
                # Whoever asked for them needs a moment.
                self._refused[shard] = time.monotonic() + REFUSED_S
