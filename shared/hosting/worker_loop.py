"""The wire of the worker processes, and their side of it: reads jobs from the inherited socket and runs each in a thread of its lane.

The process ends when the socket does, however the parent ended, and at once: what a job leaves behind then is what it
leaves after a ``kill -9``. Imports neither eventlet nor nameko.
"""
from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import orjson

from shared.kernel.errors import EdgemereError, Invalid
from shared.kernel.secrets import without_secrets

FD_VARIABLE = "EDGEMERE_WORKER_FD"
ORPHAN_CHECK_S = 10.0
WINDOW = 4


class Job:
    """What an op is given: the job's words, and the way back to whoever asked."""

    def __init__(self, body: Mapping[str, Any], channel: Channel) -> None:
        self.body, self.id = body, body["id"]
        self.started = time.monotonic()
        self._began_ns = time.time_ns()
        self._channel = channel
        self._cancelled = threading.Event()
        self._acknowledged = threading.Condition()
        self._sent = self._dealt_with = 0

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    @property
    def elapsed_s(self) -> float:
        return round(time.monotonic() - self.started, 3)

    def send(self, **message: Any) -> None:
        """One message of this job; waits while the parent reads nothing. The last one of a traced job says when it was worked on."""
        if self.body.get("traceparent") and ("done" in message or "failed" in message):
            message["span"] = {"traceparent": self.body["traceparent"], "began_ns": self._began_ns, "ended_ns": time.time_ns(),
                               "pid": os.getpid()}
        self._channel.send({"id": self.id, **message})

    def send_in_turn(self, **message: Any) -> None:
        """One batch, when fewer than WINDOW batches wait for their acknowledgement; a cancelled job does not wait."""
        with self._acknowledged:
            self._acknowledged.wait_for(lambda: self.cancelled or self._sent - self._dealt_with < WINDOW)
            self._sent += 1
            number = self._sent
        self.send(seq=number, **message)

    def cancel(self) -> None:
        self._cancelled.set()
        with self._acknowledged:
            self._acknowledged.notify_all()

    def acknowledge(self, number: int) -> None:
        with self._acknowledged:
            self._dealt_with = max(self._dealt_with, number)
            self._acknowledged.notify_all()


class Channel:
    """The socket to the parent; whole lines, from any thread. Without the parent the process ends."""

    def __init__(self, connection: socket.socket, end: Callable[[], None]) -> None:
        self._connection, self._lock, self._end = connection, threading.Lock(), end

    def send(self, message: Mapping[str, Any]) -> None:
        line = orjson.dumps(message) + b"\n"
        with self._lock:
            try:
                self._connection.sendall(line)
            except OSError:
                self._end()


class Lane:
    """A few threads, started when needed, that run jobs in the order in which they came."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._waiting: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._free = self._threads = 0

    def run(self, work: Callable[[], None]) -> None:
        with self._changed:
            self._waiting.append(work)
            if self._free < len(self._waiting) and self._threads < self.width:
                self._threads += 1
                threading.Thread(target=self._serve, daemon=True).start()
            self._changed.notify()

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._free += 1
                self._changed.wait_for(lambda: self._waiting)
                self._free -= 1
                work = self._waiting.popleft()
            work()


def serve(ops: Mapping[str, tuple[Lane, Callable[[Job], None]]], at_end: Callable[[], None] | None = None) -> None:
    """Run jobs until the parent hangs up; never returns. ``at_end`` is called before this process ends, and has to be quick.

    An op sends its own ``done``; an EdgemereError that it raises is sent as ``failed``, and anything else as
    ``internal`` with its name, so that every job has an end.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent decides about its workers.
    connection = socket.socket(fileno=int(os.environ.pop(FD_VARIABLE)))
    connection.setblocking(True)

    def end() -> None:
        if at_end is not None:
            at_end()
        os._exit(0)

    channel, jobs, parent = Channel(connection, end), {}, os.getppid()
    for line in whole_lines(_pieces(connection, parent)):
        body = orjson.loads(line)
        op, job = body.get("op"), jobs.get(body.get("id"))
        if op == "cancel":
            if job is not None:
                job.cancel()
        elif op == "ack":
            if job is not None:
                job.acknowledge(body["seq"])
        elif op in ops:
            lane, run = ops[op]
            jobs[body["id"]] = job = Job(body, channel)
            lane.run(lambda job=job, run=run: _run(job, run, jobs))
        else:
            error = Invalid("worker.unknown_op", f"There is no op '{op}'; there are {', '.join(sorted(ops))}.")
            channel.send({"id": body.get("id"), "failed": failure(error)})
    end()


def failure(error: BaseException) -> dict[str, Any]:
    """The error as it stands in a message: its payload and ``retryable``."""
    if not isinstance(error, EdgemereError):
        error = EdgemereError("internal", without_secrets(f"{type(error).__name__}: {error}")[:500])
    return {**error.payload(), "retryable": error.retryable}


def _run(job: Job, run: Callable[[Job], None], jobs: dict[str, Job]) -> None:
    try:
        run(job)
    except Exception as error:
        job.send(failed=failure(error))
    finally:
        jobs.pop(job.id, None)


def _pieces(connection: socket.socket, parent: int) -> Iterator[bytes]:
    import select

    # A poll with a timeout, not one on the socket itself: other threads send on it and must not time out.
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    while True:
        if not poll.poll(ORPHAN_CHECK_S * 1000):
            if os.getppid() != parent:
                return  # Somebody forked with our parent's end of the socket: end of file would never come.
            continue
        try:
            piece = connection.recv(1 << 18)
        except OSError:
            return
        if not piece:
            return
        yield piece


def whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The lines in a stream that comes in pieces; what follows the last newline is dropped. Linear in long lines."""
    begun: list[bytes] = []
    for piece in pieces:
        *ends, rest = piece.split(b"\n")
        for end in ends:
            begun.append(end)
            yield b"".join(begun)
            begun = []
        if rest:
            begun.append(rest)
