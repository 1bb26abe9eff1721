"""Which services run in this process: a call to one of them is handed to it as it is, without a way through the broker.

What is called, on whose behalf, until when, and what comes of it is as for every other call. What the broker adds is a place where a call waits while
nobody is there to take it; so a service is here from the moment when it takes calls until it stops taking them, and is asked by the broker otherwise.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from shared.kernel.context import Context


class Taker(Protocol):
    """What takes the calls of one service."""

    def take(self, called: str, body: bytes, context: Context, answered: Callable[[bytes], None]) -> None:
        """Have ``service.method`` called with what ``body`` holds: JSON, ``{"args", "kwargs"}``. ``answered`` gets ``{"result", "error"}`` as JSON,
        once, unless an error is raised.

        Raises:
            DeadlineExceeded: no worker was free before the context's deadline. Unavailable: the service is being stopped.
        """


class Here:
    """The services of this process that take calls now."""

    def __init__(self) -> None:
        self._takers: dict[str, Taker] = {}

    def arrives(self, service: str, taker: Taker) -> None:
        self._takers[service] = taker

    def leaves(self, service: str) -> None:
        self._takers.pop(service, None)

    def of(self, service: str) -> Taker | None:
        """Who takes calls of a service here; None where nobody does."""
        return self._takers.get(service)
