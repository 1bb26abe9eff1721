"""From the outbox to the broker: publishes what transactions said, in order per object, and forgets it when confirmed.

Published at least once: a crash between the confirm and the deletion publishes again. The one place where storage and
bus meet. Decides nothing about content; nobody else publishes events.
"""
from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

import orjson

from shared.bus.message import Message
from shared.bus.pace import Pace, gathering_s
from shared.bus.port import Broker
from shared.bus.seal import SEAL, Seal
from shared.bus.topology import EXCHANGES, INTERNAL
from shared.contracts.event import EVENTS
from shared.kernel.errors import EdgemereError, Unavailable
from shared.kernel.ids import ALPHABET
from shared.storage.database import Database
from shared.storage.outbox import SHARDS, Outbox
from shared.storage.shards import LEASE_S, Shards

log = logging.getLogger(__name__)

BATCH = 400
FEW = 100
# While several calls have something to say, a little more of it is waited for: a turn costs more than a message.
GATHER_S = 0.03
BATCH_BYTES = 8 * 1024 * 1024
IDLE_S = 1.0
# A file has one process: each commit wakes its relay, and nobody else writes.
IDLE_ALONE_S = 10.0
# A publish takes no longer than this: it begins only where a lease lasts beyond it.
PUBLISH_S = 5.0
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)
OUTBOX_WAITS = "outbox.waits.{}"
"""The routing key, among the services, by which the relays of one service call each other."""
# What they say: there is something for who holds its shard; there are shards to be had; somebody would help.
WAITS, FREE, SHARE = "waits", "free", "share"
SOURCE = "/edgemere/diml/dml/do"
SCHEMAS = {name: event.schema for name, event in EVENTS.items()}


class Relay:
    """Publishes the outbox of the service ``name``. ``wake`` at each commit; looks by itself every ``idle_s`` besides.

    Several relays may serve one outbox: a shard belongs to one at a time, by a lease. While little waits one of them has all shards, and
    the others pass on to it that something was committed: the same messages published by two would be twice as many turns. Where much
    waits they share. ``call_others(word)`` is told ``WAITS``, ``FREE`` or ``SHARE`` for the others, whose ``called`` hears it.
    With the ``seal`` of the mesh, others know that it was the mesh that said them.
    Counters: ``published`` messages, ``lag_s`` age of the oldest that waits, ``failures`` of the broker or database.
    """

    def __init__(self, database: Database, outbox: Outbox, broker: Broker, *, name: str, holder: str | None = None,
                 pace: Pace | None = None, batch: int = BATCH, idle_s: float | None = None, lease_s: float = LEASE_S,
                 seal: Seal | None = None, call_others: Callable[[str], None] = lambda word: None) -> None:
        self._seal = seal
        self._call_others = call_others
        self._theirs: set[int] = set()
        self._elsewhere_until = self._passed_on = 0.0
        self._is_to_share = self._is_free = False
        self._database = database
        self._outbox = outbox
        self._broker = broker
        self._service, self._source = name, f"{SOURCE}/{name}"
        self._pace = pace or Pace()
        self._shards = Shards(database, outbox, holder or f"{name}-{uuid.uuid4().hex[:12]}", lease_s=lease_s, use_s=PUBLISH_S)
        self._batch = batch
        self._idle_s = idle_s if idle_s is not None else IDLE_ALONE_S if database.is_sqlite else IDLE_S
        self._first = 0
        self._was_all = self._several = False
        self._woken = threading.Event()
        self._stop_by: float | None = None
        self._thread: threading.Thread | None = None
        self.published = 0
        self.failures = 0
        self.lag_s = 0.0

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"relay-{self._service}", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Something was committed; returns at once."""
        self._woken.set()

    def called(self, word: str) -> None:
        """Another relay of this outbox said ``word``; returns at once."""
        if word == SHARE:
            self._is_to_share = True
        elif word == FREE:
            self._is_free = True
            self._elsewhere_until = 0.0
            self._shards.look_again()
            self.wake()
        elif time.monotonic() >= self._elsewhere_until:
            self.wake()

    def stop(self, limit_s: float = 5) -> bool:
        """Publish what is there, within ``limit_s``, then end; whether the outbox was emptied."""
        self._stop_by = time.monotonic() + limit_s
        self._woken.set()
        if self._thread is not None:
            self._thread.join(limit_s + PUBLISH_S)
        self._give_back()
        try:
            return self.depth() == 0
        except EdgemereError:
            return False

    def depth(self) -> int:
        """Messages that wait to be published."""
        with self._database.reading() as connection:
            return self._outbox.depth(connection)

    def _run(self) -> None:
        failed = 0
        while self._stop_by is None or time.monotonic() < self._stop_by:
            self._woken.clear()
            began = time.monotonic()
            if began < self._elsewhere_until and self._stop_by is None:
                self._pass_on(began)
                continue
            try:
                moved = self.turn()
                failed = 0
            except Exception as error:
                moved = 0
                self.failures += 1
                if not isinstance(error, EdgemereError):
                    log.exception("the relay of %s failed", self._service)
                elif not failed:
                    log.warning("the relay of %s waits: %s", self._service, error)
                # Another may have a way to the broker; it looks by itself.
                with suppress(EdgemereError):
                    self._shards.give_back()
                # Commits go on waking the relay while the broker is away; they do not shorten its pause.
                time.sleep(PAUSES_S[min(failed, len(PAUSES_S) - 1)])
                failed += 1
            if moved and self._was_all and self._stop_by is None:
                if self._several:
                    time.sleep(gathering_s(time.monotonic() - began, GATHER_S))
                # What was committed meanwhile has woken us.
                self._woken.wait(self._idle_s)
            elif moved:
                # Calls come first; without this, a big backlog would keep the process from everything else.
                self._pace.rest(time.monotonic() - began if moved >= self._batch // 2 else 0)
            elif self._stop_by is not None:
                return
            elif not failed:
                self._woken.wait(self._idle_s)

    def _pass_on(self, now: float) -> None:
        """What was committed is for another relay, as all was a moment ago."""
        self._call_others(WAITS)
        if now - self._passed_on < GATHER_S:
            # What is committed meanwhile is told of together.
            time.sleep(GATHER_S)
        self._passed_on = now
        self._woken.wait(max(0.0, self._elsewhere_until - time.monotonic()))

    def turn(self) -> int:
        """One batch, a fair part from each shard; how many messages were published and forgotten."""
        rows = self._ours()
        if not rows:
            self.lag_s = 0.0
            return 0
        taken = set(self._broker.publish_many(self._messages(rows), timeout_s=PUBLISH_S))
        done, stopped = [], set()
        for row in rows:
            if row.id not in taken:
                stopped.add(row.shard)
            elif row.shard not in stopped:
                done.append(row.seq)
        if done:
            with self._database.at_once() as connection:
                self._outbox.confirmed(connection, done)
            self.published += len(done)
        # The order of ids is that of their making.
        self.lag_s = max(0.0, time.time() - born(min(row.id for row in rows)))
        if stopped:
            self.failures += 1
            time.sleep(PAUSES_S[0])
        elif self._was_all and len(self._shards) <= SHARDS // 2:
            # Shared while there was much; somebody else has as many or more.
            self._give_back()
        return len(done)

    def _ours(self) -> list[Any]:
        """What to publish now: everything there is, when it is little; else a fair part of each shard that is ours."""
        self._was_all = self._is_free = False
        few = min(FEW, self._batch)
        with self._database.reading() as connection:
            rows = self._outbox.oldest(connection, few)
        if not rows:
            self._theirs = set()
            return []
        return self._of_few(rows, few) if len(rows) < few else self._of_many()

    def _of_few(self, rows: list[Any], few: int) -> list[Any]:
        self._was_all, self._is_to_share = True, False
        if self._shards.are_ours(row.shard for row in rows):
            self._several = len({row.headers for row in rows}) > 1
            return rows
        mine = set(self._shards.take(range(SHARDS)))
        self._know_whether_any(mine)
        self._tell_others({row.seq for row in rows if row.shard not in mine})
        if not mine:
            return []
        # What was read before a shard was ours may have been published by somebody else meanwhile.
        with self._database.reading() as connection:
            return [row for row in self._outbox.oldest(connection, few) if row.shard in mine]

    def _of_many(self) -> list[Any]:
        with self._database.reading() as connection:
            shards = self._outbox.busy_shards(connection)
        if self._is_to_share:
            self._is_to_share = False
            self._give_back(0.5)
        mine = self._shards.take(shards)
        self._know_whether_any(mine)
        if not mine:
            self._call_others(SHARE)
            return []
        self._first += 1
        cut = self._first % len(mine)
        return self._read([*mine[cut:], *mine[:cut]])

    def _know_whether_any(self, mine: Collection[int]) -> None:
        self._elsewhere_until = 0.0 if mine or self._is_free else time.monotonic() + self._idle_s

    def _give_back(self, part: float = 1.0) -> None:
        """Let others have shards, and say so. What fails is made good by the end of the leases."""
        if len(self._shards):
            with suppress(EdgemereError):
                self._shards.give_back(part)
                self._call_others(FREE)

    def _read(self, shards: Sequence[int]) -> list[Any]:
        part = max(1, self._batch // len(shards))
        rows: list[Any] = []
        size = 0
        with self._database.reading() as connection:
            for shard in shards:
                for row in self._outbox.pending(connection, shard, part):
                    if rows and size + len(row.body) > BATCH_BYTES:
                        return rows
                    rows.append(row)
                    size += len(row.body)
        return rows

    def _tell_others(self, theirs: set[int]) -> None:
        """Call those who hold the shards of these messages, unless they were called for all of them already."""
        if not theirs <= self._theirs:
            self._call_others(WAITS)
        self._theirs = theirs

    def _messages(self, rows: Sequence[Any]) -> list[Message]:
        # What one transaction said has the same headers in every row.
        said = {text: orjson.loads(text) for text in {row.headers for row in rows}}
        return [self._message(row, said[row.headers]) for row in rows]

    def _message(self, row: Any, said: Mapping[str, Any]) -> Message:
        _, message_id, _, exchange, name, object_id, _, body = row
        headers = {**said, "cloudEvents_specversion": "1.0", "cloudEvents_id": message_id, "cloudEvents_type": name,
                   "cloudEvents_source": self._source, "cloudEvents_subject": object_id,
                   "cloudEvents_datacontenttype": "application/json"}
        if name in SCHEMAS:
            headers["cloudEvents_dataschema"] = SCHEMAS[name]
        # The tail of the body is ours: its time is the message's, and need not be parsed to be found.
        place = body.rfind('"time":"')
        if place >= 0:
            headers["cloudEvents_time"] = body[place + 8:body.index('"', place + 8)]
        content = body.encode()
        if self._seal is not None:
            headers[SEAL] = self._seal.mark(name, headers, content, message_id)
        return Message(EXCHANGES[exchange], name, content, id=message_id, headers=headers,
                       correlation_id=said.get("nameko.correlation_id"))


class Calls:
    """How the relays of a service's processes hear each other. Worth nothing a moment later; who misses a word looks by himself."""

    def __init__(self, broker: Broker, service: str) -> None:
        self._broker, self.key = broker, OUTBOX_WAITS.format(service)
        self._from = uuid.uuid4().hex[:12]

    def say(self, word: str) -> None:
        """Tell the other processes; returns at once when the broker is away."""
        body = orjson.dumps({"word": word, "from": self._from})
        try:
            self._broker.send(Message(INTERNAL, self.key, body, persistent=False, expires_s=1), timeout_s=1)
        except Unavailable:
            log.debug("the other relays were not told on %s: %s", self.key, word)

    def heard(self, body: Any, relay: Relay) -> None:
        """Give a relay the word of another process."""
        if isinstance(body, Mapping) and body.get("from") != self._from:
            relay.called(str(body.get("word", WAITS)))


def born(message_id: str) -> float:
    """When a message id was made, in seconds since the epoch: the first ten characters of its ULID are milliseconds."""
    value = 0
    for character in message_id[-26:-16]:
        value = value * 32 + ALPHABET.index(character)
    return value / 1000
