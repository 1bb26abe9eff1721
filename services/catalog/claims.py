"""Claims on the capacity of sources: all or nothing, never more than there is, the same call twice as one.

Every change of what is used is made while the row of the source is held (locked on PostgreSQL, the only writer on
SQLite) and written on the version that was judged; so two replicas never grant the same room. Room is given in the
order in which it was asked for, see ``lines``. A claim has an end, so that nothing is lost by a crash; a reservation
that still stands at that end has it renewed, however long its copy takes.
"""
from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, update

from services.catalog import lines, repository, rules
from services.catalog.models import BYTES, KINDS, READERS, SOURCE, claim_table, ref
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.context import Context
from shared.kernel.errors import Conflict, EdgemereError, Invalid, NoCapacity, NotFound, from_payload
from shared.kernel.ids import is_id
from shared.storage.bulk import insert_rows
from shared.storage.database import Database
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

log = logging.getLogger(__name__)
Amounts = dict[str, dict[str, int]]
SWEPT = 5000


@dataclass(frozen=True, eq=False)
class Ask:
    """Claims of one holder that are granted together or not at all: rows by id (as ``_checked`` makes them), when they end, for which call."""

    claims: Mapping[str, Row]
    holder: str
    expires: str | None
    context: Context


def claim(uses: Uses, claims: Sequence[Mapping[str, Any]], holder: str, ttl_s: float | None = None,
          wait: bool = False) -> dict[str, Any]:
    """Claim room for ``holder``: ``[{"id", "source", "kind": "readers"|"bytes", "amount", "data"?}]``.

    Claims that are there already stay, with the new expiry (None: until they are released). Answers
    ``{"claimed": how many now stand}``. Where there is no room, or it is kept for others who came before, a holder
    that says ``wait`` gets a place in line, and is named by ``capacity.freed`` when it is its turn. Those that ask at the same time
    share a transaction (``grant``).

    Raises:
        NoCapacity: ``source.no_capacity`` with ``source, kind, wanted, free``, for one who waits ``line`` as
            ``lines.place`` has it, and ``never: True`` when the source is too small as a whole; nothing was claimed.
        Conflict: ``datasource.not_ready`` or ``datasource.not_writable``; nothing was claimed.
        NotFound: ``datasource.not_found``.
        Invalid: a claim is malformed, or its id stands for another claim.
    """
    ask, = _asks(uses, [{"claims": claims, "holder": holder}], ttl_s)
    answer = uses.parts["claims"].do(ask) if ask.claims else None
    if answer and not wait and not _make_room(uses, _sources_of([ask])):
        raise from_payload(answer)
    if answer is not None:
        _claim_alone(uses, ask, wait)
    return {"claimed": len(ask.claims)}


def _claim_alone(uses: Uses, ask: Ask, wait: bool) -> None:
    """Claim with a look at the lines, or say what is in the way."""
    asked, patience_s = ask.claims, uses.config.reservations.backfill_s

    def work() -> NoCapacity | None:
        with uses.db.transaction(uses.context) as uow:
            held = repository.locked_sources(uow, _sources_of([ask]))
            _check_there(asked, held)
            have = repository.claims_by_ids(uow.connection, list(asked))
            _check_same(asked, have)
            fresh = [one for one in asked.values() if one["id"] not in have]
            for one in fresh:
                _check_usable(held[one["source_id"]], one["kind"])
            wanted = _amounts(fresh)
            refusal = lines.judge(uow, held, wanted, ask.holder, patience_s, wait)
            if refusal:
                # Its place in line is written all the same.
                return refusal
            after = _take(uow, held, fresh, have, wanted, {ask.expires: list(asked)})
            if fresh:
                lines.served(uow, {**held, **after}, ask.holder, patience_s)
        return None

    refusal = uses.db.retrying(work)
    if refusal and _make_room(uses, _sources_of([ask])):
        refusal = uses.db.retrying(work)
    if refusal:
        raise refusal


def claim_all(uses: Uses, asks: Sequence[Mapping[str, Any]], ttl_s: float | None = None) -> list[dict[str, Any] | None]:
    """For each of ``asks``, ``{"claims", "holder"}``, what ``grant`` answers; room whose time is over is given to them."""
    wanted = _asks(uses, asks, ttl_s)
    answers = grant(uses.db, wanted) if wanted else []
    if any(answers) and _make_room(uses, _sources_of(wanted)):
        # Those that were granted stand already.
        answers = grant(uses.db, wanted)
    return answers


def grant(db: Database, asks: Sequence[Ask]) -> list[dict[str, Any] | None]:
    """None for each ask of which all claims stand now; in one transaction.

    Of another nothing is claimed, and the answer is the error ``source.no_capacity``, or an empty one where it is to be asked for
    alone: that says what else is wrong, and who is next where anybody waits for room at one of these sources.
    """
    def work() -> list[dict[str, Any] | None]:
        with db.transaction(asks[0].context if len(asks) == 1 else None) as uow:
            held = repository.locked_sources(uow, _sources_of(asks))
            if lines.any_waits(uow.connection, held, {ask.holder for ask in asks}):
                return [{} for _ in asks]
            have = repository.claims_by_ids(uow.connection, [claim_id for ask in asks for claim_id in ask.claims])
            refused: list[dict[str, Any] | None] = []
            fresh: dict[str, Row] = {}
            ends: dict[str | None, list[str]] = defaultdict(list)
            taken = _amounts(())
            for ask in asks:
                # What another ask of these has got stands, too.
                known = {**have, **fresh}
                new = [one for claim_id, one in ask.claims.items() if claim_id not in known]
                wanted = _amounts(new)
                refused.append(_refused(ask.claims, new, wanted, held, known, taken))
                if refused[-1] is None:
                    fresh |= {one["id"]: one for one in new}
                    ends[ask.expires] += ask.claims
                    for source, kinds in wanted.items():
                        for kind, amount in kinds.items():
                            taken[source][kind] += amount
            _take(uow, held, list(fresh.values()), have, taken, ends)
            return refused
    return db.retrying(work)


def _take(uow: UnitOfWork, held: Mapping[str, Row], fresh: Sequence[Row], have: Mapping[str, Row], amounts: Amounts,
          ends: Mapping[str | None, Sequence[str]]) -> dict[str, Row]:
    """Write claims that are granted, and the new end of those that stand already; the sources that changed, by id."""
    for expires, ids in ends.items():
        for part in repository.parts([claim_id for claim_id in ids if claim_id in have]):
            uow.connection.execute(update(claim_table).where(claim_table.c.id.in_(part)).values(expires_at=expires))
    if not fresh:
        return {}
    end_of, now = {claim_id: expires for expires, ids in ends.items() for claim_id in ids}, clock.stamp()
    insert_rows(uow.connection, claim_table, [{**one, "expires_at": end_of[one["id"]], "created_at": now} for one in fresh])
    return _use(uow, held, amounts)


def _asks(uses: Uses, given: Sequence[Mapping[str, Any]], ttl_s: Any) -> list[Ask]:
    """Checked asks.

    Raises:
        Invalid: one is malformed.
    """
    checked = [_checked(ask["claims"], ask["holder"], ttl_s) for ask in given]
    expires = None if ttl_s is None else clock.stamp_in(ttl_s)
    return [Ask(asked, ask["holder"], expires, uses.context) for ask, asked in zip(given, checked, strict=True)]


def _sources_of(asks: Sequence[Ask]) -> set[str]:
    return {one["source_id"] for ask in asks for one in ask.claims.values()}


def _refused(asked: Mapping[str, Row], new: Sequence[Row], wanted: Amounts, held: Mapping[str, Row], have: Mapping[str, Row],
             taken: Amounts) -> dict[str, Any] | None:
    """Why claims cannot be granted beside what was ``taken`` in this transaction already, as ``grant`` answers it."""
    try:
        _check_there(asked, held)
        _check_same(asked, {claim_id: row for claim_id, row in have.items() if claim_id in asked})
        for one in new:
            _check_usable(held[one["source_id"]], one["kind"])
    except EdgemereError:
        return {}
    refusals = [refusal for source, kinds in wanted.items()
                if (refusal := rules.no_room({**held[source], "used": rules.used_after(held[source], taken[source])}, kinds))]
    # What could never be granted is said first.
    first = min(refusals, key=lambda refusal: not refusal.extra.get("never"), default=None)
    return first and first.payload()


def look(uses: Uses, claims: Sequence[Mapping[str, Any]], holder: str) -> list[dict[str, Any]]:
    """Whether ``claim`` would grant these now, by source and kind; claims nothing and stands in no line.

    ``[{"source", "kind", "wanted", "capacity", "used", "free", "missing", "fits", "why"}]``; an unlimited kind has null capacity
    and free. Claims that are over and not given back yet count as used.

    Raises:
        NotFound, Conflict, Invalid: as ``claim`` does.
    """
    asked = _checked(claims, holder, None)
    with uses.db.reading() as connection:
        held = {row["id"]: row for row in repository.sources_by_ids(connection, sorted({one["source_id"] for one in asked.values()}))}
        _check_there(asked, held)
        for one in asked.values():
            _check_usable(held[one["source_id"]], one["kind"])
        wanted = _amounts(asked.values())
        refusals = lines.refused(connection, held, wanted, holder, uses.config.reservations.backfill_s)
    rooms = []
    for source_id, kinds in wanted.items():
        for kind, amount in kinds.items():
            source = held[source_id]
            capacity, used = (source["capacity"] or {}).get(kind), (source["used"] or {}).get(kind, 0)
            free = None if capacity is None else max(capacity - used, 0)
            refusal = refusals.get((source_id, kind))
            rooms.append({
                "source": ref(source_id, source["name"]), "kind": kind, "wanted": amount, "capacity": capacity, "used": used, "free": free,
                "missing": 0 if free is None else max(amount - free, 0), "fits": refusal is None, "why": refusal and refusal.detail,
                "never": bool(refusal and refusal.extra.get("never"))})
    return rooms


def release(uses: Uses, ids: Sequence[str] | None = None, holder: str | None = None, prefix: str = "") -> dict[str, int]:
    """Give claims back: those of ``ids``, or those of a holder (that begin with ``prefix``). ``{"released": n}``.

    Claims that are gone already are no error. Says ``capacity.freed`` once per source that had a bound, with the
    holders whose turn it is. A holder that gives everything back leaves the lines, too.
    """
    if ids is None and not holder:
        raise Invalid("parameter.missing", "release needs the ids of the claims, or their holder.",
                      errors=[{"pointer": "/ids", "detail": "This is required."}])

    def work() -> int:
        with uses.db.reading() as connection:
            named = list(dict.fromkeys(ids)) if ids is not None else repository.claims_of(connection, holder or "", prefix)
            found = repository.claims_by_ids(connection, named)
            waits = bool(holder and not prefix and lines.waits(connection, holder))
        if not found and not waits:
            return 0
        with uses.db.transaction(uses.context) as uow:
            left = lines.leave(uow, holder) if waits else set()
            return _release(uow, list(found), {row["source_id"] for row in found.values()} | left,
                            uses.config.reservations.backfill_s)

    return {"released": uses.db.retrying(work)}


def renew(uses: Uses, holder: str, ttl_s: float | None = None) -> dict[str, int]:
    """Let the claims of a holder end in ``ttl_s`` seconds from now; None: when they are released."""
    expires = None if ttl_s is None else clock.stamp_in(_duration(ttl_s))
    with uses.db.transaction(uses.context) as uow:
        count = uow.connection.execute(
            update(claim_table).where(claim_table.c.holder == holder).values(expires_at=expires)).rowcount
    return {"renewed": count}


def line(uses: Uses, holder: str) -> list[dict[str, Any]]:
    """Where a holder stands now: ``[{"source", "kind", "position", "ahead", "estimate_s"}]``, empty when it does not wait."""
    with uses.db.reading() as connection:
        places = lines.places(connection, holder)
        sources = {row["id"]: row for row in repository.sources_by_ids(connection, sorted({source for source, _ in places}))}
        return [{"source": ref(source, sources[source]["name"]), "kind": kind, **found} for source, kind in places
                if (found := lines.place(connection, sources[source], f"{source}.{kind}", holder))]


def sweep(uses: Uses) -> int:
    """Renew the claims of reservations that stand, give back the others whose time is over; returns how many."""
    with uses.db.reading() as connection:
        over = repository.expired_claims(connection, SWEPT)
        stale = lines.stale(connection)
    if stale:
        with uses.db.transaction(uses.context) as uow:
            lines.forget(uow)
    return _settle(uses, over) if over else 0


def _make_room(uses: Uses, source_ids: set[str]) -> int:
    """Give back what is over at these sources without waiting for the sweep; returns how many claims."""
    with uses.db.reading() as connection:
        over = repository.expired_claims(connection, SWEPT, sorted(source_ids))
    return _settle(uses, over) if over else 0


def _settle(uses: Uses, over: Sequence[str]) -> int:
    """Of claims whose time is over renew those that are needed still, and give the others back."""
    reservations = {claim_id: claim_id.partition(".")[0] for claim_id in over if is_id(claim_id.partition(".")[0], "datareservation")}
    try:
        standing = set(uses.mesh.call("reservations", "standing", ids=sorted(set(reservations.values())))) if reservations else set()
    except EdgemereError as error:
        # Nobody knows: what may be in use stays in use.
        log.warning("claims of reservations are kept, their service does not answer: %s", error)
        standing = set(reservations.values())
    needed = [claim_id for claim_id, reservation in reservations.items() if reservation in standing]
    if needed:
        until = clock.stamp_in(uses.config.reservations.claim_ttl_s)
        with uses.db.transaction(uses.context) as uow:
            for part in repository.parts(needed):
                uow.connection.execute(update(claim_table).where(claim_table.c.id.in_(part)).values(expires_at=until))
    ended = list(set(over) - set(needed))
    return release(uses, ids=ended)["released"] if ended else 0


def _release(uow: UnitOfWork, ids: Sequence[str], source_ids: set[str], patience_s: float) -> int:
    held = repository.locked_sources(uow, source_ids)
    # Read again: what was seen before the lock may have been released by somebody else.
    found = repository.claims_by_ids(uow.connection, ids)
    for part in repository.parts(list(found)):
        uow.connection.execute(delete(claim_table).where(claim_table.c.id.in_(part)))
    amounts = _amounts(found.values())
    after = _use(uow, held, {source: {kind: -amount for kind, amount in kinds.items()} for source, kinds in amounts.items()},
                 lines.held_for(found.values()))
    lines.announce(uow, {source_id: after.get(source_id, row) for source_id, row in held.items()}, patience_s)
    return len(found)


def _use(uow: UnitOfWork, held: Mapping[str, Row], amounts: Amounts, held_s: Mapping[str, float] | None = None) -> dict[str, Row]:
    """Write what is used now, and how long it was held; the rows that changed, by id."""
    # Nothing of an empty file is used: a new version that says no change would be one that nobody hears of.
    rows = [held[source] for source, kinds in amounts.items()
            if any(kinds.values()) and source in held and not held[source]["destroyed_at"]]

    def changes(row: Row) -> dict[str, Any]:
        longer = lines.mean_after(row["holding_s"], (held_s or {}).get(row["id"]))
        return {"used": rules.used_after(row, amounts[row["id"]]), "holding_s": longer}
    return {row["id"]: row for row in uow.change(SOURCE, rows, changes)}


def _amounts(claims: Any) -> Amounts:
    amounts: Amounts = defaultdict(lambda: defaultdict(int))
    for one in claims:
        amounts[one["source_id"]][one["kind"]] += one["amount"]
    return amounts


def _check_there(asked: Mapping[str, Row], held: Mapping[str, Row]) -> None:
    for one in asked.values():
        source = held.get(one["source_id"])
        if source is None or source["destroyed_at"]:
            raise NotFound("datasource.not_found", f"There is no source {one['source_id']} to claim from.",
                           next_step="'datasource list' shows the living ones.")


def _check_usable(source: Mapping[str, Any], kind: str) -> None:
    about = {"source": ref(source["id"], source["name"])}
    if source["state"] != "Ready":
        raise Conflict("datasource.not_ready", f"The source '{source['name']}' is {source['state']} and takes no claims.",
                       next_step="'datasource resume' takes a suspended source into use again.", **about)
    if kind == BYTES and not source["writable"]:
        raise Conflict("datasource.not_writable", f"The source '{source['name']}' does not take copies.",
                       next_step="Register it with parameters.writable: true.", **about)


def _check_same(asked: Mapping[str, Row], have: Mapping[str, Row]) -> None:
    for claim_id, row in have.items():
        if any(asked[claim_id][name] != row[name] for name in ("source_id", "kind", "amount", "holder")):
            raise Invalid("parameter.invalid", f"The claim {claim_id} is there already and is another one.",
                          errors=[{"pointer": "/claims", "detail": f"{claim_id} stands for another claim"}])


def _checked(claims: Any, holder: Any, ttl_s: Any) -> dict[str, Row]:
    _duration(ttl_s)
    if not isinstance(holder, str) or not 0 < len(holder) <= 128 or "\x00" in holder:
        raise rules.refused("/holder", "The holder of claims is an id.")
    if not isinstance(claims, Sequence) or isinstance(claims, str):
        raise rules.refused("/claims", "Claims are a list.")
    asked: dict[str, Row] = {}
    for at, one in enumerate(claims):
        try:
            row = {"id": one["id"], "source_id": one["source"], "kind": one.get("kind", READERS),
                   "amount": one.get("amount", 1), "holder": holder, "data_id": one.get("data")}
        except (KeyError, TypeError, AttributeError):
            raise rules.refused(f"/claims/{at}", "A claim has id, source, kind and amount.") from None
        amount = row["amount"]
        good = isinstance(row["id"], str) and 0 < len(row["id"]) <= 128 and "\x00" not in row["id"] \
            and is_id(row["source_id"], "datasource") and row["kind"] in KINDS \
            and isinstance(amount, int) and not isinstance(amount, bool) and 0 <= amount <= rules.LARGEST \
            and (row["data_id"] is None or is_id(row["data_id"], "data"))
        if not good:
            raise rules.refused(f"/claims/{at}", "A claim has an id, the id of a source, kind readers or bytes, and an amount from 0.")
        if asked.setdefault(row["id"], row) != row:
            raise rules.refused(f"/claims/{at}", f"The claim {row['id']} is given twice, differently.")
    return asked


def _duration(ttl_s: Any) -> Any:
    if ttl_s is not None and (isinstance(ttl_s, bool) or not isinstance(ttl_s, (int, float)) or not 0 <= ttl_s <= 1e9):
        raise rules.refused("/ttl_s", "ttl_s is a number of seconds from 0, or null.")
    return ttl_s


