"""The seal of the mesh: what it signs came from one of its own processes, whole and as it says; anything else is foreign.

An HMAC (``digests`` says with what) over the address, the headers that say on whose behalf, and the body. A call may be repeated until its deadline,
which is sealed with it; a message for ever, which its id makes harmless. Keeps no state, and no secret in anything that it says.
"""
from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from shared.bus.event import original_key
from shared.bus.message import Delivery
from shared.kernel.context import WHOSE
from shared.kernel.digests import Digests, algorithm_of, mac

SEAL = "edgemere.seal"
LEAST_BYTES = 16

SEALED = ("nameko.owner", "nameko.roles", "nameko.mesh", "nameko.request_id", "nameko.correlation_id", "nameko.causation_id",
           "nameko.idempotency_key", "nameko.if_match", "nameko.deadline", "nameko.credential", "nameko.address", "nameko.action", WHOSE)


@dataclass(frozen=True)
class Seal:
    """Seals and judges. ``owner`` and ``roles`` are those for whom foreign calls and messages run.

    ``also``: further secrets that are believed, none of which seals: those of before and after, while the secret of a mesh is replaced.

    ``trusts``: what has no seal at all is believed, too. So it is for one run of an embedded mesh that finds messages of a release that
    did not seal yet; nobody foreign is on that broker.
    """

    secret: bytes = field(repr=False)
    owner: str = ""
    roles: tuple[str, ...] = ()
    trusts: bool = False
    also: tuple[bytes, ...] = field(default=(), repr=False)
    digests: Digests = Digests()

    def sealed(self, address: str, headers: Mapping[str, Any], body: bytes, id: str = "") -> dict[str, Any]:
        """The headers with the seal among them."""
        return {**headers, SEAL: self.mark(address, headers, body, id)}

    def mark(self, address: str, headers: Mapping[str, Any], body: bytes, id: str = "") -> str:
        """The seal alone."""
        return mac(self.digests.made_with, self.secret, _said(address, headers, body, id))

    def holds(self, address: str, headers: Mapping[str, Any], body: bytes | str, id: str = "") -> bool:
        """Whether this was sealed with a secret of ours, for this address, and nothing of it was changed since."""
        mark = headers.get(SEAL)
        if not isinstance(mark, str):
            return self.trusts and mark is None
        if isinstance(body, str):
            body = body.encode("utf-8", "surrogatepass")
        try:
            said = _said(address, headers, body, id)
        except (TypeError, ValueError):
            return False
        algorithm = algorithm_of(mark)
        if not self.digests.believes(algorithm) or not mark.isascii():
            return False
        # The first one nearly always, which is one look.
        return hmac.compare_digest(mark, mac(algorithm, self.secret, said)) or any(
            [hmac.compare_digest(mark, mac(algorithm, secret, said)) for secret in self.also])

    def is_on(self, delivery: Delivery) -> bool:
        """Whether a process of the mesh published this message, wherever it has been since."""
        return self.holds(original_key(delivery), delivery.headers, delivery.body, str(delivery.properties.get("message_id") or ""))

    def whose(self, delivery: Delivery) -> str:
        """Whom a message belongs to; empty for what everybody may see. A foreign one is never somebody else's than the foreigners'."""
        said = delivery.headers.get(WHOSE)
        return said if isinstance(said, str) and self.is_on(delivery) else self.owner


def _said(address: str, headers: Mapping[str, Any], body: bytes, id: str) -> bytes:
    said = orjson.dumps([address, id, list(map(headers.get, SEALED))])
    # The length keeps what is said apart from the body.
    return b"%d:%b%b" % (len(said), said, body)
