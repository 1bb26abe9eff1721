"""On whose behalf the handler of a message runs: the mesh's own, whoever asked, or the one whom the settings name for foreigners."""
from __future__ import annotations

from typing import Any

from shared.bus.event import original_key
from shared.bus.message import Delivery
from shared.bus.seal import SEAL, Seal
from shared.contracts.event import HANDLED
from shared.contracts.table import BY_RPC
from shared.kernel.context import Context
from shared.kernel.errors import Denied
from shared.kernel.rights import check_role


def on_behalf_of(delivery: Delivery, seal: Seal) -> dict[str, Any]:
    """For whom a handler of a message runs, as a worker's data.

    A fact of ours is the mesh's own business. What anybody may ask for by a message (``HANDLED``) runs for whoever asked: as sealed,
    or as the settings say of foreigners.

    Raises:
        Denied: ``message.unsealed``, somebody else says what only the mesh can know; ``denied``, foreigners may not ask for this.
    """
    name = original_key(delivery)
    if seal.is_on(delivery):
        headers = delivery.headers
        return {"owner": headers.get("nameko.owner", ""), "roles": tuple(headers.get("nameko.roles", ())),
                "mesh": name not in HANDLED or headers.get("nameko.mesh") is True or SEAL not in headers}
    if name not in HANDLED:
        raise Denied("message.unsealed", f"A foreign message says {name}, which only the mesh itself can know.",
                     next_step=f"Foreign programs may send {', '.join(HANDLED)}.")
    row = BY_RPC[HANDLED[name]]
    check_role(Context(seal.owner, seal.roles), row.roles, " ".join(row.path))
    return {"owner": seal.owner, "roles": seal.roles, "mesh": False}
