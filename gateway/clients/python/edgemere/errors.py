"""What can go wrong, as exceptions: the server's problems by their kind, and what only this side can notice."""
from __future__ import annotations

import html
from typing import Any
from collections.abc import Mapping


class EdgemereError(Exception):
    """An error of the server. ``problem`` is its RFC 9457 document; ``code`` is stable and at ``/docs#<code>``."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        self.problem = dict(problem)
        self.status: int = self.problem.get("status") or 0
        self.code: str = self.problem.get("code") or "unknown"
        self.detail: str = self.problem.get("detail") or self.problem.get("title") or ""
        self.next_step: str = self.problem.get("next_step") or ""
        self.errors: "list[dict[str, Any]]" = self.problem.get("errors") or []
        self.request_id: str = self.problem.get("request_id") or ""
        super().__init__(f"{self.code}: {self.detail}" + (f" {self.next_step}" if self.next_step else ""))

    def _repr_html_(self) -> str:
        places = "".join(f"<li><code>{html.escape(str(one.get('pointer', '')))}</code> {html.escape(str(one.get('detail', '')))}</li>"
                         for one in self.errors)
        return (f"<b>{html.escape(self.code)}</b> {html.escape(self.detail)} <i>{html.escape(self.next_step)}</i>"
                + (f"<ul>{places}</ul>" if places else ""))


class Malformed(EdgemereError):
    """400: what was sent cannot be parsed, a query above all."""


class Denied(EdgemereError):
    """403: this may not be done from here, or not by this caller."""


class Unauthenticated(Denied):
    """401: the server wants a key or token, or does not believe the one that came; the code says why."""


class NotFound(EdgemereError):
    """404: there is no such thing."""


class MethodNotAllowed(EdgemereError):
    """405."""


class Conflict(EdgemereError):
    """409: the state of things does not allow it."""


class VersionConflict(Conflict):
    """409: somebody else changed it meanwhile."""


class NoCapacity(Conflict):
    """409: there is no room."""


class PreconditionFailed(EdgemereError):
    """412: it has another version than the one that was named."""


class TooLarge(EdgemereError):
    """413: more than the server takes."""


class Invalid(EdgemereError):
    """422: understood and refused; ``errors`` says where."""


class TooMany(EdgemereError):
    """429: too often."""


class NotYet(EdgemereError):
    """501: the server has this action in its table, but not built."""


class Unavailable(EdgemereError):
    """503: a part of the server does not answer."""


class DeadlineExceeded(EdgemereError):
    """504: it took too long; the work may have been done."""


class Unreachable(EdgemereError):
    """The server could not be reached, or its answer ended too early: what it did is not known."""


class Failed(EdgemereError):
    """A request ended in Failed; ``request`` is the request, ``code`` the code of its reason."""

    def __init__(self, problem: Mapping[str, Any], request: Any) -> None:
        super().__init__(problem)
        self.request = request


class NotVerified(EdgemereError):
    """A file is not there, or not what the server says that it is."""


class NotLocal(EdgemereError):
    """The data has no path on this machine; ``open()`` reads it through the server."""


_KINDS = {
    400: Malformed, 401: Unauthenticated, 403: Denied, 404: NotFound, 405: MethodNotAllowed, 409: Conflict, 412: PreconditionFailed, 413: TooLarge,
    422: Invalid, 429: TooMany, 501: NotYet, 503: Unavailable, 504: DeadlineExceeded,
}


def error_of(problem: Mapping[str, Any]) -> EdgemereError:
    """The exception of a problem document."""
    code = str(problem.get("code") or "")
    if code.endswith("version_conflict"):
        return VersionConflict(problem)
    if code.endswith("no_capacity"):
        return NoCapacity(problem)
    return _KINDS.get(problem.get("status") or 0, EdgemereError)(problem)


def told_here(kind: "type[EdgemereError]", code: str, detail: str, next_step: str) -> EdgemereError:
    """An error that this side noticed; its code begins with ``client.``."""
    return kind({"status": 0, "code": code, "detail": detail, "next_step": next_step})
