"""The event log is written here, a batch in a transaction, and those who read it are told that it grew."""
from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection

from services.events import repository, rules
from shared.bus.message import Delivery, Message
from shared.bus.topology import INTERNAL
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import Unavailable
from shared.kernel.ids import new_id
from shared.storage.record import Row

log = logging.getLogger(__name__)

ADVANCED = "log.advanced"
FORGET_AT_ONCE = 2000
FORGET_A_ROUND_S = 5.0


def append(uses: Uses, messages: Sequence[Delivery]) -> None:
    """Log each message once, in the order of arrival; then say how far the log is.

    A message is known by its id. One that came without gets an id of its own, unless the broker says that it may be
    handing it out again and the log has one that is the same in every bit.
    """
    now = clock.stamp()
    if any(message.redelivered for message in messages):
        # What the log has already is looked for, which is no single statement.
        with uses.db.transaction(uses.context) as uow:
            repository.lock_log(uow.connection)
            rows = [row for message in messages if (row := _row(uses, uow.connection, message, now))]
            last = repository.append(uow.connection, rows)
    else:
        with uses.db.at_once() as connection:
            rows = [row for message in messages if (row := _row(uses, connection, message, now))]
            last = repository.append(connection, rows)
    announce(uses, last)
    if "durations" in uses.parts:
        uses.parts["durations"].hear(rows)


def _row(uses: Uses, connection: Connection, message: Delivery, now: str) -> Row | None:
    body = rules.body_of(message)
    its_id = rules.message_id(message, body)
    if its_id is None:
        like = rules.likeness(message)
        if message.redelivered and repository.has_like(connection, like):
            return None
        its_id = like + new_id("event")
    return rules.entry(message, body, its_id, now, uses.parts["seal"].whose(message))


def announce(uses: Uses, last_sequence: int) -> None:
    """Wake the gateways. Worth nothing a moment later, so it is not kept: who misses it looks by himself."""
    try:
        uses.parts["broker"].send(Message(
            INTERNAL, ADVANCED, b'{"last_sequence":%d}' % last_sequence, persistent=False, expires_s=5), timeout_s=1)
    except Unavailable as error:
        log.warning("the readers of the event log were not told that it grew: %s", error)


def forget(uses: Uses) -> int:
    """Drop what is older than ``events.retention_days``, in small bites, for a few seconds at most; how many went."""
    moment = clock.stamp(clock.utc_now() - timedelta(days=uses.config.events.retention_days))
    until = time.monotonic() + FORGET_A_ROUND_S
    gone = 0
    while time.monotonic() < until:
        with uses.db.transaction() as uow:
            count = repository.forget_before(uow, moment, FORGET_AT_ONCE)
        gone += count
        if count < FORGET_AT_ONCE:
            break
        time.sleep(0)
    with uses.db.transaction() as uow:
        repository.forget_dead_before(uow, moment)
    return gone
