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
# After a group of several as many are waited for as there were and came meanwhile, for as long as that group took and no longer than this: a
# transaction costs more than what is done in it, and those who were answered come back together.
GATHER_S = 0.12
# Behind a group that takes longer than this, and than twice what groups take now, nobody waits: who comes begins one beside it. On a machine
# that has too much to do all of them take long, and more of them would only make each longer.
BESIDE_S, BESIDE_MOST_S = 0.3, 2.0
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

    Who comes while nobody works begins at once, alone; just after a group of several he waits a moment for those who were in it. Who comes meanwhile
    waits; the first of those then does the work of all, of ``most`` at most. Where the work of several fails, each does its own, so that a failure is
    only that of its cause: ``work`` leaves nothing behind when it raises, or finds what it left.
    """

    def __init__(self, work: Callable[[Sequence[T]], Sequence[R]], *, most: int = MOST) -> None:
        self._work, self._most = work, most
        self._lock = threading.Lock()
        self._waiting: list[_Turn[T, R]] = []
        self._at_work = 0
        self._began = self._until = self._usual_s = 0.0
        self._expected = 1
        self._all_there = threading.Event()

    def do(self, item: T) -> R:
        """The answer for ``item``.

        Raises:
            Unavailable: ``database.unavailable``, those before did not come to an end.
        """
        turn: _Turn[T, R] = _Turn(item)
        with self._lock:
            self._waiting.append(turn)
            if len(self._waiting) >= self._expected:
                self._all_there.set()
            if not self._at_work or time.monotonic() - self._began > min(BESIDE_MOST_S, max(BESIDE_S, 2 * self._usual_s)):
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
        group, began = [turn], time.monotonic()
        try:
            if (left_s := self._until - time.monotonic()) > 0:
                self._all_there.wait(left_s)
            group, began = self._drawn(turn), time.monotonic()
            answers = self._work([one.item for one in group])
            for one, answer in zip(group, answers, strict=True):
                one.answer, one.done = answer, True
        except Exception:
            if len(group) == 1:
                raise
        finally:
            for one in group:
                one.bell.set()
            self._pass_on(turn, len(group), time.monotonic() - began)

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
            self._began = time.monotonic()
        return group

    def _pass_on(self, turn: _Turn[T, R], count: int, took_s: float) -> None:
        with self._lock:
            if turn in self._waiting:
                # It ended before it could begin.
                self._waiting.remove(turn)
            self._usual_s = (self._usual_s + took_s) / 2
            self._expected = min(count + len(self._waiting), self._most)
            self._until = time.monotonic() + min(GATHER_S, took_s) if self._expected > 1 else 0.0
            if len(self._waiting) < self._expected:
                self._all_there.clear()
            following = next((one for one in self._waiting if not one.leads), None)
            if following is None:
                self._at_work -= 1
                return
            following.leads = True
        following.bell.set()
