"""What is done every second for requests and references, where there is anything to do."""
from __future__ import annotations

from services.requests import repository, standing, steps, swapping
from shared.hosting.uses import Uses
from shared.kernel import clock


def sweep(uses: Uses) -> None:
    """End what is over, look again at what waits, repeat what was not heard, attach what came, let go of former places."""
    with uses.db.reading() as connection:
        due = repository.due(connection, clock.stamp(), clock.stamp_in(-uses.config.requests.quiet_s))
    if due.open:
        steps.sweep(uses)
    if due.standing:
        standing.sweep(uses)
    if due.swaps:
        swapping.sweep(uses)
