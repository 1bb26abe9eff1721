"""On whose behalf, for which call and until when a piece of work runs: the one thing that travels with every hop."""
from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
        """The same with other words; every hop makes a few of them, and ``dataclasses.replace`` takes four times as long.

        Raises:
            TypeError: a context has no such word.
        """
        made = object.__new__(Context)
        made.__dict__.update(self.__dict__, **changes)
        if len(made.__dict__) != len(self.__dict__):
            raise TypeError(f"A context has no {', '.join(changes.keys() - self.__dict__.keys())}.")
        return made

    def told(self) -> dict[str, Any]:
        """What a service is told of a call in whose name it does something, beside the calls of others: plain words, which ``as_told`` reads.

        A key for repeated calls, the version that the caller saw and the deadline belong to the call itself.
        """
        return {**{word: value for word in TOLD if (value := getattr(self, word))}, "roles": list(self.roles), "mesh": self.mesh}

    @classmethod
    def as_told(cls, words: Mapping[str, Any]) -> Context:
        """The context that ``told`` gave; words that a newer service has are left out."""
        return cls(**{word: words[word] for word in TOLD if word in words}, roles=tuple(words.get("roles", ())), mesh=words.get("mesh") is True)


TOLD = ("owner", "request_id", "correlation_id", "causation_id", "credential", "address", "action", "traceparent")
