"""The entrypoint for a method that does the work of several messages in one go, when several wait.

What becomes of a message is as for ``on_event``: acked after its work, or in a retry queue, or with the dead letters, each by itself.
"""
from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from eventlet import spawn_after
from eventlet.event import Event as GreenEvent
from kombu.message import Message as KombuMessage
from nameko.exceptions import ContainerBeingKilled

from shared.bus.event import EventMessage, delivery_of, event_of
from shared.bus.message import Delivery
from shared.bus.pace import gathering_s
from shared.bus.topology import INTERNAL
from shared.hosting.behalf import on_behalf_of
from shared.hosting.entrypoints import OnEvent, event_context
from shared.kernel.errors import NotYet

log = logging.getLogger(__name__)

MOST = 20
# After several at once a little more is waited for: a transaction costs more than the messages in it.
GATHER_S = 0.03
# What waits for longer than this behind one batch, and than twice what batches take now, is handled beside it; so many batches at most.
BESIDE_S, BESIDE_MOST_S = 0.3, 2.0
BATCHES = 4
# Of so many degrees of favour two replicas hardly have the same; if they do, they share.
FAVOUR = 10_000

Item = tuple[EventMessage, Delivery, KombuMessage]


class OnEvents(OnEvent):
    """As ``on_event``, for a method that handles several at once: ``method(self, messages)``.

    It gets what waits at that moment, at most ``most``: a message that comes alone is handled alone and at once, and the more
    there is to do, the more each transaction and each call does. One batch is handled at a time; where one takes long, another
    beside it. Of several the worker's context belongs to none: ``uses.caused_by(message)`` has that. Of several the method may give back
    those that it did nothing about, because they need more than the others: each of them is then handled alone, beside the next batch.
    When the method fails, each message is handled alone, and only what fails then is tried again; so part of the work may be done twice.
    """

    def __init__(self, source: str, event: str, *, most: int = MOST, **options: Any) -> None:
        # Where a mesh is renewed process by process, the one that is asked may be older than this one, for a while.
        super().__init__(source, event, **{"retry_on": (NotYet,), **options})
        self.most = most

    @property
    def prefetch(self) -> int:
        return self._prefetch or 2 * self.most

    def setup(self) -> None:
        super().setup()
        # Of several replicas one has what there is, and the others what is more than it takes at once: shared out one by one, the same
        # messages would be twice as many batches. Which one is first is by chance, for each queue anew.
        self.queue.consumer_arguments = {"x-priority": 1 + secrets.randbelow(FAVOUR)}
        self._waiting: list[Item] = []
        self._at_work = 0
        self._began = self._usual_s = 0.0
        self._stopping = self._looks_again = False

    def stop(self) -> None:
        self._stopping = True
        # What nobody has begun with is for another replica, or for the next start.
        for _, _, message in self._drawn(len(self._waiting)):
            self.receiver.settle(KombuMessage.requeue, message)
        super().stop()

    def has_room(self) -> bool:
        # ``handle`` waits for nobody.
        return True

    def handle(self, message: KombuMessage) -> None:
        """Put an event with those that wait, or dead-letter what is none."""
        delivery = delivery_of(self.queue.name, message)
        try:
            event = event_of(delivery)
            event.context = {name: value for name, value in event_context(event, self.exchange == INTERNAL).items() if value}
            if "SEAL" in self.container.config:
                event.context |= {"owner": "", "roles": (), **on_behalf_of(delivery, self.container.config["SEAL"])}
        except Exception as error:
            log.error("a message of %s is a dead letter: %s", self.queue.name, error)
            self._put_aside(delivery, message, error)
            return
        if self._stopping:
            self.receiver.settle(KombuMessage.requeue, message)
            return
        self._waiting.append((event, delivery, message))
        self._take_up()

    def _take_up(self) -> None:
        """Begin with what waits, unless that is being done and does not take long."""
        if not self._waiting or self._stopping:
            return
        beside_s = min(BESIDE_MOST_S, max(BESIDE_S, 2 * self._usual_s))
        if self._at_work and (time.monotonic() - self._began < beside_s or self._at_work >= BATCHES):
            if not self._looks_again:
                self._looks_again = True
                spawn_after(beside_s, self._look_again)
            return
        self._at_work += 1
        self._began = time.monotonic()
        self.container.spawn_managed_thread(self._work, identifier=self.queue.name)

    def _look_again(self) -> None:
        self._looks_again = False
        self._take_up()

    def _work(self) -> None:
        try:
            while self._waiting:
                began = self._began = time.monotonic()
                with self.receiver.event_slots:
                    batch = self._drawn(self.most)
                    left = self._handle_all(batch)
                took_s = time.monotonic() - began
                self._usual_s = (self._usual_s + took_s) / 2
                for item in left:
                    self.container.spawn_managed_thread(partial(self._alone, item), identifier=self.queue.name)
                if len(batch) > 1:
                    time.sleep(gathering_s(took_s, GATHER_S))
        finally:
            self._at_work -= 1

    def _drawn(self, most: int) -> list[Item]:
        drawn, self._waiting[:] = self._waiting[:most], self._waiting[most:]
        return drawn

    def _alone(self, item: Item) -> None:
        with self.receiver.event_slots:
            self._handle_all([item])

    def _handle_all(self, batch: Sequence[Item]) -> Sequence[Item]:
        """Have a batch handled and settled; those of it that are to be handled alone are given back."""
        if not batch:
            return ()
        try:
            error, left = self._done([event for event, _, _ in batch])
        except ContainerBeingKilled:
            for _, _, message in batch:
                self.receiver.settle(KombuMessage.requeue, message)
            return ()
        if len(batch) == 1 and error is not None:
            (_, delivery, message), = batch
            self._put_aside(delivery, message, error)
            return ()
        if error is not None:
            return batch
        alone = {id(event) for event in left} if len(batch) > 1 else ()
        self.receiver.ack_all([message for event, _, message in batch if id(event) not in alone])
        return [item for item in batch if id(item[0]) in alone]

    def _done(self, events: list[EventMessage]) -> tuple[BaseException | None, Sequence[EventMessage]]:
        """Have the method run, to its end; what it raised, and what it gave back."""
        done = GreenEvent()

        def handled(worker_ctx: Any, result: Any, exc_info: Any) -> Any:
            done.send((exc_info[1] if exc_info else None, result or ()))
            return result, exc_info

        # What is done for several at once is the mesh's own work; what is done for each is done for whoever asked.
        context = dict(events[0].context) if len(events) == 1 else {"mesh": True}
        self.container.spawn_worker(self, (events,), {}, context_data=context, handle_result=handled)
        return done.wait()


on_events = OnEvents.decorator
