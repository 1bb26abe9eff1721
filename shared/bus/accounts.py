"""Whose account at the broker an address names: one for the whole mesh, or one of each service, which may do less.

What each may do is made from the tables by ``shared.hosting.accounts``; here is what an account is called, which is all that a
process needs to know of it.
"""
from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from shared.contracts.table import SERVICES

GATEWAY = "gateway"
EVERYBODY = (*SERVICES, GATEWAY)
PREFIX = "edgemere-"
# While its password is replaced, a service has a second one: edgemere-catalog-next.
_ACCOUNT = re.compile(rf"{PREFIX}({'|'.join(EVERYBODY)})(-[\w-]+)?")


def name_of(service: str) -> str:
    """What the account of a service is called."""
    return PREFIX + service


def account_of(uri: str) -> str:
    """The service whose own account an address names; empty for an account of the whole mesh."""
    found = _ACCOUNT.fullmatch(unquote(urlsplit(uri).username or ""))
    return found[1] if found else ""
