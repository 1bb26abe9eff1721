"""Waits for PostgreSQL that let other green threads run, and end.

libpq's own limits do not hold in the driver's green mode: a server that is frozen, with its sockets open, would be
waited for without end, at a connection as at a statement.
"""
from __future__ import annotations

import time
from typing import Any

import psycopg2
from eventlet.hubs import trampoline
from psycopg2 import extensions

from shared.storage.patience import limit_s

CONNECT_S = 5.0


class _Late(Exception):
    pass


def bound_waits(statement_s: float) -> None:
    """Give up a connection that is not made in five seconds, and a statement that has no answer ``statement_s`` after it was sent.

    ``shared.storage.patience`` gives a stretch of code another limit.
    """
    def wait(connection: Any, timeout: float = -1) -> None:
        connecting = connection.status == extensions.STATUS_SETUP
        patience = CONNECT_S if connecting else limit_s(statement_s)
        end = None if patience is None else time.monotonic() + patience
        while True:
            state = connection.poll()
            if state == extensions.POLL_OK:
                return
            if state not in (extensions.POLL_READ, extensions.POLL_WRITE):
                raise psycopg2.OperationalError(f"Bad result from poll: {state!r}")
            left_s = None if end is None else end - time.monotonic()
            try:
                if left_s is not None and left_s <= 0:
                    raise _Late()
                trampoline(connection.fileno(), read=state == extensions.POLL_READ, write=state == extensions.POLL_WRITE,
                           timeout=left_s, timeout_exc=_Late)
            except _Late:
                # The driver closes the connection when its wait fails, so that nobody gets this one's late answer.
                raise psycopg2.OperationalError(f"the server did not answer within {patience:g} s") from None

    extensions.set_wait_callback(wait)
