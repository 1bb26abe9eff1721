"""Supervised worker processes that speak JSON lines: how a service reaches the scanner and the mover.

::

    pool = WorkerPool([sys.executable, "-m", "services.instances.mover"], size=2, name="mover")
    handle = pool.submit({"op": "verify", "items": [...]})                 # pull: in the caller's thread,
    for message in handle: ...                                             #   raises what the job failed with
    handle = pool.submit(job, on_message=note); done = handle.wait(30)     # push: from the pool's reader thread
    handle.cancel(); pool.stop()

A message is a dict as the worker's package documents it, without ``id``; the last one holds ``done`` or ``failed``.

Promised: every submitted job ends, with ``done`` or ``failed``. A worker that dies fails its jobs with ``worker.died``
(Unavailable, retryable), at once; a new one is started for the next job, after a growing pause when it dies young.
Nothing is repeated by the pool: the caller knows which items have a result. No process is started before the first job,
and one without jobs for ``idle_s`` is stopped. A worker outlives neither ``stop`` nor this process, however it ends.

Written for plain threads and sockets; under eventlet's monkey patching the same lines are green. Knows no op by name.
"""
from __future__ import annotations

import itertools
import logging
import os
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from shared.hosting.worker_loop import FD_VARIABLE, whole_lines
from shared.kernel.errors import DeadlineExceeded, Unavailable, from_payload

YOUNG_S = 5.0
BACK_OFF_S = (0.0, 0.1, 0.5, 2.0, 5.0)

Message = dict[str, Any]
_log = logging.getLogger(__name__)


class WorkerPool:
    """At most ``size`` processes of one command, which run the jobs given to ``submit``, several each.

    ``command`` is started with the file descriptor of its socket in ``EDGEMERE_WORKER_FD``, in ``cwd`` (default: this
    process's) and with ``env`` added to this environment. ``name`` is for the log.
    """

    def __init__(self, command: Sequence[str], *, size: int = 1, name: str = "worker", idle_s: float = 300.0,
                 cwd: str | None = None, env: Mapping[str, str] | None = None) -> None:
        self.command, self.size, self.name, self.idle_s = list(command), size, name, idle_s
        self._cwd, self._env = cwd, dict(env or {})
        self._lock = threading.Lock()
        self._workers: list[_Worker] = []
        self._numbers = itertools.count(1)
        self._young_deaths = 0
        self._not_before = 0.0
        self._stopped = False

    def submit(self, job: Mapping[str, Any], on_message: Callable[[Message], None] | None = None) -> Handle:
        """Give ``job`` to the least busy worker and come back at once.

        With ``on_message`` each message is given to it, in order, from the reader thread of the worker: it must be quick,
        for the worker's other jobs wait meanwhile. Without, iterate over the handle.

        Raises:
            Unavailable: ``worker.stopped`` after ``stop``; ``worker.died`` when no process can be started.
        """
        handle = Handle(f"{self.name}-{next(self._numbers)}", on_message)
        for _ in range(3):
            worker = self._pick(handle)
            if worker.send({**job, "id": handle.id}):
                return handle
            if worker.take(handle.id) is None:
                return handle  # Its worker was buried meanwhile, and the handle has been told.
        raise _died(self.name, "it takes no job")

    def pids(self) -> list[int]:
        """The processes that live now."""
        with self._lock:
            return [worker.process.pid for worker in self._workers]

    def stop(self, timeout_s: float = 3.0) -> None:
        """End every worker, orderly; jobs under way fail with ``worker.died``. Stopping twice is not an error."""
        with self._lock:
            self._stopped = True
            workers, self._workers = self._workers, []
        for worker in workers:
            worker.hang_up()
        until = time.monotonic() + timeout_s
        for worker in workers:
            worker.reap(max(0.05, until - time.monotonic()))

    def _pick(self, handle: Handle) -> _Worker:
        pause = self._not_before - time.monotonic()
        if pause > 0 and not self._workers:
            time.sleep(pause)
        with self._lock:
            if self._stopped:
                raise Unavailable("worker.stopped", f"The pool of {self.name} workers is stopped.")
            idle = min(self._workers, key=lambda worker: len(worker.handles), default=None)
            if idle is None or (idle.handles and len(self._workers) < self.size):
                idle = self._start()
            handle.attach(idle)
            return idle

    def _start(self) -> _Worker:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            environment = {**os.environ, **self._env, FD_VARIABLE: str(theirs.fileno())}
            try:
                process = subprocess.Popen(
                    self.command, pass_fds=(theirs.fileno(),), cwd=self._cwd, env=environment,
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                )
            except OSError as error:
                ours.close()
                raise _died(self.name, f"it cannot be started ({error.strerror})") from error
        worker = _Worker(self, process, ours)
        self._workers.append(worker)
        threading.Thread(target=worker.read, name=f"{self.name}-reader", daemon=True).start()
        return worker

    def retire(self, worker: _Worker) -> bool:
        """Take a worker without jobs out of the pool; False when it got a job meanwhile. For the reader thread."""
        with self._lock:
            if worker.handles:
                return False
            if worker in self._workers:
                self._workers.remove(worker)
            return True

    def bury(self, worker: _Worker) -> list[Handle]:
        """Take a dead worker out of the pool and give its unfinished jobs. For the reader thread."""
        with self._lock:
            if worker in self._workers:
                self._workers.remove(worker)
                young = time.monotonic() - worker.started < YOUNG_S
                self._young_deaths = self._young_deaths + 1 if young else 0
                self._not_before = time.monotonic() + BACK_OFF_S[min(self._young_deaths, len(BACK_OFF_S) - 1)]
            handles = list(worker.handles.values())
            worker.handles.clear()
            return handles


class Handle:
    """One job under way."""

    def __init__(self, job_id: str, on_message: Callable[[Message], None] | None) -> None:
        self.id = job_id
        self._on_message = on_message
        self._worker: _Worker | None = None
        self._messages: deque[Message] = deque()
        self._changed = threading.Condition(threading.Lock())
        self._end: Message | None = None

    def attach(self, worker: _Worker) -> None:
        self._worker = worker
        worker.handles[self.id] = self

    def cancel(self) -> None:
        """Ask the job to end early; it still ends with ``done`` (``cancelled: true``) or ``failed``."""
        if self._end is None and self._worker is not None:
            self._worker.send({"op": "cancel", "id": self.id})

    @property
    def ended(self) -> bool:
        return self._end is not None

    def wait(self, timeout: float | None = None) -> dict[str, Any]:
        """What ``done`` holds, once the job has ended.

        Raises:
            DeadlineExceeded: ``worker.slow`` after ``timeout`` seconds; the job goes on.
            EdgemereError: what the job failed with.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._end is not None, timeout):
                raise DeadlineExceeded("worker.slow", f"The job {self.id} has not ended within {timeout} s.")
        return self._outcome()

    def __iter__(self) -> Iterator[Message]:
        """Every message in turn, ``done`` included; each is acknowledged when the next is asked for.

        Raises:
            EdgemereError: what the job failed with, in place of the message ``failed``.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._messages or self._end is not None)
                if not self._messages:
                    return
                message = self._messages.popleft()
            if "failed" in message:
                raise from_payload(message["failed"])
            yield message
            if "done" in message:
                return
            self._acknowledge(message)

    def _outcome(self) -> dict[str, Any]:
        assert self._end is not None
        if "failed" in self._end:
            raise from_payload(self._end["failed"])
        return self._end["done"]

    def deliver(self, message: Message) -> None:
        """One message from the worker. For the reader thread."""
        if self._on_message is None:
            with self._changed:
                self._messages.append(message)
                self._changed.notify_all()
        else:
            try:
                self._on_message(message)
            except Exception:
                # The caller's fault must not stop the other jobs of this worker; the job has no listener any more.
                _log.exception("the listener of job %s failed; the job is cancelled", self.id)
                self._on_message = _nobody
                self.cancel()
            self._acknowledge(message)
        if "done" in message or "failed" in message:
            with self._changed:
                self._end = message
                self._changed.notify_all()

    def _acknowledge(self, message: Message) -> None:
        if "seq" in message and self._worker is not None:
            self._worker.send({"op": "ack", "id": self.id, "seq": message["seq"]})


class _Worker:
    """One process, its socket, and the thread that reads it."""

    def __init__(self, pool: WorkerPool, process: subprocess.Popen[bytes], connection: socket.socket) -> None:
        self.pool, self.process = pool, process
        self.handles: dict[str, Handle] = {}
        self.started = self._quiet_since = time.monotonic()
        self._connection = connection
        self._sending = threading.Lock()
        connection.settimeout(None)

    def send(self, message: Mapping[str, Any]) -> bool:
        """Whether the message was handed to the process."""
        line = orjson.dumps(message) + b"\n"
        try:
            with self._sending:
                self._connection.sendall(line)
            return True
        except OSError:
            return False

    def take(self, job_id: str) -> Handle | None:
        return self.handles.pop(job_id, None)

    def hang_up(self) -> None:
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def reap(self, timeout_s: float) -> None:
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def read(self) -> None:
        """Hand out what the process says, until it ends or has been idle for long."""
        idle = threading.Timer(self.pool.idle_s, self._retire_if_idle)
        idle.daemon = True
        idle.start()
        for line in whole_lines(self._pieces()):
            self._hand_out(orjson.loads(line))
        idle.cancel()
        self._end()

    def _pieces(self) -> Iterator[bytes]:
        while True:
            try:
                piece = self._connection.recv(1 << 18)
            except OSError:
                return
            if not piece:
                return
            yield piece

    def _hand_out(self, message: Message) -> None:
        job_id = message.pop("id", "")
        ended = "done" in message or "failed" in message
        handle = self.take(job_id) if ended else self.handles.get(job_id)
        self._quiet_since = time.monotonic()
        if handle is not None:
            handle.deliver(message)

    def _retire_if_idle(self) -> None:
        left = self.pool.idle_s - (time.monotonic() - self._quiet_since)
        if left <= 0 and self.pool.retire(self):
            self.hang_up()
        elif self.process.returncode is None:
            again = threading.Timer(max(left, min(1.0, self.pool.idle_s)), self._retire_if_idle)
            again.daemon = True
            again.start()

    def _end(self) -> None:
        handles = self.pool.bury(self)
        self.hang_up()
        self.reap(1.0)
        self._connection.close()
        for handle in handles:
            error = _died(self.pool.name, f"its process {self.process.pid} ended with {self.process.returncode}")
            handle.deliver({"failed": {**error.payload(), "retryable": True}})


def _died(name: str, why: str) -> Unavailable:
    return Unavailable("worker.died", f"The {name} worker does not answer: {why}.",
                       next_step="What has no result yet can be asked for again.")


def _nobody(message: Message) -> None:
    return None
