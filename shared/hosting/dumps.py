"""No dump of a process's memory is written when it crashes: keys, passwords and data would lie in it."""
from __future__ import annotations

import resource


def leave_none() -> None:
    """For this process and all that it starts, whatever the limits of the one that started it. Not to be taken back."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
