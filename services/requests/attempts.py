"""How a request stood at each of its versions, as far as it is kept: earlier attempts as they ended, the newest as it is.

Decides; reads and writes nothing. What an attempt found and why it ended is kept with the request when the next begins.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.kernel.errors import NotFound
from shared.storage.record import Row

MOST = 50
# What an attempt is explained by.
_KEPT = ("attempt", "version", "state", "found", "reason", "message", "cost", "reservations", "warnings")


def kept(row: Row) -> list[dict[str, Any]]:
    """The earlier attempts of a request whose next attempt begins; the oldest of very many are forgotten."""
    return [*(row["attempts"] or []), {**{name: row[name] for name in _KEPT}, "at": row["updated_at"]}][-MOST:]


def as_of(row: Row, history: Sequence[Mapping[str, Any]], version: int | None, attempt: int | None) -> tuple[Row, str | None, bool]:
    """``(row, until, ended)``: the request as it was at a version, or at the end of an attempt; now, where neither is given.

    ``until``: when the next version with a move came, None for the newest. ``ended``: nothing of this frame changes any more.

    Raises:
        NotFound: ``explanation.not_found``, there is no such version, or it is not kept.
    """
    past = row["attempts"] or []
    if attempt is not None and version is None:
        version = next((one["version"] for one in past if one["attempt"] == attempt), row["version"] if attempt == row["attempt"] else None)
        if version is None:
            raise _not_kept(row, f"attempt {attempt}")
    if version is None or version == row["version"]:
        return row, None, row["state"] in ("Failed", "Completed") or bool(row["destroyed_at"])
    if not 0 < version < row["version"]:
        raise _not_kept(row, f"version {version}")
    then = next((one for one in past if version <= one["version"]), None)
    if then is None and past and row["attempt"] - len(past) > 1 and version < past[0]["version"]:
        raise _not_kept(row, f"version {version}")
    state = next((step["to_state"] for step in reversed(history) if step["version"] <= version), "Init")
    later = next((step["at"] for step in history if step["version"] > version), None)
    facts = {**row, **(then or {}), "state": state, "version": version, "blocked_by": None, "destroyed_at": None}
    if version != (then or row)["version"]:
        # What was said between two versions is in the event log; what was found and decided is here.
        facts |= {"message": None, "reason": None}
    return facts, later, True


def _not_kept(row: Row, what: str) -> NotFound:
    return NotFound("explanation.not_found", f"Request '{row['name']}' has no {what}, or it is no longer kept.",
                    next_step=f"Its newest version is {row['version']}, in attempt {row['attempt']}; leave it out for that.",
                    errors=[{"pointer": "/at", "detail": f"There is no {what}."}])
