"""Whom a call runs for, and until when that holds."""
from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from shared.kernel.context import Context


SOON_S = 14 * 86400.0


@dataclass(frozen=True, slots=True)
class Caller:
    """An owner with roles, as a credential named them; ``ends`` is when the credential does, in seconds since the epoch.

    ``key_id`` is the id of the key where it is one, ``kind`` is ``anonymous``, ``key``, ``session`` or ``token``. ``since`` is when its person
    logged in; None for a key, which a program has. ``notices`` is how much was done with the owner's keys that he has not seen.
    """

    context: Context
    kind: str = "anonymous"
    key_id: str = ""
    ends: float | None = None
    since: float | None = None
    notices: int = 0
    credential: str = field(default="", repr=False)

    @property
    def ends_soon(self) -> bool:
        """Whether whoever uses the key should see to another one."""
        return self.kind == "key" and self.ends is not None and self.ends < time.time() + SOON_S

    def is_fresh(self, fresh_s: float) -> bool:
        """Whether its person logged in within the last ``fresh_s``; a program, and 0, always."""
        return not fresh_s or self.since is None or self.since > time.time() - fresh_s

    def of(self, address: str) -> Caller:
        """The same, calling from an address."""
        return replace(self, context=self.context.having(address=address))

    @property
    def is_over(self) -> bool:
        """Whether its time is over."""
        return self.ends is not None and self.ends <= time.time()
