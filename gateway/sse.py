"""The live stream of messages as Server-Sent Events: resumes from a sequence, without a gap and without a double.

The event log is the truth; the bus only says that it grew. One reader per gateway reads on for all streams and
keeps a short memory; a stream that lies further back reads pages by itself.
"""
from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from gateway.live import Live
from gateway.settings import Settings
from gateway.wanted import Wanted
from gateway.wire import dumps
from shared.kernel.context import Context
from shared.kernel.errors import EdgemereError, Invalid, Unavailable

log = logging.getLogger(__name__)

PAGE = 500
MEMORY = 4096
_SAFETY_S = 5.0
_PAUSE_S = 0.5
_RETRY_MS = 2000
# How long a stream may not notice that its reader's key was revoked.
GLANCE_S = 1.0
DROPPED = b"edgemere.dropped"


class Logged(dict):
    """A message of the log as it is shown, and ``whose`` it is; empty is everybody's."""

    __slots__ = ("whose",)

    def __init__(self, item: dict[str, Any]) -> None:
        super().__init__(item)
        obj = item.get("obj")
        # A log that does not say it is of an older release.
        self.whose: str = self.pop("whose", None) or (obj.get("owner") or "" if "whose" not in item and isinstance(obj, dict) else "")


class Filter:
    """What the log's own list can filter by: one name or pattern (with ``*``), and one object by id or name."""

    def __init__(self, event: str | None = None, obj: str | None = None) -> None:
        self.parameters = {name: value for name, value in (("event", event), ("object", obj)) if value}

    @classmethod
    def of(cls, wanted: Wanted) -> Filter:
        """The part of ``wanted`` that the log can decide; it has no other."""
        return cls(wanted.patterns[0] if len(wanted.patterns) == 1 else None, wanted.object)


class LogReader:
    """Reads the event log on, for all streams of this gateway together, while there are any.

    ``position`` is the sequence up to which everything was read. The memory holds every message after ``floor``, in
    order, with its encoded bytes.
    """

    def __init__(self, mesh: Any, live: Live, settings: Settings) -> None:
        self._mesh, self._live, self._settings = mesh, live, settings
        # Everybody's messages are read once; each stream lets through what its listener may see.
        self._context = Context(mesh=True)
        self._lock = threading.Lock()
        self._grown = threading.Condition()
        self._wake = threading.Event()
        self._readers = 0
        # How many of the readers are streams of clients: the sockets have one feed together, which is none.
        self.streams = 0
        self._thread: threading.Thread | None = None
        self.position = 0
        self.floor = 0
        self._memory: deque[tuple[int, dict[str, Any], bytes]] = deque()

    def enter(self) -> None:
        """One more stream. The first one starts the reading at the head of the log.

        Raises:
            Unavailable: there are as many streams as the settings allow, or the event log does not answer.
        """
        if self._readers >= self._settings.max_streams:
            raise Unavailable("unavailable", f"There are {self._readers} open streams, as many as this gateway holds.",
                              next_step="Close one, or try again later.")
        self._readers += 1
        try:
            with self._lock:
                if self._thread is None:
                    self._start()
        except BaseException:
            self._readers -= 1
            raise

    def leave(self) -> None:
        """A stream has ended; after the last one the reading stops."""
        self._readers -= 1
        if not self._readers:
            self._wake.set()

    def page(self, after: int, wanted: Filter) -> tuple[list[dict[str, Any]], int]:
        """(messages, position): what a stream that lies far back gets next, and up to where that is everything."""
        known = self.position
        page = self._mesh.call("events", "list", timeout_s=self._settings.query_timeout_s, context=self._context,
                               after=after, limit=PAGE, sort="sequence", **wanted.parameters)
        items = [Logged(item) for item in page["items"]]
        if page.get("next") is not None and items:
            return items, items[-1]["sequence"]
        # The page reaches the end of the log, so nothing up to what was known before it was asked for is missing.
        return items, max(after, known, items[-1]["sequence"] if items else 0)

    def since(self, position: int) -> list[tuple[int, dict[str, Any], bytes]] | None:
        """What the memory has after ``position``; None when it does not reach back so far."""
        with self._grown:
            if position < self.floor:
                return None
            found = []
            for entry in reversed(self._memory):
                if entry[0] <= position:
                    break
                found.append(entry)
        return found[::-1]

    def head(self) -> int:
        """The newest sequence of the log, as the log itself says."""
        answer = self._mesh.call("events", "head", timeout_s=self._settings.query_timeout_s, context=self._context)
        return int(answer["last_sequence"])

    def wait(self, position: int, seconds: float) -> bool:
        """Sleep until there is more than ``position``, at most ``seconds``; whether there is."""
        with self._grown:
            return self._grown.wait_for(lambda: self.position > position or self._live.closed, seconds)

    def _start(self) -> None:
        head = self.head()
        self._memory.clear()
        self.position = self.floor = head
        self._wake.clear()
        self._live.listen_to_log(self._wake)
        self._thread = threading.Thread(target=self._run, name="event-log-reader", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._readers or self._live.closed:
                    self._live.leave_log(self._wake)
                    self._thread = None
                    break
            self._wake.wait(_SAFETY_S)
            self._wake.clear()
            try:
                while self._readers and self._read_on():
                    pass
            except EdgemereError as error:
                log.warning("the event log cannot be read, streams stand still: %s", error)
                time.sleep(_PAUSE_S)
                self._wake.set()
        with self._grown:
            self._grown.notify_all()

    def _read_on(self) -> bool:
        """Read one page; whether there may be more at once."""
        page = self._mesh.call("events", "list", timeout_s=self._settings.query_timeout_s, context=self._context,
                               after=self.position, limit=PAGE, sort="sequence")
        items = [Logged(item) for item in page["items"]]
        if not items:
            return False
        entries = [(item["sequence"], item, encoded(item)) for item in items]
        with self._grown:
            self._memory.extend(entries)
            while len(self._memory) > MEMORY:
                self.floor = self._memory.popleft()[0]
            self.position = items[-1]["sequence"]
            self._grown.notify_all()
        return page.get("next") is not None or self._live.last_sequence > self.position


def encoded(message: dict[str, Any]) -> bytes:
    """One message as an event of the stream. JSON has no raw newline, so one data line holds it."""
    name = str(message.get("event", "")).replace("\n", " ").replace("\r", " ")
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (message["sequence"], name.encode("ascii", "replace"), dumps(message))


class Stream:
    """The bytes of one stream, from after ``after`` (None: from the head) until the client or the gateway goes.

    Takes its place at the reader when it is made and gives it back with ``close``, which a WSGI server calls
    however the stream ends. A log that does not answer ends the stream; the client resumes where it was. ``may_stay`` is
    asked now and then why the reader may not go on reading: the stream says so in an event ``edgemere.dropped``, and ends.

    Raises:
        Unavailable: there is no place, or the event log does not answer.
    """

    def __init__(self, reader: LogReader, live: Live, wanted: Wanted, after: int | None, heartbeat_s: float,
                 may_stay: Callable[[], EdgemereError | None] | None = None) -> None:
        self._may_stay = may_stay
        self._reader, self._live, self._wanted = reader, live, wanted
        self._after, self._heartbeat_s = after, heartbeat_s
        reader.enter()
        reader.streams += 1
        self._open = True

    def close(self) -> None:
        """Give the place back; a second time does nothing."""
        if self._open:
            self._open = False
            self._reader.streams -= 1
            self._reader.leave()

    def __iter__(self) -> Iterator[bytes]:
        reader, position = self._reader, self._after
        yield b"retry: %d\n" % _RETRY_MS
        try:
            if position is None:
                position = reader.position
            elif position > reader.position and position > (head := reader.head()):
                yield b": the log ends at %d, before the position asked for; going on from there\n" % head
                position = head
            # A client that loses the connection before its first message resumes from here, too.
            yield b"id: %d\n\n" % position
            due = time.monotonic() + self._heartbeat_s
            while not self._live.closed:
                if self._may_stay is not None and (error := self._may_stay()) is not None:
                    yield b"id: %d\nevent: %s\ndata: %s\n\n" % (position, DROPPED, dumps({"status": error.status, **error.payload()}))
                    return
                chunk, moved = self._next(position)
                if not chunk and moved == position:
                    left_s = due - time.monotonic()
                    reader.wait(position, max(0.0, left_s if self._may_stay is None else min(left_s, GLANCE_S)))
                position = moved
                if not chunk and time.monotonic() >= due:
                    # The id lets a client whose filter lets little through resume near the head.
                    chunk = b": still here\nid: %d\n\n" % position
                if chunk:
                    yield chunk
                    due = time.monotonic() + self._heartbeat_s
        except EdgemereError as error:
            log.warning("a stream ends because the event log does not answer: %s", error)

    def _next(self, position: int) -> tuple[bytes, int]:
        """(bytes, position) of what comes after ``position``; the same position when there is nothing yet."""
        wants = self._wanted.lets
        recent = self._reader.since(position)
        if recent is None:
            items, position = self._reader.page(position, Filter.of(self._wanted))
            return b"".join(encoded(item) for item in items if wants(item)), position
        if not recent:
            return b"", position
        return b"".join(data for _, item, data in recent if wants(item)), recent[-1][0]


def position_of(environ: dict[str, Any], after: int | None) -> int | None:
    """Where a stream begins: ``Last-Event-ID`` (a browser that reconnects), else the parameter ``after``.

    Raises:
        Invalid: the header is no position.
    """
    given = environ.get("HTTP_LAST_EVENT_ID", "").strip()
    if not given:
        return after
    if not given.isascii() or not given.isdigit() or len(given) > 18:
        raise Invalid("parameter.invalid", "Last-Event-ID is not a position in the event log.",
                      next_step="Send the id of the last event that arrived.",
                      errors=[{"pointer": "/Last-Event-ID", "detail": "A whole number is needed here."}])
    return int(given)
