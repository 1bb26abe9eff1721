"""How often somebody may ask: requests by owner and by address, wrong credentials by address and by key; with what remains said along.

Counted in this process: several gateways count each for themselves, so the bound of a mesh is theirs together. The
headers are those of draft-ietf-httpapi-ratelimit-headers-10.
"""
from __future__ import annotations

from collections.abc import Sequence

from gateway.callers.windows import Window
from shared.kernel.errors import TooMany

Headers = list[tuple[str, str]]


class Rates:
    """The bounds of one gateway: rates such as ``100/second``, of ``owner``, ``address`` and ``wrong`` credentials.

    ``wrong`` ones are those from one address, ``of_key`` wrong secrets for one key, wherever from.
    """

    def __init__(self, owner: Sequence[str] = (), address: Sequence[str] = (), wrong: Sequence[str] = (), of_key: Sequence[str] = ()) -> None:
        self._owner, self._address, self._wrong, self._of_key = ([Window(rate) for rate in rates] for rates in (owner, address, wrong, of_key))
        self.bounds_requests = bool(owner or address)
        self._policy = ", ".join(f'"{kind}-{at}";q={window.amount};w={window.seconds}'
                                 for kind, windows in (("owner", self._owner), ("address", self._address)) for at, window in enumerate(windows))

    def check_address(self, address: str) -> Headers:
        """Count a request from an address. Raises as ``check_owner``."""
        return _check("address", self._address, address, "This address has")

    def check_owner(self, owner: str) -> Headers:
        """Count a request of an owner: the headers that say what remains.

        Raises:
            TooMany: ``rate.exceeded``; ``retry_after_s`` says when there is room again.
        """
        return _check("owner", self._owner, owner, f"The owner '{owner[:100]}' has")

    def wrong(self, address: str, key_id: str = "") -> None:
        """Count a wrong credential from an address; where it is a wrong secret for a key, also that."""
        for window in self._wrong:
            window.hit(address)
        for window in self._of_key if key_id else ():
            window.hit(key_id)

    def check_wrong(self, address: str, key_id: str = "") -> None:
        """Refuse an address from which too many wrong credentials came, or a key for which too many wrong secrets did.

        Raises:
            TooMany: ``credential.too_many_wrong``.
        """
        _check_wrong(self._wrong, address, "Too many wrong credentials came from this address.")
        if key_id:
            _check_wrong(self._of_key, key_id, "Too many wrong secrets came for this key.")

    def headers(self, remaining: Headers) -> Headers:
        """The headers of an answer: the policies, and what remains of each that was counted."""
        said = ", ".join(value for _, value in remaining)
        return [("RateLimit-Policy", self._policy), *([("RateLimit", said)] if said else [])] if self._policy else []


def _check_wrong(windows: Sequence[Window], whose: str, detail: str) -> None:
    for window in windows:
        if not window.has_room(whose):
            _, seconds = window.remains(whose)
            raise TooMany("credential.too_many_wrong", detail, next_step=f"Try again in {seconds} s, with the right one.", retry_after_s=seconds)


def _check(kind: str, windows: Sequence[Window], whose: str, who: str) -> Headers:
    found: Headers = []
    for at, window in enumerate(windows):
        counted = window.hit(whose)
        left, seconds = window.remains(whose)
        if not counted:
            raise TooMany("rate.exceeded", f"{who} made {window.amount} requests in {window.seconds} s, as many as are allowed.",
                          next_step=f"Try again in {seconds} s.", retry_after_s=seconds, policy=f"{kind}-{at}", remaining=0)
        found.append(("RateLimit", f'"{kind}-{at}";r={left};t={seconds}'))
    return found
