"""The first step of a process that serves: eventlet patches the standard library, and names of hosts are resolved beside it.

Imports nothing at all before that is done.
"""
from __future__ import annotations

import os
from typing import Any

RESOLVING_S = 20.0
"""A name that nobody has resolved by then is not known for now; the system asks each of its servers twice for five seconds."""


def green() -> None:
    """Let everything that waits in this process let others run meanwhile. To be called once, before anything else is imported.

    Eventlet's own resolver is left out: it is a second opinion on where names come from, besides the system's (which knows ``nsswitch.conf``
    and what stands there), and loading it would be a sixth of a process's start.
    """
    os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")
    import eventlet
    from eventlet.green import socket

    for name in ("getaddrinfo", "gethostbyname"):
        setattr(socket, name, _in_a_thread(getattr(socket, name)))
    eventlet.monkey_patch()


def _in_a_thread(resolve: Any) -> Any:
    """The system's ``resolve``, which waits without letting others run, in a thread of the system.

    Raises what it raises, and ``socket.gaierror`` after ``RESOLVING_S``.
    """
    from eventlet import Timeout, tpool
    from eventlet.green import socket

    def resolved(host: Any, *more: Any, **options: Any) -> Any:
        if _is_known(host, socket):
            return resolve(host, *more, **options)
        with Timeout(RESOLVING_S, socket.gaierror(socket.EAI_AGAIN, f"'{host}' was not resolved within {RESOLVING_S:g} s")):
            return tpool.execute(resolve, host, *more, **options)

    return resolved


def _is_known(host: Any, socket: Any) -> bool:
    """Whether nobody has to be asked: an address, or none."""
    if not host:
        return True
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text.partition("%")[0])
        except (OSError, UnicodeError, ValueError):
            continue
        return True
    return False
