"""Leases of the service: what one holder at a time does, until its time is over."""
from __future__ import annotations

from services.instances.models import METADATA
from shared.hosting.uses import Uses
from shared.storage import leases


def lease(uses: Uses, name: str, holder: str, seconds: float) -> bool:
    """Take or keep the lease of this name; False while another holder has it."""
    with uses.db.at_once() as connection:
        return leases.take(connection, METADATA.tables["lease"], name, holder, seconds)


def end_lease(uses: Uses, name: str, holder: str) -> None:
    """Give the lease up; one that is somebody else's by now stays."""
    with uses.db.at_once() as connection:
        leases.give_back(connection, METADATA.tables["lease"], name, holder)
