"""Compares data that appeared with what a request has: what is new to it, and where the same bytes would cost less. Writes nothing."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.reservations import repository
from services.reservations.asking import asking, sources
from services.reservations.policy.deciding import Decider
from shared.hosting.uses import Uses


def compare(uses: Uses, request: str, family: Sequence[str], data: Sequence[str], checksums: Mapping[str, str]) -> dict[str, Any]:
    """``{"new": [data ids], "replicas": [{"data", "source", "instead_of", "cost", "cost_now", "saves"}]}`` of the living among ``data``.

    ``family`` are the requests whose confirmed reservations count as had; ``checksums`` are further ones of their data, found
    when it was read. A replica has the bytes of something had; its cost and that of what is had are as they would be
    decided now, and ``saves`` is negative where the replica is dearer.
    """
    wanted = uses.itself.call("requests", "plain", request=request)
    facts = uses.for_owner(wanted).call("catalog", "data_by_ids", ids=list(data), visible=True, timeout_s=30)
    with uses.db.reading() as connection:
        had = repository.confirmed_of_all(connection, family)
    have = {row["data_id"] for row in had}
    by_checksum = {checksum: row for row in had if (checksum := row["snapshot"].get("checksum") or checksums.get(row["data_id"]))}
    fresh = [facts[one] for one in data if one in facts and one not in have]
    twins = [one for one in fresh if one.get("checksum") in by_checksum]
    replicas = []
    if twins:
        decider = _decider(uses, wanted, {one["source"]["id"] for one in twins} | {row["source_id"] for row in by_checksum.values()})
        for one in twins:
            row = by_checksum[one["checksum"]]
            there, here = decider(one), decider(row["snapshot"])
            if there.status == "rejected" or there.problem:
                continue
            replicas.append({
                "data": {"id": one["id"], "name": one["name"]}, "source": one["source"],
                "instead_of": {"id": row["data_id"], "name": row["name"], "source": {"id": row["source_id"], "name": row["source_name"]}},
                "cost": there.cost, "cost_now": here.cost, "saves": round(here.cost - there.cost, 9)})
    same = {one["id"] for one in twins}
    return {"new": [one["id"] for one in fresh if one["id"] not in same], "replicas": replicas}


def _decider(uses: Uses, request: Mapping[str, Any], places: set[str]) -> Decider:
    return Decider(asking(uses, request, sources(uses, places)))
