"""The entry: a server's trees of actions, and ``do.data``."""
from __future__ import annotations

from typing import Any
from collections.abc import Callable, Mapping

from .calls import DoCalls, FmdmCalls
from .connection import TIMEOUT_S, Server
from .data import Data


class Do(DoCalls):
    """The actions of ``diml dml do``, and ``data``: what one wants in one line."""

    def data(self, query: "str | Mapping[str, Any] | None" = None, *, timeout_s: "float | None" = 3600, verify: str = "size",
             progress: "bool | Callable[[Any], None] | None" = None, **parameters: Any) -> Data:
        """Data for the length of a ``with`` block: asked for and waited for at its begin, given back at its end.

        Args:
            query: what data is needed, as a line or as JSON.
            timeout_s: how long to wait until everything is ready; None waits as long as the request lives.
            verify: what is checked of each file before the block begins: ``size``, ``checksum`` or ``nothing``.
            progress: False for none, a function that gets each state, None for a line on a terminal or in a notebook.
            **parameters: whatever ``datarequest.create`` takes: ``name, target, action, select, wait, …``

        Raises (when the block begins):
            Failed: the request failed; its reason and the next step are in it.
            DeadlineExceeded: it took longer than ``timeout_s``; what was asked for is cancelled.
            NotVerified: a file is not there, or not what the server says.
        """
        return Data(self, self._server, {"query": query, **parameters}, timeout_s, verify, progress)


class Edgemere:
    """One server: ``do`` and ``fmdm`` have its actions."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.do, self.fmdm = Do(server), FmdmCalls(server)
        self.diml = _Words(dml=_Words(do=self.do, fmdm=self.fmdm))

    @property
    def url(self) -> str:
        return self._server.url

    def __repr__(self) -> str:
        return f"<edgemere at {self.url}>"


class _Words:
    def __init__(self, **words: Any) -> None:
        self.__dict__.update(words)


def connect(url: "str | None" = None, timeout_s: float = TIMEOUT_S, *, key: "str | None" = None, token: "str | None" = None) -> Edgemere:
    """A client of the server at ``url`` (``EDGEMERE_URL`` or ``http://127.0.0.1:3000`` without one); asks nothing yet.

    ``key`` or ``token`` is what one logs in with; ``EDGEMERE_KEY`` without them.
    """
    return Edgemere(Server(url, timeout_s, key or token))
