"""Threads beside the one that copies: each does one thing with all that was copied, in order."""
from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lines(Generic[T]):
    """One thread for each of ``does``. The first error of any of them, or of who feeds them, ends all; ``failed`` says that there is one.

    ``ahead``: how many may wait in a line; None: the feeder sees to it. ``after`` is called for each and each line, also when it was not done.
    """

    def __init__(self, *does: Callable[[T], None], ahead: int | None = None, after: Callable[[T], None] = lambda _: None) -> None:
        self._does, self._after = does, after
        self._lines: list[queue.Queue[T | None]] = [queue.Queue(ahead or 0) for _ in does]
        self._error: BaseException | None = None

    @property
    def failed(self) -> bool:
        return self._error is not None

    def put(self, one: T) -> None:
        """Give it to each of the threads."""
        for line in self._lines:
            line.put(one)

    def run(self, feed: Callable[[], int]) -> int:
        """What ``feed`` gives, once the threads have done all that it put. Raises what any of them met, first come."""
        threads = [threading.Thread(target=self._serve, args=pair, daemon=True) for pair in zip(self._lines, self._does, strict=True)]
        for thread in threads:
            thread.start()
        given = 0
        try:
            given = feed()
        except BaseException as error:
            self._error = self._error or error
        finally:
            for line in self._lines:
                line.put(None)
            for thread in threads:
                thread.join()
        if self._error is not None:
            raise self._error
        return given

    def _serve(self, line: queue.Queue[T | None], do: Callable[[T], None]) -> None:
        while (one := line.get()) is not None:
            try:
                if self._error is None:
                    do(one)
            except BaseException as error:
                self._error = self._error or error
            self._after(one)
