"""What inspecting data came to: for the figures, the audit log, and those who wait for the scanner. Inspects nothing itself."""
from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from services.instances import repository, rules
from shared.contracts.instances import REFUSED_DATA
from shared.hosting.uses import Uses
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

log = logging.getLogger(__name__)
WAITS = "scanner_unavailable"
COUNTED = ("clean", "too_large", "unlike")


def outcomes(result: Mapping[str, Any]) -> list[str]:
    """The words under which a result of the mover is counted; none where nothing was inspected."""
    if result["ok"]:
        found = result.get("inspected") or {}
        return [word for word in (found.get("scanner"), found.get("types")) if word in COUNTED]
    code = result["error"].get("code")
    return [code] if code in REFUSED_DATA or code == rules.SCANNER_AWAY else []


def write_down(uow: UnitOfWork, results: Sequence[tuple[Row, Mapping[str, Any]]]) -> None:
    """Say in the audit log what data was refused, for whose instance, and what was found."""
    for entry, result in results:
        if result["ok"]:
            if warning := (result.get("inspected") or {}).get("warning"):
                log.warning("%s", warning)
            continue
        error = result["error"]
        if error.get("code") in REFUSED_DATA:
            instance, = repository.by_ids(uow.connection, [entry["instance_id"]])
            finding = (error.get("extra") or {}).get("finding")
            log.warning("data of %s was refused: %s", instance["name"], error.get("detail"))
            uow.was_refused(instance["owner"], error["code"], [entry["data_id"], entry["instance_id"], *([str(finding)] if finding else [])])


def waits(uses: Uses, request: str) -> dict[str, Any] | None:
    """What the pending data of a request waits for, as a part of ``blocked_by``: the scanner, or None."""
    with uses.db.reading() as connection:
        tried = repository.tried_again(connection, request)
    waiting = [row for row in tried if row["error"].get("code") == rules.SCANNER_AWAY]
    if not waiting:
        return None
    first = min(waiting, key=lambda row: row["error"]["since"])
    return {"code": WAITS, "message": first["error"]["detail"], "since": first["error"]["since"],
            "next_retry_at": min(row["retry_at"] for row in waiting), "retries": max(row["tries"] for row in waiting)}
