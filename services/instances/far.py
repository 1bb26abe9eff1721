"""The bytes of sources that need credentials or heavy clients: a mover reads them, and they pass through here.

So no secret and no client of a store is ever in a service's own process.
"""
from __future__ import annotations

import os
import queue
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

from shared.kernel.errors import DeadlineExceeded, Unavailable, from_payload

# What this process may open itself: no credentials, no client libraries.
NEAR = ("file", "http", "simulated")
OPEN_S = 60.0
CHUNK = 256 * 1024


class FarItem:
    """One item that a mover has opened; ``size`` in bytes, or None. Read it once, or close it."""

    def __init__(self, pool: Any, source: Mapping[str, Any], path: str, policy: Mapping[str, Any], packed: bool = False) -> None:
        """With ``packed`` the archive of a folder that is one Data.

        Raises:
            EdgemereError: what the mover says; ``deadline_exceeded`` when it says nothing.
        """
        token = f"edgemere-{os.urandom(16).hex()}"
        self._heard: queue.Queue = queue.Queue()
        self._listener = socket.socket(socket.AF_UNIX)
        self._line: socket.socket | None = None
        self._listener.bind("\0" + token)
        self._listener.listen(1)
        self._listener.settimeout(OPEN_S)
        self._job = pool.submit({"op": "read", "to": token, "policy": policy,
                                 "items": [{"key": "read", "source": dict(source), "path": path, "packed": packed}]}, on_message=self._heard.put)
        try:
            self.size: int | None = self._opened()["size"]
        except BaseException:
            self.close()
            raise

    def _opened(self) -> Mapping[str, Any]:
        try:
            message = self._heard.get(timeout=OPEN_S)
        except queue.Empty:
            raise DeadlineExceeded("worker.slow", f"The mover has not opened the data within {OPEN_S:.0f} s.") from None
        if "failed" in message:
            raise from_payload(message["failed"])
        return message["opened"]

    def chunks(self, first: int, count: int | None) -> Iterator[bytes]:
        """The bytes from ``first`` on, ``count`` of them or all. What breaks off early ends the connection to the reader too."""
        left = count
        try:
            self._line, _ = self._listener.accept()
            self._line.settimeout(OPEN_S)
            self._line.sendall(f"{first} {-1 if count is None else count}\n".encode())
            while left is None or left > 0:
                piece = self._line.recv(CHUNK)
                if not piece:
                    break
                left = None if left is None else left - len(piece)
                yield piece
                time.sleep(0)
            if left:
                raise Unavailable("source.unreadable", "The source broke off.", next_step="Try again.")
        finally:
            self.close()

    def close(self) -> None:
        self._job.cancel()
        self._listener.close()
        if self._line is not None:
            self._line.close()
