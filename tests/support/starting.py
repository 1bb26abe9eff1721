"""Servers that tests start: waited for until they answer, and what they said themselves where they do not come up."""
from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

# Several start beside each other on whatever cores there are; only one that never comes up takes as long.
LIMIT_S = 240.0


class ServerFailed(AssertionError):
    """A server ended or did not become ready; the text carries the end of its log."""


def until_it_answers(name: str, answers: Callable[[], object], process: subprocess.Popen | None, said: Callable[[], str], *,
                     limit_s: float = LIMIT_S, not_yet: tuple[type[Exception], ...] = (OSError,)) -> None:
    """Return as soon as ``answers`` gives something true; one of ``not_yet`` means that it does not yet.

    ``process`` is the server's where it is ours, ``said`` gives what it printed so far.

    Raises:
        ServerFailed: it ended, or did not answer in time; how it ended, what asking it met last, and what it said.
    """
    deadline = time.monotonic() + limit_s
    while True:
        # Before it is asked: who answers after its end is somebody else.
        code, met = None if process is None else process.poll(), ""
        try:
            if answers() and code is None:
                return
        except not_yet as error:
            met = f" ({error!r})"
        if code is not None:
            raise ServerFailed(f"{name} ended with {code} before it answered{met}.\n{said()}")
        if time.monotonic() > deadline:
            raise ServerFailed(f"{name} did not answer within {limit_s:g} s{met}.\n{said()}")
        time.sleep(0.05)
