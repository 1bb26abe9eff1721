"""Which trace a piece of work belongs to, as W3C Trace Context writes it, and what spans are to those who make them.

``traceparent`` travels with the context of every hop, whether spans are collected or not. Knows no collector.
"""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Protocol

# https://www.w3.org/TR/trace-context/#traceparent-header; ids of zeros alone are none.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

# The call that this thread works on: {"service", "method", "correlation_id", "trace_id", …}. For log lines alone.
UNDER_WAY: ContextVar[Mapping[str, str]] = ContextVar("edgemere_under_way", default=MappingProxyType({}))


def traceparent_of(value: Any) -> str:
    """A ``traceparent`` as it came from outside; empty when it is none."""
    return value if isinstance(value, str) and _TRACEPARENT.fullmatch(value) else ""


def trace_id_of(traceparent: str) -> str:
    """The 32 digits that all spans of a trace share; empty for no trace."""
    return traceparent[3:35]


class Span(Protocol):
    """A piece of work under way. What it causes carries its ``traceparent``."""

    traceparent: str

    def end(self, error: str = "", **attributes: Any) -> None:
        """It is done; ``error`` is the stable code of what went wrong."""


class Tracer(Protocol):
    """Makes the spans of one service."""

    def begin(self, name: str, kind: str, traceparent: str = "", links: Sequence[str] = (), **attributes: Any) -> Span:
        """A span that is caused by ``traceparent`` (a new trace where that is empty).

        ``kind`` is server, client, consumer or internal; ``links`` are the traceparents of what it does in one go.
        """

    def record(self, name: str, kind: str, traceparent: str, began_ns: int, ended_ns: int, error: str = "",
               **attributes: Any) -> None:
        """A span that another process has measured, in nanoseconds since the epoch."""


class _Passing:
    """What is left of a span when nobody collects them: the trace goes on as it came."""

    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent

    def end(self, error: str = "", **attributes: Any) -> None:
        pass


class NoTracer:
    """Collects nothing."""

    def begin(self, name: str, kind: str, traceparent: str = "", links: Sequence[str] = (), **attributes: Any) -> Span:
        return _Passing(traceparent)

    def record(self, name: str, kind: str, traceparent: str, began_ns: int, ended_ns: int, error: str = "",
               **attributes: Any) -> None:
        pass


NO_TRACER = NoTracer()
