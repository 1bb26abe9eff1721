"""Dead letters: kept when they arrive, listed, and handed to the queue they came from again."""
from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from services.events import holding_up, repository, rules
from services.events.models import render_deadletter
from shared.bus import dead_letters
from shared.bus.message import Delivery
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import Invalid, NotFound, Unavailable
from shared.kernel.ids import new_id
from shared.kernel.rights import visible_to
from shared.lists import envelope
from shared.query.values import clean
from shared.storage.record import Row

log = logging.getLogger(__name__)

AT_ONCE = 100
SHOWN = 1000
# What is not replayed by then is told as `left`: the caller waits for an answer.
LONGEST_S = 8.0


def keep(uses: Uses, messages: Sequence[Delivery]) -> None:
    """Write dead letters down, and tell the requests that they hold up. One that the broker may be handing out again is kept once."""
    now, seal = clock.stamp(), uses.parts["seal"]
    with uses.db.transaction(uses.context) as uow:
        rows = []
        for message in messages:
            row = {"id": new_id("deadletter"), **rules.death_of(message, now, seal.whose(message))}
            if message.redelivered and repository.has_death(uow, row["death"]):
                continue
            rows.append(row)
            if (fact := holding_up.held_up(message, row, seal)) is not None:
                uow.tell(holding_up.KEPT, fact["request"], fact)
        if rows:
            repository.keep_dead(uow, rows)
    for row in rows:
        log.error("dead letter %s: %s of %s: %s", row["id"], row["event"], row["queue"], row["reason"])


def find(uses: Uses, parameters: dict[str, Any], must_exist: bool = True) -> dict[str, Any]:
    """A page of dead letters."""
    with uses.db.reading() as connection:
        return repository.deadletters.answer(connection, parameters, owner=visible_to(uses.context), must_exist=must_exist)


def by_queue(uses: Uses) -> dict[str, int]:
    """How many dead letters wait for somebody, by the queue they came from."""
    with uses.db.reading() as connection:
        return repository.dead_by_queue(connection)


def replay(uses: Uses, parameters: dict[str, Any]) -> dict[str, Any]:
    """Publish dead letters to the queues they came from, as if they had never been tried; ``left`` says how many more.

    A crash in the middle may replay one twice; handlers are made for that.

    Raises:
        Invalid: ``deadletter.unnamed``, nothing says which.
        NotFound: ``deadletter.not_found``.
        Unavailable: the broker is away, or the queue of one of them is gone; those before it were replayed.
    """
    if not any(parameters.get(name) for name in ("id", "event", "queue", "all")):
        raise Invalid("deadletter.unnamed", "No dead letter was named.",
                      next_step="Give its id, an event, a queue, or all: true. 'event dead list' shows them.",
                      errors=[{"pointer": f"/{name}", "detail": "One of id, event, queue and all is needed."}
                              for name in ("id", "event", "queue", "all")])
    parameters = {name: clean(value) if isinstance(value, str) else value for name, value in parameters.items()}
    moment = clock.stamp()
    until = time.monotonic() + uses.context.seconds_left(LONGEST_S + 1) - 1
    done: list[Row] = []
    while True:
        with uses.db.reading() as connection:
            rows = repository.to_replay(connection, parameters, AT_ONCE, visible_to(uses.context))
        if not rows and parameters.get("id"):
            raise _not_found(parameters["id"])
        _replay(uses, rows, moment)
        done += rows
        if len(rows) < AT_ONCE or time.monotonic() > until:
            break
        time.sleep(0)
    with uses.db.reading() as connection:
        left = 0 if parameters.get("id") else repository.left_to_replay(connection, parameters, visible_to(uses.context))
    shown = (render_deadletter({**row, "replayed_at": moment}) for row in done[:SHOWN])
    return {**envelope(shown, None, len(done)), "left": left}


def _replay(uses: Uses, rows: Sequence[Row], moment: str) -> None:
    taken: list[str] = []
    try:
        for row in rows:
            dead_letters.replay(uses.parts["broker"], rules.letter_of(row))
            taken.append(row["id"])
    except Unavailable as error:
        raise Unavailable(error.code, f"The queue '{row['queue']}' did not take the dead letter {row['id']}: {error.detail}",
                          next_step="Try again when the service that reads the queue runs.") from error
    finally:
        if taken:
            with uses.db.transaction(uses.context) as uow:
                repository.replayed(uow, taken, moment)
                uow.remember("deadletter", moment)


def replayed(uses: Uses, parameters: dict[str, Any]) -> dict[str, Any]:
    """What a repeated replay answers: the dead letters of the first one, named by its moment."""
    with uses.db.reading() as connection:
        rows = repository.replayed_at(connection, parameters["id"], visible_to(uses.context))
    return envelope(map(render_deadletter, rows), None, len(rows))


def _not_found(ref: str) -> NotFound:
    return NotFound("deadletter.not_found", f"There is no dead letter '{ref[:200]}'.",
                    next_step="'event dead list' shows what there is.")
