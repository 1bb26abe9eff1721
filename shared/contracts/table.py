"""The one table: every action of the product, every error code. All faces are renderings of it."""
from __future__ import annotations

from shared.contracts import catalog, events, instances, requests, reservations
from shared.contracts.action import Action
from shared.contracts.event import OWNERS
from shared.kernel.errors import KINDS

PROVIDERS = {module.__name__.rsplit(".", 1)[1]: module for module in (requests, reservations, instances, catalog, events)}

ACTIONS: dict[str, Action] = {
    action.name: action for module in PROVIDERS.values() for action in module.ACTIONS
}
SERVICES: tuple[str, ...] = tuple(PROVIDERS)
BY_ADDRESS: dict[str, Action] = {action.address: action for action in ACTIONS.values()}
BY_WORDS: dict[tuple[str, ...], Action] = {action.words: action for action in ACTIONS.values()}
BY_RPC: dict[str, Action] = {action.rpc: action for action in ACTIONS.values()}

_GENERAL = {
    "parameter.unknown": "A parameter or filter that the action does not take.",
    "parameter.missing": "A parameter that the action needs is not there.",
    "parameter.invalid": "A parameter has a value that cannot be used.",
    "cursor.invalid": "The cursor is not one of this list.",
    "sort.invalid": "The sort order names a field that the class does not have.",
    "config.invalid": "A setting cannot be used; config.yaml explains every one.",
    "quota.exceeded": "It would be more than the owner may have at a time.",
    "host_not_allowed": "The Host header names an address that this server does not answer for.",
    "origin_not_allowed": "The page that sent this may not use the server.",
    "rpc.service_unavailable": "A service that is needed is not running; /health/ready says when it is back.",
    "rpc.deadline_exceeded": "A service did not answer in time; the work may have been done.",
    "rpc.method_not_found": "The service that is running does not know this action.",
    "rpc.among_services": "The method is for the services of the mesh alone; foreign programs call the actions of the documents.",
    "message.unsealed": "A foreign message says what only the mesh itself can know; it becomes a dead letter.",
    "mesh.secret_missing": "The processes of a mesh in production need a secret by which they know each other.",
    "mesh.secret_short": "The secret of the mesh is too short.",
    "bus.unavailable": "The message broker does not answer.",
    "bus.unroutable": "Nobody receives the message.",
    "accounts.password_missing": "The password of a service's account at the broker cannot be read.",
    "bus.refused": "The message broker does not let this process's account do what it wants.",
    "bus.missing": "The message broker lacks queues that no service makes by itself where each has an account of its own.",
    "idempotency.mismatch": "The Idempotency-Key was used before for something else.",
    "idempotency.invalid": "The Idempotency-Key is longer than 255 characters, or empty.",
    "idempotency.in_progress": "The same call, with the same Idempotency-Key, is being carried out right now.",
    "query.bad_sort": "The sort order cannot be parsed, or names a field that has no order.",
    "message.undecodable": "A message is not JSON; it becomes a dead letter.",
    "message.malformed": "A message is not of the form {\"obj\": …}; it becomes a dead letter.",
    "bus.in_use": "Another process has the broker's files.",
    "bus.disk": "The broker cannot write to its disk.",
    "broker.embedded": "The embedded broker lives in one process; replicas need RabbitMQ.",
    "database.unavailable": "The database does not answer.",
    "database.full": "The disk of the database is full: nothing can be written.",
    "database.newer": "The database was made by a newer version of the product.",
    "database.no_migrations": "The service has no migrations.",
    "data_folder.in_use": "Another server is running on the data folder.",
    "data_folder.newer": "The data folder was made by a newer version of the product.",
    "data_folder.unusable": "The data folder cannot be made, read or written.",
    "replicas.unknown": "--replicas names a service that there is not.",
    "replicas.embedded": "Replicas need RabbitMQ and PostgreSQL; the embedded mesh is one process.",
    "backup.exists": "The file for the backup is there already.",
    "backup.nothing": "There is no mesh here that could be saved.",
    "backup.busy": "A writer did not let the backup in within its time; nothing was changed.",
    "backup.unreadable": "The file is no backup.",
    "backup.damaged": "The backup is not as it was made.",
    "backup.newer": "The backup was made by a newer version of the product.",
    "backup.other_kind": "The backup is of an embedded mesh and this is one on PostgreSQL, or the other way round.",
    "backup.target_not_empty": "A backup is restored into an empty mesh only.",
    "tracing.missing": "tracing.endpoint is set, and the packages of requirements-tracing.lock are not installed.",
    "service.unknown": "There is no service of this name to run.",
    "port_in_use": "Another program listens on the port.",
    "worker.slow": "A worker process did not answer in time.",
    "worker.silent": "A worker process said nothing for too long and was stopped; its work is taken up again.",
    "worker.stopped": "The worker processes are being stopped.",
    "worker.unknown_op": "A worker process was asked for something that it cannot do.",
    "worker.bad_job": "A worker process was given a job that it cannot read.",
    # Of every class that can be changed.
    **{f"{noun}.changed": f"If-Match names another version of the {noun} than the one it has." for noun in OWNERS},
    **{f"{noun}.version_conflict": f"Somebody else changed the {noun} meanwhile; nothing was changed by this call."
       for noun in OWNERS},
}

ERRORS: dict[str, str] = {
    **{kind.code: (kind.__doc__ or "").splitlines()[0] for kind in KINDS.values()},
    **_GENERAL,
    **{code: text for module in PROVIDERS.values() for code, text in module.ERRORS.items()},
}
