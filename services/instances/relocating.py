"""Moves after their copy: the catalogue's record is switched, then the data is deleted where it was. Safe to repeat at any point.

The steps of an entry, each written before the next begins: none → ``copied`` (verified at the target, still a copy) →
``switching`` (the catalogue is being asked) → ``switched`` (the record says target) → ready. Until ``switched`` the source is
whole and the copy can be thrown away; from then on the data lives at the target and is never thrown away. From the switch on the
catalogue's scans leave both places as they are; before an entry is written ready, or given up, the catalogue is told that this is over.
"""
from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from services.instances import moving, repository, rules
from shared.hosting.uses import Uses
from shared.kernel.errors import EdgemereError
from shared.storage.record import Row

log = logging.getLogger(__name__)


def advance(uses: Uses, request: str, entries: Sequence[Row], sources: Mapping[str, Any],
            write: Any) -> None:
    """Take the copied entries of a request as far as they go; ``write(results)`` is told what came of each."""
    copied = [row for row in entries if row["step"] in ("copied", "switching")]
    switched = [row for row in entries if row["step"] == "switched"]
    if copied:
        _note(uses, copied, "switching")
        refused = _switch(uses, request, copied)
        switched += [row for row in copied if row["data_id"] not in refused]
        _note(uses, [row for row in copied if row["data_id"] not in refused], "switched")
        _note(uses, [row for row in copied if row["data_id"] in refused], "copied")
        write([{"key": rules.key_of(row), "ok": False, "error": refused[row["data_id"]]} for row in copied if row["data_id"] in refused])
    if switched:
        by_key = {rules.key_of(row): row for row in switched}

        def settled(results: Sequence[Mapping[str, Any]]) -> None:
            _tell_ended(uses, [row for result in results if rules.is_over(row := by_key[result["key"]], result, uses.config.instances.copy_retries)])
            write([_settled(by_key[result["key"]], result) for result in results])
        moving.run(uses, "settle", switched, sources, request=request, on_results=settled)


def _switch(uses: Uses, request: str, copied: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Ask the catalogue to say that the data is at its target: what it refused, by data."""
    moves = [{"data": row["data_id"], "source": row["target_id"], "path": row["target_path"], "checksum": row["checksum"],
              **{name: (row["seen"] or {}).get(name) for name in ("fingerprint", "modified_at")}} for row in copied]
    answer = uses.mesh.call("catalog", "relocate_all", moves=moves, holder=request, timeout_s=30)
    return {data: {**error, "retryable": bool(error.get("retryable"))} for data, error in answer["refused"].items()}


def _settled(row: Row, result: Mapping[str, Any]) -> Mapping[str, Any]:
    if not result["ok"]:
        return result
    if result.get("kept"):
        log.warning("%s was moved, and stays at its source as well: %s", row["name"], result["kept"]["detail"])
    return {"key": result["key"], "ok": True, "uri": row["uri"], "path": row["path"], "size": row["size"],
            "checksum": row["checksum"], "verified": "checksum"}


def _tell_ended(uses: Uses, rows: Sequence[Row]) -> None:
    """Tell the catalogue that nothing is left to do at either end of these moves. Told again where the next step was not written."""
    if rows:
        uses.mesh.call("catalog", "moves_ended", data=[row["data_id"] for row in rows], timeout_s=30)


def _note(uses: Uses, rows: Sequence[Row], step: str) -> None:
    """Write how far entries are, whatever became of their instances meanwhile."""
    if rows:
        with uses.db.transaction() as uow:
            repository.set_step(uow.connection, [(row["instance_id"], row["data_id"]) for row in rows], step)


def abandon(uses: Uses, rows: Sequence[Row], sources: Mapping[str, Any]) -> None:
    """What was being moved for instances that are destroyed: thrown away, or, once the catalogue says target, finished."""
    with uses.db.reading() as connection:
        busy = repository.leased(connection, {f"moving.{row['request_id']}" for row in rows if row["step"] == "switching"})
    rows = [row for row in rows if f"moving.{row['request_id']}" not in busy or row["step"] != "switching"]
    if not rows:
        return
    now = uses.mesh.call("catalog", "data_by_ids", ids=sorted({row["data_id"] for row in rows}))
    there = [row for row in rows if _is_at_target(row, now.get(row["data_id"]))]
    back = [row for row in rows if row not in there]
    for op, some, state in (("settle", there, "ended"), ("purge", back, "purged")):
        known = [row for row in some if row["target_id"] in sources and row["source_id"] in sources]
        try:
            results = moving.run(uses, op, known, sources) if known else {}
        except EdgemereError as error:
            log.warning("%s of moves failed: %s", op, error)
            continue
        done = {(row["instance_id"], row["data_id"]) for row in some
                if row not in known or (result := results.get(rules.key_of(row))) and (result["ok"] or not result["error"].get("retryable"))}
        _tell_ended(uses, [row for row in some if (row["instance_id"], row["data_id"]) in done])
        with uses.db.transaction() as uow:
            repository.mark(uow.connection, sorted(done), {"state": state}, "leaving")


def _is_at_target(row: Row, data: Mapping[str, Any] | None) -> bool:
    return bool(data) and data["source"]["id"] == row["target_id"] and data["path"] == row["target_path"]
