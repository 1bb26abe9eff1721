"""How many requests an owner may have open, judged where one more is made or planned."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.requests import repository
from shared.hosting import quotas
from shared.hosting.uses import Uses
from shared.storage.unit_of_work import UnitOfWork


def is_bounded(uses: Uses) -> bool:
    """Whether the caller's requests have to be counted before one more is made."""
    return "requests" in quotas.quota_of(uses.config, uses.context.owner)


def check(uses: Uses, uow: UnitOfWork) -> dict[str, Any]:
    """What remains of the owner's quota of requests when one more is made; empty where there is none.

    Raises:
        TooMany: ``quota.exceeded``.
    """
    return judged(uses, lambda owner: repository.count_open(uow, owner))


def judged(uses: Uses, count: Callable[[str], int]) -> dict[str, Any]:
    """The same, where ``count`` says how many requests of the owner are open."""
    if not is_bounded(uses):
        return {}
    quota, used = quotas.quota_of(uses.config, uses.context.owner), count(uses.context.owner)
    quotas.check(quota, {"requests": used}, {"requests": 1})
    return quotas.standing(quota, {"requests": used + 1})
