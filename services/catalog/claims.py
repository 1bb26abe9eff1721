"""Claims on the capacity of sources: all or nothing, never more than there is, the same call twice as one.

Every change of what is used is made while the row of the source is held (locked on PostgreSQL, the only writer on
SQLite) and written on the version that was judged; so two replicas never grant the same room.
"""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, update

from services.catalog import repository, rules
from services.catalog.models import BYTES, KINDS, READERS, SOURCE, claim_table, ref
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.errors import Conflict, Invalid, NotFound
from shared.kernel.ids import is_id
from shared.storage.bulk import insert_rows
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

Amounts = dict[str, dict[str, int]]
SWEPT = 5000


def claim(uses: Uses, claims: Sequence[Mapping[str, Any]], holder: str, ttl_s: float | None = None) -> dict[str, Any]:
    """Claim room for ``holder``: ``[{"id", "source", "kind": "readers"|"bytes", "amount", "data"?}]``.

    Claims that are there already stay, with the new expiry (None: until they are released). Answers
    ``{"claimed": how many now stand}``.

    Raises:
        NoCapacity: ``source.no_capacity`` with ``source, kind, wanted, free``; nothing was claimed.
        Conflict: ``datasource.not_ready`` or ``datasource.not_writable``; nothing was claimed.
        NotFound: ``datasource.not_found``.
        Invalid: a claim is malformed, or its id stands for another claim.
    """
    asked = _checked(claims, holder, ttl_s)
    expires = None if ttl_s is None else clock.stamp_in(ttl_s)

    def work() -> None:
        with uses.db.transaction(uses.context) as uow:
            held = repository.locked_sources(uow, {one["source_id"] for one in asked.values()})
            _check_there(asked, held)
            have = repository.claims_by_ids(uow.connection, list(asked))
            _check_same(asked, have)
            fresh = [one for one in asked.values() if one["id"] not in have]
            wanted = _amounts(fresh)
            held = _with_room(uow, held, wanted, fresh)
            if have:
                for part in repository.parts(list(have)):
                    uow.connection.execute(update(claim_table).where(claim_table.c.id.in_(part)).values(expires_at=expires))
            if fresh:
                now = clock.stamp()
                insert_rows(uow.connection, claim_table, [{**one, "expires_at": expires, "created_at": now} for one in fresh])
                _use(uow, held, wanted)

    if asked:
        uses.db.retrying(work)
    return {"claimed": len(asked)}


def release(uses: Uses, ids: Sequence[str] | None = None, holder: str | None = None, prefix: str = "") -> dict[str, int]:
    """Give claims back: those of ``ids``, or those of a holder (that begin with ``prefix``). ``{"released": n}``.

    Claims that are gone already are no error. Says ``capacity.freed`` once per source that had a bound.
    """
    if ids is None and not holder:
        raise Invalid("parameter.missing", "release needs the ids of the claims, or their holder.",
                      errors=[{"pointer": "/ids", "detail": "This is required."}])

    def work() -> int:
        with uses.db.reading() as connection:
            named = list(dict.fromkeys(ids)) if ids is not None else repository.claims_of(connection, holder or "", prefix)
            found = repository.claims_by_ids(connection, named)
        if not found:
            return 0
        with uses.db.transaction(uses.context) as uow:
            return _release(uow, list(found), {row["source_id"] for row in found.values()})

    return {"released": uses.db.retrying(work)}


def renew(uses: Uses, holder: str, ttl_s: float | None = None) -> dict[str, int]:
    """Let the claims of a holder end in ``ttl_s`` seconds from now; None: when they are released."""
    expires = None if ttl_s is None else clock.stamp_in(_duration(ttl_s))
    with uses.db.transaction(uses.context) as uow:
        count = uow.connection.execute(
            update(claim_table).where(claim_table.c.holder == holder).values(expires_at=expires)).rowcount
    return {"renewed": count}


def sweep(uses: Uses) -> int:
    """Give back the claims whose time is over; returns how many."""
    with uses.db.reading() as connection:
        over = repository.expired_claims(connection, SWEPT)
    return release(uses, ids=over)["released"] if over else 0


def _release(uow: UnitOfWork, ids: Sequence[str], source_ids: set[str]) -> int:
    held = repository.locked_sources(uow, source_ids)
    # Read again: what was seen before the lock may have been released by somebody else.
    found = repository.claims_by_ids(uow.connection, ids)
    for part in repository.parts(list(found)):
        uow.connection.execute(delete(claim_table).where(claim_table.c.id.in_(part)))
    amounts = _amounts(found.values())
    _use(uow, held, {source: {kind: -amount for kind, amount in kinds.items()} for source, kinds in amounts.items()})
    for source_id, kinds in amounts.items():
        source = held.get(source_id)
        if source and any((source["capacity"] or {}).get(kind) is not None for kind in kinds):
            uow.tell("capacity.freed", source_id, {"source": ref(source_id, source["name"]), "why": "released"})
    return len(found)


def _with_room(uow: UnitOfWork, held: dict[str, Row], wanted: Amounts, fresh: Sequence[Row]) -> dict[str, Row]:
    """The rows of the sources, all with room for what is wanted; claims that are over make room first."""
    for one in fresh:
        _check_usable(held[one["source_id"]], one["kind"])
    full = [source for source, kinds in wanted.items() if rules.no_room(held[source], kinds)]
    if full:
        over = repository.expired_claims(uow.connection, SWEPT, full)
        if over:
            _release(uow, over, set(full))
            held = repository.locked_sources(uow, held)
    for source, kinds in wanted.items():
        refusal = rules.no_room(held[source], kinds)
        if refusal:
            raise refusal
    return held


def _use(uow: UnitOfWork, held: Mapping[str, Row], amounts: Amounts) -> None:
    rows = [held[source] for source in amounts if source in held and not held[source]["destroyed_at"]]
    uow.change(SOURCE, rows, lambda row: {"used": rules.used_after(row, amounts[row["id"]])})


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


