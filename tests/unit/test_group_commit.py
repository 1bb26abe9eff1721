"""Work that is wanted at the same time is done in one go, and those who come again together are taken together again."""
from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from shared.storage import group_commit
from shared.storage.group_commit import GroupCommit


class Work:
    """Notes its groups; takes as long as it is told."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.groups: list[list[int]] = []
        self.takes_s = takes_s

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.groups.append(list(items))
        time.sleep(self.takes_s)
        return [item * 10 for item in items]


def test_those_who_were_answered_one_after_another_meet_in_one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "GATHER_S", 10.0)
    monkeypatch.setattr(group_commit, "BESIDE_S", 60.0)
    monkeypatch.setattr(group_commit, "BESIDE_MOST_S", 60.0)
    work = Work(takes_s=1.0)
    group: GroupCommit[int, int] = GroupCommit(work)
    answers: dict[int, list[int]] = {}

    def ask(number: int) -> None:
        answers[number] = [group.do(number) for _ in range(2)]
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert answers == {number: [number * 10] * 2 for number in range(4)}
    assert [len(one) for one in work.groups] == [1, 4, 3], "the first came back while the others were waited for"


def test_who_comes_after_one_that_was_alone_waits_for_nobody() -> None:
    class Never:
        def wait(self, seconds: float) -> Any:
            raise AssertionError("nobody is there to be waited for")

        def set(self) -> None:
            pass

        clear = set
    work = Work(takes_s=0.05)
    group: GroupCommit[int, int] = GroupCommit(work)
    group._all_there = Never()  # type: ignore[assignment]
    assert [group.do(number) for number in range(3)] == [0, 10, 20] and work.groups == [[0], [1], [2]]


def test_a_group_is_never_larger_than_it_may_be() -> None:
    work = Work(takes_s=0.3)
    group: GroupCommit[int, int] = GroupCommit(work, most=3)
    threads = [threading.Thread(target=group.do, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert max(map(len, work.groups)) == 3 and sorted(sum(work.groups, [])) == list(range(10))
