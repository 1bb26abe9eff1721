"""Leases of the service: what one holder at a time does, until its time is over."""
from __future__ import annotations

from sqlalchemy import delete
from sqlalchemy.dialects import postgresql, sqlite

from services.instances.models import METADATA
from shared.hosting.uses import Uses
from shared.kernel import clock


def lease(uses: Uses, name: str, holder: str, seconds: float) -> bool:
    """Take or keep the lease of this name; False while another holder has it."""
    table = METADATA.tables["lease"]
    dialect = postgresql if uses.db.engine.dialect.name == "postgresql" else sqlite
    until = clock.stamp_in(seconds)
    statement = dialect.insert(table).values(name=name, holder=holder, until=until)
    statement = statement.on_conflict_do_update(
        index_elements=["name"], set_={"holder": holder, "until": until},
        where=(table.c.holder == holder) | (table.c.until < clock.stamp()))
    with uses.db.transaction() as uow:
        return uow.connection.execute(statement).rowcount == 1


def end_lease(uses: Uses, name: str, holder: str) -> None:
    """Give the lease up; one that is somebody else's by now stays."""
    table = METADATA.tables["lease"]
    with uses.db.transaction() as uow:
        uow.connection.execute(delete(table).where(table.c.name == name, table.c.holder == holder))
