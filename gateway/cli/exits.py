"""How the command line fails: exit codes, and the words for a person. Knows no HTTP beyond its status codes."""
from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from gateway.cli.text import clean

OK, FAILED, USAGE, NOT_FOUND, CONFLICT, DENIED, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 130

_OF_STATUS = {
    400: USAGE, 405: USAGE, 413: USAGE, 414: USAGE, 415: USAGE, 416: USAGE, 422: USAGE,
    401: DENIED, 403: DENIED, 404: NOT_FOUND, 409: CONFLICT, 412: CONFLICT, 503: UNREACHABLE,
}
# Members of a problem that are said in words of their own, or say nothing to a person.
_SAID = frozenset({"type", "title", "status", "detail", "code", "instance", "request_id", "next_step", "errors", "kind"})
_SHOWN = 10


class Failure(Exception):
    """Ends the command with ``exit_code``; ``problem`` has the members of a problem document, at least ``detail``."""

    def __init__(self, exit_code: int, problem: Mapping[str, Any]) -> None:
        super().__init__(problem.get("detail", ""))
        self.exit_code = exit_code
        self.problem = dict(problem)

    @property
    def code(self) -> str:
        """The stable code of the error, or an empty text."""
        return str(self.problem.get("code", ""))


def failure_of(status: int, problem: Mapping[str, Any]) -> Failure:
    """The failure that an HTTP answer with this status stands for."""
    return Failure(exit_of(status), problem)


def exit_of(status: int) -> int:
    """The exit code of an HTTP status."""
    return _OF_STATUS.get(status, FAILED) if status >= 400 else OK


def usage(detail: str, next_step: str = "", code: str = "usage", **more: Any) -> Failure:
    """A command line that cannot be used as it was typed."""
    return Failure(USAGE, {"code": code, "detail": detail, "next_step": next_step, **more})


def describe(problem: Mapping[str, Any]) -> list[str]:
    """The lines for a person: the sentence with its code, a line per pointer, what is legal, the next step."""
    code = problem.get("code")
    sentence = clean(str(problem.get("detail") or problem.get("title") or "It failed without a word."))
    lines = [f"Error: {sentence}" + (f" [{clean(str(code))}]" if code else "")]
    errors = problem.get("errors") or []
    for error in errors[:_SHOWN]:
        pointer = clean(str(error.get("pointer", error.get("column", "")))) or "/"
        said = clean(str(error.get("detail", "")))
        lines.append(f"  at {pointer}" if said == sentence else f"  {pointer}: {said}")
    if len(errors) > _SHOWN:
        lines.append(f"  … and {len(errors) - _SHOWN} more")
    for name, value in problem.items():
        if name not in _SAID and value not in (None, "", [], {}):
            lines.append(f"  {clean(name)}: {_briefly(value)}")
    if problem.get("next_step"):
        lines.append(f"Next: {clean(str(problem['next_step']))}")
    return lines


def report(failure: Failure, verbose: bool = False) -> None:
    """Write the failure to stderr."""
    lines = describe(failure.problem)
    if verbose and failure.problem.get("request_id"):
        lines.append(f"Request id: {failure.problem['request_id']}")
    print("\n".join(lines), file=sys.stderr)


def _briefly(value: Any) -> str:
    if isinstance(value, Mapping):
        if "event" in value and "to" in value:
            to = clean(str(value["to"]))
            return f"{clean(str(value['action']))} (to {to})" if value.get("action") else f"{to} by itself"
        value = {key: item for key, item in value.items() if item is not None}
        if value.get("name") and value.get("id"):
            more = "".join(f", {clean(str(key))} {_briefly(item)}" for key, item in value.items() if key not in ("id", "name"))
            return f"{clean(str(value['name']))} ({clean(str(value['id']))}{more})"
        return ", ".join(f"{clean(str(key))} {_briefly(item)}" for key, item in value.items())
    if isinstance(value, list):
        more = f", … {len(value) - _SHOWN} more" if len(value) > _SHOWN else ""
        return ", ".join(_briefly(item) for item in value[:_SHOWN]) + more
    return clean(str(value))
