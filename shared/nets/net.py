"""A state net as data: which event leads from which state to which. Knows no row and no database."""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from shared.kernel.errors import Conflict


@dataclass(frozen=True)
class Move:
    """``event`` leads from ``source`` to ``target``; the transition of one object."""

    source: str
    event: str
    target: str


@dataclass(frozen=True)
class Net:
    """The states of one class and the moves between them.

    ``table`` has a line ``(states, event, target)`` per transition, ``states`` being one or several names.
    """

    noun: str
    initial: str
    table: tuple[tuple[tuple[str, ...], str, str], ...]

    @cached_property
    def moves(self) -> dict[tuple[str, str], Move]:
        return {(source, event): Move(source, event, target)
                for sources, event, target in self.table for source in sources}

    @cached_property
    def states(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(
            [self.initial, *(state for sources, _, target in self.table for state in (*sources, target))]))

    @cached_property
    def events(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(event for _, event, _ in self.table))

    def legal(self, state: str) -> list[dict[str, str]]:
        """The moves that ``state`` allows, as ``[{"event", "to"}]``."""
        return [{"event": move.event, "to": move.target} for move in self.moves.values() if move.source == state]

    def allows(self, state: str, event: str) -> bool:
        return (state, event) in self.moves

    def move(self, state: str, event: str, name: str = "") -> Move:
        """The move that ``event`` makes from ``state``.

        Raises:
            Conflict: ``<noun>.illegal_move``; ``legal`` lists what the state allows.
        """
        try:
            return self.moves[state, event]
        except KeyError:
            legal = self.legal(state)
            ways = ", ".join(f"{way['event']} (to {way['to']})" for way in legal) or "nothing"
            raise Conflict(
                f"{self.noun}.illegal_move",
                f"{self.noun} {name or 'object'} is {state}, which does not allow '{event}'.",
                next_step=f"From {state} it allows: {ways}.",
                state=state, legal=legal,
            ) from None
