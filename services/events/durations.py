"""How long objects are in each state, read off the messages as they are logged. Figures alone: a restart forgets who is in which.

The log has one writer for the whole mesh, which hears every move in order; so nothing has to be looked up.
"""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from shared.nets import NETS

# Objects whose state is known; the one that was quiet for longest is forgotten first.
MOST = 50_000
_MOVES = {f"{noun}.{state.lower()}": (noun, state) for noun, net in NETS.items() for state in net.states}
_ENDS = {f"{noun}.destroy": noun for noun in NETS}


class Durations:
    """What is known of the objects' states; ``lasted(noun, state, seconds)`` is told when one is left."""

    def __init__(self, lasted: Any) -> None:
        self._lasted = lasted
        self._since: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def hear(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows of the event log, in order."""
        for row in rows:
            name = row["name"]
            if name in _MOVES:
                noun, state = _MOVES[name]
            elif name in _ENDS:
                noun, state = _ENDS[name], ""
            elif name.endswith(".create") and name.partition(".")[0] in NETS:
                noun = name.partition(".")[0]
                state = _state_in(row["body"]) or NETS[noun].initial
            else:
                continue
            self._enter(noun, row["object_id"], state, row["time"])

    def _enter(self, noun: str, object_id: str | None, state: str, at: str) -> None:
        if object_id is None:
            return
        before = self._since.pop(object_id, None)
        if before is not None and before[0] != state:
            # What one transaction did is of one moment.
            self._lasted(noun, before[0], max(0.0, _seconds(at) - _seconds(before[1])) if at != before[1] else 0.0)
        elif before is not None:
            at = before[1]
        if state:
            self._since[object_id] = (state, at)
            if len(self._since) > MOST:
                self._since.popitem(last=False)


def _state_in(body: str) -> str | None:
    obj = orjson.loads(body).get("obj")
    return obj.get("state") if isinstance(obj, dict) else None


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
