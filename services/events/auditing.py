"""The audit log: written from what the services and gateways say, listed, verified, and forgotten by age.

What changed comes through the outbox of the change, so a committed change is in the log however a process ends. What was
answered comes from the gateways a moment later: a gateway that dies takes the answers of its last moment along.
"""
from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from services.events import audit_trail
from shared.bus.event import EventMessage
from shared.kernel.rights import ADMINISTRATOR
from shared.hosting.sealing import digests_of
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.digests import Digests
from shared.kernel.errors import Denied
from shared.kernel.ids import is_id, new_id, with_noun
from shared.lists import envelope
from shared.query.values import clean
from shared.storage.record import Row

log = logging.getLogger(__name__)

CHANGED = "audit.changed"
SAID = ("read", "found")
KINDS = ("answered", "refused", "login")
AT_ONCE = 1000
LONGEST_S = 8.0
_TEXTS = ("owner", "credential", "address", "action", "outcome", "correlation_id")


def changed(uses: Uses, messages: Sequence[EventMessage]) -> None:
    """Write down what calls have changed, or were given to read of what is restricted, and what data was refused for what is in it."""
    _write(uses, [_line(message.obj["kind"] if message.obj.get("kind") in SAID else "changed", with_noun(message.id, "auditentry"), message.obj)
                  for message in messages if message.name == CHANGED and isinstance(message.obj, Mapping) and is_id(message.id, "event")])


def told(uses: Uses, entries: Sequence[Mapping[str, Any]]) -> int:
    """Write down what a gateway answered, or refused; how many lines that made. An entry that came before makes none."""
    return _write(uses, [_line(entry["kind"], entry["id"], entry) for entry in entries[:AT_ONCE]
                         if entry.get("kind") in KINDS and is_id(entry.get("id"), "auditentry")])


def find(uses: Uses, parameters: dict[str, Any]) -> dict[str, Any]:
    """A page of the audit log.

    Raises:
        Denied: ``audit.denied``, the caller is no Administrator.
    """
    _check_administrator(uses)
    with uses.db.reading() as connection:
        rows, following, total = audit_trail.entries.page(connection, parameters, must_exist=False)
    return envelope(map(audit_trail.AUDIT.render, rows), following, total)


def verify(uses: Uses, parameters: dict[str, Any]) -> dict[str, Any]:
    """Walk the chain from its floor to its head.

    ``{intact, complete, entries, floor{}, head{sequence, hash}, broken{sequence, detail} or null}``. A head noted before
    and given again shows whether the end was cut off. ``complete`` is False where the time did not suffice.

    Raises:
        Denied: ``audit.denied``.
    """
    _check_administrator(uses)
    digests = digests_of(uses.config)
    key, until = uses.config.audit.key, time.monotonic() + uses.context.seconds_left(LONGEST_S + 1) - 1
    broken: dict[str, Any] | None = None
    count, complete = 0, True
    with uses.db.reading() as connection:
        base = sequence, before = audit_trail.floor(connection)
        if sequence and not audit_trail.announced(connection, sequence, before):
            broken = {"sequence": sequence, "detail": "Lines were taken out that the log does not say it forgot."}
        for page in audit_trail.walk(connection, sequence):
            for row in page:
                broken = broken or _fault(row, sequence, before, digests, key)
                sequence, before = row["sequence"], row["hash"]
            count += len(page)
            if broken or time.monotonic() > until:
                complete = broken is None and audit_trail.head(connection)[0] == sequence
                break
            time.sleep(0)
        noted, its_hash = parameters.get("sequence"), parameters.get("hash")
        if broken is None and noted is not None and audit_trail.hash_at(connection, noted) != its_hash and noted > base[0]:
            broken = {"sequence": noted, "detail": "The line that was noted is not there, or is another: the end was cut off or written anew."}
    return {"intact": broken is None, "complete": complete, "entries": count, "floor": {"sequence": base[0], "hash": base[1]},
            "head": {"sequence": sequence, "hash": before}, "broken": broken}


def forget(uses: Uses) -> int:
    """Forget lines older than ``audit.retention_days``; the log says that it did, and how far. How many went."""
    moment = clock.stamp(clock.utc_now() - timedelta(days=uses.config.audit.retention_days))
    with uses.db.reading() as connection:
        upto = audit_trail.last_before(connection, moment, audit_trail.head(connection)[0])
    if upto is None:
        return 0
    now = clock.stamp()
    with uses.db.transaction() as uow:
        audit_trail.lock(uow)
        audit_trail.append(uow, [_line(audit_trail.FORGOTTEN, new_id("auditentry"), {
            "objects": [str(upto[0]), upto[1]], "action": "audit.retention_days", "time": now})], digests_of(uses.config), uses.config.audit.key)
        return audit_trail.forget(uow, upto, now)


def _write(uses: Uses, lines: list[Row]) -> int:
    if not lines:
        return 0
    with uses.db.transaction() as uow:
        audit_trail.lock(uow)
        return audit_trail.append(uow, lines, digests_of(uses.config), uses.config.audit.key)


def _fault(row: Row, sequence: int, before: str, digests: Digests, key: str) -> dict[str, Any] | None:
    if row["sequence"] != sequence + 1:
        return {"sequence": sequence + 1, "detail": f"{row['sequence'] - sequence - 1} line(s) were taken out here."}
    if not digests.fits(row["hash"], lambda algorithm: audit_trail.digest(algorithm, before, row, key)):
        return {"sequence": row["sequence"], "detail": "This line is not the one that was written, or one was put in before it."}
    return None


def _line(kind: str, its_id: str, given: Mapping[str, Any]) -> Row:
    texts = {name: clean(str(given.get(name) or ""))[:200] for name in _TEXTS}
    objects = given.get("objects") or []
    return {
        "id": its_id, "kind": kind, "time": str(given.get("time") or clock.stamp())[:27], **texts,
        "status": given.get("status") if isinstance(given.get("status"), int) else None,
        "objects": [clean(str(one))[:200] for one in objects[:20]] if isinstance(objects, list) else [],
        "count": given["count"] if isinstance(given.get("count"), int) else len(objects),
    }


def _check_administrator(uses: Uses) -> None:
    if ADMINISTRATOR not in uses.context.roles:
        raise Denied("audit.denied", "Only an Administrator may read the audit log.", next_step="Ask one.")
