"""The protocol of clamd, as far as a stream of bytes is given to it to be judged (INSTREAM; see clamd(8)).

Knows no job and no file. Whatever is neither a clear yes nor a clear no is an error, and never a yes.
"""
from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from shared.kernel.errors import Unavailable
from shared.sources.addresses import connect_own

CONNECT_S = 5.0
LOOK_S = 0.2
_ANSWER = 4096
# What it "finds" in that of which it did not look at all, where it is told to say so (AlertExceedsMax).
EXCEEDED = "Heuristics.Limits.Exceeded"


class TooLarge(Exception):
    """The scanner takes no more of one stream, or has not looked at all that is packed in it: its own bounds."""


class Scan:
    """One stream that is given to the scanner at ``address`` (``unix:///path`` or ``tcp://host:port``).

    ``timeout_s``: how long it may take for one step, a piece or the verdict. ``check`` is called while it is waited for, and may raise.

    Raises, here and in each method:
        Unavailable: ``scanner.unavailable``; another attempt can help.
    """

    def __init__(self, address: str, timeout_s: float, check: Callable[[], None]) -> None:
        self._timeout_s, self._check = timeout_s, check
        self._early: str | None = None
        self._socket = _connected(address, min(CONNECT_S, timeout_s))
        try:
            self._socket.settimeout(timeout_s)
            self._socket.sendall(b"zINSTREAM\0")
        except OSError as error:
            self.close()
            raise away(error) from None

    def feed(self, piece: bytes | memoryview) -> None:
        """The next bytes. Raises TooLarge."""
        if not len(piece):
            return  # The protocol's word for the end.
        try:
            self._socket.sendall(struct.pack(">I", len(piece)))
            self._socket.sendall(piece)
        except OSError as error:
            # It says why it takes no more, and closes.
            self._early = self._judged(self._rest(), error)

    def verdict(self) -> str | None:
        """At the end of the stream: the name of what was found, or None where nothing was. Raises TooLarge."""
        if self._early is not None:
            return self._early
        try:
            self._socket.sendall(b"\0\0\0\0")
        except OSError as error:
            return self._judged(self._rest(), error)
        return self._judged(self._answer(), None)

    def close(self) -> None:
        self._socket.close()

    def _answer(self) -> bytes:
        until, answer = time.monotonic() + self._timeout_s, b""
        # Not by select: many small copies are open at a time, and it knows no descriptors above 1023.
        self._socket.settimeout(LOOK_S)
        while not answer.endswith(b"\0"):
            self._check()
            try:
                piece = self._socket.recv(_ANSWER)
            except TimeoutError:
                if time.monotonic() > until:
                    raise away(f"it gave no verdict within {self._timeout_s:g} s") from None
                continue
            except OSError as error:
                raise away(error) from None
            if not piece or len(answer) > _ANSWER:
                break
            answer += piece
        return answer

    def _rest(self) -> bytes:
        try:
            self._socket.settimeout(LOOK_S)
            return self._socket.recv(_ANSWER)
        except OSError:
            return b""

    @staticmethod
    def _judged(answer: bytes, error: OSError | None) -> str | None:
        said = answer.rstrip(b"\0").decode("utf-8", "replace").strip()
        found = (said.removesuffix(" FOUND").partition(": ")[2] or said) if said.endswith(" FOUND") else None
        if "size limit exceeded" in said or found is not None and found.startswith(EXCEEDED):
            raise TooLarge
        if found is not None:
            return found
        if said == "stream: OK" and error is None:
            return None
        raise away(f"it said '{said[:200]}'" if said else error or "it closed the connection")


def _connected(address: str, timeout_s: float) -> socket.socket:
    parts = urlsplit(address)
    try:
        if parts.scheme == "tcp":
            return connect_own(parts.hostname or "", parts.port or 3310, timeout_s)
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        found.settimeout(timeout_s)
        try:
            found.connect(parts.path)
        except BaseException:
            found.close()
            raise
        return found
    except OSError as error:
        raise away(error) from None


def away(why: object) -> Unavailable:
    """``scanner.unavailable``."""
    return Unavailable("scanner.unavailable", f"The scanner for malware does not answer: {getattr(why, 'strerror', None) or why}.",
                       next_step="Nothing is handed over without its word; it is asked again until the request's deadline. "
                                 "Have whoever runs the server look at it: instances.inspect.scanner.")
