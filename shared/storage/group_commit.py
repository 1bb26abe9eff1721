"""Group commit: work of one kind that is wanted at the same time is done in one transaction. Knows no database and no green threads."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from shared.kernel.errors import Unavailable

T = TypeVar("T")
R = TypeVar("R")

MOST = 20
# After a group of several a little more is waited for: a transaction costs more than what is done in it.
GATHER_S = 0.02
# Behind a group that takes longer than this nobody waits: who comes begins one beside it.
BESIDE_S = 0.3
# A group ends by itself long before: a statement has its limit.
WAIT_S = 60.0


class _Turn(Generic[T, R]):
    """One that waits: until its work is done, or until it is to lead a group, or to work alone."""

    __slots__ = ("item", "answer", "done", "leads", "bell")

    def __init__(self, item: T) -> None:
        self.item = item
        self.answer: R | None = None
        self.done = self.leads = False
        self.bell = threading.Event()


class GroupCommit(Generic[T, R]):
    """``do(item)`` answers what ``work([item, …])`` answers for it, in the order of the items.

    Who comes while nobody works begins at once, alone. Who comes meanwhile waits; the first of those then does the work of all, of ``most``
    at most. Where the work of several fails, each does its own, so that a failure is only that of its cause: ``work`` leaves nothing
    behind when it raises.
    """

    def __init__(self, work: Callable[[Sequence[T]], Sequence[R]], *, most: int = MOST) -> None:
        self._work, self._most = work, most
        self._lock = threading.Lock()
        self._waiting: list[_Turn[T, R]] = []
        self._at_work = 0
        self._began, self._several = 0.0, False

    def do(self, item: T) -> R:
        """The answer for ``item``.

        Raises:
            Unavailable: ``database.unavailable``, those before did not come to an end.
        """
        turn: _Turn[T, R] = _Turn(item)
        with self._lock:
            self._waiting.append(turn)
            if not self._at_work or time.monotonic() - self._began > BESIDE_S:
                self._at_work += 1
                turn.leads = True
        if not turn.leads and not turn.bell.wait(WAIT_S) and not self._is_served(turn):
            raise Unavailable("database.unavailable", "The database does not answer.",
                              next_step="Try again; /health/ready says when it is back.")
        if turn.leads:
            self._lead(turn)
        return turn.answer if turn.done else self._work([item])[0]  # type: ignore[return-value]

    def _lead(self, turn: _Turn[T, R]) -> None:
        """Do the work of those that wait, ``turn`` first, and have another lead those that come meanwhile."""
        group = [turn]
        try:
            if self._several:
                time.sleep(max(0.0, self._began + GATHER_S - time.monotonic()))
            group = self._drawn(turn)
            answers = self._work([one.item for one in group])
            for one, answer in zip(group, answers, strict=True):
                one.answer, one.done = answer, True
        except Exception:
            if len(group) == 1:
                raise
        finally:
            for one in group:
                one.bell.set()
            self._pass_on(turn)

    def _is_served(self, turn: _Turn[T, R]) -> bool:
        """Whether it is its turn after all; else it waits no longer."""
        with self._lock:
            served = turn.leads or turn.done
            if not served and turn in self._waiting:
                self._waiting.remove(turn)
        return served

    def _drawn(self, turn: _Turn[T, R]) -> list[_Turn[T, R]]:
        with self._lock:
            others = [one for one in self._waiting if one is not turn and not one.leads]
            group = [turn, *others[:self._most - 1]]
            self._waiting = [one for one in self._waiting if one not in group]
            self._began, self._several = time.monotonic(), len(group) > 1
        return group

    def _pass_on(self, turn: _Turn[T, R]) -> None:
        with self._lock:
            if turn in self._waiting:
                # It ended before it could begin.
                self._waiting.remove(turn)
            following = next((one for one in self._waiting if not one.leads), None)
            if following is None:
                self._at_work -= 1
                return
            following.leads = True
        following.bell.set()
