"""A state net as data: which event leads from which state to which. Knows no row and no database."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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

    ``table`` has a line ``(states, event, target)`` per transition, ``states`` being one or several names. ``actions`` has for each
    event that a user can make the action's verb; the others happen by themselves.
    """

    noun: str
    initial: str
    table: tuple[tuple[tuple[str, ...], str, str], ...]
    actions: Mapping[str, str] = field(default_factory=dict)

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

    def legal(self, state: str) -> list[dict[str, str | None]]:
        """The moves that ``state`` allows, as ``[{"event", "to", "action"}]``; ``action`` is null of what happens by itself."""
        return [{"event": move.event, "to": move.target, "action": self.actions.get(move.event)}
                for move in self.moves.values() if move.source == state]

    def ways(self, state: str) -> str:
        """What can be done with an object in a state, and what happens to it by itself, in a sentence or two."""
        legal = self.legal(state)
        done = ", ".join(f"{way['action']} (to {way['to']})" for way in legal if way["action"])
        # What people call otherwise than the net does, as `cancel` is `failed`, happens for other reasons, too.
        by_itself = " or ".join(dict.fromkeys(str(way["to"]) for way in legal if way["action"] != way["event"]))
        can = f"What can be done with one that is {state}: {done}." if done else f"Nothing can be done with one that is {state}."
        return f"{can} By itself it may become {by_itself}." if by_itself else can

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
            raise Conflict(
                f"{self.noun}.illegal_move",
                f"{self.noun} {name or 'object'} is {state}, which does not allow '{self.actions.get(event, event)}'.",
                next_step=self.ways(state), state=state, legal=self.legal(state),
            ) from None
