"""Files at a distance, a block at a time: blocks that were fetched are kept while there is room, and what is read in order is fetched ahead.

A fetch is one request for a stretch of blocks; each block is given to whoever waits for it as it arrives. Stretches double while a reader goes on in
order, and are one block where it jumps. Memory is bounded: ``KEPT_BYTES`` of blocks for all files together, and ``UNDER_WAY_BYTES`` that
fetches may have asked for beyond the block that a reader waits for. Nobody waits longer than ``READ_S``. Knows no FUSE and no store.
"""
from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from typing import Any

from shared.kernel.errors import EdgemereError, Unavailable

BLOCK = 256 << 10
KEPT_BYTES = 128 << 20
UNDER_WAY_BYTES = 64 << 20
LONGEST = (32 << 20) // BLOCK
READ_S = 25.0
# What was fetched so long ago is given out only when its source still has the same.
FRESH_S = 5.0

Fetcher = Callable[[int, int], Iterator[bytes]]


class Cache:
    """The blocks of all files, the least recently used first to go; how much may be under way, and how long a reader waits (``read_s``)."""

    def __init__(self, read_s: float = READ_S, kept_bytes: int = KEPT_BYTES, under_way_bytes: int = UNDER_WAY_BYTES) -> None:
        self.read_s = read_s
        self._most, self._room = kept_bytes, under_way_bytes
        self._blocks: OrderedDict[tuple[Any, int], bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, file: Any, index: int) -> bytes | None:
        with self._lock:
            block = self._blocks.get((file, index))
            if block is not None:
                self._blocks.move_to_end((file, index))
            return block

    def has(self, file: Any, index: int) -> bool:
        return (file, index) in self._blocks

    def put(self, file: Any, index: int, block: bytes) -> None:
        with self._lock:
            if (file, index) not in self._blocks:
                self._blocks[file, index] = block
                self._bytes += len(block)
            while self._bytes > self._most:
                self._bytes -= len(self._blocks.popitem(last=False)[1])

    def forget(self, file: Any) -> None:
        """Drop every block of a file."""
        with self._lock:
            for key in [key for key in self._blocks if key[0] == file]:
                self._bytes -= len(self._blocks.pop(key))

    def take(self, blocks: int) -> int:
        """Room for a stretch of up to so many blocks; at least one is always given. ``give`` it back."""
        with self._lock:
            granted = max(1, min(blocks, self._room // BLOCK))
            self._room -= granted * BLOCK
            return granted

    def give(self, blocks: int) -> None:
        with self._lock:
            self._room += blocks * BLOCK


class _Fetch:
    """A stretch of blocks that is under way."""

    def __init__(self, first: int, count: int) -> None:
        self.first, self.count = first, count
        # Whoever waits has the block from here: the cache may have dropped it by then.
        self.waiting: dict[int, Future[bytes]] = {}
        self.next = first


class File:
    """One file of ``size`` bytes as it was when it was mounted; ``fetch(start, count)`` gives its bytes in pieces. For several threads.

    ``look()`` raises where its source has something else by now, ``check()`` where it did not answer a moment ago.
    """

    def __init__(self, name: Any, size: int, cache: Cache, pool: Executor, fetch: Fetcher, look: Callable[[], None], check: Callable[[], None]) -> None:
        self.name, self.size = name, size
        self._cache, self._pool, self._fetch, self._look, self._check = cache, pool, fetch, look, check
        self._under_way: list[_Fetch] = []
        self._lock = threading.Lock()
        self._seen_at = 0.0

    def read(self, reader: Reader, offset: int, count: int) -> bytes:
        """The bytes from ``offset`` on, fewer only at the end.

        Raises:
            EdgemereError: what the source says; ``source.timeout`` where it says nothing for ``READ_S``.
        """
        count = min(count, self.size - offset)
        if count <= 0:
            return b""
        until = time.monotonic() + self._cache.read_s
        first, last = offset // BLOCK, (offset + count - 1) // BLOCK
        stretch = reader.goes_on(first, last)
        pieces = [self._block(index, stretch, until) for index in range(first, last + 1)]
        self._ahead(last + 1, stretch)
        whole = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        begin = offset - first * BLOCK
        return whole[begin:begin + count]

    def _blocks(self) -> int:
        return -(-self.size // BLOCK)

    def _block(self, index: int, stretch: int, until: float) -> bytes:
        block = self._cache.get(self.name, index)
        if block is not None:
            if time.monotonic() - self._seen_at <= FRESH_S:
                return block
            # Asked in the pool of the source, so that its silence has an end here.
            self._answer(self._pool.submit(self._look), until)
            self._seen_at = time.monotonic()
            return block
        self._check()
        with self._lock:
            found = next((one for one in self._under_way if one.next <= index < one.first + one.count), None)
            if found is None:
                block = self._cache.get(self.name, index)
                if block is not None:
                    return block
                found = self._begin(index, stretch)
            future = found.waiting.setdefault(index, Future())
        return self._answer(future, until)

    def _answer(self, future: Future[Any], until: float) -> Any:
        try:
            return future.result(max(0.0, until - time.monotonic()))
        except TimeoutError:
            raise silent(self._cache.read_s) from None

    def _ahead(self, index: int, stretch: int) -> None:
        """Ask for what comes next while what was asked for is read."""
        if stretch <= 1 or index >= self._blocks():
            return
        with self._lock:
            beyond = max((one.first + one.count for one in self._under_way if one.first <= index + LONGEST), default=index)
            if beyond - index >= stretch or len(self._under_way) > 1:
                return
            while beyond < self._blocks() and self._cache.has(self.name, beyond) and beyond - index < stretch:
                beyond += 1
            if beyond < self._blocks() and beyond - index < stretch:
                self._begin(beyond, stretch)

    def _begin(self, first: int, stretch: int) -> _Fetch:
        wanted = min(stretch, self._blocks() - first)
        for ahead in range(1, wanted):
            if self._cache.has(self.name, first + ahead):
                wanted = ahead
                break
        one = _Fetch(first, self._cache.take(wanted))
        self._under_way.append(one)
        self._pool.submit(self._run, one)
        return one

    def _run(self, one: _Fetch) -> None:
        start, end = one.first * BLOCK, min(self.size, (one.first + one.count) * BLOCK)
        error: BaseException | None = None
        try:
            rest = bytearray()
            for piece in self._fetch(start, end - start):
                rest += piece
                whole = len(rest) // BLOCK * BLOCK
                for at in range(0, whole, BLOCK):
                    self._arrived(one, bytes(rest[at:at + BLOCK]))
                del rest[:whole]
            if rest:
                self._arrived(one, bytes(rest))
            if one.next * BLOCK < end:
                raise Unavailable("source.unreachable", f"The source ended after {min(one.next * BLOCK, self.size):,} of {self.size:,} bytes.")
        except BaseException as raised:
            error = raised
        with self._lock:
            self._under_way.remove(one)
            waiting = list(one.waiting.values())
            one.waiting.clear()
        self._cache.give(one.count)
        for future in waiting:
            future.set_exception(error or Unavailable("source.unreachable", "The source ended early."))

    def _arrived(self, one: _Fetch, block: bytes) -> None:
        self._seen_at = time.monotonic()
        self._cache.put(self.name, one.next, block)
        with self._lock:
            future = one.waiting.pop(one.next, None)
            one.next += 1
        if future is not None:
            future.set_result(block)


class Reader:
    """How one reader moves through a file: in order, for which more and more is fetched at a time, or not."""

    def __init__(self) -> None:
        self._next = 0
        self._stretch = 1

    def goes_on(self, first: int, last: int) -> int:
        """So many blocks are worth fetching at once, now that ``first`` to ``last`` are read."""
        # Two programs, or the kernel that reads ahead, come a little out of order.
        if self._next - 2 <= first <= self._next + 2:
            if last >= self._next:
                self._stretch = min(LONGEST, self._stretch * 2)
        else:
            self._stretch = 1
        self._next = last + 1
        return self._stretch


def meant(error: BaseException) -> EdgemereError:
    """The error as one of the product."""
    return error if isinstance(error, EdgemereError) else Unavailable("source.unreadable", f"{type(error).__name__}: {error}"[:300])


def silent(seconds: float) -> Unavailable:
    """``source.timeout``: nothing was heard of the source for so long."""
    return Unavailable("source.timeout", f"The source has not answered for {seconds:.0f} s.", next_step="Look at the network and the source.")
