"""On whose behalf, for which call and until when a piece of work runs: the one thing that travels with every hop."""
from __future__ import annotations

import time
from dataclasses import dataclass, replace

WHOSE = "edgemere.owner"
"""The header of a message that says whom its object belongs to; empty for what everybody may see."""


@dataclass(frozen=True)
class Context:
    """The context of a call or message.

    ``correlation_id`` ties everything to the first call, ``causation_id`` names the message that caused this
    work. ``deadline`` is absolute, in seconds since the epoch. ``if_match`` is the version that the caller saw.
    ``idempotency_key`` makes a repeated call find what its first run did; ``fingerprint`` tells whether it is
    the same call, and ``answers`` is the class of object that the call is answered with. ``credential`` (the id of a
    key, or the subject of a token), ``address`` and ``action`` say who began it, from where and with which row of the
    table: what is written in the audit log. They are empty where nobody has to log in. ``traceparent`` is
    the place in the caller's trace (W3C), empty for none. ``mesh`` is the mesh's own work, which nobody asked for:
    timers, and facts that services tell each other. No caller gets it by a role.
    """

    owner: str = ""
    roles: tuple[str, ...] = ()
    request_id: str = ""
    correlation_id: str = ""
    causation_id: str = ""
    idempotency_key: str = ""
    fingerprint: str = ""
    answers: str = ""
    credential: str = ""
    address: str = ""
    action: str = ""
    traceparent: str = ""
    deadline: float | None = None
    if_match: int | None = None
    mesh: bool = False

    def seconds_left(self, otherwise: float) -> float:
        """Seconds until the deadline, never more than ``otherwise``."""
        if self.deadline is None:
            return otherwise
        return min(otherwise, self.deadline - time.time())

    def having(self, **changes: object) -> Context:
        return replace(self, **changes)
