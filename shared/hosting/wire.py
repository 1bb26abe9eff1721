"""The words of a call on the wire: its context as headers, and errors that keep their code. Sends and receives nothing."""
from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nameko.exceptions import MethodNotFound, serialize

from shared.kernel.context import Context
from shared.kernel.errors import DeadlineExceeded, EdgemereError, Invalid, NotYet, Unavailable, from_payload
from shared.kernel.trace import traceparent_of

# Of the calls among the services: raised with each parameter that one of them gets. A service that is older than its
# caller leaves out what it does not know, so that a mesh can be renewed process by process.
CONTRACT = 2
_WORDS = ("owner", "request_id", "correlation_id", "causation_id", "idempotency_key", "credential", "address", "action")


def headers_of(context: Context) -> dict[str, Any]:
    """The context as AMQP headers, as Nameko names them."""
    found: dict[str, Any] = {f"nameko.{word}": value for word in _WORDS if (value := getattr(context, word))}
    found["nameko.contract"] = CONTRACT
    if context.roles:
        found["nameko.roles"] = list(context.roles)
    if context.mesh:
        found["nameko.mesh"] = True
    if context.deadline is not None:
        found["nameko.deadline"] = context.deadline
    if context.if_match is not None:
        found["nameko.if_match"] = context.if_match
    if context.traceparent:
        # Under the name that everybody else reads, too.
        found["traceparent"] = context.traceparent
    return found


def said_context(headers: Mapping[str, Any]) -> dict[str, Any]:
    """What the headers of a call say of its context, be it true or not, as a worker's data."""
    words = {name.removeprefix("nameko."): value for name, value in headers.items() if name.startswith("nameko.")}
    return {**words, "traceparent": headers.get("traceparent")}


def context_of(data: Mapping[str, Any]) -> Context:
    """The context in a worker's data; what has the wrong type is left out."""
    words = {word: data[word] for word in _WORDS if isinstance(data.get(word), str)}
    roles, deadline, if_match = data.get("roles"), data.get("deadline"), data.get("if_match")
    return Context(
        **words,
        roles=tuple(role for role in roles if isinstance(role, str)) if isinstance(roles, (list, tuple)) else (),
        deadline=deadline_of(deadline), if_match=if_match if isinstance(if_match, int) else None, mesh=data.get("mesh") is True,
        traceparent=traceparent_of(data.get("traceparent")))


def deadline_of(value: Any) -> float | None:
    """A deadline as it came in a header: seconds since the epoch, also as text; anything else is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


# --- errors on the wire --------------------------------------------------------------------------------------------

def wire_error(error: BaseException) -> dict[str, Any]:
    """An error as Nameko callers read it; ours find the whole of it in ``exc_args``."""
    if isinstance(error, MethodNotFound):
        return serialize(error)
    if not isinstance(error, EdgemereError):
        error = EdgemereError("internal", "Something unforeseen happened; the log of the service has the details.")
    payload = json.loads(json.dumps(error.payload(), default=str))
    return {"exc_type": type(error).__name__, "exc_path": f"edgemere.{type(error).__name__}", "exc_args": [payload],
            "value": str(error)}


def error_from_wire(service: str, method: str, error: Mapping[str, Any]) -> EdgemereError:
    """The error that a service answered with, also one that is not ours."""
    args = error.get("exc_args")
    if isinstance(args, list) and len(args) == 1 and isinstance(args[0], Mapping) and "code" in args[0]:
        return from_payload(args[0])
    kind, value = error.get("exc_type"), error.get("value")
    if kind == "MethodNotFound":
        return NotYet("rpc.method_not_found", f"The service '{service}' has no method '{method}'.")
    if kind in ("IncorrectSignature", "MalformedRequest"):
        return Invalid("parameter.invalid", f"The service '{service}' refuses the parameters of '{method}': {value}.")
    return EdgemereError("internal", f"The service '{service}' failed in '{method}': {kind}.")


def no_answer(called: str) -> DeadlineExceeded:
    """A call's time is over."""
    return DeadlineExceeded("rpc.deadline_exceeded", f"No answer from '{called}' in time.",
                            next_step="Ask again, perhaps with more time; the work may have been done.")


def not_running(service: str) -> Unavailable:
    """Nobody takes the calls of a service."""
    return Unavailable("rpc.service_unavailable", f"The service '{service}' is not running.",
                       next_step="Try again; /health/ready says when it is back.")
