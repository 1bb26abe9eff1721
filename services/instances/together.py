"""The instances of several requests in one go: the way of most requests.

For first attempts with few Data, an instance for each, of which nothing is there yet. Everything else goes one request at a time, as
``provisioning.provide`` does it; so do all of them where one cannot be done. Every part may run twice.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.exc import IntegrityError

from services.instances import moving, provisioning, removing, repository, rules
from shared.hosting.uses import Uses
from shared.kernel.errors import VersionConflict
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

FEW = 100
Asked = tuple[Uses, Mapping[str, Any]]
Made = list[tuple[Row, list[Row]]]
"""Instances, each with its entries."""


def provide(uses: Uses, asked: Sequence[Asked]) -> set[str]:
    """Make the instances of Evaluated requests as far as they are usual; the ids of those that are done with."""
    usual = {request["id"]: (own, request) for own, request in asked if _is_usual(request)}
    if not usual:
        return set()
    speaker = next(iter(usual.values()))[0] if len(usual) == 1 else uses
    reservations = speaker.mesh.call("reservations", "confirmed_all", most=FEW,
                                     attempts=[[request["id"], request["attempt"]] for _, request in usual.values()])
    made = {request: _instances(usual[request][1], rows) for request, rows in reservations.items() if rows}
    if not made:
        return set()
    rows = [row for request in made for row in reservations[request]]
    places = {row["source_id"] for row in rows} | {row["target_id"] for row in rows if row["target_id"]}
    sources = speaker.mesh.call("catalog", "sources", ids=sorted(places))
    provisioning.verify_left(speaker, [one for own in made.values() for one in own], sources,
                             {row["data_id"] for row in rows if row.get("replicas")})
    try:
        written = _write(speaker, {request: (usual[request][0], own) for request, own in made.items()})
    except (VersionConflict, IntegrityError):
        # Something of one of them is there, or is being made elsewhere, or another instance has one of the names.
        return set()
    for request in written:
        if any(entry["state"] == "pending" for _, entries in made[request] for entry in entries):
            moving.start(usual[request][0], request)
    return written


def _is_usual(request: Mapping[str, Any]) -> bool:
    return (request["attempt"] == 1 and request["granularity"] == "data" and not request.get("missing")
            and not request.get("reference_name"))


def _instances(request: Mapping[str, Any], reservations: Sequence[Mapping[str, Any]]) -> Made:
    names = rules.free_names(request["name"], set())
    made: Made = []
    for key, group in rules.grouped(reservations, request["granularity"]).items():
        instance = rules.instance_row(request, key, next(names), group)
        made.append((instance, [rules.entry_row(instance, place, reservation) for place, reservation in enumerate(group)]))
    return made


def _write(uses: Uses, made: Mapping[str, tuple[Uses, Made]]) -> set[str]:
    """Write instances, entries and what the requests are told in one transaction; those of which nobody did before, or which ended.

    Raises:
        VersionConflict: some of them are there, or being made elsewhere. IntegrityError: a name is taken. Nothing was written.
    """
    with uses.db.transaction(uses.context) as uow:
        fresh = repository.claim_making(uow.connection, [(request, 1) for request in made])
        everything = [one for request in fresh for one in made[request][1]]
        for request in fresh:
            of, own = made[request]
            uow.causes.update({request: of.context}, **{instance["id"]: of.context for instance, _ in own})
        if everything and provisioning.insert(uow, everything, uses.config.instances.expiring_s) != len(everything):
            raise VersionConflict("datainstance.version_conflict", "Some of these instances are there, or are being made elsewhere.")
        for request in fresh:
            _settle(uow, request, made[request][1])
    return fresh


def _settle(uow: UnitOfWork, request: str, made: Made) -> None:
    """As ``provisioning.settle``, of a request whose instances are all at hand where all of them are Ready."""
    states = {entry["state"] for _, entries in made for entry in entries}
    if states != {"ready"}:
        provisioning.settle(uow, request, 1)
        return
    simulated = sum(any(entry["verified"] == "simulated" for entry in entries) for _, entries in made)
    uow.tell("instances.settled", request, {
        "request": request, "attempt": 1, "live": len(made), "simulated": simulated, "broken": [],
        "refs": [{"id": instance["id"], "name": instance["name"]} for instance, _ in made[:removing.REFS]]})
