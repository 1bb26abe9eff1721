"""How often somebody may ask: requests by owner and by address, wrong credentials by address; with what remains said along.

Counted in this process: several gateways count each for themselves, so the bound of a mesh is theirs together. The
headers are those of draft-ietf-httpapi-ratelimit-headers-10.
"""
from __future__ import annotations

import time
from collections.abc import Sequence
from math import ceil

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from shared.kernel.errors import TooMany

Headers = list[tuple[str, str]]


class Rates:
    """The bounds of one gateway: rates such as ``100/second``, of ``owner``, ``address`` and ``wrong`` credentials."""

    def __init__(self, owner: Sequence[str] = (), address: Sequence[str] = (), wrong: Sequence[str] = ()) -> None:
        self._bounds: dict[str, list[RateLimitItem]] = {
            "owner": [parse(text) for text in owner], "address": [parse(text) for text in address],
            "wrong": [parse(text) for text in wrong]}
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage()) if any(self._bounds.values()) else None
        self.bounds_requests = bool(owner or address)
        self._policy = ", ".join(f'"{kind}-{at}";q={item.amount};w={item.get_expiry()}'
                                 for kind in ("owner", "address") for at, item in enumerate(self._bounds[kind]))

    def check_address(self, address: str) -> Headers:
        """Count a request from an address. Raises as ``check_owner``."""
        return self._check("address", address)

    def check_owner(self, owner: str) -> Headers:
        """Count a request of an owner: the headers that say what remains.

        Raises:
            TooMany: ``rate.exceeded``; ``retry_after_s`` says when there is room again.
        """
        return self._check("owner", owner)

    def wrong(self, address: str) -> None:
        """Count a wrong credential from an address."""
        for item in self._bounds["wrong"] if self._limiter else ():
            self._limiter.hit(item, "wrong", address)

    def check_wrong(self, address: str) -> None:
        """Refuse an address from which too many wrong credentials came.

        Raises:
            TooMany: ``credential.too_many_wrong``.
        """
        for item in self._bounds["wrong"] if self._limiter else ():
            if not self._limiter.test(item, "wrong", address):
                seconds = self._seconds(item, "wrong", address)
                raise TooMany("credential.too_many_wrong", "Too many wrong credentials came from this address.",
                              next_step=f"Try again in {seconds} s, with the right one.", retry_after_s=seconds)

    def headers(self, remaining: Headers) -> Headers:
        """The headers of an answer: the policies, and what remains of each that was counted."""
        said = ", ".join(value for _, value in remaining)
        return [("RateLimit-Policy", self._policy), *([("RateLimit", said)] if said else [])] if self._policy else []

    def _check(self, kind: str, whose: str) -> Headers:
        found: Headers = []
        for at, item in enumerate(self._bounds[kind] if self._limiter else ()):
            if not self._limiter.hit(item, kind, whose):
                seconds = self._seconds(item, kind, whose)
                what = f"The owner '{whose[:100]}' has" if kind == "owner" else "This address has"
                raise TooMany("rate.exceeded", f"{what} made {item.amount} requests in {item.get_expiry()} s, as many as are allowed.",
                              next_step=f"Try again in {seconds} s.", retry_after_s=seconds,
                              policy=f"{kind}-{at}", remaining=0)
            reset, remaining = self._limiter.get_window_stats(item, kind, whose)
            found.append(("RateLimit", f'"{kind}-{at}";r={remaining};t={max(0, ceil(reset - time.time()))}'))
        return found

    def _seconds(self, item: RateLimitItem, kind: str, whose: str) -> int:
        reset, _ = self._limiter.get_window_stats(item, kind, whose)
        return max(1, ceil(reset - time.time()))
