"""Errors as RFC 9457 problem documents: one shape for whatever goes wrong, from a service or from HTTP itself."""
from __future__ import annotations

from typing import Any

from shared.contracts import table
from shared.kernel.errors import KINDS, EdgemereError

MEDIA_TYPE = "application/problem+json"


class UnsupportedMediaType(EdgemereError):
    """The body is of a kind that no action reads."""
    status, code = 415, "unsupported_media_type"


class RangeNotSatisfiable(EdgemereError):
    """The Range lies outside the content; `size` is its length in bytes."""
    status, code = 416, "range_not_satisfiable"


class AddressTooLong(EdgemereError):
    """The request line is longer than the stated bound; long parameters go into the body."""
    status, code = 414, "address_too_long"


class HeadersTooLarge(EdgemereError):
    """The header fields are more, or longer, than the stated bound."""
    status, code = 431, "headers_too_large"


class BadHttp(EdgemereError):
    """The bytes received are not an HTTP request that this server understands."""
    status, code = 400, "bad_http"


# What only HTTP can go wrong with; the table documents all else.
OF_HTTP = {kind.code: kind for kind in (UnsupportedMediaType, RangeNotSatisfiable, AddressTooLong, HeadersTooLarge, BadHttp)}
DOCUMENTED: dict[str, str] = {
    **table.ERRORS, **{code: (kind.__doc__ or "").splitlines()[0] for code, kind in OF_HTTP.items()},
}
STATUS_OF_KIND = {kind.code: kind.status for kind in KINDS.values()}
_RESERVED = frozenset({"type", "title", "status", "detail", "code", "instance", "request_id", "next_step", "errors"})


def problem(error: EdgemereError, instance: str, request_id: str) -> dict[str, Any]:
    """The problem document of ``error``.

    ``{type, title, status, detail, code, instance, request_id, next_step?, errors[]}`` and the error's further
    members (``legal``, ``candidates``, …), which never replace one of these.
    """
    title = DOCUMENTED.get(error.code) or (type(error).__doc__ or "").splitlines()[0]
    body: dict[str, Any] = {
        "type": f"/docs#{error.code}", "title": title, "status": error.status,
        "detail": error.detail or title, "code": error.code, "instance": instance, "request_id": request_id,
    }
    if error.next_step:
        body["next_step"] = error.next_step
    body["errors"] = error.errors
    body |= {key: value for key, value in error.extra.items() if key not in _RESERVED}
    return body


def unexpected(request_id: str) -> EdgemereError:
    """The error that stands for one that nobody foresaw; its cause is in the log under the request id only."""
    return EdgemereError(
        "internal", "Something went wrong inside that the server did not foresee.",
        next_step=f"Try again; if it stays, look for request {request_id} in the server's log.",
    )
