"""A person: what there is of him, all of it on demand, and his removal: a pseudonym takes the place of his name, in every service.

A removal is written down first, with the pseudonym, so that it is gone on with whoever dies meanwhile. What is still on its way when it
begins is found by a second pass a while later; then the name goes from here, too. The audit log keeps it until its own end.
"""
from __future__ import annotations

import base64
import logging
import os
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, update

from services.events import keyring, models
from services.events.identities import REVOKED
from services.events.models import apikey_table, audit_table, removal_table
from shared.contracts.table import SERVICES
from shared.hosting import persons
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import Conflict, Denied, EdgemereError, Invalid, NotFound
from shared.kernel.rights import ADMINISTRATOR
from shared.lists import cursor as cursors
from shared.lists import envelope
from shared.query.values import is_clean

log = logging.getLogger(__name__)

# A call answers within its time; a timer has this for all that is unfinished.
CALL_S, ROUND_S = 6.0, 600.0
REMOVING, REMOVED, PREVIEW = "Removing", "Removed", "Preview"
ENDS_BY = {"datareference": "datareference destroy", "datarequest": "datarequest complete or cancel", "datainstance": "datainstance destroy",
           "scan": "operation cancel"}


def show(uses: Uses, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What there is of a person: oneself, or for an Administrator anybody.

    Raises:
        Denied: ``person.denied``. Unavailable: a service that has a part of the answer does not answer.
    """
    return _report(uses, _whom(uses, parameters), "Known")


def export(uses: Uses, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A page of everything that has a person as its owner, row by row, as it is kept: ``{service, table, row}``.

    Raises:
        Denied: ``person.denied``.
    """
    person = _whom(uses, parameters)
    of, limit = cursors.fingerprint("person", person), parameters["limit"]
    number, at = 0, None
    if parameters.get("cursor"):
        number, *rest = cursors.read(parameters["cursor"], of, None)[1]
        if type(number) is not int or not 0 <= number < len(SERVICES):
            raise cursors.not_a_cursor()
        at = [rest[0], rest[1:] or None] if rest else None
    items: list[dict[str, Any]] = []
    while number < len(SERVICES) and len(items) < limit:
        page = _rows(uses, SERVICES[number], person, at, limit - len(items))
        items += [{"service": SERVICES[number], **item} for item in page["items"]]
        number, at = (number, page["at"]) if page["at"] else (number + 1, None)
    after = None if number >= len(SERVICES) else cursors.write(of, "", [number, *([at[0], *(at[1] or ())] if at else ())])
    return envelope(items, after, sum(sum(_held(uses, service, person)["kept"].values()) for service in SERVICES))


def remove(uses: Uses, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Remove a person, or say what that would do (``preview``). Done again, it goes on where it was.

    Raises:
        Conflict: ``person.in_use``, something of him has to be ended first; ``person.oneself``.
        NotFound: ``person.not_found``, there is nothing of such a person.
    """
    person = _name(parameters["owner"])
    with uses.db.reading() as connection:
        row = _unfinished(connection, person)
    report = _report(uses, person, PREVIEW)
    if not row and not any(report["kept"].values()) and not report["credentials"]:
        raise NotFound("person.not_found", f"There is nothing of '{person[:200]}' here.",
                       next_step="Names are exact; 'apikey list' and 'datarequest list' show owners.")
    if parameters["preview"]:
        return report
    if person == uses.context.owner:
        raise Conflict("person.oneself", "Nobody removes himself: who would have done it?", next_step="Ask another Administrator.")
    if report["open"]:
        first = next(iter(report["open"]))
        raise Conflict("person.in_use", f"'{person}' still has {_counted(report['open'])}.",
                       next_step=f"End them first: {ENDS_BY[first]}, for example of what '{first} list --owner {person}' shows.", open=report["open"])
    row = row or _begun(uses, person)
    replaced, over = _pass(uses, row, time.monotonic() + min(CALL_S, max(0.0, uses.context.seconds_left(CALL_S + 2) - 2)))
    return {**report, "state": REMOVED if over else REMOVING, "alias": row["alias"], "replaced": replaced}


def go_on(uses: Uses) -> None:
    """Go on with removals that are not over."""
    until = time.monotonic() + ROUND_S
    with uses.db.reading() as connection:
        rows = connection.execute(select(removal_table).where(removal_table.c.ended_at.is_(None)).order_by(removal_table.c.began_at)).mappings().all()
    for row in rows:
        _pass(uses, row, until)


# --- inside --------------------------------------------------------------------------------------------------------

def _whom(uses: Uses, parameters: Mapping[str, Any]) -> str:
    person = _name(parameters.get("owner") or uses.context.owner)
    if person != uses.context.owner and ADMINISTRATOR not in uses.context.roles:
        raise Denied("person.denied", "Only an Administrator may ask about somebody else.", next_step="Leave out owner, or ask an Administrator.",
                     errors=[{"pointer": "/owner", "detail": "That is somebody else."}])
    return person


def _name(person: str) -> str:
    if not is_clean(person):
        raise Invalid("parameter.invalid", "owner: Not a name.", errors=[{"pointer": "/owner", "detail": "Not a name."}])
    return person


def _held(uses: Uses, service: str, person: str) -> dict[str, Any]:
    return persons.held(uses, models, person) if service == uses.service else uses.itself.call(service, "person_held", person=person, timeout_s=30)


def _rows(uses: Uses, service: str, person: str, at: Any, limit: int) -> dict[str, Any]:
    asked = {"person": person, "at": at, "limit": limit}
    return persons.rows(uses, models, **asked) if service == uses.service else uses.itself.call(service, "person_rows", timeout_s=30, **asked)


def _forget(uses: Uses, service: str, row: Mapping[str, Any], at: Any) -> dict[str, Any]:
    asked = {"person": row["person"], "alias": row["alias"], "at": at}
    return persons.forget(uses, models, **asked) if service == uses.service else uses.itself.call(service, "person_forget", timeout_s=30, **asked)


def _report(uses: Uses, person: str, state: str) -> dict[str, Any]:
    found: dict[str, Any] = {"owner": person, "state": state, "open": {}, "kept": {}}
    for service in SERVICES:
        held = _held(uses, service, person)
        found["open"] |= held["open"]
        if held["kept"]:
            found["kept"][service] = held["kept"]
    with uses.db.reading() as connection:
        found["credentials"] = connection.execute(select(func.count()).select_from(apikey_table).where(
            apikey_table.c.owner == person, apikey_table.c.state == keyring.ACTIVE)).scalar_one()
        lines, last = connection.execute(select(func.count(), func.max(audit_table.c.time)).where(audit_table.c.owner == person)).one()
    # The one place that keeps the name, for as long as it is kept at all.
    found["audit"] = {"lines": lines, "until": clock.stamp(
        clock.parse_time(last) + timedelta(days=uses.config.audit.retention_days)) if last else None}
    return found


def _unfinished(connection: Any, person: str) -> Mapping[str, Any] | None:
    return connection.execute(select(removal_table).where(removal_table.c.person == person, removal_table.c.ended_at.is_(None))).mappings().first()


def _begun(uses: Uses, person: str) -> Mapping[str, Any]:
    """Write the removal down and end all credentials of the person, in one transaction."""
    row = {"alias": "removed-" + base64.b32encode(os.urandom(10)).decode().lower(), "person": person, "began_at": clock.stamp(), "ended_at": None}
    with uses.db.transaction(uses.context) as uow:
        now = clock.stamp()
        ended = [keyring.change(uow, one, now, state=keyring.REVOKED, revoked_at=now, old_digest=None, overlap_until=None)
                 for one in uow.rows(select(apikey_table).where(apikey_table.c.owner == person, apikey_table.c.state == keyring.ACTIVE).with_for_update())]
        if ended:
            uow.tell(REVOKED, ended[0]["id"], keyring.revoked_of(ended))
        uow.connection.execute(removal_table.insert().values(**row))
        uow.audited(row["alias"])
    return row


def _pass(uses: Uses, row: Mapping[str, Any], until: float) -> tuple[dict[str, dict[str, int]], bool]:
    """Have every service take the name out: how many rows of which table of whom, and whether the removal is over.

    It is over where all was looked through by ``until``, and the look began when nothing was on its way any more.
    """
    replaced: dict[str, dict[str, int]] = {}
    settled = row["began_at"] <= clock.stamp_in(-uses.config.retention.removal_s)
    for service in SERVICES:
        at: Any = None
        while True:
            if time.monotonic() > until:
                return replaced, False
            try:
                answer = _forget(uses, service, row, at)
            except EdgemereError as error:
                log.warning("the removal %s goes on later, with %s: %s", row["alias"], service, error.detail)
                return replaced, False
            for table, count in answer["rows"].items():
                of = replaced.setdefault(service, {})
                of[table] = of.get(table, 0) + count
            at = answer["at"]
            if at is None:
                break
    if settled:
        with uses.db.transaction(uses.context) as uow:
            uow.connection.execute(update(removal_table).where(removal_table.c.alias == row["alias"]).values(person=None, ended_at=clock.stamp()))
    return replaced, settled


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {noun}{'s' if count != 1 else ''}" for noun, count in counts.items())
