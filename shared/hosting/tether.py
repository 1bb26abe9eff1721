"""The line between a supervised process and its supervisor: it says where the process answers, and that the other end lives.

The supervisor's end sends nothing: its closing is the message. The process then stops as at a SIGTERM, and within a
bound, however the supervisor ended. Written for real threads, which run while green ones hang.
"""
from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson

TETHER_VARIABLE = "EDGEMERE_TETHER_FD"
LISTENER_VARIABLE = "EDGEMERE_LISTENER_FD"
_PR_SET_PDEATHSIG = 1


class Tether:
    """The process's end. ``Tether.here()`` gives it, or None in a process that nobody supervises."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    @classmethod
    def here(cls) -> Tether | None:
        """Take the line that the environment names; the processes that this one starts do not get it."""
        number = os.environ.pop(TETHER_VARIABLE, "")
        if not number:
            return None
        os.set_inheritable(int(number), False)
        tether = cls(socket.socket(fileno=os.dup(int(number))))
        os.close(int(number))
        # Ctrl-C reaches the whole terminal; the supervisor decides in which order its processes end.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _wake_when_the_parent_dies()
        return tether

    def say(self, message: Mapping[str, Any]) -> None:
        """Tell the supervisor: ``{"health": url}`` when there is one to ask, ``{"running": true}`` when it works,
        ``{"refused": payload}`` at a start in vain.
        """
        try:
            self._line.sendall(orjson.dumps(message) + b"\n")
        except OSError:
            pass  # It is gone, and ``watch`` notices.

    def watch(self, start_thread: Callable[[Callable[[], None]], Any], stop_s: float) -> None:
        """Send this process a SIGTERM when the supervisor is gone, and end it ``stop_s`` later in any case.

        ``start_thread`` runs a function in a real thread.
        """
        number = self._line.fileno()

        def wait() -> None:
            while True:
                try:
                    if not os.read(number, 4096):
                        break
                except BlockingIOError:
                    time.sleep(0.2)
                except OSError:
                    break
            sys.stderr.write("edgemere: the supervisor is gone; stopping.\n")
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(stop_s)
            os._exit(1)

        start_thread(wait)


def inherited_listener() -> int | None:
    """The file descriptor of the socket that the supervisor listens on for all gateways, or None."""
    number = os.environ.pop(LISTENER_VARIABLE, "")
    if not number:
        return None
    os.set_inheritable(int(number), False)
    return int(number)


def _wake_when_the_parent_dies() -> None:
    """Have the kernel continue this process when its parent ends: one that is stopped (SIGSTOP) could not notice."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT, 0, 0, 0)
