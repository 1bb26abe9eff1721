"""What the event log answers: its list, its head, messages sent on a user's behalf, and how it is."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.events import repository, rules
from services.events.models import event_table, render_event
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import Invalid, did_you_mean
from shared.kernel.rights import visible_to
from shared.lists import cursor as cursors
from shared.lists import envelope
from shared.query.values import is_clean

PAGE = 50
ORDERS = ("sequence", "-sequence")
QUEUE = "events.log"
MOST_NAMED = 1000


def find(uses: Uses, parameters: dict[str, Any]) -> dict[str, Any]:
    """A stretch of the log, the oldest first unless ``sort`` says ``-sequence``.

    Raises:
        Invalid: ``parameter.invalid``, ``sort.invalid`` or ``cursor.invalid``.
    """
    sort = parameters.get("sort") or ORDERS[0]
    if sort not in ORDERS:
        raise Invalid("sort.invalid", f"The event log cannot be sorted by '{sort[:100]}'.{did_you_mean(sort, ORDERS)}",
                      next_step="Sort by sequence (the oldest first) or -sequence.",
                      errors=[{"pointer": "/sort", "detail": "Only sequence and -sequence are orders of the log."}])
    _check_texts(parameters)
    since = _since(parameters.get("since"))
    owner = visible_to(uses.context)
    of = cursors.fingerprint("event", owner, {
        name: value for name, value in parameters.items() if name not in ("limit", "cursor", "sort")})
    limit = parameters.get("limit") or PAGE
    column = event_table.c.sequence
    with uses.db.reading() as connection:
        _check_names(connection, parameters.get("event"))
        filters = repository.wanted(connection, parameters, since, owner)
        after = parameters.get("after") or 0
        place = [column > after] if after else []
        if parameters.get("cursor"):
            sort, last = _position(parameters, of)
            going_on = [column < last if sort == "-sequence" else column > last]
        else:
            going_on = []
        rows = repository.stretch(connection, [*filters, *place, *going_on], sort == "-sequence", limit + 1)
        if len(rows) <= limit and not going_on:
            total = len(rows)
        elif filters:
            total = repository.count(connection, [*filters, *place])
        else:
            total = repository.span(connection, after)
    following = cursors.write(of, sort, [rows[limit - 1][0]]) if len(rows) > limit else None
    # A gateway, which tells each listener what is his, is told whose each is.
    tells = uses.context.mesh
    return envelope(({**render_event(sequence, body), **({"whose": whose} if tells else {})} for sequence, body, whose in rows[:limit]),
                    following, total)


def head(uses: Uses) -> dict[str, int]:
    """The newest sequence of the log."""
    with uses.db.reading() as connection:
        return {"last_sequence": repository.head(connection)}


def named(uses: Uses, ids: Sequence[str]) -> dict[str, str]:
    """The names of messages by their ids; those that are not in the log are left out."""
    with uses.db.reading() as connection:
        return repository.names_of(connection, ids[:MOST_NAMED])


def send(uses: Uses, parameters: dict[str, Any]) -> dict[str, Any]:
    """Send one of the handled messages; it is on its way when this returns, whatever happens next.

    Raises:
        Invalid: ``event.not_handled``, or ``parameter.invalid`` for an object that cannot be meant.
    """
    event = parameters["event"]
    key, obj = rules.sendable(event, parameters["obj"])
    with uses.db.transaction(uses.context) as uow:
        message_id = uow.tell(event, key, obj)
        uow.remember("event", message_id)
    return {"event": event, "id": message_id, "sent": True}


def sent(uses: Uses, parameters: dict[str, Any]) -> dict[str, Any]:
    """What a repeated ``send`` answers. It names the event itself: between outbox and log a message is in neither."""
    return {"event": parameters["event"], "id": parameters["id"], "sent": True}


def health(uses: Uses) -> dict[str, Any]:
    """What there is to tell of a log that is well: how many messages are still to be logged, and how many are dead."""
    with uses.db.reading() as connection:
        last, dead = repository.head(connection), repository.dead_count(connection)
    queue = uses.parts["broker"].seen([QUEUE]).get(QUEUE)
    lag = queue.messages if queue else 0
    return {"lag": lag, "last_sequence": last, "dead_letters": dead,
            "detail": f"{lag} {'message' if lag == 1 else 'messages'} to log, {dead} {'dead letter' if dead == 1 else 'dead letters'}"}


def _position(parameters: Mapping[str, Any], of: str) -> tuple[str, int]:
    sort, after = cursors.read(parameters["cursor"], of, parameters.get("sort") or None)
    if sort not in ORDERS or len(after) != 1 or not isinstance(after[0], int) or not cursors.fits(after[0], "number"):
        raise cursors.not_a_cursor()
    return sort, after[0]


def _since(given: str | None) -> str | None:
    """A time, or how long ago, as a stamp."""
    if not given:
        return None
    try:
        return clock.stamp(clock.parse_time(given))
    except (ValueError, OverflowError):
        pass
    try:
        return clock.stamp_in(-clock.parse_duration(given))
    except (ValueError, OverflowError):
        detail = f"'{given[:100]}' is neither a time (2026-07-01T12:00:00Z) nor how long ago (PT1H30M, 90m)."
        raise Invalid("parameter.invalid", f"do.event.list: since: {detail}", next_step="Give a time or a duration.",
                      errors=[{"pointer": "/since", "detail": detail}]) from None


def _check_texts(parameters: Mapping[str, Any]) -> None:
    for name in ("event", "object", "correlation_id"):
        if not is_clean(parameters.get(name) or ""):
            raise Invalid("parameter.invalid", f"do.event.list: {name}: It holds a character that no stored text has.",
                          errors=[{"pointer": f"/{name}", "detail": "A NUL, or half of a surrogate pair."}])


def _check_names(connection: Any, event: str | None) -> None:
    for pattern in rules.patterns(event):
        refusal = rules.mistaken(pattern)
        if refusal is not None and not repository.has_named(connection, pattern):
            raise refusal
