"""The bytes of one object as a stream: a few spans of it come at a time, each as it arrives, and are given out in order.

A span is one request. Few and long ones, because a store looks an object up anew for each (moto even reads the whole object);
several at a time, because one connection seldom fills the line. At most ``AHEAD + 1`` spans are held in memory. Each
is asked for as of the object that was opened, so that no two of its states are mixed.
"""
from __future__ import annotations

import asyncio
import io
import queue
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from shared.sources.object_errors import object_error
from shared.sources.port import Stat

SPAN = 32 << 20
AHEAD = 2
PIECE = 1 << 20
ATTEMPTS = 3
SILENCE_S = 60


class Span(Protocol):
    """A stretch of an object that is under way."""

    def piece(self) -> bytes:
        """The next bytes, empty at the end of the span. Raises EdgemereError."""

    def stop(self) -> None:
        """Nobody wants the rest."""


class ObjectStream(io.RawIOBase):
    """An object from an offset on, to ``end`` or its own; ``begin(start, count)`` asks for a span."""

    def __init__(self, stat: Stat, offset: int, begin: Callable[[int, int], Span], end: int | None = None) -> None:
        self.stat = stat
        self._begin = begin
        self._next, self._end = offset, min(stat.size or 0, end if end is not None else stat.size or 0)
        self._spans: deque[Span] = deque()
        self._piece, self._at = memoryview(b""), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes. Raises what the store says, as ``object_error`` reads it."""
        if self._at >= len(self._piece):
            self._piece, self._at = memoryview(self._following()), 0
        count = min(len(buffer), len(self._piece) - self._at)
        buffer[:count] = self._piece[self._at:self._at + count]
        self._at += count
        return count

    def _following(self) -> bytes:
        while True:
            while self._next < self._end and len(self._spans) <= AHEAD:
                count = min(SPAN, self._end - self._next)
                self._spans.append(self._begin(self._next, count))
                self._next += count
            if not self._spans:
                return b""
            if piece := self._spans[0].piece():
                return piece
            self._spans.popleft()

    def close(self) -> None:
        if not self.closed:
            while self._spans:
                self._spans.popleft().stop()
        super().close()


class S3Span:
    """A span of an object in S3, read on the event loop of its file system; goes on where it was when the store fails it for a while."""

    def __init__(self, fs: Any, bucket: str, key: str, path: str, span: tuple[int, int], etag: str | None) -> None:
        self._fs, self._path = fs, path
        self._asked = {"Bucket": bucket, "Key": key, **({"IfMatch": etag} if etag else {})}
        self._start, self._count = span
        self._pieces: queue.SimpleQueue[bytes | BaseException] = queue.SimpleQueue()
        self._task = asyncio.run_coroutine_threadsafe(self._fetch(), fs.loop)

    async def _fetch(self) -> None:
        got = failures = 0
        while got < self._count:
            try:
                answer = await self._fs._call_s3("get_object", **self._asked, Range=f"bytes={self._start + got}-{self._start + self._count - 1}")
                async with answer["Body"] as body:
                    while piece := await body.read(PIECE):
                        got += len(piece)
                        self._pieces.put(piece)
                if got < self._count:
                    raise ConnectionError("the store ended early")
            except Exception as error:
                failures += 1
                meant = object_error(error, self._path)
                if failures == ATTEMPTS or not meant.retryable or meant.code == "source.changed_during_copy":
                    self._pieces.put(meant)
                    return
        self._pieces.put(b"")

    def piece(self) -> bytes:
        try:
            piece = self._pieces.get(timeout=SILENCE_S)
        except queue.Empty:
            raise object_error(TimeoutError(), self._path) from None
        if isinstance(piece, BaseException):
            raise piece
        return piece

    def stop(self) -> None:
        self._task.cancel()


class ReadSpan:
    """A span that a function reads at once, in a thread of ``pool``."""

    def __init__(self, pool: ThreadPoolExecutor, read: Callable[[int, int], bytes], span: tuple[int, int]) -> None:
        self._future: Future[bytes] | None = pool.submit(read, *span)

    def piece(self) -> bytes:
        future, self._future = self._future, None
        return future.result() if future is not None else b""

    def stop(self) -> None:
        if self._future is not None:
            self._future.cancel()
