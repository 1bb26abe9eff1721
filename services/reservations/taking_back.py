"""What a destroyed instance held is reserved anew when it is brought back, and given up again when that comes to nothing.

A reservation that was rejected stays so; the new ones are keyed with the version in which the instance was destroyed, so
that the same undo, asked for twice, finds its own, and what is told late of the destruction does not touch them.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from services.reservations import freeing, promises, repository, rules
from services.reservations.models import RESERVATION
from shared.hosting.uses import Uses
from shared.storage.record import Row

COPIED = ("copy", "move")
AS_BEFORE = ("owner", "name", "request_id", "request_name", "attempt", "data_id", "source_id", "source_name", "action", "target_id",
             "target_name", "cost", "cost_parts", "rule", "decision", "replicas", "snapshot")


def take_back(uses: Uses, request: str, attempt: int, data: Sequence[str], version: int, instance: str | None = None) -> dict[str, int]:
    """Claim and confirm again what was reserved of these data, for ``instance``; all or nothing. ``{"reservations": n}``.

    Raises:
        TooMany: ``quota.exceeded``, its owner may not have so much.
        NoCapacity, Conflict, NotFound: as ``catalog.claim``; nothing is reserved then.
    """
    freeing.free_held(uses, request, attempt, data, version)
    rows = [row for part in _parts(data) for row in _anew(uses, request, attempt, part, version)]
    if instance and rows:
        size = sum(row["snapshot"].get("size") or 0 for row in rows if row["action"] in COPIED)
        promises.claim_undo(uses, instance, version, rows[0]["owner"], size)
    uses.mesh.call("catalog", "claim", claims=[one for row in rows for one in claims_of(row)], holder=request,
                   ttl_s=uses.config.reservations.claim_ttl_s, timeout_s=30)
    for start in range(0, len(rows), freeing.CHUNK):
        with uses.db.transaction(uses.context) as uow:
            uow.create(RESERVATION, rows[start:start + freeing.CHUNK], "create", "confirm", ignore_existing=True)
    return {"reservations": len(rows)}


def give_back(uses: Uses, request: str, attempt: int, data: Sequence[str], version: int, instance: str | None = None) -> dict[str, int]:
    """Free what ``take_back`` reserved or only claimed for this version. ``{"freed": n}``; none of it there is no error."""
    if instance:
        promises.release(uses, instance, attempt=version)
    ids = [rules.reservation_id(request, attempt, one, version) for one in data]
    for part in _parts(ids):
        freeing.free_rows(uses, lambda connection, part=part: repository.by_ids(connection, part))
        # What died between its claims and its reservations has only claims.
        freeing.release(uses, [{"id": one} for one in part])
    return {"freed": len(ids)}


def claims_of(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a confirmed reservation claims: a reader at its source, and its bytes at the target of a copy."""
    claims = [rules.reader_claim(row["id"], row["source_id"], row["data_id"])]
    if row["action"] in COPIED and row["target_id"]:
        claims.append(rules.byte_claim(row["id"], row["target_id"], row["data_id"], row["snapshot"].get("size")))
    return claims


def _anew(uses: Uses, request: str, attempt: int, data: Sequence[str], version: int) -> list[Row]:
    """The rows of new reservations, as the last ones of these data were."""
    with uses.db.reading() as connection:
        before = repository.on_data(connection, request, attempt, data)
    last: dict[str, Row] = {}
    for row in before:
        used = row["action"] and row["action"] != "reject" and not row["standby"]
        if used and (row["data_id"] not in last or row["created_at"] > last[row["data_id"]]["created_at"]):
            last[row["data_id"]] = row
    fresh = [{**{name: row[name] for name in AS_BEFORE}, "standby": False,
              "id": rules.reservation_id(request, attempt, row["data_id"], version)} for row in last.values()]
    moved = [row["data_id"] for row in fresh if row["action"] == "move"]
    now = uses.mesh.call("catalog", "data_by_ids", ids=moved) if moved else {}
    return [_left_there(row, now[row["data_id"]]) if row["data_id"] in now else row for row in fresh]


def _left_there(row: Row, data: Mapping[str, Any]) -> Row:
    """The reservation of a data that was moved: it lies at its target now, and is read there. What was not moved is as it was."""
    if data["source"]["id"] != row["target_id"]:
        return row
    return {**row, "action": "leave", "source_id": row["target_id"], "source_name": row["target_name"], "target_id": None,
            "target_name": None, "snapshot": {**row["snapshot"], "path": data["path"], "source": data["source"]}}


def _parts(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), freeing.CHUNK):
        yield items[start:start + freeing.CHUNK]
