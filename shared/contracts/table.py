"""The one table: every action of the product, every error code. All faces are renderings of it."""
from __future__ import annotations

from shared.contracts import catalog, events, instances, requests, reservations
from shared.contracts.action import Action
from shared.kernel.errors import KINDS

PROVIDERS = {module.__name__.rsplit(".", 1)[1]: module for module in (requests, reservations, instances, catalog, events)}

ACTIONS: dict[str, Action] = {
    action.name: action for module in PROVIDERS.values() for action in module.ACTIONS
}
BY_ADDRESS: dict[str, Action] = {action.address: action for action in ACTIONS.values()}
BY_WORDS: dict[tuple[str, ...], Action] = {action.words: action for action in ACTIONS.values()}
BY_RPC: dict[str, Action] = {action.rpc: action for action in ACTIONS.values()}

_GENERAL = {
    "parameter.unknown": "A parameter or filter that the action does not take.",
    "parameter.missing": "A parameter that the action needs is not there.",
    "parameter.invalid": "A parameter has a value that cannot be used.",
    "cursor.invalid": "The cursor is not one of this list.",
    "sort.invalid": "The sort order names a field that the class does not have.",
    "host_not_allowed": "The Host header names an address that this server does not answer for.",
    "origin_not_allowed": "The page that sent this may not use the server.",
    "rpc.service_unavailable": "A service that is needed is not running; /health/ready says when it is back.",
    "rpc.deadline_exceeded": "A service did not answer in time; the work may have been done.",
    "rpc.method_not_found": "The service that is running does not know this action.",
    "bus.unavailable": "The message broker does not answer.",
    "bus.unroutable": "Nobody receives the message.",
    "idempotency.mismatch": "The Idempotency-Key was used before for something else.",
    "idempotency.invalid": "The Idempotency-Key is longer than 255 characters, or empty.",
}

ERRORS: dict[str, str] = {
    **{kind.code: (kind.__doc__ or "").splitlines()[0] for kind in KINDS.values()},
    **_GENERAL,
    **{code: text for module in PROVIDERS.values() for code, text in module.ERRORS.items()},
}
