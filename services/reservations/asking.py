"""Brings together what decisions depend on: the request, the policies now, and facts of sources and targets.

Asks the catalogue; decides nothing.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from services.reservations.mounting import facts
from services.reservations.policy.deciding import Asking, Terms, targets_wanted
from services.reservations.policy.rules_file import Policies
from shared.hosting.uses import Uses
from shared.kernel.errors import NotFound


def asking(uses: Uses, request: Mapping[str, Any], sources: Mapping[str, Any], *, truncated: bool = False,
           policies: Policies | None = None, known: Mapping[str, Mapping[str, Any]] | None = None) -> Asking:
    """What is asked now. ``sources`` (by id) may grow afterwards; ``policies`` are those that count unless others are given.

    ``known``: the targets that there are, where they were asked for already (see ``targets_of``).
    """
    policies = policies or uses.parts["policies"].current()
    terms = Terms.of(uses.config)
    names = targets_wanted(policies, request, terms)
    there = targets(uses, names) if known is None else {name: known[name] for name in names if name in known}
    return Asking(request, policies, sources, there, terms, truncated)


def targets_of(uses: Uses, requests: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Facts of every source that something of these requests could be taken to, each asked for once."""
    policies, terms = uses.parts["policies"].current(), Terms.of(uses.config)
    return targets(uses, set().union(*(targets_wanted(policies, request, terms) for request in requests)))


def targets(uses: Uses, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Facts of the sources of these names (or ids); one that is not there is left out."""
    ids: dict[str, str] = {}
    for name in sorted(names):
        try:
            ids[name] = uses.mesh.call("catalog", "datasource_show", id=name)["id"]
        except NotFound:
            continue
    found = sources(uses, set(ids.values()))
    return {name: found[source] for name, source in ids.items() if source in found}


def sources(uses: Uses, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Facts of sources by their ids; their parameters, which may be long, are left out."""
    ids = sorted(ids)
    if not ids:
        return {}
    return facts(uses, uses.mesh.call("catalog", "sources", ids=ids))
