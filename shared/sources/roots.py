"""Which places of this machine's disk a source may lie in. Judged before it is looked for, so that a refusal says nothing of it."""
from __future__ import annotations

import os

from shared.kernel.errors import Invalid
from shared.sources.port import SourcePolicy
from shared.sources.registry import bad_parameters


def allowed_root(place: str, policy: SourcePolicy, parameter: str = "rootdir") -> str:
    """The real path of a folder (or of a database's file) that the policy allows.

    Raises:
        Invalid: ``source.rootdir_not_allowed``, ``source.bad_parameters``.
    """
    try:
        real = os.path.realpath(place)
    except (OSError, ValueError):
        raise bad_parameters(parameter, "cannot be resolved") from None
    refused = None
    if policy.allowed_roots is not None and not any(_within(real, os.path.realpath(root)) for root in policy.allowed_roots):
        refused = "lies outside the allowed roots"
    for own in map(os.path.realpath, policy.forbidden_roots):
        if _within(real, own) or _within(own, real):
            refused = "is, holds or lies in the orchestrator's own folder"
    if refused:
        raise Invalid("source.rootdir_not_allowed", f"The folder '{place}' {refused}.",
                      next_step="Name another folder, or add its root to sources.allowed_roots in the configuration.",
                      errors=[{"pointer": f"/parameters/{parameter}", "detail": refused}])
    return real


def _within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")
