"""The error tree: a stable code, a sentence for a human, and a next step.

An error crosses processes as its code and its ``payload()``, never as the path of an exception class.
"""
from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class EdgemereError(Exception):
    """Something went wrong inside that was not foreseen; the log has the details.

    Base of everything that this product says went wrong. ``code`` is permanent and documented in the contracts.
    ``detail`` is a sentence that names what and where. ``next_step`` says what to do. ``errors`` lists
    ``{"pointer": JSON pointer or column, "detail": ...}``; ``extra`` holds further members of the answer, such as
    ``legal`` moves or ``candidates``. ``retryable`` tells message handlers whether another attempt can help.
    """

    status = 500
    code = "internal"
    retryable = False
    # What to do when nobody knows anything better.
    next_step = "Try again; if it stays, look for the request's id in the server's log."

    def __init__(
        self,
        code: str | None = None,
        detail: str = "",
        *,
        next_step: str = "",
        errors: Iterable[Mapping[str, str]] = (),
        **extra: Any,
    ) -> None:
        self.code = code or type(self).code
        self.detail = detail
        self.next_step = next_step or type(self).next_step
        self.errors = [dict(error) for error in errors]
        self.extra = extra
        super().__init__(self.code, detail)

    def __str__(self) -> str:
        sentence = f"{self.code}: {self.detail}" if self.detail else self.code
        return f"{sentence} {self.next_step}".strip() if self.next_step else sentence

    def payload(self) -> dict[str, Any]:
        """The error as JSON: ``kind, code, detail, next_step, errors`` and the extra members."""
        body: dict[str, Any] = {"kind": type(self).__name__, "code": self.code, "detail": self.detail}
        if self.next_step:
            body["next_step"] = self.next_step
        if self.errors:
            body["errors"] = self.errors
        if self.extra:
            body["extra"] = self.extra
        return body


class Malformed(EdgemereError):
    """It cannot be parsed."""
    status, code = 400, "malformed"
    next_step = "Correct what was sent."


class Unauthenticated(EdgemereError):
    """Who is calling is not known, or not believed."""
    status, code = 401, "unauthenticated"
    next_step = "Send 'Authorization: Bearer <key>', or log in with: edgemere login"


class Denied(EdgemereError):
    """The caller may not do this."""
    status, code = 403, "denied"
    next_step = "Ask with other credentials, or ask whoever runs the server."


class NotFound(EdgemereError):
    """No such object."""
    status, code = 404, "not_found"
    next_step = "The list of its class shows what there is."


class MethodNotAllowed(EdgemereError):
    """The address exists, the HTTP method does not."""
    status, code = 405, "method_not_allowed"


class Conflict(EdgemereError):
    """The state of things forbids it; ``extra`` says what is legal or in the way."""
    status, code = 409, "conflict"
    next_step = "Look at how it stands now, and decide again."


class VersionConflict(Conflict):
    """Somebody changed the object meanwhile; another attempt reads the new version."""
    code = "version_conflict"
    next_step = "Read the object again and repeat."
    retryable = True


class NoCapacity(Conflict):
    """A source is full; nothing was claimed."""
    code = "no_capacity"
    next_step = "Free some room, or ask for less."


class PreconditionFailed(EdgemereError):
    """If-Match names another version."""
    status, code = 412, "precondition_failed"
    next_step = "Read it again, and repeat with its ETag."


class TooLarge(EdgemereError):
    """More than the stated bound."""
    status, code = 413, "too_large"
    next_step = "Send less in one call."


class Invalid(EdgemereError):
    """Understood, and refused."""
    status, code = 422, "invalid"
    next_step = "Correct it, and send it again."


class TooMany(EdgemereError):
    """More than may be asked in this time."""
    status, code = 429, "too_many"
    next_step = "Wait a moment, then try again."
    retryable = True


class NotYet(EdgemereError):
    """On every face, and not built yet."""
    status, code = 501, "not_yet"


class Unavailable(EdgemereError):
    """A part that is needed does not answer; trying again later can help."""
    status, code = 503, "unavailable"
    next_step = "Try again in a moment; /health/ready says when everything is there."
    retryable = True


class DeadlineExceeded(EdgemereError):
    """No answer within the time that the caller gave."""
    status, code = 504, "deadline_exceeded"
    next_step = "Look whether it was done, then try again."
    retryable = True


@contextmanager
def located(pointer: str, *, whole: bool = False) -> Iterator[None]:
    """Errors raised inside are about the parameter at this JSON pointer: their own places are named under it.

    A place that is a column of a text, and not a pointer into it, goes into the sentence. With ``whole`` their own
    places are those of another call, and dropped.
    """
    try:
        yield
    except EdgemereError as error:
        places = [] if whole else [_under(pointer, one) for one in error.errors]
        error.errors = places or [{"pointer": pointer, "detail": error.detail}]
        raise


def _under(pointer: str, error: Mapping[str, str]) -> dict[str, str]:
    place = error.get("pointer", "")
    if place and not place.startswith("/"):
        return {**error, "pointer": pointer, "detail": f"{place}: {error.get('detail', '')}"}
    return {**error, "pointer": pointer + place.rstrip("/")}


KINDS: dict[str, type[EdgemereError]] = {
    kind.__name__: kind
    for kind in (
        EdgemereError, Malformed, Unauthenticated, Denied, NotFound, MethodNotAllowed, Conflict, VersionConflict, NoCapacity,
        PreconditionFailed, TooLarge, Invalid, TooMany, NotYet, Unavailable, DeadlineExceeded,
    )
}


def from_payload(body: Mapping[str, Any]) -> EdgemereError:
    """The error that ``payload()`` described; an unknown kind becomes the base with its code kept."""
    kind = KINDS.get(str(body.get("kind")), EdgemereError)
    extra = body.get("extra")
    return kind(
        body.get("code"), body.get("detail", ""), next_step=body.get("next_step", ""),
        errors=body.get("errors", ()), **(extra if isinstance(extra, dict) else {}),
    )


def nearest(word: str, known: Iterable[str], limit: int = 1) -> list[str]:
    """The known words that ``word`` was probably meant to be, best first; empty when none is near."""
    known = list(known)
    folded = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(str(word).casefold(), list(folded), n=limit, cutoff=0.6)
    return [folded[name] for name in found]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` Did you mean 'state'?`` with a leading space, or an empty text."""
    found = nearest(word, known)
    return f" Did you mean '{found[0]}'?" if found else ""
